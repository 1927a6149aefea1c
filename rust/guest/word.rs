// SPDX-License-Identifier: GPL-2.0

//! An integer or a pointer that several CPUs look at, without a call for each access.
//!
//! The kernel crate's atomics are calls of C functions as long as its helpers are not inlined,
//! and a flag of every command is read and written several times on its way. On x86-64, all that
//! `smp_load_acquire()` and `smp_store_release()` do is a plain access that the compiler does not
//! move others across; this is the same.

use core::{
    cell::UnsafeCell,
    ptr,
    sync::atomic::{
        compiler_fence,
        Ordering, //
    }, //
};

const _: () = assert!(cfg!(target_arch = "x86_64"));

/// An integer or a pointer. Zero is valid.
#[repr(transparent)]
pub(crate) struct Word<T = u32>(UnsafeCell<T>);

// SAFETY: All accesses are single volatile ones of an aligned word. What a pointer may be used for
// is not this type's matter.
unsafe impl<T: Plain> Sync for Word<T> {}

// SAFETY: As above.
unsafe impl<T: Plain> Send for Word<T> {}

impl Word<u32> {
    /// An integer.
    pub(crate) const fn new(value: u32) -> Self {
        Self(UnsafeCell::new(value))
    }
}

impl<T> Word<*mut T> {
    /// A pointer that is null until it is set.
    pub(crate) const fn null() -> Self {
        Self(UnsafeCell::new(ptr::null_mut()))
    }
}

impl<T: Plain> Word<T> {
    /// The value; what comes after is not done before.
    #[inline]
    pub(crate) fn load_acquire(&self) -> T {
        // SAFETY: The pointer is valid; see `Sync` for others that write.
        let value = unsafe { ptr::read_volatile(self.0.get()) };
        compiler_fence(Ordering::Acquire);
        value
    }

    /// Changes the value; what came before is done by then.
    #[inline]
    pub(crate) fn store_release(&self, value: T) {
        compiler_fence(Ordering::Release);
        // SAFETY: As in `load_acquire`.
        unsafe { ptr::write_volatile(self.0.get(), value) };
    }
}

/// What is read and written at once, as nothing is larger than a register.
pub(crate) trait Plain: Copy {}

impl Plain for u32 {}
impl<T> Plain for *mut T {}
