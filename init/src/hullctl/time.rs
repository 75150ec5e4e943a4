//! Moments, as people write them.

use std::time::{SystemTime, UNIX_EPOCH};

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// So many milliseconds ago.
    Ago(u64),
    /// This moment, in milliseconds since the Unix epoch.
    At(u64),
}

impl Since {
    /// The moment, in milliseconds since the Unix epoch.
    pub(super) fn unix_ms(self) -> u64 {
        match self {
            Self::At(ms) => ms,
            Self::Ago(ms) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                let now = u64::try_from(now.unwrap_or_default().as_millis());
                now.unwrap_or(u64::MAX).saturating_sub(ms)
            }
        }
    }
}

/// `90s`, `10m`, `2h`, `1d`; `@1795490133`; `2026-11-24`,
/// `2026-11-24T03:15:33Z`, with a fraction or without.
pub(super) fn since(text: &str) -> Result<Since, String> {
    let wrong = || format!("{text:?} is no time: 10m, 2h, 2026-11-24T03:15:33Z, @SECONDS");
    if let Some(seconds) = text.strip_prefix('@') {
        let seconds: u64 = seconds.parse().map_err(|_| wrong())?;
        return seconds.checked_mul(1000).map(Since::At).ok_or_else(wrong);
    }
    ago(text)
        .map(Since::Ago)
        .or_else(|| moment(text).map(Since::At))
        .ok_or_else(wrong)
}

fn ago(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    digits(number)?.checked_mul(seconds)?.checked_mul(1000)
}

/// RFC 3339 in UTC; the time may be left out.
fn moment(text: &str) -> Option<u64> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        None => (text, "00:00:00"),
        Some((date, time)) => (date, time.strip_suffix(['Z', 'z'])?),
    };
    let mut date = date.splitn(3, '-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':').map(digits);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let ms = format!("{fraction:0<3}");
    digits(fraction)?;
    let ms = digits(ms.get(..3)?)?;
    let fits = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let seconds = (days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    fits.then(|| seconds * 1000 + ms)
}

fn digits(text: &str) -> Option<u64> {
    let only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    only.then(|| text.parse().ok()).flatten()
}

/// Days from the Unix epoch to a date of its time: the algorithm of
/// [`rfc3339`](hullkit_bundle::time::rfc3339), backwards.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.saturating_sub(1), month + 9)
    };
    let leap = year / 4 + year / 400 - year / 100;
    (365 * year + leap + (153 * month + 2) / 5 + day).saturating_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hullkit_bundle::time::rfc3339;
    use proptest::prelude::*;

    #[test]
    fn how_long_ago() {
        for (text, ms) in [("90s", 90_000), ("10m", 600_000), ("1d", 86_400_000)] {
            assert_eq!(since(text), Ok(Since::Ago(ms)));
        }
        assert_eq!(since("@12"), Ok(Since::At(12_000)));
        assert_eq!(since("2000-02-29"), Ok(Since::At(951_782_400_000)));
        for text in [
            "",
            "m",
            "-1m",
            "+1m",
            "1w",
            "@",
            "@-1",
            "2026-13-01",
            "ä",
            "1ä",
        ] {
            assert!(since(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_comes_back(ms in 0u64..253_402_300_800_000) {
            prop_assert_eq!(since(&rfc3339(ms)), Ok(Since::At(ms)));
        }

        #[test]
        fn any_text_is_a_time_or_none(text: String) {
            let _either = since(&text);
        }
    }
}
