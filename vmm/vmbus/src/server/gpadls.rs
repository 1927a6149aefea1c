// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Memory that the guest has given handles.

use std::collections::BTreeMap;

use hospes_device::memory::GuestMemory;
use protocol::hyperv::PAGE_SIZE;
use protocol::vmbus::gpa::{BadRange, Ranges};
use protocol::vmbus::gpadl::{Assembler, BadGpadl, Limits, Progress};
use protocol::vmbus::message::{GpadlBody, GpadlHeader};
use thiserror::Error;
use zerocopy::little_endian::U64;

use crate::memory::{NoMemory, Pages};

/// Most pages of all GPADLs together: 4 GiB, which takes 8 MiB of ours.
const MAX_PAGES: u64 = 1 << 20;
/// Most GPADLs, whole or not.
const MAX_GPADLS: usize = 8192;
/// Most ranges of one; Linux has one.
const MAX_RANGES: u16 = 1024;

/// Why memory is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum GpadlError {
    #[error("{0:?}")]
    Bad(BadGpadl),
    #[error("the handle is in use")]
    Taken,
    #[error("too much of it")]
    Full,
    #[error("a part of a GPADL that was never begun")]
    Unknown,
    #[error("there is no such GPADL")]
    Missing,
    #[error("{0:?}")]
    Range(BadRange),
    #[error("a ring that does not begin at a page")]
    NotAligned,
    #[error("rings of {pages} pages, the second from page {second}")]
    Split { pages: usize, second: u32 },
    #[error("{0}")]
    NoMemory(NoMemory),
}

/// A GPADL that is coming in, or is whole.
struct Gpadl {
    relid: u32,
    /// None once it is whole.
    assembler: Option<Assembler>,
    range_count: u16,
    words: Vec<U64>,
    pages: u64,
}

/// All of a guest's.
#[derive(Default)]
pub(super) struct Gpadls {
    by_handle: BTreeMap<u32, Gpadl>,
    pages: u64,
}

impl Gpadls {
    /// Takes the first message of a GPADL. The result is the channel that it is
    /// for if it is whole.
    pub(super) fn begin(
        &mut self,
        header: &GpadlHeader,
        words: &[U64],
    ) -> Result<Option<u32>, GpadlError> {
        let handle = header.gpadl.get();
        if self.by_handle.contains_key(&handle) {
            return Err(GpadlError::Taken);
        }
        if self.by_handle.len() >= MAX_GPADLS {
            return Err(GpadlError::Full);
        }
        let limits = self.limits();
        let (assembler, progress) =
            Assembler::begin(header, words, limits).map_err(GpadlError::Bad)?;
        let gpadl = Gpadl {
            relid: header.relid.get(),
            range_count: header.range_count.get(),
            pages: assembler.pages(),
            words: words.to_vec(),
            assembler: (progress == Progress::Incomplete).then_some(assembler),
        };
        self.pages = self.pages.saturating_add(gpadl.pages);
        let whole = gpadl.assembler.is_none().then_some(gpadl.relid);
        self.by_handle.insert(handle, gpadl);
        Ok(whole)
    }

    /// Takes a further message. An error has the channel that the guest waits for,
    /// if that is known.
    pub(super) fn proceed(
        &mut self,
        body: &GpadlBody,
        words: &[U64],
    ) -> Result<Option<u32>, (Option<u32>, GpadlError)> {
        let handle = body.gpadl.get();
        let unknown = (None, GpadlError::Unknown);
        let gpadl = self.by_handle.get_mut(&handle).ok_or(unknown)?;
        let assembler = gpadl.assembler.as_mut().ok_or(unknown)?;
        let relid = gpadl.relid;
        match assembler.proceed(body, words) {
            Ok(progress) => {
                // Ranges may begin in any message.
                let more = assembler.pages().saturating_sub(gpadl.pages);
                gpadl.pages = gpadl.pages.saturating_add(more);
                gpadl.words.extend_from_slice(words);
                if progress == Progress::Complete {
                    gpadl.assembler = None;
                }
                let is_whole = gpadl.assembler.is_none();
                self.pages = self.pages.saturating_add(more);
                if self.pages > MAX_PAGES {
                    self.remove(handle);
                    return Err((Some(relid), GpadlError::Full));
                }
                Ok(is_whole.then_some(relid))
            }
            Err(error) => {
                self.remove(handle);
                Err((Some(relid), GpadlError::Bad(error)))
            }
        }
    }

    fn limits(&self) -> Limits {
        let left = MAX_PAGES.saturating_sub(self.pages);
        Limits {
            pages: u32::try_from(left).unwrap_or(u32::MAX),
            ranges: MAX_RANGES,
        }
    }

    /// Forgets a GPADL; says whether there was one.
    pub(super) fn remove(&mut self, handle: u32) -> bool {
        let removed = self.by_handle.remove(&handle);
        if let Some(gpadl) = &removed {
            self.pages = self.pages.saturating_sub(gpadl.pages);
        }
        removed.is_some()
    }

    /// Forgets those of a channel that is gone.
    pub(super) fn forget(&mut self, relid: u32) {
        let of_channel = (self.by_handle.iter()).filter(|(_, gpadl)| gpadl.relid == relid);
        let handles: Vec<_> = of_channel.map(|(handle, _)| *handle).collect();
        for handle in handles {
            self.remove(handle);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The two rings in a GPADL, of which the second begins at page `second`.
    pub(super) fn rings(
        &self,
        memory: &GuestMemory,
        handle: u32,
        second: u32,
    ) -> Result<[Pages; 2], GpadlError> {
        let pages = self.addresses(handle)?;
        let at = usize::try_from(second).unwrap_or(usize::MAX);
        let split = GpadlError::Split {
            pages: pages.len(),
            second,
        };
        let (first, last) = pages.split_at_checked(at).ok_or(split)?;
        if first.is_empty() || last.is_empty() {
            return Err(split);
        }
        let ring =
            |pages: &[u64]| Pages::new(memory, pages.iter().copied()).map_err(GpadlError::NoMemory);
        Ok([ring(first)?, ring(last)?])
    }

    /// The pages of a GPADL that is whole and consists of whole pages.
    fn addresses(&self, handle: u32) -> Result<Vec<u64>, GpadlError> {
        let gpadl = self.by_handle.get(&handle).ok_or(GpadlError::Missing)?;
        if gpadl.assembler.is_some() {
            return Err(GpadlError::Missing);
        }
        let ranges =
            Ranges::new(&gpadl.words, gpadl.range_count.into()).map_err(GpadlError::Range)?;
        let mut addresses = Vec::with_capacity(gpadl.words.len());
        for range in ranges {
            if range.offset() != 0 || range.len() % PAGE_SIZE != 0 {
                return Err(GpadlError::NotAligned);
            }
            let address = |pfn: &U64| pfn.get().saturating_mul(PAGE_SIZE.into());
            addresses.extend(range.pfns().iter().map(address));
        }
        Ok(addresses)
    }
}
