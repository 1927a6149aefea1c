// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The system call that finds data and holes, for which the standard library
//! has no function.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Looks from `offset` on for what `whence` says, `SEEK_DATA` or `SEEK_HOLE`.
/// `None` if there is nothing before the end of the file.
pub(super) fn seek(file: &File, offset: u64, whence: libc::c_int) -> io::Result<Option<u64>> {
    let offset =
        libc::off_t::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    // SAFETY: The descriptor is open, as `file` is borrowed, and the call
    // touches no memory of this process.
    let found = unsafe { libc::lseek(file.as_raw_fd(), offset, whence) };
    match u64::try_from(found) {
        Ok(found) => Ok(Some(found)),
        Err(_) => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            error => Err(error),
        },
    }
}
