// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A medium in memory, and the one disk that is on it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hospes_device::memory::SgList;
use hospes_scsi::backing::{Backing, Durability, Incomplete};
use hospes_scsi::{Disk, DiskConfig, Target, UnitAddress};

/// Its size.
pub const LEN: usize = 64 << 10;

/// The one medium. What is on it survives a run: no promise depends on it, and
/// clearing it would take longer than all the rest.
pub struct Memory;

fn bytes() -> MutexGuard<'static, Vec<u8>> {
    static BYTES: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| Mutex::new(vec![0; LEN]));
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn range(medium: &mut [u8], offset: u64, len: u64) -> io::Result<&mut [u8]> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
    medium
        .get_mut(start..end)
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

impl Backing for Memory {
    fn size(&self) -> io::Result<u64> {
        Ok(LEN as u64)
    }

    fn read(&self, offset: u64, list: &SgList, len: u64) -> Result<(), Incomplete> {
        let mut medium = bytes();
        list.write_at(0, range(&mut medium, offset, len)?);
        Ok(())
    }

    fn write(&self, offset: u64, list: &SgList, len: u64, _: Durability) -> Result<(), Incomplete> {
        let mut medium = bytes();
        list.read_at(0, range(&mut medium, offset, len)?);
        Ok(())
    }

    fn read_bytes(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut medium = bytes();
        buffer.copy_from_slice(range(&mut medium, offset, buffer.len() as u64)?);
        Ok(())
    }

    fn write_bytes(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut medium = bytes();
        range(&mut medium, offset, data.len() as u64)?.copy_from_slice(data);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn can_deallocate(&self) -> bool {
        true
    }

    fn deallocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.zero(offset, len)
    }

    fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        range(&mut bytes(), offset, len)?.fill(0);
        Ok(())
    }
}

/// A target with one small disk.
pub fn target() -> Arc<Target> {
    let target = Target::new();
    let config = DiskConfig {
        serial: "fuzz".to_owned(),
        ..DiskConfig::new("medium")
    };
    let disk = Disk::with_backing(&config, Box::new(Memory)).expect("a disk");
    let address = UnitAddress { target: 0, lun: 0 };
    target.add(address, Box::new(disk)).expect("the first unit");
    target
}
