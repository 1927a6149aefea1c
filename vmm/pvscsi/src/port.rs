// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The device's end of the rings: completions, how many of them are owed, and
//! turns of the thread that takes requests.
//!
//! Completions come on whatever thread the target ends a command on, hence the
//! lock. There always is room for one: a request is taken only while there is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hospes_device::counters::Counter;
use hospes_device::fault::{Faults, Held};
use hospes_device::limit::{warn_limited, RateLimit};
use hospes_device::worker::Kicked;
use protocol::pvscsi::register::interrupt::COMPLETION_0;
use protocol::pvscsi::ring::offset;
use protocol::pvscsi::CompletionDescriptor;
use protocol::scsi::status;
use serde::Serialize;
use vmm_sys_util::eventfd::EventFd;

use crate::fault::{FaultKind, Wrong};
use crate::interrupt::Interrupt;
use crate::messages::{Backlog, Messages};
use crate::request::Request;
use crate::rings::Rings;

/// How many completions may share an interrupt.
const BATCH_MAX: u32 = 16;
/// How long the first of them may wait for the others.
const BATCH_TIME: Duration = Duration::from_micros(100);

/// What is kept whether there are rings or not.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) counters: Counters,
    pub(crate) faults: Faults<FaultKind>,
    /// Messages that were not written yet.
    pub(crate) backlog: Backlog,
    /// Or a guest could have one message for each time that it sets rings up.
    pub(crate) warnings: RateLimit,
}

impl Record {
    /// One line for whatever a guest does that none may do.
    pub(crate) fn warn(&self, what: &str) {
        self.counters.errors.inc();
        warn_limited!(self.warnings, "{}: {what}", self.name);
    }
}

/// What is counted of an adapter.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Counters {
    /// Kicks, by way of an eventfd.
    pub(crate) kicks: Counter,
    /// Commands to the adapter itself.
    pub(crate) commands: Counter,
    /// Those that failed.
    pub(crate) refused: Counter,
    /// Requests taken.
    pub(crate) requests: Counter,
    /// Requests that made no sense.
    pub(crate) malformed: Counter,
    /// Completions written.
    pub(crate) completions: Counter,
    /// Completions that shared the interrupt of another one.
    pub(crate) shared: Counter,
    /// Commands aborted, and commands that a guest wanted to be.
    pub(crate) aborts: Counter,
    /// Aborts that were answered before the command had ended.
    pub(crate) late: Counter,
    /// Resets of adapter, bus and targets.
    pub(crate) resets: Counter,
    /// Messages written: targets that came or went.
    pub(crate) messages: Counter,
    /// Changes of which the guest was not told, as it wanted no messages, or too many waited.
    pub(crate) unheard: Counter,
    /// Anything a guest did that none may do.
    pub(crate) errors: Counter,
}

/// The end of the rings.
pub(crate) struct Port {
    pub(crate) rings: Rings,
    kick: Arc<EventFd>,
    pub(crate) interrupt: Arc<Interrupt>,
    pub(crate) record: Arc<Record>,
    pub(crate) messages: Messages,
    state: Mutex<State>,
    idle: Condvar,
    /// Requests that are never completed, as the adapter was told.
    dropped: Held<Request>,
    turns: Turns,
    is_closed: AtomicBool,
    is_paused: AtomicBool,
}

#[derive(Default)]
struct State {
    produced: u32,
    /// Completions that are owed.
    in_flight: u32,
    /// While many come at once: when they were last announced.
    batch: Option<Instant>,
    unannounced: u32,
    /// The guest broke the rules of the rings: nothing is written any more.
    is_dead: bool,
}

/// Turns of the thread that takes requests: one is over when all is taken that was
/// there at its beginning.
#[derive(Default)]
struct Turns {
    wanted: AtomicU64,
    done: Mutex<u64>,
    changed: Condvar,
}

impl Port {
    /// The end of `rings`, which are empty from now on.
    pub(crate) fn new(
        rings: Rings,
        kick: Arc<EventFd>,
        interrupt: Arc<Interrupt>,
        record: Arc<Record>,
    ) -> Arc<Self> {
        rings.announce();
        Arc::new(Self {
            dropped: Held::new(rings.requests.entries.count() as usize),
            rings,
            kick,
            interrupt,
            record,
            messages: Messages::default(),
            state: Mutex::default(),
            idle: Condvar::new(),
            turns: Turns::default(),
            is_closed: AtomicBool::new(false),
            is_paused: AtomicBool::new(false),
        })
    }

