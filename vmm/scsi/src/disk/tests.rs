// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of the disk, each through a target as a guest sees it.

mod any_command;
mod compare;
mod faults;
mod identify;
mod lba_status;
mod log;
mod media;
mod provisioning;
mod reservations;
mod settings;
mod verify;

use vmm_sys_util::tempfile::TempFile;

use super::*;
use crate::testing::{config, file, Guest};

const BLOCKS: u64 = 4096;

/// A guest with a disk of 4096 blocks of 512 bytes.
fn guest() -> (Guest, TempFile) {
    guest_with(|_| ())
}

fn guest_with(change: impl FnOnce(&mut DiskConfig)) -> (Guest, TempFile) {
    let file = file(BLOCKS * 512);
    let mut config = config(file.as_path());
    change(&mut config);
    (Guest::with_disk(Disk::open(&config).unwrap()), file)
}

#[test]
fn files_that_are_no_disks() {
    let config = |len| {
        let file = file(len);
        (config(file.as_path()), file)
    };
    let (small, _file) = config(511);
    assert!(matches!(
        Disk::open(&small),
        Err(DiskError::TooSmall { len: 511, .. })
    ));
    let (fine, _file) = config(1023);
    assert_eq!(Disk::open(&fine).unwrap().size(), 512);
    let serial = DiskConfig {
        serial: "tab\t".into(),
        ..fine
    };
    assert!(matches!(Disk::open(&serial), Err(DiskError::Serial(_))));
    assert!(matches!(
        Disk::open(&DiskConfig::new("/nowhere")),
        Err(DiskError::Open { .. })
    ));
}
