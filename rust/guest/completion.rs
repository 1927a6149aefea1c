// SPDX-License-Identifier: GPL-2.0

//! A completion with a time limit, as the kernel crate's has none.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)

use crate::bindings;
use kernel::{
    prelude::*,
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    types::Opaque, //
};

/// Something that happens once, and may be waited for.
#[pin_data]
pub struct Completion {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: A `struct completion` may be used from any thread.
unsafe impl Send for Completion {}

// SAFETY: A `struct completion` has a lock of its own.
unsafe impl Sync for Completion {}

impl Completion {
    /// A completion of something that has not happened yet.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: `slot` is valid for writes and pinned.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    /// It has happened: wakes all who wait, now and later. May be called in any context.
    #[inline]
    pub fn complete_all(&self) {
        // SAFETY: Initialised by `new`, pinned since.
        unsafe { bindings::complete_all(self.inner.get()) };
    }

    /// Whether it has happened. May be called in any context.
    pub fn is_done(&self) -> bool {
        // SAFETY: Initialised by `new`, pinned since.
        unsafe { bindings::completion_done(self.inner.get()) }
    }

    /// Something else is to happen, and was not yet. Nobody may be waiting.
    pub fn reset(&self) {
        // SAFETY: Initialised by `new`, pinned since.
        unsafe { bindings::reinit_completion(self.inner.get()) };
    }

    /// Waits until it happens, but no longer than `timeout_ms`. Sleeps.
    ///
    /// # Errors
    ///
    /// `ETIMEDOUT` if it did not happen in that time.
    pub fn wait_timeout(&self, timeout_ms: Msecs) -> Result {
        // SAFETY: Initialised by `new`, pinned since.
        let left = unsafe {
            bindings::wait_for_completion_timeout(self.inner.get(), msecs_to_jiffies(timeout_ms))
        };
        if left == 0 {
            return Err(ETIMEDOUT);
        }
        Ok(())
    }
}

#[cfg(guest_kunit)]
#[kernel::macros::kunit_tests(guest_completion)]
mod tests {
    use super::*;
    use kernel::sync::Arc;

    #[test]
    fn waiting_ends_by_completion_or_by_time() -> Result {
        let completion = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
        assert_eq!(completion.wait_timeout(1), Err(ETIMEDOUT));
        assert!(!completion.is_done());
        completion.complete_all();
        assert!(completion.is_done());
        assert_eq!(completion.wait_timeout(1), Ok(()));
        assert_eq!(completion.wait_timeout(1), Ok(()));
        completion.reset();
        assert_eq!(completion.wait_timeout(1), Err(ETIMEDOUT));
        Ok(())
    }
}
