// SPDX-License-Identifier: GPL-2.0

//! Something that is done again and again, and sooner if somebody asks for it.
//!
//! It is a work on the kernel's freezable workqueue, so nothing of it happens while the machine goes
//! to sleep. C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use core::mem::ManuallyDrop;
use kernel::{
    prelude::*,
    sync::Arc,
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    types::Opaque, //
};

/// What is done.
pub trait Repeat: Send + Sync + Sized + 'static {
    /// Does it once. `waker` is for those who want it done sooner.
    fn run(&self, waker: &Waker<Self>);

    /// How long it is until the next time, in milliseconds. The kernel makes seconds of it that begin
    /// when others do, if it is longer than one.
    const PERIOD_MS: Msecs;
}

#[pin_data]
struct Inner<T: Repeat> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    task: Arc<T>,
}

// SAFETY: A `struct delayed_work` may be used from any thread; `T` is `Send` and `Sync`.
unsafe impl<T: Repeat> Send for Inner<T> {}

// SAFETY: As above.
unsafe impl<T: Repeat> Sync for Inner<T> {}

/// Something that is done again and again until this is dropped, which waits for a run that is under
/// way. So it must not be dropped by the task.
///
/// # Invariants
///
/// The work was initialised, and is not queued any more once this is dropped.
pub struct Periodic<T: Repeat>(Arc<Inner<T>>);

impl<T: Repeat> Periodic<T> {
    /// Does it for the first time, soon.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn start(task: Arc<T>) -> Result<Self> {
        let inner = Arc::pin_init(
            pin_init!(Inner {
                work <- Opaque::ffi_init(|slot: *mut bindings::delayed_work| {
                    // SAFETY: `slot` is valid for writes and pinned.
                    unsafe { bindings::init_delayed_work(slot, Some(run::<T>)) };
                }),
                task,
            }),
            GFP_KERNEL,
        )?;
        inner.wake();
        Ok(Self(inner))
    }
}

impl<T: Repeat> Drop for Periodic<T> {
    fn drop(&mut self) {
        // SAFETY: Initialised. Afterwards it neither runs nor can be queued again.
        unsafe { bindings::disable_delayed_work_sync(self.0.work.get()) };
    }
}

/// Has something done sooner, as long as it is done at all.
pub struct Waker<T: Repeat>(Arc<Inner<T>>);

impl<T: Repeat> Waker<T> {
    /// What is done.
    pub fn task(&self) -> &T {
        &self.0.task
    }

    /// Has it done now. May be called in any context.
    pub fn wake(&self) {
        self.0.wake();
    }
}

impl<T: Repeat> Clone for Waker<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Repeat> Inner<T> {
    fn wake(&self) {
        // SAFETY: Initialised. Whoever has made it, sees to it that it does not outlive the object.
        unsafe {
            bindings::mod_delayed_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                bindings::system_freezable_wq,
                self.work.get(),
                0,
            );
        }
    }

    /// Queues it for the next time, unless it is already.
    fn queue(&self) {
        // SAFETY: As in `wake`.
        unsafe {
            let delay = bindings::round_jiffies_relative(msecs_to_jiffies(T::PERIOD_MS));
            bindings::queue_delayed_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                bindings::system_freezable_wq,
                self.work.get(),
                delay,
            );
        }
    }
}

/// # Safety
///
/// `work` must be that of an [`Inner<T>`] whose [`Periodic`] is not dropped yet.
unsafe extern "C" fn run<T: Repeat>(work: *mut bindings::work_struct) {
    // SAFETY: By the safety requirement it is inside of a `struct delayed_work`, which is inside of an
    // `Inner`. `Opaque` is transparent.
    let inner = unsafe {
        let work = kernel::container_of!(work, bindings::delayed_work, work);
        kernel::container_of!(
            work.cast::<Opaque<bindings::delayed_work>>(),
            Inner<T>,
            work
        )
    };
    // SAFETY: It came from an `Arc`, which the `Periodic` keeps until this has returned.
    let periodic = ManuallyDrop::new(unsafe { Arc::from_raw(inner) });
    let waker = Waker(Arc::clone(&periodic));
    waker.task().run(&waker);
    periodic.queue();
}
