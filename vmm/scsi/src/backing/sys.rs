// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The system calls that move data between a file and guest memory.
//!
//! The standard library's take slices, which guest memory must never be seen
//! as: the guest writes to it at any time.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;

use hospes_device::memory::SgList;
use vm_memory::VolatileSlice;

/// The type of a file system that is an initial ramdisk (`linux/magic.h`).
const RAMFS_MAGIC: libc::__fsword_t = 0x8584_58f6;

/// How many pieces one call takes. Longer lists take several calls.
const MAX_PIECES: usize = 64;

/// Most calls have no more than these.
const FEW_PIECES: usize = 4;

/// The pieces of a scatter list, in the form that the system takes.
///
/// # Invariants
///
/// The first `count` pieces are parts of guest memory that stays mapped for `'a`.
struct Pieces<'a, const N: usize> {
    vectors: [libc::iovec; N],
    count: usize,
    _mapped: std::marker::PhantomData<&'a SgList>,
}

impl<'a, const N: usize> Pieces<'a, N> {
    fn new(list: &'a SgList, from: u64, len: u64) -> Self {
        let nothing = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        let mut vectors = [nothing; N];
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
        // It is at most N.
        libc::c_int::try_from(self.count).unwrap_or(0)
    }

    /// Reads from the file into the pieces.
    fn read(&self, file: &File, offset: libc::off_t, flags: libc::c_int) -> io::Result<u64> {
        let read = || {
            // SAFETY:
            // - The descriptor is open, as `file` is borrowed.
            // - The first `count` vectors are initialized, and are memory that
            //   stays mapped while `self` lives, by its invariant.
            // - No reference to that memory exists: guest memory is only
            //   accessed through volatile slices. So the kernel may write to it
            //   at any time.
            unsafe {
                libc::preadv2(
                    file.as_raw_fd(),
                    self.vectors.as_ptr(),
                    self.count(),
                    offset,
                    flags,
                )
            }
        };
        retry(read)
    }

    /// Writes the pieces to the file.
    fn write(&self, file: &File, offset: libc::off_t, flags: libc::c_int) -> io::Result<u64> {
        let (vectors, count) = (self.vectors.as_ptr(), self.count());
        let write = || {
            // SAFETY: As in `read`, except that the kernel only reads the memory.
            unsafe { libc::pwritev2(file.as_raw_fd(), vectors, count, offset, flags) }
        };
        retry(write)
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
    flags: libc::c_int,
) -> io::Result<u64> {
    let offset = to_offset(offset)?;
    if list.segments().len() <= FEW_PIECES {
        Pieces::<FEW_PIECES>::new(list, from, len).read(file, offset, flags)
    } else {
        Pieces::<MAX_PIECES>::new(list, from, len).read(file, offset, flags)
    }
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
    let offset = to_offset(offset)?;
    if list.segments().len() <= FEW_PIECES {
        Pieces::<FEW_PIECES>::new(list, from, len).write(file, offset, flags)
    } else {
        Pieces::<MAX_PIECES>::new(list, from, len).write(file, offset, flags)
    }
}

/// Whether the file is in a file system that has no medium but memory.
pub(super) fn is_in_memory(file: &File) -> bool {
    let mut status = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: The descriptor is open, as `file` is borrowed, and there is room
    // for what is written.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), status.as_mut_ptr()) };
    // SAFETY: The structure consists of numbers, for which zeroes are valid.
    let status = unsafe { status.assume_init() };
    let is_device = file
        .metadata()
        .is_ok_and(|data| data.file_type().is_block_device());
    result == 0 && !is_device && matches!(status.f_type, libc::TMPFS_MAGIC | RAMFS_MAGIC)
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
