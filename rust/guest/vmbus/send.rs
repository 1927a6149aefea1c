// SPDX-License-Identifier: GPL-2.0

//! Packets that go out.

use super::{
    list::{
        is_rescinded,
        RawChannel, //
    },
    ring,
    Channels,
    Handler,
    PageList, //
};
use crate::{
    bindings,
    preemption, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// What goes with a packet.
pub enum Payload<'a, 'b> {
    /// Nothing: all of it is in the packet.
    InBand,
    /// Memory of the guest, which the host reads or writes.
    Pages(&'a mut PageList<'b>),
}

/// Why a packet was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room now.
    Full,
    /// The channels are closed, or the host has taken the device away.
    Gone,
    /// The bus says that something is wrong, with this error.
    Broken(Error),
}

/// A request that was not sent.
pub struct Refused<T> {
    /// The request.
    pub request: T,
    /// Why.
    pub reason: Refusal,
}

impl<H: Handler> Channels<H> {
    /// Sends a packet, for which the host owes an answer, on the channel of this CPU.
    ///
    /// If that has no more than `low_water` percent of its ring free, another one is used that has.
    /// In any context.
    ///
    /// # Errors
    ///
    /// The request, with the [`Refusal`].
    #[inline(always)] // One place sends, on the way of each request.
    pub fn send(
        &self,
        request: H::Request,
        payload: Payload<'_, '_>,
        packet: &[u8],
        low_water: u32,
    ) -> core::result::Result<(), Refused<H::Request>> {
        let refused = |request, reason| Err(Refused { request, reason });
        let Some(requests) = self.requests() else {
            return refused(request, Refusal::Gone);
        };
        let id = match requests.put(request) {
            Ok(id) => id,
            Err(request) => return refused(request, Refusal::Broken(EINVAL)),
        };
        let (preemption, cpu) = preemption::disable_on_cpu();
        let channel = self.pick(cpu as usize, low_water);
        let result = if channel.is_null() || self.is_broken() {
            Err(ENODEV)
        } else {
            // SAFETY: By the invariant of `Routes`, as preemption was off before the channel was
            // looked up, and no grace period ends in that time.
            unsafe { send_on(channel, id, payload, packet) }
        };
        drop(preemption);
        let Err(error) = result else {
            return Ok(());
        };
        let reason = match error {
            EAGAIN => Refusal::Full,
            ENODEV => Refusal::Gone,
            other => Refusal::Broken(other),
        };
        match requests.take(id) {
            Some(request) => refused(request, reason),
            // It was answered, or given up when the channels were closed.
            None => Ok(()),
        }
    }

    /// Sends a packet of the driver's own on the first channel. The highest bit of `id` must be
    /// set; [`Handler::received`] gets the answer with it. In any context.
    ///
    /// # Errors
    ///
    /// `EINVAL` for other ids, `EAGAIN` if there is no room now, `ENODEV` if there is no channel,
    /// or what the bus says.
    pub fn send_own(&self, id: u64, packet: &[u8]) -> Result {
        if id >> 63 == 0 {
            return Err(EINVAL);
        }
        let _preemption = preemption::disable();
        let channel = self.routes().first();
        if channel.is_null() || self.is_broken() {
            return Err(ENODEV);
        }
        // SAFETY: As in `send`.
        unsafe { send_on(channel, id, Payload::InBand, packet) }
    }

    /// The channel for a request of this CPU, or null. Preemption must be off.
    #[inline]
    fn pick(&self, cpu: usize, low_water: u32) -> RawChannel {
        let channel = self.routes().of(cpu);
        // SAFETY: By the invariant of `Routes`.
        if channel.is_null() || unsafe { has_room(channel, low_water) } {
            return channel;
        }
        self.pick_other(cpu, channel, low_water)
    }

    /// The channel for a request if that of the CPU is not good.
    #[cold]
    #[inline(never)]
    fn pick_other(&self, cpu: usize, own: RawChannel, low_water: u32) -> RawChannel {
        // SAFETY: By the invariant of `Routes`; it is not null.
        if unsafe { ring::free(own) }.is_none() {
            // SAFETY: As above.
            unsafe { self.give_up(own) };
            return own;
        }
        let routes = self.routes();
        let is_good = |channel| {
            // SAFETY: By the invariant of `Routes`; those that are looked at are not null.
            unsafe { has_room(channel, low_water) }
        };
        if let Some(other) = routes.find_other(cpu, is_good) {
            return other;
        }
        // SAFETY: By the invariant of `Routes`; it is not null.
        if unsafe { is_rescinded(own) } {
            return routes.first();
        }
        own
    }
}

/// Whether a channel is of use, and has more than that much of its ring free.
///
/// # Safety
///
/// `channel` must be open.
#[inline]
unsafe fn has_room(channel: RawChannel, percent: u32) -> bool {
    // SAFETY: By the safety requirement.
    let Some((free, whole)) = (unsafe { ring::free(channel) }) else {
        return false;
    };
    let is_enough =
        u64::from(free).wrapping_mul(100) > u64::from(whole).wrapping_mul(percent.into());
    // SAFETY: By the safety requirement.
    is_enough && !unsafe { is_rescinded(channel) }
}

/// Sends a packet on a channel.
///
/// # Safety
///
/// `channel` must be open.
#[inline(always)] // As for `Channels::send`.
unsafe fn send_on(channel: RawChannel, id: u64, payload: Payload<'_, '_>, packet: &[u8]) -> Result {
    // The bus copies all of it into the ring; it only reads the packet.
    let (bytes, len) = (packet.as_ptr().cast_mut().cast(), packet.len() as u32);
    // SAFETY: By the safety requirement. The lengths are those of the memory; that of a list has
    // room for what the bus writes into its header.
    let status = unsafe {
        match payload {
            Payload::InBand => bindings::vmbus_sendpacket(
                channel,
                bytes,
                len,
                id,
                bindings::vmbus_packet_type_VM_PKT_DATA_INBAND,
                bindings::VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED,
            ),
            Payload::Pages(list) => {
                let (list, list_len) = list.as_raw();
                bindings::vmbus_sendpacket_mpb_desc(channel, list, list_len, bytes, len, id)
            }
        }
    };
    // The call of the other is for errors only.
    if status == 0 {
        return Ok(());
    }
    to_result(status)
}
