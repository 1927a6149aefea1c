// SPDX-License-Identifier: GPL-2.0

//! Memory that a device reads or writes by itself.
//!
//! A device's accesses are invisible to the compiler and, for a device that is not trusted, may
//! come at any time. Hence such memory is only ever copied, as a whole, with volatile accesses:
//! what is checked is then what is used. There is no way to get a reference to its inside.

use core::{
    cell::UnsafeCell,
    mem::{
        align_of,
        size_of, //
    },
    ptr, //
};
use kernel::prelude::Zeroable;
use zerocopy::{
    FromBytes,
    IntoBytes, //
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
#[repr(transparent)]
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
    /// Copies the value out, whatever the device has made of it.
    #[inline]
    pub fn read(&self) -> T {
        // SAFETY: The pointer comes from a reference. A device may be writing at the same time,
        // for which the access is volatile; no bytes that may be seen are invalid for `T`.
        unsafe { ptr::read_volatile(self.0.get()) }
    }

    /// Copies the first bytes of the value out.
    #[inline]
    pub fn read_prefix<P: FromBytes>(&self) -> P {
        const { assert!(size_of::<P>() <= size_of::<T>()) };
        const { assert!(align_of::<P>() <= align_of::<T>()) };
        // SAFETY: As in `read`; `P` is inside the cell and no more aligned by the assertions.
        unsafe { ptr::read_volatile(self.0.get().cast::<P>()) }
    }

    /// Copies bytes from `offset` on to `to`, as many as there are in both. Returns their number.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) -> usize {
        let len = size_of::<T>().saturating_sub(offset).min(to.len());
        let from = self.0.get().cast::<u8>();
        for (index, byte) in to.iter_mut().take(len).enumerate() {
            // SAFETY: `offset + index` is below the size of the cell: `index` is below `len`,
            // which is 0 or at most the size less `offset`. Else as in `read`.
            *byte = unsafe { ptr::read_volatile(from.add(offset).add(index)) };
        }
        len
    }
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

// SAFETY: Two cells, each transparent over its type, and padding. Any bytes are valid for the
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