    /// Notes that one more completion is owed; false if there is no room for it, or
    /// the rings are dead.
    pub(crate) fn begin(&self) -> bool {
        let mut state = self.lock();
        let Some(used) = self.used(&mut state) else {
            return false;
        };
        let owed = used.saturating_add(state.in_flight);
        if owed >= self.rings.completions.entries.count() {
            return false;
        }
        state.in_flight = state.in_flight.saturating_add(1);
        true
    }

    /// How many completions the guest has not taken yet.
    fn used(&self, state: &mut State) -> Option<u32> {
        if state.is_dead {
            return None;
        }
        let consumed = self.rings.load(offset::COMPLETION_CONSUMED);
        match self
            .rings
            .completions
            .entries
            .used(state.produced, consumed)
        {
            Ok(used) => Some(used),
            Err(error) => {
                self.kill(state, &format!("the completion ring: {error:?}"));
                None
            }
        }
    }

    /// Gives a completion that was owed.
    pub(crate) fn finish(&self, completion: &CompletionDescriptor) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        let is_due = self.write(&mut state, completion);
        if state.in_flight == 0 {
            self.idle.notify_all();
        }
        drop(state);
        if is_due {
            self.interrupt.raise(COMPLETION_0);
        }
    }

    /// The same with what is wrong about it.
    #[cold]
    pub(crate) fn finish_wrongly(&self, mut completion: CompletionDescriptor, mut wrong: Wrong) {
        wrong.overwrite(&mut completion);
        let mut state = self.lock();
        for context in &wrong.unknown {
            let nothing = CompletionDescriptor::answered(*context, status::GOOD, 0);
            self.put_more(&mut state, &nothing);
        }
        state.in_flight = state.in_flight.saturating_sub(1);
        self.put(&mut state, &completion);
        for _ in 0..wrong.more {
            self.put_more(&mut state, &completion);
        }
        // All at once: a driver that has taken the first of two may have given its context to
        // another request by the time it sees the second.
        if !state.is_dead {
            let index = state.produced.wrapping_add(wrong.ahead.unwrap_or(0));
            self.rings.store(offset::COMPLETION_PRODUCED, index);
        }
        self.announce(&mut state);
        if state.in_flight == 0 {
            self.idle.notify_all();
        }
        drop(state);
        self.interrupt.raise(COMPLETION_0);
    }

    /// Writes the entry of a completion that nobody is owed, if there is room.
    fn put_more(&self, state: &mut State, completion: &CompletionDescriptor) {
        let entries = self.rings.completions.entries.count();
        let used = self.used(state);
        if used.is_some_and(|used| used.saturating_add(state.in_flight) < entries) {
            self.put(state, completion);
        }
    }

    /// Keeps a request that is never to be completed, or gives it back if there are too many.
    pub(crate) fn keep(&self, request: Request) -> Option<Request> {
        self.dropped.keep(request).err()
    }

    /// Nothing is owed for requests that were kept, from now on. For rings that are closed.
    pub(crate) fn lose(&self) {
        let count = u32::try_from(self.dropped.len()).unwrap_or(u32::MAX);
        self.dropped.release();
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(count);
        self.idle.notify_all();
    }

    /// Writes the entry of a completion; says whether there was one to write to.
    fn put(&self, state: &mut State, completion: &CompletionDescriptor) -> bool {
        let Some(used) = self.used(state) else {
            return false;
        };
        if used >= self.rings.completions.entries.count() {
            // There was room, so the guest has taken back what it had taken.
            self.kill(state, "the completion ring is full");
            return false;
        }
        let memory = &self.rings.memory;
        (self.rings.completions).write(memory, state.produced, completion);
        state.produced = state.produced.wrapping_add(1);
        state.unannounced = state.unannounced.saturating_add(1);
        self.record.counters.completions.inc();
        true
    }

    /// Writes a completion; says whether the guest is to be interrupted now.
    fn write(&self, state: &mut State, completion: &CompletionDescriptor) -> bool {
        if !self.put(state, completion) {
            return false;
        }
        self.rings
            .store(offset::COMPLETION_PRODUCED, state.produced);
        let waits = |since: &Instant| since.elapsed() < BATCH_TIME;
        if state.unannounced < BATCH_MAX && state.batch.as_ref().is_some_and(waits) {
            return false;
        }
        if let Some(since) = &mut state.batch {
            *since = Instant::now();
        }
        self.announce(state)
    }

    /// Counts those that share an interrupt; says whether there is one to send.
    fn announce(&self, state: &mut State) -> bool {
        let count = std::mem::take(&mut state.unannounced);
        self.record
            .counters
            .shared
            .add(count.saturating_sub(1).into());
        count > 0
    }

    /// Does work that completes requests, with interrupts shared as far as completions
    /// follow each other quickly. To be called by one thread at a time.
    pub(crate) fn together<T>(&self, work: impl FnOnce() -> T) -> T {
        self.lock().batch = Some(Instant::now());
        let result = work();
        self.announce_all(|_| None);
        result
    }

    /// The thread is about to wait for something: what it has completed is not to.
    pub(crate) fn announce_before_wait(&self) {
        self.announce_all(|since| since.map(|_| Instant::now()));
    }

    /// Interrupts the guest if there is anything to announce, and begins or ends a batch.
    fn announce_all(&self, batch: impl FnOnce(Option<Instant>) -> Option<Instant>) {
        let is_due = {
            let mut state = self.lock();
            state.batch = batch(state.batch);
            self.announce(&mut state)
        };
        if is_due {
            self.interrupt.raise(COMPLETION_0);
        }
    }

    /// The rings are of no use any more: the guest has to set up others.
    pub(crate) fn fail(&self, why: &str) {
        self.kill(&mut self.lock(), why);
    }

    fn kill(&self, state: &mut State, why: &str) {
        if !std::mem::replace(&mut state.is_dead, true) {
            self.record.warn(&format!("the rings are dead: {why}"));
        }
    }

    /// From how many requests on the guest is to kick. That is one, or 0 if it does not ask
    /// for a threshold, unless the adapter was told something else: a kick is left out only for what was taken before. Linux' driver has no barrier
    /// between its index and its look at the threshold, so that it would miss one that has
    /// just been lowered, and what it did not kick for would wait for ever.
    pub(crate) fn set_threshold(&self, requests: u32) {
        self.rings.store(offset::REQUEST_THRESHOLD, requests);
    }

    /// Whether nothing is to be taken.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst) || self.is_paused()
    }

    /// Whether the adapter is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::SeqCst)
    }

    /// Has nothing more taken, and no more messages written.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.messages.close();
        self.turns.release();
    }

    /// Has nothing taken and no message written for a while, or both again.
    pub(crate) fn set_paused(&self, paused: bool) {
        self.is_paused.store(paused, Ordering::SeqCst);
        self.turns.release();
        self.messages.wait();
    }

    /// The number of the turn that begins now.
    pub(crate) fn begin_turn(&self) -> u64 {
        self.turns.wanted.load(Ordering::SeqCst)
    }

    /// The turn is over.
    pub(crate) fn end_turn(&self, turn: u64) {
        let mut done = self.turns.lock();
        if *done < turn {
            *done = turn;
            self.turns.changed.notify_all();
        }
    }

    /// Waits until the thread has taken all requests that are there by now, or is not
    /// going to; no longer than `until`, if that is given.
    pub(crate) fn catch_up(&self, until: Option<Instant>) {
        let before = self.turns.wanted.fetch_add(1, Ordering::SeqCst);
        let turn = before.saturating_add(1);
        self.wake();
        let mut done = self.turns.lock();
        while *done < turn && !self.is_closed() {
            done = match left(until) {
                None => (self.turns.changed.wait(done)).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return,
                Some(left) => {
                    let woken = self.turns.changed.wait_timeout(done, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Waits until no completion is owed any more.
    pub(crate) fn wait_idle(&self) {
        let mut state = self.lock();
        while state.in_flight > 0 {
            state = (self.idle.wait(state)).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes the thread.
    pub(crate) fn wake(&self) {
        // Only a counter that is about to overflow says no, and then the thread is
        // going to wake up anyway.
        let _ = self.kick.write(1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long it is until then.
fn left(until: Option<Instant>) -> Option<Duration> {
    until.map(|until| until.saturating_duration_since(Instant::now()))
}

impl Turns {
    fn release(&self) {
        let _done = self.lock();
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kicked for Port {
    fn kick(&self) -> &EventFd {
        &self.kick
    }

    fn kicked(&self) {
        self.record.counters.kicks.inc();
    }
}
