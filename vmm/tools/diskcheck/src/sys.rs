// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the standard library does not offer: a SCSI reset, and the [`ring`].

pub mod ring;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `SG_SCSI_RESET` of the kernel's `include/scsi/sg.h`.
const SG_SCSI_RESET: libc::Ioctl = 0x2284;
/// Added to the scope: fail instead of trying the next larger scope.
const NO_ESCALATE: libc::c_int = 0x100;

/// How much is reset.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum ResetScope {
    /// The logical unit.
    Device,
    /// The target with all its logical units.
    Target,
    /// The bus.
    Bus,
    /// The host adapter.
    Host,
}

impl ResetScope {
    /// The value of `include/scsi/sg.h` (`SG_SCSI_RESET_*`).
    fn code(self) -> libc::c_int {
        let scope = match self {
            Self::Device => 1,
            Self::Target => 4,
            Self::Bus => 2,
            Self::Host => 3,
        };
        scope | NO_ESCALATE
    }
}

/// Has the kernel reset the disk behind `file`.
///
/// # Errors
///
/// Whatever the kernel answers; `EIO` if the driver says that it failed.
pub fn scsi_reset(file: &File, scope: ResetScope) -> io::Result<()> {
    let code = scope.code();
    // SAFETY:
    // - The descriptor is open, because `file` is borrowed for the call.
    // - SG_SCSI_RESET reads one int through its argument, and `code` is an int
    //   that lives until the call is back.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), SG_SCSI_RESET, &raw const code) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
