// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Guest memory, and the scatter lists that point into it.
//!
//! A [`SgList`] is checked once, when it is made: every byte of it lies in
//! guest memory. Reading, writing and handing its pieces to the kernel can
//! then no longer fail, and none of it needs a bounce buffer. What the guest
//! does with the bytes meanwhile is its own affair: they are only ever
//! accessed as volatile memory.

use std::sync::Arc;

use smallvec::SmallVec;
use thiserror::Error;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap, VolatileSlice};

/// The memory of one machine. Its layout is fixed once the machine runs.
///
/// A clone counts a reference that all clones share. Where many threads make
/// scatter lists, each can have a count of its own:
/// `Arc::new((*memory).clone())` refers to the same mappings.
pub type GuestMemory = Arc<GuestMemoryMmap<()>>;

/// A piece of guest memory that the guest offered as a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it starts.
    pub address: GuestAddress,
    /// Its length in bytes.
    pub len: u32,
}

/// Why a scatter list cannot be made.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MemoryError {
    /// Part of a segment has no memory behind it.
    #[error("no guest memory at {address:#x} for {len} bytes")]
    Outside {
        /// Where the segment starts.
        address: u64,
        /// Its length.
        len: u32,
    },
}

/// Most buffers have no more segments, and lists of them take no allocation.
const FEW_SEGMENTS: usize = 3;

/// A buffer that is spread over guest memory.
///
/// # Invariants
///
/// - Every segment lies in `memory`, which is there if there are segments.
/// - No segment is empty, and `len` is the sum of their lengths.
#[derive(Clone, Debug, Default)]
pub struct SgList {
    memory: Option<GuestMemory>,
    segments: SmallVec<[Segment; FEW_SEGMENTS]>,
    len: u64,
}

impl SgList {
    /// A list of no bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A list of `segments`, in this order. They may overlap and be empty.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Outside`] for the first segment that is not wholly in
    /// `memory`.
    pub fn new(
        memory: &GuestMemory,
        segments: impl IntoIterator<Item = Segment>,
    ) -> Result<Self, MemoryError> {
        let mut list = Self::within(memory);
        for segment in segments {
            list.append(segment)?;
        }
        Ok(list)
    }

    /// A list of no bytes, of which all that is appended has to lie in `memory`.
    pub fn within(memory: &GuestMemory) -> Self {
        Self {
            memory: Some(Arc::clone(memory)),
            ..Self::default()
        }
    }

    /// Makes the list longer. A list without a memory takes empty segments only.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Outside`] if the segment is not wholly in the memory; the
    /// list stays as it was.
    pub fn append(&mut self, segment: Segment) -> Result<(), MemoryError> {
        let memory = self.memory.as_ref();
        if segment.len > 0 && !memory.is_some_and(|memory| is_inside(memory, &segment)) {
            return Err(MemoryError::Outside {
                address: segment.address.0,
                len: segment.len,
            });
        }
        self.push(segment);
        Ok(())
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Cuts the list: `self` keeps the first `at` bytes, the result is the rest.
    ///
    /// With `at` beyond the end, the rest is empty.
    pub fn split_off(&mut self, at: u64) -> SgList {
        let (index, before) = self.find(at);
        let mut rest = SgList {
            memory: self.memory.clone(),
            ..SgList::default()
        };
        if let Some(segment) = self.segments.get_mut(index) {
            let (head, tail) = cut(*segment, at.saturating_sub(before));
            *segment = head;
            rest.push(tail);
        }
        for segment in self.segments.iter().skip(index.saturating_add(1)) {
            rest.push(*segment);
        }
        self.segments.truncate(index.saturating_add(1));
        // INVARIANT: a cut between two segments leaves nothing of the second.
        if self.segments.last().is_some_and(|last| last.len == 0) {
            self.segments.pop();
        }
        self.len = self.len.min(at);
        rest
    }

    /// The number of the segment with byte `at`, and how many bytes come before it.
    fn find(&self, at: u64) -> (usize, u64) {
        let mut before = 0_u64;
        for (index, segment) in self.segments.iter().enumerate() {
            let end = before.saturating_add(segment.len.into());
            if at < end {
                return (index, before);
            }
            before = end;
        }
        (self.segments.len(), before)
    }

    /// Copies from the list, from `offset` on, into `buffer`.
    ///
    /// Returns how many bytes there were: fewer than asked for at the end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let mut left = buffer;
        let wanted = left.len();
        for slice in self.slices(offset, wanted as u64) {
            let taken = slice.copy_to(left);
            left = left
                .split_at_mut_checked(taken)
                .map_or(&mut [], |(_, rest)| rest);
        }
        wanted.saturating_sub(left.len())
    }

