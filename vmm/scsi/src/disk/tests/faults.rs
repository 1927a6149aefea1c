// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of what a guest sees of a backing that fails.

use std::sync::atomic::{AtomicI32, AtomicU64};
use std::sync::Arc;

use hospes_device::memory::SgList;

use super::*;
use crate::backing::Incomplete;
use crate::testing::{access_10, access_16, pattern, read_10, write_10};

/// A backing of which every access fails after 1000 bytes, once it has an error.
#[derive(Clone, Default)]
struct Faulty(Arc<AtomicI32>);

impl Faulty {
    fn result(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    fn incomplete(&self) -> Result<(), Incomplete> {
        self.result().map_err(|error| Incomplete {
            transferred: 1000,
            error,
        })
    }
}

impl Backing for Faulty {
    fn size(&self) -> io::Result<u64> {
        Ok(BLOCKS * 512)
    }
    fn read(&self, _: u64, _: &SgList, _: u64) -> Result<(), Incomplete> {
        self.incomplete()
    }
    fn write(&self, _: u64, _: &SgList, _: u64, _: Durability) -> Result<(), Incomplete> {
        self.incomplete()
    }
    fn read_bytes(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        self.result()
    }
    fn write_bytes(&self, _: u64, _: &[u8]) -> io::Result<()> {
        self.result()
    }
    fn flush(&self) -> io::Result<()> {
        self.result()
    }
    fn can_deallocate(&self) -> bool {
        true
    }
    fn deallocate(&self, _: u64, _: u64) -> io::Result<()> {
        self.result()
    }
    fn zero(&self, _: u64, _: u64) -> io::Result<()> {
        self.result()
    }
}

/// A backing that has zeroes only where they are written.
#[derive(Clone, Default)]
struct CannotDeallocate {
    zeroed: Arc<AtomicU64>,
}

impl Backing for CannotDeallocate {
    fn size(&self) -> io::Result<u64> {
        Ok(BLOCKS * 512)
    }
    fn read(&self, _: u64, _: &SgList, _: u64) -> Result<(), Incomplete> {
        Ok(())
    }
    fn write(&self, _: u64, _: &SgList, _: u64, _: Durability) -> Result<(), Incomplete> {
        Ok(())
    }
    fn read_bytes(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Ok(())
    }
    fn write_bytes(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
    fn can_deallocate(&self) -> bool {
        true
    }
    fn deallocate(&self, _: u64, _: u64) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }
    fn zero(&self, _: u64, len: u64) -> io::Result<()> {
        self.zeroed.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }
}

fn faulty() -> (Guest, Faulty) {
    guest_on(Faulty::default())
}

fn guest_on<B: Backing + Clone + 'static>(backing: B) -> (Guest, B) {
    let config = DiskConfig {
        serial: "1".into(),
        ..DiskConfig::new("")
    };
    let disk = Disk::with_backing(&config, Box::new(backing.clone())).unwrap();
    (Guest::with_disk(disk), backing)
}

#[test]
fn errors_of_the_system() {
    use SenseKey::{DataProtect, HardwareError, MediumError, NotReady};
    let (guest, backing) = faulty();
    let gone = (
        NotReady,
        asc::LOGICAL_UNIT_NOT_READY_MANUAL_INTERVENTION_REQUIRED,
    );
    let internal = (HardwareError, asc::INTERNAL_TARGET_FAILURE);
    let unreadable = (MediumError, asc::UNRECOVERED_READ_ERROR);
    let unwritable = (MediumError, asc::WRITE_ERROR);
    let full = (DataProtect, asc::SPACE_ALLOCATION_FAILED_WRITE_PROTECT);
    let protected = (DataProtect, asc::WRITE_PROTECTED);
    let cases = [
        (libc::EIO, unreadable, unwritable),
        (libc::ENOSPC, unreadable, full),
        (libc::EFBIG, unreadable, full),
        (libc::EROFS, unreadable, protected),
        (libc::ESTALE, gone, gone),
        (libc::ENXIO, gone, gone),
        (libc::ENOMEM, internal, internal),
    ];
    for (error, of_read, of_write) in cases {
        backing.0.store(error, Ordering::Relaxed);
        let sense = |cdb: &[u8]| {
            let sense = guest.run(cdb, &[0; 2048], 2048).sense();
            (sense.key, sense.additional)
        };
        assert_eq!(sense(&read_10(5, 4)), of_read, "{error}");
        assert_eq!(sense(&access_10(0x2f, 2, 5, 4)), of_read, "{error}");
        assert_eq!(sense(&write_10(5, 4)), of_write, "{error}");
        assert_eq!(sense(&access_10(0x35, 0, 0, 0)), of_write, "{error}");
        assert_eq!(sense(&access_16(0x93, 0, 5, 4)), of_write, "{error}");
    }
    backing.0.store(0, Ordering::Relaxed);
    guest.run(&[0; 6], &[], 0).good();
}

/// As on a block device that can neither discard nor write zeroes by itself.
#[test]
fn a_backing_that_cannot_deallocate_after_all() {
    let (guest, backing) = guest_on(CannotDeallocate::default());
    let mut list = vec![0, 22, 0, 16, 0, 0, 0, 0];
    list.extend([0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0, 0]);
    let unmap = access_10(0x42, 0, 0, 24);
    guest.run(&unmap, &list, 0).good();
    assert_eq!(backing.zeroed.load(Ordering::Relaxed), 0);
    // Here the guest relies on the zeroes.
    guest.run(&access_16(0x93, 9, 5, 4), &[], 0).good();
    assert_eq!(backing.zeroed.load(Ordering::Relaxed), 2048);
}

#[test]
fn the_block_of_the_error_is_told() {
    let (guest, backing) = faulty();
    backing.0.store(libc::EIO, Ordering::Relaxed);
    for cdb in [read_10(5, 4), write_10(5, 4)] {
        let answer = guest.run(&cdb, &[0; 2048], 2048);
        assert_eq!(answer.sense().information, Some(6));
        assert_eq!(answer.response().transferred, 1000);
    }
}

#[test]
fn a_file_that_shrank() {
    let (guest, file) = guest();
    guest.run(&write_10(0, 8), &pattern(4096), 0).good();
    file.as_file().set_len(3 * 512).unwrap();
    let answer = guest.run(&read_10(0, 8), &[], 4096);
    let expected = Sense::new(SenseKey::MediumError, asc::UNRECOVERED_READ_ERROR).at_block(3);
    assert_eq!(answer.sense(), expected);
    assert_eq!(answer.response().transferred, 3 * 512);
    assert_eq!(answer.data[..3 * 512], pattern(3 * 512));
    let sense = guest.run(&access_10(0x2f, 0, 0, 8), &[], 0).sense();
    assert_eq!(sense.additional, asc::UNRECOVERED_READ_ERROR);
    // What is written there is there again.
    guest.run(&write_10(4, 4), &pattern(2048), 0).good();
    assert_eq!(guest.run(&read_10(4, 4), &[], 2048).good(), pattern(2048));
}
