// SPDX-License-Identifier: GPL-2.0 OR MIT

//! SCSI commands and their responses (VIRTIO 1.3, section 5.6.6.1).
//!
//! On a request queue a command is, in this order: the request header
//! ([`CommandRequest`], or [`CommandRequestPi`] once protection information
//! was negotiated), data-out, the [`CommandResponse`], data-in.
//!
//! Not obvious: the *used length*, by which a device says how much it wrote,
//! cannot be taken at its word. Linux's vhost-scsi always reports 0, and QEMU
//! counts data-out as well. So 0 is read as "not told", a length that is told
//! must cover the header, and there is no upper bound. That a response was
//! written at all is known from [`ResponseHeader::UNWRITTEN`], which a driver
//! puts in place beforehand.

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::lun::LunField;
use super::{CDB_SIZE, SENSE_SIZE};

/// How the target may order a command; any value may arrive at a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskAttribute(pub u8);

impl TaskAttribute {
    /// In any order.
    pub const SIMPLE: Self = Self(0);
    /// After all that came before, before all that comes after.
    pub const ORDERED: Self = Self(1);
    /// Before all that waits.
    pub const HEAD_OF_QUEUE: Self = Self(2);
    /// During an auto contingent allegiance.
    pub const ACA: Self = Self(3);
}

/// A [`CommandRequest`] without its CDB, for a driver that puts that behind it by itself.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct CommandHeader {
    /// The logical unit.
    pub lun: LunField,
    /// Names the command in task management; unique while the command is in flight.
    pub tag: U64,
    /// A [`TaskAttribute`].
    pub task_attr: u8,
    /// Priority of the command.
    pub prio: u8,
    /// Command reference number.
    pub crn: u8,
}

const _: () = assert!(size_of::<CommandHeader>() == offset_of!(CommandRequest, cdb));

/// The header of a command, read by the device.
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
pub struct CommandRequest {
    /// The logical unit.
    pub lun: LunField,
    /// Names the command in task management; unique while the command is in flight.
    pub tag: U64,
    /// A [`TaskAttribute`].
    pub task_attr: u8,
    /// Priority of the command (SAM-6, 8.7). Linux sends 0.
    pub prio: u8,
    /// Command reference number. Linux sends 0.
    pub crn: u8,
    /// The command descriptor block, padded with zeros.
    pub cdb: [u8; CDB_SIZE],
}

const _: () = assert!(size_of::<CommandRequest>() == 51);

/// The header of a command where protection information (PI) was negotiated.
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
pub struct CommandRequestPi {
    /// The logical unit.
    pub lun: LunField,
    /// Names the command in task management; unique while the command is in flight.
    pub tag: U64,
    /// A [`TaskAttribute`].
    pub task_attr: u8,
    /// Priority of the command (SAM-6, 8.7). Linux sends 0.
    pub prio: u8,
    /// Command reference number. Linux sends 0.
    pub crn: u8,
    /// Bytes of PI ahead of the data-out.
    pub pi_bytesout: U32,
    /// Bytes of PI ahead of the data-in.
    pub pi_bytesin: U32,
    /// The command descriptor block, padded with zeros.
    pub cdb: [u8; CDB_SIZE],
}

const _: () = assert!(size_of::<CommandRequestPi>() == 59);

/// A [`CommandRequestPi`] without its CDB, as [`CommandHeader`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct CommandHeaderPi {
    /// What is the same without protection information.
    pub header: CommandHeader,
    /// Bytes of PI ahead of the data-out.
    pub pi_bytesout: U32,
    /// Bytes of PI ahead of the data-in.
    pub pi_bytesin: U32,
}

const _: () = assert!(size_of::<CommandHeaderPi>() == offset_of!(CommandRequestPi, cdb));

/// How a request ended, on a request queue or on the control queue; any value may arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseCode(pub u8);

