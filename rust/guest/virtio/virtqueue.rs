// SPDX-License-Identifier: GPL-2.0

//! One virtqueue, and the requests that it owns.
//!
//! What is checked where: the *vring core* of the kernel keeps, in memory that the device does
//! not see, which descriptor belongs to which request. It checks that an id in the used ring is
//! in range and belongs to a request that is outstanding; anything else marks the queue as broken
//! and returns nothing. So of the pointers that went in, each comes out at most once, and no
//! other comes out. [`Virtqueue`] relies on that alone. The *used length* is the device's word,
//! and is handed on as such.

use super::{
    segments::Room,
    Callback,
    Segments, //
};
use crate::{
    bindings,
    lock::SpinLockIrqSave,
    preemption, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    c_str,
    prelude::*,
    static_lock_class,
    sync::Arc, //
};

/// A request that can be given to a virtqueue, which owns it until the device has returned it.
///
/// # Safety
///
/// - What `readable` and `writable` add must be memory that the token owns, at a fixed address,
///   until the pointer of `into_raw` has become a token again and that was dropped or changed.
/// - Nothing but the device may write to it in that time.
pub unsafe trait Token: Sized + Send {
    /// Gives up the token for a pointer.
    fn into_raw(self) -> NonNull<c_void>;

    /// Makes the token of a pointer again.
    ///
    /// # Safety
    ///
    /// `ptr` must come from `into_raw` of the same type, and be used only once.
    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self;

    /// Adds the memory that the device reads.
    fn readable(&self, segments: &mut Segments<'_>);

    /// Adds the memory that the device writes.
    fn writable(&self, segments: &mut Segments<'_>);
}

/// Whether the device is told of a new request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kick {
    /// At once, unless it has said that it does not want to be told.
    Now,
    /// Later, by [`Virtqueue::kick`] or with another request.
    Later,
}

/// Why a queue did not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room (or no memory) at the moment.
    Full,
    /// The queue is broken or gone; it will never take one again.
    Broken,
}

/// A request that a queue did not take.
pub struct Refused<T> {
    /// The request.
    pub token: T,
    /// The reason.
    pub reason: Refusal,
}

/// What a queue has done since it was made. Each queue counts under its own lock, in the memory
/// that it has in hand anyway.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// Requests that it has taken.
    pub submitted: u64,
    /// Requests that have come back: returned by the device, or given up when it was stopped.
    pub completed: u64,
    /// Notifications of the device.
    pub kicks: u64,
    /// Requests for which there was no room.
    pub busy: u64,
}

impl Counts {
    /// Requests that the queue owns.
    #[inline]
    fn in_flight(&self) -> u64 {
        self.submitted.wrapping_sub(self.completed)
    }
}

/// A virtqueue whose requests are tokens of type `T`.
///
/// All methods may be called in any context, interrupts included, and at any time. Each queue has
/// a lock of its own.
///
/// # Invariants
///
/// All requests in the queue are tokens of type `T`.
pub struct Virtqueue<T: Token> {
    raw: Arc<RawQueue>,
    _token: PhantomData<fn(T) -> T>,
}

/// A virtqueue whatever its tokens are, as [`Queues`](super::Queues) sees it.
///
/// # Invariants
///
/// `discard` drops a token by the pointer that was made of it.
#[pin_data]
pub(super) struct RawQueue {
    #[pin]
    ring: SpinLockIrqSave<Ring>,
    discard: unsafe fn(NonNull<c_void>),
}

/// # Invariants
///
/// `vq` is null, or points to a `struct virtqueue` that is valid while `vq` is not null, and for
/// an RCU grace period after that.
struct Ring {
    vq: *mut bindings::virtqueue,
    counts: Counts,
}

// SAFETY: The pointer is used under the lock, from any thread.
unsafe impl Send for Ring {}

type RingGuard<'a> = kernel::sync::lock::Guard<'a, Ring, crate::lock::IrqSave>;

impl<T: Token> Virtqueue<T> {
    pub(super) fn new() -> Result<Self> {
        // INVARIANT: The queue is empty, and only this adds to it.
        Ok(Self {
            raw: RawQueue::new(Self::discard)?,
            _token: PhantomData,
        })
    }

    /// Drops a token.
    ///
    /// # Safety
    ///
    /// As for [`Token::from_raw`].
    unsafe fn discard(ptr: NonNull<c_void>) {
        // SAFETY: By the safety requirement.
        drop(unsafe { T::from_raw(ptr) });
    }

