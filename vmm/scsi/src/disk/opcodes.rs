// SPDX-License-Identifier: GPL-2.0 OR MIT

//! REPORT SUPPORTED OPERATION CODES.

use protocol::scsi::cdb::OpcodeQuery;
use protocol::scsi::opcode::{
    self, CommandDescriptor, CommandInfo, OneCommandHeader, TimeoutsDescriptor, COMMANDS,
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
        Ok(report_one(
            DataIn::new(task.data_in, allocation),
            found,
            timeouts,
        ))
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

fn report_one(mut data: DataIn<'_>, found: Option<&CommandInfo>, timeouts: bool) -> u64 {
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
    data.put(info.usage);
    if timeouts {
        data.put(&TimeoutsDescriptor::NONE);
    }
    data.transferred()
}

fn len_of(info: &CommandInfo) -> U16 {
    // CDBs are at most 16 bytes long.
    U16::new(u16::try_from(info.usage.len()).unwrap_or(u16::MAX))
}
