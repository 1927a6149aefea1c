// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands that deallocate blocks, or fill many with the same.

use std::io;

use protocol::scsi::block;
use protocol::scsi::cdb::WriteSame;
use protocol::scsi::sense::{asc, Sense};

use super::media::{check_room, length_field};
use super::Disk;
use crate::command::Failure;
use crate::unit::Task;

/// MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT.
pub(super) const MAX_UNMAP_DESCRIPTORS: u32 = 256;
/// How much WRITE SAME writes in one step: a multiple of every block length.
const WRITE_SAME_STEP: u64 = 64 << 10;

impl Disk {
    /// UNMAP. Every range is checked before the first is deallocated.
    pub(super) fn unmap(&self, task: &Task<'_>, parameter_len: u32) -> Result<u64, Failure> {
        if !self.thin {
            return Err(Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE).into());
        }
        self.check_writable()?;
        check_room(task.data_out.len(), parameter_len.into())?;
        let mut list = vec![0; parameter_len as usize];
        task.data_out.read_at(0, &mut list);
        let ranges = block::unmap_ranges(&list)?;
        if ranges.clone().count() > MAX_UNMAP_DESCRIPTORS as usize {
            return Err(Sense::illegal(asc::INVALID_FIELD_IN_PARAMETER_LIST).into());
        }
        for range in ranges.clone() {
            self.locate(range)?;
        }
        let permit = self.gate.enter();
        for range in ranges.filter(|range| range.blocks > 0) {
            let offset = self.locate(range)?;
            // A block may stay mapped, with its data. So where it cannot be
            // deallocated there is nothing else to do.
            if self.deallocate(task, offset, self.bytes(range.blocks))? {
                self.protection_cleared(range)?;
            }
        }
        drop(permit);
        self.flush_unless_cached(task)?;
        Ok(parameter_len.into())
    }

    /// WRITE SAME.
    pub(super) fn write_same(&self, task: &Task<'_>, command: WriteSame) -> Result<u64, Failure> {
        if command.unmap && !self.thin {
            return Err(Sense::invalid_cdb(1, Some(3)).into());
        }
        self.check_protect(command.protect)?;
        self.check_writable()?;
        let blocks = command.range.blocks;
        if blocks == 0 || blocks > self.max_blocks() {
            return Err(Sense::invalid_cdb(length_field(task.cdb), None).into());
        }
        let offset = self.locate(command.range)?;
        let transferred = if command.no_data_out {
            0
        } else {
            self.block_len()
        };
        check_room(task.data_out.len(), transferred)?;
        let mut block = vec![0; self.block_size.bytes() as usize];
        task.data_out
            .read_at(0, block.get_mut(..transferred as usize).unwrap_or(&mut []));

        let permit = self.gate.enter();
        self.fill_range(task, command, offset, &block)?;
        drop(permit);
        self.flush_unless_cached(task)?;
        Ok(transferred)
    }

    /// Makes every block of WRITE SAME's range equal `block`.
    fn fill_range(
        &self,
        task: &Task<'_>,
        command: WriteSame,
        offset: u64,
        block: &[u8],
    ) -> Result<(), Sense> {
        let len = self.bytes(command.range.blocks);
        if block.iter().any(|byte| *byte != 0) {
            self.fill(task, offset, len, block)?;
        } else if command.unmap && self.deallocate(task, offset, len)? {
            return self.protection_cleared(command.range);
        } else {
            task.counters.writes.inc();
            self.backing
                .zero(offset, len)
                .map_err(|error| self.write_failed(&error))?;
        }
        self.protection_filled(command.range, block)
    }

    /// Says whether it was done: a block device tells only when it is asked to.
    fn deallocate(&self, task: &Task<'_>, offset: u64, len: u64) -> Result<bool, Sense> {
        match self.backing.deallocate(offset, len) {
            Ok(()) => {
                task.counters.unmaps.inc();
                Ok(true)
            }
            Err(error) if is_unsupported(&error) => Ok(false),
            Err(error) => Err(self.write_failed(&error)),
        }
    }

    /// Writes `block` again and again.
    fn fill(&self, task: &Task<'_>, offset: u64, len: u64, block: &[u8]) -> Result<(), Sense> {
        task.counters.writes.inc();
        let step = len.min(WRITE_SAME_STEP);
        let repeated: Vec<u8> = block.iter().copied().cycle().take(step as usize).collect();
        let mut done = 0_u64;
        while done < len {
            let step = len.saturating_sub(done).min(step);
            let data = repeated.get(..step as usize).unwrap_or(&repeated);
            self.backing
                .write_bytes(offset.saturating_add(done), data)
                .map_err(|error| self.write_failed(&error))?;
            done = done.saturating_add(step);
        }
        Ok(())
    }
}

/// Older standard libraries have no kind for `EOPNOTSUPP`.
fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(libc::EOPNOTSUPP)
}
