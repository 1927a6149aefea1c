// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The split ring itself, and the ways in which a guest can break it.

use std::mem;
use std::sync::atomic::{fence, Ordering};
use std::time::{Duration, Instant};

use hospes_device::memory::GuestMemory;
use thiserror::Error;
use virtio_bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Where a ring is, as the driver wrote it to the queue registers.
#[derive(Clone, Copy, Debug)]
pub struct QueueSetup {
    /// Number of descriptors.
    pub size: u16,
    /// Address of the descriptor table.
    pub descriptors: u64,
    /// Address of the available ring, the driver's area.
    pub available: u64,
    /// Address of the used ring, the device's area.
    pub used: u64,
    /// Whether VIRTIO_F_EVENT_IDX was negotiated.
    pub event_idx: bool,
}

/// Why a ring cannot be used any more.
#[derive(Debug, Error)]
pub enum RingFault {
    /// It never was usable.
    #[error("ring cannot be set up: {0:x?}")]
    Setup(QueueSetup),
    /// The ring does not make sense or its memory cannot be reached.
    #[error("{0}")]
    Access(virtio_queue::Error),
    /// The guest offered a descriptor that does not exist.
    #[error("head {head} is not below the queue size {size}")]
    Head {
        /// What the available ring says.
        head: u16,
        /// The queue's size.
        size: u16,
    },
    /// It was found broken earlier and was reported then.
    #[error("broken")]
    Broken,
}

impl From<virtio_queue::Error> for RingFault {
    fn from(error: virtio_queue::Error) -> Self {
        Self::Access(error)
    }
}

/// The parts of the used ring (VIRTIO 1.3, section 2.7.8): where its index is,
/// where its elements begin, and the length of one.
const USED_INDEX: u64 = 2;
const USED_HEADER: u64 = 4;
const USED_ELEMENT: u64 = 8;

/// A ring of which the first fault is the last.
pub(super) struct Ring {
    queue: Queue,
    broken: bool,
    /// Completions that the guest was not yet asked about.
    unannounced: u64,
    batch: Option<Batch>,
    /// The available index up to which chains were taken and also served.
    settled: u16,
    /// How many threads watch `settled`.
    watchers: usize,
}

/// While a queue is drained, completions are announced together.
struct Batch {
    /// When it began, or completions were last announced.
    since: Instant,
}

/// Most completions that are announced together.
const BATCH_MAX: u64 = 16;

/// Completions that come within this time are announced together. It is meant
/// to join what is quick, such as reads from the page cache. On a slow disk each
/// request alone takes longer, so that none waits for the next; only quick ones
/// just before a slow one do.
const BATCH_TIME: Duration = Duration::from_micros(100);

/// What to do about completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    /// Whether the guest wants an interrupt.
    pub(super) interrupt: bool,
    /// How many completions this settles.
    pub(super) completions: u64,
}

impl Ring {
    /// A ring that `setup` describes and that lies in `memory`.
    pub(super) fn new(setup: &QueueSetup, memory: &GuestMemory) -> Result<Self, RingFault> {
        let queue = build(setup).map_err(|_| RingFault::Setup(*setup))?;
        if !queue.is_valid(memory.as_ref()) {
            return Err(RingFault::Setup(*setup));
        }
        Ok(Self {
            queue,
            broken: false,
            unannounced: 0,
            batch: None,
            settled: 0,
            watchers: 0,
        })
    }

    /// Notes that what was taken so far is served; true if somebody waits for
    /// that. One thread serves a queue, and is done with a chain when it comes
    /// back for the next.
    pub(super) fn settle(&mut self) -> bool {
        self.settled = self.queue.next_avail();
        self.watchers > 0
    }

    /// The index behind the last chain that is available, from now on watched.
    pub(super) fn watch(&mut self, memory: &GuestMemory) -> Result<u16, RingFault> {
        self.guarded(|ring| {
            let end = ring.queue.avail_idx(memory.as_ref(), Ordering::Acquire)?;
            ring.watchers = ring.watchers.saturating_add(1);
            Ok(end.0)
        })
    }

    /// Ends that.
    pub(super) fn unwatch(&mut self) {
        self.watchers = self.watchers.saturating_sub(1);
    }

    /// Whether chains before `mark` are still to be served.
    pub(super) fn is_behind(&self, mark: u16) -> bool {
        // A mark too far ahead for the queue is one that `take` trips over.
        let left = mark.wrapping_sub(self.settled);
        !self.broken && left != 0 && left <= u16::MAX / 2
    }