impl ResponseCode {
    /// The command was carried out: its SCSI status says how it went.
    pub const OK: Self = Self(0);
    /// The command wanted to move more data than there were buffers for.
    pub const OVERRUN: Self = Self(1);
    /// The command was ended by task management.
    pub const ABORTED: Self = Self(2);
    /// There is no such target or unit.
    pub const BAD_TARGET: Self = Self(3);
    /// The command was ended by a reset.
    pub const RESET: Self = Self(4);
    /// The command was not started; it may be sent again.
    pub const BUSY: Self = Self(5);
    /// The connection with the target failed.
    pub const TRANSPORT_FAILURE: Self = Self(6);
    /// The target failed.
    pub const TARGET_FAILURE: Self = Self(7);
    /// The unit is reserved for another initiator.
    pub const NEXUS_FAILURE: Self = Self(8);
    /// Anything else.
    pub const FAILURE: Self = Self(9);
    /// The task management function was carried out.
    pub const FUNCTION_SUCCEEDED: Self = Self(10);
    /// The device does not have the task management function.
    pub const FUNCTION_REJECTED: Self = Self(11);
    /// Task management named a unit that does not exist.
    pub const INCORRECT_LUN: Self = Self(12);

    /// Not a response: what a driver has in the buffer before the device writes it.
    pub const UNWRITTEN: Self = Self(0xff);
}

/// The fixed part of a response.
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
pub struct ResponseHeader {
    /// Bytes of sense data that follow.
    pub sense_len: U32,
    /// Bytes of the data buffer that were not transferred.
    pub resid: U32,
    /// Status qualifier (SAM-6, 5.3).
    pub status_qualifier: U16,
    /// SCSI status.
    pub status: u8,
    /// A [`ResponseCode`].
    pub response: u8,
}

const _: () = assert!(size_of::<ResponseHeader>() == 12);

/// A response, written by the device.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct CommandResponse {
    /// The fixed part.
    pub header: ResponseHeader,
    /// Sense data.
    pub sense: [u8; SENSE_SIZE],
}

const _: () = assert!(size_of::<CommandResponse>() == 108);

/// Something in a response that no correct device writes. Each carries the offending value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// The device wrote fewer bytes than the fixed part has.
    ShortResponse(u32),
    /// The device returned the command without writing a response.
    Unwritten,
    /// The response code is none that ends a command.
    UnknownResponse(u8),
    /// There is more sense data than the field or the written part can hold.
    SenseLength(u32),
    /// More is said to be left than there was to transfer.
    Residual(u32),
}

/// A response after all checks.
///
/// # Invariants
///
/// `sense_len` is at most [`SENSE_SIZE`], `residual` at most the length of the
/// data, and `response` is one of [`ResponseCode::OK`] to [`ResponseCode::FAILURE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How the command ended; [`ResponseCode::FAILURE`] where the response was unusable.
    pub response: ResponseCode,
    /// The SCSI status.
    pub status: u8,
    /// Bytes that were not transferred.
    pub residual: u32,
    /// Bytes of sense data to take.
    pub sense_len: usize,
    /// The first thing that was wrong, if anything was.
    pub anomaly: Option<Anomaly>,
}

impl Outcome {
    /// The outcome of a command that moved no data and of which nothing else is known.
    const fn failed(data_len: u32, anomaly: Anomaly) -> Self {
        Self {
            response: ResponseCode::FAILURE,
            status: 0,
            residual: data_len,
            sense_len: 0,
            anomaly: Some(anomaly),
        }
    }
}

impl ResponseHeader {
    /// What a driver has in the buffer before the device writes it.
    pub const UNWRITTEN: Self = Self {
        sense_len: U32::ZERO,
        resid: U32::ZERO,
        status_qualifier: U16::ZERO,
        status: 0,
        response: ResponseCode::UNWRITTEN.0,
    };

    /// Whether this is what most responses are, and the whole of it: the command was carried out,
    /// and there is neither sense data nor anything odd. What [`check`](Self::check) would find
    /// is then in the fields. The arguments are those of `check`.
    #[inline]
    pub fn is_plain(&self, used_len: u32, data_len: u32) -> bool {
        let whole = used_len == 0 || used_len >= size_of::<Self>() as u32;
        self.response == ResponseCode::OK.0
            && self.sense_len == U32::ZERO
            && self.resid.get() <= data_len
            && whole
    }