    pub(super) fn raw(&self) -> Arc<RawQueue> {
        self.raw.clone()
    }

    /// Gives a request to the device.
    ///
    /// # Errors
    ///
    /// The request itself, with the [`Refusal`].
    #[inline]
    pub fn add(&self, token: T, kick: Kick) -> core::result::Result<(), Refused<T>> {
        let mut room = Room::new();
        let mut segments = room.segments();
        token.readable(&mut segments);
        let readable = segments.len();
        token.writable(&mut segments);
        let writable = segments.len().wrapping_sub(readable);
        let data = token.into_raw();
        let lists = segments.as_mut_ptr();
        // SAFETY: The lists are valid by the invariant of `Segments`, and hold as many as we say.
        // Their memory is the device's until the request comes back, by the rules for `Token`.
        // INVARIANT: `data` is that of a `T`.
        let result = unsafe {
            self.raw
                .add(lists, readable as u32, writable as u32, data, kick)
        };
        result.map_err(|reason| {
            // SAFETY: Just made by `into_raw`; the queue has not taken it.
            let token = unsafe { T::from_raw(data) };
            Refused { token, reason }
        })
    }

    /// Tells the device of the requests that it has not been told of.
    #[inline]
    pub fn kick(&self) {
        self.raw.kick();
    }

    /// Takes what the device has returned. Returns the number of requests.
    ///
    /// For a queue with interrupts this goes on until there is no more, and has the device
    /// interrupt for what comes after. For one that is polled, it is what is there by now.
    ///
    /// Interrupts are only turned off, and on again, where more than one request may come back
    /// meanwhile: with one in flight, the vring core asks for the next interrupt when it takes the
    /// one out. What a device returns beyond that is still looked for, as it is wrong, and would
    /// else keep the device from interrupting again.
    ///
    /// `f` gets each request with its used length. It runs under the lock of the queue, and must
    /// not use the queue.
    #[inline]
    pub fn drain(&self, callback: Callback, mut f: impl FnMut(T, u32)) -> usize {
        let mut count = 0usize;
        let mut ring = self.raw.ring.lock();
        let vq = ring.vq;
        if vq.is_null() {
            return 0;
        }
        loop {
            let quiet = callback == Callback::Interrupt && ring.counts.in_flight() > 1;
            if quiet {
                // SAFETY: The queue is valid by the type invariant, and we have its lock.
                unsafe { bindings::virtqueue_disable_cb(vq) };
            }
            // SAFETY: As above.
            while let Some((token, used_len)) = unsafe { ring.pop(vq) } {
                f(token, used_len);
                count = count.wrapping_add(1);
            }
            // What came while the callback was off has caused no interrupt: look again.
            // SAFETY: As above.
            if !quiet || unsafe { bindings::virtqueue_enable_cb(vq) } {
                return count;
            }
        }
    }

    /// Whether the queue is broken: the device has done something impossible, or is gone. What is
    /// in the queue then only comes back when the device is stopped. Also whether there is no
    /// queue, because the device was stopped.
    pub fn is_broken(&self) -> bool {
        self.raw.is_broken()
    }

    /// What the queue has done so far.
    pub fn counts(&self) -> Counts {
        self.raw.counts()
    }

    /// Number of descriptors, or 0 if the queue is gone.
    pub fn size(&self) -> u32 {
        self.raw.size()
    }
}

/// What is the same for all types of tokens, and not on the way of each request.
impl RawQueue {
    #[inline(never)]
    fn new(discard: unsafe fn(NonNull<c_void>)) -> Result<Arc<Self>> {
        // INVARIANT: Null.
        let ring = Ring {
            vq: ptr::null_mut(),
            counts: Counts::default(),
        };
        // INVARIANT: By the caller.
        Arc::pin_init(
            pin_init!(Self {
                ring <- SpinLockIrqSave::new(
                    ring,
                    c_str!("guest::virtio::Virtqueue::ring"),
                    static_lock_class!()
                ),
                discard,
            }),
            GFP_KERNEL,
        )
    }

