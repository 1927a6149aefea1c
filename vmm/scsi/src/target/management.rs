// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Task management (SAM-5, section 7).

use std::sync::{Arc, PoisonError, Weak};
use std::time::Instant;

use protocol::scsi::lun::{Lun, REPORT_LUNS_WELL_KNOWN};

use crate::attention::Attention;
use crate::command::{Outcome, UnitAddress};
use crate::target::queue::Lane;
use crate::target::Target;
use crate::tasks::{Scope, TaskId};

/// A task management function, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskFunction {
    /// Aborts one command.
    AbortTask {
        /// Target id.
        target: u8,
        /// Logical unit.
        lun: Lun,
        /// The command's tag.
        tag: u64,
    },
    /// Aborts the initiator's commands on a unit.
    AbortTaskSet {
        /// Target id.
        target: u8,
        /// Logical unit.
        lun: Lun,
    },
    /// Aborts all commands in a unit's task set, of which each initiator has
    /// its own: the same as the one before.
    ClearTaskSet {
        /// Target id.
        target: u8,
        /// Logical unit.
        lun: Lun,
    },
    /// Resets a unit.
    LunReset {
        /// Target id.
        target: u8,
        /// Logical unit.
        lun: Lun,
    },
    /// Ends everything between the initiator and a target id.
    NexusReset {
        /// Target id.
        target: u8,
    },
    /// Asks whether a command is there.
    QueryTask {
        /// Target id.
        target: u8,
        /// Logical unit.
        lun: Lun,
        /// The command's tag.
        tag: u64,
    },
    /// Asks whether a unit has commands of this initiator.
    QueryTaskSet {
        /// Target id.
        target: u8,
        /// Logical unit.
        lun: Lun,
    },
}

/// How a task management function ended (SAM-5, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskOutcome {
    /// Done; or, for a query, there is no such command.
    Complete,
    /// There is such a command.
    Succeeded,
    /// The unit does not do that.
    Rejected,
    /// There is no such unit.
    IncorrectLun,
    /// There is nothing at this target id.
    NoTarget,
}

impl Target {
    /// Carries out a task management function.
    ///
    /// When it returns, the completions of all commands that it ended have been
    /// called, and so have those of commands that it came too late for.
    pub fn task_management(&self, function: TaskFunction) -> TaskOutcome {
        if let Err(outcome) = self.check_address(&function) {
            return outcome;
        }
        match function {
            TaskFunction::AbortTask { .. }
            | TaskFunction::AbortTaskSet { .. }
            | TaskFunction::ClearTaskSet { .. } => self.end(function.scope(), Outcome::Aborted),
            TaskFunction::LunReset { target, lun } => self.reset_unit(target, lun),
            TaskFunction::NexusReset { target } => self.reset_nexus(target),
            TaskFunction::QueryTask { .. } | TaskFunction::QueryTaskSet { .. } => {
                return self.query(function.scope());
            }
        }
        TaskOutcome::Complete
    }

    /// Aborts one command as [`TaskFunction::AbortTask`] does, but waits no longer than
    /// `until`, if that is given, for one that cannot be stopped any more. Says whether all is
    /// over; what is not ends later, and its completion is called then.
    pub fn abort(&self, unit: UnitAddress, tag: u64, until: Option<Instant>) -> bool {
        let UnitAddress { target, lun } = unit;
        let lun = Lun::Unit(lun);
        let scope = Scope::Task(TaskId { target, lun, tag });
        self.end_until(scope, Outcome::Aborted, until)
    }

    /// Ends all commands of that scope. Those that cannot be stopped any more
    /// are waited for.
    pub(super) fn end(&self, scope: Scope, outcome: Outcome) {
        self.end_until(scope, outcome, None);
    }

    fn end_until(&self, scope: Scope, outcome: Outcome, until: Option<Instant>) -> bool {
        let mut are_over = true;
        let lanes = self.lanes();
        for lane in &lanes {
            lane.tasks.mark(scope, outcome);
        }
        self.helpers.end(scope, outcome);
        // A command moves from a queue to the waiting ones to the timer, and is
        // looked for in that order, so that it cannot slip past.
        for lane in &lanes {
            are_over &= lane.tasks.wait_until(scope, until);
        }
        let (ended, is_over) = self.delay.end(scope, outcome, until);
        let units = self.snapshot();
        for id in ended {
            if let Some(unit) = units.get(id.target, id.lun) {
                unit.counters.aborted.inc();
            }
        }
        are_over && is_over
    }

    fn query(&self, scope: Scope) -> TaskOutcome {
        let is_executing = self.lanes().iter().any(|lane| lane.tasks.contains(scope));
        if is_executing || self.delay.contains(scope) {
            TaskOutcome::Succeeded
        } else {
            TaskOutcome::Complete
        }
    }

    fn reset_unit(&self, target: u8, lun: Lun) {
        self.end(Scope::Unit { target, lun }, Outcome::Reset);
        if let Some(unit) = self.snapshot().get(target, lun) {
            unit.server.reset();
            unit.attentions.raise(Attention::UnitReset);
        }
    }

    fn reset_nexus(&self, target: u8) {
        self.end(Scope::Target(target), Outcome::Reset);
        let units = self.snapshot();
        for (_, unit) in units.of_target(target) {
            unit.server.nexus_lost();
        }
        units.raise(target, Attention::NexusLoss);
    }

    fn check_address(&self, function: &TaskFunction) -> Result<(), TaskOutcome> {
        let units = self.snapshot();
        let (target, lun) = function.address();
        if !units.has_target(target) {
            return Err(TaskOutcome::NoTarget);
        }
        match lun {
            None | Some(Lun::WellKnown(REPORT_LUNS_WELL_KNOWN)) => Ok(()),
            Some(lun) if units.get(target, lun).is_some() => Ok(()),
            Some(_) => Err(TaskOutcome::IncorrectLun),
        }
    }

    pub(super) fn lanes(&self) -> Vec<Arc<Lane>> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().filter_map(Weak::upgrade).collect()
    }
}

impl TaskFunction {
    fn address(&self) -> (u8, Option<Lun>) {
        match *self {
            Self::NexusReset { target } => (target, None),
            Self::AbortTask { target, lun, .. }
            | Self::QueryTask { target, lun, .. }
            | Self::AbortTaskSet { target, lun }
            | Self::ClearTaskSet { target, lun }
            | Self::LunReset { target, lun }
            | Self::QueryTaskSet { target, lun } => (target, Some(lun)),
        }
    }

    fn scope(&self) -> Scope {
        let (target, lun) = self.address();
        match (*self, lun) {
            (Self::AbortTask { tag, .. } | Self::QueryTask { tag, .. }, Some(lun)) => {
                Scope::Task(TaskId { target, lun, tag })
            }
            (_, Some(lun)) => Scope::Unit { target, lun },
            (_, None) => Scope::Target(target),
        }
    }
}
