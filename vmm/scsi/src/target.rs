// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A target device: logical units by address, and the ways to reach them.

mod driver;
mod management;
mod queue;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hospes_device::counters::Counted;
use protocol::scsi::lun::{Lun, MAX_LUN};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::attention::Attention;
use crate::command::{Outcome, UnitAddress};
use crate::delay::Delay;
use crate::engine::Helpers;
use crate::tasks::Scope;
use crate::unit::{DeviceServer, Unit, Units};

pub use driver::Driver;
pub use management::{TaskFunction, TaskOutcome};
use queue::Lane;
pub use queue::Queue;

/// Why units cannot be changed.
#[derive(Debug, Error)]
pub enum TargetError {
    /// The number has no encoding.
    #[error("LUN {0} is larger than {MAX_LUN}")]
    LunTooLarge(u16),
    /// There is a unit already.
    #[error("target {} has a LUN {} already", .0.target, .0.lun)]
    Occupied(UnitAddress),
    /// There is no unit.
    #[error("target {} has no LUN {}", .0.target, .0.lun)]
    Absent(UnitAddress),
    /// The backing does not answer.
    #[error("cannot look at the backing")]
    Backing(#[from] io::Error),
}

/// All logical units behind one controller: up to 256 target ids with 16,384
/// units each.
///
/// Functions that end commands ([`task_management`](Self::task_management),
/// [`reset`](Self::reset), [`remove`](Self::remove)) wait for completions.
/// They must not be called from a completion, nor with a lock held that a
/// completion takes.
#[derive(Default)]
pub struct Target {
    units: Mutex<Arc<Units>>,
    /// Counts changes of `units`, under its lock.
    generation: AtomicU64,
    /// Whether there was a command yet: before, there is nobody to tell what
    /// units come and go, of which there may be thousands.
    in_use: AtomicBool,
    lanes: Mutex<Vec<Weak<Lane>>>,
    delay: Delay,
    helpers: Helpers,
}

impl Target {
    /// A target without units.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Attaches a unit. The initiator is told that there are others.
    ///
    /// # Errors
    ///
    /// [`TargetError::LunTooLarge`] and [`TargetError::Occupied`].
    pub fn add(
        &self,
        address: UnitAddress,
        server: Box<dyn DeviceServer>,
    ) -> Result<(), TargetError> {
        if address.lun > MAX_LUN {
            return Err(TargetError::LunTooLarge(address.lun));
        }
        let mut units = self.lock_units();
        if units.0.contains_key(&address) {
            return Err(TargetError::Occupied(address));
        }
        self.tell_changed(&units, address.target);
        Arc::make_mut(&mut units)
            .0
            .insert(address, Arc::new(Unit::new(server)));
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Takes a unit away, and waits for its commands. Those that were not
    /// executed yet end as aborted. The initiator is told that there are others.
    ///
    /// # Errors
    ///
    /// [`TargetError::Absent`].
    pub fn remove(&self, address: UnitAddress) -> Result<(), TargetError> {
        let removed = {
            let mut units = self.lock_units();
            let removed = Arc::make_mut(&mut units).0.remove(&address);
            let removed = removed.ok_or(TargetError::Absent(address))?;
            self.generation.fetch_add(1, Ordering::Release);
            self.tell_changed(&units, address.target);
            removed
        };
        let scope = Scope::Unit {
            target: address.target,
            lun: Lun::Unit(address.lun),
        };
        self.end(scope, Outcome::Aborted);
        // Queues that have nothing to do must not keep the unit's file open.
        for lane in self.lanes() {
            lane.units(self);
        }
        drop(removed);
        Ok(())
    }

    /// Where the units are, in order.
    pub fn addresses(&self) -> Vec<UnitAddress> {
        self.lock_units().0.keys().copied().collect()
    }

    /// Whether there is any unit with this target id.
    pub fn has_target(&self, target: u8) -> bool {
        self.lock_units().has_target(target)
    }

    /// Looks at a unit's backing again. If the capacity changed, that is
    /// returned, and the initiator is told.
    ///
    /// # Errors
    ///
    /// [`TargetError::Absent`] and [`TargetError::Backing`].
    pub fn refresh(&self, address: UnitAddress) -> Result<bool, TargetError> {
        let lun = Lun::Unit(address.lun);
        let units = self.snapshot();
        let unit = units
            .get(address.target, lun)
            .ok_or(TargetError::Absent(address))?;
        let changed = unit.server.refresh()?;
        if changed {
            unit.attentions.raise(Attention::CapacityChanged);
        }
        Ok(changed)
    }

    /// Returns when nothing touches guest memory any more, and lets no command
    /// that waits for a latency begin until [`resume`](Self::resume). What uses
    /// the queues has to submit nothing more before, and not before that.
    pub fn pause(&self) {
        self.delay.pause();
        for lane in self.lanes() {
            lane.tasks.wait(Scope::All);
        }
    }

    /// Goes on after a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.delay.resume();
    }

    /// Resets the whole target, as its controller's reset does: every command
    /// ends, and all units are as after power on.
    pub fn reset(&self) {
        self.end(Scope::All, Outcome::Reset);
        for unit in self.snapshot().0.values() {
            unit.server.reset();
            unit.attentions.raise(Attention::PowerOn);
        }
    }

    fn tell_changed(&self, units: &Units, target: u8) {
        if self.in_use.load(Ordering::Relaxed) {
            units.raise(target, Attention::LunsChanged);
        }
    }

    fn note_in_use(&self) {
        // The common case must not write to a line that queues share.
        if !self.in_use.load(Ordering::Relaxed) {
            self.in_use.store(true, Ordering::Relaxed);
        }
    }

    fn snapshot(&self) -> Arc<Units> {
        Arc::clone(&self.lock_units())
    }

    fn lock_units(&self) -> MutexGuard<'_, Arc<Units>> {
        // Every change of the map is complete before it could panic.
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted for Target {
    fn counters(&self) -> Value {
        let counters_of = |unit: &Unit| serde_json::to_value(&unit.counters).unwrap_or(Value::Null);
        let units: Map<_, _> = self
            .snapshot()
            .0
            .iter()
            .map(|(at, unit)| (format!("{}:{}", at.target, at.lun), counters_of(unit)))
            .collect();
        Value::Object(units)
    }
}
