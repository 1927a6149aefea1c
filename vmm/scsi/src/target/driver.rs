// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The thread of a queue, as the target sees it.
//!
//! It plans each command, makes the accesses that need not wait at once, and
//! has the others made by its ring, or by helper threads. It sleeps elsewhere:
//! its owner calls [`Driver::poll`] when one of [`Driver::sources`] is readable.
//!
//! Where task management wants commands to end, it marks them and wakes this
//! thread, which has the kernel give up what it has not begun. The rest is
//! waited for: a command is over only when the kernel has let go of its buffers.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use crate::backing::Durability;
use crate::command::{BoxedCompletion, Command, Completion, Failure, Outcome};
use crate::dispatch;
use crate::engine::{AioMode, Finished, Job, Refused, Ring};
use crate::target::Queue;
use crate::tasks::{Running, Scope, TaskId};
use crate::unit::{Io, Operation, Plan, Unit};

/// Executes the commands of one queue, on one thread.
pub struct Driver {
    queue: Queue,
    engine: Engine,
    /// Commands that wait for others, in the order in which they came.
    held: Vec<Held>,
    /// Kept for its allocation.
    finished: Vec<Finished>,
    /// Called before this thread waits for an access.
    before_wait: Option<Box<dyn Fn() + Send>>,
}

/// What makes accesses that have to wait.
enum Engine {
    Ring(Box<Ring>),
    Threads,
    Nothing,
}

/// A command that waits for others of its unit.
struct Held {
    command: Command,
    completion: Completion<BoxedCompletion>,
    running: Running,
}

impl Driver {
    pub(super) fn new(queue: Queue, mode: AioMode) -> io::Result<Self> {
        let engine = match mode {
            AioMode::IoUring => Engine::Ring(Box::new(Ring::new()?)),
            AioMode::Auto => Ring::new()
                .map(Box::new)
                .map_or_else(without_ring, Engine::Ring),
            AioMode::Threads => Engine::Threads,
            AioMode::Sync => Engine::Nothing,
        };
        queue.lane.tasks.waker()?;
        Ok(Self {
            queue,
            engine,
            held: Vec::new(),
            finished: Vec::new(),
            before_wait: None,
        })
    }

    /// Has `call` called each time that this thread is about to wait for an access, which it
    /// does with [`AioMode::Sync`] only.
    pub fn before_wait(&mut self, call: impl Fn() + Send + 'static) {
        self.before_wait = Some(Box::new(call));
    }

