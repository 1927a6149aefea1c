// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of PERSISTENT RESERVE IN and OUT, RESERVE and RELEASE as a guest sees
//! them. The rules among several nexuses have tests of their own.

use protocol::scsi::lun::Lun;
use protocol::scsi::status;

use super::*;
use crate::testing::{write_10, Answer};
use crate::TaskFunction;

const KEY: u64 = 0x0102_0304_0506_0708;

/// PERSISTENT RESERVE OUT.
fn out(guest: &Guest, action: u8, kind: u8, key: u64, action_key: u64) -> Answer {
    out_with(guest, action, kind, key, action_key, 0)
}

fn out_with(guest: &Guest, action: u8, kind: u8, key: u64, action_key: u64, flags: u8) -> Answer {
    let mut list = [key.to_be_bytes(), action_key.to_be_bytes(), [0; 8]].concat();
    list[20] = flags;
    guest.run(&[0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0], &list, 0)
}

/// PERSISTENT RESERVE IN.
fn read(guest: &Guest, action: u8) -> Answer {
    guest.run(&[0x5e, action, 0, 0, 0, 0, 0, 1, 0, 0], &[], 256)
}

#[track_caller]
fn assert_conflict(answer: &Answer) {
    let response = answer.response();
    assert_eq!(response.status, status::RESERVATION_CONFLICT);
    assert_eq!(response.sense.as_slice(), [0; 0]);
}

/// A guest that is registered.
fn registered() -> (Guest, TempFile) {
    let (guest, file) = guest();
    out(&guest, 0, 0, 0, KEY).good();
    (guest, file)
}

#[test]
fn capabilities() {
    let (guest, _file) = guest();
    assert_eq!(read(&guest, 2).good(), [0, 8, 0, 0x80, 0xea, 1, 0, 0]);
}

#[test]
fn keys_and_reservation() {
    let (guest, _file) = guest();
    assert_eq!(read(&guest, 0).good(), [0; 8]);
    out(&guest, 0, 0, 0, KEY).good();
    let keys = read(&guest, 0).good();
    assert_eq!(keys[..8], [0, 0, 0, 1, 0, 0, 0, 8]);
    assert_eq!(keys[8..], KEY.to_be_bytes());
    assert_eq!(read(&guest, 1).good(), [0, 0, 0, 1, 0, 0, 0, 0]);

    out(&guest, 1, 5, KEY, 0).good();
    let held = read(&guest, 1).good();
    assert_eq!(held[..8], [0, 0, 0, 1, 0, 0, 0, 16]);
    assert_eq!(held[8..16], KEY.to_be_bytes());
    assert_eq!(held[16..], [0, 0, 0, 0, 0, 5, 0, 0]);

    let full = read(&guest, 3).good();
    assert_eq!(full[..8], [0, 0, 0, 1, 0, 0, 0, 48]);
    assert_eq!(full[8..16], KEY.to_be_bytes());
    assert_eq!(full[20..22], [1, 5]);
    assert_eq!(full[26..32], [0, 1, 0, 0, 0, 24]);
    assert_eq!(full[32], 0x0f);

    out(&guest, 2, 5, KEY, 0).good();
    assert_eq!(read(&guest, 1).good().len(), 8);
    assert_eq!(read(&guest, 3).good()[20..22], [0, 0]);
}

#[test]
fn the_holder_reads_and_writes() {
    let (guest, _file) = registered();
    for kind in [1, 3, 5, 6, 7, 8] {
        out(&guest, 1, kind, KEY, 0).good();
        guest.run(&write_10(0, 1), &[1; 512], 0).good();
        guest.run(&[0; 6], &[], 0).good();
        out(&guest, 2, kind, KEY, 0).good();
    }
}

