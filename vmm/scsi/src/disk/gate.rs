// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What keeps COMPARE AND WRITE uninterrupted.
//!
//! Between its comparison and its write nothing else may be written. So every
//! write passes a gate, and COMPARE AND WRITE shuts it, waits until those
//! inside have left, and opens it again. The gate is one for the whole disk: a
//! COMPARE AND WRITE is short, and cannot starve this way.
//!
//! Passing costs one addition to a counter that seldom two threads share. A
//! write that must not wait ([`Gate::try_enter`]) is turned away while the gate
//! is shut, and has to come again where it may.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many counters there are: as many threads write without contention.
const SHARDS: usize = 16;

/// The number of writes inside that came in by one of the counters, on a cache
/// line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(AtomicU64);

/// The gate.
#[derive(Debug, Default)]
pub(super) struct Gate {
    shards: [Shard; SHARDS],
    is_shut: AtomicBool,
    /// Held by who shut it.
    turn: Mutex<()>,
    /// Protects nothing; waiting needs it.
    waiting: Mutex<()>,
    changed: Condvar,
}

/// A write inside. It has to be given back by [`Gate::leave`], once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u8);

impl Ticket {
    /// The ticket as a number, to be kept where only numbers can be.
    pub(super) fn to_raw(self) -> u64 {
        self.0.into()
    }

    /// The ticket of that number.
    pub(super) fn from_raw(raw: u64) -> Self {
        Self(u8::try_from(raw).unwrap_or(u8::MAX))
    }
}

/// A write inside, until this is dropped.
#[must_use]
pub(super) struct Permit<'a> {
    gate: &'a Gate,
    ticket: Ticket,
}

/// The gate is shut, and nothing is inside, until this is dropped.
#[must_use]
pub(super) struct Exclusive<'a> {
    gate: &'a Gate,
    _turn: MutexGuard<'a, ()>,
}

impl Gate {
    /// Lets a write in, unless the gate is shut.
    pub(super) fn try_enter(&self) -> Option<Ticket> {
        let ticket = Ticket(shard_of_thread());
        self.shard(ticket).fetch_add(1, Ordering::SeqCst);
        // Either this sees that the gate is shut, or who shuts it sees the
        // count: both are sequentially consistent, in opposite orders.
        if self.is_shut.load(Ordering::SeqCst) {
            self.leave(ticket);
            return None;
        }
        Some(ticket)
    }

    /// Lets a write in, after it waited for the gate to open.
    pub(super) fn enter(&self) -> Permit<'_> {
        loop {
            if let Some(ticket) = self.try_enter() {
                return Permit { gate: self, ticket };
            }
            let is_shut = |_: &mut ()| self.is_shut.load(Ordering::SeqCst);
            let guard = lock(&self.waiting);
            drop(self.changed.wait_while(guard, is_shut));
        }
    }

    /// Takes back the ticket of a write that is over.
    pub(super) fn leave(&self, ticket: Ticket) {
        self.shard(ticket).fetch_sub(1, Ordering::SeqCst);
        if self.is_shut.load(Ordering::SeqCst) {
            self.notify();
        }
    }

    /// Shuts the gate, and waits until nothing is inside.
    ///
    /// Not to be called by a thread that has to do something for a write to
    /// leave.
    pub(super) fn exclude(&self) -> Exclusive<'_> {
        let turn = lock(&self.turn);
        self.is_shut.store(true, Ordering::SeqCst);
        let guard = lock(&self.waiting);
        drop(self.changed.wait_while(guard, |()| !self.is_empty()));
        Exclusive {
            gate: self,
            _turn: turn,
        }
    }

    fn is_empty(&self) -> bool {
        self.shards
            .iter()
            .all(|shard| shard.0.load(Ordering::SeqCst) == 0)
    }

    fn shard(&self, ticket: Ticket) -> &AtomicU64 {
        let [first, ..] = &self.shards;
        // Tickets are numbers of shards.
        let shard = self.shards.get(usize::from(ticket.0));
        &shard.unwrap_or(first).0
    }

    /// Wakes who waits, who cannot be between looking and waiting meanwhile.
    fn notify(&self) {
        let guard = lock(&self.waiting);
        self.changed.notify_all();
        drop(guard);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.gate.leave(self.ticket);
    }
}

impl Drop for Exclusive<'_> {
    fn drop(&mut self) {
        self.gate.is_shut.store(false, Ordering::SeqCst);
        self.gate.notify();
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    // There is nothing in it that a panic could leave half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The counter of this thread.
fn shard_of_thread() -> u8 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: u8 = {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            u8::try_from(number.checked_rem(SHARDS).unwrap_or(0)).unwrap_or(0)
        };
    }
    SHARD.with(|shard| *shard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_shut_gate_turns_away() {
        let gate = Gate::default();
        let ticket = gate.try_enter().unwrap();
        assert!(!gate.is_empty());
        gate.leave(Ticket::from_raw(ticket.to_raw()));
        let exclusive = gate.exclude();
        assert_eq!(gate.try_enter(), None);
        drop(exclusive);
        drop(gate.enter());
        assert!(gate.is_empty());
    }

    /// A value that is only ever changed in two steps never shows between them.
    #[test]
    fn nothing_is_inside_while_it_is_shut() {
        let gate = Gate::default();
        let steps = AtomicU64::new(0);
        let excluded = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let permit = gate.enter();
                        assert!(!excluded.load(Ordering::SeqCst));
                        steps.fetch_add(1, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let exclusive = gate.exclude();
                        assert!(!excluded.swap(true, Ordering::SeqCst));
                        let before = steps.load(Ordering::SeqCst);
                        thread::yield_now();
                        assert_eq!(steps.load(Ordering::SeqCst), before);
                        excluded.store(false, Ordering::SeqCst);
                        drop(exclusive);
                    }
                });
            }
        });
        assert_eq!(steps.load(Ordering::SeqCst), 6000);
    }
}
