//! The system clock, where the kernel did not set it.

use std::fs::File;
use std::path::Path;

use nix::sys::time::{TimeSpec, TimeValLike};
use nix::time::{ClockId, clock_gettime, clock_settime};

use crate::Error;
use crate::sys::rtc::{self, RtcTime};

/// 2026-11-01: no machine runs this program before it was written.
const WRITTEN: i64 = 1_793_491_200;

const RTC: &str = "/dev/rtc0";

/// Sets the clock from the machine's own, unless the kernel has done so. A
/// machine without one starts at a time that is wrong, but at which the
/// certificates of that time are valid, and says so.
///
/// # Errors
/// There is no usable real-time clock.
pub(super) fn set() -> Result<(), Error> {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).map_err(Error::os("read", "clock"))?;
    if now.num_seconds() >= WRITTEN {
        return Ok(());
    }
    let found = read();
    let time = match &found {
        Ok(time) if *time >= WRITTEN => *time,
        _ => WRITTEN,
    };
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::seconds(time))
        .map_err(Error::os("set", "clock"))?;
    found.map(drop)
}

fn read() -> Result<i64, Error> {
    let file = File::open(RTC).map_err(Error::path("open", Path::new(RTC)))?;
    let time = rtc::read(&file).map_err(Error::os("read", RTC))?;
    Ok(seconds(&time))
}

/// Seconds since the Unix epoch, of a date in the Gregorian calendar.
fn seconds(time: &RtcTime) -> i64 {
    let day = days(
        i64::from(time.year) + 1900,
        i64::from(time.month) + 1,
        i64::from(time.day),
    );
    ((day * 24 + i64::from(time.hour)) * 60 + i64::from(time.min)) * 60 + i64::from(time.sec)
}

/// Days from 1970-01-01: years are counted from March, so that the leap day is
/// the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let before_year = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let before_month = (month * 153 + 2) / 5;
    before_year + before_month + day - 719_469
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_days() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 2, 29), 11_016);
        assert_eq!(days(2000, 3, 1), 11_017);
        assert_eq!(days(2026, 11, 1) * 86_400, WRITTEN);
        assert_eq!(days(2100, 3, 1) - days(2100, 2, 28), 1);
    }

    #[test]
    fn a_moment() {
        let time = RtcTime {
            sec: 47,
            min: 46,
            hour: 1,
            day: 9,
            month: 8,
            year: 101,
            ..RtcTime::default()
        };
        // 2001-09-09 01:46:40 is the billionth second.
        assert_eq!(seconds(&time), 1_000_000_007);
    }

    proptest! {
        #[test]
        fn each_day_follows_the_last(year in 1970i64..2300, month in 1i64..=12) {
            let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
            let length = next - days(year, month, 1);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let expected = match month {
                2 => 28 + i64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            prop_assert_eq!(length, expected);
        }
    }
}
