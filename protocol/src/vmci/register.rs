// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The registers, as offsets in BAR 0, which is of I/O ports.
//!
//! Each has 32 bits but for the two through which datagrams go byte by byte. Newer devices
//! have registers in memory as well, if BAR 1 has 256 KiB; one of 8 KiB has MSI-X alone.

/// Bytes of BAR 0.
pub const PORTS: u64 = 0x40;
/// Bytes of BAR 1 of a device whose registers are ports.
pub const MSIX_SIZE: u64 = 0x2000;

/// Read: whether interrupts are on, in bit 0.
pub const STATUS: u64 = 0x00;
/// Write: see [`control`].
pub const CONTROL: u64 = 0x04;
/// Read: why there is an interrupt, see [`interrupt`]; takes it back.
pub const INTERRUPT_CAUSE: u64 = 0x08;
/// For which reasons there are interrupts.
pub const INTERRUPT_MASK: u64 = 0x0c;
/// Write: bytes of a datagram for the hypervisor.
pub const DATA_OUT: u64 = 0x10;
/// Read: bytes of a datagram for the guest.
pub const DATA_IN: u64 = 0x14;
/// Read: what the device can; write: what the guest uses. See [`capability`].
pub const CAPABILITIES: u64 = 0x18;
/// Read: what became of the last datagram.
pub const RESULT: u64 = 0x1c;

/// Interrupts are on, in [`STATUS`].
pub const STATUS_INTERRUPTS: u32 = 1 << 0;

/// Bits of [`CONTROL`].
pub mod control {
    /// Forget everything.
    pub const RESET: u32 = 1 << 0;
    /// Interrupts may come.
    pub const INTERRUPTS_ON: u32 = 1 << 1;
    /// None may come.
    pub const INTERRUPTS_OFF: u32 = 1 << 2;
}

/// Bits of [`CAPABILITIES`].
pub mod capability {
    /// Datagrams, without which Linux does nothing.
    pub const DATAGRAM: u32 = 1 << 2;
    /// Doorbells.
    pub const NOTIFICATIONS: u32 = 1 << 3;
    /// Page numbers have 64 bits.
    pub const PAGE_NUMBERS_64: u32 = 1 << 4;
}

/// Reasons for interrupts. With MSI-X each has the vector of its bit's number.
pub mod interrupt {
    /// There is a datagram.
    pub const DATAGRAM: u32 = 1 << 0;
    /// A doorbell was rung.
    pub const NOTIFICATION: u32 = 1 << 1;
    /// Vectors that a device whose registers are ports has.
    pub const VECTORS: u16 = 2;
    /// The one of doorbells.
    pub const NOTIFICATION_VECTOR: u16 = 1;
}
