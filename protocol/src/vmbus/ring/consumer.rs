// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The side that reads.

use core::mem::size_of;

use zerocopy::FromZeros;
use zerocopy::IntoBytes;

use super::control::{
    Ring, RingError, FEATURES, FEATURE_PENDING_SEND_SIZE, INTERRUPT_MASK, PENDING_SEND_SIZE,
    READ_INDEX, TRAILER_SIZE,
};
use super::Signal;
use crate::hyperv::shared::Shared;
use crate::vmbus::packet::Descriptor;

const DESCRIPTOR_SIZE: u32 = size_of::<Descriptor>() as u32;

/// The side that reads. There is one for a ring.
///
/// What one signal makes it do:
///
/// 1. [`Self::mask`], if it wants no more signals meanwhile;
/// 2. [`Self::next`] until there is nothing, and [`Self::release`];
/// 3. [`Self::unmask`]; if that says that there is something, from the beginning,
///    now or later, but without waiting for a signal.
#[derive(Debug)]
pub struct Consumer<M> {
    ring: Ring<M>,
    /// What has been read, and what the producer knows of that.
    read: u32,
    released: u32,
    /// The write index as it was seen last.
    write: u32,
    dead: bool,
}

impl<M: Shared> Consumer<M> {
    /// The consumer of a ring, from where its indices are.
    ///
    /// # Errors
    ///
    /// If the memory cannot be a ring or an index is wrong.
    pub fn new(memory: M) -> Result<Self, RingError> {
        let ring = Ring::new(memory)?;
        let (read, write) = (ring.read_index()?, ring.write_index()?);
        Ok(Self {
            ring,
            read,
            released: read,
            write,
            dead: false,
        })
    }

    /// The memory of the ring.
    pub const fn memory(&self) -> &M {
        &self.ring.memory
    }

    /// Where the next packet begins.
    pub const fn index(&self) -> u32 {
        self.read
    }

    /// Tells the producer not to signal.
    pub fn mask(&self) {
        self.memory().store(INTERRUPT_MASK, 1);
        self.memory().fence();
    }

    /// Tells the producer to signal when the ring is not empty any more, and says whether it
    /// is not already. In that case there may be no signal.
    ///
    /// What was read has to be released before.
    ///
    /// # Errors
    ///
    /// If the write index is wrong.
    pub fn unmask(&mut self) -> Result<bool, RingError> {
        self.memory().store(INTERRUPT_MASK, 0);
        self.memory().fence();
        Ok(self.available()? != 0)
    }

    /// Number of bytes that wait to be read.
    ///
    /// # Errors
    ///
    /// If the write index is wrong.
    pub fn available(&mut self) -> Result<u32, RingError> {
        if self.dead {
            return Err(RingError::Dead);
        }
        self.write = self.fresh_index().inspect_err(|_| self.dead = true)?;
        Ok(self.ring.distance(self.read, self.write))
    }

    /// Reads the write index, which has to be where the producer may write to: not in what was
    /// taken and is not released. Hence there is an end of packets without a release.
    fn fresh_index(&self) -> Result<u32, RingError> {
        let index = self.ring.write_index()?;
        let taken = self.ring.distance(self.released, self.read);
        let used = self.ring.distance(self.released, index);
        let size = self.ring.size();
        let is_behind = used >= taken;
        is_behind
            .then_some(index)
            .ok_or(RingError::WriteIndex { index, size })
    }

