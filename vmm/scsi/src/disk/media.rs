// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands that move data to and from the medium, and make it durable.

use protocol::scsi::cdb::{Access, BlockRange, Cdb};
use protocol::scsi::sense::Sense;

use super::gate::Ticket;
use super::{failure, Disk};
use crate::backing::{Durability, Incomplete};
use crate::command::{Failure, Outcome};
use crate::unit::{carry_out, Io, Operation, Plan, Task};

impl Disk {
    /// What a command takes. What is not known not to wait does not happen here.
    pub(super) fn plan_command(&self, task: &Task<'_>) -> Result<Plan, Failure> {
        let cdb = Cdb::decode(task.cdb)?;
        self.check_reservations(&cdb)?;
        match cdb {
            Cdb::TestUnitReady
            | Cdb::Inquiry { .. }
            | Cdb::ReadCapacity10
            | Cdb::ReadCapacity16 { .. }
            | Cdb::ModeSense(_)
            | Cdb::LogSense(_)
            | Cdb::RequestSense { .. }
            | Cdb::ReportOpcodes { .. }
            | Cdb::ReportTaskFunctions { .. } => self.execute_query(task, cdb).map(Plan::Done),
            // Protection information is somewhere else than the data.
            _ if self.protection.is_some() => Ok(Plan::Blocking),
            Cdb::Read(access) => self.plan_read(task, access),
            Cdb::Write(access) => self.plan_write(task, access),
            Cdb::SynchronizeCache { range } => self.plan_synchronize_cache(task, range),
            _ => Ok(Plan::Blocking),
        }
    }

    /// A write that waits for a thread must not be inside the gate meanwhile:
    /// who shut that may keep the very thread from it.
    pub(super) fn defer_access(&self, io: Io) -> Plan {
        if self.leave_gate(&io) {
            Plan::Blocking
        } else {
            Plan::Io(io)
        }
    }

    /// Gives back the ticket of an access. Says whether there was one.
    fn leave_gate(&self, io: &Io) -> bool {
        let (Operation::Write(_), Ok(ticket)) = (io.operation, u8::try_from(io.token)) else {
            return false;
        };
        self.gate.leave(Ticket::from_raw(ticket.into()));
        true
    }

    /// What is left to do for a command after an access.
    pub(super) fn finish_access(
        &self,
        task: &Task<'_>,
        io: &Io,
        result: Result<(), Incomplete>,
    ) -> Result<Plan, Failure> {
        self.leave_gate(io);
        if is_cancelled(&result) {
            return Err(Failure::Ended(Outcome::Aborted));
        }
        match io.operation {
            Operation::Read => self.finish_read(task, io, result),
            Operation::Write(durability) => self.finish_write(task, io, durability, result),
            Operation::Flush => self.finish_flush(task, result),
        }
    }

    /// READ.
    pub(super) fn read(&self, task: &Task<'_>, access: Access) -> Result<u64, Failure> {
        if let Some(protection) = &self.protection {
            self.check_ready()?;
            self.locate(access.range)?;
            self.check_length(task, access.range)?;
            return protection.read(self, task, access);
        }
        carry_out(self, task, self.plan_read(task, access))
    }

    /// WRITE.
    pub(super) fn write(&self, task: &Task<'_>, access: Access) -> Result<u64, Failure> {
        if let Some(protection) = &self.protection {
            self.check_writable()?;
            self.locate(access.range)?;
            self.check_length(task, access.range)?;
            let _permit = self.gate.enter();
            return protection.write(self, task, access);
        }
        let io = self.check_write(task, access)?;
        let _permit = self.gate.enter();
        carry_out(self, task, Ok(transfer(task, io)))
    }

    /// SYNCHRONIZE CACHE: of everything, whatever the range.
    pub(super) fn synchronize_cache(
        &self,
        task: &Task<'_>,
        range: BlockRange,
    ) -> Result<u64, Failure> {
        carry_out(self, task, self.plan_synchronize_cache(task, range))
    }

    fn plan_read(&self, task: &Task<'_>, access: Access) -> Result<Plan, Failure> {
        self.check_protect(access.protect)?;
        self.check_ready()?;
        let offset = self.locate(access.range)?;
        self.check_length(task, access.range)?;
        let len = self.bytes(access.range.blocks);
        check_room(task.data_in.len(), len)?;
        if access.force_unit_access && self.write_cache() {
            // What is read has to be on the medium.
            return Ok(flush(task));
        }
        let operation = Operation::Read;
        Ok(transfer(task, io_of(operation, offset, len)))
    }

