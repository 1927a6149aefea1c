// SPDX-License-Identifier: GPL-2.0

//! How a command ended.

use crate::bindings;

/// What the host has to say about a command, as opposed to the target. Decides about retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostByte(u8);

impl HostByte {
    /// Nothing: the status of the target tells all.
    pub const OK: Self = Self(bindings::scsi_host_status_DID_OK as u8);
    /// There is no connection to the device any more.
    pub const NO_CONNECT: Self = Self(bindings::scsi_host_status_DID_NO_CONNECT as u8);
    /// The command is to be sent again.
    pub const REQUEUE: Self = Self(bindings::scsi_host_status_DID_REQUEUE as u8);
    /// A command that was passed through failed; whoever sent it is to be told.
    pub const PASSTHROUGH: Self = Self(bindings::scsi_host_status_DID_PASSTHROUGH as u8);
    /// The host was busy.
    pub const BUS_BUSY: Self = Self(bindings::scsi_host_status_DID_BUS_BUSY as u8);
    /// There is no such target, or it is gone.
    pub const BAD_TARGET: Self = Self(bindings::scsi_host_status_DID_BAD_TARGET as u8);
    /// The command was aborted.
    pub const ABORT: Self = Self(bindings::scsi_host_status_DID_ABORT as u8);
    /// What came was damaged on its way.
    pub const PARITY: Self = Self(bindings::scsi_host_status_DID_PARITY as u8);
    /// Something went wrong.
    pub const ERROR: Self = Self(bindings::scsi_host_status_DID_ERROR as u8);
    /// The command was lost in a reset.
    pub const RESET: Self = Self(bindings::scsi_host_status_DID_RESET as u8);
    /// The connection to the target failed.
    pub const TRANSPORT_DISRUPTED: Self =
        Self(bindings::scsi_host_status_DID_TRANSPORT_DISRUPTED as u8);

    /// The value, for messages.
    pub const fn raw(self) -> u8 {
        self.0
    }
}

/// The status byte of the target (SAM-6, 5.3). Any value may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u8);

impl Status {
    /// The command was carried out.
    pub const GOOD: Self = Self(0);
    /// There is sense data that says what happened.
    pub const CHECK_CONDITION: Self = Self(bindings::sam_status_SAM_STAT_CHECK_CONDITION as u8);
    /// The device is reserved for somebody else.
    pub const RESERVATION_CONFLICT: Self =
        Self(bindings::sam_status_SAM_STAT_RESERVATION_CONFLICT as u8);
}

/// The two as the SCSI layer has them in one integer.
pub(super) const fn combine(host: HostByte, status: Status) -> i32 {
    (host.0 as i32) << 16 | status.0 as i32
}
