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
use serde::Serialize;

use crate::attention::{Attention, Attentions};
use crate::command::{Failure, UnitAddress};

/// What a device server is given to execute a command.
pub struct Task<'a> {
    /// The command descriptor block.
    pub cdb: &'a [u8],
    /// What goes to the device.
    pub data_out: &'a SgList,
    /// What comes from the device.
    pub data_in: &'a SgList,
    /// Where to count what was done.
    pub counters: &'a UnitCounters,
}

/// The kind of device that a logical unit is: it executes commands
/// (SAM-5, section 4.6.5).
///
/// Commands come from several threads at the same time. Those that concern the
/// target (REPORT LUNS) and unit attention conditions do not get here.
pub trait DeviceServer: Send + Sync {
    /// Executes a command, and returns the number of bytes it transferred.
    ///
    /// # Errors
    ///
    /// Whatever does not end with GOOD.
    fn execute(&self, task: &Task<'_>) -> Result<u64, Failure>;

    /// How long every command takes at least. Commands wait in the target and
    /// can be aborted there.
    fn latency(&self) -> Duration {
        Duration::ZERO
    }

    /// Goes back to the state after power on. No command is executing.
    fn reset(&self);

    /// Looks at the backing again, and says whether the capacity changed.
    ///
    /// # Errors
    ///
    /// Those of the backing.
    fn refresh(&self) -> io::Result<bool>;
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
}

impl Unit {
    pub(crate) fn new(server: Box<dyn DeviceServer>) -> Self {
        let unit = Self {
            server,
            attentions: Attentions::default(),
            counters: UnitCounters::default(),
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
