// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of tray, lock and medium, as guest and host move them.

use super::*;

const LOAD: [u8; 6] = [0x1b, 0, 0, 0, 3, 0];
const EJECT: [u8; 6] = [0x1b, 0, 0, 0, 2, 0];
const LOCK: [u8; 6] = [0x1e, 0, 0, 0, 1, 0];
const UNLOCK: [u8; 6] = [0x1e, 0, 0, 0, 0, 0];
const CHANGED: Additional = asc::NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED;
const OPEN: Additional = asc::MEDIUM_NOT_PRESENT_TRAY_OPEN;
const CLOSED: Additional = asc::MEDIUM_NOT_PRESENT_TRAY_CLOSED;

impl Machine {
    /// Code and status of the next media event.
    fn event(&self) -> (u8, u8) {
        let data = self.get(&[0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0], 8);
        assert_eq!(data[..4], [0, 6, 4, 0x10]);
        (data[4], data[5])
    }
}

#[test]
fn a_drive_without_a_medium() {
    let machine = Machine::new(None);
    assert_eq!(machine.test_unit_ready(), Err(CLOSED));
    let commands: [&[u8]; 7] = [
        &[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        &[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x43, 0, 0, 0, 0, 0, 0, 0, 12, 0],
        &[0x51, 0, 0, 0, 0, 0, 0, 0, 34, 0],
        &[0x52, 1, 0, 0, 0, 1, 0, 0, 36, 0],
        &[0x2b, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 0, 0],
    ];
    for cdb in commands {
        let sense = machine.refused(cdb);
        assert_eq!(
            (sense.key, sense.additional),
            (SenseKey::NotReady, CLOSED),
            "{cdb:x?}"
        );
    }
    // REQUEST SENSE says so too; what needs no medium works.
    let sense = machine.get(&[3, 0, 0, 0, 18, 0], 18);
    assert_eq!(Sense::decode(&sense).unwrap().additional, CLOSED);
    assert_eq!(machine.event(), (0, 0));
    machine.get(&[0x5a, 8, 0x2a, 0, 0, 0, 0, 0, 64, 0], 64);
}

#[test]
fn the_host_puts_a_disc_in_and_takes_it_out() {
    let machine = Machine::new(None);
    let image = file(2048);
    machine.drive.change_medium(image.as_path(), false).unwrap();
    assert_eq!(machine.event(), (2, 2));
    assert_eq!(machine.event(), (0, 2));
    assert_eq!(machine.test_unit_ready(), Err(CHANGED));
    assert_eq!(machine.test_unit_ready(), Ok(()));
    let status = machine.drive.status();
    assert_eq!(status.medium.as_deref(), Some(image.as_path()));
    assert_eq!(
        (status.blocks, status.tray_open, status.locked),
        (1, false, false)
    );

    machine.drive.eject(false).unwrap();
    assert_eq!(machine.event(), (3, 1));
    assert_eq!(machine.test_unit_ready(), Err(OPEN));
    assert_eq!(machine.drive.status().medium, None);
    // There is nothing to close it on.
    machine.get(&LOAD, 0);
    assert_eq!(machine.test_unit_ready(), Err(CLOSED));
    assert_eq!(machine.event(), (0, 0));
}

#[test]
fn the_guest_opens_and_closes_the_tray() {
    let (machine, _image) = machine();
    machine.get(&EJECT, 0);
    assert_eq!(machine.event(), (3, 1));
    assert_eq!(machine.test_unit_ready(), Err(OPEN));
    assert_eq!(
        machine.get(&[0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0], 8)[1],
        0x10
    );
    // The disc lies in it.
    assert!(machine.drive.status().medium.is_some());
    machine.get(&LOAD, 0);
    assert_eq!(machine.test_unit_ready(), Err(CHANGED));
    assert_eq!(machine.test_unit_ready(), Ok(()));
    assert_eq!(machine.event(), (2, 2));
    // Closing what is closed is no change, and neither is stopping.
    machine.get(&LOAD, 0);
    machine.get(&[0x1b, 0, 0, 0, 0, 0], 0);
    machine.get(&[0x1b, 1, 0, 0, 1, 0], 0);
    assert_eq!(machine.test_unit_ready(), Ok(()));
    // Power conditions are not there.
    assert_eq!(
        machine.refused(&[0x1b, 0, 0, 0, 0x30, 0]),
        Sense::invalid_cdb(4, Some(5))
    );
}

#[test]
fn a_locked_tray() {
    let (machine, image) = machine();
    machine.get(&LOCK, 0);
    let sense = machine.refused(&EJECT);
    assert_eq!(sense, Sense::illegal(asc::MEDIUM_REMOVAL_PREVENTED));
    assert!(matches!(
        machine.drive.eject(false),
        Err(DriveError::Locked)
    ));
    assert_eq!(machine.event(), (1, 2));
    let change = || machine.drive.change_medium(image.as_path(), false);
    assert!(matches!(change(), Err(DriveError::Locked)));
    assert_eq!(machine.event(), (1, 2));
    assert_eq!(machine.test_unit_ready(), Ok(()));

    machine.get(&UNLOCK, 0);
    change().unwrap();
    assert_eq!(machine.test_unit_ready(), Err(CHANGED));
    machine.get(&LOCK, 0);
    machine.drive.eject(true).unwrap();
    assert_eq!(machine.test_unit_ready(), Err(OPEN));
    // A locked drive without a disc does not mind getting one.
    change().unwrap();
    assert_eq!(machine.test_unit_ready(), Err(CHANGED));
}

#[test]
fn a_reset_unlocks() {
    let (machine, image) = machine();
    machine.get(&LOCK, 0);
    machine.guest.target.reset();
    machine.told_of_reset();
    assert!(!machine.drive.status().locked);
    machine.drive.change_medium(image.as_path(), false).unwrap();
    machine.guest.target.reset();
    // One attention, for the reset, is all that there is to tell.
    machine.told_of_reset();
    assert_eq!(machine.test_unit_ready(), Ok(()));
}

#[test]
fn events_come_before_the_change_is_told() {
    let (machine, image) = machine();
    machine.drive.change_medium(image.as_path(), false).unwrap();
    assert_eq!(machine.event(), (2, 2));
    machine.get(&[0x12, 0, 0, 0, 36, 0], 36);
    machine.get(&[0x46, 0, 0, 0, 0, 0, 0, 0, 8, 0], 8);
    let sense = machine.get(&[3, 0, 0, 0, 18, 0], 18);
    assert_eq!(Sense::decode(&sense).unwrap().additional, CHANGED);
    assert_eq!(machine.test_unit_ready(), Ok(()));
}

#[test]
fn event_classes() {
    let (machine, _image) = machine();
    let power = machine.get(&[0x4a, 1, 0, 0, 0x04, 0, 0, 0, 8, 0], 8);
    assert_eq!(power, [0, 2, 0x80, 0x10]);
    // Waiting for an event is not there.
    assert_eq!(
        machine.refused(&[0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8, 0]),
        Sense::invalid_cdb(1, Some(0))
    );
}
