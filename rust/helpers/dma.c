// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/dma-mapping.h>

__rust_helper void rust_helper_dma_set_min_align_mask(struct device *dev,
						      unsigned int min_align_mask)
{
	dma_set_min_align_mask(dev, min_align_mask);
}

__rust_helper int rust_helper_dma_mapping_error(struct device *dev, dma_addr_t dma_addr)
{
	return dma_mapping_error(dev, dma_addr);
}
