// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Lists of ranges of guest memory (`struct gpa_range` of `include/linux/hyperv.h`).
//!
//! A range is a number of bytes, an offset into its first page, and the numbers
//! (PFNs) of as many pages as that spans. The same list is in a GPADL
//! ([`super::gpadl`]) and in a packet that brings its data along by address
//! ([`super::packet`]). Ranges follow one another without a count of their
//! pages, so a list can only be read from the front, and a wrong length makes
//! addresses out of lengths.

use zerocopy::little_endian::{U32, U64};

use crate::hyperv::wire::wire;
use crate::hyperv::PAGE_SIZE;

/// PFNs from here on would be addresses beyond 64 bits.
pub const PFN_LIMIT: u64 = 1 << 52;

wire! {
    /// What precedes the page numbers of a range.
    pub struct RangeHeader: 8 {
        /// Number of bytes.
        pub byte_count: U32,
        /// Where they begin in the first page.
        pub byte_offset: U32,
    }
}

/// What is wrong with a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRange {
    /// A range of no bytes.
    Empty,
    /// A range that begins beyond its first page.
    Offset(u32),
    /// A PFN that is no address.
    Pfn(u64),
    /// The list ends within a range, or before as many ranges as it should have.
    CutOff,
}

impl RangeHeader {
    /// A header for these bytes.
    pub const fn new(byte_count: u32, byte_offset: u32) -> Self {
        Self {
            byte_count: U32::new(byte_count),
            byte_offset: U32::new(byte_offset),
        }
    }

    /// Number of pages that follow.
    ///
    /// # Errors
    ///
    /// If it is no range.
    pub fn pages(self) -> Result<u32, BadRange> {
        let (count, offset) = (self.byte_count.get(), self.byte_offset.get());
        if count == 0 {
            return Err(BadRange::Empty);
        }
        if offset >= PAGE_SIZE {
            return Err(BadRange::Offset(offset));
        }
        let bytes = u64::from(count).wrapping_add(u64::from(offset));
        let pages = bytes.div_ceil(u64::from(PAGE_SIZE));
        u32::try_from(pages).map_err(|_| BadRange::Empty)
    }
}

impl From<U64> for RangeHeader {
    fn from(word: U64) -> Self {
        zerocopy::transmute!(word)
    }
}

impl From<RangeHeader> for U64 {
    fn from(header: RangeHeader) -> Self {
        zerocopy::transmute!(header)
    }
}

/// One range of a list that was found in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<'a> {
    byte_count: u32,
    byte_offset: u32,
    pfns: &'a [U64],
}

impl<'a> Range<'a> {
    /// Number of bytes, never 0.
    pub const fn len(&self) -> u32 {
        self.byte_count
    }

    /// Never: a range has bytes.
    pub const fn is_empty(&self) -> bool {
        self.byte_count == 0
    }

    /// Where the bytes begin in the first page.
    pub const fn offset(&self) -> u32 {
        self.byte_offset
    }

    /// The pages: exactly as many as the bytes span, each below [`PFN_LIMIT`].
    pub const fn pfns(&self) -> &'a [U64] {
        self.pfns
    }

    /// The bytes as runs of consecutive addresses.
    pub const fn segments(&self) -> Segments<'a> {
        Segments {
            left: self.byte_count,
            offset: self.byte_offset,
            pfns: self.pfns,
        }
    }
}

/// A run of consecutive addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Guest physical address.
    pub address: u64,
    /// Number of bytes.
    pub len: u32,
}

