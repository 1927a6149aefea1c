// SPDX-License-Identifier: GPL-2.0

//! Which CPU uses which hardware queue of a host.

use crate::bindings;

/// How many hardware queues a host should have if it can have `available`: no more than there
/// are CPUs to use them. At least 1.
pub fn usable_queues(available: u32) -> u32 {
    // SAFETY: Set once when the kernel boots.
    let cpus = unsafe { bindings::nr_cpu_ids };
    // SAFETY: No requirements.
    unsafe { bindings::blk_mq_num_possible_queues(available.min(cpus)) }.max(1)
}

/// What a hardware queue is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueKind {
    /// All that has no queue of its own kind.
    Default,
    /// Commands whose submitter polls for their completion.
    Poll,
}

impl QueueKind {
    const fn index(self) -> usize {
        match self {
            Self::Default => bindings::hctx_type_HCTX_TYPE_DEFAULT as usize,
            Self::Poll => bindings::hctx_type_HCTX_TYPE_POLL as usize,
        }
    }

    /// How many maps a host needs that has queues of this kind.
    pub const fn maps(self) -> u32 {
        self.index() as u32 + 1
    }
}

/// The maps of a host while they are being made. Queues of a kind without a map are not used.
pub struct QueueMaps<'a> {
    maps: &'a mut [bindings::blk_mq_queue_map],
    nr_maps: u32,
    parent: *mut bindings::device,
}

impl QueueMaps<'_> {
    /// # Safety
    ///
    /// `shost` must be valid for as long as what is returned, and its maps nobody else's.
    pub(super) unsafe fn new(shost: *mut bindings::Scsi_Host) -> Self {
        // SAFETY: By the safety requirement. Other fields of the host may change, so there is no
        // reference to all of it.
        let (maps, nr_maps, parent) = unsafe {
            (
                &mut (*shost).tag_set.map,
                (*shost).nr_maps,
                (*shost).dma_dev,
            )
        };
        for map in &mut *maps {
            map.nr_queues = 0;
            map.queue_offset = 0;
        }
        Self {
            maps,
            nr_maps,
            parent,
        }
    }

    /// The map for `kind`, with `count` queues from `first` on.
    pub fn kind(&mut self, kind: QueueKind, first: u32, count: u32) -> QueueMap<'_> {
        let exists = kind.maps() <= self.nr_maps && count != 0;
        let mut map = self.maps.get_mut(kind.index()).filter(|_| exists);
        if let Some(map) = &mut map {
            map.nr_queues = count;
            map.queue_offset = first;
        }
        QueueMap {
            map,
            parent: self.parent,
        }
    }
}

/// One of the maps, to be filled. Without a queue there is nothing to fill.
pub struct QueueMap<'a> {
    map: Option<&'a mut bindings::blk_mq_queue_map>,
    parent: *mut bindings::device,
}

impl QueueMap<'_> {
    /// Spreads the queues over the CPUs.
    pub fn spread(self) {
        if let Some(map) = self.map {
            // SAFETY: The map is valid, and has queues.
            unsafe { bindings::blk_mq_map_queues(map) };
        }
    }

    /// Has each CPU use the queue whose interrupts it gets. `first_vector` is the number of the
    /// interrupt vector of the first queue.
    pub fn follow_interrupts(self, first_vector: u32) {
        if let Some(map) = self.map {
            // SAFETY: The map is valid, and has queues. The parent of a host is valid with it.
            unsafe { bindings::blk_mq_map_hw_queues(map, self.parent, first_vector) };
        }
    }
}
