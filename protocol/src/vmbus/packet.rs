// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Packets: what is in a ring (`struct vmpacket_descriptor` of `include/linux/hyperv.h`).
//!
//! A packet has a descriptor of 16 bytes, for some types an extension that says
//! where data is, and a payload that only the device and its driver understand.
//! Offset and length of it are in units of 8 bytes:
//!
//! | type | extension |
//! |---|---|
//! | in-band, completion | none |
//! | GPA-direct | a list of ranges of guest memory ([`super::gpa`]) |
//! | transfer pages | ranges within a buffer that both sides know |
//!
//! A request and its completion have the same transaction id, which is any number.

use core::mem::size_of;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::gpa::{BadRange, Ranges};
use crate::hyperv::wire::wire;

/// Type of a packet. Other values than these exist and may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind(pub u16);

impl Kind {
    /// The payload is all there is.
    pub const IN_BAND: Self = Self(6);
    /// Data is in a buffer that was agreed upon.
    pub const TRANSFER_PAGES: Self = Self(7);
    /// Data is in a GPADL.
    pub const GPADL: Self = Self(8);
    /// Data is in guest memory.
    pub const GPA_DIRECT: Self = Self(9);
    /// A request is to be given up.
    pub const CANCEL: Self = Self(10);
    /// A request is done.
    pub const COMPLETION: Self = Self(11);
}

/// Flag of a packet: the sender waits for a packet of type [`Kind::COMPLETION`].
pub const FLAG_COMPLETION_REQUESTED: u16 = 1;

wire! {
    /// What every packet begins with.
    pub struct Descriptor: 16 {
        /// The [`Kind`].
        pub kind: U16,
        /// Where the payload begins, in units of 8 bytes from here.
        pub offset8: U16,
        /// How long the packet is, in units of 8 bytes from here.
        pub len8: U16,
        /// [`FLAG_COMPLETION_REQUESTED`].
        pub flags: U16,
        /// Which request this is, or which one it completes.
        pub transaction_id: U64,
    }
}

impl Descriptor {
    const SIZE: u32 = size_of::<Self>() as u32;

    /// Where the payload begins, in bytes.
    pub fn offset(&self) -> u32 {
        u32::from(self.offset8.get()) << 3
    }

    /// How long the packet is, in bytes.
    pub fn len(&self) -> u32 {
        u32::from(self.len8.get()) << 3
    }

    /// Whether there is no packet, which is never so if it is valid.
    pub fn is_empty(&self) -> bool {
        self.len8.get() == 0
    }

    /// Whether the payload begins after the descriptor and not after the packet.
    pub fn is_valid(&self) -> bool {
        self.offset() >= Self::SIZE && self.offset() <= self.len()
    }

    /// Whether the sender waits for a completion.
    pub fn wants_completion(&self) -> bool {
        self.flags.get() & FLAG_COMPLETION_REQUESTED != 0
    }
}

/// What is said about a packet that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its type.
    pub kind: Kind,
    /// Its flags.
    pub flags: u16,
    /// Which request it is, or which one it completes.
    pub transaction_id: u64,
}

/// A packet that cannot be described: it is too long, or its extension is not made of whole units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Header {
    /// A request that waits for its completion.
    pub const fn request(kind: Kind, transaction_id: u64) -> Self {
        Self {
            kind,
            flags: FLAG_COMPLETION_REQUESTED,
            transaction_id,
        }
    }

    /// A packet to which there is no answer.
    pub const fn notice(kind: Kind, transaction_id: u64) -> Self {
        Self {
            kind,
            flags: 0,
            transaction_id,
        }
    }

    /// The answer to a request.
    pub const fn completion(transaction_id: u64) -> Self {
        Self::notice(Kind::COMPLETION, transaction_id)
    }

    /// The descriptor of a packet with an extension and a payload of these lengths.
    ///
    /// # Errors
    ///
    /// If there can be no such packet.
    pub fn descriptor(&self, extension: usize, payload: usize) -> Result<Descriptor, TooLong> {
        let offset = extension.checked_add(size_of::<Descriptor>());
        let len = offset.and_then(|offset| offset.checked_add(payload));
        let units =
            |bytes: Option<usize>| u16::try_from(bytes.ok_or(TooLong)? >> 3).or(Err(TooLong));
        if extension & 7 != 0 {
            return Err(TooLong);
        }
        Ok(Descriptor {
            kind: U16::new(self.kind.0),
            offset8: U16::new(units(offset)?),
            len8: U16::new(units(len.and_then(|len| len.checked_next_multiple_of(8)))?),
            flags: U16::new(self.flags),
            transaction_id: U64::new(self.transaction_id),
        })
    }
}

wire! {
    /// Extension of [`Kind::GPA_DIRECT`], before the range list.
    pub struct GpaDirect: 8 {
        /// Zero.
        pub reserved: U32,
        /// Number of ranges.
        pub range_count: U32,
    }
}

impl GpaDirect {
    /// For that many ranges.
    pub const fn new(range_count: u32) -> Self {
        Self {
            reserved: U32::ZERO,
            range_count: U32::new(range_count),
        }
    }

    /// The range list, from the words that follow.
    ///
    /// # Errors
    ///
    /// If it is not in order.
    pub fn ranges<'a>(&self, words: &'a [U64]) -> Result<Ranges<'a>, BadRange> {
        Ranges::new(words, self.range_count.get())
    }
}

