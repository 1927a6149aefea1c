// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The packet (`struct vstor_packet` of `drivers/scsi/storvsc_drv.c`).

use core::mem::size_of;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::request::ScsiRequest;
use super::Version;
use crate::hyperv::wire::wire;

/// What a packet asks for. Hosts and guests may use values that are not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation(pub u32);

impl Operation {
    /// Host: the answer to any other packet.
    pub const COMPLETE_IO: Self = Self(1);
    /// Host, by itself: something was removed. Guests look for themselves.
    pub const REMOVE_DEVICE: Self = Self(2);
    /// Guest: a SCSI command.
    pub const EXECUTE_SRB: Self = Self(3);
    /// Guest: reset a logical unit. Linux does not send it.
    pub const RESET_LUN: Self = Self(4);
    /// Guest: reset the controller. Linux does not send it.
    pub const RESET_ADAPTER: Self = Self(5);
    /// Guest: reset a bus. All that Linux has to end commands with.
    pub const RESET_BUS: Self = Self(6);
    /// Guest: the handshake begins.
    pub const BEGIN_INITIALIZATION: Self = Self(7);
    /// Guest: it ends.
    pub const END_INITIALIZATION: Self = Self(8);
    /// Guest: does the host speak this version?
    pub const QUERY_PROTOCOL_VERSION: Self = Self(9);
    /// Guest: what can the controller do?
    pub const QUERY_PROPERTIES: Self = Self(10);
    /// Host, by itself: something was added. Guests look for themselves.
    pub const ENUMERATE_BUS: Self = Self(11);
    /// Guest: the names of a Fibre Channel controller; host, by itself: they have changed.
    pub const FCHBA_DATA: Self = Self(12);
    /// Guest: offer more channels.
    pub const CREATE_SUB_CHANNELS: Self = Self(13);
}

/// Flag of a packet: answer it. Guests set it in each.
pub const FLAG_REQUEST_COMPLETION: u32 = 1;

/// `status` of an answer: a Windows status code. Guests look only whether it is 0.
pub mod status {
    /// Done.
    pub const SUCCESS: u32 = 0;
    /// Not that version; another may do.
    pub const REVISION_MISMATCH: u32 = 0xc000_0059;
    /// There is no such operation.
    pub const INVALID_DEVICE_REQUEST: u32 = 0xc000_0010;
    /// The packet makes no sense.
    pub const INVALID_PARAMETER: u32 = 0xc000_000d;
    /// Not now: the handshake has not come that far, or is over.
    pub const INVALID_DEVICE_STATE: u32 = 0xc000_0184;
}

/// Bytes that depend on the operation.
pub const PAYLOAD_SIZE: usize = 0x34;
/// Fewest bytes of a packet that answers something.
pub const PACKET_SIZE: usize = 64;
/// Fewest bytes of a packet that a host sends by itself: the operation.
pub const MIN_NOTICE_SIZE: usize = 4;

wire! {
    /// A packet.
    pub struct Packet: 64 {
        /// The [`Operation`].
        pub operation: U32,
        /// [`FLAG_REQUEST_COMPLETION`].
        pub flags: U32,
        /// Of an answer: one of [`status`]. Otherwise 0.
        pub status: U32,
        /// What depends on the operation.
        pub payload: [u8; PAYLOAD_SIZE],
    }
}

const _: () = assert!(size_of::<Packet>() == PACKET_SIZE);

/// What a host says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Units have come, gone or changed; it does not say which.
    Units,
    /// A Fibre Channel controller has these names from now on. Linux's driver takes this only
    /// with the id of a command.
    Names(WorldWideNames),
    /// An operation of which no notice is known.
    Unknown(Operation),
}

/// What stands in the payload of a packet. It has no padding, and any bytes are one.
pub trait Payload: FromBytes + IntoBytes + Immutable + KnownLayout {}

impl Payload for ScsiRequest {}
impl Payload for ProtocolVersion {}
impl Payload for Properties {}
impl Payload for WorldWideNames {}
impl Payload for SubChannelCount {}

impl Packet {
    /// A packet of a guest's without a payload.
    pub const fn new(operation: Operation) -> Self {
        Self {
            operation: U32::new(operation.0),
            flags: U32::new(FLAG_REQUEST_COMPLETION),
            status: U32::ZERO,
            payload: [0; PAYLOAD_SIZE],
        }
    }

    /// A packet of a guest's.
    pub fn with<P: Payload>(operation: Operation, payload: &P) -> Self {
        let mut packet = Self::new(operation);
        packet.set(payload);
        packet
    }

    /// The answer of a host, without a payload.
    pub const fn answer(status: u32) -> Self {
        let mut packet = Self::new(Operation::COMPLETE_IO);
        packet.flags = U32::ZERO;
        packet.status = U32::new(status);
        packet
    }

    /// What a host sends by itself.
    pub const fn notice(operation: Operation) -> Self {
        let mut packet = Self::new(operation);
        packet.flags = U32::ZERO;
        packet
    }

