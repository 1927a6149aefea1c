// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the faults of a [`ScsiHost`](super::ScsiHost) do to its requests.
//!
//! Each request is looked at once, when it comes, and takes along what is to
//! happen to its completion ([`Ending`]). A command that is not to be executed
//! goes through the target nevertheless, as one without effect: so it waits and
//! is aborted as any other.
//!
//! A lie about what came back may have the driver use memory again that belongs
//! to any request of the queue. It is told when there is no other, and the
//! queue serves nothing more after it: so the device lies about the memory that
//! it uses, but does not write where it must not, which no driver could survive.

use std::time::Duration;

use hospes_scsi::fault::{disarm, sense};
use hospes_scsi::{Command, Outcome, Response};
use protocol::scsi::lun::Lun;
use protocol::scsi::sense::SenseBytes;
use protocol::virtio_scsi::{ResponseCode, ResponseHeader};
use zerocopy::little_endian::{U16, U32};
use zerocopy::FromBytes;

use super::request::Request;
use crate::fault::{About, Effect, FaultKind, Faults, Held, Late, OfRequests as _, Random};
use crate::queue::{Chain, VirtQueue};

/// The faults of a host, and the requests that they keep.
pub(super) struct Faulty {
    pub(super) faults: Faults,
    dropped: Held<Chain>,
    pub(super) late: Late,
}

/// What is to happen when a command is completed.
#[derive(Default)]
pub(super) struct Ending {
    instead: Option<Instead>,
    garbage: Vec<Effect>,
    unwritten: bool,
    used: Vec<Effect>,
}

/// How a command ends instead of being executed.
#[derive(Clone, Copy)]
enum Instead {
    Status { status: u8, sense: SenseBytes },
    Response(ResponseCode),
}

impl Faulty {
    /// No faults, for a host whose queues have so many entries.
    pub(super) fn new(entries: usize) -> Self {
        Self {
            faults: Faults::default(),
            dropped: Held::new(entries),
            late: Late::default(),
        }
    }

    /// Whether there is anything to ask for.
    pub(super) fn is_armed(&self) -> bool {
        self.faults.is_armed()
    }

    /// What becomes of a command: it waits and goes on, or was dropped.
    pub(super) fn command(
        &self,
        queue: &VirtQueue,
        mut request: Request,
        mut command: Command,
    ) -> Option<(Request, Command, Duration)> {
        let (mut ending, mut delay, mut drops) = (Ending::default(), Duration::ZERO, false);
        for (kind, random) in self.faults.of_command(&about(queue, &command)) {
            match kind {
                FaultKind::Drop {} => drops = true,
                FaultKind::Delay { ms } => {
                    delay = delay.saturating_add(Duration::from_millis(ms));
                }
                kind => ending.add(kind, random),
            }
        }
        if drops {
            self.keep(request.into_chain()?);
            return None;
        }
        still(queue, &ending.used);
        if ending.instead.is_some() {
            disarm(&mut command);
        }
        if !ending.is_nothing() {
            request.end_with(ending);
        }
        Some((request, command, delay))
    }

    /// What happens to a completion of the control or the event queue.
    pub(super) fn completion(&self, queue: &VirtQueue) -> Vec<Effect> {
        if !self.is_armed() {
            return Vec::new();
        }
        let used = self.faults.of_completion(&About {
            queue: queue.index(),
            is_alone: is_alone(queue),
            ..About::default()
        });
        still(queue, &used);
        used
    }

    /// Keeps a request until the device is reset.
    pub(super) fn keep(&self, request: Chain) {
        if self.dropped.keep(request).is_err() {
            tracing::debug!("more requests to drop than queues have entries: returned");
        }
    }

    /// Returns all that was dropped, without an answer, and answers what is
    /// late. For a host whose queues are stopped.
    pub(super) fn release(&self) {
        self.dropped.release();
        self.late.release();
    }
}

/// Whether a queue has no request but the one that is looked at.
fn is_alone(queue: &VirtQueue) -> bool {
    queue.in_flight() <= 1
}

/// Has a queue serve nothing more, if one of these effects is a lie.
fn still(queue: &VirtQueue, used: &[Effect]) {
    if used.iter().any(|(kind, _)| kind.is_lie()) {
        queue.stop();
    }
}

