// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Command descriptor blocks (CDBs), decoded.
//!
//! [`Cdb::decode`] turns bytes of a guest into a command that holds no wrong
//! field, or says where the first wrong one is. Whether blocks exist and
//! buffers are long enough is for the device server to find out.

use super::opcode::{self, CommandInfo, SERVICE_ACTION_MASK};
use super::sense::{asc, Format, Sense};

/// Consecutive logical blocks. They need not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRange {
    /// The first block.
    pub lba: u64,
    /// How many.
    pub blocks: u32,
}

/// What VERIFY compares the medium with: BYTCHK (SBC-4, section 5.36).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteCheck {
    /// Nothing: the blocks only have to be readable.
    MediumOnly,
    /// The data that came with it, block by block.
    EachBlock,
    /// One block of data, which each block of the medium has to equal.
    SameBlock,
}

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

/// READ and WRITE, in any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The blocks to transfer.
    pub range: BlockRange,
    /// FUA: the transfer is with the medium, not with a volatile cache.
    pub force_unit_access: bool,
}

/// WRITE SAME, 10 or 16 bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteSame {
    /// The blocks to write.
    pub range: BlockRange,
    /// UNMAP: they may be deallocated, if they read the same afterwards.
    pub unmap: bool,
    /// NDOB: no data comes with the command, the blocks become zeroes.
    pub no_data_out: bool,
}

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
    /// MODE SENSE (6) and (10).
    ModeSense(ModeSense),
    /// MODE SELECT (6) and (10).
    ModeSelect(ModeSelect),
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
    /// READ (6), (10), (12) and (16).
    Read(Access),
    /// WRITE (6), (10), (12) and (16).
    Write(Access),
    /// VERIFY (10) and (16).
    Verify {
        /// The blocks to verify.
        range: BlockRange,
        /// BYTCHK.
        check: ByteCheck,
    },
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
        match info.opcode {
            opcode::TEST_UNIT_READY => Ok(Self::TestUnitReady),
            opcode::REQUEST_SENSE => Ok(fields.request_sense()),
            opcode::INQUIRY => fields.inquiry(),
            opcode::REPORT_LUNS => Ok(Self::ReportLuns {
                select: fields.u8(2),
                allocation: fields.u32(6),
            }),
            opcode::MAINTENANCE_IN => fields.report_opcodes(),
            opcode::MODE_SENSE_6 | opcode::MODE_SENSE_10 => Ok(fields.mode_sense()),
            opcode::MODE_SELECT_6 | opcode::MODE_SELECT_10 => Ok(fields.mode_select()),
            opcode::START_STOP_UNIT => Ok(Self::StartStop {
                start: fields.bit(4, 0),
                flush: !fields.bit(4, 2),
            }),
            opcode::READ_CAPACITY_10 => Ok(Self::ReadCapacity10),
            opcode::SERVICE_ACTION_IN_16 => Ok(Self::ReadCapacity16 {
                allocation: fields.u32(10),
            }),
            opcode::UNMAP => Ok(Self::Unmap {
                parameter_len: fields.u16(7).into(),
            }),
            _ => fields.block_command(info.opcode),
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
pub(super) fn check_usage(fields: &Fields<'_>, info: &CommandInfo) -> Result<(), Sense> {
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
    (0..8).rev().find(|bit| byte & (1 << bit) != 0)
}

/// Fields of a CDB by their place; what is not there reads as zero.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    fn chunk<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .copied()
            .unwrap_or([0; N])
    }

    pub(super) fn u8(&self, at: usize) -> u8 {
        u8::from_be_bytes(self.chunk(at))
    }

    pub(super) fn u16(&self, at: usize) -> u16 {
        u16::from_be_bytes(self.chunk(at))
    }

    pub(super) fn u32(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.chunk(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.chunk(at))
    }

    pub(super) fn bit(&self, at: usize, bit: u8) -> bool {
        highest_bit(self.u8(at) & 1_u8.checked_shl(bit.into()).unwrap_or(0)).is_some()
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

    fn mode_sense(&self) -> Cdb {
        let long_header = self.u8(0) == opcode::MODE_SENSE_10;
        let control = match self.u8(2) >> 6 {
            0 => PageControl::Current,
            1 => PageControl::Changeable,
            2 => PageControl::Default,
            _ => PageControl::Saved,
        };
        Cdb::ModeSense(ModeSense {
            page: self.u8(2) & 0x3f,
            subpage: self.u8(3),
            control,
            block_descriptor: !self.bit(1, 3),
            long_lba: self.bit(1, 4),
            long_header,
            allocation: if long_header {
                self.u16(7).into()
            } else {
                self.u8(4).into()
            },
        })
    }

    fn mode_select(&self) -> Cdb {
        let long_header = self.u8(0) == opcode::MODE_SELECT_10;
        Cdb::ModeSelect(ModeSelect {
            page_format: self.bit(1, 4),
            save: self.bit(1, 0),
            long_header,
            parameter_len: if long_header {
                self.u16(7).into()
            } else {
                self.u8(4).into()
            },
        })
    }

    fn block_command(&self, opcode: u8) -> Result<Cdb, Sense> {
        let range = self.range(opcode);
        let access = Access {
            range,
            force_unit_access: self.force_unit_access(opcode),
        };
        Ok(match opcode {
            opcode::READ_6 | opcode::READ_10 | opcode::READ_12 | opcode::READ_16 => {
                Cdb::Read(access)
            }
            opcode::WRITE_6 | opcode::WRITE_10 | opcode::WRITE_12 | opcode::WRITE_16 => {
                Cdb::Write(access)
            }
            opcode::VERIFY_10 | opcode::VERIFY_16 => Cdb::Verify {
                range,
                check: self.byte_check()?,
            },
            opcode::SYNCHRONIZE_CACHE_10 | opcode::SYNCHRONIZE_CACHE_16 => {
                Cdb::SynchronizeCache { range }
            }
            opcode::WRITE_SAME_10 | opcode::WRITE_SAME_16 => Cdb::WriteSame(WriteSame {
                range,
                unmap: self.bit(1, 3),
                no_data_out: self.bit(1, 0),
            }),
            _ => return Err(Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE)),
        })
    }

    /// LOGICAL BLOCK ADDRESS and the length, which the CDB's length places.
    fn range(&self, opcode: u8) -> BlockRange {
        let (lba, blocks) = match opcode {
            opcode::READ_6 | opcode::WRITE_6 => {
                (u64::from(self.u32(0) & 0x1f_ffff), self.length_6())
            }
            0x20..=0x5f => (self.u32(2).into(), self.u16(7).into()),
            0xa0..=0xbf => (self.u32(2).into(), self.u32(6)),
            _ => (self.u64(2), self.u32(10)),
        };
        BlockRange { lba, blocks }
    }

    /// In the 6-byte commands, a length of 0 is 256 blocks.
    fn length_6(&self) -> u32 {
        match self.u8(4) {
            0 => 256,
            blocks => blocks.into(),
        }
    }

    fn force_unit_access(&self, opcode: u8) -> bool {
        !matches!(opcode, opcode::READ_6 | opcode::WRITE_6) && self.bit(1, 3)
    }

    fn byte_check(&self) -> Result<ByteCheck, Sense> {
        match (self.u8(1) >> 1) & 0x03 {
            0 => Ok(ByteCheck::MediumOnly),
            1 => Ok(ByteCheck::EachBlock),
            3 => Ok(ByteCheck::SameBlock),
            _ => Err(Sense::invalid_cdb(1, Some(2))),
        }
    }
}

#[cfg(test)]
mod tests;
