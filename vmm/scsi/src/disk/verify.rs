// SPDX-License-Identifier: GPL-2.0 OR MIT

//! VERIFY.

use protocol::scsi::cdb::{BlockRange, ByteCheck};
use protocol::scsi::sense::{asc, Sense, SenseKey};

use super::media::check_room;
use super::{failure, Disk};
use crate::backing::Incomplete;
use crate::command::Failure;
use crate::unit::Task;

/// How much is looked at in one step: a multiple of every block length.
const STEP: u64 = 64 << 10;

impl Disk {
    /// Reads blocks, and compares them with the data that came along, if any.
    pub(super) fn verify(
        &self,
        task: &Task<'_>,
        range: BlockRange,
        check: ByteCheck,
    ) -> Result<u64, Failure> {
        self.check_ready()?;
        let offset = self.locate(range)?;
        self.check_length(task, range)?;
        let len = self.bytes(range.blocks);
        let needed = match check {
            ByteCheck::MediumOnly => 0,
            ByteCheck::EachBlock => len,
            ByteCheck::SameBlock => self.block_len().min(len),
        };
        check_room(task.data_out.len(), needed)?;
        task.counters.reads.inc();

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
                return Err(Failure::Check {
                    sense,
                    transferred: needed,
                });
            }
            done = done.saturating_add(step);
        }
        Ok(needed)
    }

    /// Reads some blocks. Which of them cannot be read is not known: the first
    /// one is told.
    fn read_medium(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Failure> {
        self.backing.read_bytes(offset, buffer).map_err(|error| {
            let sense = failure::of_read(&error);
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
