// SPDX-License-Identifier: GPL-2.0

//! A spinlock that is taken with interrupts off, in any context.
//!
//! The kernel crate's `SpinLockIrq` counts how often interrupts were turned off, so that guards
//! may be dropped in any order. On the way of each command that count costs more than the lock
//! does. This one keeps the state of interrupts in the guard, as `spin_lock_irqsave()` does. Guards
//! are for this crate only, where two are never held at the same time; a driver has [`IrqLock`],
//! whose sections end in the reverse order of their beginning.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h)

use crate::bindings;
use kernel::{
    prelude::*,
    sync::{
        lock::{
            Backend,
            Lock, //
        },
        LockClassKey, //
    }, //
};

/// Data that threads and interrupt handlers share.
#[pin_data]
pub struct IrqLock<T> {
    #[pin]
    inner: SpinLockIrqSave<T>,
}

impl<T: Unpin> IrqLock<T> {
    /// Data under a lock with the name and the class that [`new_irq_lock!`](crate::new_irq_lock)
    /// gives it.
    pub fn new(
        data: T,
        name: &'static CStr,
        class: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- SpinLockIrqSave::new(data, name, class),
        })
    }

    /// Calls `f` with the data, which nobody else has meanwhile. In any context; `f` must neither
    /// sleep nor ask for the same lock.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.inner.lock())
    }
}

/// An initialiser of an [`IrqLock`](crate::lock::IrqLock) around a value, with a name.
#[macro_export]
macro_rules! new_irq_lock {
    ($data:expr, $name:literal) => {
        $crate::lock::IrqLock::new(
            $data,
            ::kernel::c_str!($name),
            ::kernel::static_lock_class!(),
        )
    };
}

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
