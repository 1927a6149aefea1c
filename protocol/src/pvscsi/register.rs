// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The registers, as offsets in the BAR. Each has 32 bits.

use super::PAGE_SIZE;

/// Fewest bytes of the BAR. Its last two pages are the table of MSI-X and what is pending there.
pub const MEMORY_SIZE: usize = 8 * PAGE_SIZE;

/// Write: begins a [`Command`](super::Command).
pub const COMMAND: usize = 0x0;
/// Write: the next word of the command's descriptor. With the last one, it is carried out.
pub const COMMAND_DATA: usize = 0x4;
/// Read: what came of the last command; see [`super::command::status`].
pub const COMMAND_STATUS: usize = 0x8;
/// The first of four registers with the status of earlier commands, by their old name; drivers
/// leave them alone, and they read as 0 here.
pub const LAST_STATUS_0: usize = 0x100;
/// The second.
pub const LAST_STATUS_1: usize = 0x104;
/// The third.
pub const LAST_STATUS_2: usize = 0x108;
/// The fourth.
pub const LAST_STATUS_3: usize = 0x10c;
/// Read: why there is an interrupt, see [`interrupt`]. Write: takes back the bits that are set.
pub const INTERRUPT_STATUS: usize = 0x100c;
/// Write: for which reasons there are interrupts.
pub const INTERRUPT_MASK: usize = 0x2010;
/// Write: there are requests, not only reads and writes.
pub const KICK_OTHER: usize = 0x3014;
/// For debugging the device.
pub const DEBUG: usize = 0x3018;
/// Write: there are requests to read or write.
pub const KICK_READ_WRITE: usize = 0x4018;

/// The page of the table of MSI-X.
pub const MSIX_TABLE: usize = 6 * PAGE_SIZE;
/// The page of the pending bits of MSI-X.
pub const MSIX_PENDING: usize = 7 * PAGE_SIZE;

/// Reasons for interrupts.
///
/// They gate the line of an INTx. A message (MSI, MSI-X) comes with each batch of
/// completions whether or not a driver has taken the bits back.
pub mod interrupt {
    /// Something was completed; a device sets the first one.
    pub const COMPLETION: u32 = 0b0011;
    /// The one of these that a device sets.
    pub const COMPLETION_0: u32 = 0b0001;
    /// There is a message; a device sets the first one.
    pub const MESSAGE: u32 = 0b1100;
    /// The one of these that a device sets.
    pub const MESSAGE_0: u32 = 0b0100;
    /// All reasons.
    pub const ALL: u32 = COMPLETION | MESSAGE;
}
