// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One SCSI command on a request queue (VIRTIO 1.3, section 5.6.6.1).
//!
//! A chain is, in this order: header and data-out to be read, response and
//! data-in to be written. The data is never copied here: the target is given
//! scatter lists of guest memory.

use std::mem::size_of;

use hospes_device::memory::SgList;
use hospes_scsi::{CdbBytes, Command, Outcome, Response, TaskAttribute};
use protocol::scsi::lun::{Lun as TargetLun, REPORT_LUNS_WELL_KNOWN};
use protocol::virtio_scsi::{
    BadLun, CommandRequest, Lun, LunField, ResponseCode, ResponseHeader,
    TaskAttribute as RawAttribute, CDB_SIZE,
};
use thiserror::Error;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

use super::config::{FieldSizes, MAX_SENSE_SIZE};
use crate::queue::{Chain, ChainFault};

/// Length of a request header without its command descriptor block.
const PREFIX_LEN: usize = size_of::<CommandRequest>() - CDB_SIZE;

/// Length of the fixed part of a response.
const RESPONSE_LEN: usize = size_of::<ResponseHeader>();

/// The well-known unit that answers REPORT LUNS for the whole host.
const REPORT_LUNS_UNIT: LunField = LunField([0xc1, 1, 0, 0, 0, 0, 0, 0]);

/// Why a request is not given to the target.
#[derive(Debug, Error)]
enum Malformed {
    #[error("{0}")]
    Chain(ChainFault),
    #[error("header of {0} bytes")]
    ShortHeader(u64),
    #[error("response area of {0} bytes")]
    ShortResponse(u64),
    #[error("data in both directions, {0} bytes out and {1} in")]
    Bidirectional(u64, u64),
    #[error("LUN field: {0:?}")]
    Lun(BadLun),
    #[error("task attribute {0}")]
    Attribute(u8),
}

impl Malformed {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Lun(_) => ResponseCode::BAD_TARGET,
            _ => ResponseCode::FAILURE,
        }
    }
}

/// A request that still has to be answered.
///
/// # Invariants
///
/// Dropping it answers with FAILURE if nothing else was answered before, and
/// returns the chain: exactly once, since the chain is an object that does so.
pub(super) struct Request {
    chain: Option<Chain>,
    response: SgList,
    data_len: u64,
    reads: bool,
}

impl Request {
    /// Understands a chain. One that makes no sense is answered at once.
    pub(super) fn accept(mut chain: Chain, sizes: FieldSizes) -> Option<(Self, Command)> {
        let buffers = chain.take_buffers();
        let mut response = buffers.writable;
        let data_in = response.split_off(RESPONSE_LEN.saturating_add(sizes.sense) as u64);
        let mut header = buffers.readable;
        let data_out = header.split_off(PREFIX_LEN.saturating_add(sizes.cdb) as u64);

        let data_len = data_in.len().saturating_add(data_out.len());
        let reads = !data_in.is_empty();
        let request = Self {
            chain: Some(chain),
            response,
            data_len,
            reads,
        };
        let parsed = match buffers.fault {
            Some(fault) => Err(Malformed::Chain(fault)),
            None => request.parse(&header, sizes, data_out, data_in),
        };
        match parsed {
            Ok(command) => Some((request, command)),
            Err(what) => {
                request.refuse(&what);
                None
            }
        }
    }

    fn parse(
        &self,
        header: &SgList,
        sizes: FieldSizes,
        data_out: SgList,
        data_in: SgList,
    ) -> Result<Command, Malformed> {
        let expected = RESPONSE_LEN.saturating_add(sizes.sense) as u64;
        if self.response.len() < expected {
            return Err(Malformed::ShortResponse(self.response.len()));
        }
        if !data_out.is_empty() && !data_in.is_empty() {
            return Err(Malformed::Bidirectional(data_out.len(), data_in.len()));
        }
        let raw = read_header(header, sizes.cdb)?;
        let (target, lun) = decode_lun(raw.lun).map_err(Malformed::Lun)?;
        Ok(Command {
            target,
            lun,
            tag: raw.tag.get(),
            attribute: decode_attribute(raw.task_attr)?,
            cdb: CdbBytes::new(raw.cdb.get(..sizes.cdb).unwrap_or(&raw.cdb)),
            data_out,
            data_in,
        })
    }

