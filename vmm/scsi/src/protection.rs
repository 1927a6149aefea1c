// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How protection information (SBC-4, section 4.21) gets to a device server.

use hospes_device::memory::SgList;

/// Where the protection information of a command is, if there is any.
#[derive(Debug, Default)]
pub enum ProtectionBuffers {
    /// Among the data, eight bytes after each block, as the standard has it.
    /// So it is with controllers that know nothing of it.
    #[default]
    Interleaved,
    /// The controller keeps it from the initiator: what is read is stripped of
    /// it, and what is written gets some on the way.
    Stripped,
    /// In buffers of its own.
    Separate(Box<SeparateProtection>),
}

/// Buffers that hold nothing but protection information.
#[derive(Debug, Default)]
pub struct SeparateProtection {
    /// What goes to the device.
    pub out: SgList,
    /// What comes from it.
    pub input: SgList,
}