wire! {
    /// Extension of [`Kind::TRANSFER_PAGES`], before the ranges.
    pub struct TransferPages: 8 {
        /// Which buffer.
        pub pageset_id: U16,
        /// Whether the sender owns it.
        pub sender_owns: u8,
        /// Zero.
        pub reserved: u8,
        /// Number of ranges.
        pub range_count: U32,
    }
}

wire! {
    /// A range of the buffer that [`TransferPages`] names.
    pub struct TransferRange: 8 {
        /// Number of bytes.
        pub byte_count: U32,
        /// Where they begin in the buffer.
        pub byte_offset: U32,
    }
}

/// A packet that was copied out of a ring and found in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Whether the sender waits for a completion.
    pub wants_completion: bool,
    /// Which request it is, or which one it completes.
    pub transaction_id: u64,
    /// Where its data is.
    pub data: Data<'a>,
    /// The payload, with what it was filled up with.
    pub payload: &'a [u8],
}

/// Where the data of a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// [`Kind::IN_BAND`]: in the payload.
    InBand,
    /// [`Kind::GPA_DIRECT`]: in guest memory.
    GpaDirect(Ranges<'a>),
    /// [`Kind::TRANSFER_PAGES`]: in a buffer that was agreed upon.
    TransferPages(&'a TransferPages, &'a [TransferRange]),
    /// [`Kind::COMPLETION`]: it is not a request.
    Completion,
    /// Another type, with its extension.
    Unknown(Kind, &'a [u8]),
}

/// Why bytes are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPacket {
    /// They are fewer than the descriptor says, or it is impossible.
    Descriptor,
    /// The extension is shorter than its type has it.
    Extension(Kind),
    /// The list of ranges is not in order.
    Range(BadRange),
}

impl<'a> Packet<'a> {
    /// Reads a packet. What follows it is left out.
    ///
    /// # Errors
    ///
    /// If it is not in order.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BadPacket> {
        let (descriptor, _) =
            Descriptor::ref_from_prefix(bytes).map_err(|_| BadPacket::Descriptor)?;
        let part = |from: u32, to: u32| {
            let range = usize::try_from(from).ok()?..usize::try_from(to).ok()?;
            bytes.get(range)
        };
        let (offset, len) = (descriptor.offset(), descriptor.len());
        let extension = part(Descriptor::SIZE, offset).ok_or(BadPacket::Descriptor)?;
        let payload = part(offset, len).ok_or(BadPacket::Descriptor)?;
        Ok(Self {
            wants_completion: descriptor.wants_completion(),
            transaction_id: descriptor.transaction_id.get(),
            data: Data::parse(Kind(descriptor.kind.get()), extension)?,
            payload,
        })
    }
}

impl<'a> Data<'a> {
    fn parse(kind: Kind, extension: &'a [u8]) -> Result<Self, BadPacket> {
        let short = BadPacket::Extension(kind);
        Ok(match kind {
            Kind::IN_BAND => Self::InBand,
            Kind::COMPLETION => Self::Completion,
            Kind::GPA_DIRECT => {
                let (head, rest) = GpaDirect::ref_from_prefix(extension).map_err(|_| short)?;
                let words = <[U64]>::ref_from_bytes(rest).map_err(|_| short)?;
                Self::GpaDirect(head.ranges(words).map_err(BadPacket::Range)?)
            }
            Kind::TRANSFER_PAGES => {
                let (head, rest) = TransferPages::ref_from_prefix(extension).map_err(|_| short)?;
                let count = usize::try_from(head.range_count.get()).map_err(|_| short)?;
                let ranges = <[TransferRange]>::ref_from_bytes(rest).map_err(|_| short)?;
                Self::TransferPages(head, ranges.get(..count).ok_or(short)?)
            }
            other => Self::Unknown(other, extension),
        })
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::InBand => Kind::IN_BAND,
            Self::GpaDirect(_) => Kind::GPA_DIRECT,
            Self::TransferPages(..) => Kind::TRANSFER_PAGES,
            Self::Completion => Kind::COMPLETION,
            Self::Unknown(kind, _) => *kind,
        }
    }
}

impl Packet<'_> {
    /// Writes the packet as it stands in a ring, and returns its length.
    /// `None` if it does not fit, or if there can be no such packet.
    pub fn encode(&self, into: &mut [u8]) -> Option<usize> {
        let direct;
        let parts: [&[u8]; 2] = match &self.data {
            Data::InBand | Data::Completion => [&[], &[]],
            Data::GpaDirect(ranges) => {
                direct = GpaDirect::new(ranges.range_count());
                [direct.as_bytes(), ranges.words().as_bytes()]
            }
            Data::TransferPages(head, ranges) => [head.as_bytes(), ranges.as_bytes()],
            Data::Unknown(_, extension) => [extension, &[]],
        };
        let header = Header {
            kind: self.data.kind(),
            flags: u16::from(self.wants_completion),
            transaction_id: self.transaction_id,
        };
        let extension = parts.iter().map(|part| part.len()).sum();
        let descriptor = header.descriptor(extension, self.payload.len()).ok()?;
        let len = usize::try_from(descriptor.len()).ok()?;
        let mut rest = into.get_mut(..len)?;
        for part in [descriptor.as_bytes(), parts[0], parts[1], self.payload] {
            let (head, tail) = rest.split_at_mut_checked(part.len())?;
            head.copy_from_slice(part);
            rest = tail;
        }
        rest.fill(0);
        Some(len)
    }
}

#[cfg(test)]
mod tests;
