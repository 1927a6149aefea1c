// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The event queue: what the host reports by itself (VIRTIO 1.3, section 5.6.6.3).
//!
//! The driver posts empty buffers, and each event takes one. An event that
//! finds no buffer is lost; that it was is told in the next buffer the driver
//! posts, upon which it looks at everything anew.
//!
//! Events that never happened can be asked for, as a fault. They wait for
//! buffers rather than being lost, and come after what is true.

mod storm;

use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::counters::Counter;
use protocol::virtio_scsi::event::{Event, EVENTS_MISSED};
use serde::Serialize;
use thiserror::Error;
use zerocopy::little_endian::U32;
use zerocopy::IntoBytes;

use super::fault::{self, Faulty};
use crate::queue::{Chain, VirtQueue};
pub(super) use storm::Storm;

/// Most buffers that are filled or refused at a time. A driver that posts them
/// as fast as they come back gets more at its next turn.
const MAX_BUFFERS: usize = 1024;

/// What is counted of events.
#[derive(Debug, Default, Serialize)]
pub(super) struct EventCounters {
    /// Events that the driver was given.
    sent: Counter,
    /// Events for which there was no buffer.
    missed: Counter,
    /// Events that never happened.
    invented: Counter,
}

/// Sends events while a driver runs the host.
pub(super) struct Events {
    state: Mutex<State>,
    counters: EventCounters,
    faulty: Arc<Faulty>,
}

/// The queue, and what is owed to the driver.
///
/// It is locked while a buffer is taken, so that the thread of the queue and
/// those that report events take buffers one at a time, and none is taken any
/// more once the host is reset.
#[derive(Default)]
struct State {
    queue: Option<Arc<VirtQueue>>,
    features: u64,
    missed: bool,
    storms: VecDeque<Storm>,
}

#[derive(Debug, Error)]
#[error("event buffer of {0} bytes")]
struct ShortBuffer(u64);

impl Events {
    pub(super) fn new(faulty: Arc<Faulty>) -> Self {
        Self {
            state: Mutex::default(),
            counters: EventCounters::default(),
            faulty,
        }
    }

    /// A driver runs the host now and accepted `features`.
    pub(super) fn start(&self, queue: Option<Arc<VirtQueue>>, features: u64) {
        let mut state = self.lock();
        state.queue = queue;
        state.features = features;
        state.missed = false;
    }

    /// No driver does.
    pub(super) fn stop(&self) {
        self.start(None, 0);
    }

    /// Reports an event to a driver that accepted the feature `bit`.
    pub(super) fn send(&self, bit: u32, event: Event) {
        let mut state = self.lock();
        if state.features & (1_u64.checked_shl(bit).unwrap_or(0)) == 0 {
            return;
        }
        if state.deliver(event, &self.faulty) {
            self.counters.sent.inc();
        } else {
            self.counters.missed.inc();
        }
    }

    /// Sends events that never happened, as the driver posts buffers for them.
    pub(super) fn invent(&self, storm: Storm) {
        let mut state = self.lock();
        state.storms.push_back(storm);
        self.send_invented(&mut state);
    }

    /// Invents no more.
    pub(super) fn calm(&self) {
        self.lock().storms.clear();
    }

    /// The driver posted buffers: tells it what it missed.
    pub(super) fn buffers_posted(&self) {
        let mut state = self.lock();
        if state.missed {
            state.deliver(Event::default(), &self.faulty);
        }
        self.send_invented(&mut state);
    }

    pub(super) fn counters(&self) -> &EventCounters {
        &self.counters
    }

    fn send_invented(&self, state: &mut State) {
        let Some(queue) = state.queue.clone() else {
            return;
        };
        for _ in 0..MAX_BUFFERS {
            let Some(storm) = state.storms.front_mut() else {
                return;
            };
            if storm.is_over() {
                state.storms.pop_front();
            } else if put(&queue, &storm.event(), &self.faulty) {
                storm.advance();
                self.counters.invented.inc();
            } else {
                return;
            }
        }
        come_back(&queue);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts an event into the next buffer; false if that cannot be done now.
    fn deliver(&mut self, mut event: Event, faulty: &Faulty) -> bool {
        if self.missed {
            event.event = U32::new(event.event.get() | EVENTS_MISSED);
        }
        let queue = self.queue.as_ref();
        let delivered = queue.is_some_and(|queue| put(queue, &event, faulty));
        self.missed = !delivered && queue.is_some();
        delivered
    }
}

/// Puts an event into the next buffer that can hold it.
fn put(queue: &Arc<VirtQueue>, event: &Event, faulty: &Faulty) -> bool {
    for _ in 0..MAX_BUFFERS {
        let Some(chain) = next(queue) else {
            return false;
        };
        if fill(chain, event, faulty) {
            return true;
        }
    }
    come_back(queue);
    false
}

fn fill(mut chain: Chain, event: &Event, faulty: &Faulty) -> bool {
    let buffers = chain.take_buffers();
    let area = buffers.writable;
    if let Some(fault) = buffers.fault {
        chain.report(&fault);
        return false;
    }
    if area.len() < size_of::<Event>() as u64 {
        chain.report(&ShortBuffer(area.len()));
        return false;
    }
    let written = u32::try_from(area.write_at(0, event.as_bytes())).unwrap_or(0);
    fault::complete(&faulty.completion(chain.queue()), chain, written);
    true
}

/// The next buffer, or none and a kick as soon as there is one.
fn next(queue: &Arc<VirtQueue>) -> Option<Chain> {
    match queue.pop() {
        None if queue.more_after_asking() => queue.pop(),
        chain => chain,
    }
}

/// Has the queue's thread look at it again although the guest did not kick.
fn come_back(queue: &Arc<VirtQueue>) {
    // Only a counter that is about to overflow says no, and then the thread
    // is going to wake up anyway.
    let _ = queue.kick().write(1);
}
