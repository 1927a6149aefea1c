// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One virtqueue: a split ring, who may touch it, and how it is drained.
//!
//! The parts are [`VirtQueue`] (the ring with its lock, kick and interrupt) and
//! [`Chain`] (one request of the guest, returned exactly once, with its
//! buffers as scatter lists).
//!
//! One thread takes chains from a queue; any thread may return them. The lock
//! is the queue's own and is held for a few accesses to the ring, never while
//! descriptors are walked, a device works or an interrupt is sent.
//!
//! While a queue is [drained](VirtQueue::drain), the guest is asked not to kick
//! and completions that follow each other quickly share an interrupt.

mod chain;
mod ring;

pub use chain::{Buffers, Chain, ChainFault, MAX_SEGMENTS};
pub use ring::{QueueSetup, RingFault};

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hospes_device::limit::{warn_limited, RateLimit};
use hospes_device::memory::GuestMemory;
use hospes_device::worker::Kicked;
use vmm_sys_util::eventfd::EventFd;

use crate::counters::QueueCounters;
use crate::notify::{DeviceState, NO_VECTOR};
use ring::{Announcement, Ring};

/// A queue that the driver has enabled.
pub struct VirtQueue {
    index: u16,
    memory: GuestMemory,
    ring: Mutex<Ring>,
    /// Chains taken and not returned yet.
    in_flight: AtomicUsize,
    /// Signalled, with `ring` locked, when the last chain comes back.
    idle: Condvar,
    /// Signalled, with `ring` locked, when somebody [waits](Self::catch_up)
    /// and the ring's chains are served, or will not be any more.
    progress: Condvar,
    stopping: AtomicBool,
    /// Chains are left in the ring for the time being.
    paused: AtomicBool,
    kick: Arc<EventFd>,
    vector: AtomicU16,
    state: Arc<DeviceState>,
    counters: Arc<QueueCounters>,
    warnings: Arc<RateLimit>,
}

impl Kicked for VirtQueue {
    fn kick(&self) -> &EventFd {
        &self.kick
    }

    fn kicked(&self) {
        self.counters.kicks.inc();
    }
}

/// What a queue needs beside its ring.
pub struct QueueParts {
    /// Number of the queue in its device.
    pub index: u16,
    /// The guest's memory.
    pub memory: GuestMemory,
    /// Signalled when the guest notifies the queue.
    pub kick: Arc<EventFd>,
    /// Interrupt vector, or [`NO_VECTOR`].
    pub vector: u16,
    /// The function's shared state.
    pub state: Arc<DeviceState>,
    /// Where events are counted.
    pub counters: Arc<QueueCounters>,
    /// Holds back warnings; as `counters`, it outlives resets, or a driver
    /// could have one message for each of them.
    pub warnings: Arc<RateLimit>,
}

impl VirtQueue {
    /// A queue over the ring that `setup` describes.
    ///
    /// # Errors
    ///
    /// [`RingFault::Setup`] if the ring is misaligned or not all in memory.
    pub fn new(setup: &QueueSetup, parts: QueueParts) -> Result<Arc<Self>, RingFault> {
        let ring = Ring::new(setup, &parts.memory)?;
        // A reference count of its own, which no other queue's requests touch.
        let memory = Arc::new((*parts.memory).clone());
        Ok(Arc::new(Self {
            index: parts.index,
            memory,
            ring: Mutex::new(ring),
            in_flight: AtomicUsize::new(0),
            idle: Condvar::new(),
            progress: Condvar::new(),
            stopping: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            kick: parts.kick,
            vector: AtomicU16::new(parts.vector),
            state: parts.state,
            counters: parts.counters,
            warnings: parts.warnings,
        }))
    }

    /// Its number in the device.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The guest's memory.
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// The eventfd that says that the guest notified the queue.
    pub fn kick(&self) -> &EventFd {
        &self.kick
    }

    /// The queue's counters.
    pub fn counters(&self) -> &QueueCounters {
        &self.counters
    }

    /// Moves the queue's interrupts to another vector.
    pub(crate) fn set_vector(&self, vector: u16) {
        self.vector.store(vector, Ordering::Release);
    }

    /// Takes the next chain that the guest made available.
    pub fn pop(self: &Arc<Self>) -> Option<Chain> {
        if self.is_closed() {
            return None;
        }
        let mut ring = self.lock();
        if ring.settle() {
            self.progress.notify_all();
        }
        let taken = ring.take(&self.memory);
        drop(ring);
        match taken {
            Ok(walk) => {
                let walk = walk?;
                let head = walk.head_index();
                self.counters.requests.inc();
                self.in_flight.fetch_add(1, Ordering::SeqCst);
                // From here on the chain exists, and its drop returns it.
                Some(Chain::new(
                    self.clone(),
                    head,
                    Buffers::gather(&self.memory, walk),
                ))
            }
            Err(fault) => {
                self.fail(&fault);
                None
            }
        }
    }

    /// Serves chains until none is left, with the guest's kicks held off and
    /// interrupts shared in the meantime.
    pub fn drain(self: &Arc<Self>, mut serve: impl FnMut(Chain)) {
        self.drain_with(&mut serve, |serve, chain| serve(chain), |_| {});
    }

    /// The same for a server that begins chains one by one and then, by
    /// `flush`, goes on with all of them together.
    pub fn drain_with<S>(
        self: &Arc<Self>,
        server: &mut S,
        mut begin: impl FnMut(&mut S, Chain),
        mut flush: impl FnMut(&mut S),
    ) {
        loop {
            self.with_ring(Ring::suppress_kicks);
            self.together(|| {
                while let Some(chain) = self.pop() {
                    begin(server, chain);
                }
                flush(server);
            });
            if !self.more_after_asking() || self.is_closed() {
                return;
            }
        }
    }

