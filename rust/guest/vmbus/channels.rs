// SPDX-License-Identifier: GPL-2.0

//! The channels of a device: how they come, and how they go.

use super::{
    incoming::on_event,
    list::{
        is_rescinded,
        List,
        RawChannel,
        Routes, //
    },
    requests::Requests,
    ring,
    Device,
    Handler, //
};
use crate::{
    bindings,
    lock::SpinLockIrqSave,
    preemption,
    word::Word, //
};
use core::{
    mem::replace,
    ptr, //
};
use kernel::{
    c_str,
    device::{
        self,
        Core, //
    },
    error::to_result,
    new_mutex,
    prelude::*,
    static_lock_class,
    sync::{
        rcu,
        Arc,
        ArcBorrow,
        Mutex, //
    },
    time::{
        delay::fsleep,
        msecs_to_jiffies,
        Delta, //
    }, //
};

/// How often packets are taken at once from a channel that the host has taken away.
const LAST_TURNS: u32 = 100;

/// How often a device that the host has taken away is looked at for answers, and how long it is left
/// alone after each time.
const LAST_LOOKS: u32 = 100;
const BETWEEN_LOOKS: Delta = Delta::from_millis(10);

/// How channels are opened.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Bytes of each of the two rings of a channel, with their header: a multiple of a page.
    pub ring_size: u32,
    /// Most bytes of a packet that comes in, with its header.
    pub max_packet: u32,
    /// What the host is told when a channel is opened: 120 bytes at most.
    pub user_data: &'static [u8],
}

impl Plan {
    const NONE: Self = Self {
        ring_size: 0,
        max_packet: 0,
        user_data: &[],
    };
}

/// How long one channel may keep a CPU from others.
const BUDGET_MS: u32 = 2;

/// The channels of one device, from the probe of its driver until it is unbound.
///
/// # Invariants
///
/// - `requests` is null, or a box as a raw pointer, which is ours until this is dropped.
/// - `handler` is null, or an `Arc` as a raw pointer, until the channels are closed for good.
/// - Open channels have this as their state, and `on_event` as their callback.
#[pin_data(PinnedDrop)]
pub struct Channels<H: Handler> {
    #[pin]
    state: Mutex<State>,
    /// Whether the channels are being closed, so that no sub-channel is worth waiting for.
    closing: Word,
    /// Whether the host has broken a ring.
    broken: Word,
    #[pin]
    list: SpinLockIrqSave<List>,
    routes: Routes,
    requests: Word<*mut Requests<H::Request>>,
    handler: Word<*mut H>,
    /// How long one channel may keep a CPU from others, in jiffies.
    budget: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Open,
    Suspended,
    Stopped,
}

/// # Invariants
///
/// `device` is null once driver and device are no longer bound, and valid before.
struct State {
    device: *mut bindings::hv_device,
    plan: Plan,
    phase: Phase,
}

// SAFETY: The pointer is used under a lock, from any thread.
unsafe impl Send for State {}

impl State {
    /// The first channel, which is there as long as the device.
    fn first(&self) -> Result<RawChannel> {
        if self.device.is_null() {
            return Err(ENODEV);
        }
        // SAFETY: The device is valid by the type invariant.
        Ok(unsafe { (*self.device).channel })
    }
}

impl<H: Handler> Channels<H> {
    pub(super) fn new(dev: &Device<Core<'_>>) -> Result<Arc<Self>> {
        let (list, routes) = (List::new()?, Routes::new()?);
        let state = State {
            device: dev.as_raw(),
            plan: Plan::NONE,
            phase: Phase::New,
        };
        Arc::pin_init(
            pin_init!(Self {
                // INVARIANT: A driver that is being probed is bound.
                state <- new_mutex!(state, "guest::vmbus::Channels::state"),
                closing: Word::new(0),
                broken: Word::new(0),
                list <- SpinLockIrqSave::new(
                    list,
                    c_str!("guest::vmbus::Channels::list"),
                    static_lock_class!()
                ),
                routes,
                requests: Word::null(),
                handler: Word::null(),
                budget: msecs_to_jiffies(BUDGET_MS),
            }),
            GFP_KERNEL,
        )
    }

