// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Sizes and indices of the rings, and the page that both sides keep them in.
//!
//! Each ring has an index for the side that fills it and one for the side that
//! empties it. They count freely; the entry of an index is its lower bits. The
//! difference of the two is what is in the ring, and more than the ring has
//! room for is what no correct side says.

use zerocopy::little_endian::U32;

use crate::hyperv::wire::wire;

/// Most pages of the request ring, and of the completion ring.
pub const MAX_RING_PAGES: u32 = 32;
/// Most pages of the message ring.
pub const MAX_MESSAGE_PAGES: u32 = 16;

/// Entries on a page of the request ring.
pub const REQUESTS_PER_PAGE: u32 = 32;
/// Entries on a page of the completion ring.
pub const COMPLETIONS_PER_PAGE: u32 = 128;
/// Entries on a page of the message ring.
pub const MESSAGES_PER_PAGE: u32 = 32;

/// Pages of a ring that has to be no larger than for up to [`super::DEFAULT_TARGETS`].
const DEFAULT_PAGES: u32 = 8;

wire! {
    /// The page of the rings' state, as far as it is used.
    ///
    /// A device writes what is said to be its own, and the sizes and zeros in
    /// all indices when it is told of the rings.
    pub struct RingsState: 140 {
        /// Requests, up to which the driver has made them.
        pub request_produced: U32,
        /// Requests, up to which the device has taken them.
        pub request_consumed: U32,
        /// Logarithm of the entries of the request ring, by the device.
        pub request_log2: U32,
        /// Completions, up to which the device has made them.
        pub completion_produced: U32,
        /// Completions, up to which the driver has taken them.
        pub completion_consumed: U32,
        /// Logarithm of the entries of the completion ring, by the device.
        pub completion_log2: U32,
        /// From how many requests on that it has not taken the device wants to be kicked for
        /// reads and writes, if [that is used](super::command::SetupRequestThreshold).
        pub request_threshold: U32,
        /// Nothing.
        pub reserved: [u8; 100],
        /// Messages, up to which the device has made them.
        pub message_produced: U32,
        /// Messages, up to which the driver has taken them.
        pub message_consumed: U32,
        /// Logarithm of the entries of the message ring, by the device.
        pub message_log2: U32,
    }
}

/// Where each word of a [`RingsState`] is in the page.
pub mod offset {
    use core::mem::offset_of;

    use super::RingsState;

    /// [`RingsState::request_produced`].
    pub const REQUEST_PRODUCED: usize = offset_of!(RingsState, request_produced);
    /// [`RingsState::request_consumed`].
    pub const REQUEST_CONSUMED: usize = offset_of!(RingsState, request_consumed);
    /// [`RingsState::request_log2`].
    pub const REQUEST_LOG2: usize = offset_of!(RingsState, request_log2);
    /// [`RingsState::completion_produced`].
    pub const COMPLETION_PRODUCED: usize = offset_of!(RingsState, completion_produced);
    /// [`RingsState::completion_consumed`].
    pub const COMPLETION_CONSUMED: usize = offset_of!(RingsState, completion_consumed);
    /// [`RingsState::completion_log2`].
    pub const COMPLETION_LOG2: usize = offset_of!(RingsState, completion_log2);
    /// [`RingsState::request_threshold`].
    pub const REQUEST_THRESHOLD: usize = offset_of!(RingsState, request_threshold);
    /// [`RingsState::message_produced`].
    pub const MESSAGE_PRODUCED: usize = offset_of!(RingsState, message_produced);
    /// [`RingsState::message_consumed`].
    pub const MESSAGE_CONSUMED: usize = offset_of!(RingsState, message_consumed);
    /// [`RingsState::message_log2`].
    pub const MESSAGE_LOG2: usize = offset_of!(RingsState, message_log2);
}

/// Something about a ring that no correct device says, with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// The ring is said to have so many entries, as a logarithm: none, or more than there is
    /// memory for.
    Size(u32),
    /// The index is so far ahead of the other one: more than the ring has entries.
    Index(u32),
}

/// How many entries a ring has: a power of two.
///
/// # Invariants
///
/// Its logarithm is from 1 to [`Entries::MAX_LOG2`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries(u32);

impl Entries {
    /// The logarithm of the entries of the largest ring: 4096 completions.
    pub const MAX_LOG2: u32 = (MAX_RING_PAGES * COMPLETIONS_PER_PAGE).ilog2();

    /// Those of a ring of so many pages, which is a power of two.
    pub const fn of_pages(pages: u32, per_page: u32) -> Option<Self> {
        let Some(entries) = pages.checked_mul(per_page) else {
            return None;
        };
        if !entries.is_power_of_two() || entries < 2 || entries.ilog2() > Self::MAX_LOG2 {
            return None;
        }
        // INVARIANT: Just checked.
        Some(Self(entries))
    }

    /// Those that the device says there are, in a ring that has room for `self`.
    ///
    /// # Errors
    ///
    /// [`RingError::Size`] if it cannot be so many.
    pub const fn told(self, log2: u32) -> Result<Self, RingError> {
        if log2 == 0 || log2 > self.log2() {
            return Err(RingError::Size(log2));
        }
        // INVARIANT: No more than an `Entries` has.
        Ok(Self(1 << log2))
    }

    /// The number.
    #[inline]
    pub const fn count(self) -> u32 {
        self.0
    }

    /// The logarithm of the number.
    pub const fn log2(self) -> u32 {
        self.0.trailing_zeros()
    }

    /// The entry of an index.
    #[inline]
    pub const fn slot(self, index: u32) -> usize {
        (index & self.count().wrapping_sub(1)) as usize
    }

