// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of commands that move data.

use hospes_device::counters::Counted;
use protocol::scsi::sense::SenseKey;

use super::*;
use crate::testing::{access_10, access_16, content, pattern, read_10, write_10};
use crate::Outcome;

#[test]
fn what_is_written_is_read() {
    let (guest, file) = guest();
    let data = pattern(8 * 512);
    guest.run(&write_10(7, 8), &data, 0).good();
    assert_eq!(content(file.as_file())[7 * 512..15 * 512], data);

    let reads: [&[u8]; 4] = [
        &[0x08, 0, 0, 7, 8, 0],
        &read_10(7, 8),
        &[0xa8, 0, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0],
        &access_16(0x88, 0, 7, 8),
    ];
    for cdb in reads {
        assert_eq!(guest.run(cdb, &[], data.len()).good(), data, "{cdb:x?}");
    }
}

#[test]
fn every_length_of_write() {
    let (guest, file) = guest();
    let writes: [&[u8]; 4] = [
        &[0x0a, 0, 0, 1, 1, 0],
        &write_10(2, 1),
        &[0xaa, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0],
        &access_16(0x8a, 0x08, 4, 1),
    ];
    for (cdb, lba) in writes.into_iter().zip(1..) {
        let data = vec![lba as u8; 512];
        guest.run(cdb, &data, 0).good();
        assert_eq!(
            content(file.as_file())[lba * 512..][..512],
            data,
            "{cdb:x?}"
        );
    }
}

#[test]
fn long_transfers_take_several_calls() {
    let (guest, _file) = guest();
    // Some hundred pieces of guest memory.
    let data = pattern(2048 * 512);
    guest.run(&write_10(0, 2048), &data, 0).good();
    assert_eq!(guest.run(&read_10(0, 2048), &[], data.len()).good(), data);
}

#[test]
fn long_blocks() {
    let (guest, file) = guest_with(|config| config.block_size = BlockSize::B4096);
    let data = pattern(4096);
    guest.run(&write_10(511, 1), &data, 0).good();
    assert_eq!(content(file.as_file())[511 * 4096..], data);
    let sense = guest.run(&read_10(512, 1), &[], 4096).sense();
    assert_eq!(sense.additional, asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE);
}

#[test]
fn ranges_that_are_not_there() {
    let (guest, _file) = guest();
    let cases: [&[u8]; 7] = [
        &read_10(4096, 1),
        &read_10(4095, 2),
        &read_10(4096, 0),
        &access_16(0x88, 0, u64::MAX, u32::MAX),
        &access_16(0x8a, 0, u64::MAX - 1, 2),
        &access_16(0x8f, 0, 4090, 7),
        &access_10(0x35, 0, 5000, 0),
    ];
    for cdb in cases {
        let answer = guest.run(cdb, &[0; 1024], 1024);
        assert_eq!(answer.sense().key, SenseKey::IllegalRequest);
        assert_eq!(
            answer.sense().additional,
            asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE,
            "{cdb:x?}"
        );
        assert_eq!(answer.response().transferred, 0);
    }
    assert_eq!(guest.run(&read_10(4095, 0), &[], 0).good(), [0; 0]);
}

/// A file of holes can be so large that a single VERIFY would take hours.
#[test]
fn no_command_takes_more_blocks_than_the_disk_says() {
    let file = file(1 << 40);
    let guest = Guest::with_disk(Disk::open(&config(file.as_path())).unwrap());
    for opcode in [0x88, 0x8a, 0x8f] {
        let sense = guest.run(&access_16(opcode, 0, 0, 131_073), &[], 0).sense();
        assert_eq!(sense, Sense::invalid_cdb(10, None), "{opcode:#x}");
    }
    let long = [0xa8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0];
    assert_eq!(
        guest.run(&long, &[], 0).sense(),
        Sense::invalid_cdb(6, None)
    );
    guest.run(&access_16(0x8f, 0, 0, 131_072), &[], 0).good();
}

#[test]
fn buffers_that_do_not_fit() {
    let (guest, file) = guest();
    let answer = guest.run(&read_10(0, 1), &[], 4096);
    assert_eq!(answer.response().residual, 4096 - 512);
    assert_eq!(answer.good().len(), 512);

    let short = guest.run(&write_10(0, 2), &[1; 1023], 0);
    assert_eq!(short.outcome, Outcome::Overrun { needed: 1024 });
    assert!(content(file.as_file()).iter().all(|byte| *byte == 0));
    // The wrong direction is no buffer at all.
    let wrong = guest.run(&read_10(0, 1), &[1; 512], 0);
    assert_eq!(wrong.outcome, Outcome::Overrun { needed: 512 });
}

#[test]
fn verify() {
    let (guest, _file) = guest();
    let data = pattern(300 * 512);
    guest.run(&write_10(0, 300), &data, 0).good();

    guest.run(&access_10(0x2f, 0, 0, 300), &[], 0).good();
    guest.run(&access_10(0x2f, 2, 0, 300), &data, 0).good();
    guest.run(&access_16(0x8f, 2, 0, 300), &data, 0).good();
    let mut wrong = data.clone();
    wrong[299 * 512] ^= 1;
    let sense = guest.run(&access_10(0x2f, 2, 0, 300), &wrong, 0).sense();
    assert_eq!(sense.key, SenseKey::Miscompare);
    assert_eq!(sense.additional, asc::MISCOMPARE_DURING_VERIFY_OPERATION);

    let same = access_16(0x8f, 6, 1000, 3);
    guest.run(&same, &[0; 512], 0).good();
    assert_eq!(
        guest.run(&same, &[1; 512], 0).sense().key,
        SenseKey::Miscompare
    );
    assert_eq!(
        guest.run(&same, &[0; 511], 0).outcome,
        Outcome::Overrun { needed: 512 }
    );
}

#[test]
fn counters_move() {
    let (guest, _file) = guest();
    guest.run(&write_10(0, 2), &[1; 1024], 0).good();
    guest.run(&read_10(0, 1), &[], 512).good();
    guest.run(&access_10(0x35, 0, 0, 0), &[], 0).good();
    guest.run(&access_10(0x2a, 8, 0, 1), &[1; 512], 0).good();
    guest.run(&[0xff, 0, 0, 0, 0, 0], &[], 0).sense();
    assert_eq!(
        guest.target.counters(),
        serde_json::json!({ "0:0": {
            "reads": 1, "writes": 2, "bytes_read": 512, "bytes_written": 1536,
            "flushes": 2, "unmaps": 0, "errors": 1, "aborted": 0,
        }}),
    );
}

#[test]
fn stopped_units() {
    let (guest, _file) = guest();
    guest.run(&[0x1b, 0, 0, 0, 0, 0], &[], 0).good();
    let why = asc::LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED;
    for cdb in [&read_10(0, 1) as &[u8], &write_10(0, 1), &[0; 6]] {
        let sense = guest.run(cdb, &[0; 512], 512).sense();
        assert_eq!((sense.key, sense.additional), (SenseKey::NotReady, why));
    }
    let asked = guest.run(&[3, 0, 0, 0, 18, 0], &[], 18).good();
    assert_eq!(Sense::decode(&asked).unwrap().additional, why);
    guest.run(&[0x1b, 0, 0, 0, 1, 0], &[], 0).good();
    guest.run(&[0; 6], &[], 0).good();
    // Neither eject nor power conditions.
    for (byte_4, bit) in [(0x02, 1), (0x30, 5)] {
        let sense = guest.run(&[0x1b, 0, 0, 0, byte_4, 0], &[], 0).sense();
        assert_eq!(sense, Sense::invalid_cdb(4, Some(bit)));
    }
}