    /// Reads a packet, which was copied out of shared memory. What is beyond it is left out.
    ///
    /// `None` if it is too short.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Self::read_from_prefix(bytes).ok().map(|(packet, _)| packet)
    }

    /// Reads what a host sends by itself, which may be no more than the operation.
    ///
    /// `None` if it is too short for what it is, or of an operation that only makes sense as an
    /// answer.
    pub fn parse_notice(bytes: &[u8]) -> Option<Notice> {
        let operation = Operation(u32::from_le_bytes(*bytes.first_chunk()?));
        match operation {
            Operation::COMPLETE_IO => None,
            Operation::ENUMERATE_BUS | Operation::REMOVE_DEVICE => Some(Notice::Units),
            Operation::FCHBA_DATA => Some(Notice::Names(Self::parse(bytes)?.get())),
            other => Some(Notice::Unknown(other)),
        }
    }

    /// What it asks for.
    pub const fn operation(&self) -> Operation {
        Operation(self.operation.get())
    }

    /// Whether it is an answer, and a good one.
    pub fn is_success(&self) -> bool {
        self.operation() == Operation::COMPLETE_IO && self.status.get() == status::SUCCESS
    }

    /// What depends on the operation.
    pub fn get<P: Payload>(&self) -> P {
        const { assert!(size_of::<P>() <= PAYLOAD_SIZE) };
        match P::read_from_prefix(&self.payload) {
            Ok((payload, _)) => payload,
            // Not reached: the payload is long enough, as was asserted.
            Err(_) => P::new_zeroed(),
        }
    }

    /// Fills in what depends on the operation.
    pub fn set<P: Payload>(&mut self, payload: &P) {
        const { assert!(size_of::<P>() <= PAYLOAD_SIZE) };
        // It fits, as was asserted.
        let _ = payload.write_to_prefix(&mut self.payload);
    }
}

wire! {
    /// Payload of [`Operation::QUERY_PROTOCOL_VERSION`].
    pub struct ProtocolVersion: 4 {
        /// The [`Version`] that the guest wants to speak.
        pub version: U16,
        /// Of Windows' own source; 0 from others.
        pub revision: U16,
    }
}

impl ProtocolVersion {
    /// This version, from a guest that is not Windows.
    pub const fn new(version: Version) -> Self {
        Self {
            version: U16::new(version.0),
            revision: U16::ZERO,
        }
    }

    /// The version.
    pub const fn version(&self) -> Version {
        Version(self.version.get())
    }
}

/// Flag of [`Properties`]: sub-channels can be had.
pub const SUPPORTS_SUB_CHANNELS: u32 = 1;

wire! {
    /// Payload of the answer to [`Operation::QUERY_PROPERTIES`], and the user data with which
    /// Linux opens a channel, where it is all zero.
    pub struct Properties: 24 {
        /// Unused.
        pub reserved: U32,
        /// Most sub-channels.
        pub max_sub_channels: U16,
        /// Unused.
        pub reserved1: U16,
        /// [`SUPPORTS_SUB_CHANNELS`].
        pub flags: U32,
        /// Most bytes of data of one command.
        pub max_transfer_bytes: U32,
        /// Unused.
        pub reserved2: U64,
    }
}

impl Properties {
    /// What a controller can do.
    pub const fn new(max_sub_channels: u16, max_transfer_bytes: u32) -> Self {
        let flags = if max_sub_channels > 0 {
            SUPPORTS_SUB_CHANNELS
        } else {
            0
        };
        Self {
            reserved: U32::ZERO,
            max_sub_channels: U16::new(max_sub_channels),
            reserved1: U16::ZERO,
            flags: U32::new(flags),
            max_transfer_bytes: U32::new(max_transfer_bytes),
            reserved2: U64::ZERO,
        }
    }

    /// Number of sub-channels that may be asked for.
    pub fn sub_channels(&self) -> u16 {
        if self.flags.get() & SUPPORTS_SUB_CHANNELS != 0 {
            self.max_sub_channels.get()
        } else {
            0
        }
    }
}

wire! {
    /// Payload of [`Operation::FCHBA_DATA`]: names of the ports that a Fibre Channel controller
    /// has, of which one is in use. The bytes of a name are in its own order.
    pub struct WorldWideNames: 36 {
        /// Unless 0, the primary port is in use.
        pub primary_active: u8,
        /// Unused.
        pub reserved: [u8; 3],
        /// Name of the primary port.
        pub primary_port: [u8; 8],
        /// Name of its node.
        pub primary_node: [u8; 8],
        /// Name of the secondary port.
        pub secondary_port: [u8; 8],
        /// Name of its node.
        pub secondary_node: [u8; 8],
    }
}

/// A port and its node, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortNames {
    /// Name of the port.
    pub port: u64,
    /// Name of its node.
    pub node: u64,
}

impl WorldWideNames {
    /// Names of two ports, the primary of which is in use.
    pub const fn new(primary: PortNames, secondary: PortNames) -> Self {
        Self {
            primary_active: 1,
            reserved: [0; 3],
            primary_port: primary.port.to_be_bytes(),
            primary_node: primary.node.to_be_bytes(),
            secondary_port: secondary.port.to_be_bytes(),
            secondary_node: secondary.node.to_be_bytes(),
        }
    }

    /// Names of the port in use.
    pub const fn active(&self) -> PortNames {
        PortNames {
            port: self.port(),
            node: self.node(),
        }
    }

    /// Name of the port in use.
    pub const fn port(&self) -> u64 {
        u64::from_be_bytes(if self.primary_active != 0 {
            self.primary_port
        } else {
            self.secondary_port
        })
    }

    /// Name of its node.
    pub const fn node(&self) -> u64 {
        u64::from_be_bytes(if self.primary_active != 0 {
            self.primary_node
        } else {
            self.secondary_node
        })
    }
}

wire! {
    /// Payload of [`Operation::CREATE_SUB_CHANNELS`].
    pub struct SubChannelCount: 2 {
        /// How many to offer.
        pub count: U16,
    }
}

#[cfg(test)]
mod tests;
