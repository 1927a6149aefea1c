// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a driver says, as a device has to take it: checked.
//!
//! A device copies a descriptor out of the guest's memory once, and parses the
//! copy. Addresses are not checked here: whether there is memory behind them
//! only the device knows.

use core::mem::size_of;

use zerocopy::little_endian::U64;

use super::command::{SetupMessageRing, SetupRings};
use super::request::{flag, Context, RequestDescriptor, SgElement};
use super::ring::{Entries, COMPLETIONS_PER_PAGE, MESSAGES_PER_PAGE, REQUESTS_PER_PAGE};
use super::{CDB_SIZE, PAGE_SIZE};

/// Most bytes of data of a request. Linux asks for no more than half of it.
pub const MAX_DATA: u32 = 64 << 20;
/// Most elements of a list, chains among them.
pub const MAX_ELEMENTS: u32 = 1 << 14;

const ELEMENT: u64 = size_of::<SgElement>() as u64;
const OFFSET: u64 = PAGE_SIZE as u64 - 1;

/// Where a ring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingPages<'a> {
    /// How many entries it has.
    pub entries: Entries,
    /// The numbers of its pages.
    pub pages: &'a [U64],
}

impl<'a> RingPages<'a> {
    /// `count` of the pages that were named; a number that cannot be is the error.
    fn new(count: u32, per_page: u32, named: &'a [U64]) -> Result<Self, u32> {
        let pages = usize::try_from(count)
            .ok()
            .and_then(|count| named.get(..count));
        let entries = Entries::of_pages(count, per_page);
        entries
            .zip(pages)
            .map(|(entries, pages)| Self { entries, pages })
            .ok_or(count)
    }
}

impl SetupRings {
    /// The request ring.
    ///
    /// # Errors
    ///
    /// The number of pages, if it cannot be.
    pub fn request_ring(&self) -> Result<RingPages<'_>, u32> {
        RingPages::new(self.request_pages.get(), REQUESTS_PER_PAGE, &self.request)
    }

    /// The completion ring.
    ///
    /// # Errors
    ///
    /// The number of pages, if it cannot be.
    pub fn completion_ring(&self) -> Result<RingPages<'_>, u32> {
        let count = self.completion_pages.get();
        RingPages::new(count, COMPLETIONS_PER_PAGE, &self.completion)
    }
}

impl SetupMessageRing {
    /// The message ring.
    ///
    /// # Errors
    ///
    /// The number of pages, if it cannot be.
    pub fn message_ring(&self) -> Result<RingPages<'_>, u32> {
        RingPages::new(self.pages.get(), MESSAGES_PER_PAGE, &self.ring)
    }
}

/// Something in a request that no correct driver writes, with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// The CDB is elsewhere, which is not specified.
    OutOfBandCdb,
    /// The CDB has no bytes, or more than there is room for.
    CdbLength(u8),
    /// Data goes both ways, or there is some and it goes neither way.
    Direction(u32),
    /// There is more data than any command has.
    Length(u64),
    /// An element of a list crosses the end of a page, at this address.
    CrossesPage(u64),
    /// An element is not in memory, at this address.
    Unreadable(u64),
    /// A list does not end.
    Endless,
}

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// There is none.
    None,
    /// To the device.
    Out,
    /// From the device.
    In,
}

/// A request after all checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedRequest<'a> {
    /// What names it.
    pub context: Context,
    /// Which way data goes.
    pub direction: Direction,
    /// Whether the data address is that of a list.
    pub is_list: bool,
    /// Where the data is, or the list.
    pub data_address: u64,
    /// Bytes of data, at most [`MAX_DATA`].
    pub data_len: u32,
    /// The CDB: 1 to [`CDB_SIZE`] bytes.
    pub cdb: &'a [u8],
}

impl RequestDescriptor {
    /// What names the request, be it right or wrong otherwise.
    pub fn context(&self) -> Context {
        Context(self.context.get())
    }

