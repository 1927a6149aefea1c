// SPDX-License-Identifier: GPL-2.0 OR MIT

//! VERIFY and WRITE AND VERIFY.

use protocol::scsi::cdb::{ByteCheck, Verify};
use protocol::scsi::sense::{asc, Sense, SenseKey};

use super::media::check_room;
use super::{failure, Disk};
use crate::backing::Incomplete;
use crate::command::Failure;
use crate::unit::Task;

/// How much is looked at in one step: a multiple of every block length.
const STEP: u64 = 64 << 10;

impl Disk {
    /// VERIFY.
    pub(super) fn verify(&self, task: &Task<'_>, command: Verify) -> Result<u64, Failure> {
        if command.check != ByteCheck::MediumOnly {
            self.check_protect(command.protect)?;
        }
        self.check_ready()?;
        let offset = self.locate(command.range)?;
        self.check_length(task, command.range)?;
        let len = self.bytes(command.range.blocks);
        let needed = match command.check {
            ByteCheck::MediumOnly => 0,
            ByteCheck::EachBlock => len,
            ByteCheck::SameBlock => self.block_len().min(len),
        };
        check_room(task.data_out.len(), needed)?;
        task.counters.reads.inc();
        self.protection_check(command.range, command.protect)?;
        self.verify_range(task, command.check, offset, len, needed)?;
        Ok(needed)
    }

    /// WRITE AND VERIFY: what was written is on stable storage, and is then
    /// read back by way of the host's cache.
    pub(super) fn write_and_verify(
        &self,
        task: &Task<'_>,
        command: Verify,
    ) -> Result<u64, Failure> {
        if command.check == ByteCheck::SameBlock {
            return Err(Sense::invalid_cdb(1, Some(2)).into());
        }
        self.check_protect(command.protect)?;
        self.check_writable()?;
        let offset = self.locate(command.range)?;
        self.check_length(task, command.range)?;
        let len = self.bytes(command.range.blocks);
        check_room(task.data_out.len(), len)?;
        let permit = self.gate.enter();
        self.write_range(task, command.range.lba, offset, len)?;
        self.flush(task)?;
        self.verify_range(task, command.check, offset, len, len)?;
        drop(permit);
        Ok(len)
    }

    /// Writes what came along, by way of a buffer.
    fn write_range(&self, task: &Task<'_>, lba: u64, offset: u64, len: u64) -> Result<(), Failure> {
        task.counters.writes.inc();
        let mut buffer = vec![0; STEP.min(len) as usize];
        let mut done = 0_u64;
        while done < len {
            let step = len.saturating_sub(done).min(STEP);
            let data = buffer.get_mut(..step as usize).unwrap_or(&mut []);
            task.data_out.read_at(done, data);
            let blocks = done.checked_div(self.block_len()).unwrap_or(0);
            let lba = lba.saturating_add(blocks);
            self.backing
                .write_bytes(offset.saturating_add(done), data)
                .map_err(|error| {
                    let sense = self.write_failed(&error).at_block(lba);
                    let transferred = done;
                    Failure::Check { sense, transferred }
                })?;
            self.protection_written(lba, data)?;
            task.counters.bytes_written.add(step);
            done = done.saturating_add(step);
        }
        Ok(())
    }

    /// Reads blocks, and compares them with the data that came along, if any.
    fn verify_range(
        &self,
        task: &Task<'_>,
        check: ByteCheck,
        offset: u64,
        len: u64,
        transferred: u64,
    ) -> Result<(), Failure> {
        let mut medium = vec![0; STEP.min(len) as usize];
        let mut expected = medium.clone();
        let mut done = 0_u64;
        while done < len {
            let step = len.saturating_sub(done).min(STEP);
            let medium = medium.get_mut(..step as usize).unwrap_or(&mut []);
            let expected = expected.get_mut(..step as usize).unwrap_or(&mut []);
            self.read_medium(offset.saturating_add(done), medium)?;
            if !self.matches(task, check, done, medium, expected) {
                let why = asc::MISCOMPARE_DURING_VERIFY_OPERATION;
                let sense = Sense::new(SenseKey::Miscompare, why);
                return Err(Failure::Check { sense, transferred });
            }
            self.health.verified_bytes.add(step);
            done = done.saturating_add(step);
        }
        Ok(())
    }

    /// Reads some blocks. Which of them cannot be read is not known: the first
    /// one is told.
    fn read_medium(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Failure> {
        self.backing.read_bytes(offset, buffer).map_err(|error| {
            let sense = self.verify_failed(&error);
            let lba = offset.checked_div(self.block_len()).unwrap_or(0);
            failure::at_block(&Incomplete::from(error), sense, lba, self.block_len())
        })
    }

    /// Whether the step of the medium after `done` bytes is as the data that
    /// came along, which goes through `buffer`.
    fn matches(
        &self,
        task: &Task<'_>,
        check: ByteCheck,
        done: u64,
        medium: &[u8],
        buffer: &mut [u8],
    ) -> bool {
        match check {
            ByteCheck::MediumOnly => true,
            ByteCheck::EachBlock => {
                task.data_out.read_at(done, buffer);
                medium == buffer
            }
            ByteCheck::SameBlock => {
                let len = self.block_size.bytes() as usize;
                let buffer = buffer.get_mut(..len).unwrap_or(&mut []);
                task.data_out.read_at(0, buffer);
                medium.chunks(len).all(|block| block == buffer)
            }
        }
    }
}
