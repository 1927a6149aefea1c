// SPDX-License-Identifier: GPL-2.0

//! The one bus that there is, for functions that are given none.

use core::{
    ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    }, //
};
use kernel::prelude::*;

/// Something that is there as long as the module, but for its beginning and its end.
pub(crate) struct Global<T>(AtomicPtr<T>);

impl<T: Sync + 'static> Global<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// What is there, if anything is.
    #[inline]
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: Not given up before all is gone that could ask, as `clear` says.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Puts something there.
    pub(crate) fn set(&self, value: Pin<KBox<T>>) {
        // SAFETY: The value is not moved until it is dropped.
        let raw = KBox::into_raw(unsafe { Pin::into_inner_unchecked(value) });
        self.0.store(raw, Ordering::Release);
    }

    /// Gives it up.
    ///
    /// # Safety
    ///
    /// Nobody may use what [`Global::get`] has returned any more: no interrupt, no callback of a
    /// processor, no device, no work is left.
    pub(crate) unsafe fn clear(&self) {
        let raw = self.0.swap(ptr::null_mut(), Ordering::AcqRel);
        if !raw.is_null() {
            // SAFETY: It was made of a box, and by the safety requirement.
            drop(unsafe { KBox::from_raw(raw) });
        }
    }
}
