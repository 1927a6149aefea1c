// SPDX-License-Identifier: GPL-2.0

//! Locks that are fields of the kernel's structures.

use super::bindings;
use kernel::{
    prelude::*,
    sync::LockClassKey, //
};

/// Makes a spinlock of zeros.
///
/// # Safety
///
/// The pointer must be valid, and nobody else use the lock.
pub(super) unsafe fn init_spinlock(
    lock: *mut bindings::spinlock_t,
    name: &'static CStr,
    class: Pin<&'static LockClassKey>,
) {
    // SAFETY: By the safety requirement; name and class are there as long as the module.
    unsafe { bindings::__spin_lock_init(lock, name.as_char_ptr(), class.as_ptr()) };
}

/// Makes a mutex of zeros.
///
/// # Safety
///
/// As for [`init_spinlock`].
pub(super) unsafe fn init_mutex(
    lock: *mut bindings::mutex,
    name: &'static CStr,
    class: Pin<&'static LockClassKey>,
) {
    // SAFETY: As above.
    unsafe { bindings::__mutex_init(lock, name.as_char_ptr(), class.as_ptr()) };
}
