// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The list of commands.

#[allow(
    clippy::wildcard_imports,
    reason = "nearly all of them are in the list"
)]
use super::*;

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
    /// The command of that opcode, and of that service action if it has any.
    pub fn find(opcode: u8, service_action: u8) -> Option<&'static Self> {
        with_opcode(opcode).find(|info| info.service_action.is_none_or(|own| own == service_action))
    }

    /// Whether commands of this opcode are told apart by a service action.
    pub fn has_service_actions(opcode: u8) -> bool {
        with_opcode(opcode).any(|info| info.service_action.is_some())
    }

    /// Whether byte 1 has RDPROTECT, VRPROTECT or WRPROTECT, which mean
    /// something only to a unit that has protection information.
    pub fn has_protect(&self) -> bool {
        let flags = self.usage.get(1).copied().unwrap_or(0);
        self.service_action.is_none() && flags & PROTECT_MASK == PROTECT_MASK
    }
}

/// The bits of byte 1 that say what to do with protection information.
pub const PROTECT_MASK: u8 = 0xe0;

/// The commands of an opcode. Every I/O comes here, so it looks only at them.
fn with_opcode(opcode: u8) -> impl Iterator<Item = &'static CommandInfo> {
    static POSITIONS: [u8; 256] = positions();
    let start = POSITIONS.get(usize::from(opcode)).copied();
    let start = usize::from(start.unwrap_or(u8::MAX));
    COMMANDS
        .get(start..)
        .unwrap_or(&[])
        .iter()
        .take_while(move |info| info.opcode == opcode)
}

/// Where in the list each opcode is first.
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler, which would report it"
)]
const fn positions() -> [u8; 256] {
    let mut positions = [u8::MAX; 256];
    let mut at = LIST.len();
    while at > 0 {
        at -= 1;
        positions[LIST[at].opcode as usize] = at as u8;
    }
    positions
}

const fn plain(usage: &'static [u8]) -> CommandInfo {
    CommandInfo {
        opcode: first(usage),
        service_action: None,
        usage,
    }
}

/// A command whose service action is in its place in the map.
const fn with_action(usage: &'static [u8]) -> CommandInfo {
    CommandInfo {
        opcode: first(usage),
        service_action: match usage {
            [_, action, ..] => Some(*action & SERVICE_ACTION_MASK),
            _ => None,
        },
        usage,
    }
}

const fn first(usage: &[u8]) -> u8 {
    match usage {
        [opcode, ..] => *opcode,
        [] => 0,
    }
}

/// All that [`Cdb`](crate::scsi::cdb::Cdb) can hold.
pub static COMMANDS: &[CommandInfo] = LIST;

/// In the order of opcodes.
#[rustfmt::skip]
const LIST: &[CommandInfo] = &[
    plain(&[TEST_UNIT_READY, 0, 0, 0, 0, 0]),
    plain(&[REQUEST_SENSE, 0x01, 0, 0, 0xff, 0]),
    plain(&[READ_6, 0x1f, 0xff, 0xff, 0xff, 0]),
    plain(&[WRITE_6, 0x1f, 0xff, 0xff, 0xff, 0]),
    plain(&[INQUIRY, 0x01, 0xff, 0xff, 0xff, 0]),
    plain(&[MODE_SELECT_6, 0x11, 0, 0, 0xff, 0]),
    plain(&[RESERVE_6, 0, 0, 0, 0, 0]),
    plain(&[RELEASE_6, 0, 0, 0, 0, 0]),
    plain(&[MODE_SENSE_6, 0x08, 0xff, 0xff, 0xff, 0]),
    plain(&[START_STOP_UNIT, 0x01, 0, 0, 0x05, 0]),
    plain(&[SEND_DIAGNOSTIC, 0x17, 0, 0, 0, 0]),
    plain(&[READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    plain(&[READ_10, 0xf8, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0]),
    plain(&[WRITE_10, 0xf8, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0]),
    plain(&[WRITE_AND_VERIFY_10, 0xf6, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0]),
    plain(&[VERIFY_10, 0xf6, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0]),
    plain(&[SYNCHRONIZE_CACHE_10, 0x02, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0]),
    plain(&[WRITE_SAME_10, 0xe8, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0]),
    plain(&[UNMAP, 0, 0, 0, 0, 0, 0x3f, 0xff, 0xff, 0]),
    plain(&[LOG_SENSE, 0, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0]),
    plain(&[MODE_SELECT_10, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff, 0]),
    plain(&[RESERVE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    plain(&[RELEASE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    plain(&[MODE_SENSE_10, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0]),
    with_action(&[PERSISTENT_RESERVE_IN, READ_KEYS, 0, 0, 0, 0, 0, 0xff, 0xff, 0]),
    with_action(&[PERSISTENT_RESERVE_IN, READ_RESERVATION, 0, 0, 0, 0, 0, 0xff, 0xff, 0]),
    with_action(&[PERSISTENT_RESERVE_IN, REPORT_CAPABILITIES, 0, 0, 0, 0, 0, 0xff, 0xff, 0]),
    with_action(&[PERSISTENT_RESERVE_IN, READ_FULL_STATUS, 0, 0, 0, 0, 0, 0xff, 0xff, 0]),
    with_action(&[PERSISTENT_RESERVE_OUT, REGISTER, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0]),
    with_action(&[PERSISTENT_RESERVE_OUT, RESERVE, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0]),
    with_action(&[PERSISTENT_RESERVE_OUT, RELEASE, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0]),
    with_action(&[PERSISTENT_RESERVE_OUT, CLEAR, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0]),
    with_action(&[PERSISTENT_RESERVE_OUT, PREEMPT, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0]),
    with_action(&[PERSISTENT_RESERVE_OUT, PREEMPT_AND_ABORT, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0]),
    with_action(&[PERSISTENT_RESERVE_OUT, REGISTER_AND_IGNORE, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0]),
    plain(&[READ_16, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[COMPARE_AND_WRITE, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0xff, 0x3f, 0]),
    plain(&[WRITE_16, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[WRITE_AND_VERIFY_16, 0xf6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[VERIFY_16, 0xf6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[SYNCHRONIZE_CACHE_16, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[WRITE_SAME_16, 0xe9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    with_action(&[SERVICE_ACTION_IN_16, READ_CAPACITY_16, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    with_action(&[SERVICE_ACTION_IN_16, GET_LBA_STATUS, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    plain(&[REPORT_LUNS, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    with_action(&[MAINTENANCE_IN, REPORT_SUPPORTED_OPERATION_CODES, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    with_action(&[MAINTENANCE_IN, REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    plain(&[READ_12, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[WRITE_12, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[WRITE_AND_VERIFY_12, 0xf6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
    plain(&[VERIFY_12, 0xf6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0]),
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

    /// Finding a command relies on it.
    #[test]
    fn the_list_is_in_order() {
        let keys = COMMANDS
            .iter()
            .map(|info| (info.opcode, info.service_action));
        let keys: std::vec::Vec<_> = keys.collect();
        assert!(keys.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        assert!(CommandInfo::find(0xff, 0).is_none());
    }

    #[test]
    fn protection_fields() {
        let has = |opcode| CommandInfo::find(opcode, 0).map(CommandInfo::has_protect);
        assert_eq!(has(READ_10), Some(true));
        assert_eq!(has(WRITE_SAME_16), Some(true));
        assert_eq!(has(READ_6), Some(false));
        assert_eq!(has(SYNCHRONIZE_CACHE_10), Some(false));
    }
}
