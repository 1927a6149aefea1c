// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What became of a command, from what the host's kernel says: the device's
//! status, how the host adapter fared (`host_status`, the DID codes of
//! `scsi/scsi_status.h` in Linux), and whether it gave up (`driver_status`).

use std::io;

use protocol::scsi::sense::{asc, Sense, SenseBytes, SenseKey};
use protocol::scsi::status;

use crate::command::{Failure, Outcome};

/// The part of the driver's status that says what, not what to do about it.
const DRIVER_MASK: u16 = 0x0f;
/// The driver gave up waiting.
const DRIVER_TIMEOUT: u16 = 0x06;

/// Host status codes.
mod host {
    pub const OK: u16 = 0x00;
    pub const NO_CONNECT: u16 = 0x01;
    pub const BUS_BUSY: u16 = 0x02;
    pub const TIME_OUT: u16 = 0x03;
    pub const BAD_TARGET: u16 = 0x04;
    pub const ABORT: u16 = 0x05;
    pub const RESET: u16 = 0x08;
    pub const PASSTHROUGH: u16 = 0x0a;
    pub const SOFT_ERROR: u16 = 0x0b;
    pub const IMM_RETRY: u16 = 0x0c;
    pub const REQUEUE: u16 = 0x0d;
    /// From here on, codes that tell more about the device's own status.
    pub const TARGET_FAILURE: u16 = 0x10;
    pub const MEDIUM_ERROR: u16 = 0x13;
}

/// What SG_IO returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) status: u8,
    pub(super) sense: SenseBytes,
    pub(super) host_status: u16,
    pub(super) driver_status: u16,
    /// Of the data's length, what was not transferred.
    pub(super) residual: i32,
}

impl Reply {
    /// What it means for a command with so many bytes of data.
    pub(super) fn result(&self, len: u32) -> Result<u64, Failure> {
        if self.driver_status & DRIVER_MASK == DRIVER_TIMEOUT {
            return Err(Failure::Ended(Outcome::Aborted));
        }
        match self.host_status {
            host::OK | host::PASSTHROUGH => self.device_result(len),
            host::TARGET_FAILURE..=host::MEDIUM_ERROR if self.status != status::GOOD => {
                self.device_result(len)
            }
            host::NO_CONNECT | host::BAD_TARGET => Err(Failure::Ended(Outcome::NoTarget)),
            // The host ended it, for its own reasons or since it took too long.
            host::TIME_OUT | host::ABORT => Err(Failure::Ended(Outcome::Aborted)),
            host::RESET => Err(Failure::Ended(Outcome::Reset)),
            host::BUS_BUSY | host::SOFT_ERROR | host::IMM_RETRY | host::REQUEUE => {
                Err(with_status(status::BUSY))
            }
            _ => Err(Failure::Ended(Outcome::Failed)),
        }
    }

    fn device_result(&self, len: u32) -> Result<u64, Failure> {
        let residual = u32::try_from(self.residual).unwrap_or(0);
        let transferred = u64::from(len.saturating_sub(residual));
        if self.status == status::GOOD {
            return Ok(transferred);
        }
        Err(Failure::Status {
            status: self.status,
            sense: self.sense,
            transferred,
        })
    }
}

/// What it means that the call failed.
pub(super) fn of_error(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => Failure::Ended(Outcome::NoTarget),
        // Not one of those that the kernel lets a caller without privileges send.
        Some(libc::EPERM | libc::EACCES) => {
            Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE).into()
        }
        // The sg driver has its limit of commands for one open file.
        Some(libc::EDOM) => with_status(status::TASK_SET_FULL),
        Some(libc::ENOMEM | libc::EAGAIN | libc::EBUSY) => with_status(status::BUSY),
        // The device may have executed it, or may not.
        Some(libc::EINTR) => Failure::Ended(Outcome::Aborted),
        _ => Sense::new(SenseKey::HardwareError, asc::INTERNAL_TARGET_FAILURE).into(),
    }
}

fn with_status(status: u8) -> Failure {
    Failure::Status {
        status,
        sense: SenseBytes::default(),
        transferred: 0,
    }
}
