// SPDX-License-Identifier: GPL-2.0

//! What a host may have done to the rings of a channel.
//!
//! The bus reads no memory but that of the ring, whatever the host writes there; but it mends what
//! is wrong by guessing, and goes on with whatever then happens to be next, perhaps without end. A
//! ring of which anything was wrong is *broken*: nothing in it can be told apart from rubbish any
//! more, and nothing is taken out of it.

use super::list::RawChannel;
use crate::bindings;
use core::{
    mem::replace,
    ptr, //
};

/// Bytes behind each packet.
const TRAILER: u32 = 8;
/// Bytes of the shortest packet, which is no more than its header.
const HEADER: u32 = 16;
/// Where the header of a packet has its length.
const LEN8: usize = 4;

/// What a ring is, that a channel has two of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Indices {
    write: u32,
    read: u32,
    /// Bytes of data.
    size: u32,
}

impl Indices {
    /// Number of bytes that wait to be read, unless one of the two is impossible.
    #[inline]
    fn waiting(self) -> Option<u32> {
        let Self { write, read, size } = self;
        if write >= size || read >= size || (write | read) % TRAILER != 0 {
            return None;
        }
        Some(if write >= read {
            write.wrapping_sub(read)
        } else {
            size.wrapping_sub(read).wrapping_add(write)
        })
    }

    /// Where a packet ends whose header says that it has `in_ring` eights of bytes, and of which the
    /// bus has made one of `copied`, if it is there.
    #[inline]
    fn end_of_packet(self, in_ring: u16, copied: u16) -> Option<u32> {
        let len = u32::from(copied) << 3;
        let whole = len.wrapping_add(TRAILER);
        if in_ring != copied || len < HEADER || whole > self.waiting()? {
            return None;
        }
        // No more than waits, so that it goes round once at most.
        let end = self.read.wrapping_add(whole);
        Some(if end < self.size {
            end
        } else {
            end.wrapping_sub(self.size)
        })
    }

    /// Whether nothing is there, or what may be a packet.
    #[inline]
    fn is_plausible(self) -> bool {
        let is_packet = |waiting| waiting == 0 || waiting >= HEADER.wrapping_add(TRAILER);
        self.waiting().is_some_and(is_packet)
    }
}

/// The indices of the ring that a host writes.
///
/// # Safety
///
/// `channel` must be open, and nobody else may take packets from it.
#[inline]
unsafe fn inbound(channel: RawChannel) -> Indices {
    // SAFETY: The channel is open, so its ring is there, which begins with the index for writing.
    // The host may change that. The other two are the bus's, and change with packets that are taken.
    unsafe {
        let ring = &raw const (*channel).inbound;
        Indices {
            write: ptr::read_volatile((*ring).ring_buffer.cast::<u32>()),
            read: (*ring).priv_read_index,
            size: (*ring).ring_datasize,
        }
    }
}

/// Where the next packet has to begin. Where it begins elsewhere, the bus has left out what made no
/// sense to it, and with that perhaps an answer for which somebody waits.
pub(super) struct Place(u32);

impl Place {
    /// Where the first packet that is there has to begin.
    ///
    /// # Safety
    ///
    /// `channel` must be open, and nobody else may take packets from it.
    #[inline]
    pub(super) unsafe fn first(channel: RawChannel) -> Self {
        // SAFETY: By the safety requirement.
        Self(unsafe { (*channel).inbound.priv_read_index })
    }

    /// Whether a packet that the bus has just copied is the one that begins here. Goes on to where it
    /// ends.
    ///
    /// # Safety
    ///
    /// As for [`first`](Self::first), and `packet` must be what the bus has copied last.
    #[inline]
    pub(super) unsafe fn pass(
        &mut self,
        channel: RawChannel,
        packet: *const bindings::vmpacket_descriptor,
    ) -> bool {
        // SAFETY: By the safety requirement.
        let (indices, copied) = unsafe { (inbound(channel), (*packet).len8) };
        // SAFETY: The ring is as in `inbound`. Its data follows the first page, the index is below
        // its size, and both are multiples of 8, so that the field is within. The host may change it.
        let in_ring = unsafe {
            let data = (*channel).inbound.ring_buffer.add(1).cast::<u8>();
            let at = data.add(indices.read as usize).add(LEN8);
            ptr::read_volatile(at.cast::<u16>())
        };
        let Some(end) = indices.end_of_packet(in_ring, copied) else {
            return false;
        };
        replace(&mut self.0, end) == indices.read
    }

