// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Reads and writes of a disk that has protection information.
//!
//! Data goes through a buffer of the VMM, so that what was checked is what is
//! written or read, whatever the guest does with its memory meanwhile.

use std::io;

use protocol::scsi::cdb::{Access, BlockRange};
use protocol::scsi::protection::{Checks, Tuple, TUPLE_LEN};
use protocol::scsi::sense::Sense;
use zerocopy::{FromZeros, IntoBytes};

use super::{checks_of, Disk, Protection};
use crate::backing::Durability;
use crate::command::Failure;
use crate::disk::media::check_room;
use crate::protection::{ProtectionBuffers, SeparateProtection};
use crate::unit::Task;

/// How many blocks are worked on at a time.
const STEP: u32 = 128;

/// How PI comes and goes in a command.
#[derive(Clone, Copy)]
enum Wire<'a> {
    /// Not at all.
    Absent,
    /// After each block.
    Interleaved,
    /// In buffers of its own.
    Separate(&'a SeparateProtection),
}

/// Some of the blocks of a command.
struct Step {
    /// The first of them.
    lba: u64,
    /// How many were worked on before.
    done: u64,
    data: Vec<u8>,
    tuples: Vec<Tuple>,
    block_len: usize,
}

impl Protection {
    /// READ, of blocks that exist.
    pub(in crate::disk) fn read(
        &self,
        disk: &Disk,
        task: &Task<'_>,
        access: Access,
    ) -> Result<u64, Failure> {
        let checks = checks_of(access.protect)?;
        let wire = Wire::of(task, access.protect);
        let needed = wire.room(disk, access.range, task.data_in.len(), |pi| pi.input.len())?;
        if access.force_unit_access && disk.write_cache() {
            disk.flush(task)?;
        }
        task.counters.reads.inc();
        let _shared = self.shared();
        for mut step in steps(disk, access.range) {
            self.load(disk, &mut step)
                .and_then(|()| self.compare(&step, checks, Origin::Medium))
                .map_err(|sense| wire.failed(&step, sense))?;
            step.give(task, wire);
            task.counters.bytes_read.add(step.data.len() as u64);
        }
        Ok(needed)
    }

    /// WRITE, of blocks that exist.
    pub(in crate::disk) fn write(
        &self,
        disk: &Disk,
        task: &Task<'_>,
        access: Access,
    ) -> Result<u64, Failure> {
        let checks = checks_of(access.protect)?;
        let wire = Wire::of(task, access.protect);
        let needed = wire.room(disk, access.range, task.data_out.len(), |pi| pi.out.len())?;
        task.counters.writes.inc();
        let permit = disk.gate.enter();
        let exclusive = self.exclusive();
        for mut step in steps(disk, access.range) {
            step.take(task, wire);
            let stored = match wire {
                Wire::Absent => {
                    self.generate(&mut step);
                    Ok(())
                }
                _ => self.compare(&step, checks, Origin::Initiator),
            };
            stored
                .and_then(|()| self.save(disk, &step))
                .map_err(|sense| wire.failed(&step, sense))?;
            task.counters.bytes_written.add(step.data.len() as u64);
        }
        drop((exclusive, permit));
        if disk.durability(access.force_unit_access) == Durability::Durable {
            disk.flush(task)?;
        }
        Ok(needed)
    }

    /// Compares blocks with what is known of them.
    pub(super) fn check(
        &self,
        disk: &Disk,
        range: BlockRange,
        checks: Checks,
    ) -> Result<(), Failure> {
        let _shared = self.shared();
        for mut step in steps(disk, range) {
            self.load(disk, &mut step)?;
            self.compare(&step, checks, Origin::Medium)?;
        }
        Ok(())
    }

    /// Sets what is known of blocks that all have the same content.
    pub(super) fn fill(&self, range: BlockRange, block: &[u8]) -> io::Result<()> {
        let end = range.lba.saturating_add(range.blocks.into());
        let mut lba = range.lba;
        while lba < end {
            let next = lba.saturating_add(STEP.into()).min(end);
            let tuples: Vec<_> = (lba..next)
                .map(|lba| Tuple::generate(self.kind, block, lba))
                .collect();
            self.store.write(lba, &tuples)?;
            lba = next;
        }
        Ok(())
    }

    fn load(&self, disk: &Disk, step: &mut Step) -> Result<(), Sense> {
        let offset = step.lba.saturating_mul(disk.block_len());
        disk.backing
            .read_bytes(offset, &mut step.data)
            .and_then(|()| self.store.read(step.lba, &mut step.tuples))
            .map_err(|error| disk.read_failed(&error).at_block(step.lba))
    }

    fn save(&self, disk: &Disk, step: &Step) -> Result<(), Sense> {
        let offset = step.lba.saturating_mul(disk.block_len());
        disk.backing
            .write_bytes(offset, &step.data)
            .and_then(|()| self.store.write(step.lba, &step.tuples))
            .map_err(|error| disk.write_failed(&error).at_block(step.lba))
    }

