// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The ring buffer: one direction of a channel (`struct hv_ring_buffer` of
//! `include/linux/hyperv.h`, `drivers/hv/ring_buffer.c`).
//!
//! A ring is a control page ([`control`]) and data behind it. The producer owns
//! the write index and the space before the read index, the consumer the read
//! index and the data before the write index. Each entry is a packet
//! ([`super::packet`]), its length a multiple of 8, and eight more bytes: zero,
//! and the index that the packet began at. An entry that reaches the end of the
//! data goes on at its beginning.
//!
//! - A [`Producer`] writes entries and then one index for all of them.
//! - A [`Consumer`] reads entries and then gives back the space of all of them.
//!
//! Either tells whether the other side has to be signalled. Four words decide:
//!
//! | who sleeps | says so | then looks once more at | the other side changes | then looks at |
//! |---|---|---|---|---|
//! | the consumer, ring empty | interrupt mask 0 | the write index | the write index | the mask, the read index |
//! | the producer, ring full | pending send size | the read index | the read index | that size |
//!
//! With a fence between the two steps on both sides nobody sleeps on: at least
//! one of them sees what the other has done. `model.rs` has loom try all orders.
//!
//! Not obvious:
//!
//! - A ring is never filled to the last byte, as equal indices mean "empty".
//! - The producer signals only if the ring was empty, so a consumer that stops
//!   before the ring is empty has to come back by itself.
//! - The other side may write anything anywhere at any time. Indices are checked
//!   each time they are read, and never read back by the side that owns them. A
//!   ring in which a wrong value was found is dead; it says so once with the
//!   value, and then only that it is dead.

pub mod consumer;
pub mod control;
pub mod producer;

pub use consumer::{Consumer, Incoming};
pub use control::RingError;
pub use producer::{Batch, Producer, PushError, Room};

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

/// Whether the other side has to be signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Signal {
    /// It sleeps, or may.
    Needed,
    /// It will look by itself.
    NotNeeded,
}

impl Signal {
    /// Whether the other side has to be signalled.
    pub const fn is_needed(self) -> bool {
        matches!(self, Self::Needed)
    }
}