    /// Copies `data` to the list, from `offset` on.
    ///
    /// Returns how many bytes had room: fewer than offered at the end.
    pub fn write_at(&self, offset: u64, data: &[u8]) -> usize {
        let mut left = data;
        for slice in self.slices(offset, data.len() as u64) {
            let taken = slice.len().min(left.len());
            slice.copy_from(left);
            left = left.get(taken..).unwrap_or(&[]);
        }
        data.len().saturating_sub(left.len())
    }

    /// The host's view of up to `len` bytes from `offset` on, piece by piece.
    ///
    /// No piece is empty. Together they are shorter than `len` only where the
    /// list ends.
    pub fn slices(&self, offset: u64, len: u64) -> impl Iterator<Item = VolatileSlice<'_>> {
        let pieces = Pieces {
            segments: self.segments.iter(),
            skip: offset,
            left: len,
        };
        self.memory.iter().flat_map(move |memory| {
            pieces.clone().flat_map(|piece| {
                // INVARIANT: every segment lies in the memory, so no piece is an error.
                memory
                    .get_slices(piece.address, piece.len as usize)
                    .filter_map(Result::ok)
            })
        })
    }

    fn push(&mut self, segment: Segment) {
        if segment.len > 0 {
            // 2^32 segments of 2^32 bytes do not fit into this host's memory.
            self.len = self.len.saturating_add(u64::from(segment.len));
            self.segments.push(segment);
        }
    }
}

/// Whether every byte of `segment` is guest memory.
///
/// The end of the address space needs a check of its own, since the slices of
/// a range that wraps are not defined.
fn is_inside(memory: &GuestMemory, segment: &Segment) -> bool {
    let len = u64::from(segment.len);
    let wraps = segment.address.0.checked_add(len).is_none();
    len == 0 || (!wraps && memory.check_range(segment.address, segment.len as usize))
}

/// A segment's first `at` bytes, and the others.
fn cut(segment: Segment, at: u64) -> (Segment, Segment) {
    let head = u32::try_from(at).unwrap_or(u32::MAX).min(segment.len);
    // The end of a segment is a valid address: it was checked not to wrap.
    let middle = GuestAddress(segment.address.0.saturating_add(u64::from(head)));
    (
        Segment {
            address: segment.address,
            len: head,
        },
        Segment {
            address: middle,
            len: segment.len.saturating_sub(head),
        },
    )
}

/// The parts of segments that make up a range of a list.
#[derive(Clone)]
struct Pieces<'a> {
    segments: std::slice::Iter<'a, Segment>,
    skip: u64,
    left: u64,
}

