// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A raw file, or a block device: byte n of the medium is byte n of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

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
    reads: Attempts,
    writes: Attempts,
}

/// How to try an access without waiting.
#[derive(Debug)]
struct Attempts(AtomicU8);

impl Attempts {
    /// Not at all.
    const NEVER: u8 = 0;
    /// The system is told not to wait.
    const NOWAIT: u8 = 1;
    /// As any other access: it seldom waits.
    const PLAIN: u8 = 2;

    fn new(how: u8) -> Self {
        Self(AtomicU8::new(how))
    }

    /// Makes an attempt, which is given flags. Where the file system does not
    /// know how not to wait, `otherwise` is what is done from then on.
    fn make(&self, otherwise: u8, call: impl Fn(libc::c_int) -> io::Result<u64>) -> u64 {
        let flags = match self.0.load(Ordering::Relaxed) {
            Self::NOWAIT => libc::RWF_NOWAIT,
            Self::PLAIN => 0,
            _ => return 0,
        };
        match call(flags) {
            Ok(count) => count,
            Err(error) if flags != 0 && is_unsupported(&error) => {
                self.0.store(otherwise, Ordering::Relaxed);
                self.make_plainly(otherwise, call)
            }
            // Whoever makes the access in earnest sees the error.
            Err(_) => 0,
        }
    }

    fn make_plainly(&self, how: u8, call: impl Fn(libc::c_int) -> io::Result<u64>) -> u64 {
        match how {
            Self::PLAIN => call(0).unwrap_or(0),
            _ => 0,
        }
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS)
    )
}

impl RawFile {
    /// Opens a file, for reading only if told so.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn open(path: &Path, read_only: bool) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(!read_only).open(path)?;
        Ok(file.into())
    }
}

impl From<File> for RawFile {
    fn from(file: File) -> Self {
        // A file in memory has nothing to wait for, and no way to be told so.
        let how = match sys::is_in_memory(&file) {
            true => Attempts::PLAIN,
            false => Attempts::NOWAIT,
        };
        Self {
            file,
            reads: Attempts::new(how),
            writes: Attempts::new(how),
        }
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
            sys::read(&self.file, at, list, done, left, 0)
        })
    }

    fn read_now(&self, offset: u64, list: &SgList, len: u64) -> u64 {
        let read = |flags| sys::read(&self.file, offset, list, 0, len, flags);
        self.reads.make(Attempts::NEVER, read)
    }

    /// Most file systems cannot be told not to wait for a write to the host's
    /// cache, which is a copy to memory as long as there is enough of it.
    fn write_now(&self, offset: u64, list: &SgList, len: u64) -> u64 {
        let write = |flags| sys::write(&self.file, offset, list, 0, len, flags);
        self.writes.make(Attempts::PLAIN, write)
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
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
