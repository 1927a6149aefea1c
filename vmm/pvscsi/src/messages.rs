// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The message ring: targets that come and go.
//!
//! What the guest was not told yet is in a [`Backlog`], which outlives rings: a driver that has
//! reset the adapter does not look for targets again. It waits there while the ring is full or the
//! adapter is paused as well. The guest says nothing when it has made room; but it asks a target
//! that was added what it is, and these commands wake the thread of the adapter, which looks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::pvscsi::register::interrupt::MESSAGE_0;
use protocol::pvscsi::ring::offset;
use protocol::pvscsi::MessageDescriptor;

use crate::port::{Port, Record};
use crate::rings::Ring;

/// Most messages that wait.
const MAX_WAITING: usize = 1024;

/// What the guest was not told yet.
#[derive(Default)]
pub(crate) struct Backlog(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    messages: VecDeque<MessageDescriptor>,
    /// A driver has set up a ring for them, even if there is none now.
    is_wanted: bool,
}

impl Backlog {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Keeps a message for the guest, if it wants to hear any.
    pub(crate) fn keep_message(&self, message: MessageDescriptor) {
        let mut waiting = self.backlog.lock();
        if waiting.is_wanted && waiting.messages.len() < MAX_WAITING {
            waiting.messages.push_back(message);
        } else {
            self.counters.unheard.inc();
        }
    }

    /// Another guest begins, which finds targets by itself.
    pub(crate) fn forget_messages(&self) {
        let before = std::mem::take(&mut *self.backlog.lock());
        let count = u64::try_from(before.messages.len()).unwrap_or(u64::MAX);
        self.counters.unheard.add(count);
    }
}

/// The ring, once there is one.
#[derive(Default)]
pub(crate) struct Messages {
    state: Mutex<State>,
    /// Whether some wait for room: not to be missed, but looked at often.
    are_waiting: AtomicBool,
}

#[derive(Default)]
struct State {
    ring: Option<Ring>,
    produced: u32,
}

impl Messages {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is written to the ring any more once this returns.
    pub(crate) fn close(&self) {
        *self.lock() = State::default();
    }

    /// Waits for who is writing to the ring.
    pub(crate) fn wait(&self) {
        let _state = self.lock();
    }
}

impl Port {
    /// Takes the guest's ring for messages, which is empty from now on.
    pub(crate) fn set_messages(&self, ring: Ring) {
        let mut state = self.messages.lock();
        self.rings.announce_messages(&ring);
        *state = State {
            ring: Some(ring),
            produced: 0,
        };
        self.record.backlog.lock().is_wanted = true;
    }

    /// Writes what waits for room, as far as there is some.
    pub(crate) fn flush_waiting_messages(&self) {
        if self.messages.are_waiting.load(Ordering::Relaxed) {
            self.flush_messages();
        }
    }

    /// Says that there are more messages than there are, until the next one.
    pub(crate) fn skip_messages(&self, ahead: u32) {
        let state = self.messages.lock();
        if state.ring.is_some() {
            let index = state.produced.wrapping_add(ahead);
            self.rings.store(offset::MESSAGE_PRODUCED, index);
        }
        drop(state);
        self.interrupt.raise(MESSAGE_0);
    }

    /// Writes what waits, as far as there is room, unless the adapter is paused.
    pub(crate) fn flush_messages(&self) {
        let mut state = self.messages.lock();
        if self.is_paused() {
            return;
        }
        let mut waiting = self.record.backlog.lock();
        let written = self.write_messages(&mut state, &mut waiting.messages);
        let are_waiting = state.ring.is_some() && !waiting.messages.is_empty();
        drop(waiting);
        self.messages
            .are_waiting
            .store(are_waiting, Ordering::Relaxed);
        if written > 0 {
            self.record.counters.messages.add(written);
            // Before the lock is given up, for whom a pause waits.
            self.interrupt.raise(MESSAGE_0);
        }
    }

    fn write_messages(&self, state: &mut State, waiting: &mut VecDeque<MessageDescriptor>) -> u64 {
        let mut written: u64 = 0;
        while let (Some(ring), Some(message)) = (&state.ring, waiting.front()) {
            let consumed = self.rings.load(offset::MESSAGE_CONSUMED);
            match ring.entries.used(state.produced, consumed) {
                Ok(used) if used < ring.entries.count() => {}
                Ok(_) => break,
                Err(error) => {
                    self.record
                        .warn(&format!("the message ring is dead: {error:?}"));
                    *state = State::default();
                    break;
                }
            }
            ring.write(&self.rings.memory, state.produced, message);
            state.produced = state.produced.wrapping_add(1);
            self.rings.store(offset::MESSAGE_PRODUCED, state.produced);
            waiting.pop_front();
            written = written.saturating_add(1);
        }
        written
    }
}
