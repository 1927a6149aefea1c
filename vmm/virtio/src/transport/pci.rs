// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How the PCI core sees the function.

use hospes_device::counters::Counted;
use hospes_pci::device::{BarSpec, Capability, Doorbell, Identity, MsixSpec, PciDevice};
use serde_json::{json, Value};

use super::layout::{Layout, MSIX_BAR, VIRTIO_BAR, WINDOW_CAPABILITY};
use super::VirtioPci;

/// PCI vendor id of all virtio devices.
const VENDOR: u16 = 0x1af4;
/// Device id of the virtio device type 0; the others follow.
const DEVICE_BASE: u16 = 0x1040;

impl PciDevice for VirtioPci {
    fn identity(&self) -> Identity {
        let device = DEVICE_BASE.saturating_add(self.device.device_type());
        Identity {
            vendor: VENDOR,
            device,
            // At least 1, and a subsystem id of 0x40 or more: no driver for
            // the legacy interface will take the function for its own.
            revision: 1,
            class: self.device.pci_class(),
            subsystem_vendor: VENDOR,
            subsystem: device,
        }
    }

    fn bars(&self) -> Vec<BarSpec> {
        self.layout.bars()
    }

    fn capabilities(&self) -> Vec<Capability> {
        self.layout.capabilities()
    }

    fn msix(&self) -> Option<MsixSpec> {
        let pba = u32::try_from(self.layout.pba_offset()).ok()?;
        Some(MsixSpec {
            msix: self.msix.clone(),
            table: (MSIX_BAR, 0),
            pba: (MSIX_BAR, pba),
        })
    }

    fn bar_read(&self, bar: u8, offset: u64, data: &mut [u8]) {
        if bar == VIRTIO_BAR {
            self.read(offset, data);
        } else {
            data.fill(0);
        }
    }

    fn bar_write(&self, bar: u8, offset: u64, data: &[u8]) {
        if bar == VIRTIO_BAR {
            self.write(offset, data);
        }
    }

    fn capability_read(&self, index: usize, offset: usize, data: &mut [u8]) -> Option<()> {
        if index != WINDOW_CAPABILITY {
            return None;
        }
        let (target, within) = self.window().read(offset)?;
        let mut field = [0; 4];
        self.read(target.offset, field.get_mut(..target.length)?);
        data.fill(0);
        for (to, from) in data.iter_mut().zip(field.iter().skip(within)) {
            *to = *from;
        }
        Some(())
    }

    fn capability_written(&self, index: usize, offset: usize, len: usize, body: &[u8]) {
        if index != WINDOW_CAPABILITY {
            return;
        }
        let access = self.window().written(offset, len, body);
        if let Some((target, field)) = access {
            self.write(
                target.offset,
                field.get(..target.length).unwrap_or_default(),
            );
        }
    }

    fn doorbells(&self) -> Vec<Doorbell> {
        (0..)
            .zip(&self.queues)
            .filter_map(|(index, queue)| {
                // A queue without one is kicked by way of bar_write.
                let event = queue
                    .kick
                    .try_clone()
                    .inspect_err(|error| tracing::warn!(%error, "no ioeventfd for a queue"))
                    .ok()?;
                let offset = Layout::doorbell(index);
                Some(Doorbell {
                    bar: VIRTIO_BAR,
                    offset,
                    value: None,
                    event,
                })
            })
            .collect()
    }

    fn reset(&self) {
        self.reset_locked(&mut self.registers());
        *self.window() = super::Window::default();
    }
}

impl Counted for VirtioPci {
    fn counters(&self) -> Value {
        let queues: Vec<_> = self
            .queues
            .iter()
            .map(|queue| queue.counters.counters())
            .collect();
        json!({
            "device": self.device.counters(),
            "queues": queues,
            "msix": self.msix.counters(),
        })
    }
}
