// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What devices are given by a machine that is none.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hospes_device::bus::Bus;
use hospes_device::interrupt::{MsiAllocator, MsiMessage, MsiVector};
use hospes_device::memory::GuestMemory;
use hospes_pci::address_space::{AddressSpaces, Space};
use hospes_pci::device::Doorbell;
use vm_memory::{GuestAddress, GuestMemoryMmap};

/// Guest memory of that size, from 0 on.
pub fn memory(len: usize) -> GuestMemory {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), len)]);
    Arc::new(memory.expect("some memory"))
}

/// Interrupts that go nowhere.
pub struct NoInterrupts;

impl MsiAllocator for NoInterrupts {
    fn allocate(&self) -> io::Result<Arc<dyn MsiVector>> {
        Ok(Arc::new(Self))
    }
}

impl MsiVector for NoInterrupts {
    fn signal(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_message(&self, _: MsiMessage) -> io::Result<()> {
        Ok(())
    }
}

/// Address spaces without doorbells.
#[derive(Default)]
pub struct Spaces {
    /// Memory-mapped registers.
    pub memory: Bus,
    /// Ports.
    pub io: Bus,
}

impl AddressSpaces for Spaces {
    fn bus(&self, space: Space) -> &Bus {
        match space {
            Space::Memory => &self.memory,
            Space::Io => &self.io,
        }
    }

    fn add_doorbell(&self, _: Space, _: u64, _: &Doorbell) -> io::Result<()> {
        Ok(())
    }

    fn remove_doorbell(&self, _: Space, _: u64, _: &Doorbell) -> io::Result<()> {
        Ok(())
    }
}

/// A file of the fuzzer's own, in memory where there is such a file system.
pub fn scratch(name: &str) -> PathBuf {
    let shm = PathBuf::from("/dev/shm");
    let directory = if shm.is_dir() {
        shm
    } else {
        std::env::temp_dir()
    };
    directory.join(format!("hospes-fuzz-{}-{name}", std::process::id()))
}
