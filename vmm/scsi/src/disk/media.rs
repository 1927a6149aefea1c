// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands that move data to and from the medium, and make it durable.

use protocol::scsi::cdb::{Access, BlockRange};
use protocol::scsi::sense::Sense;

use super::{failure, Disk};
use crate::backing::Durability;
use crate::command::Failure;
use crate::unit::Task;

impl Disk {
    /// READ.
    pub(super) fn read(&self, task: &Task<'_>, access: Access) -> Result<u64, Failure> {
        self.check_ready()?;
        let offset = self.locate(access.range)?;
        self.check_length(task, access.range)?;
        if let Some(protection) = &self.protection {
            return protection.read(self, task, access);
        }
        self.check_protect(access.protect)?;
        let len = self.bytes(access.range.blocks);
        check_room(task.data_in.len(), len)?;
        if access.force_unit_access && self.write_cache() {
            // What is read has to be on the medium.
            self.flush(task)?;
        }
        task.counters.reads.inc();
        self.backing
            .read(offset, task.data_in, len)
            .map_err(|incomplete| {
                task.counters.bytes_read.add(incomplete.transferred);
                let sense = self.read_failed(&incomplete.error);
                failure::at_block(&incomplete, sense, access.range.lba, self.block_len())
            })?;
        task.counters.bytes_read.add(len);
        Ok(len)
    }

    /// WRITE.
    pub(super) fn write(&self, task: &Task<'_>, access: Access) -> Result<u64, Failure> {
        self.check_writable()?;
        let offset = self.locate(access.range)?;
        self.check_length(task, access.range)?;
        if let Some(protection) = &self.protection {
            return protection.write(self, task, access);
        }
        self.check_protect(access.protect)?;
        let len = self.bytes(access.range.blocks);
        check_room(task.data_out.len(), len)?;
        let durability = self.durability(access.force_unit_access);
        task.counters.writes.inc();
        let permit = self.gate.enter();
        self.backing
            .write(offset, task.data_out, len, durability)
            .map_err(|incomplete| {
                task.counters.bytes_written.add(incomplete.transferred);
                let sense = self.write_failed(&incomplete.error);
                failure::at_block(&incomplete, sense, access.range.lba, self.block_len())
            })?;
        drop(permit);
        if durability == Durability::Durable {
            task.counters.flushes.inc();
        }
        task.counters.bytes_written.add(len);
        Ok(len)
    }

    /// SYNCHRONIZE CACHE: of everything, whatever the range.
    pub(super) fn synchronize_cache(
        &self,
        task: &Task<'_>,
        range: BlockRange,
    ) -> Result<u64, Failure> {
        self.check_ready()?;
        self.locate(range)?;
        self.flush(task)?;
        Ok(0)
    }

    /// Refuses what is beyond MAXIMUM TRANSFER LENGTH.
    pub(super) fn check_length(&self, task: &Task<'_>, range: BlockRange) -> Result<(), Sense> {
        if range.blocks > self.max_blocks() {
            return Err(Sense::invalid_cdb(length_field(task.cdb), None));
        }
        Ok(())
    }
}

/// Where a block command has its length, which follows from bits 7:5 of the
/// opcode, as the CDB's own length does.
pub(super) fn length_field(cdb: &[u8]) -> u16 {
    match cdb.first().map(|opcode| opcode >> 5) {
        Some(0) => 4,
        Some(1 | 2) => 7,
        Some(5) => 6,
        _ => 10,
    }
}

/// Whether the buffer of `len` bytes has what a command needs.
pub(crate) fn check_room(len: u64, needed: u64) -> Result<(), Failure> {
    if len < needed {
        return Err(Failure::Overrun { needed });
    }
    Ok(())
}
