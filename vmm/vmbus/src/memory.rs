// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Pages of guest memory, one after the other, that the guest writes at the same
//! time.

use std::sync::atomic::{fence, AtomicU32, Ordering};

use hospes_device::memory::GuestMemory;
use protocol::hyperv::shared::{Shared, SharedExchange};
use protocol::hyperv::PAGE_SIZE;
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, VolatileMemory};

/// Bits of an address within its page.
const OFFSET: u32 = PAGE_SIZE - 1;

/// A page that is no guest memory, or more pages than an offset can tell apart.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no guest memory at {0:#x}")]
pub struct NoMemory(pub u64);

/// A list of guest pages.
///
/// # Invariants
///
/// Each address is the first of a page that lies in `memory`, and `size` is their
/// length together.
#[derive(Clone, Debug)]
pub struct Pages {
    memory: GuestMemory,
    pages: Vec<u64>,
    size: u32,
}

impl Pages {
    /// The pages at these addresses.
    ///
    /// # Errors
    ///
    /// [`NoMemory`] for the first address that is no page of `memory`.
    pub fn new(
        memory: &GuestMemory,
        addresses: impl IntoIterator<Item = u64>,
    ) -> Result<Self, NoMemory> {
        let pages: Vec<_> = addresses.into_iter().collect();
        let is_page = |address: &u64| {
            address & u64::from(OFFSET) == 0
                && address.checked_add(u64::from(PAGE_SIZE)).is_some()
                && memory.check_range(GuestAddress(*address), PAGE_SIZE as usize)
        };
        if let Some(bad) = pages.iter().find(|address| !is_page(address)) {
            return Err(NoMemory(*bad));
        }
        let count = u32::try_from(pages.len()).ok();
        let size = count.and_then(|count| count.checked_mul(PAGE_SIZE));
        Ok(Self {
            memory: memory.clone(),
            size: size.ok_or(NoMemory(0))?,
            pages,
        })
    }

    /// The memory that they are in.
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// Where a byte is.
    fn address(&self, offset: u32) -> Option<GuestAddress> {
        let page = self.pages.get((offset / PAGE_SIZE) as usize)?;
        Some(GuestAddress(page | u64::from(offset & OFFSET)))
    }

    fn load_word(&self, offset: u32, order: Ordering) -> u32 {
        // INVARIANT: what is within the size is memory.
        self.address(offset)
            .and_then(|address| self.memory.load(address, order).ok())
            .map_or(0, u32::from_le)
    }

    fn store_word(&self, offset: u32, value: u32, order: Ordering) {
        if let Some(address) = self.address(offset) {
            // INVARIANT: what is within the size is memory.
            let _ = self.memory.store(value.to_le(), address, order);
        }
    }

    /// Does something to a word, or returns 0 if there is none.
    fn with_word<T: Default>(&self, offset: u32, change: impl FnOnce(&AtomicU32) -> T) -> T {
        let slice = self
            .address(offset)
            .and_then(|address| self.memory.get_slice(address, size_of::<u32>()).ok());
        let word = slice
            .as_ref()
            .and_then(|slice| slice.get_atomic_ref::<AtomicU32>(0).ok());
        word.map(change).unwrap_or_default()
    }
}

/// The pieces of a range of `len` bytes: where each begins, and how long it is, so
/// that none crosses a page.
fn pieces(offset: u32, len: usize) -> impl Iterator<Item = (u32, usize)> {
    let mut at = offset;
    let mut left = len;
    std::iter::from_fn(move || {
        let room = PAGE_SIZE.saturating_sub(at & OFFSET) as usize;
        let piece = (at, room.min(left));
        left = left.saturating_sub(piece.1);
        at = at.checked_add(u32::try_from(piece.1).ok()?)?;
        (piece.1 > 0).then_some(piece)
    })
}

impl Shared for Pages {
    fn size(&self) -> u32 {
        self.size
    }

