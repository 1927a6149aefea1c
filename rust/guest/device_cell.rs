// SPDX-License-Identifier: GPL-2.0

//! Memory that a device reads or writes by itself.
//!
//! A device's accesses are invisible to the compiler and, for a device that is not trusted, may
//! come at any time. Hence such memory is only ever copied, as a whole, with volatile accesses:
//! what is checked is then what is used. There is no way to get a reference to its inside.
//!
//! A cell is aligned so that it can be copied in few large pieces.

use core::{
    cell::UnsafeCell,
    mem::{
        align_of,
        size_of,
        MaybeUninit, //
    },
    ptr, //
};
use kernel::prelude::Zeroable;
use zerocopy::{
    FromBytes,
    IntoBytes,
    Unaligned, //
};

/// A value in memory that a device may access.
///
/// # Invariants
///
/// The value is written by the CPU only through `&mut self`, that is before the device is told
/// of it or after it has given it back.
///
/// # Examples
///
/// ```
/// use guest::device_cell::DeviceCell;
///
/// let mut cell = DeviceCell::new([0u8; 4]);
/// cell.set([1, 2, 3, 4]);
/// assert_eq!(cell.read_prefix::<[u8; 2]>(), [1, 2]);
/// ```
#[repr(C, align(8))]
pub struct DeviceCell<T>(UnsafeCell<T>);

// SAFETY: By the type invariant, shared references only serve to copy the value out.
unsafe impl<T: Send> Sync for DeviceCell<T> {}

impl<T> DeviceCell<T> {
    /// A cell with `value` in it.
    pub const fn new(value: T) -> Self {
        // INVARIANT: The cell is owned here.
        Self(UnsafeCell::new(value))
    }

    /// The address, for telling it to a device.
    pub(crate) const fn as_ptr(&self) -> *mut T {
        self.0.get()
    }
}

impl<T: IntoBytes> DeviceCell<T> {
    /// Replaces the value.
    #[inline]
    pub fn set(&mut self, value: T) {
        *self.0.get_mut() = value;
    }

    /// Replaces the first bytes of the value.
    #[inline]
    pub fn set_prefix<P: IntoBytes>(&mut self, prefix: P)
    where
        T: FromBytes,
    {
        const { assert!(size_of::<P>() <= size_of::<T>()) };
        const { assert!(align_of::<P>() <= align_of::<T>()) };
        // SAFETY: `P` is inside the cell and no more aligned by the assertions; any bytes are
        // valid for a `T`.
        unsafe { self.0.get().cast::<P>().write(prefix) };
    }
}

impl<T: FromBytes> DeviceCell<T> {
    /// Replaces the first bytes of the value by `first` and what follows at once by `second`.
    #[inline]
    pub fn set_parts<A: IntoBytes, B: IntoBytes + Unaligned>(&mut self, first: A, second: B) {
        const { assert!(size_of::<A>() + size_of::<B>() <= size_of::<T>()) };
        const { assert!(align_of::<A>() <= align_of::<T>()) };
        let at = self.0.get().cast::<u8>();
        // SAFETY: Both are inside the cell, one behind the other, and no more aligned than that,
        // by the assertions and by `Unaligned`; any bytes are valid for a `T`.
        unsafe {
            at.cast::<A>().write(first);
            at.add(size_of::<A>()).cast::<B>().write(second);
        }
    }

    /// Copies the value out, whatever the device has made of it.
    #[inline]
    pub fn read(&self) -> T {
        self.read_prefix()
    }

    /// Copies the first bytes of the value out.
    #[inline]
    pub fn read_prefix<P: FromBytes>(&self) -> P {
        const { assert!(size_of::<P>() <= size_of::<T>()) };
        // SAFETY: The pointer comes from a reference, is as aligned as a cell is, and `P` is inside
        // the cell by the assertion.
        unsafe { copy_out(self.0.get().cast()) }
    }

    /// Copies bytes from `offset` on to `to`, as many as there are in both. Returns their number.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) -> usize {
        let len = size_of::<T>().saturating_sub(offset).min(to.len());
        let from = self.0.get().cast::<u8>();
        for (index, byte) in to.iter_mut().take(len).enumerate() {
            // SAFETY: `offset + index` is below the size of the cell: `index` is below `len`,
            // which is 0 or at most the size less `offset`. A device may be writing at the same
            // time, for which the access is volatile.
            *byte = unsafe { ptr::read_volatile(from.add(offset).add(index)) };
        }
        len
    }
}

