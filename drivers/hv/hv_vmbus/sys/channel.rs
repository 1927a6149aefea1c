// SPDX-License-Identifier: GPL-2.0

//! What the core reads and writes of a channel.
//!
//! Fields belong to somebody: those of the offer are written when the channel is made (and after a
//! hibernation), the callback under `sched_lock`, the state and the processor under the lock of
//! the table of channels. Others read them with single accesses.

use super::{
    bindings,
    lock::{
        init_mutex,
        init_spinlock, //
    },
    trace,
    Channel,
    Device, //
};
use core::{
    mem::offset_of,
    ptr, //
};
use guest::hyperv::hypercall;
use kernel::{
    prelude::*,
    static_lock_class,
    time::Msecs, //
};
use protocol::vmbus::message::{
    body::DEDICATED_INTERRUPT,
    Offer, //
};

/// Bytes of a message before its body.
const HEADER: usize = 8;

/// Where a channel stands (`enum vmbus_channel_state`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Known, and not yet given to a driver.
    Offered,
    /// Being opened.
    Opening,
    /// A driver may open it.
    Closed,
    /// A driver has opened it.
    Opened,
}

impl State {
    const fn raw(self) -> bindings::vmbus_channel_state {
        match self {
            Self::Offered => bindings::vmbus_channel_state_CHANNEL_OFFER_STATE,
            Self::Opening => bindings::vmbus_channel_state_CHANNEL_OPENING_STATE,
            Self::Closed => bindings::vmbus_channel_state_CHANNEL_OPEN_STATE,
            Self::Opened => bindings::vmbus_channel_state_CHANNEL_OPENED_STATE,
        }
    }
}