    /// Does work that returns chains, with interrupts shared as far as they
    /// follow each other quickly. To be called by one thread at a time.
    pub fn together(&self, work: impl FnOnce()) {
        self.lock().begin_batch();
        work();
        let announcement = self.with_ring(Ring::end_batch).flatten();
        self.announce(announcement);
    }

    /// Asks for a kick with the next chain; true if there is one already.
    pub fn more_after_asking(&self) -> bool {
        self.with_ring(Ring::allow_kicks) == Some(true)
    }

    /// Waits until the thread that [drains](Self::drain) the queue has served
    /// all that the guest has made available by now, or never will.
    ///
    /// To be called on another thread, which no chain needs to be served. The
    /// guest need not have kicked.
    pub fn catch_up(&self) {
        let Some(mark) = self.with_ring(|ring, memory| ring.watch(memory)) else {
            return;
        };
        // Only a counter that is about to overflow says no, and then the
        // thread is going to wake up anyway.
        let _ = self.kick.write(1);
        let mut ring = self.lock();
        while ring.is_behind(mark) && !self.stopping.load(Ordering::SeqCst) {
            ring = self
                .progress
                .wait(ring)
                .unwrap_or_else(PoisonError::into_inner);
        }
        ring.unwatch();
    }

    /// Takes nothing more from the ring.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.give_up();
    }

    /// Leaves chains in the ring, or takes them again from the next
    /// [`drain`](Self::drain) on.
    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }

    /// How many chains were taken and did not come back yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Whether nothing is taken from the ring.
    fn is_closed(&self) -> bool {
        self.stopping.load(Ordering::Acquire) || self.paused.load(Ordering::Acquire)
    }

    /// Releases those that wait for chains to be served.
    fn give_up(&self) {
        let _ring = self.lock();
        self.progress.notify_all();
    }

    /// Waits until every chain taken has come back. To be called after
    /// [`stop`](Self::stop), or it may never return, and when no thread is in
    /// [`pop`](Self::pop) any more, or that thread's chain may be overlooked.
    pub fn wait_idle(&self) {
        let mut ring = self.lock();
        while self.in_flight.load(Ordering::SeqCst) != 0 {
            ring = self.idle.wait(ring).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Forbids interrupts. For a queue that is [idle](Self::wait_idle).
    pub(crate) fn silence(&self) {
        self.set_vector(NO_VECTOR);
    }

    /// Counts a malformed chain and says what is wrong with it.
    pub(crate) fn report(&self, head: u16, what: &dyn std::fmt::Display) {
        self.counters.errors.inc();
        warn_limited!(
            self.warnings,
            queue = self.index,
            head,
            "malformed request: {what}"
        );
    }

    /// Puts a chain on the used ring and interrupts the guest if it wants.
    /// Called by [`Chain`] only, once each.
    fn push(&self, head: u16, written: u32) {
        self.counters.completions.inc();
        let announcement = self.with_ring(|ring, memory| ring.put(memory, head, written));
        self.announce(announcement.flatten());
    }

    /// Puts one more element on the used ring, whatever it says: for a device
    /// that is to do wrong.
    pub fn put_raw(&self, id: u32, len: u32) {
        self.announce(self.with_ring(|ring, memory| ring.put_raw(memory, id, len)));
    }

    /// Counts `by` elements of the used ring as written that are not: for a
    /// device that is to do wrong.
    pub fn skip_used(&self, by: u16) {
        self.announce(self.with_ring(|ring, memory| ring.skip(memory, by)));
    }

    /// Sends the interrupt, if there is one to send. Every completion ends up
    /// in one of the two counters.
    fn announce(&self, announcement: Option<Announcement>) {
        let Some(Announcement {
            interrupt,
            completions,
        }) = announcement
        else {
            return;
        };
        let vector = self.vector.load(Ordering::Acquire);
        if interrupt && vector != NO_VECTOR {
            self.counters.interrupts.inc();
            self.counters.suppressed.add(completions.saturating_sub(1));
            self.state.signal(vector);
        } else {
            self.counters.suppressed.add(completions);
        }
    }

    /// The very last thing that happens to a chain.
    fn landed(&self) {
        // SeqCst, as is the store in stop(): either this thread sees that
        // somebody waits, or the waiter sees the new count.
        let before = self.in_flight.fetch_sub(1, Ordering::SeqCst);
        if before == 1 && self.stopping.load(Ordering::SeqCst) {
            let _ring = self.lock();
            self.idle.notify_all();
        }
    }

    /// Runs `work` on a ring that still works; a fault in it is the ring's
    /// last. `None` if the ring is or was broken.
    fn with_ring<T>(
        &self,
        work: impl FnOnce(&mut Ring, &GuestMemory) -> Result<T, RingFault>,
    ) -> Option<T> {
        let result = work(&mut self.lock(), &self.memory);
        result.inspect_err(|fault| self.fail(fault)).ok()
    }

    fn fail(&self, fault: &RingFault) {
        if matches!(fault, RingFault::Broken) {
            return;
        }
        self.counters.errors.inc();
        warn_limited!(
            self.warnings,
            queue = self.index,
            "virtqueue is broken: {fault}"
        );
        self.give_up();
        self.state.needs_reset();
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
