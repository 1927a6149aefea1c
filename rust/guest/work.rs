// SPDX-License-Identifier: GPL-2.0

//! Cancelling work, which the kernel crate's [`Work`] cannot; work that is [`periodic`].
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

pub mod periodic;

use crate::bindings;
use kernel::{
    sync::Arc,
    workqueue::{
        HasWork,
        Work,
        WorkItem, //
    }, //
};

/// Takes the work of `owner` off its queue, or waits until it has run. Sleeps.
///
/// Afterwards the work does not run any more, unless something has queued it again; it is up to
/// the caller to have seen to that first. Must not be called from the work itself.
///
/// Returns whether the work was on a queue, that is, whether a run of it was lost.
pub fn cancel_sync<T, const ID: u64>(owner: &Arc<T>) -> bool
where
    T: HasWork<T, ID> + WorkItem<ID, Pointer = Arc<T>>,
{
    let ptr = Arc::as_ptr(owner);
    // SAFETY: `ptr` points to a live `T`, for which `owner` stands.
    let work: *mut Work<T, ID> = unsafe { T::raw_get_work(ptr.cast_mut()) };
    // SAFETY: As above, and `work` is a field of it.
    let work = unsafe { Work::raw_get(work) };
    // SAFETY: A `Work` is initialised when it is created, and `owner` keeps it alive.
    let was_pending = unsafe { bindings::cancel_work_sync(work) };
    if was_pending {
        // SAFETY: Queueing the work turned an `Arc` into this pointer. The run that would have
        // turned it back was just cancelled, so this is the only time.
        drop(unsafe { Arc::from_raw(ptr) });
    }
    was_pending
}