    /// Opens the first channel, with room for so many requests. Its packets go to `handler`.
    /// Only once. Sleeps.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it is not the first time, `ENODEV` if the device is unbound or was taken away,
    /// `ENOMEM`, or what the bus says.
    pub fn open(&self, handler: Arc<H>, plan: Plan, requests: usize) -> Result {
        let mut state = self.state.lock();
        if state.phase != Phase::New {
            return Err(EBUSY);
        }
        let requests = KBox::new(Requests::new(requests)?, GFP_KERNEL)?;
        // INVARIANT: A box and an `Arc`; both were null, as this is the first time.
        self.requests.store_release(KBox::into_raw(requests));
        self.handler
            .store_release(Arc::into_raw(handler).cast_mut());
        state.plan = plan;
        state.phase = Phase::Stopped;
        self.open_first(&mut state)
    }

    fn open_first(&self, state: &mut State) -> Result {
        let channel = state.first()?;
        // The rings are new ones.
        self.broken.store_release(0);
        // SAFETY: The first channel is valid, closed, and is closed before this is dropped.
        unsafe { self.open_one(channel, state.plan) }?;
        // SAFETY: Just opened; `close` clears the list first.
        unsafe { self.list.lock().push(channel, &self.routes) };
        state.phase = Phase::Open;
        Ok(())
    }

    /// Opens a channel.
    ///
    /// # Safety
    ///
    /// `channel` must be valid and not open, and be closed before this is dropped.
    unsafe fn open_one(&self, channel: RawChannel, plan: Plan) -> Result {
        // SAFETY: Valid by the safety requirement, and these fields of a closed channel are its
        // driver's. The user data is only read.
        // INVARIANT: The state and the callback are those for open channels.
        let result = to_result(unsafe {
            (*channel).per_channel_state = ptr::from_ref(self).cast_mut().cast();
            (*channel).change_target_cpu_callback = Some(on_target_cpu::<H>);
            (*channel).max_pkt_size = plan.max_packet;
            // Ids are ours: the bus sends them as they are.
            (*channel).next_request_id_callback = None;
            (*channel).request_addr_callback = None;
            (*channel).rqstor_size = 0;
            // The bus frees what is here, and leaves the pointers when it has.
            ptr::write_bytes(&raw mut (*channel).requestor, 0, 1);
            bindings::vmbus_open(
                channel,
                plan.ring_size,
                plan.ring_size,
                plan.user_data.as_ptr().cast_mut().cast(),
                plan.user_data.len() as u32,
                Some(on_event::<H>),
                channel.cast(),
            )
        });
        // SAFETY: As above; it is closed.
        result.inspect_err(|_| unsafe { forget(channel) })
    }

    /// From here on sub-channels that the host offers are opened, and used. To be called before
    /// the host is asked for any.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the channels are not open.
    pub fn accept_sub_channels(&self) -> Result {
        let state = self.state.lock();
        let channel = state.first()?;
        if state.phase != Phase::Open {
            return Err(ENODEV);
        }
        // SAFETY: The first channel is valid, and open.
        unsafe {
            bindings::vmbus_set_sc_create_callback(channel, Some(on_sub_channel::<H>));
        }
        Ok(())
    }

    /// Opens a sub-channel, unless the channels are being closed.
    ///
    /// # Safety
    ///
    /// `channel` must be a new sub-channel of this device, which the bus keeps during the call.
    unsafe fn add(&self, channel: RawChannel) {
        let state = loop {
            // Who closes the channels waits, if this one was taken away, until the bus has seen to
            // that, and that waits for us: so this does not wait for him.
            if self.closing.load_acquire() != 0 {
                return;
            }
            match self.state.try_lock() {
                Some(state) => break state,
                None => fsleep(Delta::from_millis(1)),
            }
        };
        if state.phase != Phase::Open {
            return;
        }
        // SAFETY: By the safety requirement; they are open.
        if let Err(error) = unsafe { self.add_locked(channel, &state) } {
            let device = state.device;
            // SAFETY: The device is valid by the type invariant of `State`, while the channels are
            // open.
            let dev =
                unsafe { device::Device::<device::Normal>::from_raw(&raw mut (*device).device) };
            dev_err!(dev, "failed to open sub-channel: {}\n", error.to_errno());
        }
    }

