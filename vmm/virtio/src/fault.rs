// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a virtio-scsi host can be told to do wrong
//! ([`hospes_device::fault`]): the kinds ([`FaultKind`]), and which requests
//! they concern ([`Select`]).
//!
//! What a [lie](FaultKind::is_lie) says has come back is not written to any more.

mod kind;
mod select;
#[cfg(test)]
mod tests;

pub use hospes_device::fault::{FaultError, Held, Late, Random, When};
pub use kind::{ConfigField, FaultKind};
pub use select::{About, Select};

use hospes_device::fault;
use kind::Subject;

/// Something that a host is to do wrong. In JSON it is one flat object:
/// `{"kind": "delay", "ms": 500, "lun": 3, "count": 10}`.
pub type Fault = fault::Fault<FaultKind>;
/// A fault and what came of it.
pub type FaultStatus = fault::FaultStatus<FaultKind>;
/// The faults of one host.
pub type Faults = fault::Faults<FaultKind>;
/// What happens to a request.
pub type Effect = fault::Effect<FaultKind>;

impl fault::Kind for FaultKind {
    type Select = Select;
    type About = About;

    const KEYS: &'static [&'static str] = &Select::KEYS;

    fn name(&self) -> &'static str {
        FaultKind::name(self)
    }

    fn is_immediate(&self) -> bool {
        FaultKind::is_immediate(self)
    }

    fn check(&self, select: &Select) -> Result<(), FaultError> {
        select.check(self)
    }

    fn matches(&self, select: &Select, about: &About) -> bool {
        select.matches(self, about)
    }
}

/// What the faults of a host mean for its requests.
pub trait OfRequests {
    /// What happens to a command, and to its completion.
    fn of_command(&self, about: &About) -> Vec<Effect>;
    /// What happens to a task management function.
    fn of_function(&self, about: &About) -> Vec<Effect>;
    /// What happens to a completion of a queue that has no commands.
    fn of_completion(&self, about: &About) -> Vec<Effect>;
    /// Whether a [lie](FaultKind::is_lie) is armed.
    fn has_lies(&self) -> bool;
    /// The settings that configuration fields are overridden with.
    fn of_config(&self) -> Vec<FaultKind>;
}

impl OfRequests for Faults {
    fn of_command(&self, about: &About) -> Vec<Effect> {
        let subjects = [Subject::Command, Subject::Completion];
        self.pick(about, |kind| subjects.contains(&kind.subject()))
    }

    fn of_function(&self, about: &About) -> Vec<Effect> {
        self.pick(about, |kind| kind.subject() == Subject::TaskManagement)
    }

    fn of_completion(&self, about: &About) -> Vec<Effect> {
        self.pick(about, |kind| kind.subject() == Subject::Completion)
    }

    fn has_lies(&self) -> bool {
        !self.kinds(FaultKind::is_lie).is_empty()
    }

    fn of_config(&self) -> Vec<FaultKind> {
        self.kinds(|kind| matches!(kind, FaultKind::Config { .. }))
    }
}
