// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The two system calls that move data between a file and guest memory.
//!
//! The standard library's take slices, which guest memory must never be seen
//! as: the guest writes to it at any time.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use hospes_device::memory::SgList;
use vm_memory::VolatileSlice;

/// How many pieces one call takes. Longer lists take several calls.
const MAX_PIECES: usize = 64;

/// The pieces of a scatter list, in the form that the system takes.
///
/// # Invariants
///
/// The first `count` pieces are parts of guest memory that stays mapped for `'a`.
struct Pieces<'a> {
    vectors: [libc::iovec; MAX_PIECES],
    count: usize,
    _mapped: std::marker::PhantomData<&'a SgList>,
}

impl<'a> Pieces<'a> {
    fn new(list: &'a SgList, from: u64, len: u64) -> Self {
        let nothing = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        let mut vectors = [nothing; MAX_PIECES];
        // INVARIANT: the list keeps its memory mapped, and is borrowed for 'a.
        let count = vectors
            .iter_mut()
            .zip(list.slices(from, len))
            .map(|(vector, slice)| *vector = vector_of(&slice))
            .count();
        Self {
            vectors,
            count,
            _mapped: std::marker::PhantomData,
        }
    }

    fn count(&self) -> libc::c_int {
        // It is at most MAX_PIECES.
        libc::c_int::try_from(self.count).unwrap_or(0)
    }
}

fn vector_of(slice: &VolatileSlice<'_>) -> libc::iovec {
    let guard = slice.ptr_guard_mut();
    libc::iovec {
        iov_base: guard.as_ptr().cast(),
        iov_len: slice.len(),
    }
}

/// Reads from the file into bytes `from` to `from + len` of the list. Returns
/// how many bytes were read: 0 at the end of the file only.
pub(super) fn read(
    file: &File,
    offset: u64,
    list: &SgList,
    from: u64,
    len: u64,
) -> io::Result<u64> {
    let pieces = Pieces::new(list, from, len);
    let offset = to_offset(offset)?;
    let read = || {
        // SAFETY:
        // - The descriptor is open, as `file` is borrowed.
        // - The first `count` vectors are initialized, and are memory that stays
        //   mapped while `pieces` lives, by its invariant.
        // - No reference to that memory exists: guest memory is only accessed
        //   through volatile slices. So the kernel may write to it at any time.
        unsafe {
            libc::preadv(
                file.as_raw_fd(),
                pieces.vectors.as_ptr(),
                pieces.count(),
                offset,
            )
        }
    };
    retry(read)
}

/// Writes bytes `from` to `from + len` of the list to the file, through its
/// cache if `flags` is 0. Returns how many bytes were written.
pub(super) fn write(
    file: &File,
    offset: u64,
    list: &SgList,
    from: u64,
    len: u64,
    flags: libc::c_int,
) -> io::Result<u64> {
    let pieces = Pieces::new(list, from, len);
    let offset = to_offset(offset)?;
    let (vectors, count) = (pieces.vectors.as_ptr(), pieces.count());
    let write = || {
        // SAFETY: As in `read`, except that the kernel only reads the memory.
        unsafe { libc::pwritev2(file.as_raw_fd(), vectors, count, offset, flags) }
    };
    retry(write)
}

fn to_offset(offset: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// Repeats a call that a signal interrupted.
fn retry(call: impl Fn() -> libc::ssize_t) -> io::Result<u64> {
    loop {
        match u64::try_from(call()) {
            Ok(len) => return Ok(len),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}
