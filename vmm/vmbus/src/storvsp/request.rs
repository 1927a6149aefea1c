// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One SCSI command: from a packet to the target and back.
//!
//! The data is never copied here: the target is given scatter lists of guest
//! memory.

use std::sync::Arc;

use hospes_device::memory::{GuestMemory, MemoryError, Segment, SgList};
use hospes_scsi::{CdbBytes, Command, Outcome, ProtectionBuffers, Response, TaskAttribute};
use protocol::scsi::lun::Lun;
use protocol::scsi::opcode;
use protocol::scsi::sense::{asc, Format, Sense, SenseKey};
use protocol::scsi::status;
use protocol::storvsp::outcome::{answer, Ending};
use protocol::storvsp::request::{
    BadRequest, Command as GuestCommand, QUEUE_ACTION_HEAD, QUEUE_ACTION_ORDERED,
};
use protocol::storvsp::{packet, Direction, Packet, ScsiRequest};
use protocol::vmbus::packet::Data;
use thiserror::Error;
use vm_memory::GuestAddress;

use super::fault::{Fate, Instead, Wrong};
use super::port::{Leaving, Port};
use super::Kind;

/// What INQUIRY says of a target that does not exist: nothing can be there (SPC-5,
/// section 6.6.2). The rest is zero.
const NOTHING_THERE: [u8; 36] = {
    let mut data = [0; 36];
    (data[0], data[2], data[3], data[4]) = (0x7f, 5, 2, 31);
    data
};
/// What REPORT LUNS says of it: a list of no units. With an error guests would go
/// on to look for them one by one.
const NO_UNITS: [u8; 8] = [0; 8];

/// Why a command is not carried out.
#[derive(Debug, Error)]
pub(super) enum Malformed {
    #[error("{0:?}")]
    Request(BadRequest),
    #[error("{given} bytes of buffers for {wanted} of data")]
    Buffers { given: u64, wanted: u32 },
    #[error("data of a kind that is not for commands")]
    Data,
    #[error("{0}")]
    Memory(MemoryError),
}

/// A command that an answer is owed for. It is given exactly once, as completing
/// consumes it, and as the target completes each command once.
pub(super) struct Request {
    port: Arc<Port>,
    transaction: u64,
    request: ScsiRequest,
    /// Where to say that a target is not there, and what, if the guest asks for that.
    absent: Option<(SgList, &'static [u8])>,
    /// How it ends instead of as the unit says.
    instead: Option<Instead>,
    /// What is wrong with the answer.
    wrong: Option<Box<Wrong>>,
}

impl Request {
    /// Notes that an answer is owed.
    pub(super) fn begin(port: Arc<Port>, transaction: u64, request: ScsiRequest) -> Self {
        port.begin();
        Self {
            port,
            transaction,
            request,
            absent: None,
            instead: None,
            wrong: None,
        }
    }

    /// Has the command end as is its fate.
    pub(super) fn meet(&mut self, fate: Fate) {
        (self.instead, self.wrong) = (fate.instead, fate.wrong);
    }

    /// The command for the target; `None` if it is for a unit that cannot be there.
    pub(super) fn command(
        &mut self,
        kind: &Kind,
        memory: &GuestMemory,
        data: &Data<'_>,
    ) -> Result<Option<Command>, Malformed> {
        let command = self.request.command().map_err(Malformed::Request)?;
        let list = match command.direction {
            Direction::None => SgList::empty(),
            _ => list(memory, data, command.transfer_length)?,
        };
        self.absent = match command.cdb().first() {
            Some(&opcode::INQUIRY) => Some((list.clone(), &NOTHING_THERE)),
            Some(&opcode::REPORT_LUNS) => Some((list.clone(), &NO_UNITS)),
            _ => None,
        };
        let Some(at) = kind.unit_of(command.address) else {
            return Ok(None);
        };
        let (data_out, data_in) = match command.direction {
            Direction::Out => (list, SgList::empty()),
            _ => (SgList::empty(), list),
        };
        Ok(Some(Command {
            target: at.target,
            lun: Lun::Unit(at.lun),
            tag: self.transaction,
            attribute: attribute(&command),
            cdb: CdbBytes::new(command.cdb()),
            data_out,
            data_in,
            protection: ProtectionBuffers::Interleaved,
        }))
    }

