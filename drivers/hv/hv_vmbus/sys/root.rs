// SPDX-License-Identifier: GPL-2.0

//! The device that stands for the bus itself: what firmware calls `VMBUS`, parent of all others.

use super::bindings;
use core::{
    ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    }, //
};

static ROOT: AtomicPtr<bindings::device> = AtomicPtr::new(ptr::null_mut());

/// The device, or null before it was found and after the bus has gone.
pub(super) fn get() -> *mut bindings::device {
    ROOT.load(Ordering::Acquire)
}

/// Whether the device was found.
pub(crate) fn exists() -> bool {
    !get().is_null()
}

/// The device was found, or goes (null).
pub(super) fn set(device: *mut bindings::device) {
    ROOT.store(device, Ordering::Release);
}

/// The device, for drivers that need what it can do with DMA.
#[no_mangle]
extern "C" fn hv_get_vmbus_root_device() -> *mut bindings::device {
    get()
}

/// Whether there is a bus at all.
#[no_mangle]
extern "C" fn hv_vmbus_exists() -> bool {
    exists()
}
