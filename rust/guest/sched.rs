// SPDX-License-Identifier: GPL-2.0

//! Giving way.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::bindings;

/// Lets others run, if they wait. May sleep.
#[inline]
pub fn cond_resched() {
    // SAFETY: No requirements but a context that may sleep, which is not about memory.
    unsafe { bindings::cond_resched() };
}
