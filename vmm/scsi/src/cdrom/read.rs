// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands that read the disc.

use protocol::scsi::block::Capacity10;
use protocol::scsi::cdb::BlockRange;
use protocol::scsi::mmc::BLOCK_LEN;
use protocol::scsi::sense::{asc, Sense};
use zerocopy::big_endian::U32;

use super::CdRom;
use crate::command::Failure;
use crate::data_in::DataIn;
use crate::disk::{check_room, failure};
use crate::unit::Task;

/// The most blocks that one command reads: none takes for ever, however long the
/// image, and holds up a reset meanwhile.
const MAX_BLOCKS: u32 = (64 << 20) / BLOCK_LEN;

impl CdRom {
    /// READ.
    pub(super) fn read(&self, task: &Task<'_>, range: BlockRange) -> Result<u64, Failure> {
        let medium = self.drive.medium()?;
        let offset = medium.locate(range)?;
        if range.blocks > MAX_BLOCKS {
            return Err(Sense::illegal(asc::INVALID_FIELD_IN_CDB).into());
        }
        let len = u64::from(range.blocks).saturating_mul(BLOCK_LEN.into());
        check_room(task.data_in.len(), len)?;
        task.counters.reads.inc();
        medium
            .backing()
            .read(offset, task.data_in, len)
            .map_err(|incomplete| {
                task.counters.bytes_read.add(incomplete.transferred);
                let sense = failure::of_read(&incomplete.error);
                failure::at_block(&incomplete, sense, range.lba, BLOCK_LEN.into())
            })?;
        task.counters.bytes_read.add(len);
        Ok(len)
    }

    /// READ CD and READ CD MSF. Without any part of a block they check that it is
    /// there.
    pub(super) fn read_cd(
        &self,
        task: &Task<'_>,
        range: BlockRange,
        user_data: bool,
    ) -> Result<u64, Failure> {
        if user_data && range.blocks > 0 {
            return self.read(task, range);
        }
        self.drive.medium()?.locate(range)?;
        Ok(0)
    }

    /// SEEK (10).
    pub(super) fn seek(&self, lba: u32) -> Result<u64, Failure> {
        let lba = lba.into();
        self.drive.medium()?.locate(BlockRange { lba, blocks: 0 })?;
        Ok(0)
    }

    /// READ CAPACITY.
    pub(super) fn read_capacity(&self, task: &Task<'_>) -> Result<u64, Failure> {
        let capacity = Capacity10 {
            last_lba: U32::new(self.drive.medium()?.last_block()),
            block_len: U32::new(BLOCK_LEN),
        };
        Ok(DataIn::new(task.data_in, u32::MAX).finish(&capacity))
    }
}
