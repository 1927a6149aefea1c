// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of what the drive says about itself.

use super::*;

fn feature(data: &[u8], code: u16) -> Option<&[u8]> {
    let mut rest = &data[8..];
    while let [a, b, _, len, ..] = *rest {
        let (feature, next) = rest.split_at(4 + usize::from(len));
        if u16::from_be_bytes([a, b]) == code {
            return Some(&feature[2..]);
        }
        rest = next;
    }
    None
}

fn configuration(kind: u8, start: u16) -> [u8; 10] {
    let [a, b] = start.to_be_bytes();
    [0x46, kind, a, b, 0, 0, 0, 4, 0, 0]
}

#[test]
fn inquiry() {
    let (machine, _image) = machine();
    let data = machine.get(&[0x12, 0, 0, 0, 96, 0], 96);
    assert_eq!(data[..3], [0x05, 0x80, 7]);
    assert_eq!(data[8..32], *b"HOSPES  CD-ROM          ");
    let page = |page| [0x12, 1, page, 0, 255, 0];
    assert_eq!(machine.get(&page(0), 255), [5, 0, 0, 3, 0, 0x80, 0x83]);
    assert_eq!(machine.get(&page(0x80), 255)[4..], *b"DRIVE-1");
    let names = machine.get(&page(0x83), 255);
    assert_eq!(names[4..8], [2, 1, 0, 31]);
    assert_eq!(names[8..], *b"HOSPES  CD-ROM          DRIVE-1");
    assert_eq!(machine.refused(&page(0xb0)), Sense::invalid_cdb(2, None));
}

#[test]
fn a_drive_without_a_name() {
    let cdrom = CdRom::open(&CdRomConfig::default()).unwrap();
    let guest = Guest::new();
    guest.target.add(ADDRESS, Box::new(cdrom)).unwrap();
    let page = |page| guest.run(&[0x12, 1, page, 0, 255, 0], &[], 255);
    assert_eq!(page(0).good(), [5, 0, 0, 1, 0]);
    assert_eq!(page(0x80).sense(), Sense::invalid_cdb(2, None));
}

#[test]
fn features_follow_the_disc() {
    let (cd, _image) = machine();
    let all = cd.get(&configuration(0, 0), 1024);
    assert_eq!(
        u32::from_be_bytes([all[0], all[1], all[2], all[3]]) as usize,
        all.len() - 4
    );
    assert_eq!(all[4..8], [0, 0, 0, 8]);
    assert_eq!(
        feature(&all, 0),
        Some(&[3, 8, 0, 0x10, 0, 0, 0, 8, 1, 0][..])
    );
    assert_eq!(feature(&all, 1), Some(&[3, 4, 0, 0, 0, 1][..]));
    assert_eq!(feature(&all, 3), Some(&[0x0b, 4, 0x3d, 0, 0, 0][..]));
    assert_eq!(
        feature(&all, 0x10),
        Some(&[1, 8, 0, 0, 8, 0, 0, 1, 1, 0][..])
    );
    assert_eq!(feature(&all, 0x1e), Some(&[9, 4, 0, 0, 0, 0][..]));
    assert_eq!(feature(&all, 0x1f), Some(&[0, 0][..]));
    // Only those that are current, from there on.
    let current = cd.get(&configuration(1, 0x10), 1024);
    assert_eq!(
        (feature(&current, 3), feature(&current, 0x1f)),
        (None, None)
    );
    assert!(feature(&current, 0x1e).is_some());
    let one = cd.get(&configuration(2, 0x10), 1024);
    assert_eq!(one.len(), 8 + 12);
    // One that is not there is no error.
    assert_eq!(
        cd.get(&configuration(2, 0x20), 1024),
        [0, 0, 0, 4, 0, 0, 0, 8]
    );
    assert_eq!(
        cd.refused(&configuration(3, 0)),
        Sense::invalid_cdb(1, Some(1))
    );

    let (dvd, _image) = machine_with_dvd();
    let all = dvd.get(&configuration(0, 0), 1024);
    assert_eq!(all[4..8], [0, 0, 0, 0x10]);
    assert_eq!(feature(&all, 0x1f), Some(&[1, 0][..]));
    assert_eq!(feature(&all, 0x1e).unwrap()[0], 8);

    let empty = Machine::new(None);
    let all = empty.get(&configuration(0, 0), 1024);
    assert_eq!(all[4..8], [0, 0, 0, 0]);
    assert_eq!(feature(&all, 0x10).unwrap()[0], 0);
}

#[test]
fn capabilities() {
    let (machine, _image) = machine();
    let page = machine.get(&[0x1a, 0, 0x2a, 0, 128, 0], 128);
    assert_eq!(page[..4], [25, 0, 0, 0]);
    assert_eq!(page[4..12], [0x2a, 0x14, 8, 0, 0, 0, 0x2d, 0]);
    machine.get(&[0x1e, 0, 0, 0, 1, 0], 0);
    let long = machine.get(&[0x5a, 8, 0x2a, 0, 0, 0, 0, 0, 128, 0], 128);
    assert_eq!(long[..8], [0, 28, 0, 0, 0, 0, 0, 0]);
    assert_eq!(long[14], 0x2f);
    let both = machine.get(&[0x5a, 8, 0x3f, 0, 0, 0, 0, 0, 128, 0], 128);
    assert_eq!((both.len(), both[8], both[20]), (42, 1, 0x2a));
    // Nothing can be changed.
    let mask = machine.get(&[0x5a, 8, 0x6a, 0, 0, 0, 0, 0, 128, 0], 128);
    assert_eq!(mask[8..], [&[0x2a, 0x14][..], &[0; 20]].concat());
    assert_eq!(
        machine.refused(&[0x1a, 0, 0x0e, 0, 128, 0]),
        Sense::invalid_cdb(2, Some(5))
    );
    let saved = machine.refused(&[0x1a, 0, 0xea, 0, 128, 0]);
    assert_eq!(saved, Sense::illegal(asc::SAVING_PARAMETERS_NOT_SUPPORTED));
}

#[test]
fn settings_stay() {
    let (machine, _image) = machine();
    let select = |list: &[u8]| {
        let cdb = [0x15, 0x10, 0, 0, list.len() as u8, 0];
        machine.guest.run(&cdb, list, 0)
    };
    let recovery = machine.get(&[0x1a, 8, 1, 0, 128, 0], 128);
    let same = [&[0, 0, 0, 0], &recovery[4..]].concat();
    select(&same).good();
    select(&[]).good();
    // The block length, as Linux sets it.
    select(&[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 8, 0]).good();
    let length = select(&[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0]).sense();
    assert_eq!(length, Sense::invalid_parameter(9, None));
    let mut other = same.clone();
    other[7] = 5;
    assert_eq!(select(&other).sense(), Sense::invalid_parameter(7, None));
    other[4] = 0x0e;
    assert_eq!(select(&other).sense(), Sense::invalid_parameter(4, None));
    let cut = select(&same[..10]).sense();
    assert_eq!(cut, Sense::illegal(asc::PARAMETER_LIST_LENGTH_ERROR));
}
