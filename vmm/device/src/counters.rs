// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Event counters: part of every device, printed as JSON on request.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Serialize, Serializer};

/// One event counter.
///
/// Counters are statistics and order nothing: every access is relaxed.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one event.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts `n` events, or `n` bytes.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Serialize for Counter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}

/// A set of counters, as JSON: usually `serde_json::to_value` of a structure of
/// [`Counter`]s.
pub trait Counted {
    /// The present values.
    fn counters(&self) -> serde_json::Value;
}
