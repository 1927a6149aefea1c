// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The function at 00:00.0, which only says that there is a PCI bus.

use hospes_device::counters::Counted;

use crate::device::{BarSpec, Identity, PciDevice};

/// Vendor id of Red Hat, whose range has ids for generic emulated devices.
pub const VENDOR_REDHAT: u16 = 0x1b36;

/// A PCI Express host bridge with no registers of its own.
#[derive(Debug, Default)]
pub struct HostBridge;

impl Counted for HostBridge {
    fn counters(&self) -> serde_json::Value {
        serde_json::json!({})
    }
}

impl PciDevice for HostBridge {
    fn identity(&self) -> Identity {
        Identity {
            vendor: VENDOR_REDHAT,
            // The id of a generic PCI Express host bridge in that range.
            device: 0x0008,
            revision: 0,
            class: [0x06, 0x00, 0x00],
            subsystem_vendor: VENDOR_REDHAT,
            subsystem: 0x1100,
        }
    }

    fn bars(&self) -> Vec<BarSpec> {
        Vec::new()
    }

    fn bar_read(&self, _bar: u8, _offset: u64, data: &mut [u8]) {
        data.fill(0xff);
    }

    fn bar_write(&self, _bar: u8, _offset: u64, _data: &[u8]) {}

    fn reset(&self) {}
}
