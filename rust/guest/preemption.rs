// SPDX-License-Identifier: GPL-2.0

//! Time in which no other task gets the CPU.
//!
//! It is also time in which no grace period of RCU ends, as an RCU read lock gives it, but that
//! costs more.
//!
//! C header: [`include/linux/preempt.h`](srctree/include/linux/preempt.h)

use crate::bindings;
use kernel::types::NotThreadSafe;

/// Preemption is disabled as long as this is there.
#[must_use]
pub(crate) struct Disabled(NotThreadSafe);

/// Disables preemption. May be nested.
#[inline]
pub(crate) fn disable() -> Disabled {
    // SAFETY: Allowed at any time; the guard undoes it on the same thread.
    unsafe { bindings::preempt_disable() };
    Disabled(NotThreadSafe)
}

/// Disables preemption, and says on which CPU that is. May be nested.
#[inline]
pub(crate) fn disable_on_cpu() -> (Disabled, u32) {
    // SAFETY: Allowed at any time; the guard undoes it on the same thread.
    let cpu = unsafe { bindings::get_cpu() };
    (Disabled(NotThreadSafe), cpu)
}

impl Drop for Disabled {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: It was disabled when this was made.
        unsafe { bindings::preempt_enable() };
    }
}
