// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The disc: an image.

use std::path::{Path, PathBuf};

use protocol::scsi::cdb::BlockRange;
use protocol::scsi::mmc::feature::profile;
use protocol::scsi::mmc::BLOCK_LEN;
use protocol::scsi::sense::{asc, Sense};

use super::drive::DriveError;
use crate::backing::{Backing, RawFile};

/// The longest CD has 99 minutes, 59 seconds and 74 frames, of which the first
/// two seconds come before block 0. What is longer is a DVD.
const MAX_CD_BLOCKS: u32 = (99 * 60 + 59) * 75 + 74 - 150;

/// An image, opened for reading.
pub(super) struct Medium {
    path: PathBuf,
    backing: Box<dyn Backing>,
    blocks: u32,
}

impl Medium {
    /// Opens an image. Bytes behind its last complete block are left out.
    pub(super) fn open(path: &Path) -> Result<Self, DriveError> {
        let failed = |source| DriveError::Open {
            path: path.to_path_buf(),
            source,
        };
        let file = RawFile::open(path, true).map_err(failed)?;
        Self::with_backing(path, Box::new(file))
    }

    /// A medium on any backing. The path is only a name then.
    pub(super) fn with_backing(path: &Path, backing: Box<dyn Backing>) -> Result<Self, DriveError> {
        let path = path.to_path_buf();
        let len = match backing.size() {
            Ok(len) => len,
            Err(source) => return Err(DriveError::Open { path, source }),
        };
        let blocks = len.checked_div(BLOCK_LEN.into()).unwrap_or(0);
        match u32::try_from(blocks) {
            Ok(0) => Err(DriveError::Empty { path, len }),
            Ok(blocks) => Ok(Self {
                path,
                backing,
                blocks,
            }),
            Err(_) => Err(DriveError::TooLarge { path, len }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn backing(&self) -> &dyn Backing {
        self.backing.as_ref()
    }

    /// The number of blocks, of which there is at least one.
    pub(super) fn blocks(&self) -> u32 {
        self.blocks
    }

    pub(super) fn last_block(&self) -> u32 {
        self.blocks.saturating_sub(1)
    }

    /// What kind of disc it is, as a profile.
    pub(super) fn profile(&self) -> u16 {
        if self.blocks > MAX_CD_BLOCKS {
            profile::DVD_ROM
        } else {
            profile::CD_ROM
        }
    }

    /// Where a range of blocks starts in the image.
    ///
    /// # Errors
    ///
    /// LOGICAL BLOCK ADDRESS OUT OF RANGE, if not all of it is there. A range of
    /// no blocks has to start at one that is.
    pub(super) fn locate(&self, range: BlockRange) -> Result<u64, Sense> {
        let blocks = u64::from(self.blocks);
        let end = range.lba.checked_add(range.blocks.into());
        if range.lba >= blocks || end.is_none_or(|end| end > blocks) {
            return Err(Sense::illegal(asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE));
        }
        // The image is that long, so this cannot saturate.
        Ok(range.lba.saturating_mul(BLOCK_LEN.into()))
    }
}
