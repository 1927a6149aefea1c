// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Operation codes, and which bits of each command may be set.
//!
//! [`COMMANDS`] is the one list of commands: [`super::cdb`] refuses a bit that
//! is not in a command's usage map, and REPORT SUPPORTED OPERATION CODES
//! returns these very maps. Not in any map, on purpose: protection
//! information, NACA, ANCHOR, power conditions, obsolete fields.

use core::mem::size_of;

use zerocopy::big_endian::{U16, U32};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// TEST UNIT READY (SPC-5, section 6.44).
pub const TEST_UNIT_READY: u8 = 0x00;
/// REQUEST SENSE (SPC-5, section 6.38).
pub const REQUEST_SENSE: u8 = 0x03;
/// READ (6), which SBC-4 calls obsolete and firmware still uses (SBC-3, section 5.7).
pub const READ_6: u8 = 0x08;
/// WRITE (6) (SBC-3, section 5.30).
pub const WRITE_6: u8 = 0x0a;
/// INQUIRY (SPC-5, section 6.6).
pub const INQUIRY: u8 = 0x12;
/// MODE SELECT (6) (SPC-5, section 6.11).
pub const MODE_SELECT_6: u8 = 0x15;
/// MODE SENSE (6) (SPC-5, section 6.13).
pub const MODE_SENSE_6: u8 = 0x1a;
/// START STOP UNIT (SBC-4, section 5.31).
pub const START_STOP_UNIT: u8 = 0x1b;
/// READ CAPACITY (10) (SBC-4, section 5.20).
pub const READ_CAPACITY_10: u8 = 0x25;
/// READ (10) (SBC-4, section 5.16).
pub const READ_10: u8 = 0x28;
/// WRITE (10) (SBC-4, section 5.41).
pub const WRITE_10: u8 = 0x2a;
/// VERIFY (10) (SBC-4, section 5.36).
pub const VERIFY_10: u8 = 0x2f;
/// SYNCHRONIZE CACHE (10) (SBC-4, section 5.33).
pub const SYNCHRONIZE_CACHE_10: u8 = 0x35;
/// WRITE SAME (10) (SBC-4, section 5.52).
pub const WRITE_SAME_10: u8 = 0x41;
/// UNMAP (SBC-4, section 5.35).
pub const UNMAP: u8 = 0x42;
/// MODE SELECT (10) (SPC-5, section 6.12).
pub const MODE_SELECT_10: u8 = 0x55;
/// MODE SENSE (10) (SPC-5, section 6.14).
pub const MODE_SENSE_10: u8 = 0x5a;
/// READ (16) (SBC-4, section 5.18).
pub const READ_16: u8 = 0x88;
/// WRITE (16) (SBC-4, section 5.43).
pub const WRITE_16: u8 = 0x8a;
/// VERIFY (16) (SBC-4, section 5.38).
pub const VERIFY_16: u8 = 0x8f;
/// SYNCHRONIZE CACHE (16) (SBC-4, section 5.34).
pub const SYNCHRONIZE_CACHE_16: u8 = 0x91;
/// WRITE SAME (16) (SBC-4, section 5.53).
pub const WRITE_SAME_16: u8 = 0x93;
/// SERVICE ACTION IN (16): READ CAPACITY (16) and others.
pub const SERVICE_ACTION_IN_16: u8 = 0x9e;
/// REPORT LUNS (SPC-5, section 6.32).
pub const REPORT_LUNS: u8 = 0xa0;
/// MAINTENANCE IN: REPORT SUPPORTED OPERATION CODES and others.
pub const MAINTENANCE_IN: u8 = 0xa3;
/// READ (12) (SBC-4, section 5.17).
pub const READ_12: u8 = 0xa8;
/// WRITE (12) (SBC-4, section 5.42).
pub const WRITE_12: u8 = 0xaa;

/// Service action of [`SERVICE_ACTION_IN_16`]: READ CAPACITY (16) (SBC-4, section 5.21).
pub const READ_CAPACITY_16: u8 = 0x10;
/// Service action of [`MAINTENANCE_IN`]: REPORT SUPPORTED OPERATION CODES
/// (SPC-5, section 6.34).
pub const REPORT_SUPPORTED_OPERATION_CODES: u8 = 0x0c;

/// The bits of byte 1 that hold a service action.
pub const SERVICE_ACTION_MASK: u8 = 0x1f;

/// What is known of a command before it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandInfo {
    /// OPERATION CODE.
    pub opcode: u8,
    /// SERVICE ACTION, for the opcodes that have them.
    pub service_action: Option<u8>,
    /// The CDB usage map (SPC-5, section 6.34.3): as long as the CDB, with the
    /// opcode and service action in their places and ones elsewhere for each
    /// bit that is evaluated or ignored.
    pub usage: &'static [u8],
}

impl CommandInfo {
    /// What `cdb` asks for, if it is in [`COMMANDS`].
    pub fn find(opcode: u8, service_action: u8) -> Option<&'static Self> {
        COMMANDS.iter().find(|info| {
            info.opcode == opcode && info.service_action.is_none_or(|own| own == service_action)
        })
    }

    /// Whether commands of this opcode are told apart by a service action.
    pub fn has_service_actions(opcode: u8) -> bool {
        COMMANDS
            .iter()
            .any(|info| info.opcode == opcode && info.service_action.is_some())
    }
}

/// One of all commands, in the data of REPORT SUPPORTED OPERATION CODES
/// (SPC-5, section 6.34.2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct CommandDescriptor {
    /// OPERATION CODE.
    pub opcode: u8,
    /// Reserved.
    pub reserved2: u8,
    /// SERVICE ACTION.
    pub service_action: U16,
    /// Reserved.
    pub reserved4: u8,
    /// [`CTDP`] and [`SERVACTV`].
    pub flags: u8,
    /// CDB LENGTH.
    pub cdb_len: U16,
}

