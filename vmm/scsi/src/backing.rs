// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the medium of a unit is made of.
//!
//! A backing moves bytes between guest memory and wherever they are kept. It
//! knows nothing of blocks or of SCSI: errors come back as those of the system,
//! together with how far it got.

mod extents;
mod file;
mod sys;

use std::fs::File;
use std::io;

use hospes_device::memory::SgList;

pub use extents::Extent;
pub use file::RawFile;

/// An access that was not completed.
#[derive(Debug)]
pub struct Incomplete {
    /// How many bytes were transferred before.
    pub transferred: u64,
    /// What ended it: [`io::ErrorKind::UnexpectedEof`] where the backing is
    /// shorter than it was.
    pub error: io::Error,
}

impl From<io::Error> for Incomplete {
    fn from(error: io::Error) -> Self {
        Self {
            transferred: 0,
            error,
        }
    }
}

/// Which writes are on stable storage when they return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Only those that [`Backing::flush`] follows.
    Cached,
    /// This one.
    Durable,
}

/// Where the bytes of a medium are. Called from several threads at once.
pub trait Backing: Send + Sync {
    /// Its size in bytes.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn size(&self) -> io::Result<u64>;

    /// Reads the first `len` bytes of `list` from `offset` on.
    ///
    /// # Errors
    ///
    /// Those of the system, or that there are fewer bytes.
    fn read(&self, offset: u64, list: &SgList, len: u64) -> Result<(), Incomplete>;

    /// Writes the first `len` bytes of `list` from `offset` on.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn write(
        &self,
        offset: u64,
        list: &SgList,
        len: u64,
        durability: Durability,
    ) -> Result<(), Incomplete>;

    /// Reads as much as [`read`](Self::read) would without having to wait, and
    /// returns how many bytes that were. Nothing follows from there being none.
    fn read_now(&self, _offset: u64, _list: &SgList, _len: u64) -> u64 {
        0
    }

    /// Writes as much as [`write`](Self::write) would, without durability and
    /// without having to wait, and returns how many bytes that were. It may
    /// have to wait in exceptional cases, such as a host that has too much to
    /// write out.
    fn write_now(&self, _offset: u64, _list: &SgList, _len: u64) -> u64 {
        0
    }

    /// The file that has the bytes at the same offsets, if there is one that
    /// may be accessed without this object.
    fn file(&self) -> Option<&File> {
        None
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    ///
    /// Those of the system, or that there are fewer bytes.
    fn read_bytes(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes `data` from `offset` on.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn write_bytes(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Brings all that was written to stable storage.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn flush(&self) -> io::Result<()>;

    /// Whether [`deallocate`](Self::deallocate) works.
    fn can_deallocate(&self) -> bool;

    /// Gives up the storage of a range, which reads as zeroes then.
    ///
    /// # Errors
    ///
    /// Those of the system; [`io::ErrorKind::Unsupported`] where it turns out
    /// that this cannot be done after all.
    fn deallocate(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes a range read as zeroes, with storage behind it where possible.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn zero(&self, offset: u64, len: u64) -> io::Result<()>;

    /// What is at `offset`: storage, or nothing behind it.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        let _ = offset;
        Ok(Extent::ALL_ALLOCATED)
    }
}
