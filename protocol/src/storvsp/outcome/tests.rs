// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Endings there and back, and answers that contradict themselves.

use super::*;
use crate::scsi::sense::{Additional, Format, Sense, SenseKey};
use crate::scsi::status;
use crate::storvsp::request::{Address, Direction, ScsiRequest, SENSE_SIZE};
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
