// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A message as it stands in a slot (TLFS, section 11.10).

use zerocopy::little_endian::{U16, U32, U64};

use super::wire::wire;

/// Size of a slot: the header and the payload.
pub const SLOT_SIZE: u32 = 256;
/// Most bytes that a message carries (`HV_MESSAGE_PAYLOAD_BYTE_COUNT`).
pub const PAYLOAD_SIZE: usize = 240;

/// `kind`: the slot is empty.
pub const KIND_NONE: u32 = 0;
/// `kind`: a message of VMBus, of the channel's own protocol.
pub const KIND_CHANNEL: u32 = 1;
/// `kind`: a synthetic timer that is not in direct mode has expired.
pub const KIND_TIMER_EXPIRED: u32 = 0x8000_0010;

/// Bit of `flags`: another message waits for the slot, so write the EOM register.
pub const FLAG_PENDING: u8 = 1;

wire! {
    /// What precedes the payload.
    pub struct MessageHeader: 16 {
        /// What it is, or [`KIND_NONE`]. Written last by the host and cleared by the guest.
        pub kind: U32,
        /// Number of bytes of payload.
        pub payload_size: u8,
        /// [`FLAG_PENDING`]. The host may set it at any time.
        pub flags: u8,
        /// Zero.
        pub reserved: U16,
        /// The port that it came from, in the low 24 bits.
        pub sender: U64,
    }
}

/// A message, copied out of shared memory or not yet copied in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message {
    kind: u32,
    sender: u64,
    len: u8,
    bytes: [u8; PAYLOAD_SIZE],
}

impl Message {
    /// A message, or `None` if it is too long or of [`KIND_NONE`].
    pub fn new(kind: u32, sender: u64, payload: &[u8]) -> Option<Self> {
        let mut bytes = [0; PAYLOAD_SIZE];
        bytes.get_mut(..payload.len())?.copy_from_slice(payload);
        let len = u8::try_from(payload.len()).ok()?;
        (kind != KIND_NONE).then_some(Self {
            kind,
            sender,
            len,
            bytes,
        })
    }

    /// What it is, such as [`KIND_CHANNEL`].
    pub const fn kind(&self) -> u32 {
        self.kind
    }

    /// The port that it came from.
    pub const fn sender(&self) -> u64 {
        self.sender
    }

    /// What it carries.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl core::fmt::Debug for Message {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Message")
            .field("kind", &self.kind)
            .field("sender", &self.sender)
            .field("payload", &self.payload())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(Message::new(KIND_NONE, 0, &[1]), None);
        assert_eq!(Message::new(KIND_CHANNEL, 0, &[1; 241]), None);
        let full = Message::new(KIND_CHANNEL, 7, &[1; 240]).unwrap();
        assert_eq!(
            (full.kind(), full.sender(), full.payload()),
            (1, 7, &[1; 240][..])
        );
    }
}
