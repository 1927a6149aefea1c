// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The two hypercalls of VMBus (TLFS, sections 3.6 to 3.8 and 11.12).
//!
//! A call has a control word, which says what is called and where its input is:
//! in a page of the caller's, or for a "fast" call in two registers.

use core::mem::size_of;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use super::message::PAYLOAD_SIZE;
use super::wire::wire;

/// Code: sends a message to a port of the host.
pub const POST_MESSAGE: u16 = 0x5c;
/// Code: signals a port of the host.
pub const SIGNAL_EVENT: u16 = 0x5d;

/// Input and output of a call that is not fast have to be aligned to this.
pub const ALIGNMENT: u64 = 8;

/// Connection to the host's message port, for all versions of VMBus before 5.0.
pub const CONNECTION_MESSAGE: u32 = 1;
/// Connection to the host's event port.
pub const CONNECTION_EVENT: u32 = 2;
/// Connection that is signalled by way of a monitor page.
pub const CONNECTION_MONITOR: u32 = 3;
/// Connection for the first message from version 5.0 on.
pub const CONNECTION_MESSAGE_4: u32 = 4;
/// The same for a guest in virtual trust level 2, which is told where to go on.
pub const CONNECTION_MESSAGE_REDIRECT: u32 = 0x80_0074;
/// Bits of a connection's number; the others are reserved.
pub const CONNECTION_MASK: u32 = 0xff_ffff;

/// The control word of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control(pub u64);

impl Control {
    const FAST: u64 = 1 << 16;
    const NESTED: u64 = 1 << 31;
    /// Size of a variable header, in units of 8 bytes.
    const VARIABLE_HEADER: u64 = 0x3ff << 17;
    /// Repetitions asked for, in bits 32 to 43, and where to begin, in bits 48 to 59.
    const REPETITIONS: u64 = 0x0fff_0fff << 32;
    const RESERVED: u64 = 0xf000_f000_7800_0000;

    /// A call without repetitions whose input is in memory.
    pub const fn new(code: u16) -> Self {
        // A cast, as this is const; it cannot lose anything.
        Self(code as u64)
    }

    /// The same call with its input in registers.
    pub const fn fast(self) -> Self {
        Self(self.0 | Self::FAST)
    }

    /// What is called.
    pub const fn code(self) -> u16 {
        let [low, high, ..] = self.0.to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    /// Whether the input is in registers.
    pub const fn is_fast(self) -> bool {
        self.0 & Self::FAST != 0
    }

    /// Whether the call is for the hypervisor below a nested one.
    pub const fn is_nested(self) -> bool {
        self.0 & Self::NESTED != 0
    }

    /// Whether it is a call without repetitions and variable header that sets no reserved bit,
    /// as both calls here are.
    pub const fn is_simple(self) -> bool {
        self.0 & (Self::RESERVED | Self::REPETITIONS | Self::VARIABLE_HEADER) == 0
    }
}

/// How a call ended: the low 16 bits of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// Done.
    pub const SUCCESS: Self = Self(0);
    /// There is no such call.
    pub const INVALID_CODE: Self = Self(2);
    /// The control word or the rest of the input makes no sense.
    pub const INVALID_INPUT: Self = Self(3);
    /// The input is not aligned, or crosses a page.
    pub const INVALID_ALIGNMENT: Self = Self(4);
    /// A field of the input has a wrong value.
    pub const INVALID_PARAMETER: Self = Self(5);
    /// The partition has no right to call this.
    pub const ACCESS_DENIED: Self = Self(6);
    /// No memory now. Callers try again.
    pub const INSUFFICIENT_MEMORY: Self = Self(0x0b);
    /// There is no such port.
    pub const INVALID_PORT_ID: Self = Self(0x11);
    /// There is no such connection. Linux tries again, but for the first message.
    pub const INVALID_CONNECTION_ID: Self = Self(0x12);
    /// No buffer now. Callers try again.
    pub const INSUFFICIENT_BUFFERS: Self = Self(0x13);

    /// Whether a message may get through when it is posted again.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::INSUFFICIENT_MEMORY | Self::INSUFFICIENT_BUFFERS | Self::INVALID_CONNECTION_ID
        )
    }
}

wire! {
    /// Input of [`POST_MESSAGE`], before the payload.
    pub struct PostMessageHeader: 16 {
        /// Where to, in the low 24 bits.
        pub connection: U32,
        /// Zero.
        pub reserved: U32,
        /// What it is: [`super::message::KIND_CHANNEL`].
        pub kind: U32,
        /// Number of bytes of payload.
        pub payload_size: U32,
    }
}

/// Bytes of input of [`POST_MESSAGE`]; a caller may leave what is beyond the payload undefined.
pub const POST_MESSAGE_SIZE: usize = size_of::<PostMessageHeader>() + PAYLOAD_SIZE;

