//! Whose signature an artefact needs, by where it is taken from: `[keys]` and `[[trust]]` of a policy.
//!
//! What is signed is the digest of an artefact's manifest, so whoever decides here has to take nothing but what that manifest
//! leads to. Which signatures verify is found out elsewhere; here it is decided whether they are enough.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

/// The longest name of a key.
const MAX_NAME: usize = 64;

/// One of `[[trust]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Trust {
    /// Where it is about.
    pub from: Pattern,
    /// Whose signature is needed there.
    pub needs: Needs,
}

/// Where a rule is about: a registry with a repository, or `oci:` and a folder; a `*` at the end stands for any rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

/// Whose signature is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needs {
    /// That of one of these keys.
    AnyOf(BTreeSet<String>),
    /// Those of all of these keys.
    AllOf(BTreeSet<String>),
    /// Nobody's.
    Nothing,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    from: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    any_of: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all_of: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unsigned: Option<bool>,
}

/// Why rules and keys are not ones that can be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// A pattern is none.
    #[error("`from = \"{}\"` is not a place: a `*` may stand at its end, and nowhere else", .0.escape_debug())]
    Pattern(String),
    /// A rule says several things, or nothing.
    #[error("the rule for {0} needs exactly one of `any-of`, `all-of` and `unsigned = true`")]
    Choice(Pattern),
    /// A rule asks for no key at all.
    #[error("the rule for {0} lists no key: `unsigned = true` says that none is needed")]
    NoKeys(Pattern),
    /// A rule names a key that there is not.
    #[error("the rule for {from} names the key `{}`, which is not in `[keys]`", .name.escape_debug())]
    Unknown {
        /// The rule.
        from: Pattern,
        /// The key.
        name: String,
    },
    /// A key is called what keys cannot be called.
    #[error("`{}` cannot be the name of a key: it has up to 64 letters, digits, `.`, `_` and `-`", .0.escape_debug())]
    Name(String),
}

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Result<Self, TrustError> {
        let stem = text.strip_suffix('*').unwrap_or(text);
        if text.is_empty() || stem.contains('*') || text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(TrustError::Pattern(text.chars().take(200).collect()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The same with a place in it that was looked up, which may be called anything.
    pub fn resolved(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a place is meant.
    pub fn matches(&self, place: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(stem) => place.starts_with(stem),
            None => place == self.0,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.escape_debug())
    }
}

impl TryFrom<Raw> for Trust {
    type Error = TrustError;

    fn try_from(raw: Raw) -> Result<Self, TrustError> {
        let from = Pattern::new(&raw.from)?;
        let set = |names: Vec<String>| names.into_iter().collect::<BTreeSet<_>>();
        let needs = match (raw.any_of, raw.all_of, raw.unsigned) {
            (Some(names), None, None) => Needs::AnyOf(set(names)),
            (None, Some(names), None) => Needs::AllOf(set(names)),
            (None, None, Some(true)) => Needs::Nothing,
            _ => return Err(TrustError::Choice(from)),
        };
        if needs.keys().is_some_and(BTreeSet::is_empty) {
            return Err(TrustError::NoKeys(from));
        }
        Ok(Self { from, needs })
    }
}

impl From<Trust> for Raw {
    fn from(Trust { from, needs }: Trust) -> Self {
        let list = |names: BTreeSet<String>| Some(names.into_iter().collect());
        let raw = Self { from: from.0, any_of: None, all_of: None, unsigned: None };
        match needs {
            Needs::AnyOf(names) => Self { any_of: list(names), ..raw },
            Needs::AllOf(names) => Self { all_of: list(names), ..raw },
            Needs::Nothing => Self { unsigned: Some(true), ..raw },
        }
    }
}

impl Needs {
    fn keys(&self) -> Option<&BTreeSet<String>> {
        match self {
            Self::AnyOf(names) | Self::AllOf(names) => Some(names),
            Self::Nothing => None,
        }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        match self {
            Self::AnyOf(names) if names.len() > 1 => write!(f, "a signature of one of {}", list(names)),
            Self::AllOf(names) if names.len() > 1 => write!(f, "a signature of each of {}", list(names)),
            Self::AnyOf(names) | Self::AllOf(names) => write!(f, "a signature of {}", list(names)),
            Self::Nothing => f.write_str("no signature"),
        }
    }
}

/// Checks rules against the keys that there are.
pub fn check(keys: &BTreeMap<String, String>, rules: &[Trust]) -> Result<(), TrustError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_name = |name: &&String| (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_plain);
    if let Some(name) = keys.keys().find(|name| !is_name(name)) {
        return Err(TrustError::Name(name.chars().take(MAX_NAME + 1).collect()));
    }
    for Trust { from, needs } in rules {
        let unknown = needs.keys().and_then(|names| names.iter().find(|name| !keys.contains_key(*name)));
        if let Some(name) = unknown {
            return Err(TrustError::Unknown { from: from.clone(), name: name.chars().take(MAX_NAME + 1).collect() });
        }
    }
    Ok(())
}

/// The rule for a place: the first that means it.
pub fn rule<'a>(rules: &'a [Trust], place: &str) -> Option<&'a Trust> {
    rules.iter().find(|rule| rule.from.matches(place))
}

