// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Accesses of a guest to a PCI function: configuration space by both ways,
//! BARs, and through them MSI-X and the registers of virtio.
//!
//! An access is a byte for its kind and length, two for the address, and, to
//! write, as many as its length.

use std::sync::{Arc, OnceLock};

use hospes_device::bus::BusDevice;
use hospes_device::counters::Counted;
use hospes_pci::bars::Windows;
use hospes_pci::pin::Lines;
use hospes_pci::root::{ConfigPorts, Ecam, RootBus};
use hospes_pci::stand_in::{NoInterrupts, Spaces};
use hospes_virtio::device::{ActivateError, Activation, VirtioDevice};
use hospes_virtio::transport::VirtioPci;

use crate::input::Input;
use crate::machine::memory;

/// Most accesses of a run.
const ACCESSES: usize = 64;
/// Where BARs are at first, and where guests put them.
const MEMORY32: u64 = 0xc000_0000;
const MEMORY64: u64 = 0x10_0000_0000;
const PORTS: u64 = 0xc000;

/// A device that takes everything and does nothing.
struct Nothing;

impl Counted for Nothing {
    fn counters(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

impl VirtioDevice for Nothing {
    fn device_type(&self) -> u16 {
        8
    }

    fn pci_class(&self) -> [u8; 3] {
        [1, 0, 0]
    }

    fn features(&self) -> u64 {
        7
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![16; 3]
    }

    fn config_read(&self, offset: u64, data: &mut [u8]) {
        data.fill(offset as u8);
    }

    fn config_write(&self, _: u64, _: &[u8]) {}

    fn activate(&self, _: Activation) -> Result<(), ActivateError> {
        Ok(())
    }

    fn reset(&self) {}
}

/// A machine with one function.
struct Machine {
    spaces: Arc<Spaces>,
    root: Arc<RootBus>,
    ecam: Ecam,
    ports: ConfigPorts,
}

fn machine() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let spaces = Arc::new(Spaces::default());
        let windows = Windows {
            memory32: MEMORY32..MEMORY32 + 0x100_0000,
            memory64: MEMORY64..MEMORY64 + 0x1000_0000,
            io: PORTS..0x1_0000,
        };
        let root = RootBus::new(spaces.clone(), windows, Lines::nowhere()).expect("a root bus");
        let function = VirtioPci::new(Arc::new(Nothing), &memory(0x1_0000), &NoInterrupts);
        root.add(function.expect("a function")).expect("a place");
        Machine {
            ecam: Ecam(root.clone()),
            ports: ConfigPorts::new(root.clone()),
            spaces,
            root,
        }
    })
}

/// Makes accesses, then resets the bus.
///
/// # Panics
///
/// If the function is not itself any more after the reset.
pub fn run(data: &[u8]) {
    let machine = machine();
    let mut input = Input(data);
    for _ in 0..ACCESSES {
        if input.is_empty() {
            break;
        }
        machine.access(&mut input);
    }
    machine.root.reset();
    let mut identity = [0; 4];
    machine.ecam.read(0x8000, &mut identity);
    assert_eq!(identity, [0xf4, 0x1a, 0x48, 0x10]);
}

impl Machine {
    fn access(&self, input: &mut Input<'_>) {
        let (kind, at) = (input.u8(), u64::from(input.u16()));
        let mut data = [0; 8];
        let len = [1, 2, 4, 8][usize::from(kind & 3)];
        let data = &mut data[..len];
        if kind & 4 != 0 {
            let bytes = input.take(len);
            data[..bytes.len()].copy_from_slice(bytes);
        }
        let (device, address): (&dyn BusDevice, u64) = match (kind >> 3) & 7 {
            0..=2 => (&self.ecam, 0x8000 + (at & 0xfff)),
            3 => (&self.ecam, at << 4),
            4 => (&self.ports, at & 7),
            5 => (&Space(&self.spaces.memory), MEMORY64 + at),
            6 => (&Space(&self.spaces.memory), MEMORY32 + at),
            _ => (&Space(&self.spaces.io), at),
        };
        if kind & 4 != 0 {
            device.write(address, data);
        } else {
            device.read(address, data);
        }
    }
}

/// A bus as something that is read and written.
struct Space<'a>(&'a hospes_device::bus::Bus);

impl BusDevice for Space<'_> {
    fn read(&self, address: u64, data: &mut [u8]) {
        self.0.read(address, data);
    }

    fn write(&self, address: u64, data: &[u8]) {
        self.0.write(address, data);
    }
}
