//! Relations between packages: `libc6 (>= 2.36), debconf (>= 0.5) | debconf-2.0` (Debian Policy 7.1, `deb-control(5)`).

use std::{cmp::Ordering, fmt};

use debversion::Version;

/// The most clauses in one field, and the most alternatives in one clause.
const MAX_RELATIONS: usize = 4096;

/// How a version is to stand to the one named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// `<<`
    Earlier,
    /// `<=`, and the obsolete `<`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`, and the obsolete `>`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Compare {
    /// Whether `version` stands so to `named`, in Debian's order of versions (`deb-version(7)`).
    pub fn holds(self, version: &Version, named: &Version) -> bool {
        let order = version.cmp(named);
        match self {
            Self::Earlier => order == Ordering::Less,
            Self::EarlierOrEqual => order != Ordering::Greater,
            Self::Equal => order == Ordering::Equal,
            Self::LaterOrEqual => order != Ordering::Less,
            Self::Later => order == Ordering::Greater,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }
}

/// One package, perhaps of certain versions, perhaps for a certain architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The package's name, real or virtual.
    pub name: String,
    /// What stands behind a colon: `any`, `native` or an architecture.
    pub qualifier: Option<String>,
    /// Which versions.
    pub version: Option<(Compare, Version)>,
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        match &self.version {
            Some((compare, version)) => write!(f, " ({} {version})", compare.sign()),
            None => Ok(()),
        }
    }
}

/// Alternatives, of which one is enough; the first is preferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause(pub Vec<Relation>);

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, relation) in self.0.iter().enumerate() {
            write!(f, "{}{relation}", if index == 0 { "" } else { " | " })?;
        }
        Ok(())
    }
}

/// A text that is not a list of relations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a relation between packages: {rule}", .text.escape_debug())]
pub struct InvalidRelation {
    text: String,
    rule: &'static str,
}

/// Reads the clauses of a field such as `Depends`. Empty ones (a trailing comma) are passed over.
pub fn parse(field: &str) -> Result<Vec<Clause>, InvalidRelation> {
    let clauses = field.split(',').map(str::trim).filter(|clause| !clause.is_empty());
    let parsed: Vec<Clause> = clauses.take(MAX_RELATIONS + 1).map(parse_clause).collect::<Result<_, _>>()?;
    if parsed.len() > MAX_RELATIONS {
        return Err(refuse(field, "there are more than 4096 clauses"));
    }
    Ok(parsed)
}

/// Whether `name` is one that a package may have (Debian Policy 5.6.1): safe to print, to compare and as a file's name.
pub fn is_package_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    (2..=128).contains(&name.len()) && name.bytes().all(allowed) && name.as_bytes()[0].is_ascii_alphanumeric()
}

fn refuse(text: &str, rule: &'static str) -> InvalidRelation {
    InvalidRelation { text: text.chars().take(100).collect(), rule }
}

fn parse_clause(text: &str) -> Result<Clause, InvalidRelation> {
    let alternatives: Vec<Relation> =
        text.split('|').take(MAX_RELATIONS).map(parse_relation).collect::<Result<_, _>>()?;
    Ok(Clause(alternatives))
}

fn parse_relation(text: &str) -> Result<Relation, InvalidRelation> {
    let text = text.trim();
    let (name, version) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => {
            let inside = rest.strip_suffix(')').ok_or_else(|| refuse(text, "its bracket is not closed"))?;
            (name.trim_end(), Some(parse_version(text, inside.trim())?))
        }
    };
    let (name, qualifier) = name.split_once(':').map_or((name, None), |(name, qualifier)| (name, Some(qualifier)));
    // A virtual package's name may hold capitals and underscores, and rarely does.
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b));
    if !word(name) || !qualifier.is_none_or(word) {
        return Err(refuse(text, "its name is not one of a package"));
    }
    Ok(Relation { name: name.to_owned(), qualifier: qualifier.map(str::to_owned), version })
}

fn parse_version(whole: &str, inside: &str) -> Result<(Compare, Version), InvalidRelation> {
    // `<` and `>` are obsolete forms that mean "or equal" (Debian Policy 7.1); longer signs are tried first.
    let signs = [
        ("<<", Compare::Earlier),
        ("<=", Compare::EarlierOrEqual),
        (">=", Compare::LaterOrEqual),
        (">>", Compare::Later),
        ("=", Compare::Equal),
        ("<", Compare::EarlierOrEqual),
        (">", Compare::LaterOrEqual),
    ];
    let found = signs.into_iter().find_map(|(sign, compare)| Some((compare, inside.strip_prefix(sign)?)));
    let (compare, version) = found.ok_or_else(|| refuse(whole, "it compares with none of <<, <=, =, >=, >>"))?;
    let version = version.trim().parse().map_err(|_| refuse(whole, "its version is not one"))?;
    Ok((compare, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_packages_say() {
        let field =
            "libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0,\n python3:any (<< 3.12), perl:amd64, x (=1:2-3~),";
        let clauses: Vec<String> = parse(field).unwrap().iter().map(ToString::to_string).collect();
        let expected = [
            "libc6 (>= 2.34)",
            "debconf (>= 0.5) | debconf-2.0",
            "python3:any (<< 3.12)",
            "perl:amd64",
            "x (= 1:2-3~)",
        ];
        assert_eq!(clauses, expected);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn refuses_what_is_none() {
        let cases = ["a (", "a (1)", "a (= )", "a b", "a |", "| a", "a (= 1 2)", "a:", "../x", "a (>= 1", "a\u{1b}[2J"];
        for text in cases {
            assert!(parse(text).is_err(), "{text:?}");
        }
        insta::assert_snapshot!(parse("a\u{1b}(= 1)").unwrap_err(), @r"`a\u{1b}(= 1)` is not a relation between packages: its name is not one of a package");
    }

    #[test]
    fn versions_stand_in_debians_order() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let ascending = ["1.0~rc1-1", "1.0-1", "1.0-1+b1", "1.0-1+deb12u1", "1.0-1.1", "1.0-10", "1.0.1-1", "1:0.1-1"];
        for (index, early) in ascending.iter().enumerate() {
            for late in &ascending[index + 1..] {
                assert!(Compare::Earlier.holds(&version(early), &version(late)), "{early} << {late}");
                assert!(!Compare::LaterOrEqual.holds(&version(early), &version(late)), "{early} >= {late}");
            }
        }
        assert!(Compare::Equal.holds(&version("0:1.0-0"), &version("1.0")));
        assert!(
            Compare::EarlierOrEqual.holds(&version("1"), &version("1"))
                && !Compare::Later.holds(&version("1"), &version("1"))
        );
    }

    #[test]
    fn names_follow_policy() {
        assert!(is_package_name("libstdc++6") && is_package_name("0ad") && is_package_name("gcc-12-base"));
        for name in ["", "a", "-a", "A", "a/b", "..", "a b", "a_b"] {
            assert!(!is_package_name(name), "{name}");
        }
    }
}
