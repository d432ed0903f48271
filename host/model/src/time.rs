//! Instants as images carry them, and days as people write them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The seconds of a day.
const DAY: u64 = 86_400;

/// The last second that an image can be made in, as seconds since 1970: the year 9999 ends there, and four digits with it.
pub const LAST: u64 = 253_402_300_799;

/// An RFC 3339 time of seconds since 1970, in UTC.
pub fn rfc3339(seconds: u64) -> String {
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from 1 March of the year 0, in eras of 400 years, so that leap days come last everywhere.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", clock / 3600, clock / 60 % 60, clock % 60)
}

/// The seconds since 1970 of a time as [`rfc3339`] writes it; none of any other.
pub fn seconds(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // As above: years begin in March.
    let shifted = if month > 2 { (year, month.checked_sub(3)?) } else { (year.checked_sub(1)?, month + 9) };
    let (years, month_from_march) = shifted;
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (153 * month_from_march + 2) / 5 + day;
    let seconds = (days.checked_sub(719_469)? * 24 + hour) * 3600 + minute * 60 + second;
    // What is not a date, and what is written otherwise, does not come back.
    (rfc3339(seconds) == text).then_some(seconds)
}

/// A day, such as 2027-09-30, from 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    /// Days since 1970-01-01.
    days: u64,
}

/// A text that is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a day: write it as 2027-09-30", .0.escape_debug())]
pub struct InvalidDate(String);

impl Date {
    /// The day of an instant, in UTC.
    pub fn of(seconds: u64) -> Self {
        Self { days: seconds.min(LAST) / DAY }
    }

    /// How many days there are from `other` to this one; less than none where this one is earlier.
    pub fn days_after(self, other: Self) -> i64 {
        // Both are below four million.
        self.days.cast_signed() - other.days.cast_signed()
    }
}

impl FromStr for Date {
    type Err = InvalidDate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let midnight = seconds(&format!("{text}T00:00:00Z"));
        midnight.map(Self::of).ok_or_else(|| InvalidDate(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = rfc3339(self.days * DAY);
        f.write_str(text.split('T').next().unwrap_or_default())
    }
}

impl TryFrom<String> for Date {
    type Error = InvalidDate;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_counted() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        for text in ["1970-01-01", "2024-02-29", "2027-09-30", "9999-12-31"] {
            assert_eq!(day(text).to_string(), text);
        }
        assert_eq!(Date::of(951_782_400), day("2000-02-29"));
        assert_eq!(Date::of(u64::MAX), day("9999-12-31"));
        assert_eq!(day("2027-10-30").days_after(day("2027-09-30")), 30);
        assert_eq!(day("2024-02-28").days_after(day("2024-03-01")), -2);
        assert!(day("2027-09-30") < day("2027-10-01"));
        for text in ["", "2027", "2027-9-30", "2027-02-29", "1969-12-31", "2027-09-30T00:00:00Z", "30.09.2027"] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        insta::assert_snapshot!("soon\u{1b}".parse::<Date>().unwrap_err(), @r"`soon\u{1b}` is not a day: write it as 2027-09-30");
    }

    #[test]
    fn times_are_written_as_oci_wants_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (315_532_801, "1980-01-01T00:00:01Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
            assert_eq!(super::seconds(text), Some(seconds));
        }
    }

    #[test]
    fn only_times_that_are_written_so_are_read() {
        for text in [
            "",
            "2024-12-31",
            "2024-12-31T23:59:59",
            "2024-12-31T23:59:59.5Z",
            "2024-12-31T23:59:59+00:00",
            "2024-02-30T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "2024-12-31T24:00:00Z",
            "+024-12-31T00:00:00Z",
            "2024\u{e9}12-31T00:00:00Z",
        ] {
            assert_eq!(super::seconds(text), None, "{text}");
        }
    }
}
