//! Which updates come by themselves, and when: the `updatePolicy` of an image.
//!
//! It is about what operators change (buildpacks, stacks, the lifecycle). A commit, a setting or a hand on the trigger is
//! somebody's wish for this very image and waits for nobody.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Problem, build::Reason};

/// Minutes of a day.
const DAY: u64 = 24 * 60;

/// `spec.updatePolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UpdatePolicy {
    /// Which updates are taken.
    #[serde(default)]
    pub automatic: Automatic,
    /// When they are taken; at any time, where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
}

impl UpdatePolicy {
    /// Whether nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether what an operator changed is taken by itself, at the right time.
    pub fn takes(&self, reason: Reason) -> bool {
        match self.automatic {
            Automatic::All => true,
            Automatic::StackOnly => reason == Reason::Stack,
            Automatic::None => false,
        }
    }

    /// Whether updates are taken at `now`, in seconds since 1970.
    pub fn is_open(&self, now: u64) -> bool {
        self.windows.is_empty() || self.windows.iter().any(|window| window.has(now))
    }

    /// When updates are taken next, from a time at which they are not.
    pub fn opens(&self, now: u64) -> Option<u64> {
        self.windows.iter().filter_map(|window| window.next(now)).min()
    }

    /// What is wrong with it.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let empty = self.windows.iter().enumerate().filter(|(_, window)| window.from == window.to);
        empty.map(|(at, _)| Problem::new(format!("{path}.windows[{at}]"), "it ends when it begins")).collect()
    }
}

/// Which of an operator's changes are taken without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Automatic {
    /// All.
    #[default]
    All,
    /// A new run image, and nothing that runs a newer buildpack.
    StackOnly,
    /// None.
    None,
}

/// A time of the week, in UTC. One that ends before it begins goes on into the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days on which it begins; every day, where none is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
    /// When it begins.
    pub from: TimeOfDay,
    /// When it ends.
    pub to: TimeOfDay,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are the days of the week")]
pub enum Day {
    Thu,
    Fri,
    Sat,
    Sun,
    Mon,
    Tue,
    Wed,
}

impl Day {
    /// Days since 1970 began, which was a Thursday.
    fn is(self, day: u64) -> bool {
        day % 7 == self as u64
    }
}

impl Window {
    fn begins_on(&self, day: u64) -> bool {
        self.days.is_empty() || self.days.iter().any(|ours| ours.is(day))
    }

    fn has(&self, now: u64) -> bool {
        let (minutes, from, to) = (now / 60, u64::from(self.from.0), u64::from(self.to.0));
        let (day, minute) = (minutes / DAY, minutes % DAY);
        if from < to {
            return self.begins_on(day) && (from..to).contains(&minute);
        }
        minute >= from && self.begins_on(day) || minute < to && day > 0 && self.begins_on(day - 1)
    }

    /// When it begins next.
    fn next(&self, now: u64) -> Option<u64> {
        let today = now / 60 / DAY;
        let begins = (today..=today + 7).filter(|day| self.begins_on(*day));
        begins.map(|day| (day * DAY + u64::from(self.from.0)) * 60).find(|begin| *begin > now)
    }
}

/// A time of day, `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

/// A text that is no time of day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a time of day: write HH:MM, from 00:00 to 23:59", .0.escape_debug())]
pub struct InvalidTime(String);

impl TryFrom<String> for TimeOfDay {
    type Error = InvalidTime;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let number = |digits: &str, below: u16| {
            let is_good = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|number| is_good && *number < below)
        };
        let read = text.split_once(':').and_then(|(hour, minute)| Some(number(hour, 24)? * 60 + number(minute, 60)?));
        read.map(Self).ok_or_else(|| InvalidTime(text.chars().take(20).collect()))
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

#[cfg(test)]
mod tests {
    use stave_model::time;

    use super::*;

    fn policy(text: &str) -> UpdatePolicy {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn windows_open_and_close() {
        // 2026-11-30 is a Monday.
        let night = policy(r#"{ "windows": [{ "days": ["Mon"], "from": "22:00", "to": "02:00" }] }"#);
        let at = |text: &str| time::seconds(text).unwrap();
        for (now, is_open) in [
            ("2026-11-30T21:59:59Z", false),
            ("2026-11-30T22:00:00Z", true),
            ("2026-12-01T01:59:59Z", true),
            ("2026-12-01T02:00:00Z", false),
            ("2026-12-01T23:00:00Z", false),
            ("2026-11-30T01:00:00Z", false),
        ] {
            assert_eq!(night.is_open(at(now)), is_open, "{now}");
        }
        let opens = |policy: &UpdatePolicy, now| time::rfc3339(policy.opens(at(now)).unwrap());
        assert_eq!(opens(&night, "2026-12-01T02:00:00Z"), "2026-12-07T22:00:00Z");
        assert_eq!(opens(&night, "2026-11-30T08:00:00Z"), "2026-11-30T22:00:00Z");
        let daily = policy(
            r#"{ "windows": [{ "from": "02:00", "to": "04:00" }, { "days": ["Tue"], "from": "12:00", "to": "13:00" }] }"#,
        );
        assert_eq!(opens(&daily, "2026-12-01T05:00:00Z"), "2026-12-01T12:00:00Z");
        assert_eq!(opens(&daily, "2026-12-01T14:00:00Z"), "2026-12-02T02:00:00Z");
        assert!(policy("{}").is_open(0));
    }

    #[test]
    fn times_are_times() {
        for text in ["24:00", "2:00", "02:60", "0200", "", "+2:00"] {
            assert!(TimeOfDay::try_from(text.to_owned()).is_err(), "{text}");
        }
        let whole = policy(r#"{ "windows": [{ "from": "02:00", "to": "02:00" }] }"#);
        assert_eq!(
            whole.problems("spec.updatePolicy")[0].to_string(),
            "spec.updatePolicy.windows[0]: it ends when it begins"
        );
    }
}
