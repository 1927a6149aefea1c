// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How the PCI core sees the adapter.

use std::sync::Arc;

use hospes_device::counters::Counted;
use hospes_pci::device::{BarKind, BarSpec, Capability, Doorbell, Identity, MsixSpec, PciDevice};
use hospes_pci::pin::Pin;
use protocol::pvscsi::{register, DEVICE_ID, VENDOR_ID};
use serde_json::{json, Value};

use crate::msi::Msi;
use crate::Pvscsi;

/// Mass storage, SCSI.
const CLASS: [u8; 3] = [1, 0, 0];
/// What VMware's adapters have.
const REVISION: u8 = 2;
/// The only BAR.
const BAR: u8 = 0;
/// Bytes of a register.
const WORD: usize = 4;

impl PciDevice for Pvscsi {
    fn identity(&self) -> Identity {
        Identity {
            vendor: VENDOR_ID,
            device: DEVICE_ID,
            revision: REVISION,
            class: CLASS,
            subsystem_vendor: VENDOR_ID,
            subsystem: DEVICE_ID,
        }
    }

    fn bars(&self) -> Vec<BarSpec> {
        vec![BarSpec {
            index: BAR,
            kind: BarKind::Memory32,
            size: register::MEMORY_SIZE as u64,
        }]
    }

    fn capabilities(&self) -> Vec<Capability> {
        vec![Msi::capability()]
    }

    fn msix(&self) -> Option<MsixSpec> {
        Some(MsixSpec {
            msix: self.interrupt.msix.clone(),
            table: (BAR, register::MSIX_TABLE as u32),
            pba: (BAR, register::MSIX_PENDING as u32),
        })
    }

    fn pin(&self) -> Option<Arc<Pin>> {
        Some(self.interrupt.pin.clone())
    }

    fn msix_switched(&self) {
        self.interrupt.update_line();
    }

    /// Registers have 32 bits; any other access finds nothing.
    fn bar_read(&self, _: u8, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let (Ok(offset), WORD) = (usize::try_from(offset), data.len()) {
            data.copy_from_slice(&self.read_register(offset).to_le_bytes());
        }
    }

    fn bar_write(&self, _: u8, offset: u64, data: &[u8]) {
        if let (Ok(offset), Ok(word)) = (usize::try_from(offset), data.try_into()) {
            self.write_register(offset, u32::from_le_bytes(word));
        }
    }

    fn capability_written(&self, _: usize, _: usize, _: usize, body: &[u8]) {
        self.interrupt.set_msi(body);
    }

    fn doorbells(&self) -> Vec<Doorbell> {
        let doorbell = |offset: usize| {
            // Without one, kicks come by way of bar_write.
            let event = (self.kick.try_clone())
                .inspect_err(|error| tracing::warn!(%error, "no ioeventfd for the rings"))
                .ok()?;
            Some(Doorbell {
                bar: BAR,
                offset: offset as u64,
                value: None,
                event,
            })
        };
        [register::KICK_OTHER, register::KICK_READ_WRITE]
            .into_iter()
            .filter_map(doorbell)
            .collect()
    }

    fn reset(&self) {
        self.clear_registers();
    }
}

impl Counted for Pvscsi {
    fn counters(&self) -> Value {
        json!({
            "adapter": self.record.counters,
            "interrupts": self.interrupt.counters,
            "msix": self.interrupt.msix.counters(),
            "units": self.target.counters(),
            "faults": self.record.faults.counters(),
        })
    }
}
