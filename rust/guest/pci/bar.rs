// SPDX-License-Identifier: GPL-2.0

//! Registers of a PCI function.

use super::as_raw;
use crate::bindings;
use core::{
    mem::size_of,
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        compiler_fence,
        Ordering, //
    }, //
};
use kernel::{
    device::Bound,
    pci,
    prelude::*,
    sync::aref::ARef, //
};

/// The first `SIZE` bytes of a memory BAR, mapped, as registers of 32 bits.
///
/// The BAR is requested, so that no other driver gets it as long as this is there. Beyond the
/// binding it leads nowhere; a driver drops it then.
///
/// # Invariants
///
/// `base` is a mapping of at least `SIZE` bytes of the BAR `index` of `dev`, which was requested.
pub struct Bar<const SIZE: usize> {
    dev: ARef<pci::Device>,
    base: NonNull<c_void>,
    index: c_int,
}

// SAFETY: Registers may be used from any thread.
unsafe impl<const SIZE: usize> Send for Bar<SIZE> {}

// SAFETY: All accesses are single volatile ones of an aligned word.
unsafe impl<const SIZE: usize> Sync for Bar<SIZE> {}

impl<const SIZE: usize> Bar<SIZE> {
    /// Maps the first memory BAR that is large enough.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is none, `EBUSY` if somebody else has it, `ENOMEM`.
    pub fn first(dev: &pci::Device<Bound>, name: &'static CStr) -> Result<Self> {
        for index in 0..bindings::PCI_STD_NUM_BARS {
            let large = dev.resource_len(index)? >= SIZE as bindings::resource_size_t;
            // SAFETY: The device is valid, and has as many BARs.
            let flags = unsafe { bindings::pci_resource_flags(as_raw(dev), index as c_int) };
            if large && flags & bindings::IORESOURCE_MEM as c_ulong != 0 {
                return Self::map(dev, index as c_int, name);
            }
        }
        Err(ENODEV)
    }

    fn map(dev: &pci::Device<Bound>, index: c_int, name: &'static CStr) -> Result<Self> {
        let raw = as_raw(dev);
        // SAFETY: The device and the name are valid, and there is a BAR of that number.
        if unsafe { bindings::pci_request_region(raw, index, name.as_char_ptr()) } != 0 {
            return Err(EBUSY);
        }
        // SAFETY: As above.
        let base = unsafe { bindings::pci_iomap(raw, index, SIZE as c_ulong) };
        let Some(base) = NonNull::new(base) else {
            // SAFETY: It was just requested.
            unsafe { bindings::pci_release_region(raw, index) };
            return Err(ENOMEM);
        };
        // INVARIANT: Requested and mapped just now; the BAR has at least `SIZE` bytes.
        Ok(Self {
            dev: dev.into(),
            base,
            index,
        })
    }

    #[inline]
    fn register<const AT: usize>(&self) -> *mut u32 {
        const { assert!(AT + size_of::<u32>() <= SIZE && AT % size_of::<u32>() == 0) };
        // SAFETY: Inside the mapping by the assertion and the type invariant.
        unsafe { self.base.as_ptr().byte_add(AT).cast() }
    }

    /// Reads the register at `AT`.
    #[inline]
    pub fn read<const AT: usize>(&self) -> u32 {
        // SAFETY: The register is mapped, and aligned as a BAR is.
        let value = unsafe { ptr::read_volatile(self.register::<AT>()) };
        compiler_fence(Ordering::SeqCst);
        u32::from_le(value)
    }

    /// Writes the register at `AT`. What was written to memory before is seen by the device then.
    #[inline]
    pub fn write<const AT: usize>(&self, value: u32) {
        compiler_fence(Ordering::SeqCst);
        // SAFETY: The register is mapped, and aligned as a BAR is.
        unsafe { ptr::write_volatile(self.register::<AT>(), value.to_le()) };
    }
}

impl<const SIZE: usize> Drop for Bar<SIZE> {
    fn drop(&mut self) {
        // SAFETY: Mapped and requested by the type invariant, and nobody has it any more.
        unsafe {
            bindings::pci_iounmap(as_raw(&*self.dev), self.base.as_ptr());
            bindings::pci_release_region(as_raw(&*self.dev), self.index);
        }
    }
}
