// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <scsi/scsi_transport_fc.h>

/* User space may read them at the same time. */
__rust_helper void rust_helper_set_fc_host_node_name(struct Scsi_Host *shost,
						     u64 name)
{
	WRITE_ONCE(fc_host_node_name(shost), name);
}

__rust_helper void rust_helper_set_fc_host_port_name(struct Scsi_Host *shost,
						     u64 name)
{
	WRITE_ONCE(fc_host_port_name(shost), name);
}
