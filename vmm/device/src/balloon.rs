// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Pages that a guest has given back to the host.
//!
//! A [`Balloon`] is the one record of them, whichever protocol a guest gives them by. It
//! has a bit for each page of guest memory. What is given has no memory of the host behind
//! it any more; a guest that takes it back finds zeroes, which the host allocates as they
//! are touched.
//!
//! Not obvious: a page may be given once and taken back once. Who gives a page twice, or
//! takes one that was never given, has lost track of its memory; that is refused, counted
//! and told. And bits and memory change under one lock: a page that another processor
//! takes back and uses at once must not be discarded then.

mod sys;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use vm_memory::{Address, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use crate::counters::{Counted, Counter};
use crate::limit::{warn_limited, RateLimit};
use crate::memory::GuestMemory;

/// Bytes of a page.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;
/// How far an address is shifted to be the number of a page.
const PAGE_SHIFT: u32 = 12;

/// Pages in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pages {
    /// The number of the first one.
    pub first: u64,
    /// How many they are.
    pub count: u64,
}

impl Pages {
    fn end(self) -> Option<u64> {
        self.first.checked_add(self.count)
    }
}

/// How a balloon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The protocol.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What is wanted in it, in bytes.
    pub target: u64,
    /// What is in it, in bytes.
    pub current: u64,
    /// Bytes of the machine's memory.
    pub memory: u64,
    /// Whatever else there is to say of the protocol and its guest.
    #[serde(flatten)]
    pub guest: Value,
}

/// Why pages are refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PageError {
    /// They are not all pages of guest memory.
    #[error("is no guest memory")]
    NoMemory,
    /// One of them is in the balloon.
    #[error("is in the balloon already")]
    Given,
    /// One of them is not in the balloon.
    #[error("is not in the balloon")]
    NotGiven,
}

/// What is counted, in pages.
#[derive(Debug, Default, Serialize)]
struct Counters {
    /// Given by the guest.
    given: Counter,
    /// Taken back by it.
    taken: Counter,
    /// In the balloon when it was forgotten.
    forgotten: Counter,
    /// Given although they were.
    given_twice: Counter,
    /// Taken back although they were not given.
    not_given: Counter,
    /// That are none.
    no_memory: Counter,
    /// That the host did not let go of.
    not_discarded: Counter,
}

/// The record.
pub struct Balloon {
    memory: GuestMemory,
    state: Mutex<State>,
    counters: Counters,
    limit: RateLimit,
}

/// A stretch of guest memory and which of its pages were given.
struct Region {
    pages: Pages,
    given: Vec<u64>,
}

struct State {
    regions: Vec<Region>,
    given: u64,
}

impl Region {
    /// The words and masks that stand for pages of the region. `None` if they are not all
    /// in it.
    fn bits(&self, pages: Pages) -> Option<impl Iterator<Item = (usize, u64)>> {
        let start = pages.first.checked_sub(self.pages.first)?;
        let end = start.checked_add(pages.count)?;
        if pages.count == 0 || end > self.pages.count {
            return None;
        }
        let words = (start >> 6)..end.div_ceil(64);
        Some(words.filter_map(move |word| {
            let base = word << 6;
            let low = start.saturating_sub(base);
            let high = end.saturating_sub(base).min(64);
            let below = u64::MAX.checked_shr(64_u64.saturating_sub(high) as u32)?;
            let mask = below & u64::MAX.checked_shl(low as u32)?;
            Some((usize::try_from(word).ok()?, mask))
        }))
    }
}

impl State {
    /// Gives pages, or takes them: all of them, or none.
    fn set(&mut self, pages: Pages, give: bool) -> Result<(), PageError> {
        let found = |region: &&mut Region| region.bits(pages).is_some();
        let region = self.regions.iter_mut().find(found);
        let region = region.ok_or(PageError::NoMemory)?;
        let bits: Vec<_> = region.bits(pages).into_iter().flatten().collect();
        for (word, mask) in &bits {
            let given = region.given.get(*word).ok_or(PageError::NoMemory)? & mask;
            if give && given != 0 {
                return Err(PageError::Given);
            }
            if !give && given != *mask {
                return Err(PageError::NotGiven);
            }
        }
        for (word, mask) in bits {
            if let Some(given) = region.given.get_mut(word) {
                *given ^= mask;
            }
        }
        self.given = if give {
            self.given.saturating_add(pages.count)
        } else {
            self.given.saturating_sub(pages.count)
        };
        Ok(())
    }
}

