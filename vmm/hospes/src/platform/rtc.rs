// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The real-time clock and its CMOS memory (MC146818).
//!
//! It tells the host's time in UTC. What is not there: the guest cannot set the
//! time (such writes are ignored), and no interrupt (alarm, update, periodic)
//! ever comes. The other bytes of CMOS memory keep what the guest writes.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use hospes_device::bus::BusDevice;

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

/// Status A: 32.768 kHz time base and the usual periodic rate.
const A_DEFAULT: u8 = 0x26;
/// Status B: values are binary, not BCD.
const B_BINARY: u8 = 1 << 2;
/// Status B: hours are 0 to 23.
const B_24_HOURS: u8 = 1 << 1;
/// Status D: battery and memory are good.
const D_VALID: u8 = 1 << 7;

struct State {
    index: u8,
    memory: [u8; SIZE as usize],
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
        let mut memory = [0; SIZE as usize];
        for (index, value) in [
            (STATUS_A, A_DEFAULT),
            (STATUS_B, B_24_HOURS),
            (STATUS_D, D_VALID),
        ] {
            if let Some(byte) = memory.get_mut(usize::from(index)) {
                *byte = value;
            }
        }
        Self(Mutex::new(State { index: 0, memory }))
    }
}

impl BusDevice for Rtc {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (1, [byte]) = (offset, data) {
            *byte = state.register(&DateTime::now());
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (offset, data) {
            (0, &[index]) => state.index = index & (SIZE.wrapping_sub(1)),
            (1, &[value]) => state.set(value),
            _ => {}
        }
    }
}

impl State {
    fn byte(&self, index: u8) -> u8 {
        self.memory.get(usize::from(index)).copied().unwrap_or(0xff)
    }

    /// The selected register at `time`.
    fn register(&self, time: &DateTime) -> u8 {
        let value = match self.index {
            0x00 => time.second,
            0x02 => time.minute,
            0x04 => return self.hour(time.hour),
            0x06 => time.week_day,
            0x07 => time.day,
            0x08 => time.month,
            0x09 => time.year_of_century,
            CENTURY => time.century,
            index => return self.byte(index),
        };
        self.encode(value)
    }

    fn hour(&self, hour: u8) -> u8 {
        if self.byte(STATUS_B) & B_24_HOURS != 0 {
            return self.encode(hour);
        }
        let twelve = match hour.checked_rem(12) {
            Some(0) | None => 12,
            Some(hour) => hour,
        };
        self.encode(twelve) | if hour >= 12 { 0x80 } else { 0 }
    }

    /// Binary or BCD, as status B says.
    fn encode(&self, value: u8) -> u8 {
        if self.byte(STATUS_B) & B_BINARY != 0 {
            return value;
        }
        let tens = value.checked_div(10).unwrap_or(0);
        (tens << 4) | value.wrapping_sub(tens.wrapping_mul(10))
    }

    fn set(&mut self, value: u8) {
        let read_only = matches!(
            self.index,
            0x00 | 0x02 | 0x04 | 0x06..=0x09 | STATUS_C | STATUS_D | CENTURY
        );
        if read_only {
            return;
        }
        if let Some(byte) = self.memory.get_mut(usize::from(self.index)) {
            // The "update in progress" bit of status A is the clock's.
            *byte = if self.index == STATUS_A {
                value & 0x7f
            } else {
                value
            };
        }
    }
}

/// A point in time, as the registers split it.
#[derive(Debug, PartialEq, Eq)]
struct DateTime {
    second: u8,
    minute: u8,
    hour: u8,
    /// 1 is Sunday.
    week_day: u8,
    day: u8,
    month: u8,
    year_of_century: u8,
    century: u8,
}

impl DateTime {
    fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self::from_unix(since.as_secs())
    }

    /// Splits seconds since 1970. Years are counted from March, so that the leap
    /// day is the last of a year and months follow a fixed pattern.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "day and second counts are far from u64::MAX"
    )]
    fn from_unix(seconds: u64) -> Self {
        let days = seconds / 86_400;
        let second = seconds % 86_400;
        // Days since 0000-03-01, and the 400-year cycle that this falls into.
        let shifted = days + 719_468;
        let day_of_cycle = shifted % 146_097;
        let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
            - day_of_cycle / 146_096)
            / 365;
        let day_of_year =
            day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = shifted / 146_097 * 400 + year_of_cycle + u64::from(month <= 2);
        Self {
            second: (second % 60) as u8,
            minute: (second / 60 % 60) as u8,
            hour: (second / 3_600) as u8,
            // 1970-01-01 was a Thursday.
            week_day: ((days + 4) % 7 + 1) as u8,
            day: (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8,
            month: month as u8,
            year_of_century: (year % 100) as u8,
            century: (year / 100) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(seconds: u64) -> (u8, u8, u8, u8, u8) {
        let time = DateTime::from_unix(seconds);
        (
            time.century,
            time.year_of_century,
            time.month,
            time.day,
            time.week_day,
        )
    }

    #[test]
    fn dates_are_split_correctly() {
        assert_eq!(date(0), (19, 70, 1, 1, 5));
        assert_eq!(date(951_782_400), (20, 0, 2, 29, 3));
        assert_eq!(date(951_868_800), (20, 0, 3, 1, 4));
        assert_eq!(date(1_735_603_200), (20, 24, 12, 31, 3));
        assert_eq!(date(4_107_542_400), (21, 0, 3, 1, 2));
        let time = DateTime::from_unix(1_735_603_200 + 86_399);
        assert_eq!((time.hour, time.minute, time.second), (23, 59, 59));
    }

    #[test]
    fn registers_are_bcd_unless_told_otherwise() {
        let rtc = Rtc::new();
        let time = DateTime::from_unix(1_735_603_200 + 86_399);
        let mut state = rtc.0.lock().unwrap();
        for (b, index, value) in [
            (2, 0, 0x59),
            (2, 4, 0x23),
            (0, 4, 0x91),
            (6, 4, 23),
            (6, 9, 24),
            (2, CENTURY, 0x20),
        ] {
            state.index = STATUS_B;
            state.set(b);
            state.index = index;
            assert_eq!(state.register(&time), value);
        }
    }

    #[test]
    fn time_and_status_cannot_be_overwritten() {
        let rtc = Rtc::new();
        for index in 0..=255u8 {
            rtc.write(0, &[index]);
            rtc.write(1, &[0xee]);
        }
        let mut data = [0; 1];
        rtc.write(0, &[STATUS_D | 0x80]);
        rtc.read(1, &mut data);
        assert_eq!(data, [D_VALID]);
        rtc.write(0, &[0x40]);
        rtc.read(1, &mut data);
        assert_eq!(data, [0xee]);
    }
}
