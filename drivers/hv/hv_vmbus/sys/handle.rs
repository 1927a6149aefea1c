// SPDX-License-Identifier: GPL-2.0

//! A channel and a device, as the bus names them.

use super::bindings;
use core::ptr::NonNull;

/// A channel.
///
/// # Invariants
///
/// It was made by this bus, and is there as long as anybody has a handle: who keeps one beyond a
/// call has a reference on its kobject, or the lock under which channels are removed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Channel(pub(super) NonNull<bindings::vmbus_channel>);

// SAFETY: A channel may be used from any thread; fields that several write have a lock.
unsafe impl Send for Channel {}

// SAFETY: As above.
unsafe impl Sync for Channel {}

impl Channel {
    /// A handle, unless the pointer is null.
    ///
    /// # Safety
    ///
    /// As the type's invariants say.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: *mut bindings::vmbus_channel) -> Option<Self> {
        // INVARIANT: By the safety requirement.
        NonNull::new(raw).map(Self)
    }

    /// A handle.
    ///
    /// # Safety
    ///
    /// As the type's invariants say; the pointer must not be null.
    #[inline]
    pub(crate) unsafe fn from_valid(raw: *mut bindings::vmbus_channel) -> Self {
        // INVARIANT: By the safety requirement.
        // SAFETY: As above.
        Self(unsafe { NonNull::new_unchecked(raw) })
    }

    #[inline]
    pub(crate) fn as_raw(self) -> *mut bindings::vmbus_channel {
        self.0.as_ptr()
    }
}

/// A device on the bus.
///
/// # Invariants
///
/// It was made by [`crate::device::create`], and is there as long as anybody has a handle: who keeps
/// one beyond a call has a reference, or the lock of the table while the device's channel names it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device(NonNull<bindings::hv_device>);

// SAFETY: A device may be used from any thread.
unsafe impl Send for Device {}

// SAFETY: As above.
unsafe impl Sync for Device {}

impl Device {
    /// A handle, unless the pointer is null.
    ///
    /// # Safety
    ///
    /// As the type's invariants say.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: *mut bindings::hv_device) -> Option<Self> {
        // INVARIANT: By the safety requirement.
        NonNull::new(raw).map(Self)
    }

    /// A handle.
    ///
    /// # Safety
    ///
    /// As the type's invariants say; the pointer must not be null.
    #[inline]
    pub(crate) unsafe fn from_valid(raw: *mut bindings::hv_device) -> Self {
        // INVARIANT: By the safety requirement.
        // SAFETY: As above.
        Self(unsafe { NonNull::new_unchecked(raw) })
    }

    #[inline]
    pub(crate) fn as_raw(self) -> *mut bindings::hv_device {
        self.0.as_ptr()
    }
}
