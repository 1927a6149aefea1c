// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What queues, device and transport share: status, interrupts, changes.
//!
//! One [`DeviceState`] exists for each function. Everything in it is an atomic,
//! because worker threads report trouble and changes while vCPUs read the same
//! registers; nothing here takes a lock.
//!
//! Only MSI-X is supported. The ISR register therefore never shows the queue
//! bit, which the specification reserves for functions whose MSI-X is off, and
//! shows the configuration bit as it must with any kind of interrupt.

use std::sync::atomic::{AtomicU16, AtomicU8, Ordering};
use std::sync::Arc;

use hospes_pci::msix::Msix;
use virtio_bindings::virtio_config::{VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_NEEDS_RESET};

/// The value that stands for "no vector" in the vector registers.
pub const NO_VECTOR: u16 = 0xffff;

/// Status bit: the driver runs the device.
pub(crate) const DRIVER_OK: u8 = VIRTIO_CONFIG_S_DRIVER_OK as u8;
/// Status bit: the device gave up until it is reset.
pub(crate) const NEEDS_RESET: u8 = VIRTIO_CONFIG_S_NEEDS_RESET as u8;
/// ISR bit: something in the configuration changed.
const ISR_CONFIG: u8 = 2;

/// Where interrupts go. Masking and a vector's message are the other side's.
pub trait Interrupt: Send + Sync {
    /// Sends the vector's message, or leaves it pending while it is masked.
    fn signal(&self, vector: u16);
}

impl Interrupt for Msix {
    fn signal(&self, vector: u16) {
        Msix::signal(self, vector);
    }
}

/// Registers that worker threads change while the guest reads them.
pub struct DeviceState {
    interrupt: Arc<dyn Interrupt>,
    status: AtomicU8,
    isr: AtomicU8,
    generation: AtomicU8,
    config_vector: AtomicU16,
}

impl DeviceState {
    /// The state after power-on, sending interrupts to `interrupt`.
    pub fn new(interrupt: Arc<dyn Interrupt>) -> Arc<Self> {
        Arc::new(Self {
            interrupt,
            status: AtomicU8::new(0),
            isr: AtomicU8::new(0),
            generation: AtomicU8::new(0),
            config_vector: AtomicU16::new(NO_VECTOR),
        })
    }

    /// The status register.
    pub fn status(&self) -> u8 {
        self.status.load(Ordering::Acquire)
    }

    /// Sets bits of the status register.
    pub(crate) fn add_status(&self, bits: u8) {
        self.status.fetch_or(bits, Ordering::AcqRel);
    }

    /// Gives up: the device does nothing more until the driver resets it, and
    /// the driver is told if it is running already.
    pub fn needs_reset(&self) {
        let before = self.status.fetch_or(NEEDS_RESET, Ordering::AcqRel);
        if before & NEEDS_RESET == 0 && before & DRIVER_OK != 0 {
            self.signal_config();
        }
    }

    /// Announces that the device itself changed its configuration fields.
    pub fn config_changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.signal_config();
    }

    /// How often the configuration changed, as the guest reads it.
    pub(crate) fn generation(&self) -> u8 {
        self.generation.load(Ordering::Acquire)
    }

    /// The ISR register, which reading clears.
    pub(crate) fn take_isr(&self) -> u8 {
        self.isr.swap(0, Ordering::AcqRel)
    }

    /// The vector for configuration changes.
    pub(crate) fn config_vector(&self) -> u16 {
        self.config_vector.load(Ordering::Acquire)
    }

    /// Sets the vector for configuration changes.
    pub(crate) fn set_config_vector(&self, vector: u16) {
        self.config_vector.store(vector, Ordering::Release);
    }

    /// Back to the state after power-on. The generation goes on counting, so
    /// that no driver takes old configuration for new.
    pub(crate) fn clear(&self) {
        self.config_vector.store(NO_VECTOR, Ordering::Release);
        self.isr.store(0, Ordering::Release);
        self.status.store(0, Ordering::Release);
    }

    /// Sends `vector`, unless it is [`NO_VECTOR`].
    pub(crate) fn signal(&self, vector: u16) {
        if vector != NO_VECTOR {
            self.interrupt.signal(vector);
        }
    }

    fn signal_config(&self) {
        self.isr.fetch_or(ISR_CONFIG, Ordering::AcqRel);
        self.signal(self.config_vector());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Interrupts;

    #[test]
    fn a_running_driver_hears_once_that_the_device_gave_up() {
        let interrupts = Interrupts::new();
        let state = DeviceState::new(interrupts.clone());
        state.set_config_vector(3);
        state.add_status(DRIVER_OK);
        state.needs_reset();
        state.needs_reset();
        assert_eq!(interrupts.count(3), 1);
        assert_eq!(state.take_isr(), ISR_CONFIG);
        assert_eq!(state.take_isr(), 0);
    }

    #[test]
    fn before_driver_ok_giving_up_is_silent() {
        let interrupts = Interrupts::new();
        let state = DeviceState::new(interrupts.clone());
        state.set_config_vector(0);
        state.needs_reset();
        assert_eq!(interrupts.count(0), 0);
        assert_eq!(state.status() & NEEDS_RESET, NEEDS_RESET);
    }

    #[test]
    fn a_change_counts_and_survives_a_reset() {
        let interrupts = Interrupts::new();
        let state = DeviceState::new(interrupts.clone());
        state.set_config_vector(1);
        state.config_changed();
        assert_eq!(interrupts.count(1), 1);
        state.clear();
        assert_eq!(state.generation(), 1);
        state.config_changed();
        assert_eq!(interrupts.count(1), 1, "a reset forgets the vector");
    }
}
