// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Channel messages (`enum vmbus_channel_message_type` of `include/linux/hyperv.h`).
//!
//! A message is the payload of a SynIC message of type
//! [`KIND_CHANNEL`](crate::hyperv::message::KIND_CHANNEL): a type, four bytes of
//! padding, and a body, 240 bytes at most. Bodies are in [`body`], grouped as
//! the conversation goes:
//!
//! | guest | host |
//! |---|---|
//! | `INITIATE_CONTACT` | `VERSION_RESPONSE` |
//! | `REQUEST_OFFERS` | `OFFER` …, `ALL_OFFERS_DELIVERED` |
//! | `GPADL_HEADER`, `GPADL_BODY` … | `GPADL_CREATED` |
//! | `OPEN` | `OPEN_RESULT` |
//! | `MODIFY_CHANNEL` | `MODIFY_CHANNEL_RESPONSE`, from version 5.3 on |
//! | `CLOSE` | |
//! | `GPADL_TEARDOWN` | `GPADL_TORNDOWN` |
//! | `RELID_RELEASED` | `RESCIND`, which comes first |
//! | `UNLOAD` | `UNLOAD_RESPONSE` |
//!
//! Not obvious: a message may be longer than its body, as newer versions append
//! fields; it may not be shorter. Answers name the request by what it is about,
//! there are no sequence numbers.

use core::mem::size_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::hyperv::message::PAYLOAD_SIZE;
use crate::hyperv::wire::wire;

pub mod body;

pub use body::{
    ChannelRelid, GpadlBody, GpadlCreated, GpadlHeader, GpadlTeardown, GpadlTorndown,
    InitiateContact, ModifyChannel, ModifyChannelResponse, Offer, Open, OpenResult,
    TlConnectRequest, VersionResponse,
};

/// Type of a message. Hosts and guests may use values that are not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u32);

impl Kind {
    /// Host: a channel exists. [`Offer`].
    pub const OFFER: Self = Self(1);
    /// Host: a channel is to go. [`ChannelRelid`].
    pub const RESCIND: Self = Self(2);
    /// Guest: what is there? No body.
    pub const REQUEST_OFFERS: Self = Self(3);
    /// Host: that was all there is now. No body.
    pub const ALL_OFFERS_DELIVERED: Self = Self(4);
    /// Guest: open a channel. [`Open`].
    pub const OPEN: Self = Self(5);
    /// Host: whether it is open. [`OpenResult`].
    pub const OPEN_RESULT: Self = Self(6);
    /// Guest: a channel is closed. [`ChannelRelid`]. There is no answer.
    pub const CLOSE: Self = Self(7);
    /// Guest: the beginning of a GPADL. [`GpadlHeader`].
    pub const GPADL_HEADER: Self = Self(8);
    /// Guest: more of it. [`GpadlBody`].
    pub const GPADL_BODY: Self = Self(9);
    /// Host: whether it is taken. [`GpadlCreated`].
    pub const GPADL_CREATED: Self = Self(10);
    /// Guest: it is to be forgotten. [`GpadlTeardown`].
    pub const GPADL_TEARDOWN: Self = Self(11);
    /// Host: it is forgotten, the memory is the guest's again. [`GpadlTorndown`].
    pub const GPADL_TORNDOWN: Self = Self(12);
    /// Guest: it has stopped using a rescinded channel. [`ChannelRelid`].
    pub const RELID_RELEASED: Self = Self(13);
    /// Guest: the first message. [`InitiateContact`].
    pub const INITIATE_CONTACT: Self = Self(14);
    /// Host: whether it speaks that version. [`VersionResponse`].
    pub const VERSION_RESPONSE: Self = Self(15);
    /// Guest: it is leaving. No body.
    pub const UNLOAD: Self = Self(16);
    /// Host: all is forgotten. No body.
    pub const UNLOAD_RESPONSE: Self = Self(17);
    /// Guest: connect a Hyper-V socket. [`TlConnectRequest`].
    pub const TL_CONNECT_REQUEST: Self = Self(21);
    /// Guest: interrupt another processor. [`ModifyChannel`].
    pub const MODIFY_CHANNEL: Self = Self(22);
    /// Host: whether a socket was connected. The kernel's header has no body for it.
    pub const TL_CONNECT_RESULT: Self = Self(23);
    /// Host: the former processor is not interrupted any more. [`ModifyChannelResponse`].
    pub const MODIFY_CHANNEL_RESPONSE: Self = Self(24);
}

wire! {
    /// What every message begins with.
    pub struct Header: 8 {
        /// The [`Kind`].
        pub kind: U32,
        /// Zero.
        pub padding: U32,
    }
}

