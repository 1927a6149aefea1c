// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Requests of the control queue (VIRTIO 1.3, section 5.6.6.2).
//!
//! A *task management function* (TMF) acts on commands that are in flight; the
//! device answers it after it has answered every command that it ended. An
//! *asynchronous notification* (AN) request selects events of a unit.

use core::mem::size_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::command::ResponseCode;
use super::lun::{Lun, LunField};

/// The kind of a control request; any value may arrive at a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlType(pub u32);

impl ControlType {
    /// A task management function follows.
    pub const TMF: Self = Self(0);
    /// Which events does the unit have?
    pub const AN_QUERY: Self = Self(1);
    /// Report these events of the unit.
    pub const AN_SUBSCRIBE: Self = Self(2);
}

/// What a task management function does; any value may arrive at a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TmfSubtype(pub u32);

impl TmfSubtype {
    /// End the command with the tag.
    pub const ABORT_TASK: Self = Self(0);
    /// End all commands of this initiator on the unit.
    pub const ABORT_TASK_SET: Self = Self(1);
    /// Clear an auto contingent allegiance.
    pub const CLEAR_ACA: Self = Self(2);
    /// End all commands on the unit.
    pub const CLEAR_TASK_SET: Self = Self(3);
    /// Reset the connection with the target.
    pub const I_T_NEXUS_RESET: Self = Self(4);
    /// Reset the logical unit.
    pub const LOGICAL_UNIT_RESET: Self = Self(5);
    /// Is the command with the tag in flight?
    pub const QUERY_TASK: Self = Self(6);
    /// Is any command in flight on the unit?
    pub const QUERY_TASK_SET: Self = Self(7);
}

/// A task management request, read by the device.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct TmfRequest {
    /// [`ControlType::TMF`].
    pub kind: U32,
    /// A [`TmfSubtype`].
    pub subtype: U32,
    /// The logical unit.
    pub lun: LunField,
    /// Tag of the command, for the functions that name one.
    pub tag: U64,
}

const _: () = assert!(size_of::<TmfRequest>() == 24);

impl TmfRequest {
    /// A request to end the command `tag` of `lun`.
    pub fn abort_task(lun: Lun, tag: u64) -> Self {
        Self::new(TmfSubtype::ABORT_TASK, lun, tag)
    }

    /// A request to reset `lun`.
    pub fn logical_unit_reset(lun: Lun) -> Self {
        Self::new(TmfSubtype::LOGICAL_UNIT_RESET, lun, 0)
    }

    fn new(subtype: TmfSubtype, lun: Lun, tag: u64) -> Self {
        Self {
            kind: U32::new(ControlType::TMF.0),
            subtype: U32::new(subtype.0),
            lun: lun.to_flat(),
            tag: U64::new(tag),
        }
    }
}

/// The answer to a task management request, written by the device.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct TmfResponse {
    /// A [`ResponseCode`].
    pub response: u8,
}

const _: () = assert!(size_of::<TmfResponse>() == 1);

impl TmfResponse {
    /// What a driver has in the buffer before the device writes it.
    pub const UNWRITTEN: Self = Self {
        response: ResponseCode::UNWRITTEN.0,
    };

    /// The response code.
    pub const fn code(self) -> ResponseCode {
        ResponseCode(self.response)
    }
}

/// An asynchronous notification request, read by the device.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct AnRequest {
    /// [`ControlType::AN_QUERY`] or [`ControlType::AN_SUBSCRIBE`].
    pub kind: U32,
    /// The logical unit.
    pub lun: LunField,
    /// The events that the driver asks for, one bit each.
    pub event_requested: U32,
}

const _: () = assert!(size_of::<AnRequest>() == 16);

/// The answer to an asynchronous notification request, written by the device.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct AnResponse {
    /// The events that the device has (or will report), one bit each.
    pub event_actual: U32,
    /// A [`ResponseCode`].
    pub response: u8,
}

const _: () = assert!(size_of::<AnResponse>() == 5);

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    #[test]
    fn abort_on_the_wire() {
        let lun = Lun::new(3, 300).expect("in range");
        let request = TmfRequest::abort_task(lun, 0x0102_0304);
        let mut expected = std::vec![0u8; 8];
        expected.extend([1, 3, 0x41, 0x2c, 0, 0, 0, 0]);
        expected.extend([4, 3, 2, 1, 0, 0, 0, 0]);
        assert_eq!(request.as_bytes(), expected);
    }

    #[test]
    fn reset_names_no_command() {
        let lun = Lun::new(0, 0).expect("in range");
        let request = TmfRequest::logical_unit_reset(lun);
        assert_eq!((request.subtype.get(), request.tag.get()), (5, 0));
    }
}
