// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Points in time, as the clock's registers split them.

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: u64 = 719_468;

/// A point in time in UTC, in the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DateTime {
    pub second: u8,
    pub minute: u8,
    pub hour: u8,
    /// 1 is Sunday.
    pub week_day: u8,
    pub day: u8,
    pub month: u8,
    pub year_of_century: u8,
    pub century: u8,
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "day and second counts are far from u64::MAX, and subtractions follow from the \
              ranges that calendars have"
)]
impl DateTime {
    /// Splits seconds since 1970. Years are counted from March, so that the leap
    /// day is the last of a year and months follow a fixed pattern.
    pub(super) fn from_unix(seconds: u64) -> Self {
        let days = seconds / DAY;
        let second = seconds % DAY;
        // Days since 0000-03-01, and the 400-year cycle that this falls into.
        let shifted = days + EPOCH;
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

    /// Seconds since 1970, if this is a point in time of the years 1970 to 9999.
    /// The day of the week does not matter.
    pub(super) fn to_unix(self) -> Option<u64> {
        let year = u64::from(self.century) * 100 + u64::from(self.year_of_century);
        let (month, day) = (u64::from(self.month), u64::from(self.day));
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 {
            return None;
        }
        let is_early = month <= 2;
        let year = year - u64::from(is_early);
        let month_from_march = if is_early { month + 9 } else { month - 3 };
        let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
        let leap_days = year / 4 - year / 100 + year / 400;
        let days = (year * 365 + leap_days + day_of_year).checked_sub(EPOCH)?;
        let second =
            u64::from(self.hour) * 3_600 + u64::from(self.minute) * 60 + u64::from(self.second);
        let seconds = days * DAY + second;
        // What does not come back as it was is no date, or no time of day.
        let back = Self::from_unix(seconds);
        let same = Self {
            week_day: self.week_day,
            ..back
        };
        (same == self).then_some(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn what_is_no_date_has_no_seconds() {
        let good = DateTime::from_unix(951_782_400);
        assert_eq!(good.to_unix(), Some(951_782_400));
        for bad in [
            DateTime { day: 30, ..good },
            DateTime { month: 13, ..good },
            DateTime { month: 0, ..good },
            DateTime { hour: 24, ..good },
            DateTime {
                second: 255,
                ..good
            },
            DateTime {
                century: 18,
                ..good
            },
        ] {
            assert_eq!(bad.to_unix(), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn splitting_and_joining_are_inverse(seconds in 0_u64..253_402_300_800) {
            prop_assert_eq!(DateTime::from_unix(seconds).to_unix(), Some(seconds));
        }

        #[test]
        fn any_registers_can_be_joined(bytes in any::<[u8; 7]>()) {
            let [second, minute, hour, day, month, year_of_century, century] = bytes;
            let time =
                DateTime { second, minute, hour, week_day: 1, day, month, year_of_century, century };
            if let Some(seconds) = time.to_unix() {
                prop_assert_eq!(DateTime::from_unix(seconds).day, day);
            }
        }
    }
}
