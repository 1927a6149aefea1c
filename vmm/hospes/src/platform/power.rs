// SPDX-License-Identifier: GPL-2.0 OR MIT

//! ACPI power management: the fixed registers that a guest needs to switch the
//! machine off and to hear of events, and a reset register.
//!
//! | offset | size | register |
//! |---|---|---|
//! | 0 | 2 | PM1 status: the power button; writing a bit clears it |
//! | 2 | 2 | PM1 enable |
//! | 4 | 2 | PM1 control: SCI_EN, SLP_TYP, SLP_EN |
//! | 8 | 1 | reset: writing [`RESET_VALUE`] |
//! | 12 | 1 | general purpose event status; writing a bit clears it |
//! | 13 | 1 | general purpose event enable |
//!
//! The interrupt of all events (SCI) is a level: active as long as any event
//! has both its bits set.
//!
//! The full register model and not the "hardware-reduced" one, because the
//! latter makes Linux do without the PIC and the PIT, by which a guest with no
//! paravirtual clock finds its TSC frequency.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hospes_device::bus::BusDevice;

use crate::outcome::{Outcome, Stopper};

/// Ports that the registers take.
pub const LEN: u64 = 16;
/// Offset of PM1 status and enable, 4 bytes together.
pub const PM1_EVENT: u16 = 0;
/// Offset of PM1 enable.
const PM1_ENABLE: u16 = 2;
/// Offset of PM1 control.
pub const PM1_CONTROL: u16 = 4;
/// Offset of the reset register.
pub const RESET: u16 = 8;
/// What has to be written there.
pub const RESET_VALUE: u8 = 1;
/// Offset of general purpose event status and enable, a byte each.
pub const GPE: u16 = 12;
/// Offset of general purpose event enable.
const GPE_ENABLE: u16 = 13;
/// SLP_TYP of soft-off, as the DSDT says.
pub const SLEEP_TYPE_S5: u8 = 5;

/// PM1 status and enable: the power button.
const POWER_BUTTON: u16 = 1 << 8;
/// PM1 control: ACPI events raise the SCI. Always set: there is no legacy mode.
const SCI_EN: u16 = 1 << 0;
/// PM1 control: enter the sleep state of SLP_TYP (write only).
const SLP_EN: u16 = 1 << 13;
/// First bit of SLP_TYP.
const SLP_TYP_SHIFT: u16 = 10;

/// Sets the level of the SCI.
pub type Line = Box<dyn Fn(bool) + Send + Sync>;

/// The registers.
pub struct Power {
    stopper: Stopper,
    line: Line,
    registers: Mutex<Registers>,
}

#[derive(Default)]
struct Registers {
    status: u16,
    enable: u16,
    control: u16,
    event_status: u8,
    event_enable: u8,
    /// What the line was last set to.
    active: bool,
}

impl Registers {
    fn bytes(&self) -> [u8; LEN as usize] {
        let [status_low, status_high] = self.status.to_le_bytes();
        let [enable_low, enable_high] = self.enable.to_le_bytes();
        let [control_low, control_high] = (self.control | SCI_EN).to_le_bytes();
        let mut bytes = [0; LEN as usize];
        let pm1 = [
            status_low,
            status_high,
            enable_low,
            enable_high,
            control_low,
            control_high,
        ];
        for (to, from) in bytes.iter_mut().zip(pm1) {
            *to = from;
        }
        let events = [self.event_status, self.event_enable];
        for (to, from) in bytes.iter_mut().skip(usize::from(GPE)).zip(events) {
            *to = from;
        }
        bytes
    }

    fn wants_attention(&self) -> bool {
        self.status & self.enable != 0 || self.event_status & self.event_enable != 0
    }
}

impl Power {
    /// Registers that end the machine through `stopper` and interrupt the
    /// guest through `line`.
    pub fn new(stopper: Stopper, line: Line) -> Self {
        Self {
            stopper,
            line,
            registers: Mutex::default(),
        }
    }

    /// Presses the power button.
    pub fn press_button(&self) {
        let mut registers = self.lock();
        registers.status |= POWER_BUTTON;
        self.update_line(&mut registers);
    }