impl Channel {
    /// Makes a channel of an offer.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn alloc(offer: &Offer) -> Result<Self> {
        let memory = KBox::<bindings::vmbus_channel>::init(pin_init::init_zeroed(), GFP_KERNEL)?;
        // INVARIANT: The kobject keeps it from here on.
        let channel = Self(ptr::NonNull::from(KBox::leak(memory)));
        // SAFETY: The memory is ours, and zeros; it does not move any more.
        unsafe { channel.init() };
        crate::device::directory::init(channel);
        channel.set_offer(offer);
        Ok(channel)
    }

    /// # Safety
    ///
    /// The channel must be zeros, and nobody else's.
    unsafe fn init(self) {
        let raw = self.as_raw();
        // SAFETY: By the safety requirement.
        unsafe {
            init_spinlock(
                &raw mut (*raw).sched_lock,
                c"vmbus_channel::sched_lock",
                static_lock_class!(),
            );
            for ring in [&raw mut (*raw).inbound, &raw mut (*raw).outbound] {
                init_mutex(
                    &raw mut (*ring).ring_buffer_mutex,
                    c"vmbus_channel::ring_buffer_mutex",
                    static_lock_class!(),
                );
                init_spinlock(
                    &raw mut (*ring).ring_lock,
                    c"vmbus_channel::ring_lock",
                    static_lock_class!(),
                );
            }
            bindings::init_completion(&raw mut (*raw).rescind_event);
            bindings::INIT_LIST_HEAD(&raw mut (*raw).sc_list);
            bindings::INIT_LIST_HEAD(&raw mut (*raw).listentry);
            bindings::tasklet_init(
                &raw mut (*raw).callback_event,
                Some(super::interrupt::on_channel_tasklet),
                raw as usize,
            );
        }
    }

    /// The offer, as the host has made it.
    pub(crate) fn offer(self) -> Offer {
        // SAFETY: The field is a whole message: a header and an offer, which has no alignment.
        unsafe {
            let body = (&raw const (*self.as_raw()).offermsg)
                .cast::<u8>()
                .add(HEADER);
            ptr::read_unaligned(body.cast::<Offer>())
        }
    }

    /// Writes the offer, and what follows from it.
    pub(crate) fn set_offer(self, offer: &Offer) {
        let raw = self.as_raw();
        let (class, monitor) = (super::statics::class_number(offer), offer.monitor_id);
        let dedicated = offer.dedicated_interrupt.get() & DEDICATED_INTERRUPT != 0;
        // SAFETY: As in `offer`. Nobody uses the channel while its offer changes.
        unsafe {
            let message = (&raw mut (*raw).offermsg).cast::<u8>();
            ptr::write_bytes(message, 0, HEADER);
            message.write(1);
            ptr::write_unaligned(message.add(HEADER).cast::<Offer>(), *offer);
            (*raw).sig_event = u64::from(offer.connection_id.get());
            (*raw).is_dedicated_interrupt = dedicated;
            (*raw).monitor_grp = monitor / 32;
            (*raw).monitor_bit = monitor % 32;
            (*raw).device_id = class;
        }
    }

    /// The number that messages call it by, now.
    #[inline]
    pub(crate) fn relid_now(self) -> u32 {
        // SAFETY: As in `offer`.
        unsafe {
            let message = (&raw const (*self.as_raw()).offermsg).cast::<u8>();
            ptr::read_unaligned(message.add(HEADER + offset_of!(Offer, relid)).cast::<u32>())
        }
    }

    /// Gives the channel another number.
    pub(crate) fn set_relid(self, relid: u32) {
        // SAFETY: As in `offer`.
        unsafe {
            let message = (&raw mut (*self.as_raw()).offermsg).cast::<u8>();
            let at = message.add(HEADER + offset_of!(Offer, relid));
            ptr::write_unaligned(at.cast::<u32>(), relid);
        }
    }

    /// Whether a signal goes by the monitor page.
    #[inline]
    fn is_signalled_by_monitor(self) -> bool {
        let raw = self.as_raw();
        // SAFETY: As in `offer`.
        unsafe {
            let message = (&raw const (*raw).offermsg).cast::<u8>();
            let bits = message.add(HEADER + offset_of!(Offer, monitor_allocated));
            *bits & 1 != 0
                && (*raw).monitor_grp < 4
                && !ptr::read_volatile(&raw const (*raw).low_latency)
        }
    }

    /// Tells the host that there is something to look at.
    #[inline]
    pub(crate) fn signal(self) {
        let raw = self.as_raw();
        trace::signalled(self);
        if self.is_signalled_by_monitor() {
            super::statics::CONNECTION.raise_bit(self.relid_now());
            // SAFETY: Fields of a valid channel that do not change while it is open.
            let (group, bit) = unsafe { ((*raw).monitor_grp, (*raw).monitor_bit) };
            super::statics::CONNECTION.trigger(group, bit);
        } else {
            self.signal_event();
        }
    }

    /// Tells the host, not by a monitor page.
    #[inline]
    pub(crate) fn signal_event(self) {
        let raw = self.as_raw();
        // SAFETY: A valid channel; the counter is only for reading, and may miss one, as in C.
        let connection = unsafe {
            if !(*raw).is_dedicated_interrupt {
                super::statics::CONNECTION.raise_bit(self.relid_now());
            }
            let count = &raw mut (*raw).sig_events;
            count.write_volatile(count.read_volatile().wrapping_add(1));
            (*raw).sig_event
        };
        hypercall::signal_event(connection);
    }

    /// Where it stands.
    pub(crate) fn is(self, state: State) -> bool {
        // SAFETY: A valid channel.
        unsafe { ptr::read_volatile(&raw const (*self.as_raw()).state) == state.raw() }
    }

    pub(crate) fn set_state(self, state: State) {
        // SAFETY: A valid channel; who writes has the lock, or the channel to himself.
        unsafe { ptr::write_volatile(&raw mut (*self.as_raw()).state, state.raw()) };
    }

    /// Whether the host has taken it away, and nothing comes out of it any more.
    #[inline]
    pub(crate) fn is_rescinded(self) -> bool {
        // SAFETY: A valid channel.
        unsafe { ptr::read_volatile(&raw const (*self.as_raw()).rescind) }
    }

    pub(crate) fn set_rescinded(self) {
        // SAFETY: A valid channel.
        unsafe { ptr::write_volatile(&raw mut (*self.as_raw()).rescind, true) };
    }

    /// Claims the rescind. Says whether nobody had before. The table must be locked.
    pub(crate) fn claim_rescind(self) -> bool {
        // SAFETY: A valid channel, and the lock is the caller's.
        unsafe { !core::mem::replace(&mut (*self.as_raw()).rescind_ref, true) }
    }

    /// Whether somebody has. The table must be locked.
    pub(crate) fn is_rescind_claimed(self) -> bool {
        // SAFETY: A valid channel, and the lock is the caller's.
        unsafe { (*self.as_raw()).rescind_ref }
    }

    /// The handling of a rescind has come to its end.
    pub(crate) fn rescind_done(self) {
        // SAFETY: Initialised when the channel was made.
        unsafe { bindings::complete_all(&raw mut (*self.as_raw()).rescind_event) };
    }

    /// Whether it has, and the channel is its driver's to give up.
    pub(crate) fn is_rescind_done(self) -> bool {
        // SAFETY: Initialised when the channel was made.
        unsafe { bindings::completion_done(&raw mut (*self.as_raw()).rescind_event) }
    }

    /// Waits for that.
    pub(crate) fn wait_rescind(self, limit_ms: Msecs) -> bool {
        let jiffies = kernel::time::msecs_to_jiffies(limit_ms);
        // SAFETY: Initialised when the channel was made.
        unsafe {
            bindings::wait_for_completion_timeout(&raw mut (*self.as_raw()).rescind_event, jiffies)
                != 0
        }
    }

    /// Whether its driver has had it offered, and has decided.
    pub(crate) fn is_probed(self) -> bool {
        // SAFETY: A valid channel.
        unsafe { ptr::read_volatile(&raw const (*self.as_raw()).probe_done) }
    }

    pub(crate) fn set_probed(self) {
        // SAFETY: A valid channel.
        unsafe { ptr::write_volatile(&raw mut (*self.as_raw()).probe_done, true) };
    }

    /// The processor that is interrupted for it.
    #[inline]
    pub(crate) fn cpu(self) -> u32 {
        // SAFETY: A valid channel.
        unsafe { ptr::read_volatile(&raw const (*self.as_raw()).target_cpu) }
    }

    pub(crate) fn set_cpu(self, cpu: u32) {
        // SAFETY: A valid channel; who writes has the lock.
        unsafe { ptr::write_volatile(&raw mut (*self.as_raw()).target_cpu, cpu) };
    }

    /// Tells its driver that another processor is interrupted now.
    pub(crate) fn cpu_changed(self, from: u32, to: u32) {
        // SAFETY: A valid channel that is open; the driver has set this.
        unsafe {
            if let Some(changed) = (*self.as_raw()).change_target_cpu_callback {
                changed(self.as_raw(), from, to);
            }
        }
    }

    /// The first channel of its device, if it is not that itself. It is there as long as this one.
    pub(crate) fn primary(self) -> Option<Self> {
        // SAFETY: A valid channel, which has a reference on the first one since `set_primary` and
        // until its own memory goes (`directory`).
        unsafe { Self::from_raw((*self.as_raw()).primary_channel) }
    }

    /// Makes it a sub-channel, once.
    pub(crate) fn set_primary(self, primary: Self) {
        // SAFETY: A valid channel that nobody else knows yet.
        unsafe { (*self.as_raw()).primary_channel = primary.hold().into_raw() };
    }

    /// Its device: only a first channel has one. It is there as long as the table is locked, or a
    /// reference keeps it ([`Channel::hold_device`]).
    pub(crate) fn device(self) -> Option<Device> {
        // SAFETY: A valid channel, and so is what it points to.
        unsafe { Device::from_raw(ptr::read_volatile(&raw const (*self.as_raw()).device_obj)) }
    }

    /// The table must be locked.
    pub(crate) fn set_device(self, device: Option<Device>) {
        let device = device.map_or(ptr::null_mut(), Device::as_raw);
        // SAFETY: A valid channel.
        unsafe { ptr::write_volatile(&raw mut (*self.as_raw()).device_obj, device) };
    }

    /// Whether its rings, and what its packets name, stay encrypted.
    pub(crate) fn set_confidential(self, ring: bool, memory: bool) {
        // SAFETY: A valid channel that nobody else knows yet.
        unsafe {
            (*self.as_raw()).co_ring_buffer = ring;
            (*self.as_raw()).co_external_memory = memory;
        }
    }

    /// Gives a sub-channel to the driver of its device, if that has asked for it.
    pub(crate) fn offer_to_driver(self, primary: Self) {
        // SAFETY: Both are valid; the callback may sleep, as we may.
        unsafe {
            let callback = ptr::read_volatile(&raw const (*primary.as_raw()).sc_creation_callback);
            if let Some(callback) = callback {
                callback(self.as_raw());
            }
        }
    }

    /// Lets the driver's own callback handle a rescind. Says whether there is one.
    pub(crate) fn rescind_to_driver(self) -> bool {
        // SAFETY: A valid channel.
        unsafe {
            let callback = ptr::read_volatile(&raw const (*self.as_raw()).chn_rescind_callback);
            if let Some(callback) = callback {
                callback(self.as_raw());
            }
            callback.is_some()
        }
    }

    /// No callback runs from here on, or is running: takes it from the channel. Sleeps.
    pub(crate) fn silence(self) {
        let raw = self.as_raw();
        // SAFETY: A valid channel. The tasklet is kept from running, so only the interrupt
        // handler uses the callback, which has the lock when it does.
        unsafe {
            bindings::tasklet_disable(&raw mut (*raw).callback_event);
            let flags = bindings::spin_lock_irqsave(&raw mut (*raw).sched_lock);
            ptr::write_volatile(&raw mut (*raw).onchannel_callback, None);
            bindings::spin_unlock_irqrestore(&raw mut (*raw).sched_lock, flags);
            bindings::tasklet_enable(&raw mut (*raw).callback_event);
        }
        self.refuse_subs();
    }

    /// Its driver is given no more sub-channels.
    pub(crate) fn refuse_subs(self) {
        // SAFETY: A valid channel.
        unsafe { ptr::write_volatile(&raw mut (*self.as_raw()).sc_creation_callback, None) };
    }

    /// Whether ring and memory stay encrypted.
    pub(crate) fn confidential(self) -> (bool, bool) {
        // SAFETY: A valid channel; nobody writes these any more.
        unsafe {
            (
                (*self.as_raw()).co_ring_buffer,
                (*self.as_raw()).co_external_memory,
            )
        }
    }

    /// Gives up the channel: no table has it any more. Sleeps.
    pub(crate) fn release(self) {
        // SAFETY: Nothing schedules the tasklet of a channel that is not in the map, but for an
        // interrupt handler that runs now, for which the kobject's release waits.
        unsafe { bindings::tasklet_kill(&raw mut (*self.as_raw()).callback_event) };
        crate::device::directory::remove_and_put(self);
    }
}
