// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of VERIFY (12) and WRITE AND VERIFY.

use hospes_device::counters::Counted;

use super::*;
use crate::testing::{access_10, access_16, content, pattern, write_10};
use crate::Outcome;

/// A command of 12 bytes.
fn access_12(opcode: u8, flags: u8, lba: u32, blocks: u32) -> [u8; 12] {
    let mut cdb = [0; 12];
    (cdb[0], cdb[1]) = (opcode, flags);
    cdb[2..6].copy_from_slice(&lba.to_be_bytes());
    cdb[6..10].copy_from_slice(&blocks.to_be_bytes());
    cdb
}

#[test]
fn twelve_bytes() {
    let (guest, _file) = guest();
    let data = pattern(300 * 512);
    guest.run(&write_10(5, 300), &data, 0).good();
    guest.run(&access_12(0xaf, 0, 5, 300), &[], 0).good();
    guest.run(&access_12(0xaf, 2, 5, 300), &data, 0).good();
    let sense = guest.run(&access_12(0xaf, 6, 5, 300), &[0; 512], 0).sense();
    assert_eq!(sense.key, SenseKey::Miscompare);
    let long = guest.run(&access_12(0xaf, 0, 5, 1 << 20), &[], 0).sense();
    assert_eq!(
        long,
        Sense::illegal(asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
    );
}

#[test]
fn write_and_verify() {
    let (guest, file) = guest();
    let data = pattern(200 * 512);
    let cdbs: [&[u8]; 3] = [
        &access_10(0x2e, 2, 100, 200),
        &access_12(0xae, 2, 400, 200),
        &access_16(0x8e, 0, 700, 200),
    ];
    for (cdb, lba) in cdbs.into_iter().zip([100, 400, 700]) {
        guest.run(cdb, &data, 0).good();
        assert_eq!(content(file.as_file())[lba * 512..][..data.len()], data);
    }
    let counters = guest.target.counters();
    assert_eq!(counters["0:0"]["flushes"], 3);
    assert_eq!(counters["0:0"]["bytes_written"], 3 * 200 * 512);
}

#[test]
fn write_and_verify_refuses() {
    let (guest, _file) = guest();
    let run = |flags, lba, out: &[u8]| guest.run(&access_10(0x2e, flags, lba, 2), out, 0);
    let same = run(6, 0, &[0; 1024]).sense();
    assert_eq!(same, Sense::invalid_cdb(1, Some(2)));
    assert_eq!(
        run(0, 0, &[0; 1023]).outcome,
        Outcome::Overrun { needed: 1024 }
    );
    assert_eq!(
        run(0, 4095, &[0; 1024]).sense().additional,
        asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    );
    assert_eq!(
        run(0x20, 0, &[0; 1024]).sense(),
        Sense::invalid_cdb(1, Some(7))
    );
}
