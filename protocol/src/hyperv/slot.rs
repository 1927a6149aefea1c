// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The slot that messages pass through, one at a time (TLFS, section 11.10).
//!
//! The host keeps a queue for each source. It writes its first message into the
//! slot when that is empty and raises the interrupt. The guest copies the
//! message, empties the slot, and writes the EOM register only if the host has
//! meanwhile said that more is waiting:
//!
//! | host, slot occupied | guest |
//! |---|---|
//! | set the pending flag | set the type to "none" |
//! | fence | fence |
//! | look at the type once more | look at the pending flag |
//!
//! One of them sees what the other did. If it is the host, it writes the message
//! at once; if it is the guest, the host hears of the EOM and tries again.
//!
//! Nothing that the guest can write here makes the host do anything but deliver
//! early or late.

use super::message::{Message, FLAG_PENDING, KIND_NONE, PAYLOAD_SIZE, SLOT_SIZE};
use super::shared::SharedExchange;
use super::SINT_COUNT;

const KIND: u32 = 0;
/// Payload size in the low byte, flags in the next.
const SIZE_AND_FLAGS: u32 = 4;
const SENDER: u32 = 8;
const PAYLOAD: u32 = 16;

const PENDING: u32 = (FLAG_PENDING as u32) << 8;

/// The slot of one source in a message page.
#[derive(Clone, Copy, Debug)]
pub struct Slot<M> {
    page: M,
    base: u32,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Posted {
    /// It is in the slot: raise the interrupt.
    Delivered,
    /// The slot is occupied: keep the message until the guest writes the EOM register.
    Busy,
}

/// What a guest has to do after it has emptied a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Released {
    /// Nothing.
    Done,
    /// Write the EOM register: the host has more.
    EndOfMessage,
    /// Nothing: the slot holds another message by now, which was left there.
    Changed,
}

/// The host says that a message is longer than a slot. It can be released, not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The type of the message, for [`Slot::release`].
    pub kind: u32,
    /// How long it is said to be.
    pub size: u8,
}

impl<M: SharedExchange> Slot<M> {
    /// The slot of this source, or `None` if there is no such source or page.
    pub fn new(page: M, source: u8) -> Option<Self> {
        let base = u32::from(source).checked_mul(SLOT_SIZE)?;
        let end = base.checked_add(SLOT_SIZE)?;
        (source < SINT_COUNT && end <= page.size()).then_some(Self { page, base })
    }

    const fn at(&self, offset: u32) -> u32 {
        self.base.wrapping_add(offset)
    }

    /// The host: puts a message into the slot if that is empty.
    ///
    /// `is_last` says that no other message is queued behind this one. Only one
    /// thread may post to a slot at a time.
    pub fn post(&self, message: &Message, is_last: bool) -> Posted {
        if self.page.load_acquire(self.at(KIND)) != KIND_NONE {
            let word = self.page.load(self.at(SIZE_AND_FLAGS));
            self.page.store(self.at(SIZE_AND_FLAGS), word | PENDING);
            self.page.fence();
            if self.page.load_acquire(self.at(KIND)) != KIND_NONE {
                return Posted::Busy;
            }
        }
        self.fill(message, is_last);
        Posted::Delivered
    }

    fn fill(&self, message: &Message, is_last: bool) {
        let payload = message.payload();
        self.page.write(self.at(PAYLOAD), payload);
        self.page
            .write(self.at(SENDER), &message.sender().to_le_bytes());
        let size = u32::try_from(payload.len()).unwrap_or(0);
        let flags = if is_last { 0 } else { PENDING };
        self.page.store(self.at(SIZE_AND_FLAGS), size | flags);
        self.page.store_release(self.at(KIND), message.kind());
    }

    /// The host: whether the slot holds what the guest has not taken.
    pub fn is_occupied(&self) -> bool {
        self.page.load_acquire(self.at(KIND)) != KIND_NONE
    }

    /// The guest: copies the message that is in the slot, if there is one.
    ///
    /// # Errors
    ///
    /// If the host says that the message is longer than a slot.
    pub fn peek(&self) -> Result<Option<Message>, TooLong> {
        let kind = self.page.load_acquire(self.at(KIND));
        if kind == KIND_NONE {
            return Ok(None);
        }
        let [size, ..] = self.page.load(self.at(SIZE_AND_FLAGS)).to_le_bytes();
        let mut bytes = [0; PAYLOAD_SIZE];
        let error = TooLong { kind, size };
        let payload = bytes.get_mut(..usize::from(size)).ok_or(error)?;
        self.page.read(self.at(PAYLOAD), payload);
        let mut sender = [0; 8];
        self.page.read(self.at(SENDER), &mut sender);
        Ok(Message::new(kind, u64::from_le_bytes(sender), payload))
    }

    /// The guest: empties the slot of the message of this type that it has read.
    ///
    /// A kernel that is about to die may look at the slots of processors that
    /// are still running; hence a slot that has changed is left alone.
    pub fn release(&self, kind: u32) -> Released {
        if !self.page.compare_exchange(self.at(KIND), kind, KIND_NONE) {
            return Released::Changed;
        }
        self.page.fence();
        if self.page.load(self.at(SIZE_AND_FLAGS)) & PENDING != 0 {
            Released::EndOfMessage
        } else {
            Released::Done
        }
    }
}

#[cfg(test)]
mod tests;
