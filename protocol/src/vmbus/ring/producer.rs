// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The side that writes.

use zerocopy::IntoBytes;

use super::control::{
    Ring, RingError, INTERRUPT_MASK, PENDING_SEND_SIZE, TRAILER_SIZE, WRITE_INDEX,
};
use super::Signal;
use crate::hyperv::shared::Shared;
use crate::vmbus::packet::{Header, TooLong};

/// The side that writes. There is one for a ring; who has several threads locks it.
#[derive(Debug)]
pub struct Producer<M> {
    ring: Ring<M>,
    write: u32,
    /// The read index as it was seen last.
    read: u32,
    dead: bool,
}

/// Why a packet was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// There is not enough room now.
    Full {
        /// What to give [`Producer::wait_for`].
        needed: u32,
    },
    /// There will never be: the packet does not fit in the ring, or in any packet.
    TooLong,
    /// The ring cannot be used any more.
    Ring(RingError),
}

impl From<RingError> for PushError {
    fn from(error: RingError) -> Self {
        Self::Ring(error)
    }
}

impl From<TooLong> for PushError {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}

/// Whether a producer has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Room {
    /// There is room by now.
    Now,
    /// The consumer has been told, and signals when there is.
    Later,
}

impl<M: Shared> Producer<M> {
    /// The producer of a ring, from where its indices are.
    ///
    /// # Errors
    ///
    /// If the memory cannot be a ring or an index is wrong.
    pub fn new(memory: M) -> Result<Self, RingError> {
        let ring = Ring::new(memory)?;
        let (read, write) = (ring.read_index()?, ring.write_index()?);
        Ok(Self {
            ring,
            write,
            read,
            dead: false,
        })
    }

    /// The memory of the ring.
    pub const fn memory(&self) -> &M {
        &self.ring.memory
    }

    /// The write index.
    pub const fn index(&self) -> u32 {
        self.write
    }

    /// Size of the data.
    pub const fn size(&self) -> u32 {
        self.ring.size()
    }

    /// Number of free bytes, as of now. A packet takes 8 more than it is long,
    /// and has to leave something free.
    ///
    /// # Errors
    ///
    /// If the read index is wrong.
    pub fn free(&mut self) -> Result<u32, RingError> {
        self.refresh()?;
        Ok(self.ring.free(self.read, self.write))
    }

    fn refresh(&mut self) -> Result<(), RingError> {
        if self.dead {
            return Err(RingError::Dead);
        }
        self.read = self.ring.read_index().inspect_err(|_| self.dead = true)?;
        Ok(())
    }

    /// Begins to write. Nothing is visible until [`Batch::commit`].
    ///
    /// # Errors
    ///
    /// If the ring is dead.
    pub fn begin(&mut self) -> Result<Batch<'_, M>, RingError> {
        if self.dead {
            return Err(RingError::Dead);
        }
        let next = self.write;
        Ok(Batch {
            producer: self,
            next,
        })
    }

    /// Writes one packet: [`Batch::push`] and [`Batch::commit`].
    ///
    /// # Errors
    ///
    /// As these.
    pub fn send(
        &mut self,
        header: Header,
        extension: &[&[u8]],
        payload: &[&[u8]],
    ) -> Result<Signal, PushError> {
        let mut batch = self.begin()?;
        batch.push(header, extension, payload)?;
        Ok(batch.commit()?)
    }

    /// Tells the consumer that the producer is going to wait for this much room.
    ///
    /// If the answer is [`Room::Later`], the consumer signals as soon as there is
    /// more than `needed`, provided that it does ([`super::control::is_woken`]).
    /// Any other signal of the channel wakes as well; try again then.
    ///
    /// # Errors
    ///
    /// If the read index is wrong.
    pub fn wait_for(&mut self, needed: u32) -> Result<Room, RingError> {
        self.memory().store_release(PENDING_SEND_SIZE, needed);
        self.memory().fence();
        if self.free()? > needed {
            self.stop_waiting();
            return Ok(Room::Now);
        }
        Ok(Room::Later)
    }

    /// Tells the consumer that the producer does not wait.
    pub fn stop_waiting(&self) {
        self.memory().store(PENDING_SEND_SIZE, 0);
    }
}

/// Packets that are being written. Dropped without a commit, they are forgotten.
#[derive(Debug)]
#[must_use = "nothing is written without a commit"]
pub struct Batch<'a, M> {
    producer: &'a mut Producer<M>,
    /// Where the next packet begins.
    next: u32,
}

impl<M: Shared> Batch<'_, M> {
    /// Whether a packet that long, its descriptor included, can be pushed.
    ///
    /// # Errors
    ///
    /// If it cannot.
    pub fn reserve(&mut self, packet: u32) -> Result<(), PushError> {
        let ring = self.producer.ring.size();
        let needed = packet
            .checked_add(TRAILER_SIZE)
            .filter(|needed| *needed < ring)
            .ok_or(PushError::TooLong)?;
        if self.free() > needed {
            return Ok(());
        }
        self.producer.refresh()?;
        let is_free = self.free() > needed;
        is_free.then_some(()).ok_or(PushError::Full { needed })
    }

    fn free(&self) -> u32 {
        // What this batch has taken is not free; it cannot have overtaken the read index.
        self.producer.ring.free(self.producer.read, self.next)
    }

    /// Writes a packet: its descriptor, what belongs to that, and the payload, which is filled
    /// up with zeroes to a multiple of 8. Each of the two is given in pieces.
    ///
    /// # Errors
    ///
    /// If there is no room; the packets before it are still part of the batch.
    pub fn push(
        &mut self,
        header: Header,
        extension: &[&[u8]],
        payload: &[&[u8]],
    ) -> Result<(), PushError> {
        let descriptor = header.descriptor(total(extension), total(payload))?;
        let len = descriptor.len();
        self.reserve(len)?;
        let start = self.next;
        let mut at = self.put(start, descriptor.as_bytes());
        for piece in extension.iter().chain(payload) {
            at = self.put(at, piece);
        }
        let end = self.producer.ring.advance(start, len);
        let padding = usize::try_from(self.producer.ring.distance(at, end)).unwrap_or(0);
        self.put(at, [0; 7].get(..padding).unwrap_or(&[]));
        let trailer = u64::from(start).wrapping_shl(32).to_le_bytes();
        self.next = self.put(end, &trailer);
        Ok(())
    }

    fn put(&self, at: u32, bytes: &[u8]) -> u32 {
        self.producer.ring.write(at, bytes);
        // Pieces are part of a packet that fits in the ring.
        let len = u32::try_from(bytes.len()).unwrap_or(0);
        self.producer.ring.advance(at, len)
    }

    /// Makes the packets visible, and says whether the consumer has to be signalled.
    ///
    /// # Errors
    ///
    /// If the read index is wrong. The packets are visible all the same.
    pub fn commit(self) -> Result<Signal, RingError> {
        let Self { producer, next } = self;
        let start = core::mem::replace(&mut producer.write, next);
        if start == next {
            return Ok(Signal::NotNeeded);
        }
        let memory = producer.memory();
        memory.store_release(WRITE_INDEX, next);
        memory.fence();
        if memory.load_acquire(INTERRUPT_MASK) != 0 {
            return Ok(Signal::NotNeeded);
        }
        producer.refresh()?;
        if producer.read == start {
            Ok(Signal::Needed)
        } else {
            Ok(Signal::NotNeeded)
        }
    }
}

fn total(pieces: &[&[u8]]) -> usize {
    pieces
        .iter()
        .map(|piece| piece.len())
        .fold(0, usize::saturating_add)
}