impl Balloon {
    /// An empty balloon of this memory.
    pub fn new(memory: GuestMemory) -> Self {
        let region = |start: GuestAddress, len: u64| {
            let count = len >> PAGE_SHIFT;
            Region {
                pages: Pages {
                    first: start.raw_value() >> PAGE_SHIFT,
                    count,
                },
                given: vec![0; usize::try_from(count.div_ceil(64)).unwrap_or(0)],
            }
        };
        let regions = memory.iter();
        let regions = regions.map(|one| region(one.start_addr(), one.len()));
        let state = State {
            regions: regions.collect(),
            given: 0,
        };
        Self {
            memory,
            state: Mutex::new(state),
            counters: Counters::default(),
            limit: RateLimit::default(),
        }
    }

    /// The guest gives these pages: what became of each entry, which is given whole or not
    /// at all. What they held is gone.
    pub fn give(&self, entries: &[Pages]) -> Vec<Result<(), PageError>> {
        let mut state = self.lock();
        let results = self.set(&mut state, entries, true);
        let given = entries.iter().zip(&results);
        let given = given.filter(|(_, result)| result.is_ok());
        for run in runs(given.map(|(pages, _)| *pages).collect()) {
            self.discard(run);
        }
        results
    }

    /// The guest takes these pages back: what became of each entry.
    pub fn take_back(&self, entries: &[Pages]) -> Vec<Result<(), PageError>> {
        self.set(&mut self.lock(), entries, false)
    }

    /// The guest has every page again, without having taken any back. Says how many those
    /// were.
    pub fn forget(&self) -> u64 {
        let mut state = self.lock();
        for region in &mut state.regions {
            region.given.fill(0);
        }
        let forgotten = std::mem::take(&mut state.given);
        self.counters.forgotten.add(forgotten);
        forgotten
    }

    /// Pages that are in it.
    pub fn pages(&self) -> u64 {
        self.lock().given
    }

    /// Pages that could be in it: all of guest memory.
    pub fn capacity(&self) -> u64 {
        let state = self.lock();
        let pages = state.regions.iter().map(|region| region.pages.count);
        pages.fold(0, u64::saturating_add)
    }

    fn set(&self, state: &mut State, entries: &[Pages], give: bool) -> Vec<Result<(), PageError>> {
        let mut set = |pages: &Pages| {
            let result = state.set(*pages, give);
            self.count(*pages, give, result);
            result
        };
        entries.iter().map(&mut set).collect()
    }

    fn count(&self, pages: Pages, give: bool, result: Result<(), PageError>) {
        let Pages { first, count } = pages;
        let counter = match result {
            Ok(()) if give => &self.counters.given,
            Ok(()) => &self.counters.taken,
            Err(PageError::NoMemory) => &self.counters.no_memory,
            Err(PageError::Given) => &self.counters.given_twice,
            Err(PageError::NotGiven) => &self.counters.not_given,
        };
        counter.add(count);
        if let Err(error) = result {
            warn_limited!(self.limit, count, "balloon: page {first:#x} {error}");
        }
    }

    /// Has the host take the memory behind pages that are guest memory.
    fn discard(&self, pages: Pages) {
        let address = GuestAddress(pages.first << PAGE_SHIFT);
        let len = usize::try_from(pages.count << PAGE_SHIFT).unwrap_or(0);
        for slice in self.memory.get_slices(address, len).filter_map(Result::ok) {
            if let Err(error) = sys::discard(&slice) {
                let count = slice.len() as u64 >> PAGE_SHIFT;
                self.counters.not_discarded.add(count);
                warn_limited!(self.limit, %error, count, "balloon: memory stays with the guest");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted for Balloon {
    fn counters(&self) -> serde_json::Value {
        serde_json::to_value(&self.counters).unwrap_or_default()
    }
}

/// The same pages in as few runs as possible: each costs a call of the host's kernel.
fn runs(mut pages: Vec<Pages>) -> Vec<Pages> {
    pages.sort_unstable();
    let mut runs: Vec<Pages> = Vec::new();
    for next in pages {
        match runs.last_mut() {
            Some(last) if last.end() == Some(next.first) => {
                last.count = last.count.saturating_add(next.count);
            }
            _ => runs.push(next),
        }
    }
    runs
}
