// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The way in for commands.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::command::{Command, Completion, Outcome};
use crate::delay::Verdict;
use crate::dispatch;
use crate::engine::AioMode;
use crate::target::{Driver, Target};
use crate::tasks::{TaskId, TaskList};
use crate::unit::Units;

/// Latencies beyond that are as good as endless.
const MAX_LATENCY: Duration = Duration::from_secs(365 * 24 * 3600);

/// A submission queue of a target: one for each queue of the transport, so that
/// these do not contend.
pub struct Queue {
    pub(super) target: Arc<Target>,
    pub(super) lane: Arc<Lane>,
}

/// What the target has to reach of a queue.
pub(super) struct Lane {
    pub(super) tasks: Arc<TaskList>,
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
            tasks: Arc::default(),
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
    /// What executes the queue's commands asynchronously, for the thread that
    /// calls this and is the only one to use it.
    ///
    /// # Errors
    ///
    /// Those of the system; that it has no io_uring only if `mode` insists.
    pub fn driver(&self, mode: AioMode) -> io::Result<Driver> {
        let (target, lane) = (Arc::clone(&self.target), Arc::clone(&self.lane));
        Driver::new(Self { target, lane }, mode)
    }

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
        // The guard covers the completion too, and outlives the move of a
        // command to the waiting ones: task management always finds it.
        let _running = self
            .lane
            .tasks
            .enter(TaskId::of(&command), command.attribute);
        let units = self.lane.units(&self.target);
        let latency = units.latency(&command).saturating_add(extra);
        if latency.is_zero() {
            completion.complete(execute(&units, &command));
        } else {
            self.delay(latency, units, command, completion);
        }
    }

    /// Has a command executed later, by a thread of the target.
    pub(super) fn delay<F>(
        &self,
        latency: Duration,
        units: Arc<Units>,
        command: Command,
        completion: Completion<F>,
    ) where
        F: FnOnce(Outcome) + Send + 'static,
    {
        let id = TaskId::of(&command);
        let now = Instant::now();
        let deadline = now.checked_add(latency.min(MAX_LATENCY)).unwrap_or(now);
        let waiting = move |verdict| match verdict {
            Verdict::Execute => completion.complete(execute(&units, &command)),
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
