//! Times as people write them, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// The name of a run that begins now: `<UTC>-<label>`, fit for a folder and sorted like time.
pub fn run_name(label: &str) -> String {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{label}", compact(since_1970.as_secs()))
}

/// `YYYY-MM-DDTHHMMSS`.
fn compact(unix_seconds: u64) -> String {
    let (days, seconds) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}{minute:02}{second:02}")
}

/// Year, month and day of the day that is `days` after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    debug_assert!((1..=12).contains(&month) && left < 31, "{year}-{month} is a month");
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_fall_on_their_dates() {
        assert_eq!(compact(0), "1970-01-01T000000");
        assert_eq!(compact(951_782_399), "2000-02-28T235959");
        assert_eq!(compact(951_782_400), "2000-02-29T000000");
        assert_eq!(compact(1_767_225_599), "2025-12-31T235959");
    }
}
