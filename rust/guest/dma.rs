// SPDX-License-Identifier: GPL-2.0

//! Memory in which driver and device work at the same time: rings, and what belongs to them.
//!
//! A [`device_cell`](crate::device_cell) is one side's at a time; this is both sides' at all times.
//! The device's accesses are not synchronised with anything, so what is read is a copy made by
//! volatile accesses, to be checked and then used; what is written is seen by the device in no
//! order but that of [`publish32`](SharedMemory::publish32). Who reads or writes a few words of an
//! entry has it found once, as [`Words`].
//!
//! C header: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)

use crate::device_cell::copy_out;
use core::{
    marker::PhantomData,
    mem::{
        align_of,
        size_of, //
    },
    ptr,
    sync::atomic::{
        compiler_fence,
        Ordering, //
    }, //
};
use kernel::{
    device,
    dma::Coherent,
    prelude::*, //
};
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

/// Neighbouring accesses are not reordered by the processor, only by the compiler.
const _: () = assert!(cfg!(target_arch = "x86_64"));

/// Whole pages of memory, aligned as such, that follow each other for the device as well.
///
/// Offsets are checked at run time. What is beyond the end is not read and not written.
///
/// # Invariants
///
/// `memory` has `size` bytes.
pub struct SharedMemory {
    memory: Coherent<[u64]>,
    size: usize,
}

impl SharedMemory {
    /// Memory of `pages` pages of 4 KiB, all zeros, for the device `dev`. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EINVAL` if there are no pages.
    pub fn new(dev: &device::Device<device::Bound>, pages: u32) -> Result<Self> {
        const WORDS: usize = 4096 / size_of::<u64>();
        let words = WORDS.checked_mul(pages as usize).ok_or(ENOMEM)?;
        let memory = Coherent::zeroed_slice(dev, words, GFP_KERNEL)?;
        // INVARIANT: Kept so that nobody has to multiply.
        Ok(Self {
            size: memory.size(),
            memory,
        })
    }

    /// Where the device finds it.
    #[inline]
    pub fn address(&self) -> u64 {
        self.memory.dma_address()
    }

    /// Where `len` bytes at `offset` are, if all of them are inside, and the first is at a multiple
    /// of `align`.
    #[inline]
    fn place(&self, offset: usize, len: usize, align: usize) -> Option<*mut u8> {
        let end = offset.checked_add(len)?;
        if end > self.size || offset % align != 0 {
            return None;
        }
        let base: *mut u8 = self.memory.as_mut_ptr().cast();
        // SAFETY: The offset is inside the allocation, by the type invariant.
        Some(unsafe { base.add(offset) })
    }

    /// Copies a value out, whatever the device makes of it meanwhile, if it is inside. `offset` is
    /// a multiple of eight.
    #[inline]
    pub fn read<T: FromBytes>(&self, offset: usize) -> Option<T> {
        let from = self.place(offset, size_of::<T>(), align_of::<u64>())?;
        // SAFETY: The place is valid for reads of a `T`, and a multiple of eight, since the memory
        // begins with a page.
        Some(unsafe { copy_out(from) })
    }

    /// Copies a value in, and says whether it is inside. `offset` is a multiple of eight, and so is
    /// the size of the value.
    #[inline]
    pub fn write<T: IntoBytes + Immutable>(&mut self, offset: usize, value: &T) -> bool {
        const { assert!(size_of::<T>() % size_of::<u64>() == 0) };
        let Some(to) = self.place(offset, size_of::<T>(), align_of::<u64>()) else {
            return false;
        };
        let from = value.as_bytes().as_ptr();
        let mut at = 0;
        while at < size_of::<T>() {
            // SAFETY: `at` is a multiple of eight below the size, which is one, too; so are both
            // pieces inside, and that in the memory is aligned.
            unsafe {
                let piece = from.add(at).cast::<u64>().read_unaligned();
                ptr::write_volatile(to.add(at).cast::<u64>(), piece);
            }
            at = at.wrapping_add(size_of::<u64>());
        }
        true
    }

    /// The `N` words of eight bytes at `offset`, if all of them are inside. `offset` is a multiple of
    /// eight.
    #[inline]
    pub fn words<const N: usize>(&mut self, offset: usize) -> Option<Words<'_, N>> {
        let at = self.place(offset, N * size_of::<u64>(), align_of::<u64>())?;
        // INVARIANT: The place has as many bytes and is aligned; the memory is borrowed as long.
        Some(Words {
            at: at.cast(),
            _memory: PhantomData,
        })
    }

    /// Reads a word of 32 bits; what follows in the program is not read before. 0 if it is not
    /// inside, or not aligned.
    #[inline]
    pub fn observe32(&self, offset: usize) -> u32 {
        let Some(from) = self.place(offset, size_of::<u32>(), align_of::<u32>()) else {
            return 0;
        };
        // SAFETY: The place is valid and aligned.
        let value = unsafe { ptr::read_volatile(from.cast::<u32>()) };
        compiler_fence(Ordering::Acquire);
        u32::from_le(value)
    }

    /// Writes a word of 32 bits; what precedes in the program is written before. Nothing if it is
    /// not inside, or not aligned.
    #[inline]
    pub fn publish32(&mut self, offset: usize, value: u32) {
        compiler_fence(Ordering::Release);
        if let Some(to) = self.place(offset, size_of::<u32>(), align_of::<u32>()) {
            // SAFETY: The place is valid and aligned.
            unsafe { ptr::write_volatile(to.cast::<u32>(), value.to_le()) };
        }
    }

    /// Copies bytes out from `offset` on, as many as there are in both. Returns their number.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) -> usize {
        let len = self.size.saturating_sub(offset).min(to.len());
        let Some(from) = self.place(offset, len, 1) else {
            return 0;
        };
        for (index, byte) in to.iter_mut().take(len).enumerate() {
            // SAFETY: `index` is below the length of the place.
            *byte = unsafe { ptr::read_volatile(from.add(index)) };
        }
        len
    }

    /// Makes all of it zeros.
    pub fn clear(&mut self) {
        self.clear_part(0, self.size);
    }

    /// Makes a part of it zeros, as far as it is inside. `offset` and `len` are multiples of eight.
    pub fn clear_part(&mut self, offset: usize, len: usize) {
        let mut at = offset;
        while at < offset.saturating_add(len) && self.write(at, &0u64) {
            at = at.wrapping_add(size_of::<u64>());
        }
    }
}

/// `N` words of eight bytes in [`SharedMemory`].
///
/// # Invariants
///
/// `at` is that of `N` aligned words of a memory that is there during `'a`.
pub struct Words<'a, const N: usize> {
    at: *mut u64,
    _memory: PhantomData<&'a mut SharedMemory>,
}

impl<const N: usize> Words<'_, N> {
    #[inline]
    fn word<const INDEX: usize>(&self) -> *mut u64 {
        const { assert!(INDEX < N) };
        // SAFETY: There are more words by the type invariant and the assertion.
        unsafe { self.at.add(INDEX) }
    }

    /// Copies a word out, whatever the device makes of it meanwhile.
    #[inline]
    pub fn get<const INDEX: usize>(&self) -> u64 {
        // SAFETY: Valid and aligned by the type invariant.
        u64::from_le(unsafe { ptr::read_volatile(self.word::<INDEX>()) })
    }

    /// Writes a word.
    #[inline]
    pub fn set<const INDEX: usize>(&mut self, value: u64) {
        // SAFETY: Valid and aligned by the type invariant.
        unsafe { ptr::write_volatile(self.word::<INDEX>(), value.to_le()) };
    }
}
