// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a controller can be told to do wrong ([`hospes_device::fault`]).
//!
//! Each request is looked at once, when it comes, and takes along what is to
//! happen to it ([`Fate`]) and to its answer ([`Wrong`]). A command that is not to
//! be executed goes through the target nevertheless, as one without effect.
//!
//! Ids of requests are the guest's: one that gives an id to another request at
//! once cannot tell an answer that is repeated from that request's, and what its
//! memory holds then is its own affair.

mod inject;
mod kind;
mod wrong;

pub use inject::{Fault, FaultStatus};
pub use kind::{About, FaultKind, Select};

use std::sync::Arc;
use std::time::Duration;

use hospes_device::fault::{Faults, Held, Late};
use hospes_scsi::fault::sense;
use hospes_scsi::Outcome;
use protocol::scsi::sense::SenseBytes;
use protocol::storvsp::outcome::{answer, Ending};
use protocol::storvsp::packet::Properties;
use protocol::storvsp::{Operation, Packet, ScsiRequest};

use super::request::Request;
use super::Kind;
pub(super) use wrong::Wrong;

/// Commands that are kept at most: fewer than a channel may owe answers for, as
/// it takes no reset any more when it owes as many.
const MAX_DROPPED: usize = super::MAX_IN_FLIGHT / 2;

/// The faults of a controller, and what they keep.
pub(super) struct Faulty {
    pub(super) faults: Faults<FaultKind>,
    dropped: Held<Dropped>,
    pub(super) late: Late,
}

/// A command that is kept. Dropping it ends it as a reset does.
struct Dropped(Option<Request>);

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Some(request) = self.0.take() {
            request.complete(Outcome::Reset);
        }
    }
}

/// What is to happen to a request.
#[derive(Default)]
pub(super) struct Fate {
    pub(super) delay: Duration,
    pub(super) is_dropped: bool,
    pub(super) instead: Option<Instead>,
    properties: Vec<(Option<u16>, Option<u32>)>,
    pub(super) wrong: Option<Box<Wrong>>,
}

/// How a request ends instead of being carried out.
#[derive(Clone, Copy)]
pub(super) enum Instead {
    Status { status: u8, sense: SenseBytes },
    Srb(u8),
    Refused(u32),
}

impl Faulty {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            faults: Faults::default(),
            dropped: Held::new(MAX_DROPPED),
            late: Late::default(),
        })
    }

    /// What is to happen to a request; `None` is nothing.
    pub(super) fn fate(self: &Arc<Self>, about: &About) -> Option<Box<Fate>> {
        if !self.faults.is_armed() {
            return None;
        }
        let effects = self.faults.pick(about, |_| true);
        if effects.is_empty() {
            return None;
        }
        let mut fate = Box::<Fate>::default();
        for (kind, random) in effects {
            match kind {
                FaultKind::Delay { ms } => {
                    fate.delay = fate.delay.saturating_add(Duration::from_millis(ms));
                }
                FaultKind::Drop {} => fate.is_dropped = true,
                FaultKind::Status {
                    status,
                    key,
                    asc,
                    ascq,
                } => {
                    let sense = sense(status, key, asc, ascq);
                    fate.instead = Some(Instead::Status { status, sense });
                }
                FaultKind::Srb { code } => fate.instead = Some(Instead::Srb(code)),
                FaultKind::Refuse { code } => fate.instead = Some(Instead::Refused(code)),
                FaultKind::Properties {
                    sub_channels,
                    max_transfer,
                } => fate.properties.push((sub_channels, max_transfer)),
                kind => {
                    let wrong = fate.wrong.get_or_insert_default();
                    wrong.add(kind, random, self);
                }
            }
        }
        Some(fate)
    }

    /// Whether the guest is kept from opening a channel; if so, whether the device
    /// is to be taken away.
    pub(super) fn opening(&self, channel: u16) -> Option<bool> {
        let about = About {
            channel,
            ..About::default()
        };
        let effects = self.faults.pick(&about, |_| true);
        let rescinds = |(kind, _): &_| match kind {
            FaultKind::Open { rescind } => Some(*rescind),
            _ => None,
        };
        effects.iter().find_map(rescinds)
    }

    /// Keeps a command until [`release`](Self::release), or gives it back if there are
    /// too many.
    pub(super) fn keep(&self, request: Request) -> Option<Request> {
        let back = self.dropped.keep(Dropped(Some(request))).err();
        back.and_then(|mut back| back.0.take())
    }

    /// Ends all commands that were kept.
    pub(super) fn release(&self) {
        self.dropped.release();
    }
}

impl Fate {
    /// Overwrites what the controller says about itself.
    pub(super) fn adorn(&self, answer: &mut Packet) {
        for (sub_channels, max_transfer) in &self.properties {
            let said: Properties = answer.get();
            let max_transfer = max_transfer.unwrap_or(said.max_transfer_bytes.get());
            let sub_channels = sub_channels.unwrap_or(said.sub_channels());
            answer.set(&Properties::new(sub_channels, max_transfer));
        }
    }
}

impl Instead {
    /// The answer to a command.
    pub(super) fn answer(self, request: &ScsiRequest) -> Packet {
        let ending = match &self {
            Self::Status { status, sense } => Ending::Status {
                status: *status,
                transferred: 0,
                sense: sense.as_slice(),
            },
            _ => Ending::Failed,
        };
        let mut body = answer(request, &ending);
        let mut packet = Packet::answer(protocol::storvsp::packet::status::SUCCESS);
        match self {
            Self::Status { .. } => {}
            Self::Srb(code) => body.srb_status = code,
            Self::Refused(code) => packet = Packet::answer(code),
        }
        packet.set(&body);
        packet
    }
}

impl About {
    /// What is known of a request on a channel of such a controller.
    pub(super) fn request(controller: &Kind, channel: u16, packet: &Packet) -> Self {
        let operation = packet.operation();
        let mut about = Self {
            channel,
            operation: Some(operation),
            ..Self::default()
        };
        if operation == Operation::EXECUTE_SRB {
            let request: ScsiRequest = packet.get();
            let unit = controller.unit_of(request.address());
            about.unit = unit.map(|at| (at.target, at.lun));
            about.opcode = request.cdb_or_sense.first().copied();
        }
        about
    }
}
