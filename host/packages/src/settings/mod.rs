//! Which registries there are: what Stave is told, else what the user's own tools are told, else what they know.

pub mod ini;
pub mod maven;
pub mod netrc;
pub mod npm;
pub mod pip;
pub mod rules;

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use stave_model::dependency::PackageUrl;

use crate::{
    machine::{Machine, Unreadable},
    registry::{Ecosystem, InvalidRegistry, Location, Reason, Registry},
};
use netrc::Netrc;
use rules::Rule;

/// `[registries]` of Stave's configuration: an address, a path, or a list of them, by ecosystem. An ecosystem that is
/// set here is not looked up anywhere else, and neither is a package that a [`Rule`] speaks of.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Settings {
    /// Python package indexes with the simple API, or folders of wheels.
    #[serde(deserialize_with = "one_or_more")]
    pub pypi: Vec<String>,
    /// npm registries, or folders of tarballs.
    #[serde(deserialize_with = "one_or_more")]
    pub npm: Vec<String>,
    /// Maven repositories, or folders laid out like one.
    #[serde(deserialize_with = "one_or_more")]
    pub maven: Vec<String>,
    /// Addresses below which `pkg:generic` may download; none unless set.
    #[serde(deserialize_with = "one_or_more")]
    pub generic: Vec<String>,
    /// `[[registries.for]]`: where packages come from whose names follow a pattern. The first that speaks of a package counts,
    /// before everything else.
    #[serde(rename = "for")]
    pub rules: Vec<Rule>,
    /// Bundles of CA certificates (PEM) that are trusted besides the system's.
    pub ca_bundles: Vec<PathBuf>,
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "an address, a path, or a list of them")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(more) => more,
    })
}

impl Settings {
    fn of(&self, ecosystem: Ecosystem) -> &[String] {
        match ecosystem {
            Ecosystem::Pypi => &self.pypi,
            Ecosystem::Npm => &self.npm,
            Ecosystem::Maven => &self.maven,
            Ecosystem::Generic => &self.generic,
        }
    }

    /// What a package has in common with all others that come from the same places.
    pub(crate) fn group_of(&self, ecosystem: Ecosystem, purl: &PackageUrl) -> Group {
        match rules::first(&self.rules, purl) {
            Some(rule) => Group::Pattern(rule.meant(purl).to_string()),
            // Only npm's own registries depend on the namespace.
            None if ecosystem == Ecosystem::Npm => Group::Scope(purl.namespace.clone()),
            None => Group::Scope(String::new()),
        }
    }
}

/// Packages of one ecosystem that come from the same places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Those of a pattern.
    Pattern(String),
    /// Those of a namespace, or all.
    Scope(String),
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Addresses may hold passwords.
        let counts = Ecosystem::ALL.map(|ecosystem| (ecosystem.name(), self.of(ecosystem).len()));
        write!(f, "Settings({counts:?}, {} rules, ca_bundles: {:?})", self.rules.len(), self.ca_bundles)
    }
}

/// Where the packages of one ecosystem come from, in the order in which places are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The registries; folders first, as they cost nothing to look into.
    pub registries: Vec<Registry>,
    /// Certificates that are trusted besides the system's.
    pub ca_bundles: Vec<PathBuf>,
    /// Credentials for hosts that an index leads to.
    pub netrc: Netrc,
}

/// Why it is not known where packages come from.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A settings file is there and cannot be read.
    #[error("could not read the settings for {}", .0.name())]
    Unreadable(Ecosystem, #[source] Unreadable),
    /// A setting is not a registry.
    #[error("could not use the settings for {}", .0.name())]
    Invalid(Ecosystem, #[source] InvalidRegistry),
    /// Nobody says where.
    #[error("{}", unknown(*.0))]
    Unknown(Ecosystem),
}

impl Error {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown(Ecosystem::Pypi) => {
                "set `registries.pypi` in Stave's configuration or PIP_INDEX_URL, or install pip".to_owned()
            }
            Self::Unknown(Ecosystem::Npm) => {
                "set `registries.npm` in Stave's configuration or npm_config_registry, or install npm".to_owned()
            }
            Self::Unknown(Ecosystem::Maven) => {
                "set `registries.maven` in Stave's configuration, or a mirror in ~/.m2/settings.xml, or install Maven"
                    .to_owned()
            }
            Self::Unknown(Ecosystem::Generic) => {
                "allow the address: set `registries.generic` in Stave's configuration to what it starts with".to_owned()
            }
            Self::Invalid(ecosystem, _) | Self::Unreadable(ecosystem, _) => {
                format!("correct it, or set `registries.{}` in Stave's configuration", ecosystem.name())
            }
        }
    }
}

