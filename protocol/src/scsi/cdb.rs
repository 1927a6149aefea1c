// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Command descriptor blocks (CDBs), decoded.
//!
//! [`Cdb::decode`] turns bytes of a guest into a command that holds no wrong
//! field, or says where the first wrong one is. Whether blocks exist and
//! buffers are long enough is for the device server to find out.
//!
//! | module | commands |
//! |---|---|
//! | `block` | those that name blocks (SBC-4) |
//! | `primary` | those of all kinds of device (SPC-5) |
//! | `reserve` | PERSISTENT RESERVE IN and OUT |
//! | `fields` | fields of a CDB by their place |

mod block;
mod fields;
mod primary;
mod reserve;

pub use block::{Access, BlockRange, ByteCheck, Verify, WriteSame};
pub use primary::{LogSense, ModeSelect, ModeSense, OpcodeQuery, PageControl};
pub use reserve::{ReserveIn, ReserveOut, ReserveOutAction};

pub(in crate::scsi) use self::fields::Fields;
use super::opcode::{self, CommandInfo, SERVICE_ACTION_MASK};
use super::sense::{asc, Format, Sense};

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cdb {
    /// TEST UNIT READY.
    TestUnitReady,
    /// REQUEST SENSE.
    RequestSense {
        /// The opposite of DESC for `Fixed`.
        format: Format,
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// INQUIRY.
    Inquiry {
        /// The vital product data page, or standard data.
        page: Option<u8>,
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// REPORT LUNS.
    ReportLuns {
        /// SELECT REPORT.
        select: u8,
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// REPORT SUPPORTED OPERATION CODES.
    ReportOpcodes {
        /// REPORTING OPTIONS, and what they refer to.
        query: OpcodeQuery,
        /// RCTD: with a time-out descriptor each.
        timeouts: bool,
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS.
    ReportTaskFunctions {
        /// REPD: in the long format, with time-outs.
        extended: bool,
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// MODE SENSE (6) and (10).
    ModeSense(ModeSense),
    /// MODE SELECT (6) and (10).
    ModeSelect(ModeSelect),
    /// LOG SENSE.
    LogSense(LogSense),
    /// SEND DIAGNOSTIC, of which only the default self-test is known.
    SendDiagnostic {
        /// SELFTEST: carry out the default self-test.
        self_test: bool,
    },
    /// PERSISTENT RESERVE IN.
    ReserveIn {
        /// The service action.
        action: ReserveIn,
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// PERSISTENT RESERVE OUT.
    ReserveOut(ReserveOut),
    /// RESERVE (6) and (10), of SPC-2.
    Reserve,
    /// RELEASE (6) and (10), of SPC-2.
    Release,
    /// START STOP UNIT.
    StartStop {
        /// Start it, or stop it.
        start: bool,
        /// The opposite of NO_FLUSH: write caches out before stopping.
        flush: bool,
    },
    /// READ CAPACITY (10).
    ReadCapacity10,
    /// READ CAPACITY (16).
    ReadCapacity16 {
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// GET LBA STATUS (16).
    GetLbaStatus {
        /// STARTING LOGICAL BLOCK ADDRESS.
        lba: u64,
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// READ (6), (10), (12) and (16).
    Read(Access),
    /// WRITE (6), (10), (12) and (16).
    Write(Access),
    /// VERIFY (10), (12) and (16).
    Verify(Verify),
    /// WRITE AND VERIFY (10), (12) and (16).
    WriteAndVerify(Verify),
    /// COMPARE AND WRITE. Each block comes twice: to compare, then to write.
    CompareAndWrite(Access),
    /// SYNCHRONIZE CACHE (10) and (16).
    SynchronizeCache {
        /// The blocks to write out, where 0 blocks are all up to the last one.
        range: BlockRange,
    },
    /// WRITE SAME (10) and (16).
    WriteSame(WriteSame),
    /// UNMAP.
    Unmap {
        /// PARAMETER LIST LENGTH.
        parameter_len: u32,
    },
}

impl Cdb {
    /// Decodes a CDB. Bytes beyond the command's length are ignored, as some
    /// transports always carry 16 or 32 of them.
    ///
    /// # Errors
    ///
    /// The sense data to end the command with: INVALID COMMAND OPERATION CODE,
    /// or INVALID FIELD IN CDB with a pointer to the field.
    pub fn decode(bytes: &[u8]) -> Result<Self, Sense> {
        let fields = Fields(bytes);
        let info = identify(&fields)?;
        check_usage(&fields, info)?;
        let action = info.service_action.unwrap_or(0);
        match info.opcode {
            opcode::SERVICE_ACTION_IN_16 => Ok(fields.service_action_in(action)),
            opcode::MAINTENANCE_IN => fields.maintenance_in(action),
            opcode::PERSISTENT_RESERVE_IN => fields.reserve_in(action),
            opcode::PERSISTENT_RESERVE_OUT => fields.reserve_out(action),
            opcode => match fields.primary_command(opcode) {
                Some(command) => command,
                None => fields.block_command(opcode),
            },
        }
    }
}

/// Finds the command in the list of those that are known.
fn identify(fields: &Fields<'_>) -> Result<&'static CommandInfo, Sense> {
    let unknown = Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE);
    let opcode = *fields.0.first().ok_or(unknown)?;
    CommandInfo::find(opcode, fields.u8(1) & SERVICE_ACTION_MASK).ok_or_else(|| {
        if CommandInfo::has_service_actions(opcode) {
            Sense::invalid_cdb(1, Some(4))
        } else {
            unknown
        }
    })
}

/// Refuses bits that have no meaning, and CDBs that end too soon.
pub(in crate::scsi) fn check_usage(fields: &Fields<'_>, info: &CommandInfo) -> Result<(), Sense> {
    for (at, usage) in (0_u16..).zip(info.usage) {
        let Some(byte) = fields.0.get(usize::from(at)) else {
            return Err(Sense::invalid_cdb(at, None));
        };
        let allowed = match (at, info.service_action) {
            (0, _) => 0xff,
            (1, Some(_)) => usage | SERVICE_ACTION_MASK,
            _ => *usage,
        };
        if let Some(bit) = highest_bit(byte & !allowed) {
            return Err(Sense::invalid_cdb(at, Some(bit)));
        }
    }
    Ok(())
}

fn highest_bit(byte: u8) -> Option<u8> {
    u8::try_from(byte.checked_ilog2()?).ok()
}

#[cfg(test)]
mod tests;
