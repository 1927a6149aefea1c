// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The keyboard controller, of which only the reset line exists.
//!
//! Linux resets a machine through it (`reboot=k`) or when ACPI did not help.

use hospes_device::bus::BusDevice;

use crate::outcome::{Outcome, Stopper};

/// Command that pulses the processor's reset line.
const PULSE_RESET: u8 = 0xfe;

/// Port 0x64.
pub struct I8042(pub Stopper);

impl BusDevice for I8042 {
    fn read(&self, _offset: u64, data: &mut [u8]) {
        // Both buffers are empty: the guest may send its command.
        data.fill(0);
    }

    fn write(&self, _offset: u64, data: &[u8]) {
        if data == [PULSE_RESET] {
            self.0.stop(Outcome::Reset);
        }
    }
}
