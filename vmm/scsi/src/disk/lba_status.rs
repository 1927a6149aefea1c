// SPDX-License-Identifier: GPL-2.0 OR MIT

//! GET LBA STATUS: which blocks have storage behind them.

use protocol::scsi::block::{LbaStatusDescriptor, LbaStatusHeader, DEALLOCATED, MAPPED};
use protocol::scsi::cdb::BlockRange;
use zerocopy::big_endian::{U32, U64};
use zerocopy::IntoBytes;

use super::Disk;
use crate::command::Failure;
use crate::data_in::DataIn;
use crate::unit::Task;

/// The most descriptors that one command returns. The initiator asks again
/// from where they end.
const MAX_DESCRIPTORS: u64 = 256;
/// How often one command asks the file system.
const MAX_STEPS: usize = 1024;

/// Blocks of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    lba: u64,
    blocks: u64,
    is_mapped: bool,
}

impl Disk {
    /// GET LBA STATUS, from block `lba` on.
    pub(super) fn get_lba_status(
        &self,
        task: &Task<'_>,
        lba: u64,
        allocation: u32,
    ) -> Result<u64, Failure> {
        self.check_ready()?;
        self.locate(BlockRange { lba, blocks: 0 })?;
        let room = u64::from(allocation)
            .saturating_sub(size_of::<LbaStatusHeader>() as u64)
            .checked_div(size_of::<LbaStatusDescriptor>() as u64)
            .unwrap_or(0);
        let limit = room.clamp(1, MAX_DESCRIPTORS) as usize;
        let descriptors: Vec<u8> = self
            .runs(lba, limit)?
            .iter()
            .flat_map(|run| descriptor(run).as_bytes().to_vec())
            .collect();
        let mut data = DataIn::new(task.data_in, allocation);
        // The length counts from byte 4 on.
        let len = descriptors.len().saturating_add(4);
        data.put(&LbaStatusHeader {
            len: U32::new(u32::try_from(len).unwrap_or(u32::MAX)),
            reserved: [0; 3],
            condition: 0,
        });
        Ok(data.finish(descriptors.as_slice()))
    }

    /// Up to `limit` runs of blocks, one after the other. Neighbours are of
    /// different kinds, except where a run has as many blocks as can be told.
    fn runs(&self, lba: u64, limit: usize) -> Result<Vec<Run>, Failure> {
        let mut runs: Vec<Run> = Vec::new();
        let mut next = lba;
        for _ in 0..MAX_STEPS {
            if next >= self.blocks() {
                break;
            }
            let run = self.run_at(next)?;
            let is_full = runs.len() == limit;
            match runs.last_mut() {
                Some(last) if can_join(last, &run) => {
                    last.blocks = last.blocks.saturating_add(run.blocks);
                }
                _ if is_full => break,
                _ => runs.push(run),
            }
            next = next.saturating_add(run.blocks);
        }
        Ok(runs)
    }

    /// The blocks from `lba` on that are of one kind as the backing tells it.
    /// A block is mapped if any part of it has storage.
    fn run_at(&self, lba: u64) -> Result<Run, Failure> {
        let rest = self.blocks().saturating_sub(lba).min(u32::MAX.into());
        let mapped = |blocks: u64| Run {
            lba,
            blocks: blocks.clamp(1, rest.max(1)),
            is_mapped: true,
        };
        if !self.thin {
            return Ok(mapped(rest));
        }
        let offset = lba.saturating_mul(self.block_len());
        let extent = self
            .backing
            .extent_at(offset)
            .map_err(|error| self.read_failed(&error))?;
        let len = extent.end.saturating_sub(offset);
        if extent.is_allocated {
            return Ok(mapped(len.div_ceil(self.block_len())));
        }
        match len.checked_div(self.block_len()).unwrap_or(0).min(rest) {
            0 => Ok(mapped(1)),
            blocks => Ok(Run {
                lba,
                blocks,
                is_mapped: false,
            }),
        }
    }
}

fn can_join(last: &Run, next: &Run) -> bool {
    let sum = last.blocks.saturating_add(next.blocks);
    last.is_mapped == next.is_mapped && sum <= u32::MAX.into()
}

fn descriptor(run: &Run) -> LbaStatusDescriptor {
    LbaStatusDescriptor {
        lba: U64::new(run.lba),
        blocks: U32::new(u32::try_from(run.blocks).unwrap_or(u32::MAX)),
        status: if run.is_mapped { MAPPED } else { DEALLOCATED },
        reserved: [0; 3],
    }
}
