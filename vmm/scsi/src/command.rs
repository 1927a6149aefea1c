// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A command on its way in, and what comes back.

use hospes_device::memory::SgList;
use protocol::scsi::lun::Lun;
use protocol::scsi::sense::{Format, Sense, SenseBytes};
use protocol::scsi::status;

use crate::protection::ProtectionBuffers;

/// Where a logical unit is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitAddress {
    /// The target id on the controller.
    pub target: u8,
    /// The logical unit number, at most [`protocol::scsi::lun::MAX_LUN`].
    pub lun: u16,
}

/// The bytes of a command descriptor block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CdbBytes {
    bytes: [u8; CdbBytes::CAPACITY],
    len: usize,
}

impl CdbBytes {
    /// The longest block that a transport of ours carries.
    pub const CAPACITY: usize = 32;

    /// Copies a block. No command that is known here is longer than
    /// [`Self::CAPACITY`], and what is beyond is dropped.
    pub fn new(cdb: &[u8]) -> Self {
        let mut bytes = [0; Self::CAPACITY];
        let len = bytes
            .iter_mut()
            .zip(cdb)
            .map(|(to, from)| *to = *from)
            .count();
        Self { bytes, len }
    }

    /// The bytes that there are.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

/// How a command is ordered among others (SAM-5, section 8.6).
///
/// Every command of a [`Queue`](crate::Queue) is executed in the order of
/// submission, so that on one queue all attributes come to the same. The
/// exception is `Aca`, which is an error: units have no auto contingent
/// allegiance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskAttribute {
    /// In any order.
    #[default]
    Simple,
    /// After all earlier ones, and before all later ones.
    Ordered,
    /// Before all others.
    HeadOfQueue,
    /// While there is an auto contingent allegiance condition.
    Aca,
}

/// A command, with the guest memory that it works on.
#[derive(Debug)]
pub struct Command {
    /// The target id that it is for.
    pub target: u8,
    /// The logical unit that it is for.
    pub lun: Lun,
    /// What task management calls it. Nothing depends on tags being unique.
    pub tag: u64,
    /// Its place among other commands.
    pub attribute: TaskAttribute,
    /// The command descriptor block.
    pub cdb: CdbBytes,
    /// What goes to the device.
    pub data_out: SgList,
    /// What comes from the device.
    pub data_in: SgList,
    /// Where protection information is.
    pub protection: ProtectionBuffers,
}

/// What an initiator gets to see of a command that was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status (see [`protocol::scsi::status`]).
    pub status: u8,
    /// Sense data, of no bytes if there is none.
    pub sense: SenseBytes,
    /// How many bytes of the buffers were used.
    pub transferred: u64,
    /// How many were not.
    pub residual: u64,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The logical unit answered, or the target did for a unit that is absent.
    Completed(Response),
    /// There is nothing at this target id.
    NoTarget,
    /// The command needs a buffer of `needed` bytes, which is more than came
    /// with it. It was not executed.
    Overrun {
        /// The bytes that it would transfer.
        needed: u64,
    },
    /// It was aborted by task management, or its unit was removed.
    Aborted,
    /// It was ended by a reset.
    Reset,
    /// Its completion was dropped without being called. Only a defect of the
    /// target can lead there.
    Failed,
}

/// How a device server ends a command that it does not end with GOOD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// CHECK CONDITION.
    Check {
        /// Why.
        sense: Sense,
        /// How many bytes were transferred before.
        transferred: u64,
    },
    /// The buffers are too short for the command; see [`Outcome::Overrun`].
    Overrun {
        /// The bytes that it would transfer.
        needed: u64,
    },
    /// Any other status, or sense data that came from elsewhere.
    Status {
        /// The status (see [`protocol::scsi::status`]).
        status: u8,
        /// Sense data, of no bytes if there is none.
        sense: SenseBytes,
        /// How many bytes were transferred before.
        transferred: u64,
    },
    /// It ended without a status.
    Ended(Outcome),
}

impl From<Sense> for Failure {
    fn from(sense: Sense) -> Self {
        Self::Check {
            sense,
            transferred: 0,
        }
    }
}

impl Outcome {
    /// What `result` means for the initiator of `command`, where `Ok` holds the
    /// number of bytes that were transferred.
    pub(crate) fn of(command: &Command, result: Result<u64, Failure>, format: Format) -> Self {
        let (status, sense, transferred) = match result {
            Ok(transferred) => (status::GOOD, SenseBytes::default(), transferred),
            Err(Failure::Check { sense, transferred }) => {
                (status::CHECK_CONDITION, sense.encode(format), transferred)
            }
            Err(Failure::Status {
                status,
                sense,
                transferred,
            }) => (status, sense, transferred),
            Err(Failure::Overrun { needed }) => return Self::Overrun { needed },
            Err(Failure::Ended(outcome)) => return outcome,
        };
        let offered = command.data_out.len().saturating_add(command.data_in.len());
        let residual = offered.saturating_sub(transferred);
        Self::Completed(Response {
            status,
            sense,
            transferred,
            residual,
        })
    }
}

/// A completion of any kind.
pub(crate) type BoxedCompletion = Box<dyn FnOnce(Outcome) + Send>;

/// A completion that is called exactly once: by [`Completion::complete`], or
/// with [`Outcome::Failed`] when it is dropped.
pub(crate) struct Completion<F: FnOnce(Outcome)>(Option<F>);

impl<F: FnOnce(Outcome)> Completion<F> {
    pub(crate) fn new(completion: F) -> Self {
        Self(Some(completion))
    }

    /// The same, in a form that can be kept beside others.
    pub(crate) fn boxed(mut self) -> Completion<BoxedCompletion>
    where
        F: Send + 'static,
    {
        let completion = self.0.take();
        Completion(completion.map(|completion| Box::new(completion) as BoxedCompletion))
    }

    pub(crate) fn complete(mut self, outcome: Outcome) {
        self.call(outcome);
    }

    fn call(&mut self, outcome: Outcome) {
        if let Some(completion) = self.0.take() {
            completion(outcome);
        }
    }
}

impl<F: FnOnce(Outcome)> Drop for Completion<F> {
    fn drop(&mut self) {
        self.call(Outcome::Failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn completions_are_called_once() {
        let seen = RefCell::new(Vec::new());
        Completion::new(|outcome| seen.borrow_mut().push(outcome)).complete(Outcome::Aborted);
        drop(Completion::new(|outcome| seen.borrow_mut().push(outcome)));
        assert_eq!(*seen.borrow(), [Outcome::Aborted, Outcome::Failed]);
    }

    #[test]
    fn long_blocks_are_cut() {
        assert_eq!(CdbBytes::new(&[1; 40]).as_slice(), [1; 32]);
        assert_eq!(CdbBytes::new(&[1, 2]).as_slice(), [1, 2]);
    }
}