/// The runs of a [`Range`]: neighbouring pages are one run.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    left: u32,
    offset: u32,
    pfns: &'a [U64],
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let first = self.pfns.first()?.get();
        let mut expected = (first..).zip(self.pfns);
        let run = expected
            .position(|(pfn, found)| pfn != found.get())
            .unwrap_or(self.pfns.len());
        self.pfns = self.pfns.get(run..).unwrap_or(&[]);
        let offset = core::mem::take(&mut self.offset);
        let pages = u64::try_from(run).ok()?;
        let room = pages
            .saturating_mul(u64::from(PAGE_SIZE))
            .saturating_sub(u64::from(offset));
        let len = u32::try_from(room).unwrap_or(u32::MAX).min(self.left);
        self.left = self.left.saturating_sub(len);
        Some(Segment {
            address: first.wrapping_shl(12) | u64::from(offset),
            len,
        })
    }
}

/// A list of ranges that was found in order as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges<'a> {
    words: &'a [U64],
    count: u32,
}

impl<'a> Ranges<'a> {
    /// Checks a list of `count` ranges. Words after the last range are left out.
    ///
    /// # Errors
    ///
    /// What is wrong with the first range that is not in order.
    pub fn new(words: &'a [U64], count: u32) -> Result<Self, BadRange> {
        let mut rest = words;
        for _ in 0..count {
            // Each range takes two words at least, so the words end the loop.
            let (range, tail) = split(rest)?;
            if let Some(pfn) = range.pfns.iter().find(|pfn| pfn.get() >= PFN_LIMIT) {
                return Err(BadRange::Pfn(pfn.get()));
            }
            rest = tail;
        }
        let used = words.len().saturating_sub(rest.len());
        let words = words.get(..used).unwrap_or(&[]);
        Ok(Self { words, count })
    }

    /// Number of ranges that are left.
    pub const fn range_count(&self) -> u32 {
        self.count
    }

    /// The words that the list takes.
    pub const fn words(&self) -> &'a [U64] {
        self.words
    }

    /// Number of bytes of all ranges.
    pub fn total(&self) -> u64 {
        self.map(|range| u64::from(range.len()))
            .fold(0, u64::saturating_add)
    }
}

impl<'a> Iterator for Ranges<'a> {
    type Item = Range<'a>;

    fn next(&mut self) -> Option<Range<'a>> {
        let (range, rest) = split(self.words).ok()?;
        self.words = rest;
        self.count = self.count.saturating_sub(1);
        Some(range)
    }
}

