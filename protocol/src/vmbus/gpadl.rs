// SPDX-License-Identifier: GPL-2.0 OR MIT

//! GPADLs (guest physical address descriptor lists): memory under a handle.
//!
//! A guest tells the host about memory, such as the rings of a channel, by a
//! range list ([`super::gpa`]) that is cut into messages: the first has the
//! handle, the channel and up to 27 words, each that follows the handle and up
//! to 28. Only when all have come does the host answer.
//!
//! [`Messages`] cuts, [`Assembler`] puts together. Two things are not obvious:
//!
//! - The number in a body message says nothing: Linux always sends 0. Messages
//!   are in order because the queue of a connection is; bodies of different
//!   handles may be mixed.
//! - The header's length of the list has 16 bits. Linux lets it overflow from 8192
//!   words (32 MiB) on, so the number of pages has to be taken from the ranges,
//!   and only the low 16 bits can be checked.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::IntoBytes;

use super::gpa::{BadRange, RangeHeader, PFN_LIMIT};
use super::message::{Encoded, GpadlBody, GpadlHeader, Kind, GPADL_BODY_WORDS, GPADL_HEADER_WORDS};

/// The low 16 bits of a list's length in bytes.
fn short_length(words: u64) -> u16 {
    let [low, high, ..] = words.wrapping_shl(3).to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// The messages that tell the host about one range.
#[derive(Clone, Debug)]
pub struct Messages<I> {
    relid: u32,
    gpadl: u32,
    /// Taken with the first message.
    range: Option<(RangeHeader, u32)>,
    pfns: I,
}

impl<I: Iterator<Item = u64>> Messages<I> {
    /// Messages for a range of as many pages as the iterator gives at least.
    ///
    /// # Errors
    ///
    /// If it is no range. An iterator that ends too early makes messages that a
    /// host waits for the rest of.
    pub fn new(relid: u32, gpadl: u32, range: RangeHeader, pfns: I) -> Result<Self, BadRange> {
        Ok(Self {
            relid,
            gpadl,
            range: Some((range, range.pages()?)),
            pfns,
        })
    }

    fn header(&mut self, range: RangeHeader, pages: u32) -> Option<Encoded> {
        let body = GpadlHeader {
            relid: U32::new(self.relid),
            gpadl: U32::new(self.gpadl),
            range_len: U16::new(short_length(u64::from(pages).wrapping_add(1))),
            range_count: U16::new(1),
        };
        let message = Encoded::new(Kind::GPADL_HEADER, body.as_bytes(), range.as_bytes())?;
        Some(self.fill(message, GPADL_HEADER_WORDS.saturating_sub(1)).0)
    }

    fn body(&mut self) -> Option<Encoded> {
        let body = GpadlBody {
            number: U32::ZERO,
            gpadl: U32::new(self.gpadl),
        };
        let message = Encoded::new(Kind::GPADL_BODY, body.as_bytes(), &[])?;
        let (message, added) = self.fill(message, GPADL_BODY_WORDS);
        (added > 0).then_some(message)
    }

    /// Appends up to `most` pages and says how many.
    fn fill(&mut self, mut message: Encoded, most: usize) -> (Encoded, usize) {
        let mut added = 0_usize;
        while added < most {
            let Some(pfn) = self.pfns.next() else { break };
            if message.push(&pfn.to_le_bytes()).is_none() {
                break;
            }
            added = added.wrapping_add(1);
        }
        (message, added)
    }
}

impl<I: Iterator<Item = u64>> Iterator for Messages<I> {
    type Item = Encoded;

    fn next(&mut self) -> Option<Encoded> {
        match self.range.take() {
            Some((range, pages)) => self.header(range, pages),
            None => self.body(),
        }
    }
}

/// How much a guest may ask the host to remember for one handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most pages of all ranges.
    pub pages: u32,
    /// Most ranges.
    pub ranges: u16,
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// Body messages have to follow.
    Incomplete,
    /// The list is whole.
    Complete,
}

/// Why a GPADL is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadGpadl {
    /// No ranges, or more than [`Limits::ranges`].
    RangeCount(u16),
    /// More pages than [`Limits::pages`].
    TooLarge(u64),
    /// A range is not in order.
    Range(BadRange),
    /// More words than the ranges need.
    Excess,
    /// The length that the header gives is not that of the list.
    Length {
        /// What the header gives.
        given: u16,
        /// The low 16 bits of what it is.
        actual: u16,
    },
    /// A body message without a word.
    NoWords,
    /// A body message of another handle.
    Handle(u32),
}

/// Follows a list as its messages come in. It stores nothing: who calls appends
/// the words of each message that was found in order to a list of his own,
/// which [`super::gpa::Ranges`] reads when it is complete.
///
/// After an error the handle is to be refused and the assembler to be dropped.
#[derive(Clone, Debug)]
pub struct Assembler {
    gpadl: u32,
    range_len: u16,
    ranges_left: u16,
    pages_left: u32,
    pages: u64,
    words: u64,
    limits: Limits,
}

impl Assembler {
    /// Takes the first message.
    ///
    /// # Errors
    ///
    /// If the list cannot become one that is in order and within the limits.
    pub fn begin(
        header: &GpadlHeader,
        words: &[U64],
        limits: Limits,
    ) -> Result<(Self, Progress), BadGpadl> {
        let count = header.range_count.get();
        if count == 0 || count > limits.ranges {
            return Err(BadGpadl::RangeCount(count));
        }
        let mut assembler = Self {
            gpadl: header.gpadl.get(),
            range_len: header.range_len.get(),
            ranges_left: count,
            pages_left: 0,
            pages: 0,
            words: 0,
            limits,
        };
        let progress = assembler.take(words)?;
        Ok((assembler, progress))
    }

    /// The handle.
    pub const fn gpadl(&self) -> u32 {
        self.gpadl
    }

    /// Number of pages of the ranges that have begun.
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    /// Takes another message.
    ///
    /// # Errors
    ///
    /// If it does not go on where the last one ended.
    pub fn proceed(&mut self, body: &GpadlBody, words: &[U64]) -> Result<Progress, BadGpadl> {
        if body.gpadl.get() != self.gpadl {
            return Err(BadGpadl::Handle(body.gpadl.get()));
        }
        if words.is_empty() {
            return Err(BadGpadl::NoWords);
        }
        self.take(words)
    }

    fn take(&mut self, words: &[U64]) -> Result<Progress, BadGpadl> {
        for word in words {
            self.take_word(*word)?;
            self.words = self.words.wrapping_add(1);
        }
        if self.pages_left != 0 || self.ranges_left != 0 {
            return Ok(Progress::Incomplete);
        }
        let actual = short_length(self.words);
        if actual != self.range_len {
            let given = self.range_len;
            return Err(BadGpadl::Length { given, actual });
        }
        Ok(Progress::Complete)
    }

    fn take_word(&mut self, word: U64) -> Result<(), BadGpadl> {
        if let Some(left) = self.pages_left.checked_sub(1) {
            self.pages_left = left;
            let is_page = word.get() < PFN_LIMIT;
            return is_page
                .then_some(())
                .ok_or(BadGpadl::Range(BadRange::Pfn(word.get())));
        }
        self.ranges_left = self.ranges_left.checked_sub(1).ok_or(BadGpadl::Excess)?;
        self.pages_left = RangeHeader::from(word).pages().map_err(BadGpadl::Range)?;
        self.pages = self.pages.saturating_add(u64::from(self.pages_left));
        if self.pages > u64::from(self.limits.pages) {
            return Err(BadGpadl::TooLarge(self.pages));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