fn unknown(ecosystem: Ecosystem) -> String {
    if ecosystem == Ecosystem::Generic {
        return "downloads by address are not allowed unless they are configured".to_owned();
    }
    let (tool, name) = (ecosystem.tool(), ecosystem.name());
    format!(
        "it is not known where {name} packages come from: nothing is configured, and no {tool} on the path says its default"
    )
}

/// Finds where `purl`'s file may come from.
pub fn find(settings: &Settings, machine: &Machine, ecosystem: Ecosystem, purl: &PackageUrl) -> Result<Sources, Error> {
    let unreadable = |cause| Error::Unreadable(ecosystem, cause);
    let invalid = |cause| Error::Invalid(ecosystem, cause);
    let netrc = Netrc::read(machine).map_err(unreadable)?;
    let mut sources = Sources { ca_bundles: settings.ca_bundles.clone(), netrc, ..Sources::default() };
    let (configured, reason) = match rules::first(&settings.rules, purl) {
        Some(rule) => (&rule.from[..], Reason::Pattern(rule.meant(purl).clone())),
        None => (settings.of(ecosystem), Reason::Configured),
    };
    let parsed = configured.iter().map(|text| Registry::parse(text).map(|registry| registry.because(reason.clone())));
    sources.registries = parsed.collect::<Result<_, _>>().map_err(invalid)?;
    match ecosystem {
        _ if !configured.is_empty() => {}
        Ecosystem::Pypi => from_pip(machine, &mut sources)?,
        Ecosystem::Npm => npm::sources(machine, &purl.namespace, &mut sources)?,
        Ecosystem::Maven => maven::sources(machine, &mut sources)?,
        Ecosystem::Generic => {}
    }
    if sources.registries.is_empty() {
        return Err(Error::Unknown(ecosystem));
    }
    sources.registries.sort_by_key(|registry| !matches!(registry.location, Location::Folder(_)));
    for registry in &mut sources.registries {
        let host = registry.url().and_then(url::Url::host_str).map(str::to_owned);
        if registry.authorization.is_none() {
            registry.authorization = host.and_then(|host| sources.netrc.find(&host).cloned());
        }
    }
    Ok(sources)
}