    /// # Safety
    ///
    /// As for `add`, and the channels must be open.
    unsafe fn add_locked(&self, channel: RawChannel, state: &State) -> Result {
        if !self.list.lock().has_room() {
            return Err(ENOSPC);
        }
        // SAFETY: Valid by the safety requirement. The first channel is open and cannot be closed
        // under the lock; when it is, this one is closed with it.
        unsafe { self.open_one(channel, state.plan) }?;
        // SAFETY: Just opened; `close` clears the list first.
        unsafe { self.list.lock().push(channel, &self.routes) };
        Ok(())
    }

    /// Closes the channels for good. What the host has not answered is [lost](Handler::lost).
    /// Nothing can be sent any more. Sleeps.
    pub fn stop(&self) {
        self.close(Phase::Stopped);
    }

    /// Closes the channels, until [`Channels::resume`].
    pub(super) fn suspend(&self) {
        self.close(Phase::Suspended);
    }

    /// Opens the first channel again.
    ///
    /// # Errors
    ///
    /// `EIO` if the channels were closed for good, or what the bus says.
    pub(super) fn resume(&self) -> Result {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Suspended => self.open_first(&mut state),
            Phase::New | Phase::Open => Ok(()),
            Phase::Stopped => Err(EIO),
        }
    }

    #[inline(never)]
    fn close(&self, next: Phase) {
        self.closing.store_release(1);
        let mut state = self.state.lock();
        let was_open = replace(&mut state.phase, next) == Phase::Open;
        if let (true, Ok(channel)) = (was_open, state.first()) {
            // SAFETY: The first channel is open, and we have the lock.
            unsafe { self.close_open(channel) };
        }
        self.closing.store_release(0);
    }

    /// # Safety
    ///
    /// `first` must be the first channel, and open, and the caller have the lock of the state.
    unsafe fn close_open(&self, first: RawChannel) {
        self.take_last_packets();
        self.list.lock().clear(&self.routes);
        // Who has found a channel may still be sending.
        rcu::synchronize_rcu();
        // SAFETY: Open by the safety requirement. This closes the sub-channels as well, and waits
        // until no callback runs any more. The state is then nobody's.
        unsafe {
            bindings::vmbus_close(first);
            ring::restore(first);
            forget(first);
        }
        if let (Some(requests), Some(handler)) = (self.requests(), self.handler()) {
            requests.drain(|request| handler.lost(request));
        }
    }

    /// Takes what the host has answered on channels that it has taken away, for which the bus calls
    /// nobody.
    ///
    /// A host has done with the memory of a command when it answers, and only then for certain: so
    /// it is given a second. One that goes on for ever is not waited for.
    fn take_last_packets(&self) {
        let at = |at: usize| self.list.lock().get(at);
        for _ in 0..LAST_LOOKS {
            for channel in (0..).map_while(at) {
                // SAFETY: It is open, as it is in the list, which nobody changes without the lock of
                // the state. The bus takes no packets from one that is taken away: it has seen to
                // that before it has said so.
                let more = || unsafe { is_rescinded(channel) && self.take_packets(channel) };
                let _ = (0..LAST_TURNS).all(|_| more());
            }
            if !self.has_lost_channels() || self.is_broken() || self.in_flight() == 0 {
                return;
            }
            fsleep(BETWEEN_LOOKS);
        }
    }

    /// Closes the channels and gives up the handler.
    ///
    /// # Safety
    ///
    /// Driver and device must be about to be unbound.
    pub(super) unsafe fn teardown(&self) {
        self.stop();
        // INVARIANT: No longer bound from here on.
        self.state.lock().device = ptr::null_mut();
        // `on_sub_channel` may just have found us by the first channel.
        rcu::synchronize_rcu();
        let handler = self.handler.load_acquire();
        self.handler.store_release(ptr::null_mut());
        if !handler.is_null() {
            // SAFETY: By the type invariant. The channels are closed, so nobody uses it.
            drop(unsafe { Arc::from_raw(handler.cast_const()) });
        }
    }

    /// Whether the host has taken the device away. In any context.
    pub fn is_rescinded(&self) -> bool {
        let _preemption = preemption::disable();
        let channel = self.routes.first();
        // SAFETY: By the invariant of `Routes`, as preemption is off.
        !channel.is_null() && unsafe { is_rescinded(channel) }
    }

    /// Whether the host has broken a ring, so that the channels are of no use. In any context.
    #[inline]
    pub fn is_broken(&self) -> bool {
        self.broken.load_acquire() != 0
    }

    /// Notes that a ring is broken. Returns whether that is news, but two CPUs may both be told so.
    pub(super) fn set_broken(&self) -> bool {
        let is_news = !self.is_broken();
        self.broken.store_release(1);
        is_news
    }

    /// Whether the host has taken any channel away, so that what was sent on it does not come
    /// back. In any context.
    pub fn has_lost_channels(&self) -> bool {
        self.list.lock().has_rescinded()
    }

    /// How many requests the host has.
    pub fn in_flight(&self) -> usize {
        self.requests().map_or(0, |requests| requests.count())
    }

    #[inline]
    pub(super) fn budget(&self) -> usize {
        self.budget
    }

    #[inline]
    pub(super) fn routes(&self) -> &Routes {
        &self.routes
    }

    #[inline]
    pub(super) fn requests(&self) -> Option<&Requests<H::Request>> {
        // SAFETY: By the type invariant.
        unsafe { self.requests.load_acquire().as_ref() }
    }

    #[inline]
    pub(super) fn handler(&self) -> Option<ArcBorrow<'_, H>> {
        let handler = self.handler.load_acquire();
        if handler.is_null() {
            return None;
        }
        // SAFETY: By the type invariant; it is given up when nobody asks for it any more.
        Some(unsafe { ArcBorrow::from_raw(handler) })
    }
}

