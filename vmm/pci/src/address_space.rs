// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the PCI core needs from its machine when the guest moves a BAR.

use std::io;

use hospes_device::bus::Bus;

use crate::device::{BarKind, Doorbell};

/// The two address spaces that BARs live in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Guest-physical memory.
    Memory,
    /// Port I/O.
    Io,
}

impl From<BarKind> for Space {
    fn from(kind: BarKind) -> Self {
        match kind {
            BarKind::Memory32 | BarKind::Memory64 => Self::Memory,
            BarKind::Io => Self::Io,
        }
    }
}

/// The machine's side of BAR decoding.
pub trait AddressSpaces: Send + Sync {
    /// The bus on which BARs of `space` are claimed.
    fn bus(&self, space: Space) -> &Bus;

    /// Has writes to `address` signal the doorbell's event, with no exit.
    ///
    /// # Errors
    ///
    /// The device works without, only slower: the write then arrives as a BAR
    /// access. The core logs the error and goes on.
    fn add_doorbell(&self, space: Space, address: u64, doorbell: &Doorbell) -> io::Result<()>;

    /// Undoes [`add_doorbell`](AddressSpaces::add_doorbell).
    ///
    /// # Errors
    ///
    /// If there was no such doorbell.
    fn remove_doorbell(&self, space: Space, address: u64, doorbell: &Doorbell) -> io::Result<()>;
}
