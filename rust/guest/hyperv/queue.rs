// SPDX-License-Identifier: GPL-2.0

//! Workqueues of one's own.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    workqueue::Queue, //
};

/// A workqueue, which is drained when this is dropped.
///
/// # Invariants
///
/// The pointer is that of a workqueue that is ours.
pub struct OwnQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue may be used from any thread.
unsafe impl Send for OwnQueue {}

// SAFETY: As above.
unsafe impl Sync for OwnQueue {}

impl OwnQueue {
    /// A queue whose items run one after the other.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn ordered(name: &'static CStr) -> Result<Self> {
        Self::new(name, bindings::wq_flags___WQ_ORDERED, 1)
    }

    /// A queue whose items run side by side, anywhere.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn parallel(name: &'static CStr) -> Result<Self> {
        Self::new(name, 0, 0)
    }

    fn new(name: &'static CStr, flags: bindings::wq_flags, at_once: i32) -> Result<Self> {
        let flags = flags | bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_MEM_RECLAIM;
        // SAFETY: The format takes one string, which is there for ever.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                flags,
                at_once,
                name.as_char_ptr(),
            )
        };
        // INVARIANT: Just made.
        NonNull::new(queue).map(Self).ok_or(ENOMEM)
    }

    /// Waits until all that is on the queue now has run. Sleeps.
    pub fn flush(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::__flush_workqueue(self.0.as_ptr()) };
    }

    /// Waits until the queue is empty; only its items may add to it meanwhile. Sleeps.
    pub fn drain(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::drain_workqueue(self.0.as_ptr()) };
    }
}

impl Deref for OwnQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariant, as long as this is borrowed.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for OwnQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. Whatever is on the queue is run first.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}
