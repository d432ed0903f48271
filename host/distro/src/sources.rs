//! Where a distribution's archives are: what Stave's configuration says, else what this machine's apt uses.
//!
//! No archive's address is written into the program, and only sources that carry a wanted suite are taken. A source is only
//! ever a place to look: what it offers must be signed by its keyring, and `trusted=yes` is not heard.

mod apt;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use url::Url;

use crate::{definition::Definition, paragraph::ParagraphError};

/// The most archives that all files and addresses come to.
const MAX_SOURCES: usize = 500;

/// Where archives are, by distribution: Stave's configuration, as `[mirrors]` of a TOML file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Mirrors(pub BTreeMap<String, Vec<Mirror>>);

/// One archive as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Mirror {
    /// Its address alone: every wanted suite is looked for there, and the distribution's own keyring is used.
    Address(String),
    /// Its address with more.
    Described(Described),
}

/// An archive with what is to be known of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Described {
    /// Its address.
    pub url: String,
    /// The suites that it must carry; without it, every wanted suite is looked for.
    #[serde(default)]
    pub suites: Option<Vec<String>>,
    /// The keyring's file, instead of the distribution's own.
    #[serde(default)]
    pub signed_by: Option<PathBuf>,
    /// Whether `Valid-Until` counts: off for snapshots of an archive.
    #[serde(default = "default_true")]
    pub check_valid_until: bool,
}

fn default_true() -> bool {
    true
}

/// Which keys may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// Those of the distribution: its keyring below `/usr/share/keyrings`.
    OfDistribution,
    /// Those in these files.
    Files(Vec<PathBuf>),
    /// Those in this armoured text, which stands in apt's file itself.
    Text(String),
}

/// A suite at an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The archive's address, ending with `/`.
    pub url: Url,
    /// The suite.
    pub suite: String,
    /// The components to read.
    pub components: Vec<String>,
    /// The only architectures that it is for; none if it is for all.
    pub architectures: Option<Vec<String>>,
    /// Which keys may sign.
    pub keys: Keys,
    /// Whether `Valid-Until` counts.
    pub check_valid_until: bool,
    /// Whether it may be missing there: then nobody said that it is there.
    pub optional: bool,
    /// Who said so: a file, or the configuration.
    pub said_by: String,
}

/// No archive, or a setting that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// Nothing says where the distribution's archive is.
    #[error("no archive is known for suite `{suite}` of {distribution} with component {component}")]
    None {
        /// The distribution.
        distribution: String,
        /// The suite.
        suite: String,
        /// A component.
        component: String,
    },
    /// A configured address is not one.
    #[error("`{}` in the mirrors of {distribution} is not an http or https address", .url.escape_debug())]
    Address {
        /// The distribution.
        distribution: String,
        /// What stands there.
        url: String,
    },
    /// A file of apt's could not be read.
    #[error("could not read {}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// A file of apt's is not made of paragraphs.
    #[error("could not understand {}", .path.display())]
    Text {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ParagraphError,
    },
}

impl SourcesError {
    /// What a person could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::None { distribution, suite, .. } => Some(format!(
                "set `mirrors.{distribution} = [\"https://…\"]` in Stave's configuration, or add a source with suite \
                 `{suite}` below /etc/apt/sources.list.d"
            )),
            _ => None,
        }
    }
}

/// The archives of a stack's suites: the configured ones, or, if there is none for its distribution, those that apt
/// below `root` (`/` on a real machine) uses.
pub fn find(definition: &Definition, mirrors: &Mirrors, root: &Path) -> Result<Vec<Source>, SourcesError> {
    let found = match mirrors.0.get(&definition.distribution) {
        Some(mirrors) => configured(definition, mirrors)?,
        None => apt::sources(definition, root)?,
    };
    let offered = |component: &String| {
        found.iter().any(|source| source.suite == definition.suite && source.components.contains(component))
    };
    match definition.components.iter().find(|component| !offered(component)) {
        None => Ok(found),
        Some(component) => Err(SourcesError::None {
            distribution: definition.distribution.clone(),
            suite: definition.suite.clone(),
            component: component.clone(),
        }),
    }
}

fn configured(definition: &Definition, mirrors: &[Mirror]) -> Result<Vec<Source>, SourcesError> {
    let mut found = Vec::new();
    for mirror in mirrors.iter().take(MAX_SOURCES) {
        let described = match mirror {
            Mirror::Described(described) => described.clone(),
            Mirror::Address(url) => {
                Described { url: url.clone(), suites: None, signed_by: None, check_valid_until: true }
            }
        };
        let url = archive_url(&described.url).ok_or_else(|| SourcesError::Address {
            distribution: definition.distribution.clone(),
            url: described.url.chars().take(100).collect(),
        })?;
        for suite in definition.suites() {
            if described.suites.as_ref().is_some_and(|suites| !suites.contains(&suite)) {
                continue;
            }
            found.push(Source {
                url: url.clone(),
                suite,
                components: definition.components.clone(),
                architectures: None,
                keys: described.signed_by.clone().map_or(Keys::OfDistribution, |file| Keys::Files(vec![file])),
                check_valid_until: described.check_valid_until,
                optional: described.suites.is_none(),
                said_by: "the configured mirrors".to_owned(),
            });
        }
    }
    Ok(found)
}

