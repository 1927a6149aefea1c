// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Giving memory back to the host's kernel.

use std::ffi::c_void;
use std::io;

use vm_memory::VolatileSlice;

/// Has the kernel take the memory behind whole pages of guest memory, which are private
/// and of no file. They read as zeroes then.
pub(super) fn discard(slice: &VolatileSlice<'_>) -> io::Result<()> {
    let start = slice.ptr_guard_mut().as_ptr().cast::<c_void>();
    // SAFETY: The slice is a live part of a mapping of guest memory. Whatever it contains
    // may change at any time, as the guest may write to it at any time, and it is reached
    // through volatile accesses only. It stays mapped.
    let done = unsafe { libc::madvise(start, slice.len(), libc::MADV_DONTNEED) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
