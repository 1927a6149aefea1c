// SPDX-License-Identifier: GPL-2.0 OR MIT

//! COMPARE AND WRITE.

use protocol::scsi::cdb::Access;
use protocol::scsi::sense::{asc, Sense, SenseKey};

use super::media::check_room;
use super::{failure, Disk};
use crate::backing::{Durability, Incomplete};
use crate::command::Failure;
use crate::unit::Task;

/// MAXIMUM COMPARE AND WRITE LENGTH: all that the command can express.
pub(super) const MAX_COMPARE_AND_WRITE: u8 = u8::MAX;

impl Disk {
    /// Writes blocks if they are as expected, with no other write in between.
    pub(super) fn compare_and_write(
        &self,
        task: &Task<'_>,
        access: Access,
    ) -> Result<u64, Failure> {
        self.check_protect(access.protect)?;
        self.check_writable()?;
        let offset = self.locate(access.range)?;
        let len = self.bytes(access.range.blocks);
        let needed = len.saturating_mul(2);
        check_room(task.data_out.len(), needed)?;
        // 255 blocks at most.
        let mut expected = vec![0; len as usize];
        let mut replacement = expected.clone();
        task.data_out.read_at(0, &mut expected);
        task.data_out.read_at(len, &mut replacement);

        let exclusive = self.gate.exclude();
        let medium = self.read_to_compare(task, access, offset, len)?;
        if let Some(at) = first_difference(&medium, &expected) {
            return Err(miscompare(at, needed));
        }
        self.replace(task, access, offset, &replacement)?;
        drop(exclusive);

        if self.durability(access.force_unit_access) == Durability::Durable {
            self.flush(task)?;
        }
        Ok(needed)
    }

    fn read_to_compare(
        &self,
        task: &Task<'_>,
        access: Access,
        offset: u64,
        len: u64,
    ) -> Result<Vec<u8>, Failure> {
        let mut medium = vec![0; len as usize];
        task.counters.reads.inc();
        self.backing
            .read_bytes(offset, &mut medium)
            .map_err(|error| {
                let sense = self.read_failed(&error);
                let nothing = Incomplete::from(error);
                failure::at_block(&nothing, sense, access.range.lba, self.block_len())
            })?;
        task.counters.bytes_read.add(len);
        Ok(medium)
    }

    fn replace(
        &self,
        task: &Task<'_>,
        access: Access,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Failure> {
        task.counters.writes.inc();
        self.backing.write_bytes(offset, data).map_err(|error| {
            let sense = self.write_failed(&error);
            let nothing = Incomplete::from(error);
            failure::at_block(&nothing, sense, access.range.lba, self.block_len())
        })?;
        task.counters.bytes_written.add(data.len() as u64);
        Ok(self.protection_written(access.range.lba, data)?)
    }
}

/// MISCOMPARE, which tells the first byte that differs (SBC-4, section 5.3).
fn miscompare(at: u64, transferred: u64) -> Failure {
    let why = asc::MISCOMPARE_DURING_VERIFY_OPERATION;
    let sense = Sense::new(SenseKey::Miscompare, why).with_information(at);
    Failure::Check { sense, transferred }
}

fn first_difference(medium: &[u8], expected: &[u8]) -> Option<u64> {
    let mut pairs = medium.iter().zip(expected);
    let at = pairs.position(|(medium, expected)| medium != expected)?;
    u64::try_from(at).ok()
}
