// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The event queue: what the host reports by itself (VIRTIO 1.3, section 5.6.6.3).
//!
//! The driver posts empty buffers, and each event takes one. An event that
//! finds no buffer is lost; that it was is told in the next buffer the driver
//! posts, upon which it looks at everything anew.

use std::mem::size_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::counters::Counter;
use protocol::virtio_scsi::event::{Event, EVENTS_MISSED};
use serde::Serialize;
use thiserror::Error;
use zerocopy::little_endian::U32;
use zerocopy::IntoBytes;

use crate::queue::{Chain, VirtQueue};

/// What is counted of events.
#[derive(Debug, Default, Serialize)]
pub(super) struct EventCounters {
    /// Events that the driver was given.
    sent: Counter,
    /// Events for which there was no buffer.
    missed: Counter,
}

/// Sends events while a driver runs the host.
#[derive(Default)]
pub(super) struct Events {
    state: Mutex<State>,
    counters: EventCounters,
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
}

#[derive(Debug, Error)]
#[error("event buffer of {0} bytes")]
struct ShortBuffer(u64);

impl Events {
    /// A driver runs the host now and accepted `features`.
    pub(super) fn start(&self, queue: Option<Arc<VirtQueue>>, features: u64) {
        *self.lock() = State {
            queue,
            features,
            missed: false,
        };
    }

    /// No driver does.
    pub(super) fn stop(&self) {
        *self.lock() = State::default();
    }

    /// Reports an event to a driver that accepted the feature `bit`.
    pub(super) fn send(&self, bit: u32, event: Event) {
        let mut state = self.lock();
        if state.features & (1_u64.checked_shl(bit).unwrap_or(0)) == 0 {
            return;
        }
        if state.deliver(event) {
            self.counters.sent.inc();
        } else {
            self.counters.missed.inc();
        }
    }

    /// The driver posted buffers: tells it what it missed.
    pub(super) fn buffers_posted(&self) {
        let mut state = self.lock();
        if state.missed {
            state.deliver(Event::default());
        }
    }

    pub(super) fn counters(&self) -> &EventCounters {
        &self.counters
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts an event into the next buffer; false if that cannot be done now.
    fn deliver(&mut self, mut event: Event) -> bool {
        if self.missed {
            event.event = U32::new(event.event.get() | EVENTS_MISSED);
        }
        let delivered = self.queue.as_ref().is_some_and(|queue| put(queue, &event));
        self.missed = !delivered && self.queue.is_some();
        delivered
    }
}

fn put(queue: &Arc<VirtQueue>, event: &Event) -> bool {
    let Some(mut chain) = next(queue) else {
        return false;
    };
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
    let written = area.write_at(0, event.as_bytes());
    chain.complete(u32::try_from(written).unwrap_or(0));
    true
}

/// The next buffer, or none and a kick as soon as there is one.
fn next(queue: &Arc<VirtQueue>) -> Option<Chain> {
    match queue.pop() {
        None if queue.more_after_asking() => queue.pop(),
        chain => chain,
    }
}
