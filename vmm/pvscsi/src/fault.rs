// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What an adapter can be told to do wrong ([`hospes_device::fault`]).
//!
//! Each request is looked at once, when it is taken, and takes along what is to happen to
//! it ([`Fate`]) and to its completion ([`Wrong`]). One that is not to be executed goes
//! through the target nevertheless, as one without effect: so it waits and is aborted as
//! any other.
//!
//! Contexts are the guest's: one that gives a context to another request at once cannot
//! tell a completion that is repeated from that request's, and what its memory holds then
//! is its own affair.

mod inject;
mod kind;
#[cfg(test)]
mod tests;

pub use inject::{Fault, FaultStatus};
pub use kind::{About, FaultKind, Select};

use std::time::Duration;

use hospes_device::fault::{Faults, Random};
use hospes_scsi::fault::sense;
use hospes_scsi::{Outcome, Response};
use protocol::pvscsi::{CompletionDescriptor, Context, HostStatus, RequestDescriptor};
use zerocopy::{FromZeros, IntoBytes};

/// What is to happen to a request.
#[derive(Default)]
pub(crate) struct Fate {
    pub(crate) delay: Duration,
    pub(crate) is_dropped: bool,
    pub(crate) wrong: Wrong,
}

/// What is wrong with a completion.
#[derive(Default)]
pub(crate) struct Wrong {
    instead: Option<Instead>,
    garbage: Vec<(FaultKind, Random)>,
    /// Requests that never were, which are completed before.
    pub(crate) unknown: Vec<Context>,
    /// How often it comes beside the first time.
    pub(crate) more: usize,
    /// How far the index is ahead afterwards.
    pub(crate) ahead: Option<u32>,
}

/// How a request ends instead of being executed.
#[derive(Clone, Copy)]
enum Instead {
    Scsi(Response),
    Host(HostStatus),
}

/// What is to happen to a request; `None` is nothing.
pub(crate) fn fate(faults: &Faults<FaultKind>, request: &RequestDescriptor) -> Option<Box<Fate>> {
    if !faults.is_armed() {
        return None;
    }
    let about = About::Request {
        target: request.target,
        opcode: request.cdb.first().copied().unwrap_or(0),
    };
    let effects = faults.pick(&about, |_| true);
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
            kind => fate.wrong.add(kind, random),
        }
    }
    Some(fate)
}

/// The kind of fault that happens to something else than a request.
pub(crate) fn of(faults: &Faults<FaultKind>, about: About) -> Option<FaultKind> {
    let mut effects = faults.pick(&about, |_| true).into_iter();
    effects.next().map(|(kind, _)| kind)
}

impl Wrong {
    fn add(&mut self, kind: FaultKind, random: Random) {
        match kind {
            FaultKind::Status {
                status,
                key,
                asc,
                ascq,
            } => {
                self.instead = Some(Instead::Scsi(Response {
                    status,
                    sense: sense(status, key, asc, ascq),
                    transferred: 0,
                    residual: 0,
                }));
            }
            FaultKind::HostStatus { code } => {
                self.instead = Some(Instead::Host(HostStatus(code)));
            }
            FaultKind::UnknownContext { id } => self.unknown.push(Context(id)),
            FaultKind::Twice {} => self.more = self.more.saturating_add(1),
            FaultKind::CompletionIndex { ahead } => self.ahead = Some(ahead),
            kind => self.garbage.push((kind, random)),
        }
    }

    /// Whether the request is not to be executed.
    pub(crate) fn is_instead(&self) -> bool {
        self.instead.is_some()
    }

    /// What came of the request, or the host status that it has in its place. One that was
    /// ended stays so.
    pub(crate) fn outcome(&self, outcome: Outcome) -> Result<Outcome, HostStatus> {
        match (self.instead, outcome) {
            (Some(Instead::Scsi(response)), Outcome::Completed(_)) => {
                Ok(Outcome::Completed(response))
            }
            (Some(Instead::Host(status)), Outcome::Completed(_)) => Err(status),
            (_, outcome) => Ok(outcome),
        }
    }

    /// Overwrites what is wrong in a completion.
    pub(crate) fn overwrite(&mut self, completion: &mut CompletionDescriptor) {
        for (kind, random) in &mut self.garbage {
            overwrite(kind, random, completion);
        }
    }
}

fn overwrite(kind: &FaultKind, random: &mut Random, completion: &mut CompletionDescriptor) {
    let FaultKind::Garbage {
        transferred,
        sense_len,
        code,
        status,
    } = kind
    else {
        return;
    };
    let is_named = transferred.is_some() || sense_len.is_some();
    if !is_named && code.is_none() && status.is_none() {
        let mut noise = CompletionDescriptor::new_zeroed();
        random.fill(noise.as_mut_bytes());
        noise.context = completion.context;
        return *completion = noise;
    }
    if let Some(len) = transferred {
        completion.data_len.set(*len);
    }
    if let Some(len) = sense_len {
        completion.sense_len.set(*len);
    }
    if let Some(code) = code {
        completion.host_status.set(*code);
    }
    if let Some(status) = status {
        completion.scsi_status.set(*status);
    }
}
