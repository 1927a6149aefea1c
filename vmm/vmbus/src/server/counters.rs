// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the bus counts.

use std::sync::atomic::{AtomicU32, Ordering};

use hospes_device::counters::Counter;
use protocol::vmbus::Version;
use serde::{Serialize, Serializer};

/// Counters of the bus.
#[derive(Debug, Default, Serialize)]
pub(super) struct BusCounters {
    /// The version that was agreed on last.
    pub(super) version: AgreedVersion,
    /// Messages of the guest's.
    pub(super) received: Counter,
    /// Messages that made no sense.
    pub(super) refused: Counter,
    /// Messages for the guest.
    pub(super) sent: Counter,
    /// Channels offered, taken back, opened and closed.
    pub(super) offered: Counter,
    pub(super) rescinded: Counter,
    pub(super) opened: Counter,
    pub(super) closed: Counter,
    /// GPADLs set up and torn down.
    pub(super) gpadls: Counter,
    pub(super) gpadls_torn_down: Counter,
    /// Guests that came, or came back.
    pub(super) contacts: Counter,
    /// Guests that left in order.
    pub(super) unloads: Counter,
}

/// A version as text, or nothing.
#[derive(Debug, Default)]
pub(super) struct AgreedVersion(AtomicU32);

impl AgreedVersion {
    pub(super) fn set(&self, version: Version) {
        self.0.store(version.0, Ordering::Relaxed);
    }
}

impl Serialize for AgreedVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.load(Ordering::Relaxed) {
            0 => serializer.serialize_none(),
            version => serializer.collect_str(&Version(version)),
        }
    }
}
