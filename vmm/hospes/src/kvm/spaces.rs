// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The machine's two buses, and doorbells that KVM watches.

use std::io;
use std::sync::Arc;

use hospes_device::bus::Bus;
use hospes_pci::address_space::{AddressSpaces, Space};
use hospes_pci::device::Doorbell;
use kvm_ioctls::{IoEventAddress, NoDatamatch, VmFd};

/// Memory and ports of one machine.
pub struct Spaces {
    vm: Arc<VmFd>,
    /// Guest-physical memory that is not RAM.
    pub memory: Bus,
    /// Ports.
    pub io: Bus,
}

impl Spaces {
    /// Empty buses for `vm`.
    pub fn new(vm: Arc<VmFd>) -> Arc<Self> {
        Arc::new(Self {
            vm,
            memory: Bus::new(),
            io: Bus::new(),
        })
    }
}

impl AddressSpaces for Spaces {
    fn bus(&self, space: Space) -> &Bus {
        match space {
            Space::Memory => &self.memory,
            Space::Io => &self.io,
        }
    }

    fn add_doorbell(&self, space: Space, address: u64, doorbell: &Doorbell) -> io::Result<()> {
        let address = event_address(space, address);
        let result = match doorbell.value {
            Some(value) => self.vm.register_ioevent(&doorbell.event, &address, value),
            None => self
                .vm
                .register_ioevent(&doorbell.event, &address, NoDatamatch),
        };
        result.map_err(|error| io::Error::from_raw_os_error(error.errno()))
    }

    fn remove_doorbell(&self, space: Space, address: u64, doorbell: &Doorbell) -> io::Result<()> {
        let address = event_address(space, address);
        let result = match doorbell.value {
            Some(value) => self.vm.unregister_ioevent(&doorbell.event, &address, value),
            None => self
                .vm
                .unregister_ioevent(&doorbell.event, &address, NoDatamatch),
        };
        result.map_err(|error| io::Error::from_raw_os_error(error.errno()))
    }
}

fn event_address(space: Space, address: u64) -> IoEventAddress {
    match space {
        Space::Memory => IoEventAddress::Mmio(address),
        Space::Io => IoEventAddress::Pio(address),
    }
}
