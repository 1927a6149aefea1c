// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of what is told of the disc.

use super::*;

fn toc(format: u8, msf: u8, number: u8) -> [u8; 10] {
    [0x43, msf, format, 0, 0, 0, number, 0, 255, 0]
}

#[test]
fn the_table_of_contents() {
    let (machine, _image) = machine();
    let track = [0, 0x14, 1, 0, 0, 0, 0, 0];
    let lead_out = [0, 0x14, 0xaa, 0, 0, 0, 1, 0x2c];
    let all = [&[0, 18, 1, 1][..], &track, &lead_out].concat();
    for first in [0, 1] {
        assert_eq!(machine.get(&toc(0, 0, first), 255), all);
    }
    let only = [&[0, 10, 1, 1][..], &lead_out].concat();
    assert_eq!(machine.get(&toc(0, 0, 0xaa), 255), only);
    let session = [&[0, 10, 1, 1][..], &track].concat();
    assert_eq!(machine.get(&toc(1, 0, 0), 255), session);
    // As Linux asks for the last session.
    let old = [0x43, 0, 0, 0, 0, 0, 0, 0, 12, 0x40];
    assert_eq!(machine.get(&old, 12), session);

    let msf = machine.get(&toc(0, 2, 0), 255);
    assert_eq!(
        (&msf[8..12], &msf[16..20]),
        (&[0, 0, 2, 0][..], &[0, 0, 6, 0][..])
    );
    let full = machine.get(&toc(2, 2, 1), 255);
    assert_eq!(full[..4], [0, 46, 1, 1]);
    assert_eq!(
        full[4 + 22..4 + 33],
        [1, 0x14, 0, 0xa2, 0, 0, 0, 0, 0, 6, 0]
    );
    // It is cut where the buffer ends.
    assert_eq!(machine.get(&toc(0, 0, 0), 6), all[..6]);

    for (cdb, field) in [(toc(0, 0, 2), 6), (toc(2, 0, 2), 6)] {
        assert_eq!(machine.refused(&cdb), Sense::invalid_cdb(field, None));
    }
    // ATIP.
    assert_eq!(
        machine.refused(&toc(4, 0, 0)),
        Sense::invalid_cdb(2, Some(3))
    );
}

#[test]
fn disc_and_track_information() {
    let (machine, _image) = machine();
    let disc = machine.get(&[0x51, 0, 0, 0, 0, 0, 0, 0, 255, 0], 255);
    assert_eq!(disc.len(), 34);
    assert_eq!(disc[..8], [0, 32, 0x0e, 1, 1, 1, 1, 0x20]);
    let track = |kind, number: u32| {
        let [a, b, c, d] = number.to_be_bytes();
        [0x52, kind, a, b, c, d, 0, 0, 255, 0]
    };
    for (kind, number) in [(0, 0), (0, 299), (1, 1), (2, 1)] {
        let found = machine.get(&track(kind, number), 255);
        assert_eq!(found.len(), 36);
        assert_eq!(found[2..8], [1, 1, 0, 4, 1, 2]);
        assert_eq!(found[24..32], [0, 0, 1, 0x2c, 0, 0, 1, 0x2b]);
    }
    assert_eq!(machine.refused(&track(1, 2)), Sense::invalid_cdb(2, None));
    assert_eq!(
        machine.refused(&track(3, 1)),
        Sense::invalid_cdb(1, Some(1))
    );
    let beyond = machine.refused(&track(0, 300));
    assert_eq!(
        beyond,
        Sense::illegal(asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
    );
}

#[test]
fn structures_of_a_dvd() {
    let structure = |layer, format| [0xad, 0, 0, 0, 0, 0, layer, format, 0, 255, 0, 0];
    let (cd, _image) = machine();
    let sense = cd.refused(&structure(0, 0));
    assert_eq!(
        sense,
        Sense::illegal(asc::CANNOT_READ_MEDIUM_INCOMPATIBLE_FORMAT)
    );

    let (dvd, _image) = machine_with_dvd();
    let physical = dvd.get(&structure(0, 0), 255);
    assert_eq!(physical[..8], [0, 19, 0, 0, 0x01, 0x0f, 0x01, 0]);
    assert_eq!(physical[8..16], [0, 3, 0, 0, 0, 0x2a, 0xff, 0xff]);
    assert_eq!(dvd.get(&structure(0, 1), 255), [0, 6, 0, 0, 0, 0, 0, 0]);
    let list = dvd.get(&structure(0, 0xff), 255);
    assert_eq!(list[4..], [0, 0x40, 0, 21, 1, 0x40, 0, 8]);
    assert_eq!(dvd.refused(&structure(1, 0)), Sense::invalid_cdb(6, None));
    assert_eq!(dvd.refused(&structure(0, 4)), Sense::invalid_cdb(7, None));
}
