//! Short names of components, `namespace:name@version`, and which repositories the user's configuration makes of them.
//!
//! Only the configuration says where a namespace is. Nothing is asked of a host that a name happens to spell: whoever could
//! answer there would choose where everybody's buildpacks come from.

use std::{collections::BTreeMap, fmt, str::FromStr};

use semver::Version;
use serde::Deserialize;

use super::Place;
use crate::reference::{InvalidReference, Reference};

/// The key of all namespaces that have none of their own.
const ANY: &str = "*";

/// Where namespaces are: a repository's beginning for each, by `namespace`, by `namespace:name` for one component, or by `*`
/// for all others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Namespaces(BTreeMap<String, Reference>);

/// Why a configuration of namespaces is not right.
#[derive(Debug, thiserror::Error)]
pub enum InvalidNamespaces {
    /// The key is none.
    #[error("`{}` is not a namespace, `namespace:name` or `*`; a word has lower-case letters, digits and `-`", .0.escape_debug())]
    Key(String),
    /// The value is not the beginning of a repository's name.
    #[error("the namespace `{}` leads to `{}`, which is not a registry with a repository, without tag and digest", .key.escape_debug(), .value.escape_debug())]
    Value {
        /// Which.
        key: String,
        /// Where to.
        value: String,
    },
}

impl TryFrom<BTreeMap<String, String>> for Namespaces {
    type Error = InvalidNamespaces;

    fn try_from(table: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        let checked = table.into_iter().map(|(key, value)| {
            let (namespace, name) = key.split_once(':').unwrap_or((&key, "x"));
            // `oci:x` is a layout.
            if key != ANY && (!is_word(namespace) || !is_word(name) || namespace == "oci") {
                return Err(InvalidNamespaces::Key(key.chars().take(100).collect()));
            }
            let reference = value.parse::<Reference>().ok().filter(|reference| {
                reference.registry.is_some() && reference.digest.is_none() && value.ends_with(&reference.repository)
            });
            match reference {
                Some(reference) => Ok((key, reference)),
                None => Err(InvalidNamespaces::Value { key, value: value.chars().take(200).collect() }),
            }
        });
        checked.collect::<Result<_, _>>().map(Self)
    }
}

/// `namespace:name@version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Whose it is.
    pub namespace: String,
    /// What it is called there.
    pub name: String,
    /// Which one.
    pub version: Version,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}@{}", self.namespace, self.name, self.version)
    }
}

/// Why a text leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum Nowhere {
    /// It is the name of nothing.
    #[error(transparent)]
    Reference(InvalidReference),
    /// It names no version.
    #[error("`{0}` names no version")]
    NoVersion(String),
    /// Its version is none, or none that a tag can be called.
    #[error("`{}` is not a version that a tag can have: {rule}", .version.escape_debug())]
    Version {
        /// What it says.
        version: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// Nothing says where its namespace is.
    #[error("nothing says where the namespace `{namespace}` is")]
    Namespace {
        /// Which.
        namespace: String,
        /// Those of which something does.
        known: Vec<String>,
    },
}

impl Nowhere {
    /// What a person could do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoVersion(name) => Some(format!("write {name}@1.0.0, or a registry's reference")),
            Self::Namespace { namespace, known } => {
                let known = if known.is_empty() { String::new() } else { format!("; it has {}", known.join(", ")) };
                Some(format!(
                    "say it in config.toml: [namespaces] {namespace} = \"registry.example.com/buildpacks\"{known}"
                ))
            }
            Self::Reference(_) | Self::Version { .. } => None,
        }
    }
}

impl Namespaces {
    /// Where a text leads: a layout, a registry's reference, or what these namespaces make of a short name, which is answered
    /// too.
    pub fn resolve(&self, text: &str) -> Result<(Place, Option<Name>), Nowhere> {
        let Some((namespace, name, version)) = short(text) else {
            return Place::from_str(text).map(|place| (place, None)).map_err(Nowhere::Reference);
        };
        let version = version.ok_or_else(|| Nowhere::NoVersion(format!("{namespace}:{name}")))?;
        let refused = |rule| Nowhere::Version { version: version.chars().take(100).collect(), rule };
        let parsed: Version = version.parse().map_err(|_| refused("it is three numbers, as in 1.4.2"))?;
        if !parsed.build.is_empty() {
            return Err(refused("a tag has no `+`"));
        }
        let name = Name { namespace: namespace.to_owned(), name: name.to_owned(), version: parsed };
        let mut reference = self.repository(&name)?;
        reference.tag = Some(name.version.to_string());
        // Put together from checked words, and yet it may have become too long.
        let reference = reference.to_string().parse().map_err(Nowhere::Reference)?;
        Ok((Place::Registry(reference), Some(name)))
    }