/// What is to be done with what is at a place, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It is taken: there are no rules at all.
    NoRules,
    /// It is taken: nothing has to be signed there.
    Nothing(&'a Pattern),
    /// It is taken: it is signed as it needs to be.
    Signed(&'a Pattern),
    /// It is refused: there are rules, and none is about this place.
    Nowhere,
    /// It is refused: signatures are missing.
    Missing {
        /// The rule.
        rule: &'a Trust,
        /// Whose.
        names: Vec<&'a str>,
    },
}

/// Decides by the names of the keys whose signatures verified.
pub fn decide<'a>(rules: &'a [Trust], place: &str, verified: &BTreeSet<String>) -> Verdict<'a> {
    let Some(rule) = rule(rules, place) else {
        return if rules.is_empty() { Verdict::NoRules } else { Verdict::Nowhere };
    };
    let missing =
        |names: &'a BTreeSet<String>| names.iter().filter(|name| !verified.contains(*name)).map(String::as_str);
    let names: Vec<&str> = match &rule.needs {
        Needs::Nothing => return Verdict::Nothing(&rule.from),
        Needs::AnyOf(names) if names.iter().any(|name| verified.contains(name)) => Vec::new(),
        Needs::AnyOf(names) | Needs::AllOf(names) => missing(names).collect(),
    };
    if names.is_empty() { Verdict::Signed(&rule.from) } else { Verdict::Missing { rule, names } }
}

