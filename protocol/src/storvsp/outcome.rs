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

use zerocopy::little_endian::U32;

use super::request::{ScsiRequest, SENSE_SIZE};
use crate::scsi::sense::Sense;
use crate::scsi::status;

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

/// How a command ended for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    /// The unit answered.
    Status {
        /// Its SCSI status.
        status: u8,
        /// Number of bytes that were transferred.
        transferred: u32,
        /// Its sense data, none if there is none.
        sense: &'a [u8],
    },
    /// It was given up, by a reset of the unit or of the whole machine.
    Aborted,
    /// It was given up by a reset of the bus.
    BusReset,
    /// It took too long.
    TimedOut,
    /// There is no such unit.
    NoUnit,
    /// The request makes no sense.
    Invalid,
    /// The host is at fault.
    Failed,
}

/// The answer to a command: the request with what has become of it.
pub fn answer(request: &ScsiRequest, ending: &Ending<'_>) -> ScsiRequest {
    let mut answer = *request;
    answer.scsi_status = status::GOOD;
    answer.sense_length = 0;
    answer.transfer_length = U32::ZERO;
    answer.srb_status = match ending {
        Ending::Status {
            status,
            transferred,
            sense,
        } => {
            answer.scsi_status = *status;
            answer.transfer_length = U32::new(*transferred);
            let has_sense =
                *status == status::CHECK_CONDITION && put_sense(&mut answer, request, sense);
            srb_status(*status, has_sense)
        }
        Ending::Aborted => srb::ABORTED,
        Ending::BusReset => srb::BUS_RESET,
        Ending::TimedOut => srb::TIMEOUT,
        Ending::NoUnit => srb::INVALID_LUN,
        Ending::Invalid => srb::INVALID_REQUEST,
        Ending::Failed => srb::INTERNAL_ERROR,
    };
    answer
}

/// Puts as much sense data in the place of the CDB as the guest wants. Says whether that is any.
fn put_sense(answer: &mut ScsiRequest, request: &ScsiRequest, sense: &[u8]) -> bool {
    let room = request
        .command()
        .map_or(0, |command| usize::from(command.sense_length));
    let bytes = sense.iter().take(room).take(SENSE_SIZE);
    answer.sense_length = u8::try_from(bytes.len()).unwrap_or(0);
    answer.cdb_or_sense = [0; SENSE_SIZE];
    for (to, from) in answer.cdb_or_sense.iter_mut().zip(bytes) {
        *to = *from;
    }
    answer.sense_length != 0
}