    fn repository(&self, Name { namespace, name, .. }: &Name) -> Result<Reference, Nowhere> {
        let below = |prefix: &Reference, rest: String| Reference {
            repository: format!("{}/{rest}", prefix.repository),
            ..prefix.clone()
        };
        let one = self.0.get(&format!("{namespace}:{name}")).cloned();
        let of_namespace = || self.0.get(namespace).map(|prefix| below(prefix, name.clone()));
        let of_any = || self.0.get(ANY).map(|prefix| below(prefix, format!("{namespace}/{name}")));
        one.or_else(of_namespace).or_else(of_any).ok_or_else(|| Nowhere::Namespace {
            namespace: namespace.clone(),
            known: self.0.keys().take(20).cloned().collect(),
        })
    }
}

/// `namespace:name[@version]` in its parts; none if the text is written otherwise. A digest is no version.
fn short(text: &str) -> Option<(&str, &str, Option<&str>)> {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    let (namespace, name) = name.split_once(':')?;
    let is_short = is_word(namespace) && is_word(name) && namespace != "oci";
    (is_short && !version.is_some_and(|version| version.starts_with("sha256:"))).then_some((namespace, name, version))
}

/// Lower-case words with `-` between them, each of which begins with a letter, as WebAssembly packages are named.
fn is_word(text: &str) -> bool {
    text.len() <= 100
        && text.split('-').all(|word| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces(table: &[(&str, &str)]) -> Result<Namespaces, InvalidNamespaces> {
        let table: BTreeMap<_, _> = table.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        table.try_into()
    }

    #[test]
    fn names_lead_where_the_configuration_says() {
        let names = namespaces(&[
            ("acme", "registry.example.com/wasm"),
            ("acme:old-java", "other.example.com/team/java"),
            ("*", "localhost:5000/all"),
        ])
        .unwrap();
        for (text, expected) in [
            ("acme:nodejs@1.4.2", "registry.example.com/wasm/nodejs:1.4.2"),
            ("acme:old-java@2.0.0-rc.1", "other.example.com/team/java:2.0.0-rc.1"),
            ("contoso:go@0.1.0", "localhost:5000/all/contoso/go:0.1.0"),
        ] {
            let (place, name) = names.resolve(text).unwrap();
            assert_eq!((place.to_string().as_str(), name.unwrap().to_string().as_str()), (expected, text));
        }
        // What is no short name stays what it is.
        let digest = stave_model::digest::Digest::of(b"x");
        for text in ["oci:java".to_owned(), "registry.example.com/java:1".to_owned(), format!("acme:nodejs@{digest}")] {
            let (place, name) = names.resolve(&text).unwrap();
            assert_eq!((place.to_string(), name), (text, None));
        }
    }

    #[test]
    fn what_leads_nowhere_says_why() {
        let names = namespaces(&[("acme", "registry.example.com/wasm")]).unwrap();
        let long = format!("{}:{}@1.0.0", "acme", "a".repeat(300));
        let texts = ["acme:nodejs", "acme:nodejs@1", "acme:nodejs@1.0.0+x", "contoso:go@1.0.0", "Acme:x@1.0.0", &long];
        let said = texts.map(|text| {
            let error = names.resolve(text).unwrap_err();
            format!("{error} ({})", error.hint().unwrap_or_default())
        });
        insta::assert_snapshot!(said.join("\n"), @r#"
        `acme:nodejs` names no version (write acme:nodejs@1.0.0, or a registry's reference)
        `1` is not a version that a tag can have: it is three numbers, as in 1.4.2 ()
        `1.0.0+x` is not a version that a tag can have: a tag has no `+` ()
        nothing says where the namespace `contoso` is (say it in config.toml: [namespaces] contoso = "registry.example.com/buildpacks"; it has acme)
        `Acme:x@1.0.0` is not the name of an image: after `@` comes `sha256:` and 64 lower-case hex digits ()
        `acme:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` is not the name of an image: after `@` comes `sha256:` and 64 lower-case hex digits ()
        "#);
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let tables = [
            ("Acme", "registry.example.com/wasm"),
            ("oci", "registry.example.com/wasm"),
            ("acme:", "registry.example.com/wasm"),
            ("acme", "registry.example.com"),
            ("acme", "wasm"),
            ("acme", "registry.example.com/wasm:1"),
            ("acme", "https://registry.example.com/wasm"),
        ];
        let said = tables.map(|table| namespaces(&[table]).unwrap_err().to_string());
        insta::assert_snapshot!(said.join("\n"), @"
        `Acme` is not a namespace, `namespace:name` or `*`; a word has lower-case letters, digits and `-`
        `oci` is not a namespace, `namespace:name` or `*`; a word has lower-case letters, digits and `-`
        `acme:` is not a namespace, `namespace:name` or `*`; a word has lower-case letters, digits and `-`
        the namespace `acme` leads to `registry.example.com`, which is not a registry with a repository, without tag and digest
        the namespace `acme` leads to `wasm`, which is not a registry with a repository, without tag and digest
        the namespace `acme` leads to `registry.example.com/wasm:1`, which is not a registry with a repository, without tag and digest
        the namespace `acme` leads to `https://registry.example.com/wasm`, which is not a registry with a repository, without tag and digest
        ");
    }
}
