// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What each queue counts.

use hospes_device::counters::{Counted, Counter};
use serde::Serialize;

/// The counters of one queue. They live as long as the function does: a reset
/// of the device does not clear them.
#[derive(Debug, Default, Serialize)]
pub struct QueueCounters {
    /// Kicks that woke the queue's thread.
    pub kicks: Counter,
    /// Chains taken from the available ring.
    pub requests: Counter,
    /// Chains put on the used ring.
    pub completions: Counter,
    /// Interrupts sent.
    pub interrupts: Counter,
    /// Completions that needed no interrupt of their own. Together with
    /// `interrupts` they make up `completions`.
    pub suppressed: Counter,
    /// Malformed chains, and faults of the ring itself.
    pub errors: Counter,
}

impl Counted for QueueCounters {
    fn counters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}
