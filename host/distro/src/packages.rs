//! Package indexes: which packages a suite offers, in what versions, and what each needs.

use std::{
    collections::HashMap,
    io::{self, BufRead},
};

use debversion::Version;
use stave_model::digest::Digest;

use crate::{
    paragraph::{Paragraph, ParagraphError, Paragraphs},
    relation::{self, InvalidRelation, Relation, is_package_name},
};

/// The most packages of all indexes together. Debian has about 65,000 in one suite and architecture.
const MAX_PACKAGES: usize = 500_000;
/// The largest package that is accepted, in bytes.
pub const MAX_DEB: u64 = 2 << 30;

/// A package index that is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// Its bytes cannot be read.
    #[error("could not unpack the package index of {suite}")]
    Read {
        /// Which suite.
        suite: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// It is not made of paragraphs.
    #[error("could not read the package index of {suite}")]
    Text {
        /// Which suite.
        suite: String,
        /// What is wrong.
        #[source]
        source: ParagraphError,
    },
    /// An entry's field is missing or does not mean anything.
    #[error("the package index of {suite} is refused: `{}` has no proper `{field}`", .package.escape_debug())]
    Field {
        /// Which suite.
        suite: String,
        /// Which package.
        package: String,
        /// Which field.
        field: &'static str,
    },
    /// An entry's relations cannot be read.
    #[error("the package index of {suite} is refused: `{package}` says what it provides wrongly")]
    Provides {
        /// Which suite.
        suite: String,
        /// Which package.
        package: String,
        /// What is wrong.
        #[source]
        source: InvalidRelation,
    },
    /// There are more than anybody has.
    #[error("there are more than 500000 packages in the indexes")]
    TooMany,
}

/// How much a distribution cares for a package (Debian Policy 2.5): decides between providers of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Part of every system.
    Required,
    /// Expected on every system.
    Important,
    /// On most systems.
    Standard,
    /// Everything else.
    Optional,
}

/// One version of one package for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// The suite that offers it.
    pub suite: String,
    /// Which of the caller's archives offers it.
    pub archive: usize,
    /// Where its file is, below the archive's root.
    pub filename: String,
    /// The file's size in bytes.
    pub size: u64,
    /// The file's digest.
    pub sha256: Digest,
    /// How much the distribution cares.
    pub priority: Priority,
    /// `Pre-Depends` and `Depends`, as they are written.
    pub depends: [String; 2],
    /// `Conflicts` and `Breaks`, as they are written.
    pub conflicts: [String; 2],
}

/// Whose index is read.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The architecture that the packages are to run on.
    pub architecture: &'a str,
    /// The suite.
    pub suite: &'a str,
    /// The caller's number of the archive.
    pub archive: usize,
}

/// Everything that all suites offer for one architecture.
#[derive(Debug, Default)]
pub struct Universe {
    packages: Vec<Package>,
    named: HashMap<String, Vec<usize>>,
    provided: HashMap<String, Vec<(usize, Option<Version>)>>,
}

impl Universe {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in an index whose digest was verified. Entries for other architectures are passed over.
    pub fn read(&mut self, index: impl BufRead, offer: &Offer) -> Result<(), PackagesError> {
        for paragraph in Paragraphs::new(index) {
            let text = |source| PackagesError::Text { suite: offer.suite.to_owned(), source };
            self.take(&paragraph.map_err(text)?, offer)?;
        }
        Ok(())
    }

    /// All versions of a package, the newest first; of equal ones, that of the archive named first.
    pub fn versions(&self, name: &str) -> Vec<&Package> {
        let numbers = self.named.get(name).map_or(&[][..], Vec::as_slice);
        let mut found: Vec<&Package> = numbers.iter().map(|number| &self.packages[*number]).collect();
        found.sort_by(|a, b| b.version.cmp(&a.version).then(a.archive.cmp(&b.archive)));
        found
    }

