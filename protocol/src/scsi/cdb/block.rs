// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands that name logical blocks (SBC-4, section 5).

use super::fields::Fields;
use super::Cdb;
use crate::scsi::opcode;
use crate::scsi::sense::{asc, Sense};

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

/// READ and WRITE, in any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The blocks to transfer.
    pub range: BlockRange,
    /// FUA: the transfer is with the medium, not with a volatile cache.
    pub force_unit_access: bool,
    /// RDPROTECT or WRPROTECT; 0 in the 6-byte commands.
    pub protect: u8,
}

/// VERIFY and WRITE AND VERIFY, in any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verify {
    /// The blocks to verify.
    pub range: BlockRange,
    /// BYTCHK. WRITE AND VERIFY always has the data of each block.
    pub check: ByteCheck,
    /// VRPROTECT or WRPROTECT.
    pub protect: u8,
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
    /// WRPROTECT.
    pub protect: u8,
}

impl Fields<'_> {
    pub(super) fn service_action_in(&self, action: u8) -> Cdb {
        let allocation = self.u32(10);
        match action {
            opcode::GET_LBA_STATUS => Cdb::GetLbaStatus {
                lba: self.u64(2),
                allocation,
            },
            _ => Cdb::ReadCapacity16 { allocation },
        }
    }

    pub(super) fn block_command(&self, opcode: u8) -> Result<Cdb, Sense> {
        Ok(match opcode {
            opcode::READ_6 | opcode::READ_10 | opcode::READ_12 | opcode::READ_16 => {
                Cdb::Read(self.access(opcode))
            }
            opcode::WRITE_6 | opcode::WRITE_10 | opcode::WRITE_12 | opcode::WRITE_16 => {
                Cdb::Write(self.access(opcode))
            }
            opcode::VERIFY_10 | opcode::VERIFY_12 | opcode::VERIFY_16 => {
                Cdb::Verify(self.verify(opcode)?)
            }
            opcode::WRITE_AND_VERIFY_10
            | opcode::WRITE_AND_VERIFY_12
            | opcode::WRITE_AND_VERIFY_16 => Cdb::WriteAndVerify(self.verify(opcode)?),
            opcode::COMPARE_AND_WRITE => Cdb::CompareAndWrite(self.access(opcode)),
            opcode::SYNCHRONIZE_CACHE_10 | opcode::SYNCHRONIZE_CACHE_16 => Cdb::SynchronizeCache {
                range: self.range(opcode),
            },
            opcode::WRITE_SAME_10 | opcode::WRITE_SAME_16 => Cdb::WriteSame(WriteSame {
                range: self.range(opcode),
                unmap: self.bit(1, 3),
                no_data_out: self.bit(1, 0),
                protect: self.protect(),
            }),
            _ => return Err(Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE)),
        })
    }

    fn access(&self, opcode: u8) -> Access {
        let range = self.range(opcode);
        if matches!(opcode, opcode::READ_6 | opcode::WRITE_6) {
            // Byte 1 is part of the address.
            return Access {
                range,
                force_unit_access: false,
                protect: 0,
            };
        }
        Access {
            range,
            force_unit_access: self.bit(1, 3),
            protect: self.protect(),
        }
    }

    fn verify(&self, opcode: u8) -> Result<Verify, Sense> {
        Ok(Verify {
            range: self.range(opcode),
            check: self.byte_check()?,
            protect: self.protect(),
        })
    }

    fn protect(&self) -> u8 {
        self.u8(1) >> 5
    }

    /// LOGICAL BLOCK ADDRESS and the length, which the CDB's length places.
    fn range(&self, opcode: u8) -> BlockRange {
        let (lba, blocks) = match opcode {
            opcode::READ_6 | opcode::WRITE_6 => {
                (u64::from(self.u32(0) & 0x1f_ffff), self.length_6())
            }
            opcode::COMPARE_AND_WRITE => (self.u64(2), self.u8(13).into()),
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

    fn byte_check(&self) -> Result<ByteCheck, Sense> {
        match (self.u8(1) >> 1) & 0x03 {
            0 => Ok(ByteCheck::MediumOnly),
            1 => Ok(ByteCheck::EachBlock),
            3 => Ok(ByteCheck::SameBlock),
            _ => Err(Sense::invalid_cdb(1, Some(2))),
        }
    }
}
