// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of MODE SENSE and MODE SELECT.

use super::*;
use crate::testing::write_10;

const SENSE_CACHING: [u8; 6] = [0x1a, 8, 8, 0, 255, 0];

/// MODE SELECT (6) of this list.
fn select(guest: &Guest, list: &[u8]) -> crate::testing::Answer {
    guest.run(&[0x15, 0x10, 0, 0, list.len() as u8, 0], list, 0)
}

/// A list with the caching page.
fn caching(flags: u8) -> Vec<u8> {
    let mut list = vec![0; 24];
    list[4..7].copy_from_slice(&[8, 0x12, flags]);
    list
}

#[test]
fn sense_pages() {
    let (guest, _file) = guest();
    let caching = guest.run(&SENSE_CACHING, &[], 255).good();
    assert_eq!(caching[..7], [23, 0, 0x10, 0, 8, 0x12, 4]);
    let all = guest.run(&[0x1a, 0, 0x3f, 0xff, 255, 0], &[], 255).good();
    assert_eq!(all.len(), 4 + 8 + 20 + 12 + 12);
    assert_eq!(all[..12], [55, 0, 0x10, 8, 0, 0, 0x10, 0, 0, 0, 2, 0]);
    assert_eq!(all[32..36], [0x0a, 0x0a, 0x20, 0x10]);
    assert_eq!(all[44..48], [0x1c, 0x0a, 0, 6]);

    let long = guest
        .run(&[0x5a, 0x10, 0x3f, 0, 0, 0, 0, 1, 0, 0], &[], 256)
        .good();
    assert_eq!(long.len(), 8 + 16 + 20 + 12 + 12);
    assert_eq!(long[..8], [0, 66, 0, 0x10, 1, 0, 0, 16]);
    assert_eq!(
        long[8..24],
        [0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 2, 0]
    );
}

#[test]
fn sense_other_values() {
    let (guest, _file) = guest();
    let page =
        |control: u8, page: u8| guest.run(&[0x1a, 8, (control << 6) | page, 0, 255, 0], &[], 255);
    assert_eq!(page(1, 8).good()[4..8], [8, 0x12, 4, 0]);
    assert_eq!(page(1, 0x0a).good()[4..9], [0x0a, 0x0a, 4, 0, 8]);
    assert_eq!(page(1, 0x1c).good()[4..8], [0x1c, 0x0a, 0, 0]);
    assert_eq!(page(2, 8).good()[6], 4);
    assert_eq!(
        page(3, 8).sense(),
        Sense::illegal(asc::SAVING_PARAMETERS_NOT_SUPPORTED)
    );
    assert_eq!(page(0, 1).sense(), Sense::invalid_cdb(2, Some(5)));
    let subpage = guest.run(&[0x1a, 8, 8, 1, 255, 0], &[], 255);
    assert_eq!(subpage.sense(), Sense::invalid_cdb(3, None));
}

#[test]
fn write_protection_is_told_and_kept() {
    let (guest, _file) = guest_with(|config| config.read_only = true);
    assert_eq!(guest.run(&SENSE_CACHING, &[], 255).good()[2], 0x90);
    let sense = guest.run(&write_10(0, 1), &[1; 512], 0).sense();
    assert_eq!(
        sense,
        Sense::new(SenseKey::DataProtect, asc::WRITE_PROTECTED)
    );
}

#[test]
fn write_cache_off_and_on() {
    let (guest, _file) = guest();
    select(&guest, &caching(0)).good();
    assert_eq!(guest.run(&SENSE_CACHING, &[], 255).good()[6], 0);
    // Every write is durable now.
    guest.run(&write_10(0, 1), &[1; 512], 0).good();
    select(&guest, &caching(4)).good();
    assert_eq!(guest.run(&SENSE_CACHING, &[], 255).good()[6], 4);
}