    /// The packages that provide a virtual package. The ones that the distribution cares most for first, then by name,
    /// the newest first.
    pub fn providers(&self, name: &str) -> Vec<&Package> {
        let numbers = self.provided.get(name).map_or(&[][..], Vec::as_slice);
        let mut found: Vec<&Package> = numbers.iter().map(|(number, _)| &self.packages[*number]).collect();
        found.sort_by(|a, b| {
            (a.priority, &a.name)
                .cmp(&(b.priority, &b.name))
                .then(b.version.cmp(&a.version))
                .then(a.archive.cmp(&b.archive))
        });
        found
    }

    /// Whether a package of this universe is what `relation` asks for, by its name or by what it provides. A relation
    /// with a version is only met by something provided with a version (Debian Policy 7.5).
    pub fn meets(&self, package: &Package, relation: &Relation) -> bool {
        let fits = |version: Option<&Version>| match (&relation.version, version) {
            (None, _) => true,
            (Some((compare, named)), Some(version)) => compare.holds(version, named),
            (Some(_), None) => false,
        };
        let here = relation
            .qualifier
            .as_deref()
            .is_none_or(|word| word == "any" || word == "native" || word == package.architecture);
        let provided = || {
            let all = self.provided.get(&relation.name).map_or(&[][..], Vec::as_slice);
            let own = all.iter().filter(|(number, _)| std::ptr::eq(&raw const self.packages[*number], package));
            own.map(|(_, version)| version.as_ref()).any(fits)
        };
        here && ((package.name == relation.name && fits(Some(&package.version))) || provided())
    }

    fn take(&mut self, fields: &Paragraph, offer: &Offer) -> Result<(), PackagesError> {
        let package = parse(fields, offer)?;
        if package.architecture != offer.architecture && package.architecture != "all" {
            return Ok(());
        }
        if self.packages.len() == MAX_PACKAGES {
            return Err(PackagesError::TooMany);
        }
        let number = self.packages.len();
        if let Some(provides) = fields.get("Provides") {
            let clauses = relation::parse(provides).map_err(|source| PackagesError::Provides {
                suite: offer.suite.to_owned(),
                package: package.name.clone(),
                source,
            })?;
            for provided in clauses.into_iter().flat_map(|clause| clause.0) {
                let version = provided.version.map(|(_, version)| version);
                self.provided.entry(provided.name).or_default().push((number, version));
            }
        }
        self.named.entry(package.name.clone()).or_default().push(number);
        self.packages.push(package);
        Ok(())
    }
}

fn parse(fields: &Paragraph, offer: &Offer) -> Result<Package, PackagesError> {
    let name = fields.get("Package").unwrap_or_default();
    let missing = |field| PackagesError::Field {
        suite: offer.suite.to_owned(),
        package: name.chars().take(100).collect(),
        field,
    };
    let text = |field: &'static str| fields.get(field).unwrap_or_default().to_owned();
    if !is_package_name(name) {
        return Err(missing("Package"));
    }
    let architecture =
        fields.get("Architecture").filter(|word| is_package_name(word)).ok_or_else(|| missing("Architecture"))?;
    let filename = fields.get("Filename").filter(|path| is_plain_path(path)).ok_or_else(|| missing("Filename"))?;
    let version = fields.get("Version").and_then(|text| text.parse().ok()).ok_or_else(|| missing("Version"))?;
    let size = fields.get("Size").and_then(|text| text.parse().ok()).filter(|size| *size <= MAX_DEB);
    let sha256 = fields.get("SHA256").and_then(|hex| Digest::from_hex(hex).ok()).ok_or_else(|| missing("SHA256"))?;
    Ok(Package {
        name: name.to_owned(),
        version,
        architecture: architecture.to_owned(),
        suite: offer.suite.to_owned(),
        archive: offer.archive,
        filename: filename.to_owned(),
        size: size.ok_or_else(|| missing("Size"))?,
        sha256,
        priority: match fields.get("Priority") {
            Some("required") => Priority::Required,
            Some("important") => Priority::Important,
            Some("standard") => Priority::Standard,
            _ => Priority::Optional,
        },
        depends: [text("Pre-Depends"), text("Depends")],
        conflicts: [text("Conflicts"), text("Breaks")],
    })
}

