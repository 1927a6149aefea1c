// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <asm/hypervisor.h>

__rust_helper bool rust_helper_is_vmware_guest(void)
{
	return hypervisor_is_type(X86_HYPER_VMWARE);
}