#[test]
fn what_was_read_can_be_written_back() {
    let (guest, _file) = guest();
    let mut all = guest
        .run(&[0x5a, 0x10, 0x3f, 0, 0, 0, 0, 1, 0, 0], &[], 256)
        .good();
    all[..2].fill(0);
    let cdb = [0x55, 0x10, 0, 0, 0, 0, 0, 0, all.len() as u8, 0];
    guest.run(&cdb, &all, 0).good();
}

#[test]
fn selections_that_are_refused() {
    let (guest, _file) = guest();
    let mut last_byte = caching(4);
    last_byte[23] = 0x10;
    let mut wrong_len = caching(4);
    wrong_len[5] = 0x11;
    let mut unknown = caching(4);
    unknown[4] = 0x1d;
    let cases = [
        (caching(5), Sense::invalid_parameter(6, Some(0))),
        (last_byte, Sense::invalid_parameter(23, Some(4))),
        (wrong_len[..23].to_vec(), Sense::invalid_parameter(5, None)),
        (unknown, Sense::invalid_parameter(4, None)),
        (
            caching(0)[..23].to_vec(),
            Sense::illegal(asc::PARAMETER_LIST_LENGTH_ERROR),
        ),
        (
            vec![0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 4, 0],
            Sense::invalid_parameter(9, None),
        ),
        (
            vec![0, 0, 0, 8, 0, 0, 0, 5, 0, 0, 2, 0],
            Sense::invalid_parameter(9, None),
        ),
    ];
    for (list, sense) in cases {
        assert_eq!(select(&guest, &list).sense(), sense, "{list:x?}");
    }
    let not_ours = guest.run(&[0x15, 0, 0, 0, 24, 0], &caching(0), 0);
    assert_eq!(not_ours.sense(), Sense::invalid_cdb(1, Some(4)));
    let save = guest.run(&[0x15, 0x11, 0, 0, 24, 0], &caching(0), 0);
    assert_eq!(save.sense(), Sense::invalid_cdb(1, Some(0)));
    // Nothing of it had an effect.
    assert_eq!(guest.run(&SENSE_CACHING, &[], 255).good()[6], 4);
}

/// A list with the control page.
fn control(task_set: u8, protection: u8) -> Vec<u8> {
    let mut list = vec![0; 16];
    list[4..9].copy_from_slice(&[0x0a, 0x0a, 0x20 | task_set, 0x10, protection]);
    list
}

#[test]
fn sense_data_made_of_descriptors() {
    let (guest, _file) = guest();
    let format = |guest: &Guest| {
        let response = guest.run(&[0xff; 6], &[], 0).response();
        response.sense.as_slice()[0]
    };
    assert_eq!(format(&guest), 0x70);
    select(&guest, &control(4, 0)).good();
    assert_eq!(format(&guest), 0x72);
    let current = guest.run(&[0x1a, 8, 0x0a, 0, 255, 0], &[], 255).good();
    assert_eq!(current[6], 0x24);
    // Its own bit says what REQUEST SENSE returns.
    let asked = guest.run(&[3, 0, 0, 0, 252, 0], &[], 252).good();
    assert_eq!(asked[0], 0x70);
    select(&guest, &control(0, 0)).good();
    assert_eq!(format(&guest), 0x70);
}

#[test]
fn protection_by_software() {
    let (guest, file) = guest();
    select(&guest, &control(0, 8)).good();
    assert_eq!(guest.run(&SENSE_CACHING, &[], 255).good()[2], 0x90);
    let protected = Sense::new(SenseKey::DataProtect, asc::WRITE_PROTECTED);
    let sense = guest.run(&write_10(0, 1), &[1; 512], 0).sense();
    assert_eq!(sense, protected);
    assert_eq!(crate::testing::content(file.as_file())[..512], [0; 512]);
    // A reset takes it back, and the format of sense data with it.
    let lun = protocol::scsi::lun::Lun::Unit(0);
    guest
        .target
        .task_management(crate::TaskFunction::LunReset { target: 0, lun });
    guest.attentions(0);
    guest.run(&write_10(0, 1), &[1; 512], 0).good();
}
