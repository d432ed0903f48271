//! Which packages a rule speaks of: `pkg:maven/com.acme/*`.
//!
//! A pattern keeps a company's own packages to the company's own registry. So wherever two spellings of a name may lead to
//! one package, it takes both: a package that slips through a pattern would be asked for where anybody can publish.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{PackageUrl, percent_decode};

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 512;

/// A package URL without version and qualifiers, in which `*` stands for any text, slashes among it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackagePattern {
    text: String,
    kind: String,
    /// What stands between the stars, in the one spelling that is compared.
    pieces: Vec<String>,
}

/// A text that is not such a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` does not say which packages are meant: {rule}", .text.escape_debug())]
pub struct InvalidPattern {
    text: String,
    rule: &'static str,
}

impl PackagePattern {
    /// The ecosystem that it is for, such as `maven`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether the package is one of them. Its version and its qualifiers make no difference.
    pub fn matches(&self, purl: &PackageUrl) -> bool {
        // Python's packages have no namespace, and one that is written leads nowhere else.
        let whole = if purl.namespace.is_empty() || self.kind == "pypi" {
            purl.name.clone()
        } else {
            format!("{}/{}", purl.namespace, purl.name)
        };
        let fits = |text: &str| fits(&self.pieces, text);
        // As it is written too: a star may stand between two dashes that are one in the package's name.
        self.kind == purl.kind && (fits(&spelled(&self.kind, &whole)) || fits(&whole.to_lowercase()))
    }
}

/// The one spelling of a name. Case makes no difference in Python, nor on the disks that many registries stand on; runs of `-`,
/// `_` and `.` make none in Python (PEP 503).
fn spelled(kind: &str, name: &str) -> String {
    let lower = name.to_lowercase();
    if kind != "pypi" {
        return lower;
    }
    let mut normal = String::with_capacity(lower.len());
    for c in lower.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c => normal.push(c),
        }
    }
    normal
}

/// Whether `text` is these pieces with anything between them. Each is looked for as early as it can stand, so it takes one pass.
fn fits(pieces: &[String], text: &str) -> bool {
    let (Some((first, rest)), Some(last)) = (pieces.split_first(), pieces.last()) else { return false };
    if rest.is_empty() {
        return text == first;
    }
    let Some(mut text) = text.strip_prefix(first.as_str()) else { return false };
    for piece in &rest[..rest.len() - 1] {
        let Some(at) = text.find(piece.as_str()) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last.as_str())
}

impl FromStr for PackagePattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = |rule| InvalidPattern { text: text.chars().take(100).collect(), rule };
        let form = "write pkg:TYPE/NAME, such as pkg:maven/com.acme/* or pkg:npm/@acme/*";
        let (kind, name) =
            text.strip_prefix("pkg:").and_then(|rest| rest.split_once('/')).ok_or_else(|| refused(form))?;
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b".+-".contains(&b);
        if text.len() > MAX_PATTERN || kind.is_empty() || !kind.bytes().all(is_word) || name.is_empty() {
            return Err(refused(form));
        }
        let name = percent_decode(name).ok_or_else(|| refused(form))?;
        // A scope of npm begins with an `@`, and so may a star's text.
        let is_versioned = name.split('/').any(|segment| segment.find('@').is_some_and(|at| at > 0));
        if is_versioned || name.contains(['?', '#']) {
            return Err(refused("all versions of a package come from one place, so leave version and qualifiers away"));
        }
        let kind = kind.to_ascii_lowercase();
        let pieces = name.split('*').map(|piece| spelled(&kind, piece)).collect();
        Ok(Self { text: text.to_owned(), kind, pieces })
    }
}

impl fmt::Display for PackagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for PackagePattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PackagePattern> for String {
    fn from(pattern: PackagePattern) -> Self {
        pattern.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, purl: &str) -> bool {
        pattern.parse::<PackagePattern>().unwrap().matches(&purl.parse().unwrap())
    }

    #[test]
    fn a_star_is_any_text() {
        for (pattern, purl) in [
            ("pkg:maven/com.acme/*", "pkg:maven/com.acme/tool@1.2?type=zip"),
            ("pkg:maven/com.acme*", "pkg:maven/com.acme.deep.down/tool@1"),
            ("pkg:npm/@acme/*", "pkg:npm/%40acme/tool@1"),
            ("pkg:npm/%40acme/*", "pkg:npm/%40acme/tool@1"),
            ("pkg:pypi/acme-*", "pkg:pypi/acme-tool@1"),
            ("pkg:pypi/*-internal", "pkg:pypi/x-internal@1"),
            ("pkg:pypi/a*b*c", "pkg:pypi/a-b-c@1"),
            ("pkg:pypi/a*ba", "pkg:pypi/aba@1"),
            ("pkg:pypi/*", "pkg:pypi/whatever@1"),
            ("pkg:generic/tool", "pkg:generic/tool@1"),
        ] {
            assert!(matches(pattern, purl), "{pattern} {purl}");
        }
        for (pattern, purl) in [
            ("pkg:maven/com.acme/*", "pkg:maven/com.acmeevil/tool@1"),
            ("pkg:maven/com.acme/*", "pkg:npm/com.acme/tool@1"),
            ("pkg:pypi/acme", "pkg:pypi/acme2@1"),
            ("pkg:pypi/ab*ba", "pkg:pypi/aba@1"),
            ("pkg:pypi/a*b*c", "pkg:pypi/acb@1"),
        ] {
            assert!(!matches(pattern, purl), "{pattern} {purl}");
        }
    }

    #[test]
    fn no_spelling_slips_through() {
        for (pattern, purl) in [
            ("pkg:pypi/acme-tool", "pkg:pypi/Acme_Tool@1"),
            ("pkg:pypi/Acme.*", "pkg:pypi/acme--tool@1"),
            ("pkg:npm/@acme/*", "pkg:npm/%40ACME/tool@1"),
            ("pkg:maven/com.acme/*", "pkg:maven/Com.Acme/tool@1"),
            ("pkg:PyPI/acme-*", "pkg:pypi/acme-x@1"),
            ("pkg:pypi/acme-*", "pkg:pypi/%61cme-x@1"),
        ] {
            assert!(matches(pattern, purl), "{pattern} {purl}");
        }
    }

    #[test]
    fn says_what_is_no_pattern() {
        let refused = |text: &str| text.parse::<PackagePattern>().unwrap_err().to_string();
        let texts = ["com.acme/*", "pkg:*/acme", "pkg:pypi/acme@1.0", "pkg:pypi/a?x=*", "pkg:maven/\u{1b}"];
        insta::assert_snapshot!(texts.map(refused).join("\n"), @r"
        `com.acme/*` does not say which packages are meant: write pkg:TYPE/NAME, such as pkg:maven/com.acme/* or pkg:npm/@acme/*
        `pkg:*/acme` does not say which packages are meant: write pkg:TYPE/NAME, such as pkg:maven/com.acme/* or pkg:npm/@acme/*
        `pkg:pypi/acme@1.0` does not say which packages are meant: all versions of a package come from one place, so leave version and qualifiers away
        `pkg:pypi/a?x=*` does not say which packages are meant: all versions of a package come from one place, so leave version and qualifiers away
        `pkg:maven/\u{1b}` does not say which packages are meant: write pkg:TYPE/NAME, such as pkg:maven/com.acme/* or pkg:npm/@acme/*
        ");
    }
}
