// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The real-time clock and its CMOS memory (MC146818).
//!
//! It starts with the host's time in UTC and goes with the host's clock. A guest
//! that sets it gets a clock of its own, which lasts as long as the machine. What
//! is not there: no interrupt (alarm, update, periodic) ever comes. The other
//! bytes of CMOS memory keep what the guest writes.

mod date;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use hospes_device::bus::BusDevice;

use date::DateTime;

/// Ports: index, data.
pub const LEN: u64 = 2;

/// Size of CMOS memory; bit 7 of the index is the NMI mask.
const SIZE: u8 = 128;

/// Status registers and the century byte that Linux and ACPI agree on.
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const STATUS_C: u8 = 0x0c;
const STATUS_D: u8 = 0x0d;
/// Index of the century.
pub const CENTURY: u8 = 0x32;

/// Index of the hour, the one register whose form depends on more than BCD.
const HOUR: u8 = 0x04;

/// The registers that tell the time.
const TIME: [u8; 8] = [0x00, 0x02, HOUR, 0x06, 0x07, 0x08, 0x09, CENTURY];

/// Status A: 32.768 kHz time base and the usual periodic rate.
const A_DEFAULT: u8 = 0x26;
/// Status B: the time stands still while it is being set.
const B_SET: u8 = 1 << 7;
/// Status B: values are binary, not BCD.
const B_BINARY: u8 = 1 << 2;
/// Status B: hours are 0 to 23.
const B_24_HOURS: u8 = 1 << 1;
/// Status D: battery and memory are good.
const D_VALID: u8 = 1 << 7;

/// Hours after noon, where hours are 1 to 12.
const PM: u8 = 1 << 7;

struct State {
    index: u8,
    /// Registers, of which those of the time count only while it is being set.
    memory: [u8; SIZE as usize],
    /// Seconds by which this clock is ahead of the host's.
    ahead: i64,
}

/// The clock.
pub struct Rtc(Mutex<State>);

impl Default for Rtc {
    fn default() -> Self {
        Self::new()
    }
}

