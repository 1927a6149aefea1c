// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The message ring: targets that come and go.
//!
//! What finds the ring full waits here. The guest says nothing when it has made
//! room; but it asks a target that was added what it is, and these commands wake
//! the thread of the adapter, which looks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::pvscsi::register::interrupt::MESSAGE_0;
use protocol::pvscsi::ring::offset;
use protocol::pvscsi::MessageDescriptor;

use crate::port::Port;
use crate::rings::Ring;

/// Most messages that wait.
const MAX_WAITING: usize = 1024;

/// The ring, once there is one.
#[derive(Default)]
pub(crate) struct Messages {
    state: Mutex<State>,
    /// Whether some wait: not to be missed, but looked at often.
    are_waiting: AtomicBool,
}

#[derive(Default)]
struct State {
    ring: Option<Ring>,
    produced: u32,
    waiting: VecDeque<MessageDescriptor>,
}

impl Messages {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Port {
    /// Takes the guest's ring for messages, which is empty from now on.
    pub(crate) fn set_messages(&self, ring: Ring) {
        let mut state = self.messages.lock();
        self.rings.announce_messages(&ring);
        *state = State {
            ring: Some(ring),
            ..State::default()
        };
    }

    /// Tells the guest something, if it wants to hear it.
    pub(crate) fn tell(&self, message: MessageDescriptor) {
        let mut state = self.messages.lock();
        if state.ring.is_none() || state.waiting.len() >= MAX_WAITING {
            return self.record.counters.unheard.inc();
        }
        state.waiting.push_back(message);
        drop(state);
        self.flush_messages();
    }

    /// Writes what waits, as far as there is room.
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

    fn flush_messages(&self) {
        let mut state = self.messages.lock();
        let written = self.write_messages(&mut state);
        let are_waiting = !state.waiting.is_empty();
        self.messages
            .are_waiting
            .store(are_waiting, Ordering::Relaxed);
        drop(state);
        if written > 0 {
            self.record.counters.messages.add(written);
            self.interrupt.raise(MESSAGE_0);
        }
    }

    fn write_messages(&self, state: &mut State) -> u64 {
        let mut written: u64 = 0;
        while let (Some(ring), Some(message)) = (&state.ring, state.waiting.front()) {
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
            state.waiting.pop_front();
            written = written.saturating_add(1);
        }
        written
    }
}