    /// The next chain that the guest made available.
    pub(super) fn take<'m>(
        &mut self,
        memory: &'m GuestMemory,
    ) -> Result<Option<DescriptorChain<&'m GuestMemoryMmap>>, RingFault> {
        self.guarded(|ring| {
            let Some(chain) = ring.queue.iter(memory.as_ref())?.next() else {
                return Ok(None);
            };
            let (head, size) = (chain.head_index(), ring.queue.size());
            if head < size {
                Ok(Some(chain))
            } else {
                Err(RingFault::Head { head, size })
            }
        })
    }

    /// Returns a chain. The announcement is due now, unless it waits for others.
    pub(super) fn put(
        &mut self,
        memory: &GuestMemory,
        head: u16,
        written: u32,
    ) -> Result<Option<Announcement>, RingFault> {
        self.guarded(|ring| {
            ring.queue.add_used(memory.as_ref(), head, written)?;
            ring.unannounced = ring.unannounced.saturating_add(1);
            if ring.may_wait() {
                Ok(None)
            } else {
                ring.announce(memory).map(Some)
            }
        })
    }

    /// Writes an element that no chain stands behind.
    pub(super) fn put_raw(
        &mut self,
        memory: &GuestMemory,
        id: u32,
        len: u32,
    ) -> Result<Announcement, RingFault> {
        self.guarded(|ring| {
            let (next, size) = (ring.queue.next_used(), ring.queue.size());
            let slot = u64::from(next.checked_rem(size).unwrap_or(0));
            let offset = slot
                .saturating_mul(USED_ELEMENT)
                .saturating_add(USED_HEADER);
            let address = GuestAddress(ring.queue.used_ring().saturating_add(offset));
            memory
                .write_obj([id.to_le(), len.to_le()], address)
                .map_err(virtio_queue::Error::GuestMemory)?;
            ring.advance(memory, 1)
        })
    }

    /// Counts elements as written that are not.
    pub(super) fn skip(
        &mut self,
        memory: &GuestMemory,
        by: u16,
    ) -> Result<Announcement, RingFault> {
        self.guarded(|ring| ring.advance(memory, by))
    }

    fn advance(&mut self, memory: &GuestMemory, by: u16) -> Result<Announcement, RingFault> {
        let next = self.queue.next_used().wrapping_add(by);
        self.queue.set_next_used(next);
        let index = GuestAddress(self.queue.used_ring().saturating_add(USED_INDEX));
        memory
            .store(next.to_le(), index, Ordering::Release)
            .map_err(virtio_queue::Error::GuestMemory)?;
        // The guest is always told: that it looks is the point. What waited
        // for an announcement has one with it.
        Ok(Announcement {
            interrupt: true,
            completions: mem::take(&mut self.unannounced),
        })
    }

    /// From now on, completions are announced together.
    pub(super) fn begin_batch(&mut self) {
        self.batch = Some(Batch {
            since: Instant::now(),
        });
    }

    /// Ends that, and announces what waited.
    pub(super) fn end_batch(
        &mut self,
        memory: &GuestMemory,
    ) -> Result<Option<Announcement>, RingFault> {
        self.batch = None;
        if self.unannounced == 0 {
            return Ok(None);
        }
        self.guarded(|ring| ring.announce(memory).map(Some))
    }

    /// Tells the guest that kicks are not needed for now.
    pub(super) fn suppress_kicks(&mut self, memory: &GuestMemory) -> Result<(), RingFault> {
        self.guarded(|ring| Ok(ring.queue.disable_notification(memory.as_ref())?))
    }

    /// Asks for a kick with the next chain; true if there is one already.
    pub(super) fn allow_kicks(&mut self, memory: &GuestMemory) -> Result<bool, RingFault> {
        self.guarded(|ring| Ok(ring.queue.enable_notification(memory.as_ref())?))
    }

    /// Whether the completion just put may wait for others.
    fn may_wait(&self) -> bool {
        self.batch
            .as_ref()
            .is_some_and(|batch| self.unannounced < BATCH_MAX && batch.since.elapsed() < BATCH_TIME)
    }

    fn announce(&mut self, memory: &GuestMemory) -> Result<Announcement, RingFault> {
        if let Some(batch) = &mut self.batch {
            batch.since = Instant::now();
        }
        let completions = mem::take(&mut self.unannounced);
        let interrupt = wants_interrupt(&mut self.queue, memory)?;
        Ok(Announcement {
            interrupt,
            completions,
        })
    }

    fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, RingFault>,
    ) -> Result<T, RingFault> {
        if self.broken {
            return Err(RingFault::Broken);
        }
        work(self).inspect_err(|_| self.broken = true)
    }
}

fn build(setup: &QueueSetup) -> Result<Queue, virtio_queue::Error> {
    let mut queue = Queue::new(setup.size)?;
    queue.try_set_desc_table_address(GuestAddress(setup.descriptors))?;
    queue.try_set_avail_ring_address(GuestAddress(setup.available))?;
    queue.try_set_used_ring_address(GuestAddress(setup.used))?;
    queue.set_event_idx(setup.event_idx);
    queue.set_ready(true);
    Ok(queue)
}

fn wants_interrupt(queue: &mut Queue, memory: &GuestMemory) -> Result<bool, RingFault> {
    if queue.event_idx_enabled() {
        return Ok(queue.needs_notification(memory.as_ref())?);
    }
    // The library does not look at the flag that drivers use without event
    // indices. The fence orders the read after the write of the used index, so
    // that a driver that clears the flag and looks once more misses nothing.
    fence(Ordering::SeqCst);
    let flags: u16 = memory
        .load(GuestAddress(queue.avail_ring()), Ordering::Relaxed)
        .map_err(virtio_queue::Error::GuestMemory)?;
    Ok(u32::from(u16::from_le(flags)) & VRING_AVAIL_F_NO_INTERRUPT == 0)
}