    /// What to wait for: [`poll`](Self::poll) is to be called when any of these
    /// is readable, as long as the driver lives.
    pub fn sources(&self) -> impl Iterator<Item = RawFd> + '_ {
        let waker = self.queue.lane.tasks.waker().ok();
        let ring = match &self.engine {
            Engine::Ring(ring) => Some(ring.as_fd().as_raw_fd()),
            Engine::Threads | Engine::Nothing => None,
        };
        waker.map(AsRawFd::as_raw_fd).into_iter().chain(ring)
    }

    /// Begins a command. `completion` is called exactly once with what came of
    /// it: before this returns, in a later call on this thread, or on a thread
    /// of the target.
    ///
    /// Accesses may wait for [`flush`](Self::flush) before they begin.
    pub fn submit<F>(&mut self, command: Command, completion: F)
    where
        F: FnOnce(Outcome) + Send + 'static,
    {
        self.submit_after(command, Duration::ZERO, completion);
    }

    /// The same, at least `extra` later.
    pub fn submit_after<F>(&mut self, command: Command, extra: Duration, completion: F)
    where
        F: FnOnce(Outcome) + Send + 'static,
    {
        let completion = Completion::new(completion);
        self.queue.target.note_in_use();
        let id = TaskId::of(&command);
        let running = self.queue.lane.tasks.enter(id, command.attribute);
        if running.has_to_wait {
            self.hold(command, completion.boxed(), running);
        } else {
            self.start(command, extra, completion, running);
        }
    }

    /// Begins the accesses of all commands that were submitted, and completes
    /// those that are done already. To be called after the last of a batch.
    pub fn flush(&mut self) {
        if let Engine::Ring(ring) = &mut self.engine {
            ring.submit();
            self.reap();
        }
    }

    /// Whether [`poll`](Self::poll) may find something to do.
    pub fn has_work(&self) -> bool {
        let waits_for_ring = match &self.engine {
            Engine::Ring(ring) => ring.in_flight() > 0,
            Engine::Threads | Engine::Nothing => false,
        };
        waits_for_ring || !self.held.is_empty() || self.queue.lane.tasks.is_called()
    }

    /// Completes what is done, and begins and ends what can be by now.
    pub fn poll(&mut self) {
        self.queue.lane.tasks.answer_call();
        if self.queue.lane.tasks.has_marked() {
            self.end_marked();
        }
        self.reap();
        self.release();
    }

    /// Completes every command that was submitted, except those that wait for
    /// a latency, and waits for that.
    pub fn settle(&mut self) {
        loop {
            self.flush();
            self.poll();
            match &mut self.engine {
                Engine::Ring(ring) if ring.in_flight() > 0 => ring.wait(),
                _ if self.held.is_empty() => break,
                // What is held waits for commands on other threads.
                _ => self.queue.lane.tasks.wait_for_any(),
            }
        }
        self.queue.lane.tasks.wait(Scope::All);
    }

    fn start<F>(
        &mut self,
        command: Command,
        extra: Duration,
        completion: Completion<F>,
        running: Running,
    ) where
        F: FnOnce(Outcome) + Send + 'static,
    {
        let units = self.queue.lane.units(&self.queue.target);
        let latency = units.latency(&command).saturating_add(extra);
        if !latency.is_zero() {
            // `running` outlives the move to the waiting commands.
            return self.queue.delay(latency, units, command, completion);
        }
        let unit = units.get(command.target, command.lun);
        let plan = dispatch::plan(&units, unit.map(Arc::as_ref), &command);
        match (advance(unit, &command, plan), unit) {
            (Advance::Ended(result), unit) => {
                let outcome = dispatch::outcome(unit.map(Arc::as_ref), &command, result);
                completion.complete(outcome);
            }
            (waiting, Some(unit)) => {
                let unit = Arc::clone(unit);
                let job = Box::new(Job::new(unit, command, completion.boxed(), running));
                self.entrust(job, waiting);
            }
            // Only units have anything to wait for.
            (_, None) => completion.complete(Outcome::Failed),
        }
    }

    /// Completes a command, or has others do what it waits for.
    fn entrust(&mut self, mut job: Box<Job>, advance: Advance) {
        let plan = match advance {
            Advance::Ended(result) => return job.complete(result),
            Advance::Blocks => Plan::Blocking,
            Advance::Waits(io, done) => {
                job.begin(io, done);
                match self.give_to_ring(job) {
                    Ok(()) => return,
                    Err(Refused(back)) => job = back,
                }
                job.defer()
            }
        };
        match self.engine {
            Engine::Nothing => {
                if let Some(call) = &self.before_wait {
                    call();
                }
                job.run(plan);
            }
            Engine::Ring(_) | Engine::Threads => self.queue.target.helpers.give(job, plan),
        }
    }

    fn give_to_ring(&mut self, job: Box<Job>) -> Result<(), Refused> {
        match &mut self.engine {
            Engine::Ring(ring) => ring.take(job),
            Engine::Threads | Engine::Nothing => Err(Refused(job)),
        }
    }

    /// Takes what came out of the ring, until nothing does.
    fn reap(&mut self) {
        loop {
            let Engine::Ring(ring) = &mut self.engine else {
                return;
            };
            let mut finished = std::mem::take(&mut self.finished);
            ring.reap(&mut finished);
            let is_last = finished.is_empty();
            for each in finished.drain(..) {
                self.go_on(each);
            }
            self.finished = finished;
            if is_last {
                return;
            }
            if let Engine::Ring(ring) = &mut self.engine {
                ring.submit();
            }
        }
    }

    fn go_on(&mut self, Finished { mut job, result }: Finished) {
        let was_cancelled = result
            .as_ref()
            .is_err_and(|error| error.raw_os_error() == Some(libc::ECANCELED));
        let end = job.wanted_end();
        if let (Some(outcome), true) = (end, was_cancelled) {
            return job.end(outcome);
        }
        match (job.progress(result), end) {
            (Some(result), end) => {
                let plan = job.finish_access(result);
                let advance = match (plan, end) {
                    (Ok(Plan::Io(io)), Some(outcome)) => {
                        job.begin(io, 0);
                        return job.end(outcome);
                    }
                    (plan, _) => advance(Some(&Arc::clone(job.unit())), job.command(), plan),
                };
                self.entrust(job, advance);
            }
            (None, Some(outcome)) => job.end(outcome),
            (None, None) => {
                if let Some((io, done)) = job.access() {
                    self.entrust(job, Advance::Waits(io, done));
                }
            }
        }
    }

    fn hold(
        &mut self,
        command: Command,
        completion: Completion<BoxedCompletion>,
        running: Running,
    ) {
        self.queue.lane.tasks.set_holding(true);
        self.held.push(Held {
            command,
            completion,
            running,
        });
        // What it waits for may have left before that was said.
        self.release();
    }

    /// Begins commands that need not wait for others any more.
    fn release(&mut self) {
        if self.held.is_empty() {
            return;
        }
        while let Some(at) = (self.held.iter()).position(|held| !held.running.still_has_to_wait()) {
            let Held {
                command,
                completion,
                running,
            } = self.held.remove(at);
            self.start(command, Duration::ZERO, completion, running);
        }
        self.queue.lane.tasks.set_holding(!self.held.is_empty());
        self.flush_ring();
    }

    fn flush_ring(&mut self) {
        if let Engine::Ring(ring) = &mut self.engine {
            ring.submit();
        }
    }

    /// Ends what task management wants to end and nobody else works on.
    fn end_marked(&mut self) {
        let mut kept = Vec::new();
        for held in std::mem::take(&mut self.held) {
            match held.running.end() {
                Some(outcome) => held.completion.complete(outcome),
                None => kept.push(held),
            }
        }
        self.held = kept;
        if let Engine::Ring(ring) = &mut self.engine {
            ring.cancel_marked();
        }
    }
}

