// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of what the disk says about itself.

use super::*;
use crate::testing::{access_16, LONG};

/// INQUIRY of a vital product data page.
fn page(guest: &Guest, page: u8) -> Vec<u8> {
    let data = guest.run(&[0x12, 1, page, 1, 0, 0], &[], 256).good();
    assert_eq!(data[..2], [0, page]);
    assert_eq!(
        usize::from(u16::from_be_bytes([data[2], data[3]])),
        data.len() - 4
    );
    data[4..].to_vec()
}

#[test]
fn standard_inquiry() {
    let (guest, _file) = guest();
    let data = guest.run(&[0x12, 0, 0, 0, 255, 0], &[], 255).good();
    assert_eq!(data.len(), 96);
    assert_eq!(data[..8], [0, 0, 7, 0x12, 91, 0, 0, 2]);
    assert_eq!(data[8..32], *b"HOSPES  DISK            ");
    // The allocation length and the buffer both limit it.
    assert_eq!(
        guest.run(&[0x12, 0, 0, 0, 36, 0], &[], 255).good(),
        data[..36]
    );
    assert_eq!(
        guest.run(&[0x12, 0, 0, 0, 255, 0], &[], 5).good(),
        data[..5]
    );
}

#[test]
fn vital_product_data() {
    let (guest, _file) = guest();
    let pages = page(&guest, 0);
    assert_eq!(pages, [0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2]);
    for each in pages {
        page(&guest, each);
    }
    assert_eq!(page(&guest, 0x80), b"SERIAL-1");
    assert_eq!(
        guest.run(&[0x12, 1, 0x99, 0, 255, 0], &[], 255).sense(),
        Sense::invalid_cdb(2, None)
    );
}

#[test]
fn designators() {
    let (guest, _file) = guest();
    let data = page(&guest, 0x83);
    assert_eq!(data[..4], [0x01, 0x03, 0, 8]);
    assert_eq!(data[4] >> 4, 3);
    assert_eq!(data[12..16], [0x02, 0x01, 0, 32]);
    assert_eq!(data[16..], *b"HOSPES  DISK            SERIAL-1");
}

#[test]
fn limits_and_provisioning() {
    let (guest, _file) = guest();
    let limits = page(&guest, 0xb0);
    assert_eq!(limits.len(), 60);
    assert_eq!(limits[..4], [1, 255, 0, 8]);
    assert_eq!(limits[4..8], 131_072_u32.to_be_bytes());
    assert_eq!(
        limits[16..32],
        [0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0, 0, 0, 0, 8, 0, 0, 0, 0]
    );
    assert_eq!(limits[32..40], 131_072_u64.to_be_bytes());
    assert_eq!(page(&guest, 0x86)[..4], [0, 7, 1, 0]);
    assert_eq!(page(&guest, 0xb1)[..2], [0, 1]);
    assert_eq!(page(&guest, 0xb2), [0, 0xe4, 2, 0]);

    let (guest, _file) = guest_with(|config| config.thin = false);
    assert_eq!(page(&guest, 0xb0)[16..32], [0; 16]);
    assert_eq!(page(&guest, 0xb2), [0; 4]);
}

#[test]
fn capacity() {
    let (guest, _file) = guest();
    let short = [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        guest.run(&short, &[], 8).good(),
        [0, 0, 0x0f, 0xff, 0, 0, 2, 0]
    );
    let long = guest.run(&access_16(0x9e, 0x10, 0, 32), &[], 32).good();
    assert_eq!(
        long[..16],
        [0, 0, 0, 0, 0, 0, 0x0f, 0xff, 0, 0, 2, 0, 0, 3, 0xc0, 0]
    );
}

#[test]
fn capacity_beyond_32_bits() {
    let file = file(1 << 42);
    let guest = Guest::with_disk(Disk::open(&config(file.as_path())).unwrap());
    let short = [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(guest.run(&short, &[], 8).good()[..4], [0xff; 4]);
    let long = guest.run(&access_16(0x9e, 0x10, 0, 32), &[], 32).good();
    assert_eq!(long[..8], ((1_u64 << 33) - 1).to_be_bytes());
    guest
        .run(&access_16(0x8a, 0, (1 << 33) - 1, 1), &[7; 512], 0)
        .good();
    assert_eq!(
        guest
            .run(&access_16(0x88, 0, (1 << 33) - 1, 1), &[], 512)
            .good(),
        [7; 512]
    );
}

#[test]
fn a_file_that_grows() {
    let (guest, file) = guest();
    let address = crate::UnitAddress { target: 0, lun: 0 };
    assert!(!guest.target.refresh(address).unwrap());
    file.as_file().set_len(8192 * 512).unwrap();
    assert!(guest.target.refresh(address).unwrap());
    let sense = guest.run(&[0; 6], &[], 0).sense();
    assert_eq!(sense.additional, asc::CAPACITY_DATA_HAS_CHANGED);
    let capacity = guest.run(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[], 8).good();
    assert_eq!(capacity[..4], 8191_u32.to_be_bytes());
    // A file without a block is no capacity to change to.
    file.as_file().set_len(0).unwrap();
    guest.target.refresh(address).unwrap_err();
}

#[test]
fn supported_opcodes() {
    let (guest, _file) = guest();
    let report = |option: u8, opcode: u8, action: u8| {
        let cdb = [0xa3, 0x0c, option, opcode, 0, action, 0, 0, 4, 0, 0, 0];
        guest.run(&cdb, &[], 1024)
    };
    let all = report(0, 0, 0).good();
    assert_eq!(
        u32::from_be_bytes([all[0], all[1], all[2], all[3]]) as usize,
        all.len() - 4
    );
    assert_eq!(all[4..12], [0, 0, 0, 0, 0, 0, 0, 6]);
    assert!(all[4..]
        .chunks(8)
        .any(|each| *each == [0x9e, 0, 0, 0x10, 0, 1, 0, 16]));
    let with_timeouts = report(0x80, 0, 0).good();
    assert_eq!(with_timeouts.len() - 4, (all.len() - 4) / 8 * 20);

    let read_16 = report(1, 0x88, 0).good();
    assert_eq!(read_16[..6], [0, 3, 0, 16, 0x88, 0x18]);
    assert_eq!(report(0x81, 0x88, 0).good().len(), read_16.len() + 12);
    assert_eq!(report(1, 0xff, 0).good(), [0, 1, 0, 0]);
    assert_eq!(report(2, 0x9e, 0x10).good()[..4], [0, 3, 0, 16]);
    assert_eq!(report(3, 0x9e, 0x11).good(), [0, 1, 0, 0]);
    assert_eq!(report(3, 0x28, 1).good(), [0, 1, 0, 0]);
    for (option, opcode) in [(1, 0x9e), (2, 0x28), (4, 0)] {
        assert_eq!(
            report(option, opcode, 0).sense(),
            Sense::invalid_cdb(2, Some(2))
        );
    }
}

#[test]
fn unknown_commands() {
    let (guest, _file) = guest();
    // FORMAT UNIT, LOG SELECT, SANITIZE, and a vendor's.
    for opcode in [0x04, 0x4c, 0x48, 0xc0] {
        let sense = guest.run(&[opcode; 16], &[], 512).sense();
        assert_eq!(sense, Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE));
    }
}

#[test]
fn latency_is_what_was_configured() {
    let (_guest, file) = guest();
    let config = DiskConfig {
        latency: LONG,
        ..config(file.as_path())
    };
    assert_eq!(Disk::open(&config).unwrap().latency(), LONG);
}
