// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands that a thread is executing right now.
//!
//! Each queue has a list of its own, so that its lock is contended only by task
//! management, which waits here until nothing of a command touches guest memory
//! any more.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use protocol::scsi::lun::Lun;

/// What names a command to task management.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskId {
    pub(crate) target: u8,
    pub(crate) lun: Lun,
    pub(crate) tag: u64,
}

/// The commands that a task management function concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Task(TaskId),
    Unit { target: u8, lun: Lun },
    Target(u8),
    All,
}

impl Scope {
    pub(crate) fn contains(&self, id: &TaskId) -> bool {
        match self {
            Self::Task(task) => task == id,
            Self::Unit { target, lun } => *target == id.target && *lun == id.lun,
            Self::Target(target) => *target == id.target,
            Self::All => true,
        }
    }
}

/// The commands in execution by one queue, or by the timer.
#[derive(Debug, Default)]
pub(crate) struct TaskList {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Seldom more than one: completions that submit make it more.
    running: Vec<(u64, TaskId)>,
    next_sequence: u64,
    waiters: usize,
}

impl TaskList {
    /// Notes that a command is executing until the guard is dropped.
    pub(crate) fn enter(&self, id: TaskId) -> Running<'_> {
        let mut state = self.lock();
        let sequence = state.next_sequence;
        state.next_sequence = sequence.wrapping_add(1);
        state.running.push((sequence, id));
        Running {
            list: self,
            sequence,
        }
    }

    /// Whether a command of that scope is executing.
    pub(crate) fn contains(&self, scope: Scope) -> bool {
        self.lock().running.iter().any(|(_, id)| scope.contains(id))
    }

    /// Waits for those commands of that scope that are executing now. Commands
    /// that come later are not waited for.
    pub(crate) fn wait(&self, scope: Scope) {
        let mut state = self.lock();
        let limit = state.next_sequence;
        let is_concerned =
            |&(sequence, id): &(u64, TaskId)| sequence < limit && scope.contains(&id);
        state.waiters = state.waiters.saturating_add(1);
        while state.running.iter().any(is_concerned) {
            state = self
                .left
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.waiters = state.waiters.saturating_sub(1);
    }

    fn leave(&self, sequence: u64) {
        let mut state = self.lock();
        state.running.retain(|(each, _)| *each != sequence);
        if state.waiters > 0 {
            self.left.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command in execution.
#[must_use = "the command counts as executing only while this is held"]
pub(crate) struct Running<'a> {
    list: &'a TaskList,
    sequence: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.list.leave(self.sequence);
    }
}
