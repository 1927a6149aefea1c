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