const _: () = assert!(size_of::<CommandDescriptor>() == 8);

/// [`CommandDescriptor::flags`]: a time-outs descriptor follows.
pub const CTDP: u8 = 0x02;
/// [`CommandDescriptor::flags`]: the service action means something.
pub const SERVACTV: u8 = 0x01;

/// The data of REPORT SUPPORTED OPERATION CODES about one command, up to the
/// usage map (SPC-5, section 6.34.3).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct OneCommandHeader {
    /// Reserved.
    pub reserved: u8,
    /// [`ONE_CTDP`], and SUPPORT (2:0): [`NOT_SUPPORTED`] or [`SUPPORTED`].
    pub support: u8,
    /// CDB SIZE: the length of the usage map.
    pub cdb_len: U16,
}

const _: () = assert!(size_of::<OneCommandHeader>() == 4);

/// [`OneCommandHeader::support`]: a time-outs descriptor follows the map.
pub const ONE_CTDP: u8 = 0x80;
/// [`OneCommandHeader::support`]: the unit has no such command.
pub const NOT_SUPPORTED: u8 = 0x01;
/// [`OneCommandHeader::support`]: it has it, as the standard says.
pub const SUPPORTED: u8 = 0x03;

/// A command time-outs descriptor (SPC-5, section 6.34.4).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct TimeoutsDescriptor {
    /// DESCRIPTOR LENGTH: what follows it.
    pub len: U16,
    /// Reserved.
    pub reserved: u8,
    /// COMMAND SPECIFIC.
    pub command_specific: u8,
    /// NOMINAL COMMAND PROCESSING TIMEOUT, in seconds.
    pub nominal: U32,
    /// RECOMMENDED COMMAND TIMEOUT, in seconds.
    pub recommended: U32,
}

const _: () = assert!(size_of::<TimeoutsDescriptor>() == 12);

impl TimeoutsDescriptor {
    /// No time-out is indicated.
    pub const NONE: Self = Self {
        len: U16::from_bytes([0, 10]),
        reserved: 0,
        command_specific: 0,
        nominal: U32::ZERO,
        recommended: U32::ZERO,
    };
}

const fn plain(usage: &'static [u8]) -> CommandInfo {
    CommandInfo {
        opcode: first(usage),
        service_action: None,
        usage,
    }
}

const fn with_action(service_action: u8, usage: &'static [u8]) -> CommandInfo {
    CommandInfo {
        opcode: first(usage),
        service_action: Some(service_action),
        usage,
    }
}

const fn first(usage: &[u8]) -> u8 {
    match usage {
        [opcode, ..] => *opcode,
        [] => 0,
    }
}

/// All that [`super::cdb::Cdb`] can hold, in the order of opcodes.
#[rustfmt::skip]
pub static COMMANDS: &[CommandInfo] = &[
    plain(&[TEST_UNIT_READY, 0, 0, 0, 0, 0]),
    plain(&[REQUEST_SENSE, 0x01, 0, 0, 0xff, 0]),
    plain(&[READ_6, 0x1f, 0xff, 0xff, 0xff, 0]),
    plain(&[WRITE_6, 0x1f, 0xff, 0xff, 0xff, 0]),
    plain(&[INQUIRY, 0x01, 0xff, 0xff, 0xff, 0]),
    plain(&[MODE_SELECT_6, 0x11, 0, 0, 0xff, 0]),
    plain(&[MODE_SENSE_6, 0x08, 0xff, 0xff, 0xff, 0]),
    plain(&[START_STOP_UNIT, 0x01, 0, 0, 0x05, 0]),
    plain(&[READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    plain(&[READ_10, 0x18, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0]),
    plain(&[WRITE_10, 0x18, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0]),
    plain(&[VERIFY_10, 0x16, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0]),
    plain(&[SYNCHRONIZE_CACHE_10, 0x02, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0]),
    plain(&[WRITE_SAME_10, 0x08, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0]),
    plain(&[UNMAP, 0, 0, 0, 0, 0, 0x3f, 0xff, 0xff, 0]),
    plain(&[MODE_SELECT_10, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff, 0]),
    plain(&[MODE_SENSE_10, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0]),
    plain(&[READ_16, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[WRITE_16, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[VERIFY_16, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[SYNCHRONIZE_CACHE_16, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[WRITE_SAME_16, 0x09, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    with_action(READ_CAPACITY_16, &[SERVICE_ACTION_IN_16, READ_CAPACITY_16, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    plain(&[REPORT_LUNS, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    with_action(REPORT_SUPPORTED_OPERATION_CODES, &[MAINTENANCE_IN, REPORT_SUPPORTED_OPERATION_CODES, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    plain(&[READ_12, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[WRITE_12, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// CDB lengths follow from bits 7:5 of the opcode (SPC-5, section 4.2.5.1).
    #[test]
    fn lengths_are_those_of_the_groups() {
        for info in COMMANDS {
            let expected = match info.opcode >> 5 {
                0 => 6,
                1 | 2 => 10,
                4 => 16,
                5 => 12,
                group => panic!("group {group}"),
            };
            assert_eq!(info.usage.len(), expected, "{:#x}", info.opcode);
        }
    }

    #[test]
    fn commands_are_found_once() {
        for info in COMMANDS {
            let action = info.service_action.unwrap_or(0);
            assert_eq!(CommandInfo::find(info.opcode, action), Some(info));
            assert_eq!(
                info.service_action.is_some(),
                CommandInfo::has_service_actions(info.opcode)
            );
        }
        assert_eq!(CommandInfo::find(SERVICE_ACTION_IN_16, 0), None);
    }
}