    /// Checks a request that was copied out of shared memory.
    ///
    /// # Errors
    ///
    /// [`BadRequest`] for the first thing that is wrong.
    pub fn parse(&self) -> Result<ParsedRequest<'_>, BadRequest> {
        let flags = self.flags.get();
        if flags & flag::OUT_OF_BAND_CDB != 0 {
            return Err(BadRequest::OutOfBandCdb);
        }
        let cdb = match usize::from(self.cdb_len) {
            len @ 1..=CDB_SIZE => self.cdb.get(..len),
            _ => None,
        };
        let cdb = cdb.ok_or(BadRequest::CdbLength(self.cdb_len))?;
        let direction = self.direction()?;
        let data_len = match direction {
            Direction::None => 0,
            _ => self.data_len.get(),
        };
        let data_len = u32::try_from(data_len)
            .ok()
            .filter(|len| *len <= MAX_DATA)
            .ok_or(BadRequest::Length(data_len))?;
        Ok(ParsedRequest {
            context: self.context(),
            direction,
            is_list: flags & flag::SG_LIST != 0,
            data_address: self.data_address.get(),
            data_len,
            cdb,
        })
    }

    fn direction(&self) -> Result<Direction, BadRequest> {
        let flags = self.flags.get();
        if flags & flag::NO_DATA != 0 || self.data_len.get() == 0 {
            return Ok(Direction::None);
        }
        match (flags & flag::TO_DEVICE != 0, flags & flag::TO_HOST != 0) {
            (true, false) => Ok(Direction::Out),
            (false, true) => Ok(Direction::In),
            _ => Err(BadRequest::Direction(flags)),
        }
    }
}

impl ParsedRequest<'_> {
    /// Calls `piece` with address and length of each piece of the data, in order; all of them
    /// are as long as the data. `read` reads an element of a list, once each.
    ///
    /// # Errors
    ///
    /// [`BadRequest`] if the list is wrong, or what `piece` says.
    pub fn pieces<E: From<BadRequest>>(
        &self,
        mut read: impl FnMut(u64) -> Option<SgElement>,
        mut piece: impl FnMut(u64, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.data_len == 0 {
            return Ok(());
        }
        if !self.is_list {
            return piece(self.data_address, self.data_len);
        }
        let mut left = self.data_len;
        let mut at = Some(self.data_address);
        for _ in 0..MAX_ELEMENTS {
            let here = at.ok_or(BadRequest::Unreadable(u64::MAX))?;
            if here & OFFSET > OFFSET.saturating_sub(ELEMENT.saturating_sub(1)) {
                return Err(BadRequest::CrossesPage(here).into());
            }
            let element = read(here).ok_or(BadRequest::Unreadable(here))?;
            if element.flags.get() & SgElement::CHAIN != 0 {
                at = Some(element.address.get());
                continue;
            }
            let len = element.len.get().min(left);
            if len > 0 {
                piece(element.address.get(), len)?;
            }
            left = left.saturating_sub(len);
            if left == 0 {
                return Ok(());
            }
            at = here.checked_add(ELEMENT);
            // What follows the last element of a page is another page, and not the list's.
            if let Some(next) = at.filter(|next| next & OFFSET == 0) {
                return Err(BadRequest::CrossesPage(next).into());
            }
        }
        Err(BadRequest::Endless.into())
    }
}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]
mod tests {
    use super::*;
    use crate::pvscsi::command::Pages;
    use crate::pvscsi::request::Data;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;
    use zerocopy::little_endian::{U16, U32};

    fn request(flags: u32, len: u32) -> RequestDescriptor {
        let data = Data {
            address: 0x1000,
            len,
            flags,
        };
        RequestDescriptor::new(Context(7), 3, 0, &[0x12, 0, 0, 0, 36, 0], data)
    }

    /// The pieces of a request whose list is in `memory`, which begins at 0x1000.
    fn pieces(
        request: &RequestDescriptor,
        memory: &[SgElement],
    ) -> Result<Vec<(u64, u32)>, BadRequest> {
        let mut found = Vec::new();
        let read = |at: u64| {
            let index = usize::try_from(at.checked_sub(0x1000)? / ELEMENT).ok()?;
            memory.get(index).copied()
        };
        let piece = |address, len| {
            found.push((address, len));
            Ok::<(), BadRequest>(())
        };
        request.parse()?.pieces(read, piece)?;
        Ok(found)
    }

    fn chain(address: u64) -> SgElement {
        SgElement {
            flags: U32::new(SgElement::CHAIN),
            ..SgElement::new(address, 0)
        }
    }

