// SPDX-License-Identifier: GPL-2.0

//! The rings: requests, completions, and messages if there can be any.
//!
//! The driver's indices are its own copies: what the device does to the page of the rings' state
//! only matters where it is the device's to write. Entries and indices of the device are copied
//! out, and an index is checked before an entry is looked at.

use core::mem::{
    offset_of,
    size_of, //
};
use guest::dma::{
    SharedMemory,
    Words, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    prelude::*,
    sync::barrier, //
};
use protocol::pvscsi::{
    command::{
        Pages,
        SetupMessageRing,
        SetupRings, //
    },
    ring::{
        self,
        COMPLETIONS_PER_PAGE,
        MESSAGES_PER_PAGE,
        REQUESTS_PER_PAGE, //
    },
    Completion,
    CompletionDescriptor,
    Entries,
    MessageDescriptor,
    Request,
    RequestDescriptor,
    RingError,
    RingsState,
    COMPLETION_WORDS,
    REQUEST_WORDS, //
};

/// An entry of the request ring, to be written.
pub(crate) struct Entry<'a>(Words<'a, REQUEST_WORDS>);

impl Entry<'_> {
    /// Writes a request, word by word.
    #[inline]
    pub(crate) fn write(&mut self, request: &Request) {
        let [context, address, len, sense, sense_len, cdb, cdb_end, unit, target] = request.words();
        self.0.set::<0>(context);
        self.0.set::<1>(address);
        self.0.set::<2>(len);
        self.0.set::<3>(sense);
        self.0.set::<4>(sense_len);
        self.0.set::<5>(cdb);
        self.0.set::<6>(cdb_end);
        self.0.set::<7>(unit);
        self.0.set::<8>(target);
    }
}

/// A ring in memory.
struct Ring {
    memory: SharedMemory,
    pages: u32,
    /// What there is room for.
    room: Entries,
    /// What the device makes of it.
    entries: Entries,
    /// The driver's index.
    index: u32,
}

impl Ring {
    fn new(dev: &device::Device<Bound>, pages: u32, per_page: u32) -> Result<Self> {
        let room = Entries::of_pages(pages, per_page).ok_or(EINVAL)?;
        Ok(Self {
            memory: SharedMemory::new(dev, pages)?,
            pages,
            room,
            entries: room,
            index: 0,
        })
    }

    fn pages(&self) -> Pages {
        Pages {
            address: self.memory.address(),
            count: self.pages,
        }
    }

    fn clear(&mut self) {
        self.memory.clear();
        self.index = 0;
    }

    /// Takes what the device says of the size.
    fn begin(&mut self, log2: u32) -> Result<(), RingError> {
        self.entries = self.room.told(log2)?;
        Ok(())
    }

    /// Where the entry of the driver's index is, in a ring of `T`.
    #[inline]
    fn offset<T>(&self) -> usize {
        self.entries.slot(self.index).wrapping_mul(size_of::<T>())
    }
}

/// The rings, and the page of their state.
pub(crate) struct Rings {
    state: SharedMemory,
    requests: Ring,
    completions: Ring,
    messages: Option<Ring>,
    /// Whether the device has made a ring of what it was told of the message ring.
    has_messages: bool,
}

impl Rings {
    /// Memory for rings of so many pages, powers of two all of them. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EINVAL` if a number makes no sense.
    pub(crate) fn new(
        dev: &device::Device<Bound>,
        pages: u32,
        message_pages: Option<u32>,
    ) -> Result<Self> {
        Ok(Self {
            state: SharedMemory::new(dev, 1)?,
            requests: Ring::new(dev, pages, REQUESTS_PER_PAGE)?,
            completions: Ring::new(dev, pages, COMPLETIONS_PER_PAGE)?,
            messages: match message_pages {
                Some(pages) => Some(Ring::new(dev, pages, MESSAGES_PER_PAGE)?),
                None => None,
            },
            has_messages: false,
        })
    }

    /// Makes all of it as new.
    pub(crate) fn clear(&mut self) {
        self.state.clear();
        self.requests.clear();
        self.completions.clear();
        if let Some(messages) = &mut self.messages {
            messages.clear();
        }
    }

    /// What the device has to be told: the rings, and then the message ring.
    pub(crate) fn setup(&self) -> (SetupRings, Option<SetupMessageRing>) {
        (
            SetupRings::new(
                self.state.address(),
                self.requests.pages(),
                self.completions.pages(),
            ),
            self.messages
                .as_ref()
                .map(|ring| SetupMessageRing::new(ring.pages())),
        )
    }

