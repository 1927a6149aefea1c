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
pub(crate) mod tests;
