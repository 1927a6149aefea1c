// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Models of a machine and of a device, for the tests of this crate.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use hospes_device::bus::Bus;
use hospes_device::counters::Counted;
use hospes_device::interrupt::{MsiAllocator, MsiMessage, MsiVector};

use crate::address_space::{AddressSpaces, Space};
use crate::device::{BarKind, BarSpec, Capability, Doorbell, Identity, MsixSpec, PciDevice};
use crate::msix::Msix;
use crate::pin::Pin;

/// A vector that remembers.
#[derive(Default)]
pub struct FakeVector {
    pub sent: Mutex<Vec<MsiMessage>>,
    pub message: Mutex<MsiMessage>,
}

impl MsiVector for FakeVector {
    fn signal(&self) -> io::Result<()> {
        let message = *self.message.lock().unwrap();
        self.sent.lock().unwrap().push(message);
        Ok(())
    }

    fn set_message(&self, message: MsiMessage) -> io::Result<()> {
        *self.message.lock().unwrap() = message;
        Ok(())
    }
}

/// Hands out [`FakeVector`]s.
#[derive(Default)]
pub struct FakeAllocator(pub Mutex<Vec<Arc<FakeVector>>>);

impl FakeAllocator {
    /// How often vector `index` was sent.
    pub fn sent(&self, index: usize) -> usize {
        self.0.lock().unwrap()[index].sent.lock().unwrap().len()
    }
}

impl MsiAllocator for FakeAllocator {
    fn allocate(&self) -> io::Result<Arc<dyn MsiVector>> {
        let vector = Arc::new(FakeVector::default());
        self.0.lock().unwrap().push(vector.clone());
        Ok(vector)
    }
}

/// Two buses, and the doorbells that KVM would watch.
#[derive(Default)]
pub struct FakeMachine {
    pub memory: Bus,
    pub io: Bus,
    pub doorbells: Mutex<Vec<u64>>,
}

impl AddressSpaces for FakeMachine {
    fn bus(&self, space: Space) -> &Bus {
        match space {
            Space::Memory => &self.memory,
            Space::Io => &self.io,
        }
    }

    fn add_doorbell(&self, _space: Space, address: u64, _doorbell: &Doorbell) -> io::Result<()> {
        self.doorbells.lock().unwrap().push(address);
        Ok(())
    }

    fn remove_doorbell(&self, _space: Space, address: u64, _doorbell: &Doorbell) -> io::Result<()> {
        self.doorbells
            .lock()
            .unwrap()
            .retain(|known| *known != address);
        Ok(())
    }
}

/// A device with one BAR of each kind, MSI-X and a capability.
pub struct FakeDevice {
    pub msix: Arc<Msix>,
    pub pin: Arc<Pin>,
    /// How often MSI-X was switched.
    pub switched: AtomicU64,
    pub last_write: AtomicU64,
    pub resets: AtomicU64,
    pub capability: Mutex<Vec<u8>>,
}

impl FakeDevice {
    pub fn new(allocator: &FakeAllocator) -> Arc<Self> {
        Arc::new(Self {
            msix: Msix::new(4, allocator).unwrap(),
            pin: Pin::new(),
            switched: AtomicU64::new(0),
            last_write: AtomicU64::new(0),
            resets: AtomicU64::new(0),
            capability: Mutex::new(Vec::new()),
        })
    }
}

impl Counted for FakeDevice {
    fn counters(&self) -> serde_json::Value {
        serde_json::json!({})
    }
}

impl PciDevice for FakeDevice {
    fn identity(&self) -> Identity {
        Identity {
            vendor: 0x1af4,
            device: 0x1048,
            revision: 1,
            class: [1, 0, 0],
            subsystem_vendor: 0x1af4,
            subsystem: 0x1100,
        }
    }

    fn bars(&self) -> Vec<BarSpec> {
        vec![
            BarSpec {
                index: 0,
                kind: BarKind::Memory64,
                size: 0x4000,
            },
            BarSpec {
                index: 2,
                kind: BarKind::Memory32,
                size: 0x1000,
            },
            BarSpec {
                index: 3,
                kind: BarKind::Io,
                size: 0x20,
            },
        ]
    }

    fn capabilities(&self) -> Vec<Capability> {
        vec![Capability {
            id: 9,
            body: vec![6, 1, 2, 3, 4],
            writable: vec![0, 0, 0xff],
        }]
    }

    fn msix(&self) -> Option<MsixSpec> {
        Some(MsixSpec {
            msix: self.msix.clone(),
            table: (0, 0x1000),
            pba: (0, 0x2000),
        })
    }

    fn pin(&self) -> Option<Arc<Pin>> {
        Some(self.pin.clone())
    }

    fn msix_switched(&self) {
        self.switched.fetch_add(1, Ordering::SeqCst);
    }

    fn bar_read(&self, bar: u8, offset: u64, data: &mut [u8]) {
        data.fill(bar.wrapping_add(offset as u8));
    }

    fn bar_write(&self, bar: u8, offset: u64, _data: &[u8]) {
        self.last_write
            .store((u64::from(bar) << 32) | offset, Ordering::SeqCst);
    }

    fn capability_written(&self, _index: usize, _offset: usize, _len: usize, body: &[u8]) {
        *self.capability.lock().unwrap() = body.to_vec();
    }

    fn doorbells(&self) -> Vec<Doorbell> {
        let event = vmm_sys_util::eventfd::EventFd::new(0).unwrap();
        vec![Doorbell {
            bar: 0,
            offset: 0x3000,
            value: None,
            event,
        }]
    }

    fn reset(&self) {
        self.resets.fetch_add(1, Ordering::SeqCst);
    }
}
