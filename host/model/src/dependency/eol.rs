//! The end of life of dependencies: whether a version that is brought into an image is still mended, by the day that its
//! buildpack's manifest names.
//!
//! What comes of it is a message and nothing else. An image is the same on every day, so the day of today is no input of a
//! build: whoever tells a person gives it.

use std::fmt;

use super::Dependency;
use crate::time::Date;

/// So many days before its end a dependency is warned of, as Paketo's and Cloud Foundry's buildpacks do before a
/// `deprecation_date`.
pub const NOTICE: i64 = 30;

/// A dependency whose life ends soon, or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending<'a> {
    /// Which.
    pub dependency: &'a Dependency,
    /// The last day on which it is mended.
    pub eol: Date,
    /// How many days are left; less than none where it is over.
    pub left: i64,
}

/// What is to be said of a dependency `today`; nothing if its end is not known, or far.
pub fn ending(dependency: &Dependency, today: Date) -> Option<Ending<'_>> {
    let eol = dependency.eol?;
    let left = eol.days_after(today);
    (left <= NOTICE).then_some(Ending { dependency, eol, left })
}

impl fmt::Display for Ending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Dependency { id, version, name, .. } = self.dependency;
        let name = if name.is_empty() { id } else { name };
        let (name, eol) = (name.chars().take(100).collect::<String>(), self.eol);
        write!(f, "{} ({} {version}) ", name.escape_debug(), id.chars().take(100).collect::<String>().escape_debug())?;
        match self.left {
            left if left < 0 => write!(f, "is at the end of its life since {eol}: nobody mends it any more"),
            0 => write!(f, "comes to the end of its life today"),
            1 => write!(f, "comes to the end of its life tomorrow, on {eol}"),
            left => write!(f, "comes to the end of its life in {left} days, on {eol}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(eol: &str) -> Dependency {
        let eol = if eol.is_empty() { String::new() } else { format!("eol = \"{eol}\"") };
        toml::from_str(&format!("id = \"jre\"\nversion = \"11.0.13\"\nname = \"Java 11\"\nartifacts = []\n{eol}"))
            .unwrap()
    }

    #[test]
    fn it_is_said_thirty_days_before_and_from_then_on() {
        let today = "2027-10-01".parse().unwrap();
        let said = |eol: &str| ending(&dependency(eol), today).map(|ending| ending.to_string());
        assert_eq!((said(""), said("2027-11-01"), said("9999-12-31")), (None, None, None));
        let days = ["2027-10-31", "2027-10-02", "2027-10-01", "2027-09-30", "1970-01-01"];
        insta::assert_snapshot!(days.map(|day| said(day).unwrap()).join("\n"), @"
        Java 11 (jre 11.0.13) comes to the end of its life in 30 days, on 2027-10-31
        Java 11 (jre 11.0.13) comes to the end of its life tomorrow, on 2027-10-02
        Java 11 (jre 11.0.13) comes to the end of its life today
        Java 11 (jre 11.0.13) is at the end of its life since 2027-09-30: nobody mends it any more
        Java 11 (jre 11.0.13) is at the end of its life since 1970-01-01: nobody mends it any more
        ");
    }

    #[test]
    fn names_of_a_manifest_do_not_steer_the_message() {
        let mut one = dependency("2000-01-01");
        one.name = format!("\u{1b}[2J{}", "x".repeat(1000));
        let said = ending(&one, "2027-10-01".parse().unwrap()).unwrap().to_string();
        assert!(said.starts_with("\\u{1b}[2Jx") && said.len() < 300, "{said}");
    }
}
