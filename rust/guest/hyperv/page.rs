// SPDX-License-Identifier: GPL-2.0

//! Pages that the host reads and writes, too.
//!
//! Where memory is encrypted, such a page has to be decrypted first. If that fails, or taking it
//! back does, nobody knows what the page is: it is then never used again.

use crate::bindings;
use core::{
    ptr,
    ptr::NonNull,
    sync::atomic::{
        fence,
        AtomicU32,
        Ordering, //
    }, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};
use protocol::hyperv::{
    shared::{
        Shared,
        SharedExchange, //
    },
    PAGE_SIZE, //
};

/// A page of ours.
///
/// # Invariants
///
/// The pointer is that of a page that is ours until this is dropped, and decrypted if `shared`.
pub struct SharedPage {
    page: NonNull<u8>,
    shared: bool,
}

// SAFETY: All accesses are by single volatile or atomic ones, from any thread.
unsafe impl Send for SharedPage {}

// SAFETY: As above.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// A page of zeros. `shared`: with the host; if not, only with a paravisor.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or why the page could not be decrypted.
    pub fn new(shared: bool) -> Result<Self> {
        // SAFETY: A single page.
        let address = unsafe {
            bindings::get_free_pages_noprof(bindings::GFP_KERNEL | bindings::__GFP_ZERO, 0)
        };
        let page = NonNull::new(address as *mut u8).ok_or(ENOMEM)?;
        if shared {
            // SAFETY: The page is ours. If this fails it is left alone.
            to_result(unsafe { bindings::set_memory_decrypted(address, 1) })?;
        }
        // SAFETY: The page is ours. Decrypting may have changed it.
        unsafe { ptr::write_bytes(page.as_ptr(), 0, PAGE_SIZE as usize) };
        // INVARIANT: Just allocated, and decrypted if need be.
        Ok(Self { page, shared })
    }

    /// The address.
    #[inline]
    pub fn as_ptr(&self) -> *mut u8 {
        self.page.as_ptr()
    }

    /// The physical address, as the host is told it.
    pub fn physical(&self) -> u64 {
        // SAFETY: The page is valid.
        (unsafe { bindings::address_to_pfn(self.page.as_ptr().cast()) } as u64) << 12
    }

    /// The page for the protocol's code.
    #[inline]
    pub fn memory(&self) -> Memory<'_> {
        // SAFETY: A whole page, as long as the borrow.
        unsafe { Memory::new(self.page, PAGE_SIZE) }
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        let address = self.page.as_ptr() as usize;
        if self.shared {
            // SAFETY: The page is ours. If this fails it is left alone.
            if unsafe { bindings::set_memory_encrypted(address, 1) } != 0 {
                return;
            }
        }
        // SAFETY: Allocated by `new`, and nobody else's any more.
        unsafe { bindings::free_pages(address, 0) };
    }
}

/// Memory that both sides use, for the protocol's code.
///
/// # Invariants
///
/// The memory is valid for the lifetime, aligned to a word, and only accessed by single
/// volatile or atomic accesses.
#[derive(Clone, Copy)]
pub struct Memory<'a> {
    base: NonNull<u8>,
    size: u32,
    _lifetime: core::marker::PhantomData<&'a ()>,
}

impl<'a> Memory<'a> {
    /// Memory at an address.
    ///
    /// # Safety
    ///
    /// As the type's invariants say.
    #[inline]
    pub unsafe fn new(base: NonNull<u8>, size: u32) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            base,
            size,
            _lifetime: core::marker::PhantomData,
        }
    }

    /// The word at an offset, if it is inside.
    #[inline]
    fn word(&self, offset: u32) -> Option<&'a AtomicU32> {
        let end = offset.checked_add(4)?;
        if offset % 4 != 0 || end > self.size {
            return None;
        }
        // SAFETY: Inside of the memory, aligned, and only accessed by single accesses.
        Some(unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(offset as usize).cast()) })
    }

    /// Whether so many bytes are there from an offset on.
    #[inline]
    fn has(&self, offset: u32, len: usize) -> bool {
        (offset as usize)
            .checked_add(len)
            .is_some_and(|end| end <= self.size as usize)
    }
}

impl Shared for Memory<'_> {
    fn size(&self) -> u32 {
        self.size
    }

    #[inline]
    fn load(&self, offset: u32) -> u32 {
        self.word(offset)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    #[inline]
    fn load_acquire(&self, offset: u32) -> u32 {
        self.word(offset)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    #[inline]
    fn store(&self, offset: u32, value: u32) {
        if let Some(word) = self.word(offset) {
            word.store(value, Ordering::Relaxed);
        }
    }

    #[inline]
    fn store_release(&self, offset: u32, value: u32) {
        if let Some(word) = self.word(offset) {
            word.store(value, Ordering::Release);
        }
    }

    #[inline]
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn read(&self, offset: u32, into: &mut [u8]) {
        if !self.has(offset, into.len()) {
            return;
        }
        for (at, byte) in into.iter_mut().enumerate() {
            // SAFETY: Inside of the memory, as just checked.
            *byte = unsafe { ptr::read_volatile(self.base.as_ptr().add(offset as usize + at)) };
        }
    }

    fn write(&self, offset: u32, from: &[u8]) {
        if !self.has(offset, from.len()) {
            return;
        }
        for (at, byte) in from.iter().enumerate() {
            // SAFETY: Inside of the memory, as just checked.
            unsafe { ptr::write_volatile(self.base.as_ptr().add(offset as usize + at), *byte) };
        }
    }
}

impl SharedExchange for Memory<'_> {
    #[inline]
    fn compare_exchange(&self, offset: u32, current: u32, new: u32) -> bool {
        self.word(offset).is_some_and(|word| {
            word.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        })
    }

    #[inline]
    fn fetch_or(&self, offset: u32, bits: u32) -> u32 {
        self.word(offset)
            .map_or(0, |word| word.fetch_or(bits, Ordering::SeqCst))
    }

    #[inline]
    fn fetch_and(&self, offset: u32, bits: u32) -> u32 {
        self.word(offset)
            .map_or(0, |word| word.fetch_and(bits, Ordering::SeqCst))
    }
}
