// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/acpi.h>

__rust_helper struct acpi_device *rust_helper_ACPI_COMPANION(struct device *dev)
{
	return ACPI_COMPANION(dev);
}

__rust_helper struct acpi_device *rust_helper_acpi_dev_parent(struct acpi_device *adev)
{
	return acpi_dev_parent(adev);
}
