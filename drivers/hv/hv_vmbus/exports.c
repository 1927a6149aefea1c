// SPDX-License-Identifier: GPL-2.0
/*
 * What the drivers of VMBus devices are linked to.  The functions are in Rust
 * (sys/); this file has their prototypes, so that symbol versions are made of
 * the same types as ever, and their EXPORT_SYMBOL lines.
 */

#include <linux/export.h>
#include <linux/hyperv.h>

/* The core: sys/exports.rs. */

/* The surface: devices and drivers, sysfs, memory. */

/* As in drivers/hv/hyperv_vmbus.h, which is not among a kernel's headers. */
int hv_create_ring_sysfs(struct vmbus_channel *channel,
			 int (*mmap_prepare)(struct vmbus_channel *channel,
					     struct vm_area_desc *desc));
int hv_remove_ring_sysfs(struct vmbus_channel *channel);
void vmbus_device_unregister(struct hv_device *device);
EXPORT_SYMBOL_GPL(__vmbus_driver_register);
EXPORT_SYMBOL_GPL(hv_create_ring_sysfs);
EXPORT_SYMBOL_GPL(hv_get_vmbus_root_device);
EXPORT_SYMBOL_GPL(hv_remove_ring_sysfs);
EXPORT_SYMBOL_GPL(hv_vmbus_exists);
EXPORT_SYMBOL_GPL(vmbus_allocate_mmio);
EXPORT_SYMBOL_GPL(vmbus_device_unregister);
EXPORT_SYMBOL_GPL(vmbus_driver_unregister);
EXPORT_SYMBOL_GPL(vmbus_free_mmio);
EXPORT_SYMBOL_GPL(vmbus_prep_negotiate_resp);
EXPORT_SYMBOL_GPL(vmbus_set_skip_unload);