/// Takes the first range off a list.
fn split(words: &[U64]) -> Result<(Range<'_>, &[U64]), BadRange> {
    let (first, rest) = words.split_first().ok_or(BadRange::CutOff)?;
    let header = RangeHeader::from(*first);
    let pages = usize::try_from(header.pages()?).map_err(|_| BadRange::CutOff)?;
    let (pfns, rest) = rest.split_at_checked(pages).ok_or(BadRange::CutOff)?;
    let range = Range {
        byte_count: header.byte_count.get(),
        byte_offset: header.byte_offset.get(),
        pfns,
    };
    Ok((range, rest))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Ranges as a sender has them: byte count, byte offset, PFNs.
    pub(crate) type Given = (u32, u32, Vec<u64>);

    pub(crate) fn ranges(most: usize, pages: u32) -> impl Strategy<Value = Vec<Given>> {
        let one = (1..=pages, 0..PAGE_SIZE, any::<u32>()).prop_map(|(pages, offset, seed)| {
            let last = PAGE_SIZE * pages - offset;
            let first = (PAGE_SIZE * (pages - 1)).saturating_sub(offset).max(1);
            let count = first + seed % (last - first + 1);
            let needed = RangeHeader::new(count, offset).pages().unwrap();
            // Every third page is not the next one.
            let pfn = |page: u32| u64::from(seed) + u64::from(page + page / 3 * 5);
            (count, offset, (0..needed).map(pfn).collect())
        });
        vec(one, 1..=most)
    }

    pub(crate) fn words(ranges: &[Given]) -> Vec<U64> {
        let mut words = Vec::new();
        for (count, offset, pfns) in ranges {
            words.push(RangeHeader::new(*count, *offset).into());
            words.extend(pfns.iter().copied().map(U64::new));
        }
        words
    }

    #[test]
    fn pages_are_those_that_bytes_touch() {
        let pages = |count, offset| RangeHeader::new(count, offset).pages();
        assert_eq!(pages(1, 0), Ok(1));
        assert_eq!(pages(4096, 0), Ok(1));
        assert_eq!(pages(4096, 1), Ok(2));
        assert_eq!(pages(2, 4095), Ok(2));
        assert_eq!(pages(u32::MAX, 4095), Ok(0x10_0001));
        assert_eq!(pages(0, 0), Err(BadRange::Empty));
        assert_eq!(pages(1, 4096), Err(BadRange::Offset(4096)));
    }

    #[test]
    fn neighbours_are_one_segment() {
        let list = words(&[(3 * 4096 - 100, 100, [7, 8, 20].to_vec())]);
        let range = Ranges::new(&list, 1).unwrap().next().unwrap();
        let expected = [
            Segment {
                address: 7 * 4096 + 100,
                len: 2 * 4096 - 100,
            },
            Segment {
                address: 20 * 4096,
                len: 4096,
            },
        ];
        assert_eq!(range.segments().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn faults_are_named() {
        let bad = |list: &[Given], count| Ranges::new(&words(list), count).unwrap_err();
        assert_eq!(bad(&[(4097, 0, [1].to_vec())], 1), BadRange::CutOff);
        assert_eq!(bad(&[(4096, 0, [1].to_vec())], 2), BadRange::CutOff);
        assert_eq!(bad(&[(1, 0, [1].to_vec())], u32::MAX), BadRange::CutOff);
        assert_eq!(bad(&[(0, 0, [].to_vec())], 1), BadRange::Empty);
        let far = PFN_LIMIT;
        assert_eq!(bad(&[(1, 0, [far].to_vec())], 1), BadRange::Pfn(far));
        assert_eq!(Ranges::new(&[], 0).unwrap().next(), None);
    }

    proptest! {
        #[test]
        fn a_list_is_read_as_it_was_written(given in ranges(5, 6), extra in 0..3_usize) {
            let mut list = words(&given);
            let len = list.len();
            list.extend((0..extra).map(|_| U64::new(u64::MAX)));
            let read = Ranges::new(&list, u32::try_from(given.len()).unwrap()).unwrap();
            prop_assert_eq!(read.words().len(), len);
            let again: Vec<Given> = read
                .map(|range| {
                    let pfns = range.pfns().iter().map(|pfn| pfn.get()).collect();
                    (range.len(), range.offset(), pfns)
                })
                .collect();
            prop_assert_eq!(again, given);
        }

        #[test]
        fn segments_are_all_bytes_of_the_pages(given in ranges(1, 9)) {
            let list = words(&given);
            let range = Ranges::new(&list, 1).unwrap().next().unwrap();
            let mut bytes = Vec::new();
            for Segment { address, len } in range.segments() {
                prop_assert!(len > 0);
                bytes.extend((0..u64::from(len)).step_by(64).map(|at| (address + at) / 64));
            }
            prop_assert_eq!(range.segments().map(|run| run.len).sum::<u32>(), range.len());
            for pair in range.segments().collect::<Vec<_>>().windows(2) {
                prop_assert!(pair[0].address + u64::from(pair[0].len) != pair[1].address);
            }
            let pages: Vec<u64> = range.pfns().iter().map(|pfn| pfn.get()).collect();
            for place in bytes {
                prop_assert!(pages.contains(&(place / 64)));
            }
        }

        #[test]
        fn any_words_are_a_list_or_not(raw in vec(any::<u64>(), 0..20), count in 0_u32..5) {
            let list: Vec<U64> = raw.into_iter().map(U64::new).collect();
            if let Ok(ranges) = Ranges::new(&list, count) {
                prop_assert_eq!(ranges.range_count(), count);
                prop_assert_eq!(ranges.flat_map(|range| range.segments()).map(|s| u64::from(s.len))
                    .sum::<u64>(), ranges.total());
            }
        }
    }
}
