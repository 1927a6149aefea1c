// SPDX-License-Identifier: GPL-2.0

//! Packets that come in.

use super::{
    list::RawChannel,
    ring::{
        self,
        Place, //
    },
    Channels,
    Request, //
};
use crate::bindings;
use core::{
    ptr,
    slice, //
};
use kernel::{
    prelude::*,
    sync::ArcBorrow, //
};

/// What takes the packets of a device.
///
/// All of it may be called on several CPUs at the same time, in the context of a tasklet, or,
/// while channels are closed, in one that may sleep.
pub trait Handler: Send + Sync + 'static {
    /// What the host is asked for.
    type Request: Request;

    /// The host has answered a request with `packet`, of which nothing was looked at.
    fn answered(self: ArcBorrow<'_, Self>, request: Self::Request, packet: &[u8]);

    /// Another packet came: by the host itself if `id` is 0, an answer to the driver's own if the
    /// highest bit is set, and else an answer to no request that it has.
    fn received(self: ArcBorrow<'_, Self>, id: u64, packet: &[u8]);

    /// The host has broken a ring: it says what cannot be. Nothing is taken from the channels any
    /// more, and nothing sent, so that they are to be closed.
    fn broken(self: ArcBorrow<'_, Self>) {}

    /// The channels are closed, and the host has not answered.
    fn lost(self: ArcBorrow<'_, Self>, request: Self::Request) {
        drop(request);
    }
}

/// Called by the bus when there are packets on a channel.
pub(super) extern "C" fn on_event<H: Handler>(context: *mut c_void) {
    let channel: RawChannel = context.cast();
    // SAFETY: The context is the channel, which is open during the call. The state is what
    // `Channels` has put there before it has opened the channel, and it is dropped after that was
    // closed.
    let channels = unsafe { &*(*channel).per_channel_state.cast::<Channels<H>>() };
    // SAFETY: As above, and the bus calls once at a time.
    unsafe { channels.take_packets(channel) };
}

impl<H: Handler> Channels<H> {
    /// Takes the packets that are on a channel, but no longer than the budget allows: the bus calls
    /// again if there are more. Returns whether there may be. A ring that is broken is left alone.
    ///
    /// # Safety
    ///
    /// `channel` must be open, and nobody else may take packets from it.
    pub(super) unsafe fn take_packets(&self, channel: RawChannel) -> bool {
        let Some(handler) = self.handler() else {
            return false;
        };
        if self.is_broken() {
            // Another one was, perhaps.
            // SAFETY: By the safety requirement.
            unsafe { ring::silence(channel) };
            return false;
        }
        let deadline = jiffies().wrapping_add(self.budget());
        // SAFETY: By the safety requirement.
        let (mut place, mut next) =
            unsafe { (Place::first(channel), bindings::hv_pkt_iter_first(channel)) };
        let mut is_right = true;
        // The difference is negative, as a signed number, until it is time.
        while !next.is_null() && (jiffies().wrapping_sub(deadline) as isize) <= 0 {
            // SAFETY: By the safety requirement; this is what the bus has copied last.
            is_right = unsafe { place.pass(channel, next) };
            if !is_right {
                break;
            }
            // SAFETY: The bus returns a packet in memory of its own, of the length that its header
            // says, which no one touches before the next is asked for.
            let (id, payload) = unsafe { parts(next) };
            match self.requests().and_then(|requests| requests.take(id)) {
                Some(request) => handler.answered(request, payload),
                None => handler.received(id, payload),
            }
            // SAFETY: As above; this is the packet that came last.
            next = unsafe { bindings::__hv_pkt_iter_next(channel, next) };
        }
        // SAFETY: By the safety requirement.
        unsafe {
            // Closing gives the host room, and leaves the place as it is.
            bindings::hv_pkt_iter_close(channel);
            is_right = is_right && place.is_here(channel);
            is_right = is_right && (!next.is_null() || ring::is_plausible(channel));
            if !is_right {
                self.give_up(channel);
            }
        }
        is_right && !next.is_null()
    }

    /// The ring of a channel is broken: all channels are of no use.
    ///
    /// # Safety
    ///
    /// `channel` must be open.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn give_up(&self, channel: RawChannel) {
        // SAFETY: By the safety requirement.
        unsafe { ring::silence(channel) };
        if self.set_broken() {
            if let Some(handler) = self.handler() {
                handler.broken();
            }
        }
    }
}

/// The id and the payload of a packet.
///
/// # Safety
///
/// `packet` must be valid for `'a`, with the bytes that its header counts.
#[inline]
unsafe fn parts<'a>(packet: *const bindings::vmpacket_descriptor) -> (u64, &'a [u8]) {
    // SAFETY: By the safety requirement.
    let (id, offset8, len8) = unsafe { ((*packet).trans_id, (*packet).offset8, (*packet).len8) };
    let (offset, len) = (usize::from(offset8) << 3, usize::from(len8) << 3);
    // SAFETY: By the safety requirement.
    let bytes = unsafe { slice::from_raw_parts(packet.cast::<u8>(), len) };
    (id, bytes.get(offset..).unwrap_or(&[]))
}

fn jiffies() -> usize {
    // SAFETY: It is there always, and others write it in one piece.
    unsafe { ptr::read_volatile(&raw const bindings::jiffies) }
}
