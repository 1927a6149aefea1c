// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Events that never happened.

use protocol::virtio_scsi::event::{Event, EVENTS_MISSED};
use protocol::virtio_scsi::LunField;
use zerocopy::little_endian::U32;

use crate::fault::{FaultKind, Random};

/// Some events, all alike or each at random.
pub(in crate::scsi) struct Storm {
    left: u32,
    missed: bool,
    /// `None` for events at random.
    event: Option<Event>,
    random: Random,
}

impl Storm {
    /// The events of a fault; none if it is of another kind.
    pub(in crate::scsi) fn new(kind: &FaultKind, seed: u64) -> Option<Self> {
        let FaultKind::Events {
            number,
            event,
            reason,
            lun_field,
            missed,
        } = *kind
        else {
            return None;
        };
        let is_random = event.is_none() && reason.is_none() && lun_field.is_none();
        let fixed = Event {
            event: U32::new(event.unwrap_or(0)),
            lun: LunField(lun_field.unwrap_or(0).to_be_bytes()),
            reason: U32::new(reason.unwrap_or(0)),
        };
        Some(Self {
            left: number,
            missed,
            event: (!is_random).then_some(fixed),
            random: Random::new(seed),
        })
    }

    /// Whether all were sent.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// One was sent.
    pub(super) fn advance(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// The next event.
    pub(super) fn event(&mut self) -> Event {
        let mut event = match self.event {
            Some(event) => event,
            None => anything(&mut self.random),
        };
        if self.missed {
            event.event = U32::new(event.event.get() | EVENTS_MISSED);
        }
        event
    }
}

/// Any event. Half of the time each field has a value that a driver acts on:
/// noise alone would always be refused for the same reason.
fn anything(random: &mut Random) -> Event {
    let event = mostly(random, 0x8000_0003);
    let reason = mostly(random, 0x092b);
    let lun = if random.percent(50) {
        let [target, lun, ..] = random.next_u64().to_le_bytes();
        LunField([1, target & 3, 0, lun & 7, 0, 0, 0, 0])
    } else {
        LunField(random.next_u64().to_le_bytes())
    };
    Event {
        event: U32::new(event),
        lun,
        reason: U32::new(reason),
    }
}

/// A number, half of the time cut by `mask`.
fn mostly(random: &mut Random, mask: u32) -> u32 {
    let number = random.next_u64() as u32;
    if random.percent(50) {
        number & mask
    } else {
        number
    }
}