    /// How many entries are in the ring.
    ///
    /// # Errors
    ///
    /// [`RingError::Index`] if these would be more than it has.
    #[inline]
    pub const fn used(self, produced: u32, consumed: u32) -> Result<u32, RingError> {
        let used = produced.wrapping_sub(consumed);
        if used > self.count() {
            return Err(RingError::Index(used));
        }
        Ok(used)
    }
}

/// Whether the device is to be kicked for reads and writes, now that `produced` requests were
/// made. A threshold that the ring cannot reach is none: requests would wait for ever.
#[inline]
pub const fn needs_kick(produced: u32, consumed: u32, threshold: u32, entries: Entries) -> bool {
    threshold > entries.count() || produced.wrapping_sub(consumed) >= threshold
}

/// How many pages a ring gets, by what was asked for (0: nothing) and by how many targets the
/// adapter has: a power of two.
pub const fn ring_pages(asked: i32, targets: u32) -> u32 {
    match asked {
        0 if targets > super::DEFAULT_TARGETS => MAX_RING_PAGES,
        0 => DEFAULT_PAGES,
        _ => limit_pages(asked, MAX_RING_PAGES),
    }
}

/// How many pages the message ring gets, by what was asked for: a power of two.
pub const fn message_pages(asked: i32) -> u32 {
    limit_pages(asked, MAX_MESSAGE_PAGES)
}

/// The largest power of two that is neither more than was asked for nor more than there can be.
const fn limit_pages(asked: i32, most: u32) -> u32 {
    if asked < 1 {
        return 1;
    }
    let asked = asked.unsigned_abs();
    let pages = if asked < most { asked } else { most };
    1 << pages.ilog2()
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use core::mem::offset_of;
    use proptest::prelude::*;

    fn ring(pages: u32) -> Entries {
        Entries::of_pages(pages, REQUESTS_PER_PAGE).expect("a power of two")
    }

    #[test]
    fn the_state_is_where_it_should_be() {
        assert_eq!(offset_of!(RingsState, completion_produced), 12);
        assert_eq!(offset_of!(RingsState, request_threshold), 24);
        assert_eq!(offset_of!(RingsState, message_produced), 128);
        assert_eq!(offset_of!(RingsState, message_log2), 136);
    }

    #[test]
    fn pages_become_entries() {
        assert_eq!(ring(1).count(), 32);
        assert_eq!(ring(32).count(), 1024);
        let largest = Entries::of_pages(MAX_RING_PAGES, COMPLETIONS_PER_PAGE);
        assert_eq!(largest.map(Entries::count), Some(4096));
        for pages in [0, 3, 12, 256, u32::MAX] {
            assert_eq!(Entries::of_pages(pages, REQUESTS_PER_PAGE), None);
        }
    }

    #[test]
    fn a_device_tells_no_more_than_there_is_room_for() {
        assert_eq!(ring(8).told(8), Ok(ring(8)));
        assert_eq!(ring(8).told(7).map(Entries::count), Ok(128));
        for log2 in [0, 9, 31, 32, u32::MAX] {
            assert_eq!(ring(8).told(log2), Err(RingError::Size(log2)));
        }
    }

    #[test]
    fn indices_count_through_all_of_their_bits() {
        let ring = ring(1);
        assert_eq!(ring.used(3, u32::MAX), Ok(4));
        assert_eq!(ring.slot(u32::MAX), 31);
        assert_eq!(ring.slot(u32::MAX.wrapping_add(1)), 0);
        assert_eq!(ring.used(33, 0), Err(RingError::Index(33)));
        assert_eq!(ring.used(0, 1), Err(RingError::Index(u32::MAX)));
    }

    #[test]
    fn kicks_follow_a_threshold_that_can_be_reached() {
        assert!(needs_kick(1, 0, 0, ring(1)));
        assert!(needs_kick(1, 0, 1, ring(1)));
        assert!(!needs_kick(1, 0, 2, ring(1)));
        assert!(needs_kick(1, u32::MAX, 2, ring(1)));
        assert!(!needs_kick(31, 0, 32, ring(1)));
        assert!(needs_kick(1, 0, 33, ring(1)));
    }

    #[test]
    fn rings_are_sized_as_asked_or_by_the_targets() {
        let cases = [
            ((0, 16), 8),
            ((0, 17), 32),
            ((1, 65), 1),
            ((6, 65), 4),
            ((32, 1), 32),
            ((33, 1), 32),
            ((i32::MAX, 1), 32),
            ((-1, 65), 1),
        ];
        for ((asked, targets), pages) in cases {
            assert_eq!(ring_pages(asked, targets), pages);
        }
        assert_eq!([0, 1, 5, 99].map(message_pages), [1, 1, 4, 16]);
    }

    proptest! {
        #[test]
        fn what_is_in_a_ring_fits(produced: u32, consumed: u32, log2 in 1..=Entries::MAX_LOG2) {
            let ring = Entries(1 << log2);
            prop_assert!(ring.slot(produced) < ring.count() as usize);
            match ring.used(produced, consumed) {
                Ok(used) => prop_assert_eq!(consumed.wrapping_add(used), produced),
                Err(error) => prop_assert_eq!(
                    error,
                    RingError::Index(produced.wrapping_sub(consumed))
                ),
            }
        }

        #[test]
        fn any_number_of_pages_makes_a_ring(asked: i32, targets: u32) {
            let pages = ring_pages(asked, targets);
            prop_assert!(Entries::of_pages(pages, COMPLETIONS_PER_PAGE).is_some());
            let pages = message_pages(asked);
            prop_assert!(Entries::of_pages(pages, MESSAGES_PER_PAGE).is_some());
        }
    }
}