#[pinned_drop]
impl<H: Handler> PinnedDrop for Channels<H> {
    fn drop(self: Pin<&mut Self>) {
        let requests = self.requests.load_acquire();
        if !requests.is_null() {
            // SAFETY: By the type invariant.
            drop(unsafe { KBox::from_raw(requests) });
        }
    }
}

/// Takes what is ours out of a channel.
///
/// # Safety
///
/// `channel` must be valid, and closed.
unsafe fn forget(channel: RawChannel) {
    // SAFETY: By the safety requirement; these fields of a closed channel are its driver's.
    unsafe {
        (*channel).change_target_cpu_callback = None;
        ptr::write_volatile(&raw mut (*channel).per_channel_state, ptr::null_mut());
    }
}

/// Called by the bus, in a context that may sleep, for a sub-channel that the host offers.
extern "C" fn on_sub_channel<H: Handler>(channel: RawChannel) {
    let channels: Arc<Channels<H>> = {
        let _rcu = rcu::read_lock();
        // SAFETY: The bus calls with a valid sub-channel, which has a first one. The state of that
        // is `Channels`, or null before the grace period after which they are given up.
        unsafe {
            let first = (*channel).primary_channel;
            let state = ptr::read_volatile(&raw const (*first).per_channel_state);
            if state.is_null() {
                return;
            }
            ArcBorrow::from_raw(state.cast::<Channels<H>>()).into()
        }
    };
    // SAFETY: As above.
    unsafe { channels.add(channel) };
}

/// Called by the bus when another CPU is told of packets on an open channel.
extern "C" fn on_target_cpu<H: Handler>(channel: RawChannel, _old: u32, _new: u32) {
    // SAFETY: The bus calls with an open channel, which cannot be closed meanwhile. Its state is
    // `Channels`, which is there until it is closed.
    let channels = unsafe { (*channel).per_channel_state.cast::<Channels<H>>().as_ref() };
    if let Some(channels) = channels {
        channels.list.lock().route(&channels.routes);
    }
}
