// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the bus can be told to do wrong ([`hospes_device::fault`]).
//!
//! - `kind`: what there is, and which of the host's messages it happens to;
//! - `forge`: messages that no right host sends.
//!
//! Only what the guest is told is wrong: what the bus knows of channels and memory
//! stays what it would be, unless a request is refused.

mod forge;
mod kind;

pub use kind::{FaultKind, Select};

use std::time::Duration;

use hospes_device::fault::{self, FaultError, Faults, Kind as _, Late};
use protocol::vmbus::message::Kind;

pub(super) use forge::Forged;

/// Something that the bus is to do wrong. In JSON it is one flat object:
/// `{"kind": "refuse", "operation": 5, "count": 1}`.
pub type Fault = fault::Fault<FaultKind>;
/// A fault and what came of it.
pub type FaultStatus = fault::FaultStatus<FaultKind>;

/// The faults of the bus, and what is late.
#[derive(Default)]
pub(super) struct Faulty {
    pub(super) faults: Faults<FaultKind>,
    pub(super) late: Late,
}

/// What is to happen to a message of the host's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) delay: Duration,
    pub(super) is_dropped: bool,
    /// How often it is sent beside the first time.
    pub(super) more: u8,
    /// What is asked for is not done, and ends with this status.
    pub(super) refusal: Option<u32>,
}

impl Faulty {
    /// Arms a fault, or counts one that acts at once.
    pub(super) fn arm(&self, fault: Fault) -> Result<u64, FaultError> {
        if matches!(fault.kind, FaultKind::Delay { .. }) {
            let started = self.late.start();
            started.map_err(|error| FaultError::Thread(error.to_string()))?;
        }
        if fault.kind.is_immediate() {
            return Ok(self.faults.note(&fault.kind));
        }
        self.faults.arm(fault)
    }

    /// What is to happen to the answer to such a message, or to a RESCIND.
    pub(super) fn fate(&self, about: Kind) -> Fate {
        let mut fate = Fate::default();
        if !self.faults.is_armed() {
            return fate;
        }
        for (kind, _) in self.faults.pick(&about, |_| true) {
            match kind {
                FaultKind::Delay { ms } => {
                    fate.delay = fate.delay.saturating_add(Duration::from_millis(ms));
                }
                FaultKind::Drop {} => fate.is_dropped = true,
                FaultKind::Twice {} => fate.more = fate.more.saturating_add(1),
                FaultKind::Refuse { code } => fate.refusal = Some(code),
                _ => {}
            }
        }
        fate
    }
}
