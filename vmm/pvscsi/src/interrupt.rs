// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Interrupts: reasons, the mask, and how the guest hears of them.
//!
//! A message goes with each reason that the mask allows, whether or not the guest
//! has taken back earlier ones: a driver with messages of its own never does. What
//! the mask held back is sent when it no longer does.
//!
//! A guest that has switched neither MSI-X nor MSI on hears by the pin: it is active
//! as long as there is a reason that the mask allows. Whoever changes what that
//! depends on looks at all of it afterwards ([`Interrupt::update_line`]). With messages
//! on, nobody comes to the pin's lock when there is a reason.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

use hospes_device::counters::Counter;
use hospes_device::interrupt::MsiAllocator;
use hospes_pci::msix::Msix;
use hospes_pci::pin::Pin;
use protocol::pvscsi::register::interrupt::ALL;
use serde::Serialize;

use crate::msi::Msi;

/// The only vector.
const VECTOR: u16 = 0;

/// What is counted.
#[derive(Debug, Default, Serialize)]
pub(crate) struct InterruptCounters {
    /// Messages sent, by MSI-X or MSI.
    sent: Counter,
    /// Reasons that the guest's mask held back.
    masked: Counter,
    /// Reasons that came while neither MSI-X nor MSI was on, for the pin.
    line: Counter,
}

/// The interrupts of an adapter.
pub(crate) struct Interrupt {
    status: AtomicU32,
    mask: AtomicU32,
    /// Reasons for which no message went.
    missed: AtomicU32,
    pub(crate) msix: Arc<Msix>,
    pub(crate) msi: Msi,
    pub(crate) pin: Arc<Pin>,
    pub(crate) counters: InterruptCounters,
}

impl Interrupt {
    pub(crate) fn new(allocator: &dyn MsiAllocator) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            status: AtomicU32::new(0),
            mask: AtomicU32::new(0),
            missed: AtomicU32::new(0),
            msix: Msix::new(1, allocator)?,
            msi: Msi::new(allocator)?,
            pin: Pin::new(),
            counters: InterruptCounters::default(),
        }))
    }

    /// There is a reason.
    pub(crate) fn raise(&self, reasons: u32) {
        self.status.fetch_or(reasons, Ordering::SeqCst);
        // First noted, then looked at the mask: whoever takes the mask away either is
        // seen here, or sees what was noted.
        self.missed.fetch_or(reasons, Ordering::SeqCst);
        if self.mask.load(Ordering::SeqCst) & reasons == 0 {
            return self.counters.masked.inc();
        }
        self.missed.fetch_and(!reasons, Ordering::SeqCst);
        self.send();
    }

    /// Sets which reasons interrupt.
    pub(crate) fn set_mask(&self, mask: u32) {
        let mask = mask & ALL;
        self.mask.store(mask, Ordering::SeqCst);
        if self.missed.fetch_and(!mask, Ordering::SeqCst) & mask != 0 {
            self.send();
        }
        self.update_line();
    }

    /// The reasons that were not taken back yet.
    pub(crate) fn status(&self) -> u32 {
        self.status.load(Ordering::SeqCst)
    }

    /// Takes reasons back.
    pub(crate) fn acknowledge(&self, reasons: u32) {
        self.status.fetch_and(!reasons, Ordering::SeqCst);
        self.update_line();
    }

    /// Takes what the guest made of the capability for MSI.
    pub(crate) fn set_msi(&self, capability: &[u8]) {
        self.msi.written(capability);
        self.update_line();
    }

    /// Which reasons interrupt.
    pub(crate) fn mask(&self) -> u32 {
        self.mask.load(Ordering::SeqCst)
    }

    /// Back to the state after power on. MSI-X is the bus's.
    pub(crate) fn reset(&self) {
        self.mask.store(0, Ordering::SeqCst);
        self.msi.reset();
        self.forget();
    }

    /// No reason is there any more.
    pub(crate) fn forget(&self) {
        self.status.store(0, Ordering::SeqCst);
        self.missed.store(0, Ordering::SeqCst);
        self.update_line();
    }

    /// Sets the pin to what it has to be.
    pub(crate) fn update_line(&self) {
        self.pin.update(|| {
            let has_messages = self.msix.enabled() || self.msi.is_enabled();
            self.status() & self.mask() != 0 && !has_messages
        });
    }

    fn send(&self) {
        if self.msix.enabled() {
            self.counters.sent.inc();
            self.msix.signal(VECTOR);
        } else if self.msi.signal() {
            self.counters.sent.inc();
        } else {
            self.counters.line.inc();
            self.update_line();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Vectors;
    use hospes_pci::msix::CONTROL_ENABLE;
    use protocol::pvscsi::register::interrupt::{COMPLETION_0, MESSAGE_0};

    #[test]
    fn each_batch_has_a_message_whatever_the_status() {
        let vectors = Vectors::default();
        let interrupt = Interrupt::new(&vectors).unwrap();
        interrupt.msix.set_control(CONTROL_ENABLE);
        interrupt.msix.write_table(12, &[0; 4]);
        interrupt.raise(COMPLETION_0);
        assert_eq!(vectors.sent(), 0);
        interrupt.set_mask(ALL);
        assert_eq!(vectors.sent(), 1, "what the mask held back");
        interrupt.raise(COMPLETION_0);
        interrupt.raise(MESSAGE_0);
        assert_eq!(vectors.sent(), 3);
        assert_eq!(interrupt.status(), COMPLETION_0 | MESSAGE_0);
        interrupt.acknowledge(COMPLETION_0);
        assert_eq!(interrupt.status(), MESSAGE_0);
        assert!(!interrupt.pin.is_active());
        interrupt.reset();
        interrupt.raise(COMPLETION_0);
        assert_eq!(vectors.sent(), 3);
    }

    #[test]
    fn the_pin_is_active_until_all_reasons_are_taken_back() {
        let interrupt = Interrupt::new(&Vectors::default()).unwrap();
        let is_active = || interrupt.pin.is_active();
        interrupt.raise(COMPLETION_0);
        assert!(!is_active(), "nothing goes through the mask");
        interrupt.set_mask(ALL);
        assert!(is_active());
        interrupt.raise(MESSAGE_0);
        interrupt.acknowledge(COMPLETION_0);
        assert!(is_active());
        interrupt.set_mask(COMPLETION_0);
        assert!(!is_active());
        interrupt.set_mask(ALL);
        interrupt.acknowledge(MESSAGE_0);
        assert!(!is_active());
        interrupt.raise(COMPLETION_0);
        assert!(is_active());
        interrupt.forget();
        assert!(!is_active());
    }

    #[test]
    fn the_pin_and_messages_exclude_each_other() {
        let vectors = Vectors::default();
        let interrupt = Interrupt::new(&vectors).unwrap();
        let is_active = || interrupt.pin.is_active();
        interrupt.set_mask(ALL);
        interrupt.raise(COMPLETION_0);
        assert!(is_active());
        let mut capability = Msi::capability().body;
        capability[0] |= 1;
        interrupt.set_msi(&capability);
        assert!(!is_active());
        interrupt.raise(COMPLETION_0);
        assert_eq!((is_active(), vectors.sent()), (false, 1));
        capability[0] &= !1;
        interrupt.set_msi(&capability);
        assert!(is_active(), "the reasons are still there");
        interrupt.msix.set_control(CONTROL_ENABLE);
        interrupt.update_line();
        assert!(!is_active());
        interrupt.msix.set_control(0);
        interrupt.update_line();
        assert!(is_active());
        assert_eq!(vectors.sent(), 1);
    }
}
