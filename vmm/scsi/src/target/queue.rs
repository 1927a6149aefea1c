// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The way in for commands.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::command::{Command, Completion, Outcome};
use crate::delay::Verdict;
use crate::dispatch;
use crate::target::Target;
use crate::tasks::{TaskId, TaskList};
use crate::unit::Units;

/// Latencies beyond that are as good as endless.
const MAX_LATENCY: Duration = Duration::from_secs(365 * 24 * 3600);

/// A submission queue of a target: one for each queue of the transport, so that
/// these do not contend.
pub struct Queue {
    target: Arc<Target>,
    lane: Arc<Lane>,
}

/// What the target has to reach of a queue.
pub(super) struct Lane {
    pub(super) tasks: TaskList,
    view: Mutex<View>,
}

/// The units as a queue last saw them.
struct View {
    generation: u64,
    units: Arc<Units>,
}

impl Target {
    /// A new queue.
    pub fn queue(self: &Arc<Self>) -> Queue {
        let lane = Arc::new(Lane {
            tasks: TaskList::default(),
            view: Mutex::new(self.view()),
        });
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|lane| lane.strong_count() > 0);
        lanes.push(Arc::downgrade(&lane));
        Queue {
            target: Arc::clone(self),
            lane,
        }
    }

    fn view(&self) -> View {
        let units = self.lock_units();
        let generation = self.generation.load(Ordering::Acquire);
        View {
            generation,
            units: Arc::clone(&units),
        }
    }
}

impl Lane {
    /// The present units, for one check of a shared variable when none changed.
    pub(super) fn units(&self, target: &Target) -> Arc<Units> {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if view.generation != target.generation.load(Ordering::Acquire) {
            *view = target.view();
        }
        Arc::clone(&view.units)
    }
}

impl Queue {
    /// Executes a command. `completion` is called exactly once, with what came
    /// of it: before this returns and on this thread, or, if the unit has a
    /// latency, later on a thread of the target.
    ///
    /// The completion may submit more; see [`Target`] for what it must not do.
    pub fn submit<F>(&self, command: Command, completion: F)
    where
        F: FnOnce(Outcome) + Send + 'static,
    {
        self.submit_after(command, Duration::ZERO, completion);
    }

    /// The same for a command that is to wait for `extra`, beside the latency
    /// of its unit. Task management finds it meanwhile.
    pub fn submit_after<F>(&self, command: Command, extra: Duration, completion: F)
    where
        F: FnOnce(Outcome) + Send + 'static,
    {
        let completion = Completion::new(completion);
        self.target.note_in_use();
        let id = TaskId {
            target: command.target,
            lun: command.lun,
            tag: command.tag,
        };
        // The guard covers the completion too, and outlives the move of a
        // command to the waiting ones: task management always finds it.
        let _running = self.lane.tasks.enter(id);
        let units = self.lane.units(&self.target);
        let unit = units.get(command.target, command.lun);
        let latency = unit.map_or(Duration::ZERO, |unit| unit.server.latency());
        let latency = latency.saturating_add(extra);
        if latency.is_zero() {
            completion.complete(execute(&units, &command));
        } else {
            self.delay(latency, id, units, command, completion);
        }
    }

    fn delay<F>(
        &self,
        latency: Duration,
        id: TaskId,
        units: Arc<Units>,
        command: Command,
        completion: Completion<F>,
    ) where
        F: FnOnce(Outcome) + Send + 'static,
    {
        let now = Instant::now();
        let deadline = now.checked_add(latency.min(MAX_LATENCY)).unwrap_or(now);
        let waiting = move |verdict| match verdict {
            Verdict::Execute => {
                completion.complete(execute(&units, &command));
            }
            Verdict::End(outcome) => completion.complete(outcome),
        };
        self.target.delay.add(id, deadline, Box::new(waiting));
    }
}

/// Executes a command on this thread.
fn execute(units: &Units, command: &Command) -> Outcome {
    let unit = units.get(command.target, command.lun).map(Arc::as_ref);
    let plan = dispatch::plan(units, unit, command);
    let result = dispatch::run(unit, command, plan);
    dispatch::outcome(unit, command, result)
}
