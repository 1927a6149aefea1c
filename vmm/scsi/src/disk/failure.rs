// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Sense data for errors of the backing.

use std::io;

use protocol::scsi::sense::{asc, Additional, Sense, SenseKey};

use crate::backing::Incomplete;
use crate::command::Failure;

/// The sense data of a failed read.
pub(crate) fn of_read(error: &io::Error) -> Sense {
    general(error).unwrap_or(sense(SenseKey::MediumError, asc::UNRECOVERED_READ_ERROR))
}

/// The sense data of a failed write or flush.
pub(super) fn of_write(error: &io::Error) -> Sense {
    let protect = |additional| sense(SenseKey::DataProtect, additional);
    match error.raw_os_error() {
        // The file system, the quota or the file's limit is full.
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => {
            protect(asc::SPACE_ALLOCATION_FAILED_WRITE_PROTECT)
        }
        Some(libc::EROFS | libc::EPERM | libc::EACCES | libc::EBADF) => {
            protect(asc::WRITE_PROTECTED)
        }
        _ => general(error).unwrap_or(sense(SenseKey::MediumError, asc::WRITE_ERROR)),
    }
}

/// What is neither about reading nor about writing.
fn general(error: &io::Error) -> Option<Sense> {
    match error.raw_os_error()? {
        // The file vanished, with its device or its server.
        libc::ENODEV | libc::ENXIO | libc::ESTALE | libc::ENOMEDIUM | libc::ESHUTDOWN => {
            let why = asc::LOGICAL_UNIT_NOT_READY_MANUAL_INTERVENTION_REQUIRED;
            Some(sense(SenseKey::NotReady, why))
        }
        // The system lacks something, or the call was wrong: no fault of a medium.
        libc::ENOMEM | libc::EAGAIN | libc::EFAULT | libc::EINVAL | libc::ENOSYS => {
            Some(sense(SenseKey::HardwareError, asc::INTERNAL_TARGET_FAILURE))
        }
        _ => None,
    }
}

/// An incomplete access from block `lba` on, with the sense data of its error.
/// The block at which it ended is told.
pub(crate) fn at_block(incomplete: &Incomplete, sense: Sense, lba: u64, block_len: u64) -> Failure {
    let blocks = incomplete.transferred.checked_div(block_len).unwrap_or(0);
    let sense = sense.at_block(lba.saturating_add(blocks));
    Failure::Check {
        sense,
        transferred: incomplete.transferred,
    }
}

fn sense(key: SenseKey, additional: Additional) -> Sense {
    Sense::new(key, additional)
}
