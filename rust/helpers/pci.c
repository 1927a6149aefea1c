// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/pci.h>

__rust_helper unsigned long rust_helper_pci_resource_flags(struct pci_dev *pdev, int bar)
{
	return pci_resource_flags(pdev, bar);
}
