// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One SCSI command: from the request ring to the target and back.
//!
//! The data is never copied here: the target is given scatter lists of guest
//! memory.

use std::sync::Arc;

use hospes_device::memory::{MemoryError, Segment, SgList};
use hospes_scsi::{CdbBytes, Command, Outcome, ProtectionBuffers, Response, TaskAttribute};
use protocol::pvscsi::parse::{BadRequest, Direction, ParsedRequest};
use protocol::pvscsi::request::SIMPLE_TAG;
use protocol::pvscsi::{CompletionDescriptor, Context, HostStatus, RequestDescriptor};
use protocol::scsi::lun::Lun;
use protocol::scsi::status;
use thiserror::Error;
use vm_memory::GuestAddress;

use crate::fault::Wrong;
use crate::port::Port;
use crate::rings::read;

/// The other tags of SCSI-2, beside [`SIMPLE_TAG`].
const HEAD_OF_QUEUE_TAG: u8 = 0x21;
const ORDERED_TAG: u8 = 0x22;

/// Why a request is not given to the target.
#[derive(Debug, Error)]
pub(crate) enum Malformed {
    #[error("{0:?}")]
    Request(BadRequest),
    #[error("LUN field {0:02x?}")]
    Lun([u8; 8]),
    #[error("{0}")]
    Memory(#[from] MemoryError),
}

impl From<BadRequest> for Malformed {
    fn from(bad: BadRequest) -> Self {
        Self::Request(bad)
    }
}

/// A request that a completion is owed for. It is given exactly once, as completing
/// consumes the request, and as the target completes each command once.
pub(crate) struct Request {
    port: Arc<Port>,
    context: Context,
    sense: Segment,
    /// What is wrong with its completion, if anything is.
    wrong: Option<Box<Wrong>>,
}

impl Request {
    /// A request for which a completion is owed already.
    pub(crate) fn new(port: Arc<Port>, descriptor: &RequestDescriptor) -> Self {
        Self {
            port,
            context: descriptor.context(),
            sense: Segment {
                address: GuestAddress(descriptor.sense_address.get()),
                len: descriptor.sense_len.get(),
            },
            wrong: None,
        }
    }

    /// Has its completion be wrong.
    pub(crate) fn go_wrong(&mut self, wrong: Wrong) {
        self.wrong = Some(Box::new(wrong));
    }

    /// The command for the target; `None` if there is nothing where it goes.
    pub(crate) fn command(
        &self,
        descriptor: &RequestDescriptor,
    ) -> Result<Option<Command>, Malformed> {
        let parsed = descriptor.parse()?;
        if descriptor.bus != 0 {
            return Ok(None);
        }
        let lun = Lun::decode(descriptor.lun).ok_or(Malformed::Lun(descriptor.lun))?;
        let list = self.list(&parsed)?;
        let (data_out, data_in) = match parsed.direction {
            Direction::Out => (list, SgList::empty()),
            Direction::In | Direction::None => (SgList::empty(), list),
        };
        Ok(Some(Command {
            target: descriptor.target,
            lun,
            tag: self.context.0,
            attribute: attribute(descriptor.tag),
            cdb: CdbBytes::new(parsed.cdb),
            data_out,
            data_in,
            protection: ProtectionBuffers::Interleaved,
        }))
    }

    /// The pieces of the data.
    fn list(&self, parsed: &ParsedRequest<'_>) -> Result<SgList, Malformed> {
        let memory = &self.port.rings.memory;
        let mut list = SgList::within(memory);
        let element = |address| read(memory, GuestAddress(address));
        let piece = |address, len| {
            let address = GuestAddress(address);
            Ok::<(), Malformed>(list.append(Segment { address, len })?)
        };
        parsed.pieces(element, piece)?;
        Ok(list)
    }

    /// Completes the request with what became of the command.
    pub(crate) fn complete(self, outcome: Outcome) {
        let outcome = match &self.wrong {
            None => Ok(outcome),
            Some(wrong) => wrong.outcome(outcome),
        };
        match outcome {
            Ok(outcome) => self.complete_with(outcome),
            Err(status) => self.fail(status),
        }
    }

    fn complete_with(self, outcome: Outcome) {
        match outcome {
            Outcome::Completed(response) => self.answer(&response),
            Outcome::NoTarget => self.fail(HostStatus::SELECTION_TIMEOUT),
            Outcome::Overrun { .. } => self.fail(HostStatus::DATA_RUN),
            Outcome::Aborted => self.fail(HostStatus::ABORT_QUEUE),
            Outcome::Reset => self.fail(HostStatus::BUS_RESET),
            Outcome::Failed => self.fail(HostStatus::ADAPTER_HARDWARE),
        }
    }

    /// Completes a request that the target has not had, or not to its end.
    pub(crate) fn fail(self, why: HostStatus) {
        let completion = CompletionDescriptor::failed(self.context, why);
        self.give(completion);
    }

    fn give(self, completion: CompletionDescriptor) {
        match self.wrong {
            None => self.port.finish(&completion),
            Some(wrong) => self.port.finish_wrongly(completion, *wrong),
        }
    }

    fn answer(self, response: &Response) {
        let answered =
            CompletionDescriptor::answered(self.context, response.status, response.transferred);
        if response.status != status::CHECK_CONDITION || self.sense.len == 0 {
            return self.give(answered);
        }
        match SgList::new(&self.port.rings.memory, [self.sense]) {
            Ok(buffer) => {
                let written = buffer.write_at(0, response.sense.as_slice());
                let written = u32::try_from(written).unwrap_or(u32::MAX);
                self.give(answered.with_sense(written));
            }
            Err(error) => {
                self.port.record.warn(&format!("sense data: {error}"));
                self.fail(HostStatus::SENSE_FAILED);
            }
        }
    }
}

fn attribute(tag: u8) -> TaskAttribute {
    match tag {
        HEAD_OF_QUEUE_TAG => TaskAttribute::HeadOfQueue,
        ORDERED_TAG => TaskAttribute::Ordered,
        // `SIMPLE_TAG`, and none.
        _ => TaskAttribute::Simple,
    }
}

const _: () = assert!(SIMPLE_TAG != HEAD_OF_QUEUE_TAG && SIMPLE_TAG != ORDERED_TAG);
