// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Logical units: a device server, and what the target keeps for it.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use hospes_device::counters::Counter;
use hospes_device::memory::SgList;
use protocol::scsi::lun::Lun;
use protocol::scsi::sense::{asc, Format, Sense, SenseKey};
use serde::Serialize;

use crate::attention::{Attention, Attentions};
use crate::backing::{Backing, Durability, Incomplete};
use crate::command::{Command, Failure, UnitAddress};
use crate::engine::Gauges;
use crate::protection::ProtectionBuffers;

/// What a device server is given to execute a command.
pub struct Task<'a> {
    /// The command descriptor block.
    pub cdb: &'a [u8],
    /// What goes to the device.
    pub data_out: &'a SgList,
    /// What comes from the device.
    pub data_in: &'a SgList,
    /// Where protection information is.
    pub protection: &'a ProtectionBuffers,
    /// Where to count what was done.
    pub counters: &'a UnitCounters,
}

/// What has to happen for a command, as its device server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing more: it was executed, and transferred so many bytes.
    Done(u64),
    /// An access to the [medium](DeviceServer::medium), of which
    /// [`DeviceServer::finish`] is told.
    Io(Io),
    /// [`DeviceServer::execute`], on a thread that may block.
    Blocking,
}

/// An access to the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Io {
    /// What to do.
    pub operation: Operation,
    /// Where it starts in the backing.
    pub offset: u64,
    /// Its length in bytes; 0 for a flush.
    pub len: u64,
    /// What the device server has to know of it later, and nobody else.
    pub token: u64,
}

/// Kinds of accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// From the backing to the head of [`Task::data_in`].
    Read,
    /// From the head of [`Task::data_out`] to the backing.
    Write(Durability),
    /// Brings all that was written to stable storage.
    Flush,
}