/// Copies a `P` out of memory that a device may be writing, by volatile accesses of at most eight
/// bytes.
///
/// # Safety
///
/// `from` must be valid for reads of a `P`, and a multiple of eight.
#[inline]
pub(crate) unsafe fn copy_out<P: FromBytes>(from: *const u8) -> P {
    let mut value = MaybeUninit::<P>::uninit();
    let to = value.as_mut_ptr().cast::<u8>();
    let mut at = 0;
    // SAFETY: All accesses are inside a `P` at either end, and aligned at `from`, as larger ones
    // come first. Then all bytes are written, and any are valid for a `P`.
    unsafe {
        while size_of::<P>() - at >= size_of::<u64>() {
            copy_piece::<u64>(from, to, &mut at);
        }
        if size_of::<P>() - at >= size_of::<u32>() {
            copy_piece::<u32>(from, to, &mut at);
        }
        while size_of::<P>() - at > 0 {
            copy_piece::<u8>(from, to, &mut at);
        }
        value.assume_init()
    }
}

/// Copies one `N` at `at`, which grows by its size.
///
/// # Safety
///
/// `from` and `to` must be valid at `at`, and `from` aligned there.
#[inline]
unsafe fn copy_piece<N: Copy>(from: *const u8, to: *mut u8, at: &mut usize) {
    // SAFETY: By the safety requirement.
    unsafe {
        let piece = ptr::read_volatile(from.add(*at).cast::<N>());
        to.add(*at).cast::<N>().write_unaligned(piece);
    }
    *at = at.wrapping_add(size_of::<N>());
}

/// A request that a device reads, and the response that it writes.
///
/// Either may have no size, if there is only the other.
#[repr(C)]
pub struct Exchange<Q, R> {
    /// What the device reads.
    pub request: DeviceCell<Q>,
    /// What the device writes.
    pub response: DeviceCell<R>,
}

impl<Q: IntoBytes, R: FromBytes + IntoBytes> Exchange<Q, R> {
    /// An exchange that is ready to be given to a device.
    pub const fn new(request: Q, response: R) -> Self {
        Self {
            request: DeviceCell::new(request),
            response: DeviceCell::new(response),
        }
    }
}

// SAFETY: Two cells, each its type and padding. Any bytes are valid for the
// types, so zeros are.
unsafe impl<Q: FromBytes, R: FromBytes> Zeroable for Exchange<Q, R> {}

#[cfg(guest_kunit)]
#[kernel::macros::kunit_tests(guest_device_cell)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_gives_back_what_was_set() {
        let mut cell = DeviceCell::new([0u8; 4]);
        cell.set([1, 2, 3, 4]);
        assert_eq!(cell.read(), [1, 2, 3, 4]);
        cell.set_prefix([9u8, 8]);
        assert_eq!(cell.read(), [9, 8, 3, 4]);
        assert_eq!(cell.read_prefix::<[u8; 2]>(), [9, 8]);
        cell.set_parts([5u8], [6u8, 7]);
        assert_eq!(cell.read(), [5, 6, 7, 4]);
    }

    #[test]
    fn a_prefix_of_any_size_is_whole() {
        let cell = DeviceCell::new(*b"sixteen bytes...");
        assert_eq!(cell.read_prefix::<[u8; 15]>(), *b"sixteen bytes..");
        assert_eq!(cell.read_prefix::<[u8; 12]>(), *b"sixteen byte");
        assert_eq!(cell.read_prefix::<[u8; 3]>(), *b"six");
        assert_eq!(cell.read_prefix::<[u8; 0]>(), []);
        assert_eq!(cell.read(), *b"sixteen bytes...");
    }

    #[test]
    fn a_copy_stays_inside_the_cell() {
        let cell = DeviceCell::new([1u8, 2, 3, 4]);
        let mut to = [0u8; 8];
        assert_eq!(cell.copy_to(2, &mut to), 2);
        assert_eq!(to, [3, 4, 0, 0, 0, 0, 0, 0]);
        assert_eq!(cell.copy_to(4, &mut to), 0);
        assert_eq!(cell.copy_to(usize::MAX, &mut to), 0);
        assert_eq!(cell.copy_to(0, &mut to[..1]), 1);
    }
}
