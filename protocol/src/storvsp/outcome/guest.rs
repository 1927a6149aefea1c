// SPDX-License-Identifier: GPL-2.0 OR MIT

//! From an answer to what a SCSI mid-layer has to be told.

use super::srb;
use crate::scsi::sense::Sense;
use crate::scsi::status;
use crate::storvsp::request::ScsiRequest;

/// What a guest knows of the command that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// First byte of the CDB.
    pub opcode: u8,
    /// Most bytes of data.
    pub transfer_length: u32,
    /// Whether the controller is a Fibre Channel one.
    pub is_fibre_channel: bool,
}

/// What the mid-layer is to be told, beside the SCSI status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostByte {
    /// Nothing: the SCSI status and the sense data decide (`DID_OK`).
    Ok,
    /// Do it again (`DID_REQUEUE`).
    Requeue,
    /// The unit is gone (`DID_NO_CONNECT`).
    NoConnect,
    /// It failed; try some more times (`DID_ERROR`).
    Error,
    /// An ATA command failed, of which the sender is to hear himself (`DID_PASSTHROUGH`).
    PassThrough,
}

/// What a guest has to do about the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowUp {
    /// Nothing.
    Nothing,
    /// Ask for its parameters again.
    Rescan,
    /// Remove it.
    Remove,
}

/// What an answer means for a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// What the mid-layer is to be told.
    pub host: HostByte,
    /// What to do about the unit.
    pub follow_up: FollowUp,
    /// The SCSI status.
    pub status: u8,
    /// Number of bytes that were transferred, no more than were asked for.
    pub transferred: u32,
    /// The sense data, none unless the status is CHECK CONDITION.
    pub sense: &'a [u8],
}

/// Commands whose failure is not the unit's but Hyper-V's.
const fn is_mishandled(asked: Asked) -> bool {
    const INQUIRY: u8 = 0x12;
    const MODE_SENSE_6: u8 = 0x1a;
    const MODE_SENSE_10: u8 = 0x5a;
    const PERSISTENT_RESERVE_IN: u8 = 0x5e;
    const MAINTENANCE_IN: u8 = 0xa3;
    match asked.opcode {
        INQUIRY | MODE_SENSE_6 | MODE_SENSE_10 => true,
        PERSISTENT_RESERVE_IN | MAINTENANCE_IN => asked.is_fibre_channel,
        _ => false,
    }
}

/// Says what an answer means, as hv_storvsc does.
///
/// Where C looks at sense data that there is none of, this treats it as missing; and bits of
/// `srb_status` do not change what its code means.
pub fn judge(answer: &ScsiRequest, asked: Asked) -> Verdict<'_> {
    let transferred = answer.transfer_length.get().min(asked.transfer_length);
    let success = Verdict {
        host: HostByte::Ok,
        follow_up: FollowUp::Nothing,
        status: status::GOOD,
        transferred,
        sense: &[],
    };
    if is_mishandled(asked) {
        return success;
    }
    let sense = sense(answer);
    let verdict = Verdict {
        status: answer.scsi_status,
        sense,
        ..success
    };
    if srb::code(answer.srb_status) == srb::SUCCESS {
        return verdict;
    }
    let (host, follow_up) = match (srb::code(answer.srb_status), Sense::decode(sense)) {
        (srb::INVALID_LUN, _) => (HostByte::NoConnect, FollowUp::Remove),
        (code, _) if !is_known_error(code) => unknown(answer.scsi_status),
        (_, Some(sense)) => with_sense(&sense),
        (_, None) => (without_sense(asked.opcode), FollowUp::Nothing),
    };
    let is_overrun = srb::code(answer.srb_status) == srb::DATA_OVERRUN;
    Verdict {
        host,
        follow_up,
        transferred: if is_overrun { transferred } else { 0 },
        ..verdict
    }
}

/// The sense data of an answer, if there is any and it is about this command.
fn sense(answer: &ScsiRequest) -> &[u8] {
    let has_sense = answer.srb_status & srb::AUTOSENSE_VALID != 0;
    if has_sense && answer.scsi_status == status::CHECK_CONDITION {
        answer.sense()
    } else {
        &[]
    }
}

const fn is_known_error(code: u8) -> bool {
    matches!(
        code,
        srb::ABORTED
            | srb::ERROR
            | srb::INVALID_REQUEST
            | srb::TIMEOUT
            | srb::SELECTION_TIMEOUT
            | srb::BUS_RESET
            | srb::DATA_OVERRUN
            | srb::INTERNAL_ERROR
    )
}

/// A code that is not known leaves it to the SCSI status, unless that says that all is well.
const fn unknown(status: u8) -> (HostByte, FollowUp) {
    let host = if status == status::GOOD {
        HostByte::Error
    } else {
        HostByte::Ok
    };
    (host, FollowUp::Nothing)
}

fn with_sense(sense: &Sense) -> (HostByte, FollowUp) {
    match (sense.additional.code, sense.additional.qualifier) {
        // The capacity has changed.
        (0x2a, 0x09) => (HostByte::Requeue, FollowUp::Rescan),
        // Something else has, but for what the mid-layer looks after itself: INQUIRY data,
        // and the list of units.
        (0x3f, qualifier) if !matches!(qualifier, 0x03 | 0x0e) => {
            (HostByte::Requeue, FollowUp::Rescan)
        }
        _ => (HostByte::Ok, FollowUp::Nothing),
    }
}

const fn without_sense(opcode: u8) -> HostByte {
    const TEST_UNIT_READY: u8 = 0x00;
    const ATA_16: u8 = 0x85;
    const ATA_12: u8 = 0xa1;
    match opcode {
        ATA_16 | ATA_12 => HostByte::PassThrough,
        TEST_UNIT_READY => HostByte::Ok,
        _ => HostByte::Error,
    }
}