/// The kind of device that a logical unit is: it executes commands
/// (SAM-5, section 4.6.5).
///
/// Commands come from several threads at the same time. Those that concern the
/// target (REPORT LUNS) and unit attention conditions do not get here.
///
/// A server is passive. [`plan`](Self::plan) is what a queue's thread calls,
/// and must not wait for a medium, as others wait in the queue meanwhile; what
/// has to be waited for is said in the [`Plan`], and is waited for by whoever
/// carries that out. [`execute`](Self::execute) is all of a command in one go.
pub trait DeviceServer: Send + Sync {
    /// Executes a command, and returns the number of bytes it transferred.
    ///
    /// # Errors
    ///
    /// Whatever does not end with GOOD.
    fn execute(&self, task: &Task<'_>) -> Result<u64, Failure>;

    /// Begins a command. A server that never waits need not have this.
    ///
    /// # Errors
    ///
    /// Whatever does not end with GOOD.
    fn plan(&self, task: &Task<'_>) -> Result<Plan, Failure> {
        self.execute(task).map(Plan::Done)
    }

    /// Goes on with a command after an access that its plan asked for.
    ///
    /// This is called exactly once for each such access, when nothing of it is
    /// going on any more. Where the command was aborted meanwhile, the result
    /// may be `ECANCELED`, and what is returned here is of no consequence.
    ///
    /// # Errors
    ///
    /// Whatever does not end with GOOD.
    fn finish(
        &self,
        task: &Task<'_>,
        io: &Io,
        result: Result<(), Incomplete>,
    ) -> Result<Plan, Failure> {
        // A server that asks for accesses has an answer of its own.
        let _ = (task, io, result);
        Err(Sense::new(SenseKey::HardwareError, asc::INTERNAL_TARGET_FAILURE).into())
    }

    /// An access of a plan cannot begin now, and will wait for a thread that
    /// makes it. Returns what that thread has to do; unless that is an access,
    /// there is none any more to [`finish`](Self::finish).
    fn defer(&self, io: Io) -> Plan {
        Plan::Io(io)
    }

    /// What the accesses of its plans are to.
    fn medium(&self) -> Option<&dyn Backing> {
        None
    }

    /// How long every command takes at least. Commands wait in the target and
    /// can be aborted there.
    fn latency(&self) -> Duration {
        Duration::ZERO
    }

    /// Goes back to the state after power on. No command is executing.
    fn reset(&self);

    /// The connection to the initiator was lost and is there again.
    fn nexus_lost(&self) {}

    /// The format of its sense data.
    fn sense_format(&self) -> Format {
        Format::Fixed
    }

    /// Looks at the backing again, and says whether the capacity changed.
    ///
    /// # Errors
    ///
    /// Those of the backing.
    fn refresh(&self) -> io::Result<bool>;
}

/// Carries out a plan on this thread, and waits for all that it takes.
pub(crate) fn carry_out(
    server: &dyn DeviceServer,
    task: &Task<'_>,
    mut plan: Result<Plan, Failure>,
) -> Result<u64, Failure> {
    loop {
        let io = match plan? {
            Plan::Done(transferred) => return Ok(transferred),
            Plan::Blocking => return server.execute(task),
            Plan::Io(io) => io,
        };
        let result = access(server, task, &io);
        plan = server.finish(task, &io, result);
    }
}

/// Makes an access, and waits for it.
fn access(server: &dyn DeviceServer, task: &Task<'_>, io: &Io) -> Result<(), Incomplete> {
    let Some(medium) = server.medium() else {
        return Err(io::Error::from(io::ErrorKind::Unsupported).into());
    };
    match io.operation {
        Operation::Read => medium.read(io.offset, task.data_in, io.len),
        Operation::Write(durability) => medium.write(io.offset, task.data_out, io.len, durability),
        Operation::Flush => medium.flush().map_err(Incomplete::from),
    }
}

/// What a unit did.
#[derive(Debug, Default, Serialize)]
pub struct UnitCounters {
    /// Commands that read the medium.
    pub reads: Counter,
    /// Commands that wrote to it.
    pub writes: Counter,
    /// Bytes that reads transferred.
    pub bytes_read: Counter,
    /// Bytes that writes transferred.
    pub bytes_written: Counter,
    /// Times that caches were written out to the backing.
    pub flushes: Counter,
    /// Ranges that were deallocated.
    pub unmaps: Counter,
    /// Commands that ended with CHECK CONDITION, unit attentions included.
    pub errors: Counter,
    /// Commands that were aborted or ended by a reset.
    pub aborted: Counter,
}

/// One logical unit.
pub(crate) struct Unit {
    pub(crate) server: Box<dyn DeviceServer>,
    pub(crate) attentions: Attentions,
    pub(crate) counters: UnitCounters,
    pub(crate) gauges: Gauges,
}

impl Unit {
    pub(crate) fn new(server: Box<dyn DeviceServer>) -> Self {
        let unit = Self {
            server,
            attentions: Attentions::default(),
            counters: UnitCounters::default(),
            gauges: Gauges::default(),
        };
        unit.attentions.raise(Attention::PowerOn);
        unit
    }
}

/// The units of a target, by address.
#[derive(Clone, Default)]
pub(crate) struct Units(pub(crate) BTreeMap<UnitAddress, Arc<Unit>>);

impl Units {
    pub(crate) fn get(&self, target: u8, lun: Lun) -> Option<&Arc<Unit>> {
        match lun {
            Lun::Unit(lun) => self.0.get(&UnitAddress { target, lun }),
            Lun::WellKnown(_) => None,
        }
    }

    /// How long a command has to wait before it is executed.
    pub(crate) fn latency(&self, command: &Command) -> Duration {
        let unit = self.get(command.target, command.lun);
        unit.map_or(Duration::ZERO, |unit| unit.server.latency())
    }

    /// The units with this target id, in the order of their numbers.
    pub(crate) fn of_target(&self, target: u8) -> impl Iterator<Item = (u16, &Arc<Unit>)> {
        self.0
            .range(addresses(target))
            .map(|(address, unit)| (address.lun, unit))
    }

    pub(crate) fn has_target(&self, target: u8) -> bool {
        self.of_target(target).next().is_some()
    }

    pub(crate) fn raise(&self, target: u8, attention: Attention) {
        for (_, unit) in self.of_target(target) {
            unit.attentions.raise(attention);
        }
    }
}

fn addresses(target: u8) -> RangeInclusive<UnitAddress> {
    UnitAddress { target, lun: 0 }..=UnitAddress {
        target,
        lun: u16::MAX,
    }
}