/// A message whose body is as long as it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// [`Kind::OFFER`].
    Offer(&'a Offer),
    /// [`Kind::RESCIND`].
    Rescind(&'a ChannelRelid),
    /// [`Kind::REQUEST_OFFERS`].
    RequestOffers,
    /// [`Kind::ALL_OFFERS_DELIVERED`].
    AllOffersDelivered,
    /// [`Kind::OPEN`].
    Open(&'a Open),
    /// [`Kind::OPEN_RESULT`].
    OpenResult(&'a OpenResult),
    /// [`Kind::CLOSE`].
    Close(&'a ChannelRelid),
    /// [`Kind::GPADL_HEADER`], and the words of the range list that are in it.
    GpadlHeader(&'a GpadlHeader, &'a [U64]),
    /// [`Kind::GPADL_BODY`], and the words of the range list that are in it.
    GpadlBody(&'a GpadlBody, &'a [U64]),
    /// [`Kind::GPADL_CREATED`].
    GpadlCreated(&'a GpadlCreated),
    /// [`Kind::GPADL_TEARDOWN`].
    GpadlTeardown(&'a GpadlTeardown),
    /// [`Kind::GPADL_TORNDOWN`].
    GpadlTorndown(&'a GpadlTorndown),
    /// [`Kind::RELID_RELEASED`].
    RelidReleased(&'a ChannelRelid),
    /// [`Kind::INITIATE_CONTACT`].
    InitiateContact(&'a InitiateContact),
    /// [`Kind::VERSION_RESPONSE`].
    VersionResponse(&'a VersionResponse),
    /// [`Kind::UNLOAD`].
    Unload,
    /// [`Kind::UNLOAD_RESPONSE`].
    UnloadResponse,
    /// [`Kind::TL_CONNECT_REQUEST`].
    TlConnectRequest(&'a TlConnectRequest),
    /// [`Kind::MODIFY_CHANNEL`].
    ModifyChannel(&'a ModifyChannel),
    /// [`Kind::MODIFY_CHANNEL_RESPONSE`].
    ModifyChannelResponse(&'a ModifyChannelResponse),
    /// Any other type, with what follows the header.
    Unknown(Kind, &'a [u8]),
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadMessage {
    /// There is no whole header.
    NoHeader {
        /// Number of bytes.
        len: usize,
    },
    /// The body is shorter than its type has it.
    TooShort {
        /// The type.
        kind: Kind,
        /// Number of bytes, with the header.
        len: usize,
    },
    /// A list that is not made of whole words.
    Ragged {
        /// The type.
        kind: Kind,
        /// Number of bytes, with the header.
        len: usize,
    },
}

impl<'a> Message<'a> {
    /// Reads a message, which was copied out of shared memory.
    ///
    /// # Errors
    ///
    /// If the bytes are too few for what the type says.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BadMessage> {
        let len = bytes.len();
        let (header, rest) =
            Header::ref_from_prefix(bytes).map_err(|_| BadMessage::NoHeader { len })?;
        let body = Unparsed {
            kind: Kind(header.kind.get()),
            len,
            rest,
        };
        Ok(match body.kind {
            Kind::OFFER => Self::Offer(body.get()?),
            Kind::RESCIND => Self::Rescind(body.get()?),
            Kind::REQUEST_OFFERS => Self::RequestOffers,
            Kind::ALL_OFFERS_DELIVERED => Self::AllOffersDelivered,
            Kind::OPEN => Self::Open(body.get()?),
            Kind::OPEN_RESULT => Self::OpenResult(body.get()?),
            Kind::CLOSE => Self::Close(body.get()?),
            Kind::GPADL_HEADER => {
                let (body, words) = body.get_with_words()?;
                Self::GpadlHeader(body, words)
            }
            Kind::GPADL_BODY => {
                let (body, words) = body.get_with_words()?;
                Self::GpadlBody(body, words)
            }
            Kind::GPADL_CREATED => Self::GpadlCreated(body.get()?),
            Kind::GPADL_TEARDOWN => Self::GpadlTeardown(body.get()?),
            Kind::GPADL_TORNDOWN => Self::GpadlTorndown(body.get()?),
            Kind::RELID_RELEASED => Self::RelidReleased(body.get()?),
            Kind::INITIATE_CONTACT => Self::InitiateContact(body.get()?),
            Kind::VERSION_RESPONSE => Self::VersionResponse(body.get()?),
            Kind::UNLOAD => Self::Unload,
            Kind::UNLOAD_RESPONSE => Self::UnloadResponse,
            Kind::TL_CONNECT_REQUEST => Self::TlConnectRequest(body.get()?),
            Kind::MODIFY_CHANNEL => Self::ModifyChannel(body.get()?),
            Kind::MODIFY_CHANNEL_RESPONSE => Self::ModifyChannelResponse(body.get()?),
            kind => Self::Unknown(kind, rest),
        })
    }

    /// The type.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Offer(_) => Kind::OFFER,
            Self::Rescind(_) => Kind::RESCIND,
            Self::RequestOffers => Kind::REQUEST_OFFERS,
            Self::AllOffersDelivered => Kind::ALL_OFFERS_DELIVERED,
            Self::Open(_) => Kind::OPEN,
            Self::OpenResult(_) => Kind::OPEN_RESULT,
            Self::Close(_) => Kind::CLOSE,
            Self::GpadlHeader(..) => Kind::GPADL_HEADER,
            Self::GpadlBody(..) => Kind::GPADL_BODY,
            Self::GpadlCreated(_) => Kind::GPADL_CREATED,
            Self::GpadlTeardown(_) => Kind::GPADL_TEARDOWN,
            Self::GpadlTorndown(_) => Kind::GPADL_TORNDOWN,
            Self::RelidReleased(_) => Kind::RELID_RELEASED,
            Self::InitiateContact(_) => Kind::INITIATE_CONTACT,
            Self::VersionResponse(_) => Kind::VERSION_RESPONSE,
            Self::Unload => Kind::UNLOAD,
            Self::UnloadResponse => Kind::UNLOAD_RESPONSE,
            Self::TlConnectRequest(_) => Kind::TL_CONNECT_REQUEST,
            Self::ModifyChannel(_) => Kind::MODIFY_CHANNEL,
            Self::ModifyChannelResponse(_) => Kind::MODIFY_CHANNEL_RESPONSE,
            Self::Unknown(kind, _) => *kind,
        }
    }

    /// The wire form, or `None` if a list or an unknown body is too long.
    pub fn encode(&self) -> Option<Encoded> {
        let (body, tail): (&[u8], &[u8]) = match self {
            Self::Offer(body) => (body.as_bytes(), &[]),
            Self::Rescind(body) | Self::Close(body) | Self::RelidReleased(body) => {
                (body.as_bytes(), &[])
            }
            Self::RequestOffers
            | Self::AllOffersDelivered
            | Self::Unload
            | Self::UnloadResponse => (&[], &[]),
            Self::Open(body) => (body.as_bytes(), &[]),
            Self::OpenResult(body) => (body.as_bytes(), &[]),
            Self::GpadlHeader(body, words) => (body.as_bytes(), words.as_bytes()),
            Self::GpadlBody(body, words) => (body.as_bytes(), words.as_bytes()),
            Self::GpadlCreated(body) => (body.as_bytes(), &[]),
            Self::GpadlTeardown(body) => (body.as_bytes(), &[]),
            Self::GpadlTorndown(body) => (body.as_bytes(), &[]),
            Self::InitiateContact(body) => (body.as_bytes(), &[]),
            Self::VersionResponse(body) => (body.as_bytes(), &[]),
            Self::TlConnectRequest(body) => (body.as_bytes(), &[]),
            Self::ModifyChannel(body) => (body.as_bytes(), &[]),
            Self::ModifyChannelResponse(body) => (body.as_bytes(), &[]),
            Self::Unknown(_, body) => (body, &[]),
        };
        Encoded::new(self.kind(), body, tail)
    }
}

/// What follows a header.
struct Unparsed<'a> {
    kind: Kind,
    len: usize,
    rest: &'a [u8],
}

impl<'a> Unparsed<'a> {
    fn split<T>(&self) -> Result<(&'a T, &'a [u8]), BadMessage>
    where
        T: FromBytes + Immutable + KnownLayout + Unaligned,
    {
        T::ref_from_prefix(self.rest).map_err(|_| BadMessage::TooShort {
            kind: self.kind,
            len: self.len,
        })
    }

    fn get<T>(&self) -> Result<&'a T, BadMessage>
    where
        T: FromBytes + Immutable + KnownLayout + Unaligned,
    {
        self.split().map(|(body, _)| body)
    }

    fn get_with_words<T>(&self) -> Result<(&'a T, &'a [U64]), BadMessage>
    where
        T: FromBytes + Immutable + KnownLayout + Unaligned,
    {
        let (body, tail) = self.split()?;
        let words = <[U64]>::ref_from_bytes(tail).map_err(|_| BadMessage::Ragged {
            kind: self.kind,
            len: self.len,
        })?;
        Ok((body, words))
    }
}

/// A message in its wire form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    bytes: [u8; PAYLOAD_SIZE],
    len: usize,
}

impl Encoded {
    /// A message of these parts, or `None` if they are longer than a message can be.
    pub fn new(kind: Kind, body: &[u8], tail: &[u8]) -> Option<Self> {
        let header = Header {
            kind: U32::new(kind.0),
            padding: U32::ZERO,
        };
        let mut encoded = Self {
            bytes: [0; PAYLOAD_SIZE],
            len: 0,
        };
        encoded.push(header.as_bytes())?;
        encoded.push(body)?;
        encoded.push(tail)?;
        Some(encoded)
    }

    /// Appends bytes, or nothing if there is no room for all of them.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    /// The bytes to send.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

impl core::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:02x?}", self.as_slice())
    }
}

/// Most words of a range list in a [`GpadlHeader`] message: a range header and 26 pages.
pub const GPADL_HEADER_WORDS: usize =
    (PAYLOAD_SIZE - size_of::<Header>() - size_of::<GpadlHeader>()) / size_of::<U64>();
/// Most words of a range list in a [`GpadlBody`] message.
pub const GPADL_BODY_WORDS: usize =
    (PAYLOAD_SIZE - size_of::<Header>() - size_of::<GpadlBody>()) / size_of::<U64>();

const _: () = assert!(GPADL_HEADER_WORDS == 27 && GPADL_BODY_WORDS == 28);

#[cfg(test)]
mod tests;
