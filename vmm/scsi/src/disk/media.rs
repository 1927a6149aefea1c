// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands that move data to and from the medium, or make sure of it.

use protocol::scsi::cdb::{Access, BlockRange, ByteCheck};
use protocol::scsi::sense::{asc, Sense, SenseKey};

use super::{failure, Disk};
use crate::backing::{Durability, Incomplete};
use crate::command::Failure;
use crate::unit::Task;

/// How much VERIFY looks at in one step: a multiple of every block length.
const VERIFY_STEP: u64 = 64 << 10;

impl Disk {
    /// READ.
    pub(super) fn read(&self, task: &Task<'_>, access: Access) -> Result<u64, Failure> {
        self.check_ready()?;
        let offset = self.locate(access.range)?;
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
                let sense = failure::of_read(&incomplete.error);
                failure::at_block(&incomplete, sense, access.range.lba, self.block_len())
            })?;
        task.counters.bytes_read.add(len);
        Ok(len)
    }

    /// WRITE.
    pub(super) fn write(&self, task: &Task<'_>, access: Access) -> Result<u64, Failure> {
        self.check_writable()?;
        let offset = self.locate(access.range)?;
        let len = self.bytes(access.range.blocks);
        check_room(task.data_out.len(), len)?;
        let durability = self.durability(access.force_unit_access);
        task.counters.writes.inc();
        self.backing
            .write(offset, task.data_out, len, durability)
            .map_err(|incomplete| {
                task.counters.bytes_written.add(incomplete.transferred);
                let sense = failure::of_write(&incomplete.error);
                failure::at_block(&incomplete, sense, access.range.lba, self.block_len())
            })?;
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

    /// VERIFY.
    pub(super) fn verify(
        &self,
        task: &Task<'_>,
        range: BlockRange,
        check: ByteCheck,
    ) -> Result<u64, Failure> {
        self.check_ready()?;
        let offset = self.locate(range)?;
        let len = self.bytes(range.blocks);
        let needed = match check {
            ByteCheck::MediumOnly => 0,
            ByteCheck::EachBlock => len,
            ByteCheck::SameBlock => self.block_len().min(len),
        };
        check_room(task.data_out.len(), needed)?;
        task.counters.reads.inc();

        let mut medium = vec![0; VERIFY_STEP.min(len) as usize];
        let mut expected = medium.clone();
        let mut done = 0_u64;
        while done < len {
            let step = len.saturating_sub(done).min(VERIFY_STEP);
            let medium = medium.get_mut(..step as usize).unwrap_or(&mut []);
            let lba = range
                .lba
                .saturating_add(done.checked_div(self.block_len()).unwrap_or(0));
            self.backing
                .read_bytes(offset.saturating_add(done), medium)
                .map_err(|error| {
                    // How far a step got is not known.
                    let sense = failure::of_read(&error);
                    failure::at_block(&Incomplete::from(error), sense, lba, self.block_len())
                })?;
            let expected = expected.get_mut(..step as usize).unwrap_or(&mut []);
            if needed > 0 && !self.matches(task, check, done, medium, expected) {
                let why = asc::MISCOMPARE_DURING_VERIFY_OPERATION;
                return Err(Failure::Check {
                    sense: Sense::new(SenseKey::Miscompare, why),
                    transferred: needed,
                });
            }
            done = done.saturating_add(step);
        }
        Ok(needed)
    }

    /// Whether a step of the medium is as the data that came with VERIFY, which
    /// goes through `buffer`.
    fn matches(
        &self,
        task: &Task<'_>,
        check: ByteCheck,
        done: u64,
        medium: &[u8],
        buffer: &mut [u8],
    ) -> bool {
        if check == ByteCheck::EachBlock {
            task.data_out.read_at(done, buffer);
            return medium == buffer;
        }
        let buffer = buffer
            .get_mut(..self.block_size.bytes() as usize)
            .unwrap_or(&mut []);
        task.data_out.read_at(0, buffer);
        medium
            .chunks(buffer.len().max(1))
            .all(|block| block == buffer)
    }
}

/// Whether the buffer of `len` bytes has what a command needs.
pub(super) fn check_room(len: u64, needed: u64) -> Result<(), Failure> {
    if len < needed {
        return Err(Failure::Overrun { needed });
    }
    Ok(())
}