    /// Whether nothing was left out up to here, where no packet is taken for now.
    ///
    /// # Safety
    ///
    /// As for [`first`](Self::first).
    #[inline]
    pub(super) unsafe fn is_here(&self, channel: RawChannel) -> bool {
        // SAFETY: By the safety requirement.
        unsafe { (*channel).inbound.priv_read_index == self.0 }
    }
}

/// Whether a ring that the bus has found no packet in is right.
///
/// # Safety
///
/// `channel` must be open, and nobody else may take packets from it.
#[inline]
pub(super) unsafe fn is_plausible(channel: RawChannel) -> bool {
    // SAFETY: By the safety requirement.
    unsafe { inbound(channel) }.is_plausible()
}

/// How much of the ring to the host is free: bytes, and those of the whole ring. Nothing if the
/// host has broken it.
///
/// # Safety
///
/// `channel` must be open.
#[inline]
pub(super) unsafe fn free(channel: RawChannel) -> Option<(u32, u32)> {
    // SAFETY: The channel is open, so its ring is there, which begins with the two indices, the
    // one for writing first. The host may change the other.
    let (indices, whole) = unsafe {
        let ring = &raw const (*channel).outbound;
        let indices = (*ring).ring_buffer.cast::<u32>();
        let indices = Indices {
            write: ptr::read_volatile(indices),
            read: ptr::read_volatile(indices.add(1)),
            size: (*ring).ring_datasize,
        };
        (indices, (*ring).ring_size)
    };
    let waiting = indices.waiting()?;
    Some((indices.size.wrapping_sub(waiting), whole))
}

/// Has the bus call for a channel once for each signal of the host, of which there are none while
/// the bus believes to be reading. Otherwise it would call again and again as long as there is
/// anything in the ring.
///
/// # Safety
///
/// `channel` must be open.
pub(super) unsafe fn silence(channel: RawChannel) {
    // SAFETY: By the safety requirement. The bus reads the field in one piece.
    unsafe {
        let mode = bindings::vmbus_channel_hv_callback_mode_HV_CALL_DIRECT;
        ptr::write_volatile(&raw mut (*channel).callback_mode, mode);
    }
}

/// Has the bus call for a channel as it does for others.
///
/// # Safety
///
/// `channel` must be valid, and not open.
pub(super) unsafe fn restore(channel: RawChannel) {
    // SAFETY: By the safety requirement.
    unsafe {
        let mode = bindings::vmbus_channel_hv_callback_mode_HV_CALL_BATCHED;
        ptr::write_volatile(&raw mut (*channel).callback_mode, mode);
    }
}

#[cfg(guest_kunit)]
#[kernel::macros::kunit_tests(guest_vmbus_ring)]
mod tests {
    use super::*;

    const SIZE: u32 = 4096;

    fn indices(write: u32, read: u32) -> Indices {
        let size = SIZE;
        Indices { write, read, size }
    }

    #[test]
    fn indices_are_within_the_ring() {
        assert_eq!(indices(0, 0).waiting(), Some(0));
        assert_eq!(indices(88, 0).waiting(), Some(88));
        assert_eq!(indices(8, 4088).waiting(), Some(16));
        for bad in [4096, 4, 0xffff_fff8, u32::MAX] {
            assert_eq!(indices(bad, 0).waiting(), None);
            assert_eq!(indices(0, bad).waiting(), None);
        }
    }

    #[test]
    fn a_packet_is_as_long_as_it_says() {
        // 80 bytes, and 8 behind.
        assert_eq!(indices(88, 0).end_of_packet(10, 10), Some(88));
        assert_eq!(indices(0, 4008).end_of_packet(10, 10), Some(0));
        assert_eq!(indices(48, 4056).end_of_packet(10, 10), Some(48));
        // It was said to be longer than what there is, or something else than what was copied.
        assert_eq!(indices(88, 0).end_of_packet(11, 11), None);
        assert_eq!(indices(88, 0).end_of_packet(1000, 10), None);
        assert_eq!(indices(88, 0).end_of_packet(1, 1), None);
        assert_eq!(indices(0xffff_fff0, 0).end_of_packet(10, 10), None);
    }

    #[test]
    fn what_is_too_short_for_a_packet_is_none() {
        assert!(indices(0, 0).is_plausible());
        assert!(indices(24, 0).is_plausible());
        assert!(!indices(16, 0).is_plausible());
        assert!(!indices(4096, 0).is_plausible());
    }
}