/// An archive's address with a `/` at its end, so that paths can be joined to it; none unless it is http or https.
fn archive_url(address: &str) -> Option<Url> {
    let url = Url::parse(&format!("{}/", address.trim_end_matches('/'))).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.has_host();
    (plain && matches!(url.scheme(), "http" | "https")).then_some(url)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn definition(more: &str) -> Definition {
        Definition::parse(&format!(
            "id = 'x'\ndistribution = 'debian'\nsuite = 'bookworm'\npackages = ['libc6']\n{more}"
        ))
        .unwrap()
    }

    /// The sources that a machine with these files comes to, one a line.
    fn apt(files: &[(&str, &str)], definition: &Definition) -> Result<String, SourcesError> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join("etc/apt").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let line = |source: Source| {
            let architectures = source.architectures.map_or("all".to_owned(), |list| list.join(","));
            let components = source.components.join(",");
            let until = if source.check_valid_until { "" } else { " any-date" };
            format!("{} {} {components} {architectures} {:?}{until}", source.url, source.suite, source.keys)
        };
        let found = find(definition, &Mirrors::default(), root.path())?;
        Ok(found.into_iter().map(line).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn reads_both_of_apts_forms() {
        let list = "# deb http://off.example.com bookworm main\n\
            deb-src http://src.example.com bookworm main\n\
            deb http://a.example.com/debian bookworm main contrib # why not\n\
            deb [arch=amd64,arm64 signed-by=/k/one.gpg,/k/two.gpg trusted=yes] https://b.example.com/ bookworm-security main\n\
            deb [check-valid-until=no] http://snapshot.example.com/x bookworm-updates main\n\
            deb cdrom:[Debian]/ bookworm main\n\
            deb http://c.example.com bookworm-pgdg main\n\
            deb http://d.example.com bookworm stable\n\
            debug\ndeb\ndeb [\n";
        let sources = "Types: deb deb-src\n# a comment\nURIs: http://e.example.com/debian\nSuites: bookworm bookworm-updates\n\
            Components: main\nSigned-By: /k/three.pgp\n\n\
            Types: deb\nURIs: http://off.example.com\nSuites: bookworm\nComponents: main\nEnabled: no\n\n\
            Types: deb-src\nURIs: http://src.example.com\nSuites: bookworm\nComponents: main\n\n\
            Types: deb\nURIs: mirror+file:/etc/apt/mirrors/list\nSuites: bookworm\nComponents: main\nArchitectures: arm64\n\
            Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n";
        let files = [
            ("sources.list", list),
            ("sources.list.d/debian.sources", sources),
            ("sources.list.d/ignored.save", "deb http://off.example.com bookworm main\n"),
            ("mirrors/list", "# mirrors\nhttps://f.example.com/debian\tpriority:1\nhttps://g.example.com\n"),
        ];
        insta::assert_snapshot!(apt(&files, &definition("")).unwrap(), @r#"
        http://a.example.com/debian/ bookworm main all OfDistribution
        https://b.example.com/ bookworm-security main amd64,arm64 Files(["/k/one.gpg", "/k/two.gpg"])
        http://snapshot.example.com/x/ bookworm-updates main all OfDistribution any-date
        http://e.example.com/debian/ bookworm main all Files(["/k/three.pgp"])
        http://e.example.com/debian/ bookworm-updates main all Files(["/k/three.pgp"])
        https://f.example.com/debian/ bookworm main arm64 Text("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n")
        "#);
    }

    #[test]
    fn nothing_known_is_an_error_that_says_what_to_set() {
        let other = [("sources.list", "deb http://a.example.com trixie main\n")];
        let error = apt(&other, &definition("")).unwrap_err();
        insta::assert_snapshot!(format!("{error}\n{}", error.hint().unwrap()), @r#"
        no archive is known for suite `bookworm` of debian with component main
        set `mirrors.debian = ["https://…"]` in Stave's configuration, or add a source with suite `bookworm` below /etc/apt/sources.list.d
        "#);
        let error = apt(&[], &definition("")).unwrap_err();
        insta::assert_snapshot!(error, @"no archive is known for suite `bookworm` of debian with component main");
        let only_security = [("sources.list", "deb http://a.example.com bookworm-security main\n")];
        assert!(apt(&only_security, &definition("")).is_err(), "pockets alone are not a suite");
        let broken = [("sources.list.d/x.sources", "nonsense\n")];
        let error = apt(&broken, &definition("")).unwrap_err();
        assert!(matches!(error, SourcesError::Text { .. }), "{error}");
    }

    #[test]
    fn the_configuration_comes_first() {
        #[derive(Deserialize)]
        struct Configuration {
            mirrors: Mirrors,
        }
        let text = r#"
            [mirrors]
            debian = [
                "https://a.example.com/debian",
                { url = "https://b.example.com/security/", suites = ["bookworm-security"], signed-by = "/k/x.gpg", check-valid-until = false },
            ]
        "#;
        let mirrors = toml::from_str::<Configuration>(text).unwrap().mirrors;
        let found = find(&definition("pockets = ['security']"), &mirrors, Path::new("/nowhere")).unwrap();
        let lines: Vec<String> =
            found.iter().map(|s| format!("{} {} {} {:?}", s.url, s.suite, s.optional, s.keys)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        https://a.example.com/debian/ bookworm true OfDistribution
        https://a.example.com/debian/ bookworm-security true OfDistribution
        https://b.example.com/security/ bookworm-security false Files(["/k/x.gpg"])
        "#);
        let odd = Mirrors(BTreeMap::from([("debian".to_owned(), vec![Mirror::Address("ftp://x\u{1b}".to_owned())])]));
        insta::assert_snapshot!(find(&definition(""), &odd, Path::new("/nowhere")).unwrap_err(), @r"`ftp://x\u{1b}` in the mirrors of debian is not an http or https address");
    }
}