    /// Raises general purpose event `number`, 0 to 7.
    pub fn raise(&self, number: u8) {
        let mut registers = self.lock();
        registers.event_status |= 1u8.checked_shl(u32::from(number)).unwrap_or(0);
        self.update_line(&mut registers);
    }

    /// Sets the line to what the registers say. Its lock is held meanwhile, so
    /// that the line follows their order.
    fn update_line(&self, registers: &mut Registers) {
        let active = registers.wants_attention();
        if registers.active != active {
            registers.active = active;
            (self.line)(active);
        }
    }

    fn write_control(&self, registers: &mut Registers, value: u16) {
        registers.control = value & !SLP_EN;
        if value & SLP_EN != 0 && (value >> SLP_TYP_SHIFT) & 7 == u16::from(SLEEP_TYPE_S5) {
            self.stopper.stop(Outcome::PowerOff);
        }
    }

    fn write_byte(&self, registers: &mut Registers, offset: u16, value: u8) {
        match (offset, value) {
            (GPE, clear) => registers.event_status &= !clear,
            (GPE_ENABLE, enable) => registers.event_enable = enable,
            (RESET, RESET_VALUE) => self.stopper.stop(Outcome::Reset),
            _ => {}
        }
    }

    fn write_word(&self, registers: &mut Registers, offset: u16, value: u16) {
        match offset {
            PM1_EVENT => registers.status &= !value,
            PM1_ENABLE => registers.enable = value,
            PM1_CONTROL => self.write_control(registers, value),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registers> {
        self.registers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl BusDevice for Power {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let first = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.lock().bytes();
        for (to, from) in data.iter_mut().zip(bytes.iter().skip(first)) {
            *to = *from;
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let Ok(offset) = u16::try_from(offset) else {
            return;
        };
        let mut registers = self.lock();
        match *data {
            [value] => self.write_byte(&mut registers, offset, value),
            [low, high] => {
                self.write_word(&mut registers, offset, u16::from_le_bytes([low, high]));
            }
            _ => {}
        }
        self.update_line(&mut registers);
    }
}

/// A line that tests look at.
#[cfg(any(test, feature = "fuzzing"))]
pub mod testing {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::sync::Arc;

    /// What the line was last set to.
    #[derive(Clone, Default)]
    pub struct TestLine(Arc<AtomicBool>);

    impl TestLine {
        /// Whether it is active.
        pub fn active(&self) -> bool {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl Power {
        /// Does what a guest does that wants event `number`.
        pub fn enable_event(&self, number: u8) {
            self.write(u64::from(GPE_ENABLE), &[1 << number]);
        }
    }

    /// Registers with such a line.
    pub fn power() -> (Arc<Power>, TestLine) {
        let line = TestLine::default();
        let set = line.clone();
        let stopper = Stopper::new(channel().0);
        let power = Power::new(
            stopper,
            Box::new(move |active| set.0.store(active, Ordering::SeqCst)),
        );
        (Arc::new(power), line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{channel, Receiver};

    fn power() -> (Power, Receiver<Outcome>) {
        let (sender, receiver) = channel();
        (Power::new(Stopper::new(sender), Box::new(|_| ())), receiver)
    }

    fn read(power: &Power, offset: u64) -> u8 {
        let mut data = [0];
        power.read(offset, &mut data);
        data[0]
    }

    #[test]
    fn the_line_is_active_while_an_event_waits() {
        let (power, line) = testing::power();
        power.raise(1);
        assert!(!line.active(), "nobody wants the event yet");
        power.write(13, &[2]);
        assert!(line.active());
        power.write(12, &[1]);
        assert!(line.active(), "another event was cleared");
        power.write(12, &[2]);
        assert!(!line.active());
        assert_eq!((read(&power, 12), read(&power, 13)), (0, 2));
    }

    #[test]
    fn the_button_is_a_fixed_event() {
        let (power, line) = testing::power();
        power.write(2, &POWER_BUTTON.to_le_bytes());
        power.press_button();
        assert!(line.active());
        assert_eq!(read(&power, 1), 1);
        power.write(0, &POWER_BUTTON.to_le_bytes());
        assert!(!line.active());
        assert_eq!(read(&power, 1), 0);
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
