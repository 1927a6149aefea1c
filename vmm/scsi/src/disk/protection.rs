// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Disks with protection information (PI; SBC-4, section 4.21).
//!
//! The eight bytes of each block are in a file beside the one of the blocks
//! (`store`). Reads and writes compare them with the data on its way
//! (`transfer`); other commands that change blocks tell the functions here.
//!
//! What is not obvious: application tags are the initiator's (ATO is clear), so
//! nobody checks them. A block that was never written, or was deallocated, has
//! PI of all ones, which says that it is not to be checked.

mod store;
#[cfg(test)]
mod tests;
mod transfer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use protocol::scsi::cdb::BlockRange;
use protocol::scsi::protection::{Checks, Kind, Tuple};
use protocol::scsi::sense::Sense;

use super::{failure, Disk, DiskConfig, DiskError};
use crate::command::Failure;
use store::Store;

/// What kind of protection a disk is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtectionType {
    /// None.
    #[default]
    None,
    /// Type 1: reference tags are block addresses.
    Type1,
    /// Type 3: reference tags are the initiator's.
    Type3,
}

impl ProtectionType {
    fn kind(self) -> Option<Kind> {
        match self {
            Self::None => None,
            Self::Type1 => Some(Kind::Type1),
            Self::Type3 => Some(Kind::Type3),
        }
    }
}

/// The protection information of a disk.
pub(super) struct Protection {
    kind: Kind,
    store: Store,
    /// Data and its PI change together, or a reader would see one without the
    /// other.
    lock: RwLock<()>,
}

/// Where the PI of a disk is if nothing was said: `PATH.pi`.
fn default_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pi");
    name.into()
}

impl Protection {
    /// Opens or makes the file that belongs to a disk, if it has protection.
    pub(super) fn open(config: &DiskConfig) -> Result<Option<Self>, DiskError> {
        let Some(kind) = config.protection.kind() else {
            return Ok(None);
        };
        let path = config.protection_path.clone();
        let path = path.unwrap_or_else(|| default_path(&config.path));
        let store = Store::open(&path, config.read_only)
            .map_err(|source| DiskError::Open { path, source })?;
        Ok(Some(Self {
            kind,
            store,
            lock: RwLock::default(),
        }))
    }

    fn shared(&self) -> RwLockReadGuard<'_, ()> {
        self.lock.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, ()> {
        self.lock.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What RDPROTECT, WRPROTECT or VRPROTECT asks for.
///
/// # Errors
///
/// INVALID FIELD IN CDB, for a reserved value.
fn checks_of(protect: u8) -> Result<Checks, Sense> {
    Checks::of(protect).ok_or(Sense::invalid_cdb(1, Some(7)))
}

impl Disk {
    /// The type of protection, 1 or 3, that the disk has.
    pub(super) fn protection_kind(&self) -> Option<Kind> {
        self.protection.as_ref().map(|protection| protection.kind)
    }

    /// For commands whose data never comes with PI: refuses those that say so.
    ///
    /// # Errors
    ///
    /// INVALID FIELD IN CDB.
    pub(super) fn check_protect(&self, protect: u8) -> Result<(), Sense> {
        match protect {
            0 => Ok(()),
            _ => Err(Sense::invalid_cdb(1, Some(7))),
        }
    }

    /// Compares blocks with their PI, as VERIFY does.
    ///
    /// # Errors
    ///
    /// What does not match, or cannot be read. INVALID FIELD IN CDB for a
    /// VRPROTECT that a disk without protection, or no disk, has.
    pub(super) fn protection_check(&self, range: BlockRange, protect: u8) -> Result<(), Failure> {
        match &self.protection {
            None => Ok(self.check_protect(protect)?),
            Some(protection) => protection.check(self, range, checks_of(protect)?),
        }
    }

    /// Blocks were deallocated: nothing is known of them any more.
    ///
    /// # Errors
    ///
    /// The sense data for what the system says.
    pub(super) fn protection_cleared(&self, range: BlockRange) -> Result<(), Sense> {
        let Some(protection) = &self.protection else {
            return Ok(());
        };
        let _exclusive = protection.exclusive();
        let cleared = protection.store.clear(range.lba, range.blocks);
        cleared.map_err(|error| failure::of_write(&error))
    }

    /// Blocks were written, each with the content of `block`.
    ///
    /// # Errors
    ///
    /// The sense data for what the system says.
    pub(super) fn protection_filled(&self, range: BlockRange, block: &[u8]) -> Result<(), Sense> {
        let Some(protection) = &self.protection else {
            return Ok(());
        };
        let _exclusive = protection.exclusive();
        protection
            .fill(range, block)
            .map_err(|error| failure::of_write(&error))
    }

    /// Blocks from `lba` on were written with `data`.
    ///
    /// # Errors
    ///
    /// The sense data for what the system says.
    pub(super) fn protection_written(&self, lba: u64, data: &[u8]) -> Result<(), Sense> {
        let Some(protection) = &self.protection else {
            return Ok(());
        };
        let _exclusive = protection.exclusive();
        let block_len = self.block_size.bytes() as usize;
        let tuples: Vec<Tuple> = (lba..)
            .zip(data.chunks_exact(block_len))
            .map(|(lba, block)| Tuple::generate(protection.kind, block, lba))
            .collect();
        let written = protection.store.write(lba, &tuples);
        written.map_err(|error| failure::of_write(&error))
    }

    /// Brings PI to stable storage, after the blocks that it is for.
    ///
    /// # Errors
    ///
    /// The sense data for what the system says.
    pub(super) fn protection_flush(&self) -> Result<(), Sense> {
        let flushed = self.protection.as_ref().map(|found| found.store.flush());
        flushed
            .unwrap_or(Ok(()))
            .map_err(|error| failure::of_write(&error))
    }

    /// The disk has so many blocks now: those beyond do not come back as they
    /// were.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub(super) fn protection_resized(&self, blocks: u64) -> io::Result<()> {
        match &self.protection {
            None => Ok(()),
            Some(protection) => protection.store.cut(blocks),
        }
    }
}
