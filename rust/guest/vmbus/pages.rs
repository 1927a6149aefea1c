// SPDX-License-Identifier: GPL-2.0

//! Memory of the guest that a packet names: one range, by the numbers of its pages.

use crate::bindings;
use core::mem::{
    size_of,
    MaybeUninit, //
};

/// Bytes of a page, as the host counts, and their logarithm.
const PAGE_SIZE: u64 = 4096;
const PAGE_SHIFT: u32 = 12;

/// A range of memory, being put together from pieces: all but the first begin at a page, all but
/// the last end at one.
///
/// It is written to where the packet is built, `room`, with space ahead of it for the packet's own
/// header, which the bus fills in. The numbers of the pages follow the header; words of eight
/// bytes, all of them.
///
/// # Invariants
///
/// The first `len` words of `room` are written, and they are at least the header's.
pub struct PageList<'a> {
    room: &'a mut [MaybeUninit<u64>],
    len: usize,
}

impl<'a> PageList<'a> {
    /// Words ahead of the numbers.
    pub const HEADER: usize = size_of::<bindings::vmbus_packet_mpb_array>() / size_of::<u64>();

    /// How many pages `bytes` bytes take that begin `offset` bytes into one.
    pub const fn pages(offset: u32, bytes: u32) -> u64 {
        (offset as u64 % PAGE_SIZE + bytes as u64).div_ceil(PAGE_SIZE)
    }

    /// A range of `bytes` bytes that begins `offset` bytes into its first page.
    ///
    /// `None` if there is no room for a header.
    #[inline]
    pub fn new(room: &'a mut [MaybeUninit<u64>], offset: u32, bytes: u32) -> Option<Self> {
        let header = room.first_chunk_mut::<4>()?;
        let [kind, id, ranges, range] = header;
        kind.write(0);
        id.write(0);
        // The first half is reserved, and there is one range.
        ranges.write(1 << u32::BITS);
        // The length comes first.
        range.write(u64::from(offset) % PAGE_SIZE << u32::BITS | u64::from(bytes));
        // INVARIANT: That was the header.
        Some(Self {
            room,
            len: Self::HEADER,
        })
    }

    /// Adds a piece of `bytes` bytes at `address`, as the host counts addresses. Returns whether
    /// there was room for it.
    #[inline]
    #[must_use]
    pub fn push(&mut self, address: u64, bytes: u32) -> bool {
        let count = Self::pages((address % PAGE_SIZE) as u32, bytes);
        self.push_pages(address, count)
    }

    /// Adds so many pages, the first of which `address` is in. Returns whether there was room for
    /// them.
    #[inline]
    #[must_use]
    pub fn push_pages(&mut self, address: u64, count: u64) -> bool {
        let mut number = address >> PAGE_SHIFT;
        let count = count as usize;
        let end = self.len.wrapping_add(count);
        let Some(words) = self.room.get_mut(self.len..end) else {
            return false;
        };
        for word in words {
            word.write(number);
            number = number.wrapping_add(1);
        }
        // INVARIANT: So many more are written.
        self.len = end;
        true
    }

    /// How many pages there are.
    #[inline]
    pub fn count(&self) -> u64 {
        self.len.wrapping_sub(Self::HEADER) as u64
    }

    /// The header and the numbers, and how many bytes these are.
    #[inline]
    pub(super) fn as_raw(&mut self) -> (*mut bindings::vmbus_packet_mpb_array, u32) {
        let bytes = self.len.wrapping_mul(size_of::<u64>());
        (self.room.as_mut_ptr().cast(), bytes as u32)
    }
}

const _: () = assert!(PageList::HEADER == 4);

#[cfg(guest_kunit)]
#[kernel::macros::kunit_tests(guest_vmbus_pages)]
mod tests {
    use super::*;

    /// The numbers of a range, or nothing if there was no room for it.
    fn numbers<const N: usize>(offset: u32, pieces: &[(u64, u32)]) -> Option<[u64; N]> {
        let mut room = [const { MaybeUninit::new(0) }; 16];
        let bytes = pieces.iter().map(|(_, bytes)| bytes).sum();
        let mut list = PageList::new(room.get_mut(..PageList::HEADER + N)?, offset, bytes)?;
        for (address, bytes) in pieces {
            if !list.push(*address, *bytes) {
                return None;
            }
        }
        assert_eq!(list.count(), PageList::pages(offset, bytes));
        // SAFETY: All of them were written at first.
        Some(core::array::from_fn(|at| unsafe {
            room[PageList::HEADER + at].assume_init()
        }))
    }

    #[test]
    fn pieces_become_numbers() {
        assert_eq!(numbers(0, &[(0x5000, 4096)]), Some([5]));
        assert_eq!(numbers(512, &[(0x5200, 512)]), Some([5]));
        assert_eq!(numbers(512, &[(0x5200, 4096)]), Some([5, 6]));
        assert_eq!(
            numbers(0x200, &[(0x5200, 0xe00), (0x9000, 8192), (0x1000, 1)]),
            Some([5, 9, 10, 1])
        );
    }

    #[test]
    fn a_range_stays_in_its_room() {
        assert_eq!(numbers::<1>(0, &[(0x5000, 8192)]), None);
        assert_eq!(numbers::<0>(0, &[(0x5000, 1)]), None);
        assert_eq!(
            PageList::new(&mut [MaybeUninit::uninit(); 3], 0, 0).is_none(),
            true
        );
    }

    #[test]
    fn the_header_says_how_long_it_is() {
        let mut room = [const { MaybeUninit::new(u64::MAX) }; 4];
        assert!(PageList::new(&mut room, 0x1234, 0x8000).is_some());
        // SAFETY: All of them were written.
        let words = room.map(|word| unsafe { word.assume_init() });
        assert_eq!(words, [0, 0, 1 << 32, 0x234 << 32 | 0x8000]);
    }
}