    fn load(&self, offset: u32) -> u32 {
        self.load_word(offset, Ordering::Relaxed)
    }

    fn load_acquire(&self, offset: u32) -> u32 {
        self.load_word(offset, Ordering::Acquire)
    }

    fn store(&self, offset: u32, value: u32) {
        self.store_word(offset, value, Ordering::Relaxed);
    }

    fn store_release(&self, offset: u32, value: u32) {
        self.store_word(offset, value, Ordering::Release);
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn read(&self, offset: u32, into: &mut [u8]) {
        let mut rest = into;
        for (at, len) in pieces(offset, rest.len()) {
            let Some((head, tail)) = rest.split_at_mut_checked(len) else {
                return;
            };
            if let Some(address) = self.address(at) {
                // INVARIANT: what is within the size is memory.
                let _ = self.memory.read_slice(head, address);
            }
            rest = tail;
        }
    }

    fn write(&self, offset: u32, from: &[u8]) {
        let mut rest = from;
        for (at, len) in pieces(offset, rest.len()) {
            let Some((head, tail)) = rest.split_at_checked(len) else {
                return;
            };
            if let Some(address) = self.address(at) {
                // INVARIANT: what is within the size is memory.
                let _ = self.memory.write_slice(head, address);
            }
            rest = tail;
        }
    }
}

impl SharedExchange for Pages {
    fn compare_exchange(&self, offset: u32, current: u32, new: u32) -> bool {
        self.with_word(offset, |word| {
            let (current, new) = (current.to_le(), new.to_le());
            word.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        })
    }

    fn fetch_or(&self, offset: u32, bits: u32) -> u32 {
        self.with_word(offset, |word| {
            u32::from_le(word.fetch_or(bits.to_le(), Ordering::SeqCst))
        })
    }

    fn fetch_and(&self, offset: u32, bits: u32) -> u32 {
        self.with_word(offset, |word| {
            u32::from_le(word.fetch_and(bits.to_le(), Ordering::SeqCst))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn pages_follow_each_other_in_the_list_only() {
        let memory = testing::memory();
        let pages = Pages::new(&memory, [0x3000, 0x1000]).unwrap();
        assert_eq!(pages.size(), 0x2000);
        let data: Vec<u8> = (0..16).collect();
        pages.write(0xff8, &data);
        let mut got = [0; 16];
        pages.read(0xff8, &mut got);
        assert_eq!(got, *data);
        let mut tail = [0; 8];
        memory.read_slice(&mut tail, GuestAddress(0x1000)).unwrap();
        assert_eq!(tail, data[8..]);
        pages.store_release(0x1004, 7);
        assert_eq!(memory.read_obj::<u32>(GuestAddress(0x1004)).unwrap(), 7);
        assert_eq!(pages.load_acquire(0x1004), 7);
    }

    #[test]
    fn words_are_exchanged() {
        let pages = Pages::new(&testing::memory(), [0x2000]).unwrap();
        assert_eq!(pages.fetch_or(8, 5), 0);
        assert_eq!(pages.fetch_and(8, 4), 5);
        assert!(!pages.compare_exchange(8, 5, 1));
        assert!(pages.compare_exchange(8, 4, 1));
        assert_eq!(pages.load(8), 1);
    }

    #[test]
    fn what_is_no_page_is_refused_and_what_is_beyond_is_nothing() {
        let memory = testing::memory();
        for bad in [0x1001, testing::MEMORY_SIZE, !0xfff] {
            assert_eq!(
                Pages::new(&memory, [0x1000, bad]).unwrap_err(),
                NoMemory(bad)
            );
        }
        let pages = Pages::new(&memory, [0x1000]).unwrap();
        pages.store(0x1000, 1);
        assert_eq!(pages.load(0x1000), 0);
        assert_eq!(pages.fetch_or(u32::MAX - 3, 1), 0);
        pages.write(u32::MAX - 3, &[1; 16]);
        pages.read(u32::MAX - 3, &mut [0; 16]);
    }
}
