// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Parameter data of REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK
//! MANAGEMENT FUNCTIONS.

use core::mem::size_of;

use zerocopy::big_endian::{U16, U32};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

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

/// The data of REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS in the short format
/// (SPC-5, section 6.35.2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct TaskFunctions {
    /// [`ATS`], [`ATSS`], CACAS (5), [`CTSS`], [`LURS`], [`QTS`].
    pub on_units: u8,
    /// QAES (2), [`QTSS`], [`ITNRS`].
    pub others: u8,
    /// Reserved.
    pub reserved: u8,
    /// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS ADDITIONAL LENGTH: what
    /// follows in the extended format.
    pub additional_len: u8,
}

const _: () = assert!(size_of::<TaskFunctions>() == 4);

/// What [`TaskFunctions`] goes on with in the extended format
/// (SPC-5, section 6.35.3). Zero means that no time-out is indicated.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct TaskFunctionTimeouts {
    /// TMFTMOV (0): the two time-outs mean something.
    pub flags: U32,
    /// TASK MANAGEMENT FUNCTIONS LONG TIMEOUT, in 100 ms.
    pub long: U32,
    /// TASK MANAGEMENT FUNCTIONS SHORT TIMEOUT, in 100 ms.
    pub short: U32,
}

const _: () = assert!(size_of::<TaskFunctionTimeouts>() == 12);

/// [`TaskFunctions::on_units`]: ABORT TASK.
pub const ATS: u8 = 0x80;
/// [`TaskFunctions::on_units`]: ABORT TASK SET.
pub const ATSS: u8 = 0x40;
/// [`TaskFunctions::on_units`]: CLEAR TASK SET.
pub const CTSS: u8 = 0x10;
/// [`TaskFunctions::on_units`]: LOGICAL UNIT RESET.
pub const LURS: u8 = 0x08;
/// [`TaskFunctions::on_units`]: QUERY TASK.
pub const QTS: u8 = 0x04;
/// [`TaskFunctions::others`]: QUERY TASK SET.
pub const QTSS: u8 = 0x02;
/// [`TaskFunctions::others`]: I_T NEXUS RESET.
pub const ITNRS: u8 = 0x01;