    /// Takes what the device says of the sizes, now that it was told.
    ///
    /// # Errors
    ///
    /// A size that cannot be. That of the message ring is returned: the others work without it.
    pub(crate) fn begin(&mut self) -> Result<Option<RingError>, RingError> {
        let state = &self.state;
        let log2 = |offset| state.observe32(offset);
        self.requests
            .begin(log2(offset_of!(RingsState, request_log2)))?;
        self.completions
            .begin(log2(offset_of!(RingsState, completion_log2)))?;
        let Some(messages) = &mut self.messages else {
            return Ok(None);
        };
        let result = messages.begin(log2(offset_of!(RingsState, message_log2)));
        // Its memory is the device's all the same.
        self.has_messages = result.is_ok();
        Ok(result.err())
    }

    /// How many requests can be in flight.
    #[inline]
    pub(crate) fn depth(&self) -> u32 {
        self.requests
            .entries
            .count()
            .min(self.completions.entries.count())
    }

    /// Whether there is a message ring.
    pub(crate) fn has_message_ring(&self) -> bool {
        self.has_messages
    }

    /// The entry of the next request, which nobody uses, if there are fewer than
    /// [`depth`](Self::depth) in flight.
    #[inline]
    pub(crate) fn next_request(&mut self) -> Option<Entry<'_>> {
        let at = self.requests.offset::<RequestDescriptor>();
        self.requests.memory.words(at).map(Entry)
    }

    /// Gives the device the next request, which was written.
    #[inline]
    pub(crate) fn push(&mut self) {
        let index = self.requests.index.wrapping_add(1);
        self.requests.index = index;
        self.state
            .publish32(offset_of!(RingsState, request_produced), index);
    }

    /// Whether the device wants to be kicked for reads and writes that were added.
    pub(crate) fn wants_kick(&self) -> bool {
        // What was added is there before the device's wish is looked at: it may just be changing
        // its mind, and looks for requests after that.
        barrier::smp_mb(barrier::Full);
        let consumed = self
            .state
            .observe32(offset_of!(RingsState, request_consumed));
        let threshold = self
            .state
            .observe32(offset_of!(RingsState, request_threshold));
        let Ring { index, entries, .. } = self.requests;
        ring::needs_kick(index, consumed, threshold, entries)
    }

    /// Takes a completion, if there is one, and gives the device its room back.
    ///
    /// # Errors
    ///
    /// An index of the device that cannot be.
    #[inline]
    pub(crate) fn next_completion(&mut self) -> Result<Option<Completion>, RingError> {
        let produced = self
            .state
            .observe32(offset_of!(RingsState, completion_produced));
        let ring = &mut self.completions;
        if ring.entries.used(produced, ring.index)? == 0 {
            return Ok(None);
        }
        let at = ring.offset::<CompletionDescriptor>();
        let Some(entry) = ring.memory.words::<COMPLETION_WORDS>(at) else {
            return Ok(None);
        };
        let words = [entry.get::<0>(), entry.get::<1>(), entry.get::<2>()];
        ring.index = ring.index.wrapping_add(1);
        let index = ring.index;
        self.state
            .publish32(offset_of!(RingsState, completion_consumed), index);
        Ok(Some(Completion::of_words(words)))
    }

    /// How many completions there can be at a time.
    #[inline]
    pub(crate) fn completions(&self) -> u32 {
        self.completions.entries.count()
    }

    /// How many messages there are.
    ///
    /// # Errors
    ///
    /// An index of the device that cannot be.
    #[inline]
    pub(crate) fn waiting_messages(&self) -> Result<u32, RingError> {
        let ring = match &self.messages {
            Some(ring) if self.has_messages => ring,
            _ => return Ok(0),
        };
        let produced = self
            .state
            .observe32(offset_of!(RingsState, message_produced));
        ring.entries.used(produced, ring.index)
    }

    /// Takes a message, if there is one.
    ///
    /// # Errors
    ///
    /// An index of the device that cannot be.
    pub(crate) fn next_message(&mut self) -> Result<Option<MessageDescriptor>, RingError> {
        if self.waiting_messages()? == 0 {
            return Ok(None);
        }
        let Some(ring) = &mut self.messages else {
            return Ok(None);
        };
        let entry = ring.memory.read(ring.offset::<MessageDescriptor>());
        ring.index = ring.index.wrapping_add(1);
        let index = ring.index;
        self.state
            .publish32(offset_of!(RingsState, message_consumed), index);
        Ok(entry)
    }
}
