// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of GET LBA STATUS.

use std::os::unix::fs::FileExt;

use super::*;

/// What GET LBA STATUS says: block, number of blocks, and whether they are
/// deallocated.
fn status(guest: &Guest, lba: u64, allocation: u8) -> Vec<(u64, u32, u8)> {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1], cdb[13]) = (0x9e, 0x12, allocation);
    cdb[2..10].copy_from_slice(&lba.to_be_bytes());
    let data = guest.run(&cdb, &[], 255).good();
    assert_eq!(
        u32::from_be_bytes(data[..4].try_into().unwrap()) as usize + 4,
        data.len()
    );
    data[8..]
        .chunks(16)
        .map(|each| {
            (
                u64::from_be_bytes(each[..8].try_into().unwrap()),
                u32::from_be_bytes(each[8..12].try_into().unwrap()),
                each[12],
            )
        })
        .collect()
}

#[test]
fn holes_and_data() {
    let (guest, file) = guest();
    assert_eq!(status(&guest, 0, 255), [(0, 4096, 1)]);
    // One byte in the middle of a block, and two separate pages.
    file.as_file().write_all_at(&[1], 64 * 4096 + 513).unwrap();
    file.as_file().write_all_at(&[1], 200 * 4096).unwrap();
    let all = [
        (0, 512, 1),
        (512, 8, 0),
        (520, 1080, 1),
        (1600, 8, 0),
        (1608, 2488, 1),
    ];
    assert_eq!(status(&guest, 0, 255), all);
    assert_eq!(status(&guest, 516, 255)[0], (516, 4, 0));
    // As many as have room, and one at least.
    assert_eq!(status(&guest, 0, 40), all[..2]);
    assert_eq!(status(&guest, 4095, 255), [(4095, 1, 1)]);
}

#[test]
fn a_disk_that_is_not_thin_has_everything() {
    let (guest, _file) = guest_with(|config| config.thin = false);
    assert_eq!(status(&guest, 96, 255), [(96, 4000, 0)]);
}

#[test]
fn ranges_and_headers() {
    let (guest, file) = guest();
    let mut cdb = [0; 16];
    (cdb[0], cdb[1], cdb[13]) = (0x9e, 0x12, 8);
    // The header alone still says how much there is.
    let header = guest.run(&cdb, &[], 255).good();
    assert_eq!(header, [0, 0, 0, 20, 0, 0, 0, 0]);
    cdb[8] = 0x10;
    let outside = Sense::illegal(asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE);
    assert_eq!(guest.run(&cdb, &[], 255).sense(), outside);
    // What a file lost at its end has nothing behind it.
    file.as_file().set_len(4096).unwrap();
    assert_eq!(status(&guest, 8, 255), [(8, 4088, 1)]);
}
