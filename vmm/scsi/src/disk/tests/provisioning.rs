// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of UNMAP and WRITE SAME.

use std::os::unix::fs::{FileExt, MetadataExt};

use super::*;
use crate::backing::RawFile;
use crate::testing::{access_10, access_16, content, pattern, write_10, Answer};
use crate::Outcome;

/// UNMAP of these ranges.
fn unmap(guest: &Guest, ranges: &[(u64, u32)]) -> Answer {
    let len = (ranges.len() * 16) as u16;
    let mut list = [(len + 6).to_be_bytes(), len.to_be_bytes(), [0; 2], [0; 2]].concat();
    for (lba, blocks) in ranges {
        list.extend(lba.to_be_bytes());
        list.extend(blocks.to_be_bytes());
        list.extend([0; 4]);
    }
    let [high, low] = (list.len() as u16).to_be_bytes();
    guest.run(&[0x42, 0, 0, 0, 0, 0, 0, high, low, 0], &list, 0)
}

#[test]
fn unmapped_blocks_read_as_zeroes() {
    let (guest, file) = guest();
    guest
        .run(&write_10(0, 1024), &pattern(1024 * 512), 0)
        .good();
    let allocated = |file: &TempFile| file.as_file().metadata().unwrap().blocks();
    let before = allocated(&file);
    unmap(&guest, &[(0, 512), (1000, 0), (1016, 8)]).good();
    let after = content(file.as_file());
    assert!(after[..512 * 512].iter().all(|byte| *byte == 0));
    assert!(after[512 * 512..1016 * 512].iter().all(|byte| *byte != 0));
    assert!(after[1016 * 512..].iter().all(|byte| *byte == 0));
    assert!(allocated(&file) < before);
    assert_eq!(after.len() as u64, BLOCKS * 512);
}

#[test]
fn nothing_is_unmapped_if_one_range_is_wrong() {
    let (guest, file) = guest();
    guest.run(&write_10(0, 8), &[1; 4096], 0).good();
    let sense = unmap(&guest, &[(0, 8), (BLOCKS, 1)]).sense();
    assert_eq!(
        sense,
        Sense::illegal(asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
    );
    assert_eq!(content(file.as_file())[..4096], [1; 4096]);
    let sense = unmap(&guest, &vec![(0, 1); 257]).sense();
    assert_eq!(sense, Sense::illegal(asc::INVALID_FIELD_IN_PARAMETER_LIST));
}

#[test]
fn unmap_lists() {
    let (guest, _file) = guest();
    let run = |len: u8, list: &[u8]| guest.run(&[0x42, 0, 0, 0, 0, 0, 0, 0, len, 0], list, 0);
    run(0, &[]).good();
    assert_eq!(
        run(7, &[0; 7]).sense(),
        Sense::illegal(asc::PARAMETER_LIST_LENGTH_ERROR)
    );
    assert_eq!(run(24, &[0; 8]).outcome, Outcome::Overrun { needed: 24 });
}

#[test]
fn disks_that_are_not_thin() {
    let (guest, _file) = guest_with(|config| config.thin = false);
    let unknown = Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE);
    assert_eq!(unmap(&guest, &[(0, 8)]).sense(), unknown);
    let sense = guest.run(&access_16(0x93, 8, 0, 8), &[0; 512], 0).sense();
    assert_eq!(sense, Sense::invalid_cdb(1, Some(3)));
    guest.run(&access_16(0x93, 0, 0, 8), &[0; 512], 0).good();
}

#[test]
fn write_same() {
    let (guest, file) = guest();
    let fill = |cdb: &[u8], out: &[u8]| {
        guest.run(&write_10(0, 512), &[0xff; 512 * 512], 0).good();
        guest.run(cdb, out, 0).good();
        let content = content(file.as_file());
        let same: Vec<u8> = content.chunks(512).map(|block| block[0]).collect();
        assert!(content
            .chunks(512)
            .all(|block| block.iter().all(|byte| *byte == block[0])));
        same[..512].to_vec()
    };
    let expected = |value| {
        let mut blocks = vec![0xff; 512];
        blocks[100..400].fill(value);
        blocks
    };
    assert_eq!(fill(&access_10(0x41, 0, 100, 300), &[7; 512]), expected(7));
    assert_eq!(fill(&access_10(0x41, 8, 100, 300), &[7; 512]), expected(7));
    assert_eq!(fill(&access_10(0x41, 8, 100, 300), &[0; 512]), expected(0));
    assert_eq!(fill(&access_16(0x93, 0, 100, 300), &[0; 512]), expected(0));
    assert_eq!(fill(&access_16(0x93, 1, 100, 300), &[]), expected(0));
    assert_eq!(fill(&access_16(0x93, 9, 100, 300), &[]), expected(0));
}

#[test]
fn write_same_limits() {
    let (guest, _file) = guest();
    let run = |cdb: &[u8], out: &[u8]| guest.run(cdb, out, 0);
    let length_10 = Sense::invalid_cdb(7, None);
    let length_16 = Sense::invalid_cdb(10, None);
    assert_eq!(run(&access_10(0x41, 0, 0, 0), &[0; 512]).sense(), length_10);
    assert_eq!(run(&access_16(0x93, 0, 0, 0), &[0; 512]).sense(), length_16);
    assert_eq!(
        run(&access_16(0x93, 0, 0, 131_073), &[0; 512]).sense(),
        length_16
    );
    let outside = Sense::illegal(asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE);
    assert_eq!(
        run(&access_16(0x93, 0, BLOCKS - 1, 2), &[0; 512]).sense(),
        outside
    );
    assert_eq!(
        run(&access_16(0x93, 0, 0, 1), &[]).outcome,
        Outcome::Overrun { needed: 512 }
    );
}

/// A memory file system has no ZERO_RANGE. Where there is no such file system
/// the other way is tested once more.
#[test]
fn zeroes_are_written_where_the_system_has_no_better_way() {
    let memory = std::path::Path::new("/dev/shm/hospes-");
    let file = TempFile::new_with_prefix(memory).unwrap_or_else(|_| file(0));
    file.as_file().write_all_at(&[1; 512 * 300], 0).unwrap();
    RawFile::open(file.as_path(), false)
        .unwrap()
        .zero(512, 512 * 298)
        .unwrap();
    let content = content(file.as_file());
    assert!(content[..512].iter().all(|byte| *byte == 1));
    assert!(content[512..512 * 299].iter().all(|byte| *byte == 0));
    assert!(content[512 * 299..].iter().all(|byte| *byte == 1));
}
