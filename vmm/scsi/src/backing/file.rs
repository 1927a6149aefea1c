// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A raw file, or a block device: byte n of the medium is byte n of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use hospes_device::memory::SgList;
use vmm_sys_util::fallocate::{fallocate, FallocateMode};

use super::{extents, sys, Backing, Durability, Extent, Incomplete};

/// Zeroes to write where the file system has no better way.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// A raw file as a backing.
///
/// Data goes through the host's page cache, which is the volatile cache that
/// the guest sees.
#[derive(Debug)]
pub struct RawFile {
    file: File,
}

impl RawFile {
    /// Opens a file, for reading only if told so.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn open(path: &Path, read_only: bool) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(!read_only).open(path)?;
        Ok(Self { file })
    }
}

impl From<File> for RawFile {
    fn from(file: File) -> Self {
        Self { file }
    }
}

impl Backing for RawFile {
    fn size(&self) -> io::Result<u64> {
        // The length in a block device's metadata is 0. Nothing depends on the
        // position that this moves.
        (&self.file).seek(SeekFrom::End(0))
    }

    fn read(&self, offset: u64, list: &SgList, len: u64) -> Result<(), Incomplete> {
        let end = io::ErrorKind::UnexpectedEof;
        transfer(offset, len, end, |at, done, left| {
            sys::read(&self.file, at, list, done, left)
        })
    }

    fn write(
        &self,
        offset: u64,
        list: &SgList,
        len: u64,
        durability: Durability,
    ) -> Result<(), Incomplete> {
        let flags = match durability {
            Durability::Cached => 0,
            Durability::Durable => libc::RWF_DSYNC,
        };
        transfer(offset, len, io::ErrorKind::WriteZero, |at, done, left| {
            sys::write(&self.file, at, list, done, left, flags)
        })
    }

    fn read_bytes(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_bytes(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Tries it where it changes nothing: after the end of the file. A block
    /// device has nothing there, and is tried when it comes to it.
    fn can_deallocate(&self) -> bool {
        let is_device = self
            .file
            .metadata()
            .is_ok_and(|data| data.file_type().is_block_device());
        is_device
            || self
                .size()
                .and_then(|len| self.deallocate(len, 4096))
                .is_ok()
    }

    fn deallocate(&self, offset: u64, len: u64) -> io::Result<()> {
        Ok(fallocate(
            &self.file,
            FallocateMode::PunchHole,
            true,
            offset,
            len,
        )?)
    }

    fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        match fallocate(&self.file, FallocateMode::ZeroRange, true, offset, len) {
            Err(error) if error.errno() == libc::EOPNOTSUPP => self.write_zeroes(offset, len),
            result => Ok(result?),
        }
    }

    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        extents::extent_at(&self.file, offset)
    }
}

impl RawFile {
    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        let step = ZEROES.len() as u64;
        let mut done = 0_u64;
        while done < len {
            let left = len.saturating_sub(done).min(step);
            let zeroes = ZEROES.get(..left as usize).unwrap_or(&ZEROES);
            self.write_bytes(offset.saturating_add(done), zeroes)?;
            done = done.saturating_add(left);
        }
        Ok(())
    }
}

/// Repeats a call until `len` bytes were transferred. It is given the offset
/// into the file, how much was done, and how much is left. Nothing transferred
/// is the error `nothing`.
fn transfer(
    offset: u64,
    len: u64,
    nothing: io::ErrorKind,
    call: impl Fn(u64, u64, u64) -> io::Result<u64>,
) -> Result<(), Incomplete> {
    let mut done = 0_u64;
    while done < len {
        let result = call(offset.saturating_add(done), done, len.saturating_sub(done));
        match result {
            Ok(0) => {
                return Err(Incomplete {
                    transferred: done,
                    error: nothing.into(),
                })
            }
            Ok(count) => done = done.saturating_add(count),
            Err(error) => {
                return Err(Incomplete {
                    transferred: done,
                    error,
                })
            }
        }
    }
    Ok(())
}
