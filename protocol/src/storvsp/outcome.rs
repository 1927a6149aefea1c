// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How a command ended: from SCSI to the two codes of an answer, and back.
//!
//! An answer has the SCSI status and the status of the request block (SRB). The
//! SRB status is what counts; the SCSI status and the sense data say more if it
//! is an error. [`answer`] is for hosts and [`judge`] for guests.
//!
//! Not obvious:
//!
//! - Guests make a success out of any answer to INQUIRY and MODE SENSE, because
//!   Hyper-V fails some of their forms. So a host that has no such unit has to
//!   answer INQUIRY with data that says so (peripheral qualifier 3): guests do
//!   not see the status.
//! - A transfer shorter than asked for is a success with a shorter length. The
//!   code for an overrun, which Windows has for that as well, is an error to Linux.
//! - A unit that is busy must not be an error: Linux fails the command after
//!   some attempts then. With [`srb::BUSY`] it looks at the SCSI status.

pub mod guest;
pub mod host;

pub use guest::{judge, Asked, FollowUp, HostByte, Verdict};
pub use host::{answer, Ending};

/// Values of `srb_status` (`SRB_STATUS_*`).
pub mod srb {
    /// Done.
    pub const SUCCESS: u8 = 0x01;
    /// Given up because somebody asked for that.
    pub const ABORTED: u8 = 0x02;
    /// Not done; see the SCSI status.
    pub const ERROR: u8 = 0x04;
    /// Not now; see the SCSI status. Linux does not know it and does just that.
    pub const BUSY: u8 = 0x05;
    /// The request makes no sense.
    pub const INVALID_REQUEST: u8 = 0x06;
    /// It took too long.
    pub const TIMEOUT: u8 = 0x09;
    /// The device does not answer.
    pub const SELECTION_TIMEOUT: u8 = 0x0a;
    /// The bus was reset.
    pub const BUS_RESET: u8 = 0x0e;
    /// More or less data than there should have been.
    pub const DATA_OVERRUN: u8 = 0x12;
    /// There is no such unit.
    pub const INVALID_LUN: u8 = 0x20;
    /// The host is at fault.
    pub const INTERNAL_ERROR: u8 = 0x30;

    /// Bit: the queue waits for the guest.
    pub const QUEUE_FROZEN: u8 = 0x40;
    /// Bit: there is sense data.
    pub const AUTOSENSE_VALID: u8 = 0x80;

    /// The value without its bits.
    pub const fn code(status: u8) -> u8 {
        status & !(AUTOSENSE_VALID | QUEUE_FROZEN)
    }
}

#[cfg(test)]
mod tests;
