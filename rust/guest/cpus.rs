// SPDX-License-Identifier: GPL-2.0

//! How many processors there are.
//!
//! C header: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h)

use crate::bindings;

/// Those that run now. At least 1.
pub fn online() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::num_online_cpus() }
}

/// Those that the machine has now. At least 1.
pub fn present() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::num_present_cpus() }
}

/// The node of memory that a processor is near to.
pub fn node(cpu: u32) -> i32 {
    // SAFETY: A table that has an entry for each processor that there may be.
    i32::try_from(cpu).map_or(-1, |cpu| unsafe { bindings::cpu_to_node(cpu) })
}