impl Verdict<'_> {
    /// Whether what is there is not taken.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Nowhere | Self::Missing { .. })
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRules => f.write_str("the policy has no rules about signatures"),
            Self::Nothing(from) => write!(f, "{from} needs no signature"),
            Self::Signed(from) => write!(f, "it is signed as {from} needs it"),
            Self::Nowhere => f.write_str("no rule of the policy is about this place"),
            Self::Missing { rule: Trust { from, needs }, names } => {
                write!(f, "{from} needs {needs}")?;
                match needs {
                    Needs::AllOf(all) if names.len() < all.len() => write!(f, "; missing: {}", names.join(", ")),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Names of keys as a lock has them: sorted, with commas between them. None of none.
pub fn joined(names: &BTreeSet<String>) -> Option<String> {
    if names.is_empty() { None } else { Some(names.iter().cloned().collect::<Vec<_>>().join(",")) }
}

/// The names of keys that a lock has.
pub fn names(joined: &str) -> BTreeSet<&str> {
    joined.split(',').filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    const POLICY: &str = r#"
        [keys]
        acme = "acme.pub"
        ops = "ops.pub"

        [[trust]]
        from = "registry.example.com/acme/lab/*"
        unsigned = true

        [[trust]]
        from = "registry.example.com/acme/*"
        any-of = ["ops", "acme"]

        [[trust]]
        from = "registry.example.com/ops/java"
        all-of = ["acme", "ops"]
    "#;

    fn policy(text: &str) -> Policy {
        let policy = Policy::parse(text).unwrap();
        check(&policy.keys, &policy.trust).unwrap();
        policy
    }

    #[test]
    fn the_first_rule_that_means_a_place_counts() {
        let policy = policy(POLICY);
        let told = |place: &str, signed: &[&str]| {
            let signed = signed.iter().map(|name| (*name).to_owned()).collect();
            let verdict = decide(&policy.trust, place, &signed);
            format!("{} {verdict}", if verdict.is_refused() { "refused:" } else { "taken:" })
        };
        let shown = [
            told("registry.example.com/acme/lab/x", &[]),
            told("registry.example.com/acme/java", &["ops"]),
            told("registry.example.com/acme/java", &["stranger"]),
            told("registry.example.com/acme/java", &[]),
            told("registry.example.com/ops/java", &["acme", "ops", "more"]),
            told("registry.example.com/ops/java", &["acme"]),
            told("registry.example.com/ops/java", &[]),
            told("registry.example.com/ops/java2", &["acme", "ops"]),
            told("registry.example.com/acme-evil/java", &["acme", "ops"]),
            told("other.example.com/acme/java", &["acme", "ops"]),
        ];
        insta::assert_snapshot!(shown.join("\n"), @"
        taken: `registry.example.com/acme/lab/*` needs no signature
        taken: it is signed as `registry.example.com/acme/*` needs it
        refused: `registry.example.com/acme/*` needs a signature of one of acme, ops
        refused: `registry.example.com/acme/*` needs a signature of one of acme, ops
        taken: it is signed as `registry.example.com/ops/java` needs it
        refused: `registry.example.com/ops/java` needs a signature of each of acme, ops; missing: ops
        refused: `registry.example.com/ops/java` needs a signature of each of acme, ops
        refused: no rule of the policy is about this place
        refused: no rule of the policy is about this place
        refused: no rule of the policy is about this place
        ");
        assert_eq!(decide(&[], "anywhere", &BTreeSet::new()), Verdict::NoRules);
    }

    #[test]
    fn rules_are_written_as_they_are_read() {
        let policy = policy(POLICY);
        let text = toml::to_string(&policy).unwrap();
        assert_eq!(Policy::parse(&text).unwrap(), policy);
    }

    #[test]
    fn rules_that_could_be_misread_are_refused() {
        let refused = |text: &str| {
            let rule = format!("[keys]\na = \"a.pub\"\n[[trust]]\n{text}\n");
            match Policy::parse(&rule) {
                Ok(policy) => check(&policy.keys, &policy.trust).unwrap_err().to_string(),
                Err(error) => {
                    let cause = std::error::Error::source(&error).unwrap().to_string();
                    cause.lines().last().unwrap_or_default().to_owned()
                }
            }
        };
        let cases = [
            "from = \"x\"",
            "from = \"x\"\nunsigned = false",
            "from = \"x\"\nunsigned = true\nany-of = [\"a\"]",
            "from = \"x\"\nany-of = [\"a\"]\nall-of = [\"a\"]",
            "from = \"x\"\nall-of = []",
            "from = \"x\"\nall-of = [\"a\", \"b\\u001b\"]",
            "from = \"*.example.com/x\"\nunsigned = true",
            "from = \"\"\nunsigned = true",
            "from = \"x\"\nanyof = [\"a\"]",
        ];
        insta::assert_snapshot!(cases.map(refused).join("\n"), @r#"
        the rule for `x` needs exactly one of `any-of`, `all-of` and `unsigned = true`
        the rule for `x` needs exactly one of `any-of`, `all-of` and `unsigned = true`
        the rule for `x` needs exactly one of `any-of`, `all-of` and `unsigned = true`
        the rule for `x` needs exactly one of `any-of`, `all-of` and `unsigned = true`
        the rule for `x` lists no key: `unsigned = true` says that none is needed
        the rule for `x` names the key `b\u{1b}`, which is not in `[keys]`
        `from = "*.example.com/x"` is not a place: a `*` may stand at its end, and nowhere else
        `from = ""` is not a place: a `*` may stand at its end, and nowhere else
        unknown field `anyof`, expected one of `from`, `any-of`, `all-of`, `unsigned`
        "#);
        let name = |name: &str| check(&[(name.to_owned(), String::new())].into(), &[]).is_ok();
        assert!(name("acme-2026.ci_1"));
        for bad in ["", "a,b", "a b", "ä", &"a".repeat(65)] {
            assert!(!name(bad), "{bad}");
        }
    }

    #[test]
    fn names_come_out_of_a_lock_as_they_went_in() {
        let set: BTreeSet<String> = ["ops".to_owned(), "acme".to_owned()].into();
        assert_eq!(joined(&set).unwrap(), "acme,ops");
        assert_eq!(names("acme,ops"), set.iter().map(String::as_str).collect());
        assert_eq!((joined(&BTreeSet::new()), names("").len()), (None, 0));
    }
}
