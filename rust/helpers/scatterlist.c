// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/scatterlist.h>

__rust_helper phys_addr_t rust_helper_sg_phys(struct scatterlist *sg)
{
	return sg_phys(sg);
}
