// SPDX-License-Identifier: GPL-2.0

//! The virtqueues of a device: how they come, and how they go.
//!
//! The queues of the *device* are made by [`Queues::find`], and again after each suspend,
//! which deletes them. In between a [`Virtqueue`] is
//! empty and refuses everything. Whatever ends the queues of the device, the device is reset
//! first, so that it has no request any more, and then each queue gives up the requests it owns.

use super::{
    virtqueue::RawQueue,
    Device,
    Token,
    Virtqueue, //
};
use crate::{
    bindings,
    word::Word,
    work, //
};
use core::ptr;
use kernel::{
    device::{
        self,
        Core, //
    },
    error::to_result,
    new_mutex,
    prelude::*,
    sync::{
        rcu,
        Arc,
        ArcBorrow,
        Mutex, //
    },
    workqueue::{
        self,
        impl_has_work,
        new_work,
        Work,
        WorkItem, //
    }, //
};

/// What handles the interrupts of a device's virtqueues.
pub trait Handler: Send + Sync + 'static {
    /// The device has returned requests on the queue with this index. In interrupt context.
    fn used(self: ArcBorrow<'_, Self>, queue: u16);
}

/// Whether the device interrupts when it returns requests on a queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Callback {
    /// It does, and [`Handler::used`] is called.
    Interrupt,
    /// It does not: the driver polls.
    Polled,
}

/// The queues that a driver wants, in the order of their indices.
///
/// # Invariants
///
/// `infos` has an element for each of `queues`, in which the callback is one that does nothing if
/// there is to be one.
#[derive(Default)]
pub struct Plan {
    queues: KVec<Arc<RawQueue>>,
    infos: KVec<bindings::virtqueue_info>,
}

impl Plan {
    /// A plan without queues.
    pub const fn new() -> Self {
        Self {
            queues: KVec::new(),
            infos: KVec::new(),
        }
    }

    /// Adds a queue. `name` is its name in `/proc/interrupts`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn add<T: Token + 'static>(
        &mut self,
        name: &'static CStr,
        callback: Callback,
    ) -> Result<Virtqueue<T>> {
        let queue = Virtqueue::new()?;
        self.push(name, callback, queue.raw())?;
        Ok(queue)
    }

    /// The part of `add` that is the same for all types of queues.
    #[inline(never)]
    fn push(&mut self, name: &'static CStr, callback: Callback, queue: Arc<RawQueue>) -> Result {
        extern "C" fn nothing(_: *mut bindings::virtqueue) {}
        let info = bindings::virtqueue_info {
            name: name.as_char_ptr(),
            callback: match callback {
                Callback::Interrupt => Some(nothing),
                Callback::Polled => None,
            },
            ctx: false,
        };
        self.infos.reserve(1, GFP_KERNEL)?;
        self.queues.push(queue, GFP_KERNEL)?;
        // INVARIANT: There is room, so that either both lists have become longer or none.
        self.infos.push(info, GFP_KERNEL)?;
        Ok(())
    }
}

/// The virtqueues of one device, from the probe of its driver until it is unbound.
///
/// # Invariants
///
/// `handler` is an `Arc` as a raw pointer, or null before [`Queues::attach`] and once the queues
/// are deleted for good.
#[pin_data]
pub struct Queues<H: Handler> {
    #[pin]
    state: Mutex<State>,
    handler: Word<*mut H>,
    #[pin]
    failure: Work<Queues<H>>,
}

impl_has_work! {
    impl{H: Handler} HasWork<Self> for Queues<H> { self.failure }
}

/// # Invariants
///
/// `vdev` is null once driver and device are no longer bound, and valid before. While `found`, the
/// device has a queue for each of `plan`, and they are attached unless `stopped`.
struct State {
    vdev: *mut bindings::virtio_device,
    plan: Plan,
    pre_vectors: u32,
    found: bool,
    stopped: bool,
}

// SAFETY: The pointer is used under a lock, from any thread.
unsafe impl Send for State {}

impl<H: Handler> Queues<H> {
    pub(super) fn new(dev: &Device<Core<'_>>) -> Result<Arc<Self>> {
        let state = State {
            vdev: dev.as_raw(),
            plan: Plan::new(),
            pre_vectors: 0,
            found: false,
            stopped: false,
        };
        Arc::pin_init(
            pin_init!(Self {
                // INVARIANT: A driver that is being probed is bound.
                state <- new_mutex!(state, "guest::virtio::Queues::state"),
                handler: Word::null(),
                failure <- new_work!("guest::virtio::Queues::failure"),
            }),
            GFP_KERNEL,
        )
    }

