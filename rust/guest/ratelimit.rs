// SPDX-License-Identifier: GPL-2.0

//! A limit for messages that the other side can cause.
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)

use crate::bindings;
use kernel::{
    c_str,
    prelude::*,
    types::Opaque, //
};

/// Lets some messages pass in an interval, and counts the rest.
#[pin_data]
pub struct RateLimit {
    #[pin]
    state: Opaque<bindings::ratelimit_state>,
}

// SAFETY: A `struct ratelimit_state` may be used from any thread.
unsafe impl Send for RateLimit {}

// SAFETY: A `struct ratelimit_state` has a lock of its own.
unsafe impl Sync for RateLimit {}

impl RateLimit {
    /// A limit as that of the kernel's `dev_err_ratelimited()`: 10 messages in 5 seconds.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- Opaque::ffi_init(|slot: *mut bindings::ratelimit_state| {
                // SAFETY: `slot` is valid for writes and pinned.
                unsafe { bindings::ratelimit_default_init(slot) };
            }),
        })
    }

    /// Whether a message may pass now. May be called in any context.
    pub fn allows(&self) -> bool {
        // SAFETY: Initialised by `new`, pinned since. The name is a C string that is only printed.
        unsafe { bindings::___ratelimit(self.state.get(), c_str!("device").as_char_ptr()) != 0 }
    }
}