    /// Checks a header that was copied out of shared memory.
    ///
    /// `used_len` is what the ring reported as written, `data_len` the length
    /// of the command's data buffer.
    #[inline]
    pub fn check(&self, used_len: u32, data_len: u32) -> Outcome {
        let header_len = size_of::<Self>() as u32;
        if used_len != 0 && used_len < header_len {
            return Outcome::failed(data_len, Anomaly::ShortResponse(used_len));
        }
        match ResponseCode(self.response) {
            ResponseCode::UNWRITTEN => Outcome::failed(data_len, Anomaly::Unwritten),
            ResponseCode(code) if code > ResponseCode::FAILURE.0 => {
                Outcome::failed(data_len, Anomaly::UnknownResponse(code))
            }
            response => self.check_lengths(response, used_len, data_len),
        }
    }

    #[inline]
    fn check_lengths(&self, response: ResponseCode, used_len: u32, data_len: u32) -> Outcome {
        let (sense_len, resid) = (self.sense_len.get(), self.resid.get());
        let written = match used_len.checked_sub(size_of::<Self>() as u32) {
            Some(rest) => rest.min(SENSE_SIZE as u32),
            // A length of 0, which says nothing.
            None => SENSE_SIZE as u32,
        };
        let anomaly = if sense_len > written {
            Some(Anomaly::SenseLength(sense_len))
        } else if resid > data_len {
            Some(Anomaly::Residual(resid))
        } else {
            None
        };
        // INVARIANT: both lengths are limited here, the response by the caller.
        Outcome {
            response,
            status: self.status,
            residual: resid.min(data_len),
            sense_len: sense_len.min(written) as usize,
            anomaly,
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::FromBytes;

    fn header(response: u8, sense_len: u32, resid: u32) -> ResponseHeader {
        ResponseHeader {
            sense_len: U32::new(sense_len),
            resid: U32::new(resid),
            status_qualifier: U16::ZERO,
            status: 2,
            response,
        }
    }

    #[test]
    fn good_responses_have_no_anomaly() {
        for used_len in [0, 12 + 18, 108, 108 + 4096] {
            let outcome = header(0, 18, 96).check(used_len, 4096);
            assert_eq!(outcome.anomaly, None);
            assert_eq!(
                (outcome.status, outcome.residual, outcome.sense_len),
                (2, 96, 18)
            );
        }
    }

    #[test]
    fn each_anomaly_is_named_and_contained() {
        let cases = [
            (header(0, 0, 0), 11, Anomaly::ShortResponse(11)),
            (ResponseHeader::UNWRITTEN, 108, Anomaly::Unwritten),
            (header(10, 0, 0), 108, Anomaly::UnknownResponse(10)),
            (header(0, 97, 0), 108, Anomaly::SenseLength(97)),
            (header(0, 18, 0), 12, Anomaly::SenseLength(18)),
            (header(0, 0, 4097), 108, Anomaly::Residual(4097)),
        ];
        for (header, used_len, anomaly) in cases {
            assert_eq!(header.check(used_len, 4096).anomaly, Some(anomaly));
        }
    }

    #[test]
    fn an_unusable_response_moved_nothing() {
        let outcome = ResponseHeader::UNWRITTEN.check(0, 512);
        assert_eq!(
            (outcome.response, outcome.residual),
            (ResponseCode::FAILURE, 512)
        );
    }

    proptest! {
        #[test]
        fn any_header_keeps_the_invariants(bytes: [u8; 12], used_len: u32, data_len: u32) {
            let header = ResponseHeader::read_from_bytes(&bytes).expect("size is exact");
            let outcome = header.check(used_len, data_len);
            prop_assert!(outcome.sense_len <= SENSE_SIZE);
            prop_assert!(outcome.residual <= data_len);
            prop_assert!(outcome.response.0 <= ResponseCode::FAILURE.0);
        }

        #[test]
        fn a_plain_response_is_what_its_check_says(
            response in 0u8..2, sense_len in 0u32..2, resid in 0u32..4, used_len in 0u32..24,
        ) {
            let header = header(response, sense_len, resid);
            let outcome = header.check(used_len, 2);
            let expected = Outcome {
                response: ResponseCode::OK,
                status: header.status,
                residual: resid,
                sense_len: 0,
                anomaly: None,
            };
            prop_assert_eq!(header.is_plain(used_len, 2), outcome == expected);
        }
    }
}