    /// Answers with what became of the command.
    pub(super) fn complete(self, outcome: Outcome) {
        if let (Some(instead), Outcome::Completed(_)) = (self.instead, &outcome) {
            let packet = instead.answer(&self.request);
            return self.port.finish(self.transaction, &packet, self.wrong);
        }
        match outcome {
            Outcome::Completed(response) if says_no_unit(&response) => self.end_without_unit(),
            Outcome::Completed(response) => self.end(&Ending::Status {
                status: response.status,
                transferred: u32::try_from(response.transferred).unwrap_or(u32::MAX),
                sense: response.sense.as_slice(),
            }),
            Outcome::NoTarget => self.end_without_target(),
            Outcome::Overrun { .. } => self.end(&Ending::Invalid),
            Outcome::Aborted | Outcome::Reset if self.port.leaving().is_some() => self.send_away(),
            Outcome::Aborted => self.end(&Ending::Aborted),
            Outcome::Reset => self.end(&Ending::BusReset),
            Outcome::Failed => self.end(&Ending::Failed),
        }
    }

    /// Answers for a target that is not there.
    pub(super) fn end_without_target(self) {
        let Some((list, data)) = &self.absent else {
            return self.end_without_unit();
        };
        let transferred = u32::try_from(list.write_at(0, data)).unwrap_or(0);
        self.end(&Ending::Status {
            status: status::GOOD,
            transferred,
            sense: &[],
        });
    }

    /// Answers, without carrying it out, a command on a channel that is to be taken away.
    /// A guest may try those of a channel again, but none of a device that goes.
    pub(super) fn send_away(self) {
        match self.port.leaving() {
            Some(Leaving::Device) => self.end_without_unit(),
            _ => self.end(&Ending::BusReset),
        }
    }

    /// Answers for a unit that is not there.
    ///
    /// Linux then removes the unit, for which it looks at target and number only: a
    /// unit on another path is removed in its place. So other paths get sense data.
    fn end_without_unit(self) {
        if self.request.path == 0 {
            return self.end(&Ending::NoUnit);
        }
        let sense = Sense::illegal(asc::LOGICAL_UNIT_NOT_SUPPORTED).encode(Format::Fixed);
        self.end(&Ending::Status {
            status: status::CHECK_CONDITION,
            transferred: 0,
            sense: sense.as_slice(),
        });
    }

    /// Answers.
    pub(super) fn end(self, ending: &Ending<'_>) {
        let mut packet = Packet::answer(packet::status::SUCCESS);
        packet.set(&answer(&self.request, ending));
        self.port.finish(self.transaction, &packet, self.wrong);
    }
}

/// The first `len` bytes of a packet's buffers.
fn list(memory: &GuestMemory, data: &Data<'_>, len: u32) -> Result<SgList, Malformed> {
    if len == 0 {
        return Ok(SgList::empty());
    }
    let mut list = SgList::within(memory);
    match data {
        Data::GpaDirect(ranges) => {
            for segment in ranges.flat_map(|range| range.segments()) {
                list.append(Segment {
                    address: GuestAddress(segment.address),
                    len: segment.len,
                })
                .map_err(Malformed::Memory)?;
            }
        }
        Data::InBand => {}
        _ => return Err(Malformed::Data),
    }
    if list.len() < u64::from(len) {
        return Err(Malformed::Buffers {
            given: list.len(),
            wanted: len,
        });
    }
    list.split_off(len.into());
    Ok(list)
}

fn attribute(command: &GuestCommand) -> TaskAttribute {
    match command.queue_action {
        Some(QUEUE_ACTION_HEAD) => TaskAttribute::HeadOfQueue,
        Some(QUEUE_ACTION_ORDERED) => TaskAttribute::Ordered,
        _ => TaskAttribute::Simple,
    }
}

/// Whether a unit is not there any more, or never was.
fn says_no_unit(response: &Response) -> bool {
    response.status == status::CHECK_CONDITION
        && Sense::decode(response.sense.as_slice()).is_some_and(|sense| {
            sense.key == SenseKey::IllegalRequest
                && sense.additional == asc::LOGICAL_UNIT_NOT_SUPPORTED
        })
}
