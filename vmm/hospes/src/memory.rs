// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Guest memory: one memfd, mapped around the PCI hole.
//!
//! A memfd and not anonymous memory, so that another process can map the same
//! pages.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::sync::Arc;

use hospes_device::memory::GuestMemory;
use thiserror::Error;
use vm_memory::{FileOffset, GuestAddress, GuestMemoryMmap};

use crate::layout;

/// Why memory could not be had.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// No file to back it.
    #[error("memory of {size} bytes cannot be allocated: {error}")]
    Allocate {
        /// Bytes asked for.
        size: u64,
        /// What the kernel said.
        error: io::Error,
    },
    /// It cannot be mapped.
    #[error("guest memory cannot be mapped: {0}")]
    Map(String),
}

/// Creates `size` bytes of guest memory, which is a multiple of the page size.
///
/// # Errors
///
/// [`MemoryError`] if the host does not have that much.
pub fn create(size: u64) -> Result<GuestMemory, MemoryError> {
    let file = memfd(size).map_err(|error| MemoryError::Allocate { size, error })?;
    let mut offset = 0u64;
    let mut ranges = Vec::new();
    for range in layout::ram(size) {
        let len = range.end.saturating_sub(range.start);
        let part = file
            .try_clone()
            .map_err(|error| MemoryError::Allocate { size, error })?;
        let bytes = usize::try_from(len).map_err(|error| MemoryError::Map(error.to_string()))?;
        ranges.push((
            GuestAddress(range.start),
            bytes,
            Some(FileOffset::new(part, offset)),
        ));
        offset = offset.saturating_add(len);
    }
    let memory = GuestMemoryMmap::from_ranges_with_files(ranges);
    Ok(Arc::new(
        memory.map_err(|error| MemoryError::Map(error.to_string()))?,
    ))
}

fn memfd(size: u64) -> io::Result<File> {
    // SAFETY: The name is a NUL-terminated string, and the call has no other
    // precondition.
    let fd: c_int = unsafe { libc::memfd_create(c"guest-memory".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The descriptor was just created, is open, and nobody else owns it.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(size)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::{Bytes, GuestMemoryBackend};

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
