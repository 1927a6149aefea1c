// SPDX-License-Identifier: GPL-2.0 OR MIT

//! REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT
//! FUNCTIONS.

use protocol::scsi::cdb::OpcodeQuery;
use protocol::scsi::opcode::{
    self, CommandDescriptor, CommandInfo, OneCommandHeader, TaskFunctionTimeouts, TaskFunctions,
    TimeoutsDescriptor, COMMANDS,
};
use protocol::scsi::sense::Sense;
use zerocopy::big_endian::{U16, U32};
use zerocopy::IntoBytes;

use super::Disk;
use crate::command::Failure;
use crate::data_in::DataIn;
use crate::unit::Task;

impl Disk {
    /// REPORT SUPPORTED OPERATION CODES.
    pub(super) fn report_opcodes(
        &self,
        task: &Task<'_>,
        query: OpcodeQuery,
        timeouts: bool,
        allocation: u32,
    ) -> Result<u64, Failure> {
        let wrong_option = Sense::invalid_cdb(2, Some(2));
        let has_actions = CommandInfo::has_service_actions;
        let found = match query {
            OpcodeQuery::All => {
                let data = DataIn::new(task.data_in, allocation);
                return Ok(self.report_all(data, timeouts));
            }
            OpcodeQuery::Opcode(opcode) if has_actions(opcode) => return Err(wrong_option.into()),
            OpcodeQuery::Opcode(opcode) => CommandInfo::find(opcode, 0),
            OpcodeQuery::ServiceAction(opcode, _) if !has_actions(opcode) => {
                return Err(wrong_option.into());
            }
            OpcodeQuery::Either(opcode, 1..) if !has_actions(opcode) => None,
            OpcodeQuery::ServiceAction(opcode, action) | OpcodeQuery::Either(opcode, action) => {
                CommandInfo::find(opcode, action)
            }
        };
        let found = found.filter(|info| self.supports(info));
        let data = DataIn::new(task.data_in, allocation);
        Ok(self.report_one(data, found, timeouts))
    }

    /// Whether this disk has a command.
    fn supports(&self, info: &CommandInfo) -> bool {
        self.thin || info.opcode != opcode::UNMAP
    }

    fn report_all(&self, mut data: DataIn<'_>, timeouts: bool) -> u64 {
        let body: Vec<u8> = COMMANDS
            .iter()
            .filter(|info| self.supports(info))
            .flat_map(|info| descriptor(info, timeouts))
            .collect();
        // 20 bytes for each of some dozens of commands.
        let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        data.put(&U32::new(len));
        data.finish(body.as_slice())
    }

    fn report_one(&self, mut data: DataIn<'_>, found: Option<&CommandInfo>, timeouts: bool) -> u64 {
        let Some(info) = found else {
            let support = opcode::NOT_SUPPORTED;
            return data.finish(&OneCommandHeader {
                reserved: 0,
                support,
                cdb_len: U16::ZERO,
            });
        };
        let ctdp = if timeouts { opcode::ONE_CTDP } else { 0 };
        let support = opcode::SUPPORTED | ctdp;
        data.put(&OneCommandHeader {
            reserved: 0,
            support,
            cdb_len: len_of(info),
        });
        data.put(self.usage(info).as_slice());
        if timeouts {
            data.put(&TimeoutsDescriptor::NONE);
        }
        data.transferred()
    }

    /// The usage map of a command on this disk.
    fn usage(&self, info: &CommandInfo) -> Vec<u8> {
        let mut usage = info.usage.to_vec();
        let has_no_unmap = !self.thin && is_write_same(info);
        let has_no_protect = self.protection_kind().is_none() && info.has_protect();
        if let Some(flags) = usage.get_mut(1) {
            if has_no_unmap {
                *flags &= !UNMAP_BIT;
            }
            if has_no_protect {
                *flags &= !opcode::PROTECT_MASK;
            }
        }
        usage
    }

    /// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS.
    pub(super) fn report_task_functions(
        &self,
        task: &Task<'_>,
        extended: bool,
        allocation: u32,
    ) -> u64 {
        let timeouts = TaskFunctionTimeouts::default();
        let timeouts = if extended { timeouts.as_bytes() } else { &[] };
        let mut data = DataIn::new(task.data_in, allocation);
        data.put(&TaskFunctions {
            on_units: opcode::ATS | opcode::ATSS | opcode::CTSS | opcode::LURS | opcode::QTS,
            others: opcode::QTSS | opcode::ITNRS,
            reserved: 0,
            // Three numbers at most.
            additional_len: u8::try_from(timeouts.len()).unwrap_or(u8::MAX),
        });
        data.finish(timeouts)
    }
}

/// UNMAP in byte 1 of WRITE SAME.
const UNMAP_BIT: u8 = 0x08;

fn is_write_same(info: &CommandInfo) -> bool {
    matches!(info.opcode, opcode::WRITE_SAME_10 | opcode::WRITE_SAME_16)
}

fn descriptor(info: &CommandInfo, timeouts: bool) -> Vec<u8> {
    let servactv = if info.service_action.is_some() {
        opcode::SERVACTV
    } else {
        0
    };
    let descriptor = CommandDescriptor {
        opcode: info.opcode,
        reserved2: 0,
        service_action: U16::new(info.service_action.unwrap_or(0).into()),
        reserved4: 0,
        flags: servactv | if timeouts { opcode::CTDP } else { 0 },
        cdb_len: len_of(info),
    };
    let timeouts = if timeouts {
        TimeoutsDescriptor::NONE.as_bytes()
    } else {
        &[]
    };
    [descriptor.as_bytes(), timeouts].concat()
}

fn len_of(info: &CommandInfo) -> U16 {
    // CDBs are at most 16 bytes long.
    U16::new(u16::try_from(info.usage.len()).unwrap_or(u16::MAX))
}
