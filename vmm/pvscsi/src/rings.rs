// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Rings in guest memory: where their entries are, and the page of their state.
//!
//! Pages are looked at once, when a driver names them. The layout of memory is
//! fixed, so that an entry of a ring is memory from then on.

use std::sync::atomic::Ordering;

use hospes_device::memory::GuestMemory;
use protocol::pvscsi::command::{SetupMessageRing, SetupRings};
use protocol::pvscsi::parse::RingPages;
use protocol::pvscsi::ring::{offset, COMPLETIONS_PER_PAGE, MESSAGES_PER_PAGE, REQUESTS_PER_PAGE};
use protocol::pvscsi::{Entries, RingsState, PAGE_SIZE};
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Why rings cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum BadRings {
    #[error("{0} pages of the request ring")]
    RequestPages(u32),
    #[error("{0} pages of the completion ring")]
    CompletionPages(u32),
    #[error("{0} pages of the message ring")]
    MessagePages(u32),
    #[error("{completions} entries for the completions of {requests} requests")]
    Room { requests: u32, completions: u32 },
    #[error("no guest memory in page {0:#x}")]
    NoMemory(u64),
}

/// A page of guest memory.
///
/// # Invariants
///
/// It lies in the memory that it was made with.
#[derive(Clone, Copy, Debug)]
struct Page(GuestAddress);

impl Page {
    fn new(memory: &GuestMemory, number: u64) -> Result<Self, BadRings> {
        let bad = BadRings::NoMemory(number);
        let address = number
            .checked_mul(PAGE_SIZE as u64)
            .filter(|address| address.checked_add(PAGE_SIZE as u64).is_some())
            .ok_or(bad)?;
        let address = GuestAddress(address);
        if memory.check_range(address, PAGE_SIZE) {
            Ok(Self(address))
        } else {
            Err(bad)
        }
    }

    fn at(&self, offset: usize) -> Option<GuestAddress> {
        let offset = u64::try_from(offset).ok()?;
        Some(GuestAddress(self.0 .0.checked_add(offset)?))
    }
}

/// A ring.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    /// How many entries it has.
    pub(crate) entries: Entries,
    pages: Vec<Page>,
    per_page: usize,
}

impl Ring {
    fn new(memory: &GuestMemory, ring: &RingPages<'_>, per_page: u32) -> Result<Self, BadRings> {
        let pages = (ring.pages.iter()).map(|number| Page::new(memory, number.get()));
        Ok(Self {
            entries: ring.entries,
            pages: pages.collect::<Result<_, _>>()?,
            per_page: per_page as usize,
        })
    }

    /// The message ring that a driver names.
    pub(crate) fn of_messages(
        memory: &GuestMemory,
        setup: &SetupMessageRing,
    ) -> Result<Self, BadRings> {
        let ring = setup.message_ring().map_err(BadRings::MessagePages)?;
        Self::new(memory, &ring, MESSAGES_PER_PAGE)
    }

    fn address(&self, index: u32) -> Option<GuestAddress> {
        let slot = self.entries.slot(index);
        let page = self.pages.get(slot.checked_div(self.per_page)?)?;
        let entry = PAGE_SIZE.checked_div(self.per_page)?;
        page.at(slot.checked_rem(self.per_page)?.checked_mul(entry)?)
    }

    /// Copies the entry of an index.
    pub(crate) fn read<T: FromBytes + IntoBytes>(
        &self,
        memory: &GuestMemory,
        index: u32,
    ) -> Option<T> {
        read(memory, self.address(index)?)
    }

    /// Writes the entry of an index.
    pub(crate) fn write<T: IntoBytes + Immutable>(
        &self,
        memory: &GuestMemory,
        index: u32,
        entry: &T,
    ) {
        if let Some(address) = self.address(index) {
            // INVARIANT: an entry is memory.
            let _ = memory.write_slice(entry.as_bytes(), address);
        }
    }
}

/// Copies something out of guest memory, if there is some.
pub(crate) fn read<T: FromBytes + IntoBytes>(
    memory: &GuestMemory,
    address: GuestAddress,
) -> Option<T> {
    let mut value = T::new_zeroed();
    memory.read_slice(value.as_mut_bytes(), address).ok()?;
    Some(value)
}

/// The rings that a driver has set up, without that for messages.
#[derive(Debug)]
pub(crate) struct Rings {
    pub(crate) memory: GuestMemory,
    pub(crate) requests: Ring,
    pub(crate) completions: Ring,
    state: Page,
}

impl Rings {
    /// The rings that a driver names. Nothing is written to them yet.
    pub(crate) fn new(memory: &GuestMemory, setup: &SetupRings) -> Result<Self, BadRings> {
        let requests = setup.request_ring().map_err(BadRings::RequestPages)?;
        let completions = setup.completion_ring().map_err(BadRings::CompletionPages)?;
        if completions.entries.count() < requests.entries.count() {
            return Err(BadRings::Room {
                requests: requests.entries.count(),
                completions: completions.entries.count(),
            });
        }
        Ok(Self {
            requests: Ring::new(memory, &requests, REQUESTS_PER_PAGE)?,
            completions: Ring::new(memory, &completions, COMPLETIONS_PER_PAGE)?,
            state: Page::new(memory, setup.state_page.get())?,
            // A reference count of its own, which no other device's commands touch.
            memory: GuestMemory::new((**memory).clone()),
        })
    }

