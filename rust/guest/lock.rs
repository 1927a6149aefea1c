// SPDX-License-Identifier: GPL-2.0

//! A spinlock that is taken with interrupts off, in any context.
//!
//! The kernel crate's `SpinLockIrq` counts how often interrupts were turned off, so that guards
//! may be dropped in any order. On the way of each command that count costs more than the lock
//! does. This one keeps the state of interrupts in the guard, as `spin_lock_irqsave()` does, and
//! is for this crate only: two guards of it are never held at the same time.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h)

use crate::bindings;
use kernel::{
    prelude::*,
    sync::lock::{
        Backend,
        Lock, //
    }, //
};

/// The lock.
pub(crate) type SpinLockIrqSave<T> = Lock<T, IrqSave>;

/// How it is taken and released.
pub(crate) struct IrqSave;

// SAFETY: A spinlock has one owner at a time, and is taken in one way.
unsafe impl Backend for IrqSave {
    type State = bindings::spinlock_t;
    type GuardState = usize;

    #[inline]
    unsafe fn init(ptr: *mut Self::State, name: *const c_char, key: *mut bindings::lock_class_key) {
        // SAFETY: The safety requirements ensure that `ptr` is valid for writes, and `name` and
        // `key` for reads for ever.
        unsafe { bindings::__spin_lock_init(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> usize {
        // SAFETY: The safety requirements ensure that the lock is initialised.
        unsafe { bindings::spin_lock_irqsave(ptr) }
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, flags: &usize) {
        // SAFETY: The caller owns the lock, and has the flags of when it was taken.
        unsafe { bindings::spin_unlock_irqrestore(ptr, *flags) }
    }

    /// Not there: nobody tries.
    unsafe fn try_lock(_ptr: *mut Self::State) -> Option<usize> {
        None
    }

    /// Not there: a guard is the proof.
    #[inline]
    unsafe fn assert_is_held(_ptr: *mut Self::State) {}
}