/// A path that can be put behind an archive's address without leading elsewhere.
pub(crate) fn is_plain_path(path: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"+-._~:%/@".contains(&b);
    let name = |name: &str| !name.is_empty() && name != "." && name != "..";
    path.len() <= 1024 && path.bytes().all(allowed) && path.split('/').all(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: Offer = Offer { architecture: "amd64", suite: "test", archive: 0 };

    fn entry(name: &str, version: &str, more: &str) -> String {
        let hash = "0".repeat(64);
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: 9\nSHA256: {hash}\n{more}\n"
        )
    }

    fn universe(entries: &[String]) -> Result<Universe, PackagesError> {
        let mut universe = Universe::new();
        universe.read(entries.concat().as_bytes(), &OFFER)?;
        Ok(universe)
    }

    #[test]
    fn the_newest_version_is_first_and_other_architectures_are_passed_over() {
        let other = entry("pkg", "9", "").replace("amd64", "i386");
        let all = entry("pkg", "1.5", "").replace("amd64", "all");
        let universe =
            universe(&[entry("pkg", "1.9", ""), entry("pkg", "1.10", "X-Unknown: x\n"), all, other]).unwrap();
        let versions: Vec<String> = universe.versions("pkg").iter().map(|p| p.version.to_string()).collect();
        assert_eq!(versions, ["1.10", "1.9", "1.5"]);
        assert!(universe.versions("b").is_empty());
    }

    #[test]
    fn providers_stand_in_an_order_that_does_not_depend_on_the_index() {
        let entries = [
            entry("original-awk", "1", "Provides: awk\n"),
            entry("mawk", "1", "Provides: awk (= 3)\nPriority: required\n"),
            entry("gawk", "1", "Provides: awk\n"),
        ];
        let universe = universe(&entries).unwrap();
        let names: Vec<&str> = universe.providers("awk").iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["mawk", "gawk", "original-awk"]);
        let meets = |number: usize, text: &str| {
            let relation = &relation::parse(text).unwrap()[0].0[0];
            universe.meets(universe.providers("awk")[number], relation)
        };
        assert!(meets(0, "awk (>= 3)") && meets(0, "awk:any") && meets(0, "mawk (= 1)") && meets(1, "awk"));
        assert!(!meets(0, "awk (>> 3)") && !meets(1, "awk (>= 1)") && !meets(0, "mawk:arm64") && !meets(0, "gawk"));
    }

    #[test]
    fn entries_are_checked() {
        let whole = entry("pkg", "1", "");
        let cases = [
            whole.replace("Package: pkg", "Package: ../pkg"),
            whole.replace("pool/pkg.deb", "../../pkg.deb"),
            whole.replace("pool/pkg.deb", "https://example.com/a.deb?x"),
            whole.replace("Version: 1", "Version: a b"),
            whole.replace("Size: 9", "Size: 99999999999"),
            whole.replace("SHA256: 0", "SHA256: x"),
            entry("pkg", "1", "Provides: (\n"),
            entry("pkg", "1", "Version: 2\n"),
        ];
        let messages = cases.map(|case| universe(&[case]).unwrap_err().to_string());
        insta::assert_snapshot!(messages.join("\n"), @"
        the package index of test is refused: `../pkg` has no proper `Package`
        the package index of test is refused: `pkg` has no proper `Filename`
        the package index of test is refused: `pkg` has no proper `Filename`
        the package index of test is refused: `pkg` has no proper `Version`
        the package index of test is refused: `pkg` has no proper `Size`
        the package index of test is refused: `pkg` has no proper `SHA256`
        the package index of test is refused: `pkg` says what it provides wrongly
        could not read the package index of test
        ");
    }
}