    /// Writes the state of empty rings.
    pub(crate) fn announce(&self) {
        // INVARIANT: the state is a page of memory.
        let zeros = [0; size_of::<RingsState>()];
        let _ = self.memory.write_slice(&zeros, self.state.0);
        self.store(offset::REQUEST_LOG2, self.requests.entries.log2());
        self.store(offset::COMPLETION_LOG2, self.completions.entries.log2());
    }

    /// Writes a word of the state that is not so, if there is one.
    pub(crate) fn pretend(&self, offset: usize, value: Option<u32>) {
        if let Some(value) = value {
            self.store(offset, value);
        }
    }

    /// Writes the state of an empty message ring.
    pub(crate) fn announce_messages(&self, ring: &Ring) {
        self.store(offset::MESSAGE_PRODUCED, 0);
        self.store(offset::MESSAGE_CONSUMED, 0);
        self.store(offset::MESSAGE_LOG2, ring.entries.log2());
    }

    /// Reads a word of the state; what the driver wrote before it is seen after this.
    pub(crate) fn load(&self, offset: usize) -> u32 {
        let word = |address| self.memory.load::<u32>(address, Ordering::Acquire).ok();
        let value = self.state.at(offset).and_then(word);
        // INVARIANT: the state is a page of memory.
        value.map_or(0, u32::from_le)
    }

    /// Writes a word of the state, after all that was written before.
    pub(crate) fn store(&self, offset: usize, value: u32) {
        if let Some(address) = self.state.at(offset) {
            // INVARIANT: the state is a page of memory.
            let _ = (self.memory).store(value.to_le(), address, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{memory, MEMORY_SIZE};
    use proptest::prelude::*;
    use protocol::pvscsi::command::Pages;
    use protocol::pvscsi::{CompletionDescriptor, Context, HostStatus, PAGE_SHIFT};

    fn pages(address: u64, count: u32) -> Pages {
        Pages { address, count }
    }

    fn setup() -> SetupRings {
        SetupRings::new(0x1000, pages(0x2000, 1), pages(0x4000, 2))
    }

    #[test]
    fn rings_may_be_anywhere_in_memory_and_nowhere_else() {
        let memory = memory();
        assert!(Rings::new(&memory, &setup()).is_ok());
        let refuse = |change: &dyn Fn(&mut SetupRings)| {
            let mut setup = setup();
            change(&mut setup);
            Rings::new(&memory, &setup).unwrap_err()
        };
        let end = MEMORY_SIZE as u64 >> PAGE_SHIFT;
        for number in [end, u64::MAX, u64::MAX >> PAGE_SHIFT] {
            let bad = BadRings::NoMemory(number);
            assert_eq!(refuse(&|setup| setup.state_page.set(number)), bad);
            assert_eq!(refuse(&|setup| setup.request[0].set(number)), bad);
            assert_eq!(refuse(&|setup| setup.completion[1].set(number)), bad);
        }
        assert_eq!(
            refuse(&|setup| setup.request_pages.set(3)),
            BadRings::RequestPages(3)
        );
        assert_eq!(
            refuse(&|setup| setup.completion_pages.set(33)),
            BadRings::CompletionPages(33)
        );
        assert_eq!(
            refuse(&|setup| setup.request_pages.set(16)),
            BadRings::Room {
                requests: 512,
                completions: 256
            }
        );
    }

    #[test]
    fn the_device_writes_the_sizes() {
        let memory = memory();
        memory
            .write_slice(&[0xff; 4096], GuestAddress(0x1000))
            .unwrap();
        let rings = Rings::new(&memory, &setup()).unwrap();
        rings.announce();
        let state: RingsState = read(&memory, GuestAddress(0x1000)).unwrap();
        assert_eq!(
            (state.request_log2.get(), state.completion_log2.get()),
            (5, 8)
        );
        assert_eq!(
            state.request_produced.get() | state.completion_produced.get(),
            0
        );
        let messages = SetupMessageRing::new(pages(0x8000, 1));
        rings.announce_messages(&Ring::of_messages(&memory, &messages).unwrap());
        assert_eq!(rings.load(offset::MESSAGE_LOG2), 5);
    }

    proptest! {
        #[test]
        fn entries_of_any_index_are_on_the_pages_named(index: u32) {
            let memory = memory();
            let mut setup = setup();
            setup.completion[0].set(9);
            setup.completion[1].set(5);
            let ring = Rings::new(&memory, &setup).unwrap().completions;
            let entry = CompletionDescriptor::failed(Context(u64::from(index)), HostStatus::SUCCESS);
            ring.write(&memory, index, &entry);
            prop_assert_eq!(ring.read(&memory, index), Some(entry));
            let slot = u64::from(index % 256);
            let page = if slot < 128 { 0x9000 } else { 0x5000 };
            let found: Option<CompletionDescriptor> =
                read(&memory, GuestAddress(page + slot % 128 * 32));
            prop_assert_eq!(found, Some(entry));
        }
    }
}
