// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of LOG SENSE, the self-test, and the lists of what there is.

use super::*;
use crate::testing::{access_10, read_10, write_10};

/// LOG SENSE of current values.
fn page(guest: &Guest, page: u8, subpage: u8, pointer: u8) -> crate::testing::Answer {
    let cdb = [0x4d, 0, 0x40 | page, subpage, 0, 0, pointer, 1, 0, 0];
    guest.run(&cdb, &[], 256)
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().unwrap())
}

#[test]
fn pages() {
    let (guest, _file) = guest();
    let list = page(&guest, 0, 0, 0).good();
    assert_eq!(list, [0x80, 0, 0, 6, 0, 2, 3, 5, 6, 0x2f]);
    let all = page(&guest, 0, 0xff, 0).good();
    assert_eq!(all[..8], [0xc0, 0xff, 0, 14, 0, 0, 0, 0xff]);
    assert_eq!(all[8..], [2, 0, 3, 0, 5, 0, 6, 0, 0x2f, 0]);
    for each in &list[5..] {
        let page = page(&guest, *each, 0, 0).good();
        assert_eq!(page[..2], [0x80 | each, 0]);
        assert_eq!(usize::from(page[3]), page.len() - 4);
    }
}

#[test]
fn bytes_and_errors_are_counted() {
    let (guest, file) = guest();
    guest.run(&write_10(0, 2), &[1; 1024], 0).good();
    guest.run(&read_10(0, 1), &[], 512).good();
    guest.run(&access_10(0x2f, 0, 0, 8), &[], 0).good();
    file.as_file().set_len(0).unwrap();
    guest.run(&read_10(0, 1), &[], 512).sense();
    guest.run(&read_10(0, 1), &[], 512).sense();
    guest.run(&access_10(0x2f, 0, 0, 8), &[], 0).sense();
    for (code, bytes, errors) in [(2, 1024, 0), (3, 512, 2), (5, 4096, 1)] {
        let page = page(&guest, code, 0, 0).good();
        assert_eq!(page[4..8], [0, 5, 0x22, 8]);
        assert_eq!(page[16..20], [0, 6, 0x22, 8]);
        assert_eq!((number(&page[8..]), number(&page[20..])), (bytes, errors));
    }
    let exceptions = page(&guest, 0x2f, 0, 0).good();
    assert_eq!(exceptions[4..], [0, 0, 0x23, 4, 0, 0, 0xff, 0xff]);
}

#[test]
fn parameters_from_one_on() {
    let (guest, _file) = guest();
    assert_eq!(page(&guest, 2, 0, 6).good()[3..6], [12, 0, 6]);
    let beyond = Sense::invalid_cdb(5, None);
    assert_eq!(page(&guest, 2, 0, 7).sense(), beyond);
    assert_eq!(page(&guest, 0, 0, 1).sense(), beyond);
}

#[test]
fn pages_that_are_not_there() {
    let (guest, _file) = guest();
    let unknown = Sense::invalid_cdb(2, Some(5));
    assert_eq!(page(&guest, 0x0d, 0, 0).sense(), unknown);
    let subpage = Sense::invalid_cdb(3, None);
    assert_eq!(page(&guest, 2, 1, 0).sense(), subpage);
    let threshold = [0x4d, 0, 2, 0, 0, 0, 0, 1, 0, 0];
    let sense = guest.run(&threshold, &[], 256).sense();
    assert_eq!(sense, Sense::invalid_cdb(2, Some(7)));
}

#[test]
fn self_test() {
    let (guest, file) = guest();
    let test = [0x1d, 4, 0, 0, 0, 0];
    guest.run(&test, &[], 0).good();
    file.as_file().set_len(0).unwrap();
    let failed = Sense::new(SenseKey::HardwareError, asc::LOGICAL_UNIT_FAILED_SELF_TEST);
    assert_eq!(guest.run(&test, &[], 0).sense(), failed);
    guest.run(&[0x1d, 0, 0, 0, 0, 0], &[], 0).good();
    // Neither background tests nor diagnostic pages.
    let background = guest.run(&[0x1d, 0x20, 0, 0, 0, 0], &[], 0).sense();
    assert_eq!(background, Sense::invalid_cdb(1, Some(5)));
}

#[test]
fn task_management_functions() {
    let (guest, _file) = guest();
    let ask = |byte_2| guest.run(&[0xa3, 0x0d, byte_2, 0, 0, 0, 0, 0, 0, 64, 0, 0], &[], 64);
    assert_eq!(ask(0).good(), [0xdc, 3, 0, 0]);
    let long = ask(0x80).good();
    assert_eq!((long.len(), long[3]), (16, 12));
}

#[test]
fn usage_maps_follow_what_the_disk_has() {
    let one = |guest: &Guest, opcode: u8| {
        let cdb = [0xa3, 0x0c, 1, opcode, 0, 0, 0, 0, 0, 64, 0, 0];
        guest.run(&cdb, &[], 64).good()
    };
    let (guest, _file) = guest();
    assert_eq!(one(&guest, 0x28)[..6], [0, 3, 0, 10, 0x28, 0x18]);
    assert_eq!(one(&guest, 0x93)[4..6], [0x93, 0x09]);
    let (guest, _file) = guest_with(|config| config.thin = false);
    assert_eq!(one(&guest, 0x93)[4..6], [0x93, 0x01]);
    assert_eq!(one(&guest, 0x42), [0, 1, 0, 0]);
}
