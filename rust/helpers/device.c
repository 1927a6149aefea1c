// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/device.h>

__rust_helper int rust_helper_device_match_driver_override(struct device *dev,
							   const struct device_driver *drv)
{
	return device_match_driver_override(dev, drv);
}