    /// Makes the queues of `plan`, which are usable then; their interrupts go nowhere before
    /// [`Queues::attach`]. Only once.
    ///
    /// `pre_vectors` is the number of queues at the beginning whose interrupts are not to be
    /// spread over the CPUs.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there are queues already, `ENODEV` if the device is unbound, `ENOMEM`, or what
    /// the transport says.
    pub fn find(&self, mut plan: Plan, pre_vectors: u32) -> Result {
        let mut state = self.state.lock();
        if state.vdev.is_null() {
            return Err(ENODEV);
        }
        if state.found {
            return Err(EBUSY);
        }

        for info in &mut plan.infos {
            info.callback = info.callback.and(Some(used_callback::<H>));
        }
        // SAFETY: The device is valid and bound by the invariant of `State`. The field is the
        // driver's; the binding keeps what it points to until the queues are deleted.
        unsafe { (*state.vdev).priv_ = ptr::from_ref(self).cast_mut().cast() };
        state.plan = plan;
        state.pre_vectors = pre_vectors;
        state.find()
    }

    /// Directs the queues' interrupts to `handler`. Only once.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the device is unbound, `EBUSY` if there is a handler already.
    pub fn attach(&self, handler: Arc<H>) -> Result {
        let state = self.state.lock();
        if state.vdev.is_null() {
            return Err(ENODEV);
        }
        if !self.handler.load_acquire().is_null() {
            return Err(EBUSY);
        }
        // INVARIANT: The pointer comes from an `Arc`.
        self.handler
            .store_release(Arc::into_raw(handler).cast_mut());
        Ok(())
    }

    /// Stops the device for good: resets it, and drops all requests that it has. Sleeps.
    ///
    /// All queues refuse all requests from here on. For a device that does not do as it is told.
    pub fn stop(&self) {
        self.state.lock().stop();
    }

    /// Has the device [stopped](Queues::stop) soon, with a message. In any context.
    ///
    /// Done by itself when an interrupt finds that a queue is broken.
    #[cold]
    #[inline(never)]
    pub fn fail(self: ArcBorrow<'_, Self>) {
        // Fails if it is queued already.
        let _ = workqueue::system_freezable().enqueue(Arc::<Self>::from(self));
    }

    /// Deletes the queues of the device, whose requests are dropped, until [`Queues::restore`].
    ///
    /// # Safety
    ///
    /// Must be called by the bus to suspend the device.
    pub(super) unsafe fn freeze(&self) {
        let mut state = self.state.lock();
        state.reset();
        // SAFETY: Just reset.
        unsafe { state.delete() };
    }

    /// Makes the queues again that [`Queues::freeze`] has deleted.
    ///
    /// # Errors
    ///
    /// `EIO` if the device was stopped for good, or what the transport says.
    pub(super) fn restore(&self) -> Result {
        let mut state = self.state.lock();
        if state.stopped {
            return Err(EIO);
        }
        // Without queues before, there are none to be made again.
        if state.vdev.is_null() || state.found || state.plan.queues.is_empty() {
            return Ok(());
        }
        state.find()
    }

    /// Stops the device, and deletes queues and handler.
    ///
    /// # Safety
    ///
    /// Driver and device must be about to be unbound.
    pub(super) unsafe fn teardown(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.stop();
        // SAFETY: Just stopped.
        unsafe { state.delete() };
        // INVARIANT: No longer bound from here on.
        state.vdev = ptr::null_mut();
        state.plan = Plan::new();
        drop(state);
        // No interrupt comes any more, and the driver is gone: nobody else asks for it.
        work::cancel_sync(self);
        let handler = self.handler.load_acquire();
        self.handler.store_release(ptr::null_mut());
        if !handler.is_null() {
            // SAFETY: By the type invariant. Interrupts are freed, so nobody uses it.
            drop(unsafe { Arc::from_raw(handler.cast_const()) });
        }
    }
}

impl<H: Handler> WorkItem for Queues<H> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.state.lock().fail();
    }
}

impl State {
    #[inline(never)]
    fn find(&mut self) -> Result {
        let plan = &mut self.plan;
        let mut vqs = KVec::from_elem(ptr::null_mut(), plan.infos.len(), GFP_KERNEL)?;
        let mut affinity = bindings::irq_affinity {
            pre_vectors: self.pre_vectors,
            ..pin_init::zeroed()
        };
        // SAFETY: The device is valid and bound by the type invariant. Both arrays have as many
        // elements as we say, and are only used during the call, like the affinity.
        to_result(unsafe {
            bindings::virtio_find_vqs(
                self.vdev,
                vqs.len() as u32,
                vqs.as_mut_ptr(),
                plan.infos.as_mut_ptr(),
                &mut affinity,
            )
        })?;
        for (queue, vq) in plan.queues.iter().zip(&vqs) {
            // SAFETY: The queue of the device is new, hence empty, and `delete` revokes it before
            // it deletes it, with a grace period in between: `Plan` has as many queues as infos.
            unsafe { queue.attach(*vq) };
        }
        // INVARIANT: All of the plan's were found.
        self.found = true;
        Ok(())
    }

