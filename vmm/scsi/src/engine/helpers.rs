// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Threads that wait, for commands that have to.
//!
//! There are none before they are needed, and never more than [`MOST`]. What
//! they have not begun can be taken back.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hospes_device::thread::{self, Role};
use protocol::scsi::sense::SenseBytes;
use protocol::scsi::status;

use super::Job;
use crate::command::{Failure, Outcome};
use crate::tasks::Scope;
use crate::unit::Plan;

/// Most threads of one target. Half a dozen accesses at once keep a disk busy;
/// a few more than that leave some for other disks.
const MOST: usize = 16;

/// The helper threads of one target.
#[derive(Default)]
pub(crate) struct Helpers {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Box<Job>, Plan)>,
    /// Threads that wait for something to do.
    idle: usize,
    threads: usize,
    stopping: bool,
}

impl Helpers {
    /// Has a thread carry out the rest of a command.
    pub(crate) fn give(&self, job: Box<Job>, plan: Plan) {
        let mut state = self.shared.lock();
        let is_short = state.queue.len() >= state.idle && state.threads < MOST;
        if is_short {
            // It counts before it is there, so that no more are made than there may be.
            state.threads = state.threads.saturating_add(1);
            drop(state);
            if !self.start() && self.shared.lock().threads == 0 {
                return without_threads(job, plan);
            }
            state = self.shared.lock();
        }
        state.queue.push_back((job, plan));
        self.shared.changed.notify_one();
    }

    /// Ends the commands of that scope that were not begun.
    pub(crate) fn end(&self, scope: Scope, outcome: Outcome) {
        let mut state = self.shared.lock();
        let queue = std::mem::take(&mut state.queue);
        let is_concerned = |(job, _): &(Box<Job>, Plan)| scope.contains(&job.id());
        let (ended, kept): (VecDeque<_>, VecDeque<_>) = queue.into_iter().partition(is_concerned);
        state.queue = kept;
        drop(state);
        for (job, _) in ended {
            job.end(outcome);
        }
    }

    /// Makes a thread; false if there cannot be one.
    fn start(&self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        match thread::spawn(Role::Device, "scsi-io", move || shared.run()) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                tracing::error!(%error, "no further thread for disk accesses");
                let mut state = self.shared.lock();
                state.threads = state.threads.saturating_sub(1);
                return false;
            }
        }
        true
    }
}

/// Carries out what can be waited for on the thread of the queue. What may wait
/// for that very thread, as a device server's own execution may, is for the
/// initiator to send again.
fn without_threads(job: Box<Job>, plan: Plan) {
    match plan {
        Plan::Blocking => job.complete(Err(Failure::Status {
            status: status::BUSY,
            sense: SenseBytes::default(),
            transferred: 0,
        })),
        Plan::Io(_) | Plan::Done(_) => job.run(plan),
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        self.end(Scope::All, Outcome::Aborted);
        let threads = self
            .threads
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..);
        // A completion may hold the last reference to the target. Then one of
        // them is the very thread, which ends by itself.
        let is_other =
            |thread: &JoinHandle<()>| thread.thread().id() != std::thread::current().id();
        for thread in threads.filter(is_other) {
            // It panics only where a command did, which was reported then.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// A thread.
    fn run(&self) {
        let _member = Member(self);
        let mut state = self.lock();
        while !state.stopping {
            let Some((job, plan)) = state.queue.pop_front() else {
                state.idle = state.idle.saturating_add(1);
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle = state.idle.saturating_sub(1);
                continue;
            };
            drop(state);
            job.run(plan);
            state = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a thread off when it ends, also when a command panics.
struct Member<'a>(&'a Shared);

impl Drop for Member<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.threads = state.threads.saturating_sub(1);
    }
}