impl Iterator for Pieces<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        while self.left > 0 {
            let segment = *self.segments.next()?;
            let (skipped, rest) = cut(segment, self.skip);
            self.skip = self.skip.saturating_sub(u64::from(skipped.len));
            let (piece, _) = cut(rest, self.left);
            self.left = self.left.saturating_sub(u64::from(piece.len));
            if piece.len > 0 {
                return Some(piece);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vm_memory::Bytes;

    const BASE: u64 = 0x1000;
    const SIZE: u64 = 0x3000;

    /// Two regions that touch, a hole, and one more.
    fn memory() -> GuestMemory {
        let ranges = [
            (GuestAddress(BASE), 0x1000),
            (GuestAddress(BASE + 0x1000), (SIZE - 0x1000) as usize),
            (GuestAddress(0x10_0000), 0x1000),
        ];
        Arc::new(GuestMemoryMmap::from_ranges(&ranges).unwrap())
    }

    fn segment(address: u64, len: u32) -> Segment {
        Segment {
            address: GuestAddress(address),
            len,
        }
    }

    #[test]
    fn rejects_what_is_not_memory() {
        let memory = memory();
        let bad = [
            segment(0, 1),
            segment(BASE + SIZE - 1, 2),
            segment(0x10_0fff, 2),
            segment(u64::MAX - 1, 8),
            segment(BASE, u32::MAX),
        ];
        for segment in bad {
            assert!(SgList::new(&memory, vec![segment]).is_err(), "{segment:?}");
        }
        assert!(SgList::new(&memory, vec![segment(0, 0)])
            .unwrap()
            .is_empty());
    }

    #[test]
    fn a_cut_between_segments_leaves_no_empty_one() {
        let pieces = [segment(BASE, 8), segment(BASE + 64, 4)];
        for (at, kept) in [(0, 0), (7, 1), (8, 1), (9, 2), (12, 2), (13, 2)] {
            let mut list = SgList::new(&memory(), pieces).unwrap();
            let rest = list.split_off(at);
            assert_eq!(list.segments().len(), kept, "{at}");
            assert_eq!(list.len() + rest.len(), 12);
        }
    }

    #[test]
    fn crosses_regions_and_segments() {
        let memory = memory();
        let list = SgList::new(
            &memory,
            vec![segment(BASE + 0xffe, 4), segment(0x10_0000, 2)],
        )
        .unwrap();
        assert_eq!(list.write_at(0, b"abcdefgh"), 6);
        let mut read = [0; 4];
        assert_eq!(list.read_at(3, &mut read), 3);
        assert_eq!(&read[..3], b"def");
        memory
            .read_slice(&mut read, GuestAddress(BASE + 0xffe))
            .unwrap();
        assert_eq!(&read, b"abcd");
    }

    #[test]
    fn empty_lists_hold_nothing() {
        assert_eq!(SgList::empty().write_at(0, b"x"), 0);
        assert_eq!(SgList::empty().slices(0, 1).count(), 0);
        assert_eq!(SgList::empty().split_off(1).len(), 0);
    }

    proptest! {
        /// A list behaves as the plain string of its bytes does.
        #[test]
        fn is_a_string_of_bytes(
            pieces in prop::collection::vec((0..SIZE - 0x80, 0_u32..0x80), 0..6),
            offset in 0_u64..0x200,
            len in 0_usize..0x200,
            at in 0_u64..0x200,
        ) {
            let memory = memory();
            let pattern: Vec<u8> = (0..SIZE).map(|i| (i ^ (i >> 8)) as u8).collect();
            memory.write_slice(&pattern, GuestAddress(BASE)).unwrap();
            let segments: Vec<_> =
                pieces.iter().map(|&(start, len)| segment(BASE + start, len)).collect();
            let model: Vec<u8> = pieces
                .iter()
                .flat_map(|&(start, len)| pattern[start as usize..][..len as usize].to_vec())
                .collect();

            let mut list = SgList::new(&memory, segments).unwrap();
            prop_assert_eq!(list.len(), model.len() as u64);

            let mut read = vec![0; len];
            let expected = model.get(offset as usize..).unwrap_or(&[]);
            let expected = &expected[..expected.len().min(len)];
            prop_assert_eq!(list.read_at(offset, &mut read), expected.len());
            prop_assert_eq!(&read[..expected.len()], expected);

            let rest = list.split_off(at);
            let (mut head, mut tail) = (vec![0; 0x1000], vec![0; 0x1000]);
            prop_assert_eq!(list.len(), (model.len() as u64).min(at));
            prop_assert_eq!(list.len() + rest.len(), model.len() as u64);
            let n = list.read_at(0, &mut head);
            let m = rest.read_at(0, &mut tail);
            prop_assert_eq!([&head[..n], &tail[..m]].concat(), model);
            let mut pieces = list.segments().iter().chain(rest.segments());
            prop_assert!(pieces.all(|piece| piece.len > 0));
        }
    }
}