fn about(queue: &VirtQueue, command: &Command) -> About {
    let lun = match command.lun {
        Lun::Unit(lun) => Some(lun),
        Lun::WellKnown(_) => None,
    };
    About {
        queue: queue.index(),
        unit: lun.map(|lun| (command.target, lun)),
        opcode: command.cdb.as_slice().first().copied(),
        subtype: None,
        is_alone: is_alone(queue),
    }
}

impl Ending {
    fn add(&mut self, kind: FaultKind, random: Random) {
        match kind {
            FaultKind::Status {
                status,
                key,
                asc,
                ascq,
            } => {
                let sense = sense(status, key, asc, ascq);
                self.instead = Some(Instead::Status { status, sense });
            }
            FaultKind::Response { code } => {
                self.instead = Some(Instead::Response(ResponseCode(code)));
            }
            FaultKind::Garbage { .. } => self.garbage.push((kind, random)),
            FaultKind::Unwritten {} => self.unwritten = true,
            _ => self.used.push((kind, random)),
        }
    }

    fn is_nothing(&self) -> bool {
        self.instead.is_none() && self.garbage.is_empty() && !self.unwritten && self.used.is_empty()
    }

    /// What is answered in place of `outcome`, with `residual` bytes of data
    /// that were not transferred. A command that was ended stays so.
    pub(super) fn outcome(&self, outcome: Outcome, residual: u64) -> (ResponseCode, Outcome) {
        match (self.instead, outcome) {
            (Some(Instead::Status { status, sense }), Outcome::Completed(_)) => {
                let response = Response {
                    status,
                    sense,
                    transferred: 0,
                    residual,
                };
                (ResponseCode::OK, Outcome::Completed(response))
            }
            (Some(Instead::Response(code)), Outcome::Completed(_)) => (code, Outcome::Failed),
            (_, outcome) => (code_of(&outcome), outcome),
        }
    }

    /// Whether the response is written at all.
    pub(super) fn is_written(&self) -> bool {
        !self.unwritten
    }

    /// Overwrites what is wrong in a response.
    pub(super) fn overwrite(&mut self, response: &mut [u8]) {
        for (kind, random) in &mut self.garbage {
            overwrite(kind, random, response);
        }
    }

    /// Returns a chain of which so much was written.
    pub(super) fn complete(self, chain: Chain, written: u32) {
        let written = if self.unwritten { 0 } else { written };
        complete(&self.used, chain, written);
    }
}

/// The response code of an outcome.
pub(super) fn code_of(outcome: &Outcome) -> ResponseCode {
    match outcome {
        Outcome::Completed(_) => ResponseCode::OK,
        Outcome::NoTarget => ResponseCode::BAD_TARGET,
        Outcome::Overrun { .. } => ResponseCode::OVERRUN,
        Outcome::Aborted => ResponseCode::ABORTED,
        Outcome::Reset => ResponseCode::RESET,
        Outcome::Failed => ResponseCode::FAILURE,
    }
}

fn overwrite(kind: &FaultKind, random: &mut Random, response: &mut [u8]) {
    let FaultKind::Garbage {
        sense_len,
        resid,
        qualifier,
        status,
        code,
    } = kind
    else {
        return;
    };
    let is_named = sense_len.is_some() || resid.is_some() || qualifier.is_some();
    if !is_named && status.is_none() && code.is_none() {
        return random.fill(response);
    }
    let Ok((header, _)) = ResponseHeader::mut_from_prefix(response) else {
        return;
    };
    header.sense_len = sense_len.map_or(header.sense_len, U32::new);
    header.resid = resid.map_or(header.resid, U32::new);
    header.status_qualifier = qualifier.map_or(header.status_qualifier, U16::new);
    header.status = status.unwrap_or(header.status);
    header.response = code.unwrap_or(header.response);
}

/// Returns a chain with what is wrong about its return.
pub(super) fn complete(used: &[Effect], chain: Chain, mut written: u32) {
    if used.is_empty() {
        return chain.complete(written);
    }
    let head = chain.head();
    for (kind, _) in used {
        match *kind {
            FaultKind::UsedLength { len } => written = len,
            FaultKind::UsedUnknown { id } => chain.queue().put_raw(id, 0),
            _ => {}
        }
    }
    chain.complete_then(written, |queue| {
        for (kind, _) in used {
            match *kind {
                FaultKind::UsedTwice {} => queue.put_raw(head.into(), written),
                FaultKind::UsedIndex { ahead } => queue.skip_used(ahead),
                _ => {}
            }
        }
    });
}
