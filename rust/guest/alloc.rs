// SPDX-License-Identifier: GPL-2.0

//! Allocating where not everything is allowed, which the kernel crate's flags cannot say.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use crate::bindings;

/// Runs `f`, in which no allocation of this thread waits for I/O, whatever its flags.
///
/// For memory that is needed to get I/O going again. It may be waited for, but not for what is
/// to be done with it.
#[inline]
pub fn without_io<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: Changes a flag of this thread, which is restored below.
    let flags = unsafe { bindings::memalloc_noio_save() };
    let result = f();
    // SAFETY: The flags come from the matching call; a panic does not unwind.
    unsafe { bindings::memalloc_noio_restore(flags) };
    result
}
