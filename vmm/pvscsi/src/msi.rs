// SPDX-License-Identifier: GPL-2.0 OR MIT

//! MSI: one message, from a capability (PCI 3.0, section 6.8.1).
//!
//! The bus keeps the capability's bytes and says when they change. There is one
//! vector, 64-bit addresses and no mask.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use hospes_device::interrupt::{MsiAllocator, MsiMessage, MsiVector};
use hospes_pci::device::Capability;

/// Its number.
const CAPABILITY: u8 = 0x05;
/// Message Control: on.
const ENABLE: u8 = 1 << 0;
/// Message Control: addresses have 64 bits.
const ADDRESS_64: u8 = 1 << 7;

/// The message.
pub(crate) struct Msi {
    vector: Arc<dyn MsiVector>,
    enabled: AtomicBool,
    /// Whether the log has it that the machine refused a message.
    reported: AtomicBool,
}

impl Msi {
    pub(crate) fn new(allocator: &dyn MsiAllocator) -> io::Result<Self> {
        Ok(Self {
            vector: allocator.allocate()?,
            enabled: AtomicBool::new(false),
            reported: AtomicBool::new(false),
        })
    }

    /// The capability: control, address, data.
    pub(crate) fn capability() -> Capability {
        let mut body = vec![0; 12];
        let mut writable = vec![0xff; 12];
        if let (Some(control), Some(mask)) = (body.get_mut(..2), writable.get_mut(..3)) {
            control.copy_from_slice(&[ADDRESS_64, 0]);
            // The lowest bits of the address are zero.
            mask.copy_from_slice(&[ENABLE, 0, 0xfc]);
        }
        Capability {
            id: CAPABILITY,
            body,
            writable,
        }
    }

    /// Takes what the guest made of the capability.
    pub(crate) fn written(&self, body: &[u8]) {
        let [control, _, a, b, c, d, e, f, g, h, data @ ..] = body else {
            return;
        };
        let &[low, high, ..] = data else {
            return;
        };
        let message = MsiMessage {
            address: u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            data: u16::from_le_bytes([low, high]).into(),
        };
        let mut enabled = control & ENABLE != 0;
        if enabled {
            if let Err(error) = self.vector.set_message(message) {
                enabled = false;
                if !self.reported.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, ?message, "MSI message refused");
                }
            }
        }
        self.enabled.store(enabled, Ordering::SeqCst);
    }

    /// Sends the message; says whether it went.
    pub(crate) fn signal(&self) -> bool {
        self.is_enabled() && self.vector.signal().is_ok()
    }

    /// Whether messages are to be sent.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::SeqCst)
    }

    /// Off.
    pub(crate) fn reset(&self) {
        self.enabled.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Vectors;

    #[test]
    fn a_message_goes_while_it_is_on() {
        let vectors = Vectors::default();
        let msi = Msi::new(&vectors).unwrap();
        let mut body = Msi::capability().body;
        assert_eq!(body.len(), 12);
        assert!(!msi.signal());
        body[0] |= ENABLE;
        body[2..6].copy_from_slice(&0xfee0_1000_u32.to_le_bytes());
        body[10] = 0x41;
        msi.written(&body);
        assert!(msi.signal());
        assert_eq!(vectors.sent(), 1);
        let message = MsiMessage {
            address: 0xfee0_1000,
            data: 0x41,
        };
        assert_eq!(vectors.last(), Some(message));
        msi.written(&body[..3]);
        msi.reset();
        assert!(!msi.signal());
    }
}
