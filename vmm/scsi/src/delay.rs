// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands that wait for the latency of their unit to pass.
//!
//! One thread executes them when their time has come. It is started with the
//! first of them: a target without latency has no thread. A command is always
//! in exactly one place where task management finds it: in the waiting set, or,
//! entered under the same lock, in the list of those that the thread executes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use hospes_device::thread::{self, Role};

use crate::command::{Outcome, TaskAttribute};
use crate::tasks::{Scope, TaskId, TaskList};

/// What becomes of a command that waited.
pub(crate) enum Verdict {
    /// It is executed.
    Execute,
    /// It ends unexecuted.
    End(Outcome),
}

/// A command that waits; it is consumed by being told what becomes of it.
pub(crate) type Waiting = Box<dyn FnOnce(Verdict) + Send>;

/// The waiting commands of one target.
#[derive(Default)]
pub(crate) struct Delay {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    executing: Arc<TaskList>,
}

#[derive(Default)]
struct State {
    /// By deadline, and by arrival among equals.
    waiting: BTreeMap<(Instant, u64), (TaskId, Waiting)>,
    next_sequence: u64,
    /// Nothing is executed, whatever its deadline.
    paused: bool,
    stopping: bool,
}

impl Delay {
    /// Lets a command wait until `deadline`.
    pub(crate) fn add(&self, id: TaskId, deadline: Instant, command: Waiting) {
        if let Err(error) = self.start() {
            tracing::error!(%error, "no thread for delayed commands: executing without delay");
            return command(Verdict::Execute);
        }
        let mut state = self.shared.lock();
        let sequence = state.next_sequence;
        state.next_sequence = sequence.wrapping_add(1);
        state.waiting.insert((deadline, sequence), (id, command));
        self.shared.changed.notify_one();
    }

    /// Whether a command of that scope waits or is executing.
    pub(crate) fn contains(&self, scope: Scope) -> bool {
        let waits = self
            .shared
            .lock()
            .waiting
            .values()
            .any(|(id, _)| scope.contains(id));
        waits || self.shared.executing.contains(scope)
    }

    /// Ends what waits with `outcome`, and waits for what is executing, no longer than
    /// `until`, if that is given. Returns who was ended, and whether nothing executes.
    pub(crate) fn end(
        &self,
        scope: Scope,
        outcome: Outcome,
        until: Option<Instant>,
    ) -> (Vec<TaskId>, bool) {
        let ids = self.end_waiting(scope, outcome);
        let is_over = self.shared.executing.wait_until(scope, until);
        (ids, is_over)
    }

    /// Executes nothing more, and waits for what is executing.
    pub(crate) fn pause(&self) {
        self.shared.lock().paused = true;
        self.shared.executing.wait(Scope::All);
    }

    /// Executes again, what is overdue at once.
    pub(crate) fn resume(&self) {
        self.shared.lock().paused = false;
        self.shared.changed.notify_one();
    }

    fn end_waiting(&self, scope: Scope, outcome: Outcome) -> Vec<TaskId> {
        let ended = self.shared.lock().take(scope);
        let ids = ended.iter().map(|(id, _)| *id).collect();
        for (_, command) in ended {
            command(Verdict::End(outcome));
        }
        ids
    }

    fn start(&self) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let run = move || shared.run();
            *thread = Some(thread::spawn(Role::Device, "scsi-delay", run)?);
        }
        Ok(())
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_one();
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A completion may hold the last reference to the target. Then this is
        // the very thread, which ends by itself.
        let is_other =
            |thread: &JoinHandle<()>| thread.thread().id() != std::thread::current().id();
        if let Some(thread) = thread.filter(is_other) {
            // It panics only where a completion did, which was reported then.
            let _ = thread.join();
        }
        self.end_waiting(Scope::All, Outcome::Aborted);
    }
}

impl State {
    fn take(&mut self, scope: Scope) -> Vec<(TaskId, Waiting)> {
        let is_concerned = |(_, (id, _)): &(&_, &(TaskId, Waiting))| scope.contains(id);
        let keys: Vec<_> = self
            .waiting
            .iter()
            .filter(is_concerned)
            .map(|(key, _)| *key)
            .collect();
        keys.iter()
            .filter_map(|key| self.waiting.remove(key))
            .collect()
    }
}

impl Shared {
    /// The thread.
    fn run(&self) {
        let mut state = self.lock();
        while !state.stopping {
            let first = state.waiting.first_key_value().filter(|_| !state.paused);
            state = match first {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some((&(deadline, _), _)) => self.sleep_or_execute(state, deadline),
            };
        }
    }

    fn sleep_or_execute<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        deadline: Instant,
    ) -> MutexGuard<'a, State> {
        let left = deadline.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            let woken = self.changed.wait_timeout(state, left);
            return woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some((_, (id, command))) = state.waiting.pop_first() {
            let executing = self.executing.enter(id, TaskAttribute::Simple);
            drop(state);
            command(Verdict::Execute);
            drop(executing);
            return self.lock();
        }
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
