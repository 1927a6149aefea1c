// SPDX-License-Identifier: GPL-2.0

//! What the indices of a ring mean, and the first word of a packet.
//!
//! Nothing here touches memory. A ring is never full: if both indices are the same, it is empty.

use protocol::vmbus::ring::control::TRAILER_SIZE;

const DESCRIPTOR: u32 = 16;

/// The indices of a ring, as they were read, and the size of its data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Indices {
    pub(crate) read: u32,
    pub(crate) write: u32,
    pub(crate) size: u32,
}

impl Indices {
    #[inline]
    const fn are_possible(self) -> bool {
        self.read < self.size && self.write < self.size && (self.read | self.write) % 8 == 0
    }

    /// Bytes that are to be read, if the indices are possible.
    #[inline]
    pub(crate) const fn used(self) -> Option<u32> {
        if !self.are_possible() {
            return None;
        }
        Some(distance(self.read, self.write, self.size))
    }

    /// Whether there may be a packet to be read, if the indices are possible.
    #[inline]
    pub(crate) const fn has_packet(self) -> Option<bool> {
        match self.used() {
            Some(used) => Some(used >= DESCRIPTOR),
            None => None,
        }
    }

    /// Bytes that are free, of which the last may not be used, if the indices are possible.
    #[inline]
    pub(crate) const fn free(self) -> Option<u32> {
        match self.used() {
            Some(used) => Some(self.size.wrapping_sub(used)),
            None => None,
        }
    }

    /// The write index that many bytes on.
    #[inline]
    pub(crate) const fn after(self, bytes: u32) -> u32 {
        advance(self.write, bytes, self.size)
    }

    /// The read index that many bytes on.
    #[inline]
    pub(crate) const fn read_after(self, bytes: u32) -> u32 {
        advance(self.read, bytes, self.size)
    }

    /// Whether a host that waits for more room than `wanted` has it now that the read index is
    /// not `before` any more, and did not have it then.
    pub(crate) const fn host_waits(self, before: u32, wanted: u32) -> bool {
        let Some(free) = self.free() else {
            return false;
        };
        if before >= self.size {
            return false;
        }
        let gained = distance(before, self.read, self.size);
        free > wanted && free.saturating_sub(gained) <= wanted
    }
}

/// Both must be below the size.
#[inline]
const fn distance(from: u32, to: u32, size: u32) -> u32 {
    let distance = to.wrapping_sub(from);
    if to >= from {
        distance
    } else {
        distance.wrapping_add(size)
    }
}

#[inline]
const fn advance(index: u32, bytes: u32, size: u32) -> u32 {
    let sum = index.wrapping_add(bytes);
    if sum >= size {
        sum.wrapping_sub(size)
    } else {
        sum
    }
}

/// What is to be done with a packet, by its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// A packet of so many bytes, with its descriptor.
    Good { len: u32 },
    /// A whole packet, for which there is no room with us.
    TooLong { len: u32 },
    /// No packet: nobody knows where the next begins.
    Nonsense,
    /// The host has written an impossible index.
    BadIndex,
}

impl Judged {
    /// Judges the word (type, offset, length and flags, 16 bits each) of a packet of which
    /// `available` bytes are there, for a buffer of `room` bytes.
    #[inline]
    pub(crate) const fn new(available: u32, word: u64, room: u32) -> Self {
        let (offset, len) = (
            ((word >> 16) as u16 as u32) << 3,
            ((word >> 32) as u16 as u32) << 3,
        );
        let whole = len >= DESCRIPTOR && len + TRAILER_SIZE <= available;
        if !whole || offset < DESCRIPTOR || offset > len {
            Self::Nonsense
        } else if len > room {
            Self::TooLong { len }
        } else {
            Self::Good { len }
        }
    }
}

#[kernel::macros::kunit_tests(hv_vmbus_ring)]
mod tests {
    use super::*;

    const SIZE: u32 = 64;

    fn ring(read: u32, write: u32) -> Indices {
        Indices {
            read,
            write,
            size: SIZE,
        }
    }

    fn word(offset8: u64, len8: u64) -> u64 {
        6 | offset8 << 16 | len8 << 32
    }

    #[test]
    fn indices_say_how_much_there_is() {
        assert_eq!((ring(8, 8).used(), ring(8, 8).free()), (Some(0), Some(64)));
        assert_eq!(
            (ring(8, 24).used(), ring(8, 24).free()),
            (Some(16), Some(48))
        );
        assert_eq!(
            (ring(24, 8).used(), ring(24, 8).free()),
            (Some(48), Some(16))
        );
        assert_eq!((ring(0, 40).after(24), ring(48, 0).read_after(24)), (0, 8));
    }

    #[test]
    fn less_than_a_descriptor_is_no_packet() {
        assert_eq!(ring(8, 8).has_packet(), Some(false));
        assert_eq!(ring(56, 0).has_packet(), Some(false));
        assert_eq!(ring(56, 8).has_packet(), Some(true));
    }

    #[test]
    fn impossible_indices_are_found() {
        for indices in [ring(64, 0), ring(0, 64), ring(4, 0), ring(0, u32::MAX)] {
            assert_eq!(indices.used(), None);
            assert_eq!(indices.has_packet(), None);
            assert_eq!(indices.free(), None);
            assert!(!indices.host_waits(0, 1));
        }
        assert!(!ring(0, 8).host_waits(64, 1));
    }

    #[test]
    fn a_packet_is_judged_by_what_is_there() {
        let judge = |word| Judged::new(48, word, 32);
        assert_eq!(judge(word(2, 2)), Judged::Good { len: 16 });
        assert_eq!(judge(word(2, 4)), Judged::Good { len: 32 });
        assert_eq!(judge(word(2, 5)), Judged::TooLong { len: 40 });
        for bad in [word(2, 6), word(1, 2), word(3, 2), word(0, 0), u64::MAX] {
            assert_eq!(judge(bad), Judged::Nonsense);
        }
    }

    #[test]
    fn a_waiting_host_is_told_once() {
        // Free were 16 bytes, and 40 now; then 40, and 48 now.
        assert!(ring(0, 24).host_waits(40, 16));
        assert!(!ring(8, 24).host_waits(0, 16));
        assert!(!ring(0, 24).host_waits(40, 48));
    }
}