const fn srb_status(status: u8, has_sense: bool) -> u8 {
    match status {
        status::GOOD => srb::SUCCESS,
        status::BUSY | status::TASK_SET_FULL => srb::BUSY,
        _ if has_sense => srb::ERROR | srb::AUTOSENSE_VALID,
        _ => srb::ERROR,
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scsi::sense::{Additional, Format, SenseKey};
    use crate::storvsp::request::{Address, Direction};
    use proptest::prelude::*;
    use zerocopy::FromBytes;

    const READ: Asked = Asked {
        opcode: 0x28,
        transfer_length: 4096,
        is_fibre_channel: false,
    };

    fn request(opcode: u8) -> ScsiRequest {
        let cdb = [opcode, 0, 0, 0, 0, 0, 0, 0, 8, 0];
        ScsiRequest::new(Address::default(), &cdb, Direction::In, 4096, true).unwrap()
    }

    fn check(code: u8, qualifier: u8) -> ScsiRequest {
        let sense = Sense::new(SenseKey::UnitAttention, Additional { code, qualifier });
        let bytes = sense.encode(Format::Fixed);
        let ending = Ending::Status {
            status: status::CHECK_CONDITION,
            transferred: 0,
            sense: bytes.as_slice(),
        };
        answer(&request(0x28), &ending)
    }

    fn raw(srb_status: u8, scsi_status: u8) -> ScsiRequest {
        ScsiRequest {
            srb_status,
            scsi_status,
            ..request(0x28)
        }
    }

    fn verdict(answer: &ScsiRequest) -> (HostByte, FollowUp) {
        let verdict = judge(answer, READ);
        (verdict.host, verdict.follow_up)
    }

    #[test]
    fn a_short_transfer_is_a_success() {
        let ending = Ending::Status {
            status: status::GOOD,
            transferred: 512,
            sense: &[],
        };
        let answer = answer(&request(0x28), &ending);
        assert_eq!(answer.srb_status, srb::SUCCESS);
        let verdict = judge(&answer, READ);
        assert_eq!((verdict.host, verdict.status), (HostByte::Ok, status::GOOD));
        assert_eq!((verdict.transferred, verdict.sense), (512, &[][..]));
    }

    #[test]
    fn sense_decides_what_follows() {
        let rescan = (HostByte::Requeue, FollowUp::Rescan);
        let leave = (HostByte::Ok, FollowUp::Nothing);
        for (code, qualifier, expected) in [
            (0x2a, 0x09, rescan),
            (0x3f, 0x01, rescan),
            (0x3f, 0x03, leave),
            (0x3f, 0x0e, leave),
            (0x2a, 0x01, leave),
            (0x29, 0x00, leave),
        ] {
            let answer = check(code, qualifier);
            assert_eq!(answer.srb_status, srb::ERROR | srb::AUTOSENSE_VALID);
            assert_eq!(verdict(&answer), expected, "{code:x}/{qualifier:x}");
            assert_eq!(judge(&answer, READ).sense.len(), 18);
        }
    }

    #[test]
    fn each_ending_is_something_to_a_guest() {
        let plain = |ending| verdict(&answer(&request(0x28), &ending));
        let error = (HostByte::Error, FollowUp::Nothing);
        for ending in [
            Ending::Aborted,
            Ending::BusReset,
            Ending::TimedOut,
            Ending::Invalid,
            Ending::Failed,
        ] {
            assert_eq!(plain(ending), error);
        }
        assert_eq!(
            plain(Ending::NoUnit),
            (HostByte::NoConnect, FollowUp::Remove)
        );
        let status = |status| Ending::Status {
            status,
            transferred: 0,
            sense: &[],
        };
        for busy in [status::BUSY, status::TASK_SET_FULL] {
            assert_eq!(plain(status(busy)), (HostByte::Ok, FollowUp::Nothing));
        }
        assert_eq!(plain(status(status::RESERVATION_CONFLICT)), error);
        assert_eq!(plain(status(status::CHECK_CONDITION)), error);
    }

    #[test]
    fn some_commands_never_fail() {
        let failed = raw(srb::ERROR, status::CHECK_CONDITION);
        let judge = |opcode, is_fibre_channel| {
            judge(
                &failed,
                Asked {
                    opcode,
                    is_fibre_channel,
                    ..READ
                },
            )
            .host
        };
        for opcode in [0x12, 0x1a, 0x5a] {
            assert_eq!(judge(opcode, false), HostByte::Ok);
        }
        for opcode in [0x5e, 0xa3] {
            assert_eq!(judge(opcode, false), HostByte::Error);
            assert_eq!(judge(opcode, true), HostByte::Ok);
        }
        assert_eq!(judge(0x85, false), HostByte::PassThrough);
        assert_eq!(judge(0xa1, false), HostByte::PassThrough);
        assert_eq!(judge(0x00, false), HostByte::Ok);
    }

    #[test]
    fn contradictions_are_errors() {
        let error = (HostByte::Error, FollowUp::Nothing);
        // Sense data is announced and there is none that could be meant.
        assert_eq!(
            verdict(&raw(srb::ERROR | srb::AUTOSENSE_VALID, status::GOOD)),
            error
        );
        let empty = ScsiRequest {
            sense_length: 0,
            ..raw(srb::ERROR | srb::AUTOSENSE_VALID, status::CHECK_CONDITION)
        };
        assert_eq!(verdict(&empty), error);
        // A code that nobody knows, and nothing else that is wrong.
        assert_eq!(verdict(&raw(0x3e, status::GOOD)), error);
        assert_eq!(verdict(&raw(0, status::GOOD)), error);
        // Bits beside a success.
        let frozen = raw(srb::SUCCESS | srb::QUEUE_FROZEN, status::GOOD);
        assert_eq!(judge(&frozen, READ).transferred, 4096);
    }

    proptest! {
        #[test]
        fn answers_stay_within_what_was_asked(
            bytes in proptest::collection::vec(any::<u8>(), 52), opcode: u8, transfer_length: u32,
            is_fibre_channel: bool,
        ) {
            let answer = ScsiRequest::read_from_bytes(&bytes).unwrap();
            let asked = Asked { opcode, transfer_length, is_fibre_channel };
            let verdict = judge(&answer, asked);
            prop_assert!(verdict.transferred <= transfer_length);
            prop_assert!(verdict.sense.len() <= SENSE_SIZE);
            let is_check = verdict.status == status::CHECK_CONDITION;
            prop_assert!(verdict.sense.is_empty() || is_check);
        }

        #[test]
        fn what_the_unit_says_arrives(
            status in prop_oneof![Just(0_u8), Just(2), Just(8), Just(0x18), Just(0x28), Just(0x40)],
            transferred in 0_u32..5000, sense in proptest::collection::vec(any::<u8>(), 0..30),
        ) {
            let ending = Ending::Status { status, transferred, sense: &sense };
            let answer = answer(&request(0x28), &ending);
            let verdict = judge(&answer, READ);
            prop_assert_eq!(verdict.status, status);
            if status == status::GOOD {
                prop_assert_eq!(verdict.host, HostByte::Ok);
                prop_assert_eq!(verdict.transferred, transferred.min(4096));
            }
            let expected = if status == status::CHECK_CONDITION { sense.len().min(20) } else { 0 };
            prop_assert_eq!(verdict.sense, &sense[..expected]);
        }
    }
}