    fn refuse(mut self, what: &Malformed) {
        if let Some(chain) = &self.chain {
            chain.report(what);
        }
        self.answer(what.code(), None);
    }

    /// Answers with what became of the command.
    pub(super) fn complete(mut self, outcome: Outcome) {
        match outcome {
            Outcome::Completed(response) => self.answer(ResponseCode::OK, Some(&response)),
            Outcome::NoTarget => self.answer(ResponseCode::BAD_TARGET, None),
            Outcome::Overrun { .. } => self.answer(ResponseCode::OVERRUN, None),
            Outcome::Aborted => self.answer(ResponseCode::ABORTED, None),
            Outcome::Reset => self.answer(ResponseCode::RESET, None),
            Outcome::Failed => self.answer(ResponseCode::FAILURE, None),
        }
    }

    fn answer(&mut self, code: ResponseCode, response: Option<&Response>) {
        let Some(chain) = self.chain.take() else {
            return;
        };
        let area = usize::try_from(self.response.len()).unwrap_or(usize::MAX);
        if area < RESPONSE_LEN {
            // There is nowhere to answer; a length of 0 says that much.
            return chain.complete(0);
        }
        let mut bytes = [0; RESPONSE_LEN + MAX_SENSE_SIZE];
        let bytes = match bytes.get_mut(..area) {
            Some(bytes) => bytes,
            None => &mut bytes,
        };
        let transferred = self.fill(bytes, code, response);
        let written = self.response.write_at(0, bytes) as u64;
        let total = written.saturating_add(transferred);
        chain.complete(u32::try_from(total).unwrap_or(u32::MAX));
    }

    /// Fills in a response; returns the bytes of data-in that came with it.
    fn fill(&self, bytes: &mut [u8], code: ResponseCode, response: Option<&Response>) -> u64 {
        let Some((header, sense)) = bytes.split_at_mut_checked(RESPONSE_LEN) else {
            return 0;
        };
        let found = response.map_or(&[][..], |response| response.sense.as_slice());
        let sense_len = sense
            .iter_mut()
            .zip(found)
            .map(|(to, from)| *to = *from)
            .count();
        let residual = response.map_or(self.data_len, |response| response.residual);
        let raw = ResponseHeader {
            sense_len: U32::new(u32::try_from(sense_len).unwrap_or(0)),
            resid: U32::new(u32::try_from(residual).unwrap_or(u32::MAX)),
            status: response.map_or(0, |response| response.status),
            response: code.0,
            ..ResponseHeader::default()
        };
        header.copy_from_slice(raw.as_bytes());
        let transferred = response.map_or(0, |response| response.transferred);
        if self.reads {
            transferred
        } else {
            0
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.answer(ResponseCode::FAILURE, None);
    }
}

/// The header, with a command descriptor block of `cdb_size` bytes.
fn read_header(list: &SgList, cdb_size: usize) -> Result<CommandRequest, Malformed> {
    let mut bytes = [0; size_of::<CommandRequest>()];
    let len = PREFIX_LEN.saturating_add(cdb_size);
    let wanted = bytes.get_mut(..len).unwrap_or_default();
    let read = list.read_at(0, wanted);
    if read < len {
        return Err(Malformed::ShortHeader(list.len()));
    }
    CommandRequest::read_from_bytes(&bytes).map_err(|_| Malformed::ShortHeader(list.len()))
}

/// Target and unit that a LUN field names.
pub(super) fn decode_lun(field: LunField) -> Result<(u8, TargetLun), BadLun> {
    if field == REPORT_LUNS_UNIT {
        // The field has no room for a target. Targets number their units by
        // themselves, so this asks the first of them.
        return Ok((0, TargetLun::WellKnown(REPORT_LUNS_WELL_KNOWN)));
    }
    let lun = Lun::try_from(field)?;
    Ok((lun.target(), TargetLun::Unit(lun.number())))
}

fn decode_attribute(raw: u8) -> Result<TaskAttribute, Malformed> {
    match RawAttribute(raw) {
        RawAttribute::SIMPLE => Ok(TaskAttribute::Simple),
        RawAttribute::ORDERED => Ok(TaskAttribute::Ordered),
        RawAttribute::HEAD_OF_QUEUE => Ok(TaskAttribute::HeadOfQueue),
        RawAttribute::ACA => Ok(TaskAttribute::Aca),
        RawAttribute(raw) => Err(Malformed::Attribute(raw)),
    }
}