    /// Stops the device, if it is true that it has failed: who says so may have met a queue that
    /// was only deleted for a suspend.
    fn fail(&mut self) {
        if self.vdev.is_null() || !self.found || self.stopped || !self.has_failed() {
            return;
        }
        // SAFETY: The device is valid by the type invariant.
        let dev = unsafe { device::Device::<device::Normal>::from_raw(&raw mut (*self.vdev).dev) };
        kernel::dev_err!(dev, "broken queue, or reset needed: device stopped\n");
        self.stop();
    }

    /// Whether a queue is broken, or the device says that it does not work any more. One that is
    /// gone says so as well, with all bits set.
    fn has_failed(&self) -> bool {
        let needs_reset = bindings::VIRTIO_CONFIG_S_NEEDS_RESET as u8;
        self.plan.queues.iter().any(|queue| queue.is_broken())
            || self
                .status()
                .is_some_and(|status| status & needs_reset != 0)
    }

    /// The status of the device, which must still be bound (`vdev` is not null).
    fn status(&self) -> Option<u8> {
        // SAFETY: The device is valid by the type invariant, and its transport's operations.
        unsafe {
            (*(*self.vdev).config)
                .get_status
                .map(|get_status| get_status(self.vdev))
        }
    }

    #[inline(never)]
    fn stop(&mut self) {
        if self.vdev.is_null() {
            return;
        }
        self.stopped = true;
        self.reset();
        // SAFETY: Just reset.
        unsafe { self.revoke() };
    }

    /// Resets the device.
    ///
    /// One that was taken out of the machine answers every read with ones. That is no status that
    /// a device has, and the transport would wait for another without end. It has no access to
    /// memory either, which is what a reset is for.
    #[inline(never)]
    fn reset(&self) {
        const NOT_THERE: u8 = 0xff;
        if self.vdev.is_null() || self.status() == Some(NOT_THERE) {
            return;
        }
        // SAFETY: The device is valid and bound by the type invariant. We are not in its interrupt
        // (a mutex is held), and the lock keeps two resets apart.
        unsafe { bindings::virtio_reset_device(self.vdev) };
    }

    /// Has all queues give up what they own.
    ///
    /// # Safety
    ///
    /// The device must have been reset since the queues were last attached.
    unsafe fn revoke(&self) {
        for queue in &self.plan.queues {
            // SAFETY: The device was reset. Whoever adds to the queue between that and this adds
            // to a queue of a device that is not running.
            unsafe { queue.revoke() };
        }
    }

    /// Deletes the queues of the device.
    ///
    /// # Safety
    ///
    /// As for `revoke`.
    unsafe fn delete(&mut self) {
        if self.vdev.is_null() || !self.found {
            return;
        }
        // SAFETY: By the safety requirement.
        unsafe { self.revoke() };
        // A notification that was decided under a queue's lock is still to be made.
        rcu::synchronize_rcu();
        // SAFETY: The device is valid, and has queues, which the transport deletes. None is used
        // any more: each was revoked, a grace period ago.
        unsafe {
            if let Some(del_vqs) = (*(*self.vdev).config).del_vqs {
                del_vqs(self.vdev);
            }
        }
        // INVARIANT: There are none.
        self.found = false;
    }
}

/// Called by the vring core, in interrupt context, for a queue with used requests.
extern "C" fn used_callback<H: Handler>(vq: *mut bindings::virtqueue) {
    // SAFETY: The vring core calls with a valid queue of a valid device.
    let (vdev, index) = unsafe { ((*vq).vdev, (*vq).index) };
    // SAFETY: `Queues<H>::find` has put itself there before it named this callback. The binding
    // of driver and device keeps it until the queues, and with them the interrupts, are deleted.
    let queues = unsafe { ArcBorrow::from_raw((*vdev).priv_.cast::<Queues<H>>()) };
    let handler = queues.handler.load_acquire();
    if handler.is_null() {
        return;
    }
    // SAFETY: By the type invariant; it is dropped after the interrupts were freed.
    unsafe { ArcBorrow::from_raw(handler) }.used(index as u16);
    // SAFETY: The vring core calls with a valid queue.
    if unsafe { bindings::virtqueue_is_broken(vq) } {
        queues.fail();
    }
}
