// SPDX-License-Identifier: GPL-2.0 OR MIT

//! ACPI power management: the fixed registers that a guest needs to switch the
//! machine off, and a reset register.
//!
//! | offset | size | register |
//! |---|---|---|
//! | 0 | 2 | PM1 status: no event ever happens |
//! | 2 | 2 | PM1 enable |
//! | 4 | 2 | PM1 control: SCI_EN, SLP_TYP, SLP_EN |
//! | 8 | 1 | reset: writing [`RESET_VALUE`] |
//!
//! The full register model and not the "hardware-reduced" one, because the
//! latter makes Linux do without the PIC and the PIT, by which a guest with no
//! paravirtual clock finds its TSC frequency.

use std::sync::atomic::{AtomicU16, Ordering};

use hospes_device::bus::BusDevice;

use crate::outcome::{Outcome, Stopper};

/// Ports that the registers take.
pub const LEN: u64 = 16;
/// Offset of PM1 status and enable, 4 bytes together.
pub const PM1_EVENT: u16 = 0;
/// Offset of PM1 enable.
const PM1_ENABLE: u64 = 2;
/// Offset of PM1 control.
pub const PM1_CONTROL: u16 = 4;
/// Offset of the reset register.
pub const RESET: u16 = 8;
/// What has to be written there.
pub const RESET_VALUE: u8 = 1;
/// SLP_TYP of soft-off, as the DSDT says.
pub const SLEEP_TYPE_S5: u8 = 5;

/// PM1 control: ACPI events raise the SCI. Always set: there is no legacy mode.
const SCI_EN: u16 = 1 << 0;
/// PM1 control: enter the sleep state of SLP_TYP (write only).
const SLP_EN: u16 = 1 << 13;
/// First bit of SLP_TYP.
const SLP_TYP_SHIFT: u16 = 10;

/// The registers.
pub struct Power {
    stopper: Stopper,
    enable: AtomicU16,
    control: AtomicU16,
}

impl Power {
    /// Registers that end the machine through `stopper`.
    pub fn new(stopper: Stopper) -> Self {
        Self {
            stopper,
            enable: AtomicU16::new(0),
            control: AtomicU16::new(SCI_EN),
        }
    }

    fn registers(&self) -> [u8; 6] {
        let [enable_low, enable_high] = self.enable.load(Ordering::Relaxed).to_le_bytes();
        let [control_low, control_high] = self.control.load(Ordering::Relaxed).to_le_bytes();
        [0, 0, enable_low, enable_high, control_low, control_high]
    }

    fn write_control(&self, value: u16) {
        self.control
            .store((value & !SLP_EN) | SCI_EN, Ordering::Relaxed);
        if value & SLP_EN != 0 && (value >> SLP_TYP_SHIFT) & 7 == u16::from(SLEEP_TYPE_S5) {
            self.stopper.stop(Outcome::PowerOff);
        }
    }
}

impl BusDevice for Power {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let first = usize::try_from(offset).unwrap_or(usize::MAX);
        for (to, from) in data.iter_mut().zip(self.registers().iter().skip(first)) {
            *to = *from;
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        match (offset, data) {
            (PM1_ENABLE, &[low, high]) => {
                self.enable
                    .store(u16::from_le_bytes([low, high]), Ordering::Relaxed);
            }
            (offset, &[low, high]) if offset == u64::from(PM1_CONTROL) => {
                self.write_control(u16::from_le_bytes([low, high]));
            }
            (offset, &[RESET_VALUE]) if offset == u64::from(RESET) => {
                self.stopper.stop(Outcome::Reset);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{channel, Receiver};

    fn power() -> (Power, Receiver<Outcome>) {
        let (sender, receiver) = channel();
        (Power::new(Stopper::new(sender)), receiver)
    }

    #[test]
    fn soft_off_needs_type_and_enable() {
        let (power, outcomes) = power();
        power.write(4, &(5u16 << 10).to_le_bytes());
        power.write(4, &((1u16 << 10) | SLP_EN).to_le_bytes());
        assert!(outcomes.try_recv().is_err());
        power.write(4, &((5u16 << 10) | SLP_EN).to_le_bytes());
        assert_eq!(outcomes.try_recv(), Ok(Outcome::PowerOff));
        let mut data = [0; 2];
        power.read(4, &mut data);
        assert_eq!(u16::from_le_bytes(data), (5 << 10) | SCI_EN);
    }

    #[test]
    fn reset_needs_its_value() {
        let (power, outcomes) = power();
        power.write(8, &[0]);
        assert!(outcomes.try_recv().is_err());
        power.write(8, &[RESET_VALUE]);
        assert_eq!(outcomes.try_recv(), Ok(Outcome::Reset));
    }

    #[test]
    fn odd_accesses_are_harmless() {
        let (power, outcomes) = power();
        for offset in 0..LEN {
            for len in 0..9 {
                power.write(offset, &vec![0; len]);
                power.read(offset, &mut vec![0; len]);
            }
        }
        assert!(outcomes.try_recv().is_err());
    }
}
