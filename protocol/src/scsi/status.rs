// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Status codes (SAM-5, section 5.3.1).

/// The command was done.
pub const GOOD: u8 = 0x00;
/// There is sense data that says what happened.
pub const CHECK_CONDITION: u8 = 0x02;
/// The unit cannot take the command now.
pub const BUSY: u8 = 0x08;
/// Another initiator has a reservation that excludes the command.
pub const RESERVATION_CONFLICT: u8 = 0x18;
/// The unit has no room for another command.
pub const TASK_SET_FULL: u8 = 0x28;
/// The command was aborted on behalf of another initiator.
pub const TASK_ABORTED: u8 = 0x40;
