// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of reading the disc.

use std::os::unix::fs::FileExt;

use hospes_device::counters::Counted;

use super::*;
use crate::testing::{pattern, read_10};
use crate::Outcome;

#[test]
fn what_is_on_the_disc() {
    let (machine, image) = machine();
    let data = pattern(BLOCKS as usize * 2048);
    image.as_file().write_all_at(&data, 0).unwrap();
    let reads: [&[u8]; 5] = [
        &[0x08, 0, 0, 16, 4, 0],
        &read_10(16, 4),
        &[0xa8, 0, 0, 0, 0, 16, 0, 0, 0, 4, 0, 0],
        &[0xbe, 0, 0, 0, 0, 16, 0, 0, 4, 0x10, 0, 0],
        &[0xb9, 0, 0, 0, 2, 16, 0, 2, 20, 0x10, 0, 0],
    ];
    for cdb in reads {
        let expected = &data[16 * 2048..20 * 2048];
        assert_eq!(machine.get(cdb, expected.len()), expected, "{cdb:x?}");
    }
    // A length of 0 is 256 blocks here, and none elsewhere.
    assert_eq!(
        machine.get(&[0x08, 0, 0, 0, 0, 0], 256 * 2048),
        data[..256 * 2048]
    );
    assert_eq!(machine.get(&read_10(0, 0), 0), [0; 0]);
    // READ CD of no part of a block.
    assert_eq!(
        machine.get(&[0xbe, 0, 0, 0, 0, 16, 0, 0, 4, 0, 0, 0], 10),
        [0; 0]
    );
    let counters = machine.guest.target.counters();
    assert_eq!(counters["0:0"]["reads"], 7);
    assert_eq!(counters["0:0"]["bytes_read"], (5 * 4 + 256) * 2048);
}

#[test]
fn capacity() {
    let (machine, _image) = machine();
    let capacity = machine.get(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8);
    assert_eq!(capacity, [0, 0, 1, 0x2b, 0, 0, 8, 0]);
}

#[test]
fn blocks_that_are_not_there() {
    let (machine, _image) = machine();
    let cases: [&[u8]; 6] = [
        &read_10(300, 1),
        &read_10(299, 2),
        &read_10(u32::MAX, 1),
        &[0xa8, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0],
        &[0x2b, 0, 0, 0, 1, 0x2c, 0, 0, 0, 0],
        &[0xbe, 0, 0, 0, 1, 0x2c, 0, 0, 1, 0, 0, 0],
    ];
    for cdb in cases {
        let sense = machine.refused(cdb);
        assert_eq!(
            sense,
            Sense::illegal(asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE),
            "{cdb:x?}"
        );
    }
    machine.get(&[0x2b, 0, 0, 0, 1, 0x2b, 0, 0, 0, 0], 0);
    let short = machine.guest.run(&read_10(0, 2), &[], 4095);
    assert_eq!(short.outcome, Outcome::Overrun { needed: 4096 });
}

#[test]
fn no_command_reads_for_ever() {
    let (machine, _image) = machine_with_dvd();
    let long = [0xa8, 0, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0];
    assert_eq!(
        machine.refused(&long),
        Sense::illegal(asc::INVALID_FIELD_IN_CDB)
    );
}

#[test]
fn an_image_that_shrank() {
    let (machine, image) = machine();
    image.as_file().set_len(10 * 2048).unwrap();
    let answer = machine.guest.run(&read_10(8, 4), &[], 4 * 2048);
    let sense = answer.sense();
    assert_eq!(sense.key, SenseKey::MediumError);
    assert_eq!(sense.additional, asc::UNRECOVERED_READ_ERROR);
    assert_eq!(sense.information, Some(10));
    assert_eq!(answer.response().transferred, 2 * 2048);
    machine.get(&read_10(8, 2), 2 * 2048);
}

#[test]
fn nothing_is_written() {
    let (machine, _image) = machine();
    // WRITE (10), SYNCHRONIZE CACHE (10), FORMAT UNIT, BLANK.
    for opcode in [0x2a, 0x35, 0x04, 0xa1] {
        let sense = machine.guest.run(&[opcode; 12], &[0; 2048], 0).sense();
        assert_eq!(sense, Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE));
    }
}