impl Rtc {
    /// A clock that goes with the host's.
    pub fn new() -> Self {
        let mut state = State {
            index: 0,
            memory: [0; SIZE as usize],
            ahead: 0,
        };
        state.put(STATUS_A, A_DEFAULT);
        state.put(STATUS_B, B_24_HOURS);
        state.put(STATUS_D, D_VALID);
        Self(Mutex::new(state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The host's seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

impl BusDevice for Rtc {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        if let (1, [byte]) = (offset, data) {
            *byte = self.state().read(now());
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        match (offset, data) {
            (0, &[index]) => self.state().index = index & (SIZE.wrapping_sub(1)),
            (1, &[value]) => self.state().write(value, now()),
            _ => {}
        }
    }
}

impl State {
    fn byte(&self, index: u8) -> u8 {
        self.memory.get(usize::from(index)).copied().unwrap_or(0xff)
    }

    fn put(&mut self, index: u8, value: u8) {
        if let Some(byte) = self.memory.get_mut(usize::from(index)) {
            *byte = value;
        }
    }

    fn is_being_set(&self) -> bool {
        self.byte(STATUS_B) & B_SET != 0
    }

    /// The selected register when the host's time is `now`.
    fn read(&mut self, now: u64) -> u8 {
        if TIME.contains(&self.index) && !self.is_being_set() {
            self.store_time(now);
        }
        self.byte(self.index)
    }

    fn write(&mut self, value: u8, now: u64) {
        match self.index {
            STATUS_C | STATUS_D => {}
            // The "update in progress" bit is the clock's.
            STATUS_A => self.put(STATUS_A, value & 0x7f),
            STATUS_B => self.write_status_b(value, now),
            index if TIME.contains(&index) && !self.is_being_set() => {
                self.store_time(now);
                self.put(index, value);
                self.load_time(now);
            }
            index => self.put(index, value),
        }
    }

    /// Beginning to set the time stops it, and the end starts it from what the
    /// registers say then.
    fn write_status_b(&mut self, value: u8, now: u64) {
        let was_being_set = self.is_being_set();
        if !was_being_set {
            self.store_time(now);
        }
        self.put(STATUS_B, value);
        if was_being_set && !self.is_being_set() {
            self.load_time(now);
        }
    }

    /// Puts the time into its registers.
    fn store_time(&mut self, now: u64) {
        let time = DateTime::from_unix(now.saturating_add_signed(self.ahead));
        let values = [
            time.second,
            time.minute,
            0,
            time.week_day,
            time.day,
            time.month,
            time.year_of_century,
            time.century,
        ];
        for (index, value) in TIME.into_iter().zip(values) {
            self.put(index, self.encode(value));
        }
        self.put(HOUR, self.encode_hour(time.hour));
    }

    /// Takes the time from its registers. If they make no sense, it stays as it
    /// was.
    fn load_time(&mut self, now: u64) {
        let [second, minute, hour, week_day, day, month, year_of_century, century] =
            TIME.map(|index| self.byte(index));
        let time = DateTime {
            second: self.decode(second),
            minute: self.decode(minute),
            hour: self.decode_hour(hour),
            week_day: self.decode(week_day),
            day: self.decode(day),
            month: self.decode(month),
            year_of_century: self.decode(year_of_century),
            century: self.decode(century),
        };
        if let Some(seconds) = time.to_unix() {
            let [seconds, now] = [seconds, now].map(|time| i64::try_from(time).unwrap_or(0));
            self.ahead = seconds.saturating_sub(now);
        }
    }

    fn encode_hour(&self, hour: u8) -> u8 {
        if self.byte(STATUS_B) & B_24_HOURS != 0 {
            return self.encode(hour);
        }
        let twelve = match hour.checked_rem(12) {
            Some(0) | None => 12,
            Some(hour) => hour,
        };
        self.encode(twelve) | if hour >= 12 { PM } else { 0 }
    }

    fn decode_hour(&self, value: u8) -> u8 {
        if self.byte(STATUS_B) & B_24_HOURS != 0 {
            return self.decode(value);
        }
        let afternoon = if value & PM != 0 { 12 } else { 0 };
        match self.decode(value & !PM) {
            12 => afternoon,
            hour => hour.saturating_add(afternoon),
        }
    }

    /// Binary or BCD, as status B says.
    fn encode(&self, value: u8) -> u8 {
        if self.byte(STATUS_B) & B_BINARY != 0 {
            return value;
        }
        let tens = value.checked_div(10).unwrap_or(0);
        (tens << 4) | value.wrapping_sub(tens.wrapping_mul(10))
    }

    fn decode(&self, value: u8) -> u8 {
        if self.byte(STATUS_B) & B_BINARY != 0 {
            return value;
        }
        (value >> 4).saturating_mul(10).saturating_add(value & 15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last second of 2024.
    const NOW: u64 = 1_735_603_200 + 86_399;

    fn read(rtc: &Rtc, index: u8, now: u64) -> u8 {
        rtc.write(0, &[index]);
        rtc.state().read(now)
    }

    fn write(rtc: &Rtc, index: u8, value: u8, now: u64) {
        rtc.write(0, &[index]);
        rtc.state().write(value, now);
    }

    #[test]
    fn registers_are_bcd_unless_told_otherwise() {
        let rtc = Rtc::new();
        for (b, index, value) in [
            (2, 0, 0x59),
            (2, 4, 0x23),
            (0, 4, 0x91),
            (6, 4, 23),
            (6, 9, 24),
            (2, CENTURY, 0x20),
        ] {
            write(&rtc, STATUS_B, b, NOW);
            assert_eq!(read(&rtc, index, NOW), value);
        }
    }

    #[test]
    fn a_guest_can_set_the_time() {
        let rtc = Rtc::new();
        write(&rtc, STATUS_B, B_24_HOURS | B_SET, NOW);
        // 2030-02-03 04:05:06.
        let registers = [(9, 0x30), (8, 2), (7, 3), (HOUR, 4), (2, 5), (0, 6)];
        for (index, value) in registers {
            write(&rtc, index, value, NOW);
        }
        // It stands still meanwhile, and goes on afterwards.
        assert_eq!(read(&rtc, 0, NOW + 3), 6);
        write(&rtc, STATUS_B, B_24_HOURS, NOW + 10);
        for (index, value) in registers {
            assert_eq!(read(&rtc, index, NOW + 10), value);
        }
        assert_eq!(read(&rtc, 0, NOW + 12), 8);
        assert_eq!(read(&rtc, CENTURY, NOW + 12), 0x20);
    }

    #[test]
    fn one_register_can_be_set_by_itself() {
        let rtc = Rtc::new();
        write(&rtc, STATUS_B, 0, NOW);
        write(&rtc, HOUR, 0x12, NOW);
        assert_eq!(rtc.state().ahead, -23 * 3600);
        write(&rtc, HOUR, 0x92, NOW);
        assert_eq!(rtc.state().ahead, -11 * 3600);
    }

    #[test]
    fn what_makes_no_sense_changes_nothing() {
        let rtc = Rtc::new();
        for index in 0..=255u8 {
            write(&rtc, index, 0xee, NOW);
        }
        write(&rtc, STATUS_B, B_24_HOURS, NOW);
        assert_eq!(rtc.state().ahead, 0);
        assert_eq!(read(&rtc, 0, NOW), 0x59);
        assert_eq!(read(&rtc, STATUS_D | 0x80, NOW), D_VALID);
        assert_eq!(read(&rtc, 0x40, NOW), 0xee);
    }

    #[test]
    fn a_guest_reads_the_hosts_time() {
        let rtc = Rtc::new();
        let before = DateTime::from_unix(now());
        let mut data = [0; 1];
        rtc.write(0, &[CENTURY]);
        rtc.read(1, &mut data);
        assert_eq!(
            data[0],
            ((before.century / 10) << 4) | (before.century % 10)
        );
    }
}
