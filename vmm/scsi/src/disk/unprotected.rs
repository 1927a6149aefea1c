// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Protection information, which no disk has: every command that asks for it is
//! refused.

use std::io;

use protocol::scsi::cdb::BlockRange;
use protocol::scsi::protection::Kind;
use protocol::scsi::sense::Sense;

use super::Disk;
use crate::command::Failure;

#[allow(
    clippy::unused_self,
    clippy::unnecessary_wraps,
    reason = "what a disk with protection information has to do in these places"
)]
impl Disk {
    /// Which protection information there is.
    pub(super) fn protection_kind(&self) -> Option<Kind> {
        None
    }

    /// Refuses commands that come with protection information.
    pub(super) fn check_protect(&self, protect: u8) -> Result<(), Sense> {
        match protect {
            0 => Ok(()),
            _ => Err(Sense::invalid_cdb(1, Some(7))),
        }
    }

    /// Blocks were verified.
    pub(super) fn protection_check(&self, _: BlockRange, protect: u8) -> Result<(), Failure> {
        Ok(self.check_protect(protect)?)
    }

    /// Blocks were deallocated.
    pub(super) fn protection_cleared(&self, _: BlockRange) -> Result<(), Sense> {
        Ok(())
    }

    /// Each block was written with the same.
    pub(super) fn protection_filled(&self, _: BlockRange, _: &[u8]) -> Result<(), Sense> {
        Ok(())
    }

    /// Blocks were written.
    pub(super) fn protection_written(&self, _: u64, _: &[u8]) -> Result<(), Sense> {
        Ok(())
    }

    /// Blocks were brought to stable storage.
    pub(super) fn protection_flush(&self) -> Result<(), Sense> {
        Ok(())
    }

    /// The capacity changed.
    pub(super) fn protection_resized(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}
