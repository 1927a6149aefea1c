// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Guest memory, mapped around the PCI hole.
//!
//! It is anonymous memory, for which the host uses huge pages where it can: a
//! guest that boots touches all of its memory's first pages one by one, and each
//! costs a fault in the host. The host allocates it as the guest touches it.

use std::sync::Arc;

use hospes_device::memory::GuestMemory;
use thiserror::Error;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use crate::{layout, sys};

/// Why memory could not be had.
#[derive(Debug, Error)]
#[error("memory of {size} bytes cannot be allocated: {reason}")]
pub struct MemoryError {
    /// Bytes asked for.
    size: u64,
    /// What the kernel said.
    reason: String,
}

/// Creates `size` bytes of guest memory, which is a multiple of the page size.
///
/// # Errors
///
/// [`MemoryError`] if the host does not have that much.
pub fn create(size: u64) -> Result<GuestMemory, MemoryError> {
    let fail = |reason: String| MemoryError { size, reason };
    let mut ranges = Vec::new();
    for range in layout::ram(size) {
        let len = range.end.saturating_sub(range.start);
        let len = usize::try_from(len).map_err(|error| fail(error.to_string()))?;
        ranges.push((GuestAddress(range.start), len));
    }
    let memory: GuestMemoryMmap<()> =
        GuestMemoryMmap::from_ranges(&ranges).map_err(|error| fail(error.to_string()))?;
    memory.iter().for_each(sys::prepare_region);
    Ok(Arc::new(memory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::Bytes;

    #[test]
    fn memory_is_there_on_both_sides_of_the_hole() {
        let memory = create((3 << 30) + 0x1000).unwrap();
        for address in [
            0,
            layout::PCI_HOLE - 8,
            layout::ABOVE_4G,
            layout::ABOVE_4G + 0xff8,
        ] {
            memory.write_obj(address, GuestAddress(address)).unwrap();
            assert_eq!(
                memory.read_obj::<u64>(GuestAddress(address)).unwrap(),
                address
            );
        }
        assert!(!memory.address_in_range(GuestAddress(layout::PCI_HOLE)));
        assert!(!memory.address_in_range(GuestAddress(layout::ABOVE_4G + 0x1000)));
    }
}
