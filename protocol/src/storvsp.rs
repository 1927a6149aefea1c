// SPDX-License-Identifier: GPL-2.0 OR MIT

//! storvsp: SCSI over a VMBus channel, as Hyper-V's disks, CD drives and controllers speak it.
//!
//! The host's end is called storvsp, the guest's storvsc. Every message is a
//! packet of 64 bytes ([`packet`]): an operation, a status, and what depends on
//! the operation. Guests begin with a handshake ([`init`]) and go on with
//! commands ([`request`]), each of which ends with two status codes of its own
//! that [`outcome`] translates.
//!
//! | module | what |
//! |---|---|
//! | [`packet`] | operations, and the packet itself |
//! | [`version`] | versions |
//! | [`request`] | a SCSI command: addresses, CDB, sense data, flags |
//! | [`init`] | the handshake, for either side |
//! | [`outcome`] | how a command ended |
//!
//! Microsoft does not document it. Source: Linux 7.3, `drivers/scsi/storvsc_drv.c`;
//! `Documentation/protocols/storvsp.md` has it in prose. All integers are
//! little-endian, but for CDBs and sense data, which are SCSI's own.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a test may fail"
    )
)]

pub mod init;
pub mod outcome;
pub mod packet;
pub mod request;
pub mod version;

pub use packet::{Notice, Operation, Packet};
pub use request::{Direction, ScsiRequest};
pub use version::Version;

/// Transaction id of what a host sends by itself.
pub const TRANSACTION_UNSOLICITED: u64 = 0;
/// Transaction id that Linux gives the packets of the handshake (`VMBUS_RQST_INIT`).
pub const TRANSACTION_INIT: u64 = u64::MAX - 2;
/// Transaction id that Linux gives a reset (`VMBUS_RQST_RESET`).
pub const TRANSACTION_RESET: u64 = u64::MAX - 3;

/// Most targets of a SCSI controller.
pub const MAX_TARGETS: u8 = 2;
/// Most logical units that Linux looks for on a target.
pub const MAX_LUNS: u8 = 255;
/// Most buses ("paths") of a controller.
pub const MAX_PATHS: u8 = 8;
/// Most targets of a Fibre Channel controller.
pub const MAX_FC_TARGETS: u8 = 128;
/// Largest transfer of a Fibre Channel controller.
pub const MAX_FC_TRANSFER: u32 = 512 * 1024;
