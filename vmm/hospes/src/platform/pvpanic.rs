// SPDX-License-Identifier: GPL-2.0 OR MIT

//! pvpanic: a PCI function with one byte, by which a guest reports its panic.
//!
//! Ids and events are those that Linux's `pvpanic-pci` driver knows. A read
//! says which events are understood, a write reports some.

use hospes_device::counters::{Counted, Counter};
use hospes_pci::device::{BarKind, BarSpec, Identity, PciDevice};
use hospes_pci::host_bridge::VENDOR_REDHAT;
use serde::Serialize;

use crate::outcome::{Outcome, Stopper};

/// The guest's kernel panicked.
const EVENT_PANICKED: u8 = 1 << 0;

/// The device.
#[derive(Serialize)]
pub struct PvPanic {
    #[serde(skip)]
    stopper: Stopper,
    /// Panics that the guest reported.
    panics: Counter,
}

impl PvPanic {
    /// A device that ends the machine through `stopper`.
    pub fn new(stopper: Stopper) -> Self {
        Self {
            stopper,
            panics: Counter::default(),
        }
    }
}

impl Counted for PvPanic {
    fn counters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl PciDevice for PvPanic {
    fn identity(&self) -> Identity {
        Identity {
            vendor: VENDOR_REDHAT,
            device: 0x0011,
            revision: 1,
            class: [0x08, 0x80, 0x00],
            subsystem_vendor: VENDOR_REDHAT,
            subsystem: 0x1100,
        }
    }

    fn bars(&self) -> Vec<BarSpec> {
        vec![BarSpec {
            index: 0,
            kind: BarKind::Memory32,
            size: 0x1000,
        }]
    }

    fn bar_read(&self, _bar: u8, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let (0, Some(first)) = (offset, data.first_mut()) {
            *first = EVENT_PANICKED;
        }
    }

    fn bar_write(&self, _bar: u8, offset: u64, data: &[u8]) {
        if offset == 0
            && data
                .first()
                .is_some_and(|event| event & EVENT_PANICKED != 0)
        {
            self.panics.inc();
            self.stopper.stop(Outcome::Panic);
        }
    }

    fn reset(&self) {}
}
