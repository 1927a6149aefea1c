// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The file that holds protection information.
//!
//! Eight bytes for each block, in the order of the blocks, as on the wire, but
//! each byte complemented. So a hole, which reads as zeroes, and what is beyond
//! the end are blocks that were never written: a new disk has an empty file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use protocol::scsi::protection::{Tuple, TUPLE_LEN};
use zerocopy::IntoBytes;

use crate::backing::{Backing, RawFile};

/// The protection information of all blocks.
pub(super) struct Store {
    /// For reading and writing.
    file: File,
    /// The same file, for what backings know how to do.
    backing: RawFile,
}

impl Store {
    /// Opens the file, and makes it if it is to be written to.
    pub(super) fn open(path: &Path, read_only: bool) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(!read_only)
            .create(!read_only)
            .truncate(false)
            .open(path)?;
        let backing = RawFile::from(file.try_clone()?);
        Ok(Self { file, backing })
    }

    /// Reads what blocks from `lba` on have.
    pub(super) fn read(&self, lba: u64, tuples: &mut [Tuple]) -> io::Result<()> {
        tuples.fill(Tuple::UNWRITTEN);
        let bytes = tuples.as_mut_bytes();
        invert(bytes);
        let read = read_up_to(&self.file, bytes, offset(lba));
        invert(bytes);
        read
    }

    /// Sets what blocks from `lba` on have.
    pub(super) fn write(&self, lba: u64, tuples: &[Tuple]) -> io::Result<()> {
        let mut bytes = tuples.as_bytes().to_vec();
        invert(&mut bytes);
        self.file.write_all_at(&bytes, offset(lba))
    }

    /// Makes blocks such that were never written.
    pub(super) fn clear(&self, lba: u64, blocks: u32) -> io::Result<()> {
        let (from, len) = (offset(lba), offset(blocks.into()));
        // What is beyond the end is clear already, and stays beyond.
        let end = self.file.metadata()?.len();
        let len = len.min(end.saturating_sub(from));
        if len == 0 {
            return Ok(());
        }
        let deallocated = self.backing.deallocate(from, len);
        deallocated.or_else(|_| self.backing.zero(from, len))
    }

    /// Forgets what is beyond so many blocks.
    pub(super) fn cut(&self, blocks: u64) -> io::Result<()> {
        let len = self.file.metadata()?.len();
        match offset(blocks) {
            end if end < len => self.file.set_len(end),
            _ => Ok(()),
        }
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Where the tuple of a block is, or the length of so many tuples.
fn offset(blocks: u64) -> u64 {
    blocks.saturating_mul(TUPLE_LEN as u64)
}

fn invert(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}

/// Reads what there is; the rest of the buffer stays as it was.
fn read_up_to(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                buffer = buffer.get_mut(read..).unwrap_or_default();
                offset = offset.saturating_add(read as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