    /// Gives a request to the device, unless there is a reason not to.
    ///
    /// # Safety
    ///
    /// There must be `readable` and then `writable` valid scatterlists in `lists`, of memory that
    /// the device may use until `data` comes back.
    #[inline(always)]
    unsafe fn add(
        &self,
        lists: *mut *mut bindings::scatterlist,
        readable: u32,
        writable: u32,
        data: NonNull<c_void>,
        kick: Kick,
    ) -> core::result::Result<(), Refusal> {
        let mut ring = self.ring.lock();
        if ring.vq.is_null() {
            return Err(Refusal::Broken);
        }
        // SAFETY: The queue is valid by the type invariant, and we have its lock. The rest is by
        // the safety requirement.
        let result = unsafe {
            bindings::virtqueue_add_sgs(
                ring.vq,
                lists,
                readable,
                writable,
                data.as_ptr(),
                bindings::GFP_ATOMIC,
            )
        };
        if result == EIO.to_errno() {
            return Err(Refusal::Broken);
        }
        if result != 0 {
            ring.counts.busy = ring.counts.busy.wrapping_add(1);
            return Err(Refusal::Full);
        }
        ring.counts.submitted = ring.counts.submitted.wrapping_add(1);
        if kick == Kick::Now {
            Self::notify(ring);
        }
        Ok(())
    }

    #[inline(never)]
    fn kick(&self) {
        Self::notify(self.ring.lock());
    }

    /// Decides under the lock whether the device is to be notified, and does so outside of it,
    /// because a notification may take as long as the device likes.
    #[inline]
    fn notify(mut ring: RingGuard<'_>) {
        let vq = ring.vq;
        // SAFETY: Valid when not null, by the type invariant.
        let needed = !vq.is_null() && unsafe { bindings::virtqueue_kick_prepare(vq) };
        if !needed {
            return;
        }
        ring.counts.kicks = ring.counts.kicks.wrapping_add(1);
        let preemption = preemption::disable();
        drop(ring);
        // SAFETY: `vq` was valid under the lock. Preemption was disabled before the lock was
        // released, and a grace period does not end in that time, so `vq` stays valid by the type
        // invariant of `Ring`.
        unsafe { bindings::virtqueue_notify(vq) };
        drop(preemption);
    }

    #[inline(never)]
    pub(super) fn is_broken(&self) -> bool {
        let ring = self.ring.lock();
        // SAFETY: Valid when not null, by the type invariant.
        ring.vq.is_null() || unsafe { bindings::virtqueue_is_broken(ring.vq) }
    }

    #[inline(never)]
    fn counts(&self) -> Counts {
        self.ring.lock().counts
    }

    #[inline(never)]
    fn size(&self) -> u32 {
        let ring = self.ring.lock();
        if ring.vq.is_null() {
            return 0;
        }
        // SAFETY: Valid when not null, by the type invariant.
        unsafe { bindings::virtqueue_get_vring_size(ring.vq) }
    }

    /// Connects the queue: for the first time, or again after `revoke`.
    ///
    /// # Safety
    ///
    /// `vq` must be valid until an RCU grace period after `revoke`, and empty.
    pub(super) unsafe fn attach(&self, vq: *mut bindings::virtqueue) {
        // INVARIANT: By the safety requirement; an empty queue has no wrong tokens.
        self.ring.lock().vq = vq;
    }

    /// Disconnects the queue, and drops what is in it.
    ///
    /// # Safety
    ///
    /// The device must have been reset since it was last told of a request.
    pub(super) unsafe fn revoke(&self) {
        let mut ring = self.ring.lock();
        let vq = core::mem::replace(&mut ring.vq, ptr::null_mut());
        if vq.is_null() {
            return;
        }
        loop {
            // SAFETY: The queue is valid by the type invariant, we have its lock, and the device
            // no longer uses it by the safety requirement.
            let data = unsafe { bindings::virtqueue_detach_unused_buf(vq) };
            let Some(data) = NonNull::new(data) else {
                return;
            };
            ring.counts.completed = ring.counts.completed.wrapping_add(1);
            // SAFETY: As in `Ring::pop`: `discard` is that of the queue's type of tokens.
            unsafe { (self.discard)(data) };
        }
    }
}

impl Ring {
    /// # Safety
    ///
    /// `vq` must be that of the ring, and not null.
    #[inline]
    unsafe fn pop<T: Token>(&mut self, vq: *mut bindings::virtqueue) -> Option<(T, u32)> {
        let mut used_len = 0;
        // SAFETY: The queue is valid by the type invariant, and we have its lock.
        let data = unsafe { bindings::virtqueue_get_buf(vq, &mut used_len) };
        let data = NonNull::new(data)?;
        self.counts.completed = self.counts.completed.wrapping_add(1);
        // SAFETY: The vring core returns what `add` gave it, of type `T` by the invariant of the
        // queue, each only once. The device has no more use for it.
        Some((unsafe { T::from_raw(data) }, used_len))
    }
}
