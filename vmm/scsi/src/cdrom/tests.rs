// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of the drive, each through a target as a guest sees it.

mod any_command;
mod contents;
mod identify;
mod read;
mod tray;

use std::path::Path;

use protocol::scsi::sense::Additional;
use vmm_sys_util::tempfile::TempFile;

use super::*;
use crate::testing::{file, Guest};
use crate::UnitAddress;

const BLOCKS: u64 = 300;
const ADDRESS: UnitAddress = UnitAddress { target: 0, lun: 0 };

/// A guest with a drive.
struct Machine {
    guest: Guest,
    drive: Arc<Drive>,
}

impl Machine {
    fn new(path: Option<&Path>) -> Self {
        let config = CdRomConfig {
            path: path.map(Path::to_path_buf),
            serial: "DRIVE-1".into(),
        };
        let cdrom = CdRom::open(&config).unwrap();
        let drive = cdrom.drive();
        let guest = Guest::new();
        guest.target.add(ADDRESS, Box::new(cdrom)).unwrap();
        let machine = Self { guest, drive };
        machine.told_of_reset();
        machine
    }

    /// The guest is told that the drive was reset, and of nothing else.
    #[track_caller]
    fn told_of_reset(&self) {
        let told = self.test_unit_ready();
        let expected = asc::POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED;
        assert_eq!(told, Err(expected));
    }

    /// Data of a command without parameters out.
    #[track_caller]
    fn get(&self, cdb: &[u8], len: usize) -> Vec<u8> {
        self.guest.run(cdb, &[], len).good()
    }

    #[track_caller]
    fn refused(&self, cdb: &[u8]) -> Sense {
        self.guest.run(cdb, &[], 4096).sense()
    }

    fn test_unit_ready(&self) -> Result<(), Additional> {
        let answer = self.guest.run(&[0; 6], &[], 0);
        match answer.response().status {
            0 => Ok(()),
            _ => Err(answer.sense().additional),
        }
    }
}

/// A guest with a drive that has an image of [`BLOCKS`] blocks.
fn machine() -> (Machine, TempFile) {
    let image = file(BLOCKS * 2048);
    (Machine::new(Some(image.as_path())), image)
}

/// A guest with a drive that has an image too long for a CD.
fn machine_with_dvd() -> (Machine, TempFile) {
    let image = file(5 << 30);
    (Machine::new(Some(image.as_path())), image)
}

#[test]
fn images_that_are_no_discs() {
    let open = |path: &Path| {
        CdRom::open(&CdRomConfig {
            path: Some(path.to_path_buf()),
            serial: String::new(),
        })
    };
    let (short, long) = (file(2047), file(1 << 43));
    assert!(matches!(
        open(short.as_path()),
        Err(CdRomError::Medium(DriveError::Empty { len: 2047, .. }))
    ));
    assert!(matches!(
        open(long.as_path()),
        Err(CdRomError::Medium(DriveError::TooLarge { .. }))
    ));
    assert!(matches!(
        open(Path::new("/nowhere")),
        Err(CdRomError::Medium(DriveError::Open { .. }))
    ));
    let config = CdRomConfig {
        path: None,
        serial: "tab\t".into(),
    };
    assert!(matches!(CdRom::open(&config), Err(CdRomError::Serial(_))));
}
