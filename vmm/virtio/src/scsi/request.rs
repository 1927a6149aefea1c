// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One SCSI command on a request queue (VIRTIO 1.3, section 5.6.6.1).
//!
//! A chain is, in this order: header and data-out to be read, response and
//! data-in to be written. Where protection information (PI) was negotiated, it
//! comes before the data of its direction, and the header has its length. The
//! data is never copied here: the target is given scatter lists of guest memory.

use std::mem::size_of;

use hospes_device::memory::SgList;
use hospes_scsi::{
    CdbBytes, Command, Outcome, ProtectionBuffers, Response, SeparateProtection, TaskAttribute,
};
use protocol::scsi::lun::{Lun as TargetLun, REPORT_LUNS_WELL_KNOWN};
use protocol::virtio_scsi::{
    BadLun, CommandRequest, CommandRequestPi, Lun, LunField, ResponseCode, ResponseHeader,
    TaskAttribute as RawAttribute, CDB_SIZE,
};
use thiserror::Error;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

use super::config::{FieldSizes, MAX_SENSE_SIZE};
use super::fault::{self, Ending};
use crate::queue::{Chain, ChainFault};

/// Length of a request header without its command descriptor block.
const PREFIX_LEN: usize = size_of::<CommandRequest>() - CDB_SIZE;

/// The same, where it has the lengths of protection information.
const PREFIX_LEN_PI: usize = size_of::<CommandRequestPi>() - CDB_SIZE;

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
    #[error("{0} bytes of protection information out and {1} in do not go with the buffers")]
    Protection(u64, u64),
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
    /// Bytes of protection information ahead of data-in.
    protection_len: u64,
    reads: bool,
    /// What is to go wrong with the answer.
    ending: Option<Box<Ending>>,
}

/// The buffers of a request beside header and response.
struct Data {
    out: SgList,
    input: SgList,
    protection: ProtectionBuffers,
}

impl Request {
    /// Understands a chain. One that makes no sense is answered at once.
    pub(super) fn accept(mut chain: Chain, sizes: FieldSizes) -> Option<(Self, Command)> {
        let buffers = chain.take_buffers();
        let mut response = buffers.writable;
        let data_in = response.split_off(RESPONSE_LEN.saturating_add(sizes.sense) as u64);
        let mut header = buffers.readable;
        let data_out = header.split_off(header_len(sizes) as u64);

        let mut request = Self {
            chain: Some(chain),
            response,
            data_len: data_in.len().saturating_add(data_out.len()),
            protection_len: 0,
            reads: !data_in.is_empty(),
            ending: None,
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

    /// Gives up the request: nothing is written for it, and the chain is still
    /// to be returned.
    pub(super) fn into_chain(mut self) -> Option<Chain> {
        self.chain.take()
    }

    /// Says what goes wrong when the request is answered.
    pub(super) fn end_with(&mut self, ending: Ending) {
        self.ending = Some(Box::new(ending));
    }

    fn parse(
        &mut self,
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
        let raw = read_header(header, sizes)?;
        let data = self.split_protection(&raw, sizes, data_out, data_in)?;
        let (target, lun) = decode_lun(raw.lun).map_err(Malformed::Lun)?;
        Ok(Command {
            target,
            lun,
            tag: raw.tag.get(),
            attribute: decode_attribute(raw.task_attr)?,
            cdb: CdbBytes::new(raw.cdb.get(..sizes.cdb).unwrap_or(&raw.cdb)),
            data_out: data.out,
            data_in: data.input,
            protection: data.protection,
        })
    }

    /// Takes the protection information from the front of the data.
    fn split_protection(
        &mut self,
        raw: &CommandRequestPi,
        sizes: FieldSizes,
        mut out: SgList,
        mut input: SgList,
    ) -> Result<Data, Malformed> {
        if !sizes.protection {
            let protection = ProtectionBuffers::Interleaved;
            return Ok(Data {
                out,
                input,
                protection,
            });
        }
        let len = (raw.pi_bytesout.get().into(), raw.pi_bytesin.get().into());
        if len.0 > out.len() || len.1 > input.len() {
            return Err(Malformed::Protection(len.0, len.1));
        }
        let protection = match len {
            (0, 0) => ProtectionBuffers::Stripped,
            (out_len, in_len) => {
                let (data_out, data_in) = (out.split_off(out_len), input.split_off(in_len));
                let out = std::mem::replace(&mut out, data_out);
                let input = std::mem::replace(&mut input, data_in);
                ProtectionBuffers::Separate(Box::new(SeparateProtection { out, input }))
            }
        };
        self.data_len = out.len().saturating_add(input.len());
        self.protection_len = len.1;
        Ok(Data {
            out,
            input,
            protection,
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
        let (code, outcome) = match &self.ending {
            None => (fault::code_of(&outcome), outcome),
            Some(ending) => ending.outcome(outcome, self.data_len),
        };
        match outcome {
            Outcome::Completed(response) => self.answer(code, Some(&response)),
            _ => self.answer(code, None),
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
        if let Some(ending) = self.ending.take() {
            return self.end(*ending, chain, bytes, transferred);
        }
        let written = self.response.write_at(0, bytes) as u64;
        let total = written.saturating_add(transferred);
        chain.complete(u32::try_from(total).unwrap_or(u32::MAX));
    }

    /// The end of [`answer`](Self::answer) where something is to go wrong.
    fn end(&self, mut ending: Ending, chain: Chain, bytes: &mut [u8], transferred: u64) {
        ending.overwrite(bytes);
        let mut written = 0;
        if ending.is_written() {
            written = self.response.write_at(0, bytes) as u64;
        }
        let total = written.saturating_add(transferred);
        ending.complete(chain, u32::try_from(total).unwrap_or(u32::MAX));
    }

    /// Fills in a response; returns the bytes behind it that were written.
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
        // What is counted has no gaps, and protection information comes first.
        match (self.reads, self.protection_len) {
            (false, _) => 0,
            (true, 0) => transferred,
            (true, len) if transferred == self.data_len => len.saturating_add(transferred),
            (true, _) => 0,
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.answer(ResponseCode::FAILURE, None);
    }
}

/// The length of a header before the data.
fn header_len(sizes: FieldSizes) -> usize {
    let prefix = if sizes.protection {
        PREFIX_LEN_PI
    } else {
        PREFIX_LEN
    };
    prefix.saturating_add(sizes.cdb)
}

/// The header, in the form that can hold everything.
fn read_header(list: &SgList, sizes: FieldSizes) -> Result<CommandRequestPi, Malformed> {
    let mut bytes = [0; size_of::<CommandRequestPi>()];
    let len = header_len(sizes);
    let wanted = bytes.get_mut(..len).unwrap_or_default();
    if list.read_at(0, wanted) < len {
        return Err(Malformed::ShortHeader(list.len()));
    }
    if sizes.protection {
        return CommandRequestPi::read_from_bytes(&bytes)
            .map_err(|_| Malformed::ShortHeader(list.len()));
    }
    let (plain, _) =
        CommandRequest::read_from_prefix(&bytes).map_err(|_| Malformed::ShortHeader(list.len()))?;
    Ok(CommandRequestPi {
        lun: plain.lun,
        tag: plain.tag,
        task_attr: plain.task_attr,
        prio: plain.prio,
        crn: plain.crn,
        cdb: plain.cdb,
        ..CommandRequestPi::default()
    })
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
