// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What functions are given by a machine that is none: for tests and fuzzing of
//! whatever sits on a bus. With the feature `testing` other crates have it, too.

use std::io;
use std::sync::Arc;

use hospes_device::bus::Bus;
use hospes_device::interrupt::{MsiAllocator, MsiMessage, MsiVector};

use crate::address_space::{AddressSpaces, Space};
use crate::device::Doorbell;

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

/// Address spaces in which nobody watches doorbells.
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
