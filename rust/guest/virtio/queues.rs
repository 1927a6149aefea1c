// SPDX-License-Identifier: GPL-2.0

//! The virtqueues of a device: how they come, and how they go.

use super::{
    virtqueue::RawQueue,
    Device,
    Token,
    Virtqueue, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    device::Core,
    error::to_result,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        rcu,
        Arc,
        ArcBorrow,
        Mutex, //
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
    queues: KVec<Arc<dyn RawQueue>>,
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
    ) -> Result<Arc<Virtqueue<T>>> {
        let queue = Virtqueue::new()?;
        self.push(name, callback, queue.clone())?;
        Ok(queue)
    }

    /// The part of `add` that is the same for all types of queues.
    #[inline(never)]
    fn push(
        &mut self,
        name: &'static CStr,
        callback: Callback,
        queue: Arc<dyn RawQueue>,
    ) -> Result {
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
#[pin_data]
pub struct Queues<H: Handler> {
    #[pin]
    state: Mutex<State>,
    _handler: PhantomData<Arc<H>>,
}

/// # Invariants
///
/// `vdev` is null once driver and device are no longer bound, and valid before.
struct State {
    vdev: *mut bindings::virtio_device,
    queues: KVec<Arc<dyn RawQueue>>,
    found: bool,
}

// SAFETY: The pointer is used under a lock, from any thread.
unsafe impl Send for State {}

impl<H: Handler> Queues<H> {
    pub(super) fn new(dev: &Device<Core<'_>>) -> Result<Arc<Self>> {
        let state = State {
            vdev: dev.as_raw(),
            queues: KVec::new(),
            found: false,
        };
        Arc::pin_init(
            pin_init!(Self {
                // INVARIANT: A driver that is being probed is bound.
                state <- new_mutex!(state),
                _handler: PhantomData,
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
        state.find(plan, pre_vectors)
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
        // SAFETY: The device is valid and bound by the invariant of `State`.
        let slot = unsafe { handler_slot(state.vdev) };
        if !slot.load(Relaxed).is_null() {
            return Err(EBUSY);
        }
        slot.store(Arc::into_raw(handler).cast_mut().cast(), Release);
        Ok(())
    }

    /// Stops the device for good: resets it, and drops all requests that it has. Sleeps.
    ///
    /// All queues refuse all requests from here on. For a device that does not do as it is told.
    pub fn stop(&self) {
        self.state.lock().stop();
    }

    /// Stops the device, and deletes queues and handler.
    ///
    /// # Safety
    ///
    /// Driver and device must be about to be unbound.
    pub(super) unsafe fn teardown(&self) {
        let mut state = self.state.lock();
        state.stop();
        // INVARIANT: No longer bound from here on.
        let vdev = core::mem::replace(&mut state.vdev, ptr::null_mut());
        if vdev.is_null() {
            return;
        }
        if state.found {
            // A notification that was decided under a queue's lock is still to be made.
            rcu::synchronize_rcu();
            // SAFETY: The device is valid, and has queues, which the transport deletes. None is
            // used any more: each was revoked, a grace period ago.
            unsafe {
                if let Some(del_vqs) = (*(*vdev).config).del_vqs {
                    del_vqs(vdev);
                }
            }
            state.queues.clear();
        }
        // SAFETY: The device is valid.
        let handler = unsafe { handler_slot(vdev) }.xchg(ptr::null_mut(), Relaxed);
        if !handler.is_null() {
            // SAFETY: Made by `attach`. Interrupts are freed, so nobody uses it.
            drop(unsafe { Arc::from_raw(handler.cast::<H>().cast_const()) });
        }
    }
}

impl State {
    fn find(&mut self, mut plan: Plan, pre_vectors: u32) -> Result {
        let mut vqs = KVec::from_elem(ptr::null_mut(), plan.infos.len(), GFP_KERNEL)?;
        let mut affinity = bindings::irq_affinity {
            pre_vectors,
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
            // SAFETY: The queue is new, hence empty, and `teardown` revokes it before it deletes
            // it, with a grace period in between: `Plan` has as many queues as infos.
            unsafe { queue.attach(*vq) };
        }
        self.found = true;
        self.queues = plan.queues;
        Ok(())
    }

    fn stop(&mut self) {
        if self.vdev.is_null() {
            return;
        }
        // SAFETY: The device is valid and bound by the type invariant, we are not in its
        // interrupt (a mutex is held), and the lock keeps two resets apart.
        unsafe { bindings::virtio_reset_device(self.vdev) };
        for queue in &self.queues {
            // SAFETY: The device was just reset. Whoever adds to the queue between that and
            // this adds to a queue of a device that is not running.
            unsafe { queue.revoke() };
        }
    }
}

/// Where the pointer to the handler is kept: the field that is the driver's in `vdev`.
///
/// # Safety
///
/// `vdev` must be valid for `'a`, and bound to a driver of this module.
unsafe fn handler_slot<'a>(vdev: *mut bindings::virtio_device) -> &'a Atomic<*mut c_void> {
    // SAFETY: The field is valid with its device, and nobody else uses it by the requirement.
    unsafe { Atomic::from_ptr(&raw mut (*vdev).priv_) }
}

/// Called by the vring core, in interrupt context, for a queue with used requests.
extern "C" fn used_callback<H: Handler>(vq: *mut bindings::virtqueue) {
    // SAFETY: The vring core calls with a valid queue of a valid device.
    let (vdev, index) = unsafe { ((*vq).vdev, (*vq).index) };
    // SAFETY: The device is bound while it has queues.
    let handler = unsafe { handler_slot(vdev) }.load(Acquire);
    if !handler.is_null() {
        // SAFETY: Made by `attach` of the `Queues<H>` whose `find` named this callback. It is
        // dropped after the queues, and with them the interrupts, were deleted.
        unsafe { ArcBorrow::from_raw(handler.cast::<H>()) }.used(index as u16);
    }
}
