// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One request of the guest: a chain of descriptors.

use std::fmt::Display;
use std::sync::Arc;

use hospes_device::memory::{GuestMemory, MemoryError, Segment, SgList};
use thiserror::Error;
use virtio_queue::DescriptorChain;
use vm_memory::GuestMemoryMmap;

use super::VirtQueue;

/// The most descriptors that a chain may have. Drivers may make chains in an
/// indirect table longer than their queue, so the queue's size is no limit.
pub const MAX_SEGMENTS: usize = 1024;

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChainFault {
    /// There is no descriptor that can be read.
    #[error("no descriptor can be read")]
    Empty,
    /// A descriptor names a next one that is out of range, unreadable, or
    /// seen before.
    #[error("the chain has no end after {0} descriptors")]
    Endless(usize),
    /// More than [`MAX_SEGMENTS`] descriptors.
    #[error("more than {MAX_SEGMENTS} descriptors")]
    TooLong,
    /// A buffer for the device to read comes after one for it to write.
    #[error("a readable buffer follows a writable one")]
    Order,
    /// A buffer is not in the guest's memory.
    #[error(transparent)]
    Outside(#[from] MemoryError),
}

/// The buffers of a chain.
#[derive(Debug, Default)]
pub struct Buffers {
    /// What the device reads.
    pub readable: SgList,
    /// What the device writes.
    pub writable: SgList,
    /// The first thing that is wrong; the lists end before it.
    pub fault: Option<ChainFault>,
}

impl Buffers {
    /// Walks a chain once and keeps what it says, so that nothing the guest
    /// changes later in its descriptors matters.
    pub(super) fn gather(memory: &GuestMemory, walk: DescriptorChain<&GuestMemoryMmap>) -> Self {
        let mut buffers = Self {
            readable: SgList::within(memory),
            writable: SgList::within(memory),
            fault: None,
        };
        buffers.fault = buffers.collect(walk).err();
        buffers
    }

    /// Sorts the descriptors of a chain by direction, up to the first that is
    /// wrong.
    fn collect(&mut self, walk: DescriptorChain<&GuestMemoryMmap>) -> Result<(), ChainFault> {
        let (mut count, mut more, mut is_writing) = (0_usize, true, false);
        for descriptor in walk {
            if count == MAX_SEGMENTS {
                return Err(ChainFault::TooLong);
            }
            count = count.saturating_add(1);
            more = descriptor.has_next();
            let segment = Segment {
                address: descriptor.addr(),
                len: descriptor.len(),
            };
            if descriptor.is_write_only() {
                is_writing = true;
                self.writable.append(segment)?;
            } else if is_writing {
                return Err(ChainFault::Order);
            } else {
                self.readable.append(segment)?;
            }
        }
        match (count, more) {
            (0, _) => Err(ChainFault::Empty),
            // The walk stops where a next descriptor cannot be had, and after as
            // many steps as the table has entries.
            (_, true) => Err(ChainFault::Endless(count)),
            (_, false) => Ok(()),
        }
    }
}

/// A chain on its way through the device.
///
/// # Invariants
///
/// `head` was taken from the available ring of `queue` for this object alone.
/// Dropping the object puts it on the used ring unless it `is_returned`, so
/// each chain is returned exactly once, whatever becomes of the code that holds
/// it.
pub struct Chain {
    queue: Arc<VirtQueue>,
    head: u16,
    buffers: Buffers,
    written: u32,
    is_returned: bool,
}

impl Chain {
    pub(super) fn new(queue: Arc<VirtQueue>, head: u16, buffers: Buffers) -> Self {
        // INVARIANT: the only caller has just taken `head`.
        Self {
            queue,
            head,
            buffers,
            written: 0,
            is_returned: false,
        }
    }

    /// The guest's buffers.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Takes the guest's buffers out; the chain keeps none.
    pub fn take_buffers(&mut self) -> Buffers {
        std::mem::take(&mut self.buffers)
    }

    /// The number of its first descriptor.
    pub fn head(&self) -> u16 {
        self.head
    }

    /// The queue that it came from.
    pub fn queue(&self) -> &Arc<VirtQueue> {
        &self.queue
    }

    /// Counts and logs what is wrong with the chain.
    pub fn report(&self, what: &dyn Display) {
        self.queue.report(self.head, what);
    }

    /// Returns the chain, with the first `written` bytes of its writable
    /// buffers filled.
    pub fn complete(mut self, written: u32) {
        self.written = written;
    }

    /// The same, and then does `after`, for which nobody who waits for the
    /// queue to be [idle](VirtQueue::wait_idle) takes it to be.
    pub fn complete_then(mut self, written: u32, after: impl FnOnce(&VirtQueue)) {
        self.written = written;
        self.give_back();
        after(&self.queue);
    }

    fn give_back(&mut self) {
        if !self.is_returned {
            self.is_returned = true;
            self.queue.push(self.head, self.written);
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.give_back();
        self.queue.landed();
    }
}