    fn finish_read(
        &self,
        task: &Task<'_>,
        io: &Io,
        result: Result<(), Incomplete>,
    ) -> Result<Plan, Failure> {
        let len = io.len;
        result.map_err(|incomplete| {
            task.counters.bytes_read.add(incomplete.transferred);
            let sense = self.read_failed(&incomplete.error);
            failure::at_block(
                &incomplete,
                sense,
                self.block_at(io.offset),
                self.block_len(),
            )
        })?;
        task.counters.bytes_read.add(len);
        Ok(Plan::Done(len))
    }

    /// A write that cannot pass the gate at once comes again where it may wait.
    fn plan_write(&self, task: &Task<'_>, access: Access) -> Result<Plan, Failure> {
        let mut io = self.check_write(task, access)?;
        if io.len > 0 {
            let Some(ticket) = self.gate.try_enter() else {
                return Ok(Plan::Blocking);
            };
            io.token = ticket.to_raw();
        }
        Ok(transfer(task, io))
    }

    fn check_write(&self, task: &Task<'_>, access: Access) -> Result<Io, Failure> {
        self.check_protect(access.protect)?;
        self.check_writable()?;
        let offset = self.locate(access.range)?;
        self.check_length(task, access.range)?;
        let len = self.bytes(access.range.blocks);
        check_room(task.data_out.len(), len)?;
        let operation = Operation::Write(self.durability(access.force_unit_access));
        Ok(io_of(operation, offset, len))
    }

    fn finish_write(
        &self,
        task: &Task<'_>,
        io: &Io,
        durability: Durability,
        result: Result<(), Incomplete>,
    ) -> Result<Plan, Failure> {
        let len = io.len;
        task.counters.writes.inc();
        result.map_err(|incomplete| {
            task.counters.bytes_written.add(incomplete.transferred);
            let sense = self.write_failed(&incomplete.error);
            failure::at_block(
                &incomplete,
                sense,
                self.block_at(io.offset),
                self.block_len(),
            )
        })?;
        if durability == Durability::Durable {
            task.counters.flushes.inc();
        }
        task.counters.bytes_written.add(len);
        Ok(Plan::Done(len))
    }

    fn plan_synchronize_cache(&self, task: &Task<'_>, range: BlockRange) -> Result<Plan, Failure> {
        self.check_ready()?;
        self.locate(range)?;
        Ok(flush(task))
    }

    /// A flush was all of a command, or the first half of a read.
    fn finish_flush(
        &self,
        task: &Task<'_>,
        result: Result<(), Incomplete>,
    ) -> Result<Plan, Failure> {
        result.map_err(|incomplete| self.write_failed(&incomplete.error))?;
        self.protection_flush()?;
        let Cdb::Read(access) = Cdb::decode(task.cdb)? else {
            return Ok(Plan::Done(0));
        };
        let offset = self.locate(access.range)?;
        let len = self.bytes(access.range.blocks);
        Ok(transfer(task, io_of(Operation::Read, offset, len)))
    }

    fn block_at(&self, offset: u64) -> u64 {
        offset.checked_div(self.block_len()).unwrap_or(0)
    }

    /// Refuses what is beyond MAXIMUM TRANSFER LENGTH.
    pub(super) fn check_length(&self, task: &Task<'_>, range: BlockRange) -> Result<(), Sense> {
        if range.blocks > self.max_blocks() {
            return Err(Sense::invalid_cdb(length_field(task.cdb), None));
        }
        Ok(())
    }
}

/// The token of accesses that did not pass the gate, or did so by a permit.
const NO_TICKET: u64 = u64::MAX;

fn io_of(operation: Operation, offset: u64, len: u64) -> Io {
    Io {
        operation,
        offset,
        len,
        token: NO_TICKET,
    }
}

/// A read or a write, unless it is one of no blocks. Writes that are made are
/// counted when they end, as they may begin more than once.
fn transfer(task: &Task<'_>, io: Io) -> Plan {
    match (io.operation, io.len) {
        (Operation::Read, _) => task.counters.reads.inc(),
        (_, 0) => task.counters.writes.inc(),
        _ => {}
    }
    match io.len {
        0 => Plan::Done(0),
        _ => Plan::Io(io),
    }
}

fn flush(task: &Task<'_>) -> Plan {
    task.counters.flushes.inc();
    Plan::Io(io_of(Operation::Flush, 0, 0))
}

/// Whether an access was given up because its command was.
fn is_cancelled(result: &Result<(), Incomplete>) -> bool {
    let code = |incomplete: &Incomplete| incomplete.error.raw_os_error();
    result.as_ref().err().and_then(code) == Some(libc::ECANCELED)
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
