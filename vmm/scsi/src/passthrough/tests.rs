// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of what needs no device. What needs one is `tests/virtio_scsi/passthrough.sh`.

use hospes_device::memory::SgList;
use proptest::prelude::*;
use protocol::scsi::sense::{Format, SenseBytes, SenseKey};
use protocol::scsi::status;

use super::reply::Reply;
use super::*;
use crate::testing::{file, pattern, Guest, IN, OUT};

fn good() -> Reply {
    Reply {
        status: status::GOOD,
        sense: SenseBytes::default(),
        host_status: 0,
        driver_status: 0,
        residual: 12,
    }
}

fn ended(outcome: Outcome) -> Result<u64, Failure> {
    Err(Failure::Ended(outcome))
}

#[test]
fn what_the_device_says_is_passed_on() {
    assert_eq!(good().result(512), Ok(500));
    let sense = Sense::new(SenseKey::MediumError, asc::UNRECOVERED_READ_ERROR);
    let sense = sense.encode(Format::Descriptor);
    for host_status in [0, 0x0a, 0x10, 0x11, 0x13] {
        let reply = Reply {
            status: status::CHECK_CONDITION,
            sense,
            host_status,
            driver_status: 8,
            residual: 512,
        };
        let expected = Failure::Status {
            status: status::CHECK_CONDITION,
            sense,
            transferred: 0,
        };
        assert_eq!(reply.result(512), Err(expected), "{host_status:#x}");
    }
}

#[test]
fn what_the_host_says_becomes_an_outcome() {
    let with = |host_status, driver_status| {
        let reply = Reply {
            host_status,
            driver_status,
            ..good()
        };
        reply.result(512)
    };
    assert_eq!(with(1, 0), ended(Outcome::NoTarget));
    assert_eq!(with(3, 0), ended(Outcome::Aborted));
    assert_eq!(with(0, 6), ended(Outcome::Aborted));
    assert_eq!(with(8, 0), ended(Outcome::Reset));
    assert_eq!(with(7, 0), ended(Outcome::Failed));
    assert_eq!(with(0x10, 0), ended(Outcome::Failed));
    assert_eq!(with(0xff, 0), ended(Outcome::Failed));
    let busy = with(2, 0).unwrap_err();
    assert!(matches!(
        busy,
        Failure::Status {
            status: status::BUSY,
            ..
        }
    ));
}

#[test]
fn errors_of_the_system_become_outcomes() {
    let of = |code| reply::of_error(&io::Error::from_raw_os_error(code));
    assert_eq!(of(libc::ENODEV), Failure::Ended(Outcome::NoTarget));
    assert_eq!(of(libc::EINTR), Failure::Ended(Outcome::Aborted));
    let full = of(libc::EDOM);
    let status = status::TASK_SET_FULL;
    assert!(matches!(full, Failure::Status { status: s, .. } if s == status));
    for (code, additional) in [
        (libc::EPERM, asc::INVALID_COMMAND_OPERATION_CODE),
        (libc::EIO, asc::INTERNAL_TARGET_FAILURE),
    ] {
        let failure = of(code);
        assert!(matches!(failure, Failure::Check { sense, .. } if sense.additional == additional));
    }
}

#[test]
fn lengths_of_commands() {
    for (opcode, len) in [
        (0x12, 6),
        (0x28, 10),
        (0x5f, 10),
        (0x88, 16),
        (0xa0, 12),
        (0xc1, 10),
    ] {
        assert_eq!(cdb_len(&[opcode; 32]), Ok(len), "{opcode:#x}");
    }
    let mut variable = [0_u8; 32];
    (variable[0], variable[7]) = (0x7f, 0x18);
    assert_eq!(cdb_len(&variable), Ok(32));
    variable[7] = 0x19;
    assert_eq!(cdb_len(&variable), Err(Sense::invalid_cdb(7, None)));
    assert!(cdb_len(&[0x60; 32]).is_err());
    assert!(cdb_len(&[0x88; 10]).is_err());
    assert!(cdb_len(&[]).is_err());
}

#[test]
fn lists_of_many_pieces_are_copied() {
    let guest = Guest::new();
    // Pieces of the model are 3000 bytes: 1025 of them are one too many.
    let bytes = pattern(1025 * 3000);
    let command = guest.command(0, 0, &[], &bytes, bytes.len());
    let len = bytes.len() as u32;
    let none = SgList::empty();
    match Data::new(&command.data_out, &none, len) {
        Data::CopiedOut(copy) => assert_eq!(copy, bytes),
        _ => panic!("not copied"),
    }
    match Data::new(&none, &command.data_in, len) {
        Data::CopiedIn(mut copy) => {
            copy.copy_from_slice(&bytes);
            Data::CopiedIn(copy).deliver(&command.data_in, 10);
        }
        _ => panic!("not copied"),
    }
    let mut delivered = [0; 11];
    command.data_in.read_at(0, &mut delivered);
    assert_eq!(delivered[..10], bytes[..10]);
    assert_eq!(delivered[10], 0);
    const { assert!(OUT < IN) };
    let short = guest.command(0, 0, &[], &bytes[..3000], 0);
    let data = Data::new(&short.data_out, &none, 3000);
    assert!(matches!(data, Data::Out(_, 3000)));
}

#[test]
fn what_is_no_device() {
    let file = file(4096);
    let open = |path: &Path| Passthrough::open(&PassthroughConfig::new(path));
    assert!(matches!(
        open(file.as_path()),
        Err(PassthroughError::NotScsi { .. })
    ));
    assert!(matches!(
        open(Path::new("/nowhere")),
        Err(PassthroughError::Open { .. })
    ));
}

proptest! {
    #[test]
    fn any_reply_has_a_result(
        status: u8, host_status: u16, driver_status: u16, residual: i32, len: u32,
    ) {
        let reply = Reply { status, host_status, driver_status, residual, sense: SenseBytes::default() };
        let transferred = match reply.result(len) {
            Ok(transferred) | Err(Failure::Status { transferred, .. }) => transferred,
            Err(_) => 0,
        };
        prop_assert!(transferred <= u64::from(len));
    }

    #[test]
    fn no_command_is_longer_than_its_bytes(cdb in prop::collection::vec(any::<u8>(), 0..33)) {
        if let Ok(len) = cdb_len(&cdb) {
            prop_assert!(len <= cdb.len());
        }
    }
}