#[test]
fn who_is_not_registered_gets_nowhere() {
    let (guest, _file) = guest();
    for (action, kind) in [(1, 1), (2, 1), (3, 0), (4, 1), (5, 1)] {
        assert_conflict(&out(&guest, action, kind, KEY, KEY));
    }
    assert_conflict(&out(&guest, 0, 0, KEY, KEY));
    out(&guest, 6, 0, KEY, KEY).good();
    assert_conflict(&out(&guest, 1, 1, KEY + 1, 0));
}

#[test]
fn preempting_oneself_and_clearing() {
    let (guest, _file) = registered();
    out(&guest, 1, 1, KEY, 0).good();
    out(&guest, 5, 3, KEY, KEY).good();
    assert_eq!(read(&guest, 1).good()[21], 3);
    assert_conflict(&out(&guest, 4, 3, KEY, KEY + 1));
    out(&guest, 3, 0, KEY, 0).good();
    assert_eq!(read(&guest, 0).good(), [0, 0, 0, 3, 0, 0, 0, 0]);
}

#[test]
fn what_is_refused() {
    let (guest, _file) = registered();
    // Types and scopes that do not exist.
    for kind in [0, 2, 9, 0x11] {
        let sense = out(&guest, 1, kind, KEY, 0).sense();
        assert_eq!(sense, Sense::invalid_cdb(2, None));
    }
    for (flags, bit) in [(8, 3), (4, 2), (1, 0)] {
        let sense = out_with(&guest, 0, 0, KEY, KEY, flags).sense();
        assert_eq!(sense, Sense::invalid_parameter(20, Some(bit)));
    }
    let short = guest.run(&[0x5f, 0, 0, 0, 0, 0, 0, 0, 20, 0], &[0; 20], 0);
    assert_eq!(
        short.sense(),
        Sense::illegal(asc::PARAMETER_LIST_LENGTH_ERROR)
    );
    out(&guest, 1, 1, KEY, 0).good();
    assert_eq!(
        out(&guest, 2, 3, KEY, 0).sense(),
        Sense::illegal(asc::INVALID_RELEASE_OF_PERSISTENT_RESERVATION)
    );
    // Actions that are not there.
    for cdb in [[0x5f, 7], [0x5e, 4]] {
        let cdb = [cdb[0], cdb[1], 0, 0, 0, 0, 0, 0, 24, 0];
        assert_eq!(
            guest.run(&cdb, &[0; 24], 24).sense(),
            Sense::invalid_cdb(1, Some(4))
        );
    }
}

#[test]
fn resets_leave_persistent_reservations() {
    let (guest, _file) = registered();
    out(&guest, 1, 6, KEY, 0).good();
    let before = read(&guest, 3).good();
    let lun = Lun::Unit(0);
    let functions = [
        TaskFunction::LunReset { target: 0, lun },
        TaskFunction::NexusReset { target: 0 },
    ];
    for function in functions {
        guest.target.task_management(function);
        guest.attentions(0);
        assert_eq!(read(&guest, 3).good(), before);
    }
    guest.target.reset();
    guest.attentions(0);
    assert_eq!(read(&guest, 3).good(), before);
}

#[test]
fn reservations_of_spc_2() {
    const RESERVE: [u8; 6] = [0x16, 0, 0, 0, 0, 0];
    const RELEASE: [u8; 10] = [0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let (guest, _file) = guest();
    guest.run(&RESERVE, &[], 0).good();
    guest.run(&write_10(0, 1), &[1; 512], 0).good();
    assert_conflict(&read(&guest, 0));
    assert_conflict(&out(&guest, 6, 0, 0, KEY));
    guest.run(&RELEASE, &[], 0).good();
    guest.run(&RESERVE, &[], 0).good();
    let lun = Lun::Unit(0);
    guest
        .target
        .task_management(TaskFunction::LunReset { target: 0, lun });
    guest.attentions(0);
    out(&guest, 6, 0, 0, KEY).good();
    assert_conflict(&guest.run(&RESERVE, &[], 0));
    assert_conflict(&guest.run(&RELEASE, &[], 0));
}