    #[test]
    fn requests_are_understood() {
        let parsed = request(flag::TO_HOST, 36);
        let parsed = parsed.parse().unwrap();
        assert_eq!(parsed.direction, Direction::In);
        assert_eq!((parsed.context, parsed.data_len), (Context(7), 36));
        assert_eq!(parsed.cdb, [0x12, 0, 0, 0, 36, 0]);
        assert_eq!(
            pieces(&request(flag::TO_DEVICE, 8), &[]),
            Ok(vec![(0x1000, 8)])
        );
        let none = request(flag::NO_DATA | flag::TO_HOST, 8);
        assert_eq!(none.parse().unwrap().direction, Direction::None);
        assert_eq!(pieces(&none, &[]), Ok(vec![]));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let both = flag::TO_HOST | flag::TO_DEVICE;
        let bad = |request: RequestDescriptor| request.parse().unwrap_err();
        assert_eq!(bad(request(both, 1)), BadRequest::Direction(both));
        assert_eq!(bad(request(0, 1)), BadRequest::Direction(0));
        assert_eq!(
            bad(request(flag::OUT_OF_BAND_CDB, 0)),
            BadRequest::OutOfBandCdb
        );
        let mut long = request(flag::TO_HOST, 1);
        long.cdb_len = 17;
        assert_eq!(bad(long), BadRequest::CdbLength(17));
        long.cdb_len = 0;
        assert_eq!(bad(long), BadRequest::CdbLength(0));
        long.cdb_len = 6;
        long.data_len.set(1 << 33);
        assert_eq!(bad(long), BadRequest::Length(1 << 33));
    }

    #[test]
    fn lists_are_walked_to_the_end_of_the_data() {
        let list = request(flag::SG_LIST | flag::TO_HOST, 100);
        let memory = [
            SgElement::new(0x8000, 40),
            SgElement::new(0, 0),
            chain(0x1040),
            SgElement::new(0xbad, 1),
            SgElement::new(0x9000, 80),
        ];
        assert_eq!(pieces(&list, &memory), Ok(vec![(0x8000, 40), (0x9000, 60)]));
    }

    #[test]
    fn lists_that_are_wrong_end() {
        let list = request(flag::SG_LIST | flag::TO_HOST, 100);
        let bad = |memory: &[SgElement]| pieces(&list, memory).unwrap_err();
        assert_eq!(bad(&[chain(0x1000)]), BadRequest::Endless);
        assert_eq!(bad(&[]), BadRequest::Unreadable(0x1000));
        assert_eq!(bad(&[chain(0x1ff8)]), BadRequest::CrossesPage(0x1ff8));
        assert_eq!(
            bad(&[SgElement::new(0, 0); 300]),
            BadRequest::CrossesPage(0x2000)
        );
    }

    #[test]
    fn rings_have_a_power_of_two_of_pages_that_were_named() {
        let pages = |count| Pages {
            address: 0x1_0000,
            count,
        };
        let rings =
            |request, completion| SetupRings::new(0x1000, pages(request), pages(completion));
        let good = rings(8, 32);
        let request = good.request_ring().unwrap();
        assert_eq!((request.entries.count(), request.pages.len()), (256, 8));
        assert_eq!(request.pages[7].get(), 0x17);
        assert_eq!(good.completion_ring().unwrap().entries.count(), 4096);
        for count in [0, 3, 33, 64, u32::MAX] {
            let mut bad = rings(1, 1);
            bad.request_pages.set(count);
            bad.completion_pages.set(count);
            assert_eq!(bad.request_ring(), Err(count));
            assert_eq!(bad.completion_ring(), Err(count));
            let mut bad = SetupMessageRing::new(pages(1));
            bad.pages.set(count);
            assert_eq!(bad.message_ring(), Err(count));
        }
        let most = SetupMessageRing::new(pages(16))
            .message_ring()
            .map(|ring| ring.entries.count());
        assert_eq!(most, Ok(512));
    }

    proptest! {
        #[test]
        fn pieces_of_any_list_are_as_long_as_the_data(
            len in 1..0x1_0000_u32,
            raw in prop::collection::vec((any::<u16>(), 0..0x4000_u32, 0..4_u32), 1..256),
        ) {
            let list = request(flag::SG_LIST | flag::TO_DEVICE, len);
            let memory: Vec<_> = raw.iter().map(|(address, len, flags)| SgElement {
                address: U64::new(0x1000 + u64::from(*address) % 0x1000),
                len: U32::new(*len),
                flags: U32::new(flags & (flags >> 1)),
            }).collect();
            if let Ok(pieces) = pieces(&list, &memory) {
                let total: u64 = pieces.iter().map(|(_, len)| u64::from(*len)).sum();
                prop_assert_eq!(total, u64::from(len));
            }
        }

        #[test]
        fn what_is_understood_is_within_limits(flags in 0..32_u32, len: u64, cdb_len: u8, tag: u16) {
            let mut any = request(flags, 0);
            any.data_len = U64::new(len);
            any.cdb_len = cdb_len;
            any.vcpu_hint = U16::new(tag);
            if let Ok(parsed) = any.parse() {
                prop_assert!(parsed.data_len <= MAX_DATA && (1..=16).contains(&parsed.cdb.len()));
                prop_assert_eq!(parsed.direction == Direction::None, parsed.data_len == 0);
            }
        }
    }
}
