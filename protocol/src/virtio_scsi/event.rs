// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the device reports by itself (VIRTIO 1.3, section 5.6.6.3).
//!
//! The driver posts empty [`Event`] buffers; the device fills one for each
//! event and says so in the next one if it had to drop some.

use core::mem::size_of;

use zerocopy::little_endian::U32;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::lun::{BadLun, Lun, LunField};

/// Bit of `event`: events before this one were lost.
pub const EVENTS_MISSED: u32 = 1 << 31;
/// `event`: nothing but, perhaps, [`EVENTS_MISSED`].
pub const NO_EVENT: u32 = 0;
/// `event`: a unit or target came, went or was reset.
pub const TRANSPORT_RESET: u32 = 1;
/// `event`: an event that the driver subscribed to.
pub const ASYNC_NOTIFY: u32 = 2;
/// `event`: a parameter of a unit changed.
pub const PARAM_CHANGE: u32 = 3;

/// `reason` of [`TRANSPORT_RESET`]: the unit was reset hard.
pub const RESET_HARD: u32 = 0;
/// `reason` of [`TRANSPORT_RESET`]: look for the unit, or for the target if the LUN is 0.
pub const RESET_RESCAN: u32 = 1;
/// `reason` of [`TRANSPORT_RESET`]: the unit is gone.
pub const RESET_REMOVED: u32 = 2;

/// An event buffer, written by the device.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Event {
    /// What happened, with [`EVENTS_MISSED`] in the top bit.
    pub event: U32,
    /// The logical unit that it happened to.
    pub lun: LunField,
    /// Why; the meaning depends on `event`.
    pub reason: U32,
}

const _: () = assert!(size_of::<Event>() == 16);

/// A decoded event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Events before this one were lost: the driver has to look for itself.
    pub missed: bool,
    /// What happened.
    pub kind: EventKind,
}

/// What happened, as far as a driver can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Nothing. Also what a buffer decodes to that the device returned without writing it.
    Nothing,
    /// The unit is new or may have changed; unit 0 stands for its whole target.
    Rescan(Lun),
    /// The unit is gone.
    Removed(Lun),
    /// A parameter of the unit changed.
    Changed {
        /// The unit.
        lun: Lun,
        /// The additional sense code (ASC) that describes the change.
        asc: u8,
        /// Its qualifier (ASCQ).
        ascq: u8,
    },
    /// A transport reset for a reason that asks nothing of a driver, such as [`RESET_HARD`].
    UnknownReason(u32),
    /// An event that this module does not know.
    Unknown(u32),
    /// The LUN field names no unit.
    BadLun(BadLun),
}

impl EventKind {
    /// Whether the unit should be asked for its parameters again.
    ///
    /// These are the sense codes 2A/00 (parameters changed), 2A/01 (mode
    /// parameters changed) and 2A/09 (capacity data has changed) of SPC-6.
    pub const fn needs_revalidation(asc: u8, ascq: u8) -> bool {
        asc == 0x2a && matches!(ascq, 0x00 | 0x01 | 0x09)
    }
}

impl Event {
    /// A buffer as the device fills it for a unit that may be new.
    pub fn rescan(lun: Lun) -> Self {
        Self::new(TRANSPORT_RESET, lun, RESET_RESCAN)
    }

    /// A buffer as the device fills it for a unit that is gone.
    pub fn removed(lun: Lun) -> Self {
        Self::new(TRANSPORT_RESET, lun, RESET_REMOVED)
    }

    /// A buffer as the device fills it for a changed parameter.
    pub fn changed(lun: Lun, asc: u8, ascq: u8) -> Self {
        Self::new(PARAM_CHANGE, lun, u32::from_le_bytes([asc, ascq, 0, 0]))
    }

    fn new(event: u32, lun: Lun, reason: u32) -> Self {
        Self {
            event: U32::new(event),
            lun: lun.to_reported(),
            reason: U32::new(reason),
        }
    }

    /// Says what the event is. The buffer must have been copied out of shared memory.
    pub fn decode(&self) -> Notice {
        let event = self.event.get();
        Notice {
            missed: event & EVENTS_MISSED != 0,
            kind: self.kind(event & !EVENTS_MISSED),
        }
    }

    fn kind(&self, event: u32) -> EventKind {
        let reason = self.reason.get();
        match (event, Lun::try_from(self.lun)) {
            (NO_EVENT, _) => EventKind::Nothing,
            (TRANSPORT_RESET, _) if !matches!(reason, RESET_RESCAN | RESET_REMOVED) => {
                EventKind::UnknownReason(reason)
            }
            (TRANSPORT_RESET | PARAM_CHANGE, Err(bad)) => EventKind::BadLun(bad),
            (TRANSPORT_RESET, Ok(lun)) if reason == RESET_RESCAN => EventKind::Rescan(lun),
            (TRANSPORT_RESET, Ok(lun)) => EventKind::Removed(lun),
            (PARAM_CHANGE, Ok(lun)) => {
                let [asc, ascq, ..] = reason.to_le_bytes();
                EventKind::Changed { lun, asc, ascq }
            }
            (unknown, _) => EventKind::Unknown(unknown),
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::FromBytes;

    fn lun() -> Lun {
        Lun::new(2, 300).expect("in range")
    }

    #[test]
    fn what_a_device_builds_is_what_a_driver_reads() {
        let changed = EventKind::Changed {
            lun: lun(),
            asc: 0x2a,
            ascq: 9,
        };
        let cases = [
            (Event::rescan(lun()), EventKind::Rescan(lun())),
            (Event::removed(lun()), EventKind::Removed(lun())),
            (Event::changed(lun(), 0x2a, 9), changed),
            (Event::default(), EventKind::Nothing),
        ];
        for (event, kind) in cases {
            let missed = false;
            assert_eq!(event.decode(), Notice { missed, kind });
        }
    }

    #[test]
    fn missed_stands_beside_the_event() {
        let mut event = Event::removed(lun());
        event.event = U32::new(event.event.get() | EVENTS_MISSED);
        assert!(event.decode().missed);
        assert_eq!(event.decode().kind, EventKind::Removed(lun()));
    }

    #[test]
    fn what_a_driver_cannot_act_on_keeps_its_value() {
        let hard = Event::new(TRANSPORT_RESET, lun(), RESET_HARD);
        assert_eq!(hard.decode().kind, EventKind::UnknownReason(RESET_HARD));
        let unknown = Event::new(77, lun(), 0);
        assert_eq!(unknown.decode().kind, EventKind::Unknown(77));
        let nameless = Event {
            lun: LunField([9; 8]),
            ..Event::removed(lun())
        };
        let bad = BadLun::NotSingleLevel(9);
        assert_eq!(nameless.decode().kind, EventKind::BadLun(bad));
    }

    #[test]
    fn revalidation_follows_the_sense_code() {
        for ascq in [0, 1, 9] {
            assert!(EventKind::needs_revalidation(0x2a, ascq));
        }
        assert!(!EventKind::needs_revalidation(0x2a, 2));
        assert!(!EventKind::needs_revalidation(0x29, 0));
    }

    proptest! {
        #[test]
        fn any_buffer_decodes(bytes: [u8; 16]) {
            let event = Event::read_from_bytes(&bytes).expect("size is exact");
            prop_assert_eq!(event.decode().missed, bytes[3] & 0x80 != 0);
        }
    }
}
