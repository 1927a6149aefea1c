// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A model of a guest, for the tests of this crate.

use std::sync::{Arc, Mutex};

use hospes_device::memory::GuestMemory;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::notify::Interrupt;
use crate::queue::QueueSetup;

/// Size of the model's memory, which starts at 0.
pub(crate) const MEMORY_SIZE: usize = 0x10_0000;

/// Descriptor flags.
pub(crate) const NEXT: u16 = 1;
pub(crate) const WRITE: u16 = 2;
pub(crate) const INDIRECT: u16 = 4;

/// Some guest memory.
pub(crate) fn memory() -> GuestMemory {
    Arc::new(GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY_SIZE)]).unwrap())
}

/// Interrupts that were sent.
#[derive(Default)]
pub(crate) struct Interrupts(Mutex<Vec<u16>>);

impl Interrupts {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How often `vector` was sent.
    pub(crate) fn count(&self, vector: u16) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|sent| **sent == vector)
            .count()
    }
}

impl Interrupt for Interrupts {
    fn signal(&self, vector: u16) {
        self.0.lock().unwrap().push(vector);
    }
}

/// The driver's side of a queue, at `base` in memory.
pub(crate) struct GuestQueue {
    memory: GuestMemory,
    base: u64,
    size: u16,
    offered: u16,
    seen: u16,
}

impl GuestQueue {
    /// What a queue of `size` takes up at most.
    pub(crate) const SPACE: u64 = 0x2000;

    pub(crate) fn new(memory: &GuestMemory, base: u64, size: u16) -> Self {
        memory
            .write_slice(&[0; Self::SPACE as usize], GuestAddress(base))
            .unwrap();
        Self {
            memory: memory.clone(),
            base,
            size,
            offered: 0,
            seen: 0,
        }
    }

    pub(crate) fn available(&self) -> u64 {
        self.base + u64::from(self.size) * 16
    }

    pub(crate) fn used(&self) -> u64 {
        (self.available() + 6 + u64::from(self.size) * 2).next_multiple_of(4)
    }

    pub(crate) fn setup(&self, event_idx: bool) -> QueueSetup {
        QueueSetup {
            size: self.size,
            descriptors: self.base,
            available: self.available(),
            used: self.used(),
            event_idx,
        }
    }

    /// Writes a descriptor.
    pub(crate) fn describe(&self, index: u16, address: u64, len: u32, flags: u16, next: u16) {
        write_descriptor(&self.memory, self.base, index, (address, len, flags, next));
    }

    /// Writes descriptors from `first` on, each with the flag of its direction
    /// and all but the last leading to the next.
    pub(crate) fn describe_chain(&self, first: u16, buffers: &[(u64, u32, u16)]) {
        describe_chain(&self.memory, self.base, first, buffers);
    }

    /// Makes a chain available.
    pub(crate) fn offer(&mut self, head: u16) {
        let slot = self.available() + 4 + u64::from(self.offered % self.size) * 2;
        self.memory.write_obj(head, GuestAddress(slot)).unwrap();
        self.offered = self.offered.wrapping_add(1);
        self.set_available_index(self.offered);
    }

    pub(crate) fn set_available_index(&self, index: u16) {
        self.memory
            .write_obj(index, GuestAddress(self.available() + 2))
            .unwrap();
    }

    pub(crate) fn set_available_flags(&self, flags: u16) {
        self.memory
            .write_obj(flags, GuestAddress(self.available()))
            .unwrap();
    }

    /// Asks for an interrupt with the completion that has this index.
    pub(crate) fn set_used_event(&self, index: u16) {
        let address = self.available() + 4 + u64::from(self.size) * 2;
        self.memory.write_obj(index, GuestAddress(address)).unwrap();
    }

    /// Heads and lengths that were returned since the last call.
    pub(crate) fn take_used(&mut self) -> Vec<(u32, u32)> {
        let index: u16 = self.memory.read_obj(GuestAddress(self.used() + 2)).unwrap();
        let mut elements = Vec::new();
        while self.seen != index {
            let slot = self.used() + 4 + u64::from(self.seen % self.size) * 8;
            let element: [u32; 2] = self.memory.read_obj(GuestAddress(slot)).unwrap();
            elements.push(element.into());
            self.seen = self.seen.wrapping_add(1);
        }
        elements
    }
}

/// Writes a descriptor of the table at `table`.
pub(crate) fn write_descriptor(
    memory: &GuestMemory,
    table: u64,
    index: u16,
    (address, len, flags, next): (u64, u32, u16, u16),
) {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&address.to_le_bytes());
    bytes[8..12].copy_from_slice(&len.to_le_bytes());
    bytes[12..14].copy_from_slice(&flags.to_le_bytes());
    bytes[14..].copy_from_slice(&next.to_le_bytes());
    memory
        .write_slice(&bytes, GuestAddress(table + u64::from(index) * 16))
        .unwrap();
}

/// Writes a chain to the table at `table`.
pub(crate) fn describe_chain(
    memory: &GuestMemory,
    table: u64,
    first: u16,
    buffers: &[(u64, u32, u16)],
) {
    for (index, (address, len, direction)) in (first..).zip(buffers.iter().copied()) {
        let last = usize::from(index - first) == buffers.len() - 1;
        let flags = direction | if last { 0 } else { NEXT };
        write_descriptor(memory, table, index, (address, len, flags, index + 1));
    }
}

/// Looks again and again until there is something to see; gives up, and lets
/// the test fail, after longer than any machine needs.
pub(crate) fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..10_000 {
        if let Some(seen) = look() {
            return seen;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("what was waited for never came");
}