/// What pip would use. Its default is asked for only where no index is set.
fn from_pip(machine: &Machine, sources: &mut Sources) -> Result<(), Error> {
    let invalid = |cause| Error::Invalid(Ecosystem::Pypi, cause);
    let set = Reason::Settings(Ecosystem::Pypi);
    let pip = pip::Pip::read(machine).map_err(|cause| Error::Unreadable(Ecosystem::Pypi, cause))?;
    sources.ca_bundles.extend(pip.cert);
    for link in &pip.find_links {
        // A relative folder means another one wherever the program is started, so it is left to pip itself.
        let at_home = link.strip_prefix("~/").zip(machine.home()).map(|(rest, home)| home.join(rest));
        let text = at_home.and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| link.clone());
        let Ok(mut registry) = Registry::parse(&text) else { continue };
        if let Location::Remote(url) = registry.location {
            registry.location = Location::Page(url);
        }
        sources.registries.push(registry.because(set.clone()));
    }
    if pip.no_index {
        return Ok(());
    }
    let index = pip.index.map(|index| (index, set.clone()));
    let default = || pip::default_index(machine).map(|index| (index, Reason::Default(Ecosystem::Pypi)));
    if let Some((index, reason)) = index.or_else(default) {
        sources.registries.push(Registry::parse(&index).map_err(invalid)?.because(reason));
    }
    for index in &pip.extra {
        sources.registries.push(Registry::parse(index).map_err(invalid)?.because(set.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use insta::assert_snapshot;
    use stave_transport::request::Authorization;

    use super::*;

    fn machine(pairs: &[(&str, &str)]) -> Machine {
        let variables: BTreeMap<_, _> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Machine { variables, root: PathBuf::from("/nowhere") }
    }

    fn sources(settings: &str, variables: &[(&str, &str)], ecosystem: Ecosystem) -> Result<Sources, Error> {
        let purl = "pkg:any/x@1".parse().unwrap();
        find(&toml::from_str(settings).unwrap(), &machine(variables), ecosystem, &purl)
    }

    fn shown(sources: &Sources) -> Vec<String> {
        sources.registries.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn our_own_configuration_counts_first() {
        let variables = [("PIP_INDEX_URL", "https://pip.example.com/simple")];
        let one = sources("pypi = 'https://me:pw@own.example.com/simple'", &variables, Ecosystem::Pypi).unwrap();
        assert_eq!(shown(&one), ["https://own.example.com/simple"]);
        assert!(matches!(&one.registries[0].authorization, Some(Authorization::Basic { user, .. }) if user == "me"));
        let two = sources("pypi = ['https://own.example.com/', '/opt/wheels']", &variables, Ecosystem::Pypi).unwrap();
        assert_eq!(shown(&two), ["/opt/wheels", "https://own.example.com/"]);
        assert!(toml::from_str::<Settings>("cargo = 'x'").is_err());
        assert_snapshot!(toml::from_str::<Settings>("pypi = 1").unwrap_err().message(), @"an address, a path, or a list of them");
    }

    #[test]
    fn then_what_pip_is_told() {
        let variables = [
            ("PIP_INDEX_URL", "https://me:pw@pip.example.com/simple"),
            ("PIP_EXTRA_INDEX_URL", "https://extra.example.com/simple"),
            ("PIP_FIND_LINKS", "/opt/wheels https://links.example.com/ relative"),
            ("PIP_CERT", "/ca.pem"),
        ];
        let found = sources("", &variables, Ecosystem::Pypi).unwrap();
        let expected = [
            "/opt/wheels",
            "https://links.example.com/",
            "https://pip.example.com/simple",
            "https://extra.example.com/simple",
        ];
        assert_eq!(shown(&found), expected);
        assert!(matches!(found.registries[1].location, Location::Page(_)));
        assert_eq!(found.ca_bundles, [PathBuf::from("/ca.pem")]);
        let only_links = [("PIP_FIND_LINKS", "/opt/wheels"), ("PIP_NO_INDEX", "1")];
        assert_eq!(shown(&sources("", &only_links, Ecosystem::Pypi).unwrap()), ["/opt/wheels"]);
    }

    #[test]
    fn credentials_come_from_netrc_where_there_are_none() {
        let netrc = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(netrc.path(), "machine pip.example.com login me password pw").unwrap();
        let variables =
            [("NETRC", netrc.path().to_str().unwrap()), ("PIP_INDEX_URL", "https://pip.example.com/simple")];
        let found = sources("", &variables, Ecosystem::Pypi).unwrap();
        assert!(matches!(&found.registries[0].authorization, Some(Authorization::Basic { user, .. }) if user == "me"));
    }

    #[test]
    fn nobody_knows() {
        for ecosystem in Ecosystem::ALL {
            let error = sources("", &[], ecosystem).unwrap_err();
            assert!(error.hint().contains(&format!("registries.{}", ecosystem.name())), "{error}");
        }
        let error = sources("", &[], Ecosystem::Pypi).unwrap_err();
        assert_snapshot!(error, @"it is not known where pypi packages come from: nothing is configured, and no pip on the path says its default");
        assert_snapshot!(error.hint(), @"set `registries.pypi` in Stave's configuration or PIP_INDEX_URL, or install pip");
        let error = sources("pypi = 'wheels'", &[], Ecosystem::Pypi).unwrap_err();
        assert_snapshot!(error.hint(), @"correct it, or set `registries.pypi` in Stave's configuration");
    }
}
