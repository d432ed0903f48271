//! Which Java: what is wished for, and which of the offered versions that is.

use std::fmt;

use crate::jar_manifest::Manifest;

/// The newest release line that is believed in; larger numbers are not versions of Java.
const MAX_MAJOR: u64 = 9999;

/// A version of Java in three numbers, such as 21.0.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u64, pub(crate) u64, pub(crate) u64);

/// What versions would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Those that begin with these one to three numbers: `21`, `21.*`, `17.0`, `17.0.9`.
    Release(Vec<u64>),
    /// Those of this release line, or else of the next one up: `>=17`.
    AtLeast(u64),
}

/// A wish and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// What versions would do.
    pub(crate) pattern: Pattern,
    /// Where it stands, such as `BP_JVM_VERSION`.
    pub(crate) source: String,
}

impl Version {
    /// Reads three numbers.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match numbers(text)?.as_slice() {
            [major, minor, patch] => Some(Self(*major, *minor, *patch)),
            _ => None,
        }
    }

    /// Whether its line gets updates for years: 8, 11, 17 and every fourth one from there.
    fn is_long_term(self) -> bool {
        matches!(self.0, 8 | 11) || (self.0 >= 17 && (self.0 - 17).is_multiple_of(4))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Pattern {
    /// Reads `21`, `21.*`, `17.0.9` or `>=17`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(least) = text.strip_prefix(">=") {
            return numbers(least.trim())?.first().copied().map(Self::AtLeast);
        }
        let release = numbers(text.strip_suffix(".*").unwrap_or(text))?;
        Some(Self::Release(release))
    }

    fn admits(&self, version: Version) -> bool {
        match self {
            Self::Release(numbers) => [version.0, version.1, version.2].starts_with(numbers),
            Self::AtLeast(major) => version.0 >= *major,
        }
    }

    /// Which of `offered` it is.
    pub(crate) fn choose(&self, offered: &[Version]) -> Option<Version> {
        let admitted = offered.iter().copied().filter(|version| self.admits(*version));
        match self {
            Self::Release(_) => admitted.max(),
            Self::AtLeast(_) => {
                let line = admitted.clone().map(|version| version.0).min()?;
                admitted.filter(|version| version.0 == line).max()
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
                f.write_str(&numbers.join("."))
            }
            Self::AtLeast(major) => write!(f, ">={major}"),
        }
    }
}

/// What nobody's wish says: the newest line with long support, else the newest.
pub(crate) fn usual(offered: &[Version]) -> Option<Version> {
    offered.iter().copied().filter(|version| version.is_long_term()).max().or(offered.iter().copied().max())
}

/// The Java that a jar was built with, as the least that it needs: `Build-Jdk-Spec`, else `Build-Jdk`.
pub(crate) fn built_with(manifest: &Manifest) -> Option<u64> {
    manifest.get("Build-Jdk-Spec").and_then(major).or(manifest.get("Build-Jdk").and_then(major))
}

/// The release line in `17`, `17.0.9+9`, `21-ea` or, in the old way of counting, `1.8.0_292`.
fn major(text: &str) -> Option<u64> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    let first = number(parts.next()?)?;
    let line = if first == 1 && text.starts_with("1.") { number(parts.next()?)? } else { first };
    Some(line).filter(|line| (1..=MAX_MAJOR).contains(line))
}

/// One to three numbers with dots between them.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let numbers: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let fits = (1..=3).contains(&numbers.len()) && (1..=MAX_MAJOR).contains(&numbers[0]);
    fits.then_some(numbers)
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jar_manifest;

    fn offered(texts: &[&str]) -> Vec<Version> {
        texts.iter().map(|text| Version::parse(text).unwrap()).collect()
    }

    #[test]
    fn a_pattern_chooses_the_newest_that_it_admits() {
        let all = offered(&["25.0.2", "21.0.8", "21.0.4", "17.0.9", "11.0.13"]);
        for (pattern, expected) in [
            ("21", Some("21.0.8")),
            ("21.*", Some("21.0.8")),
            ("21.0", Some("21.0.8")),
            ("21.0.*", Some("21.0.8")),
            ("21.0.4", Some("21.0.4")),
            (" 17 ", Some("17.0.9")),
            ("2", None),
            ("21.1", None),
            ("23", None),
            (">=8", Some("11.0.13")),
            (">=17", Some("17.0.9")),
            (">= 18", Some("21.0.8")),
            (">=22", Some("25.0.2")),
            (">=26", None),
        ] {
            let chosen = Pattern::parse(pattern).unwrap().choose(&all).map(|version| version.to_string());
            assert_eq!(chosen.as_deref(), expected, "{pattern}");
        }
    }

    #[test]
    fn other_texts_are_no_patterns() {
        for text in ["", "*", ".*", "21.", ".21", "21.x", "21.0.8.2", "v21", "latest", "0", "-1", "99999", "2 1", ">="]
        {
            assert_eq!(Pattern::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn patterns_are_written_as_they_are_read() {
        for (text, written) in [("21.*", "21"), ("17.0.9", "17.0.9"), (">= 17", ">=17")] {
            let pattern = Pattern::parse(text).unwrap();
            assert_eq!(pattern.to_string(), written);
            assert_eq!(Pattern::parse(written), Some(pattern));
        }
    }

    #[test]
    fn without_a_wish_it_is_the_newest_with_long_support() {
        for (versions, expected) in [
            (&["26.0.1", "25.0.2", "21.0.8"][..], Some("25.0.2")),
            (&["29.0.0", "25.0.2"], Some("29.0.0")),
            (&["24.0.0", "23.0.0"], Some("24.0.0")),
            (&["8.0.1", "9.0.0"], Some("8.0.1")),
            (&[], None),
        ] {
            assert_eq!(usual(&offered(versions)).map(|v| v.to_string()).as_deref(), expected, "{versions:?}");
        }
    }

    #[test]
    fn the_manifest_says_what_the_jar_was_built_with() {
        for (text, expected) in [
            ("Build-Jdk-Spec: 17\nBuild-Jdk: 21.0.1\n", Some(17)),
            ("Build-Jdk: 11.0.13+8\n", Some(11)),
            ("Build-Jdk: 1.8.0_292\n", Some(8)),
            ("Build-Jdk-Spec: 1.8\n", Some(8)),
            ("Build-Jdk: 21-ea\n", Some(21)),
            ("Build-Jdk-Spec: rubbish\nBuild-Jdk: 21\n", Some(21)),
            ("Build-Jdk: \n", None),
            ("Build-Jdk: 123456\n", None),
            ("", None),
        ] {
            assert_eq!(built_with(&jar_manifest::parse(text.as_bytes()).unwrap()), expected, "{text:?}");
        }
    }
}