    fn generate(&self, step: &mut Step) {
        let blocks = step.data.chunks_exact(step.block_len);
        for ((tuple, block), lba) in step.tuples.iter_mut().zip(blocks).zip(step.lba..) {
            *tuple = Tuple::generate(self.kind, block, lba);
        }
    }

    fn compare(&self, step: &Step, checks: Checks, origin: Origin) -> Result<(), Sense> {
        let blocks = step.data.chunks_exact(step.block_len);
        for ((tuple, block), lba) in step.tuples.iter().zip(blocks).zip(step.lba..) {
            if origin == Origin::Medium && tuple.is_escape(self.kind) {
                continue;
            }
            tuple
                .check(self.kind, checks, block, lba)
                .map_err(|mismatch| mismatch.sense(lba))?;
        }
        Ok(())
    }
}

/// Where PI came from. Only what is on the medium can say not to check it: an
/// initiator says so in the command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Medium,
    Initiator,
}

impl<'a> Wire<'a> {
    fn of(task: &Task<'a>, protect: u8) -> Self {
        match (protect, task.protection) {
            (0, _) | (_, ProtectionBuffers::Stripped) => Self::Absent,
            (_, ProtectionBuffers::Interleaved) => Self::Interleaved,
            (_, ProtectionBuffers::Separate(buffers)) => Self::Separate(buffers),
        }
    }

    /// What a block takes up among the data.
    fn stride(self, block_len: usize) -> u64 {
        let tuple = match self {
            Self::Interleaved => TUPLE_LEN,
            Self::Absent | Self::Separate(_) => 0,
        };
        block_len.saturating_add(tuple) as u64
    }

    /// The length of the data of a range, if the buffers have it.
    fn room(
        self,
        disk: &Disk,
        range: BlockRange,
        data_len: u64,
        protection_len: impl FnOnce(&SeparateProtection) -> u64,
    ) -> Result<u64, Failure> {
        let blocks = u64::from(range.blocks);
        let needed = blocks.saturating_mul(self.stride(disk.block_size.bytes() as usize));
        check_room(data_len, needed)?;
        if let Self::Separate(buffers) = self {
            let needed = blocks.saturating_mul(TUPLE_LEN as u64);
            check_room(protection_len(buffers), needed)?;
        }
        Ok(needed)
    }

    /// The end of a command that got as far as `step`.
    fn failed(self, step: &Step, sense: Sense) -> Failure {
        let transferred = step.done.saturating_mul(self.stride(step.block_len));
        Failure::Check { sense, transferred }
    }
}

/// Cuts a range into pieces of a bearable size.
fn steps(disk: &Disk, range: BlockRange) -> impl Iterator<Item = Step> {
    let block_len = disk.block_size.bytes() as usize;
    let mut done = 0_u32;
    std::iter::from_fn(move || {
        let blocks = range.blocks.saturating_sub(done).min(STEP);
        let step = Step::new(range.lba, done, blocks, block_len);
        done = done.saturating_add(blocks);
        (blocks > 0).then_some(step)
    })
}

impl Step {
    fn new(first: u64, done: u32, blocks: u32, block_len: usize) -> Self {
        let count = blocks as usize;
        Self {
            lba: first.saturating_add(done.into()),
            done: done.into(),
            data: vec![0; count.saturating_mul(block_len)],
            tuples: vec![Tuple::new_zeroed(); count],
            block_len,
        }
    }

    /// Gives blocks and PI to the initiator.
    fn give(&self, task: &Task<'_>, wire: Wire<'_>) {
        let start = self.done.saturating_mul(wire.stride(self.block_len));
        if !matches!(wire, Wire::Interleaved) {
            task.data_in.write_at(start, &self.data);
        }
        match wire {
            Wire::Absent => {}
            Wire::Separate(buffers) => {
                let start = self.done.saturating_mul(TUPLE_LEN as u64);
                buffers.input.write_at(start, self.tuples.as_bytes());
            }
            Wire::Interleaved => {
                let blocks = self.data.chunks_exact(self.block_len);
                let mixed: Vec<_> = blocks
                    .zip(&self.tuples)
                    .flat_map(|(block, tuple)| [block, tuple.as_bytes()])
                    .collect();
                task.data_in.write_at(start, &mixed.concat());
            }
        }
    }

    /// Takes blocks and PI from the initiator.
    fn take(&mut self, task: &Task<'_>, wire: Wire<'_>) {
        let start = self.done.saturating_mul(wire.stride(self.block_len));
        match wire {
            Wire::Absent => {
                task.data_out.read_at(start, &mut self.data);
            }
            Wire::Separate(buffers) => {
                task.data_out.read_at(start, &mut self.data);
                let start = self.done.saturating_mul(TUPLE_LEN as u64);
                buffers.out.read_at(start, self.tuples.as_mut_bytes());
            }
            Wire::Interleaved => {
                let mut at = start;
                let blocks = self.data.chunks_exact_mut(self.block_len);
                for (block, tuple) in blocks.zip(&mut self.tuples) {
                    task.data_out.read_at(at, block);
                    at = at.saturating_add(block.len() as u64);
                    task.data_out.read_at(at, tuple.as_mut_bytes());
                    at = at.saturating_add(TUPLE_LEN as u64);
                }
            }
        }
    }
}
