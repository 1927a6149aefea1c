// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands that all kinds of device have (SPC-5, section 6).

use super::fields::Fields;
use super::Cdb;
use crate::scsi::opcode;
use crate::scsi::sense::{Format, Sense};

/// Which values MODE SENSE returns: PC (SPC-5, section 6.13.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageControl {
    /// Those in effect.
    Current,
    /// A mask of those that can be changed.
    Changeable,
    /// Those after power on.
    Default,
    /// Those that were saved.
    Saved,
}

/// What REPORT SUPPORTED OPERATION CODES asks for (SPC-5, section 6.34.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpcodeQuery {
    /// Every command.
    All,
    /// One opcode, which has no service actions.
    Opcode(u8),
    /// One opcode with one service action.
    ServiceAction(u8, u8),
    /// One opcode, with that service action if it has any.
    Either(u8, u8),
}

/// MODE SENSE, 6 or 10 bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeSense {
    /// PAGE CODE.
    pub page: u8,
    /// SUBPAGE CODE.
    pub subpage: u8,
    /// PC.
    pub control: PageControl,
    /// The opposite of DBD: a block descriptor may be returned.
    pub block_descriptor: bool,
    /// LLBAA: the block descriptor may be a long one.
    pub long_lba: bool,
    /// Whether the header is that of the 10-byte command.
    pub long_header: bool,
    /// ALLOCATION LENGTH.
    pub allocation: u32,
}

/// MODE SELECT, 6 or 10 bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeSelect {
    /// PF: the pages are laid out as the standard says.
    pub page_format: bool,
    /// SP: save the pages.
    pub save: bool,
    /// Whether the header is that of the 10-byte command.
    pub long_header: bool,
    /// PARAMETER LIST LENGTH.
    pub parameter_len: u32,
}

/// LOG SENSE (SPC-5, section 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSense {
    /// PAGE CODE.
    pub page: u8,
    /// SUBPAGE CODE.
    pub subpage: u8,
    /// PC, of which 1 asks for the values counted so far.
    pub control: u8,
    /// PARAMETER POINTER: the first parameter to return.
    pub first_parameter: u16,
    /// ALLOCATION LENGTH.
    pub allocation: u32,
}

impl Fields<'_> {
    /// A command without service actions; `None` if it is none of these.
    pub(super) fn primary_command(&self, opcode: u8) -> Option<Result<Cdb, Sense>> {
        Some(Ok(match opcode {
            opcode::TEST_UNIT_READY => Cdb::TestUnitReady,
            opcode::REQUEST_SENSE => self.request_sense(),
            opcode::INQUIRY => return Some(self.inquiry()),
            opcode::REPORT_LUNS => Cdb::ReportLuns {
                select: self.u8(2),
                allocation: self.u32(6),
            },
            opcode::MODE_SENSE_6 | opcode::MODE_SENSE_10 => Cdb::ModeSense(self.mode_sense()),
            opcode::MODE_SELECT_6 | opcode::MODE_SELECT_10 => Cdb::ModeSelect(self.mode_select()),
            opcode::LOG_SENSE => Cdb::LogSense(LogSense {
                page: self.u8(2) & 0x3f,
                subpage: self.u8(3),
                control: self.u8(2) >> 6,
                first_parameter: self.u16(5),
                allocation: self.u16(7).into(),
            }),
            opcode::SEND_DIAGNOSTIC => Cdb::SendDiagnostic {
                self_test: self.bit(1, 2),
            },
            opcode::RESERVE_6 | opcode::RESERVE_10 => Cdb::Reserve,
            opcode::RELEASE_6 | opcode::RELEASE_10 => Cdb::Release,
            opcode::START_STOP_UNIT => Cdb::StartStop {
                start: self.bit(4, 0),
                flush: !self.bit(4, 2),
            },
            opcode::READ_CAPACITY_10 => Cdb::ReadCapacity10,
            opcode::UNMAP => Cdb::Unmap {
                parameter_len: self.u16(7).into(),
            },
            _ => return None,
        }))
    }

    pub(super) fn maintenance_in(&self, action: u8) -> Result<Cdb, Sense> {
        match action {
            opcode::REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS => Ok(Cdb::ReportTaskFunctions {
                extended: self.bit(2, 7),
                allocation: self.u32(6),
            }),
            _ => self.report_opcodes(),
        }
    }

    fn request_sense(&self) -> Cdb {
        let format = if self.bit(1, 0) {
            Format::Descriptor
        } else {
            Format::Fixed
        };
        Cdb::RequestSense {
            format,
            allocation: self.u8(4).into(),
        }
    }

    fn inquiry(&self) -> Result<Cdb, Sense> {
        let page = self.bit(1, 0).then_some(self.u8(2));
        if page.is_none() && self.u8(2) != 0 {
            return Err(Sense::invalid_cdb(2, None));
        }
        Ok(Cdb::Inquiry {
            page,
            allocation: self.u16(3).into(),
        })
    }

    fn report_opcodes(&self) -> Result<Cdb, Sense> {
        let (opcode, action) = (self.u8(3), self.u16(4));
        // Service actions are five bits in the CDBs that are known here; a
        // larger number is none of them.
        let action = u8::try_from(action).unwrap_or(u8::MAX);
        let query = match self.u8(2) & 0x07 {
            0 => OpcodeQuery::All,
            1 => OpcodeQuery::Opcode(opcode),
            2 => OpcodeQuery::ServiceAction(opcode, action),
            3 => OpcodeQuery::Either(opcode, action),
            _ => return Err(Sense::invalid_cdb(2, Some(2))),
        };
        Ok(Cdb::ReportOpcodes {
            query,
            timeouts: self.bit(2, 7),
            allocation: self.u32(6),
        })
    }

    fn mode_sense(&self) -> ModeSense {
        let long_header = self.u8(0) == opcode::MODE_SENSE_10;
        let control = match self.u8(2) >> 6 {
            0 => PageControl::Current,
            1 => PageControl::Changeable,
            2 => PageControl::Default,
            _ => PageControl::Saved,
        };
        ModeSense {
            page: self.u8(2) & 0x3f,
            subpage: self.u8(3),
            control,
            block_descriptor: !self.bit(1, 3),
            long_lba: self.bit(1, 4),
            long_header,
            allocation: self.mode_len(long_header),
        }
    }

    fn mode_select(&self) -> ModeSelect {
        let long_header = self.u8(0) == opcode::MODE_SELECT_10;
        ModeSelect {
            page_format: self.bit(1, 4),
            save: self.bit(1, 0),
            long_header,
            parameter_len: self.mode_len(long_header),
        }
    }

    /// ALLOCATION LENGTH or PARAMETER LIST LENGTH of a mode command.
    fn mode_len(&self, long_header: bool) -> u32 {
        if long_header {
            self.u16(7).into()
        } else {
            self.u8(4).into()
        }
    }
}
