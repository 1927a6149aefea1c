// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/dma-mapping.h>
#include <linux/scatterlist.h>

__rust_helper int rust_helper_dma_mapping_error(struct device *dev, dma_addr_t dma_addr)
{
	return dma_mapping_error(dev, dma_addr);
}

__rust_helper phys_addr_t rust_helper_sg_phys(struct scatterlist *sg)
{
	return sg_phys(sg);
}