impl Drop for Driver {
    /// Ends what this thread works on: nobody else can.
    fn drop(&mut self) {
        for held in self.held.drain(..) {
            held.completion.complete(Outcome::Reset);
        }
        if let Engine::Ring(ring) = &mut self.engine {
            ring.end_all(Outcome::Reset);
        }
    }
}

fn without_ring(error: io::Error) -> Engine {
    tracing::info!(%error, "no io_uring: threads access the disks");
    Engine::Threads
}

/// How far a command got without waiting.
enum Advance {
    /// To its end.
    Ended(Result<u64, Failure>),
    /// To an access of which so many bytes are done.
    Waits(Io, u64),
    /// To what only the device server itself can do.
    Blocks,
}

/// Carries a command on as far as it goes without waiting.
fn advance(
    unit: Option<&Arc<Unit>>,
    command: &Command,
    mut plan: Result<Plan, Failure>,
) -> Advance {
    loop {
        let io = match plan {
            Ok(Plan::Done(transferred)) => return Advance::Ended(Ok(transferred)),
            Ok(Plan::Blocking) => return Advance::Blocks,
            Err(failure) => return Advance::Ended(Err(failure)),
            Ok(Plan::Io(io)) => io,
        };
        let Some(unit) = unit else {
            return Advance::Blocks;
        };
        match attempt(unit, command, &io) {
            Some(done) if done < io.len => return Advance::Waits(io, done),
            Some(_) => plan = dispatch::finish(unit, command, &io, Ok(())),
            None => return Advance::Waits(io, 0),
        }
    }
}

/// Tries an access without waiting, if there is a way. Returns how much of it
/// was done.
fn attempt(unit: &Unit, command: &Command, io: &Io) -> Option<u64> {
    let medium = unit.server.medium()?;
    let Io { offset, len, .. } = *io;
    match io.operation {
        Operation::Read => {
            Some((unit.gauges.reads).try_to(len, || medium.read_now(offset, &command.data_in, len)))
        }
        Operation::Write(Durability::Cached) => Some(
            (unit.gauges.writes)
                .try_promptly(len, || medium.write_now(offset, &command.data_out, len)),
        ),
        Operation::Write(Durability::Durable) | Operation::Flush => None,
    }
}

#[cfg(test)]
mod tests;
