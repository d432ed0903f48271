//! `Release` files: what an archive's suite holds, by hash (Debian's "DebianRepository/Format").

use std::collections::BTreeMap;

use stave_model::digest::Digest;

use crate::{
    paragraph::{self, ParagraphError},
    signature::CLOCK_SKEW,
};

/// The most bytes of an `InRelease` file.
pub const MAX_BYTES: u64 = 16 << 20;
/// The most files that one may list.
const MAX_FILES: usize = 200_000;
/// The most bytes of one package index, compressed or not.
pub const MAX_INDEX: u64 = 1 << 30;

/// A Release file that is refused.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It is not one paragraph of fields.
    #[error("could not read the Release file")]
    Text(#[source] ParagraphError),
    /// A field is missing or does not mean anything.
    #[error("the Release file's field `{field}` is {fault}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// It belongs to another distribution.
    #[error("the Release file is by `{}`, not by `{wanted}`", .found.escape_debug())]
    Origin {
        /// Its `Origin`.
        found: String,
        /// The distribution that was asked for.
        wanted: String,
    },
    /// It belongs to another suite.
    #[error("the Release file is of `{}`, not of `{wanted}`", .found.escape_debug())]
    Suite {
        /// Its `Suite` and `Codename`.
        found: String,
        /// The suite that was asked for.
        wanted: String,
    },
    /// It was valid once.
    #[error("the Release file was valid until {until}, which is over")]
    Expired {
        /// Its `Valid-Until`, as it is written there.
        until: String,
    },
    /// It is dated later than now.
    #[error("the Release file is dated {date}, which is still to come")]
    Future {
        /// Its `Date`, as it is written there.
        date: String,
    },
    /// It lists no index for a component and an architecture.
    #[error("the Release file of `{suite}` lists no packages of component `{component}` for `{architecture}`")]
    NoIndex {
        /// Which suite.
        suite: String,
        /// Which component.
        component: String,
        /// Which architecture.
        architecture: String,
    },
}

/// What a Release file says.
#[derive(Debug, Clone)]
pub struct Release {
    origin: String,
    suite: String,
    codename: String,
    date: (String, u64),
    valid_until: Option<(String, u64)>,
    all_apart: bool,
    by_hash: bool,
    files: BTreeMap<String, (Digest, u64)>,
}

/// What a Release file must be for it to be used.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The distribution, in lower case: `Origin` without regard to case.
    pub distribution: &'a str,
    /// The suite or its code name, with its pocket: `bookworm-security`.
    pub suite: &'a str,
    /// The time, in seconds since 1970.
    pub now: u64,
    /// Whether `Valid-Until` counts. Off, an old copy of an archive (a snapshot) can be used, and an attacker may hold
    /// newer packages back.
    pub check_valid_until: bool,
}

/// How an index is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// `.xz`
    Xz,
    /// `.gz`
    Gzip,
    /// As it is.
    Plain,
}

/// A package index that a Release file lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Where it stands, below the suite's folder; the second place counts if there is nothing in the first.
    pub paths: Vec<String>,
    /// Its digest, packed as it is there.
    pub digest: Digest,
    /// Its size in bytes, packed as it is there.
    pub size: u64,
    /// How it is packed.
    pub packing: Packing,
}