/// Input of [`POST_MESSAGE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostMessage<'a> {
    /// Where to.
    pub connection: u32,
    /// What it is.
    pub kind: u32,
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> PostMessage<'a> {
    /// Reads the input, which was copied out of the caller's memory.
    ///
    /// # Errors
    ///
    /// What the call has to return.
    pub fn parse(input: &'a [u8]) -> Result<Self, Status> {
        let (header, rest) =
            PostMessageHeader::read_from_prefix(input).map_err(|_| Status::INVALID_INPUT)?;
        let size = usize::try_from(header.payload_size.get()).unwrap_or(usize::MAX);
        if size > PAYLOAD_SIZE || header.connection.get() & !CONNECTION_MASK != 0 {
            return Err(Status::INVALID_PARAMETER);
        }
        Ok(Self {
            connection: header.connection.get(),
            kind: header.kind.get(),
            payload: rest.get(..size).ok_or(Status::INVALID_INPUT)?,
        })
    }

    /// Writes the input and returns its length, or `None` if the payload is too long.
    pub fn encode(&self, into: &mut [u8; POST_MESSAGE_SIZE]) -> Option<usize> {
        let header = PostMessageHeader {
            connection: U32::new(self.connection),
            reserved: U32::ZERO,
            kind: U32::new(self.kind),
            payload_size: U32::new(u32::try_from(self.payload.len()).ok()?),
        };
        let (head, tail) = into.split_at_mut(size_of::<PostMessageHeader>());
        tail.get_mut(..self.payload.len())?
            .copy_from_slice(self.payload);
        head.copy_from_slice(header.as_bytes());
        head.len().checked_add(self.payload.len())
    }
}

wire! {
    /// Input of [`SIGNAL_EVENT`], in memory or in the first register.
    pub struct SignalEvent: 8 {
        /// Where to, in the low 24 bits.
        pub connection: U32,
        /// Which flag of the port, relative to its first.
        pub flag: U16,
        /// Zero.
        pub reserved: U16,
    }
}

impl SignalEvent {
    /// A signal of a connection's first flag, as all signals of channels are.
    pub const fn new(connection: u32) -> Self {
        Self {
            connection: U32::new(connection),
            flag: U16::ZERO,
            reserved: U16::ZERO,
        }
    }

    /// The input in a register.
    pub fn to_register(self) -> u64 {
        u64::from_le_bytes(zerocopy::transmute!(self))
    }

    /// Reads the input from a register.
    pub fn from_register(register: u64) -> Self {
        zerocopy::transmute!(register.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_words() {
        let control = Control::new(SIGNAL_EVENT).fast();
        assert_eq!(control.0, 0x1_005d);
        assert!(control.is_fast() && control.is_simple() && !control.is_nested());
        assert_eq!(control.code(), SIGNAL_EVENT);
        assert!(!Control(1 << 17).is_simple());
        assert!(!Control(1 << 26).is_simple());
        assert!(!Control(1 << 27).is_simple());
        assert!(!Control(1 << 32).is_simple());
        assert!(!Control(1 << 48).is_simple());
        assert!(Control(1 << 31).is_simple() && Control(1 << 31).is_nested());
    }

    #[test]
    fn a_signal_is_a_register() {
        let signal = SignalEvent::new(0x1234);
        assert_eq!(signal.to_register(), 0x1234);
        let other = SignalEvent::from_register(0x0005_0000_1234);
        assert_eq!((other.connection.get(), other.flag.get()), (0x1234, 5));
        assert_eq!(SignalEvent::from_register(other.to_register()), other);
    }

    #[test]
    fn lengths_are_checked() {
        let mut input = [0; POST_MESSAGE_SIZE];
        let call = PostMessage {
            connection: 4,
            kind: 1,
            payload: &[7; 9],
        };
        let len = call.encode(&mut input).unwrap();
        assert_eq!(PostMessage::parse(&input[..len]), Ok(call));
        assert_eq!(
            PostMessage::parse(&input[..len - 1]),
            Err(Status::INVALID_INPUT)
        );
        assert_eq!(PostMessage::parse(&input[..15]), Err(Status::INVALID_INPUT));
        input[12] = 241;
        assert_eq!(PostMessage::parse(&input), Err(Status::INVALID_PARAMETER));
        let long = PostMessage {
            payload: &[0; 241],
            ..call
        };
        assert_eq!(long.encode(&mut input), None);
    }

    proptest! {
        #[test]
        fn round_trip(connection in 0..=CONNECTION_MASK, kind: u32,
                      payload in proptest::collection::vec(any::<u8>(), 0..=PAYLOAD_SIZE)) {
            let call = PostMessage { connection, kind, payload: &payload };
            let mut input = [0xff; POST_MESSAGE_SIZE];
            let len = call.encode(&mut input).unwrap();
            prop_assert_eq!(PostMessage::parse(&input[..len]), Ok(call));
            prop_assert_eq!(PostMessage::parse(&input), Ok(call));
        }

        #[test]
        fn any_input_is_answered(input: std::vec::Vec<u8>) {
            let _ = PostMessage::parse(&input);
        }
    }
}