    /// Takes the next packet, if there is one. Without a [`Self::release`] in between, all
    /// packets together are no longer than the ring.
    ///
    /// # Errors
    ///
    /// If the write index or the packet's descriptor is wrong.
    #[expect(
        clippy::should_implement_trait,
        reason = "a packet borrows the consumer, which an Iterator's item cannot"
    )]
    pub fn next(&mut self) -> Result<Option<Incoming<'_, M>>, RingError> {
        if self.dead {
            return Err(RingError::Dead);
        }
        if self.read == self.write && self.available()? == 0 {
            return Ok(None);
        }
        let start = self.read;
        let descriptor = self.descriptor().inspect_err(|_| self.dead = true)?;
        let len = descriptor.len().wrapping_add(TRAILER_SIZE);
        self.read = self.ring.advance(start, len);
        Ok(Some(Incoming {
            ring: &self.ring,
            start,
            descriptor,
        }))
    }

    /// Copies and checks the descriptor of the next packet.
    fn descriptor(&self) -> Result<Descriptor, RingError> {
        let available = self.ring.distance(self.read, self.write);
        let mut descriptor = Descriptor::new_zeroed();
        if available >= DESCRIPTOR_SIZE {
            self.ring.read(self.read, descriptor.as_mut_bytes());
        }
        let is_whole = descriptor.len().saturating_add(TRAILER_SIZE) <= available;
        if is_whole && descriptor.is_valid() {
            return Ok(descriptor);
        }
        Err(RingError::Packet {
            index: self.read,
            offset8: descriptor.offset8.get(),
            len8: descriptor.len8.get(),
            available,
        })
    }

    /// Gives the space of all packets that were taken back to the producer, and says whether
    /// that has to be signalled because it waits for room.
    ///
    /// # Errors
    ///
    /// If the write index is wrong.
    pub fn release(&mut self) -> Result<Signal, RingError> {
        if self.dead {
            return Err(RingError::Dead);
        }
        if self.released == self.read {
            return Ok(Signal::NotNeeded);
        }
        let before = core::mem::replace(&mut self.released, self.read);
        let memory = &self.ring.memory;
        memory.store_release(READ_INDEX, self.read);
        if memory.load(FEATURES) & FEATURE_PENDING_SEND_SIZE == 0 {
            return Ok(Signal::NotNeeded);
        }
        memory.fence();
        let pending = memory.load_acquire(PENDING_SEND_SIZE);
        if pending == 0 {
            return Ok(Signal::NotNeeded);
        }
        self.write = self.ring.write_index().inspect_err(|_| self.dead = true)?;
        // Only when the room that is waited for has just come about: a producer that has
        // not yet got around to taking its wish back is not signalled again.
        let was_blocked = self.ring.free(before, self.write) <= pending;
        let has_room = self.ring.free(self.read, self.write) > pending;
        if was_blocked && has_room {
            Ok(Signal::Needed)
        } else {
            Ok(Signal::NotNeeded)
        }
    }
}

/// A packet in the ring, whose descriptor was copied and checked.
///
/// The rest is still in memory that the other side can write: copy each part
/// once, and look at the copy only.
#[derive(Debug)]
pub struct Incoming<'a, M> {
    ring: &'a Ring<M>,
    start: u32,
    descriptor: Descriptor,
}

impl<M: Shared> Incoming<'_, M> {
    /// The descriptor.
    pub const fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Number of bytes between the descriptor and the payload.
    pub fn extension_len(&self) -> u32 {
        self.descriptor.offset().wrapping_sub(DESCRIPTOR_SIZE)
    }

    /// Number of bytes of payload, with what it was filled up with.
    pub fn payload_len(&self) -> u32 {
        self.descriptor.len().wrapping_sub(self.descriptor.offset())
    }

    /// Copies what is between the descriptor and the payload, as much as there is and as fits.
    /// Returns how much that is.
    pub fn copy_extension(&self, from: u32, into: &mut [u8]) -> usize {
        self.copy(DESCRIPTOR_SIZE, self.extension_len(), from, into)
    }

    /// Copies the payload, as much as there is and as fits. Returns how much that is.
    pub fn copy_payload(&self, into: &mut [u8]) -> usize {
        self.copy(self.descriptor.offset(), self.payload_len(), 0, into)
    }

    /// Copies the whole packet for [`Packet::parse`](crate::vmbus::packet::Packet::parse).
    /// `None` if it does not fit. The descriptor is the one that was checked.
    pub fn copy_all<'b>(&self, into: &'b mut [u8]) -> Option<&'b [u8]> {
        let len = usize::try_from(self.descriptor.len()).ok()?;
        let copy = into.get_mut(..len)?;
        let (head, tail) = copy.split_at_mut_checked(size_of::<Descriptor>())?;
        head.copy_from_slice(self.descriptor.as_bytes());
        self.ring
            .read(self.ring.advance(self.start, DESCRIPTOR_SIZE), tail);
        Some(copy)
    }

    fn copy(&self, base: u32, len: u32, from: u32, into: &mut [u8]) -> usize {
        let left = usize::try_from(len.saturating_sub(from)).unwrap_or(0);
        let take = left.min(into.len());
        if let Some(into) = into.get_mut(..take).filter(|into| !into.is_empty()) {
            let at = base.saturating_add(from);
            self.ring.read(self.ring.advance(self.start, at), into);
        }
        take
    }
}