impl Release {
    /// Reads the text of a Release file whose signature was verified.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let fields = paragraph::single(text).map_err(ReleaseError::Text)?;
        let brief = |name: &str| fields.get(name).unwrap_or_default().chars().take(100).collect::<String>();
        let time = |field: &'static str| {
            let text = brief(field);
            let seconds = parse_date(&text).ok_or(ReleaseError::Field { field, fault: "not a date" })?;
            Ok((text, seconds))
        };
        let hashes = fields.get("SHA256").ok_or(ReleaseError::Field { field: "SHA256", fault: "missing" })?;
        let splits_all = fields.words("Architectures").any(|word| word == "all");
        Ok(Self {
            origin: brief("Origin"),
            suite: brief("Suite"),
            codename: brief("Codename"),
            date: time("Date")?,
            valid_until: fields.get("Valid-Until").is_some().then(|| time("Valid-Until")).transpose()?,
            all_apart: splits_all && brief("No-Support-for-Architecture-all") != "Packages",
            by_hash: brief("Acquire-By-Hash") == "yes",
            files: parse_files(hashes)?,
        })
    }

    /// Whether it is what was asked for, and of now.
    pub fn check(&self, expected: &Expected) -> Result<(), ReleaseError> {
        if !self.origin.eq_ignore_ascii_case(expected.distribution) {
            return Err(ReleaseError::Origin { found: self.origin.clone(), wanted: expected.distribution.to_owned() });
        }
        if !self.is_of(expected.suite) {
            let found = format!("{} ({})", self.suite, self.codename);
            return Err(ReleaseError::Suite { found, wanted: expected.suite.to_owned() });
        }
        if self.date.1 > expected.now + CLOCK_SKEW {
            return Err(ReleaseError::Future { date: self.date.0.clone() });
        }
        match &self.valid_until {
            Some((until, seconds)) if expected.check_valid_until && *seconds < expected.now => {
                Err(ReleaseError::Expired { until: until.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Whether this is the suite `wanted`. Debian names its pockets in `Codename`, Ubuntu in `Suite` alone: there a
    /// `Codename` that fits is not enough if `Suite` names a pocket of it, or `noble-proposed` would pass for `noble`.
    fn is_of(&self, wanted: &str) -> bool {
        let pocket = self.suite.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('-'));
        self.suite == wanted || (self.codename == wanted && !pocket)
    }

    /// The indexes of a component's packages that run on `architecture`, each in its smallest form.
    pub fn indexes(&self, component: &str, architecture: &str) -> Result<Vec<Index>, ReleaseError> {
        // Debian's security archive calls its component `updates/main` and its folder `main`.
        let component = component.rsplit('/').next().unwrap_or(component);
        let missing = || ReleaseError::NoIndex {
            suite: self.codename.clone(),
            component: component.to_owned(),
            architecture: architecture.to_owned(),
        };
        let own = self.index(component, architecture).ok_or_else(missing)?;
        let all = self.all_apart.then(|| self.index(component, "all")).flatten();
        Ok(std::iter::once(own).chain(all).collect())
    }

    fn index(&self, component: &str, architecture: &str) -> Option<Index> {
        let plain = format!("{component}/binary-{architecture}/Packages");
        let forms = [(".xz", Packing::Xz), (".gz", Packing::Gzip), ("", Packing::Plain)];
        forms.into_iter().find_map(|(end, packing)| {
            let path = format!("{plain}{end}");
            let (digest, size) = *self.files.get(&path)?;
            (size <= MAX_INDEX).then(|| Index { paths: self.places_of(path, digest), digest, size, packing })
        })
    }

    /// Named by its hash, an index stays whole while the archive changes under us. A mirror may lack these names.
    fn places_of(&self, path: String, digest: Digest) -> Vec<String> {
        let by_hash = path.rsplit_once('/').filter(|_| self.by_hash);
        let by_hash = by_hash.map(|(folder, _)| format!("{folder}/by-hash/SHA256/{}", digest.hex()));
        by_hash.into_iter().chain([path]).collect()
    }
}

fn parse_files(field: &str) -> Result<BTreeMap<String, (Digest, u64)>, ReleaseError> {
    let fault = |fault| ReleaseError::Field { field: "SHA256", fault };
    let mut files = BTreeMap::new();
    for line in field.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [hash, size, path] = words[..] else { return Err(fault("not made of hash, size and path")) };
        let digest = Digest::from_hex(hash).map_err(|_| fault("not made of SHA-256 hashes"))?;
        let size = size.parse().map_err(|_| fault("not made of sizes"))?;
        if files.insert(path.to_owned(), (digest, size)).is_some_and(|earlier| earlier != (digest, size)) {
            return Err(fault("of two minds about a file"));
        }
        if files.len() > MAX_FILES {
            return Err(fault("longer than 200000 files"));
        }
    }
    Ok(files)
}

/// Seconds since 1970 of a date such as `Sat, 17 May 2025 09:31:05 UTC` (RFC 5322 with a zone of zero).
fn parse_date(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "UTC" | "GMT" | "+0000" | "Z"] = words[..] else { return None };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<u64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = clock[..] else { return None };
    let whole = (1..=31).contains(&day) && (1970..=9999).contains(&year) && hours < 24 && minutes < 60 && seconds <= 60;
    whole.then(|| days_since_1970(year, month, day) * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

/// Years are counted from March, so that the leap day is the last of its year.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    // 719468 days lie between 1 March of the year 0 and 1 January 1970.
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_750_000_000;
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn text(more: &str) -> String {
        format!(
            "Origin: Debian\nSuite: stable\nCodename: bookworm\nDate: Sat, 17 May 2025 09:31:05 UTC\n{more}SHA256:\n {EMPTY} 7 main/binary-amd64/Packages.xz\n {EMPTY} 9 main/binary-amd64/Packages\n {EMPTY} 5 main/binary-all/Packages\n"
        )
    }

    fn expected(suite: &str) -> Expected<'_> {
        Expected { distribution: "debian", suite, now: NOW, check_valid_until: true }
    }

    #[test]
    fn dates_are_seconds_since_1970() {
        let cases = [
            ("Thu, 01 Jan 1970 00:00:00 UTC", Some(0)),
            ("Sat, 17 May 2025 09:31:05 UTC", Some(1_747_474_265)),
            ("Thu, 29 Feb 2024 23:59:59 +0000", Some(1_709_251_199)),
            ("Fri, 01 Mar 2024 00:00:00 GMT", Some(1_709_251_200)),
            ("Sat, 17 May 2025 09:31:05 +0200", None),
            ("Sat, 17 May 2025 9:31 UTC", None),
            ("Sat, 99 May 2025 09:31:05 UTC", None),
            ("yesterday", None),
            ("", None),
        ];
        for (date, seconds) in cases {
            assert_eq!(parse_date(date), seconds, "{date}");
        }
    }

    #[test]
    fn an_index_is_taken_in_its_smallest_form_and_by_hash() {
        let plain = Release::parse(&text("")).unwrap().indexes("main", "amd64").unwrap();
        assert_eq!(
            (plain[0].paths[0].as_str(), plain[0].size, plain[0].packing),
            ("main/binary-amd64/Packages.xz", 7, Packing::Xz)
        );
        assert_eq!(plain.len(), 1);
        let more = "Acquire-By-Hash: yes\nArchitectures: all amd64\n";
        let by_hash = Release::parse(&text(more)).unwrap().indexes("updates/main", "amd64").unwrap();
        let own = [format!("main/binary-amd64/by-hash/SHA256/{EMPTY}"), "main/binary-amd64/Packages.xz".to_owned()];
        assert_eq!(by_hash[0].paths, own);
        assert_eq!(by_hash[1].paths[1], "main/binary-all/Packages");
        let without = format!("{more}No-Support-for-Architecture-all: Packages\n");
        assert_eq!(Release::parse(&text(&without)).unwrap().indexes("main", "amd64").unwrap().len(), 1);
    }

    #[test]
    fn a_suite_is_known_by_either_name_but_not_by_its_pockets() {
        let release = |suite: &str, codename: &str| Release {
            suite: suite.to_owned(),
            codename: codename.to_owned(),
            ..Release::parse(&text("")).unwrap()
        };
        assert!(release("stable", "bookworm").is_of("bookworm") && release("stable", "bookworm").is_of("stable"));
        assert!(release("oldstable-security", "bookworm-security").is_of("bookworm-security"));
        assert!(release("noble", "noble").is_of("noble") && release("noble-updates", "noble").is_of("noble-updates"));
        assert!(!release("noble-proposed", "noble").is_of("noble"));
        assert!(!release("stable", "bookworm").is_of("trixie"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |text: &str, expected: &Expected| {
            Release::parse(text).and_then(|release| release.check(expected)).unwrap_err().to_string()
        };
        let until = text("Valid-Until: Sat, 24 May 2025 09:31:05 UTC\n");
        let ubuntu = Expected { distribution: "ubuntu", ..expected("bookworm") };
        let early = Expected { now: 1_000_000_000, ..expected("bookworm") };
        let messages = [
            check(&until, &expected("bookworm")),
            check(&text(""), &expected("trixie")),
            check(&text(""), &ubuntu),
            check(&text(""), &early),
            check("Date: x\nSHA256:\n", &early),
            check("Date: x\n", &early),
            check(&text("").replace(" 7 ", " x "), &early),
            check(&text("").replace(" 9 main/binary-amd64/Packages\n", " 9 main/binary-amd64/Packages.xz\n"), &early),
            check(&text("").replace(EMPTY, "abc"), &early),
            Release::parse(&text("")).unwrap().indexes("main", "arm64").unwrap_err().to_string(),
        ];
        insta::assert_snapshot!(messages.join("\n"), @"
        the Release file was valid until Sat, 24 May 2025 09:31:05 UTC, which is over
        the Release file is of `stable (bookworm)`, not of `trixie`
        the Release file is by `Debian`, not by `ubuntu`
        the Release file is dated Sat, 17 May 2025 09:31:05 UTC, which is still to come
        the Release file's field `Date` is not a date
        the Release file's field `SHA256` is missing
        the Release file's field `SHA256` is not made of sizes
        the Release file's field `SHA256` is of two minds about a file
        the Release file's field `SHA256` is not made of SHA-256 hashes
        the Release file of `bookworm` lists no packages of component `main` for `arm64`
        ");
        let relaxed = Expected { check_valid_until: false, ..expected("bookworm") };
        Release::parse(&until).unwrap().check(&relaxed).unwrap();
    }
}
