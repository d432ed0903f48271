//! A registry: where it is, how it is laid out, and who we are there.

use std::{fmt, path::PathBuf};

use stave_model::dependency::pattern::PackagePattern;
use stave_transport::{origin::shown, request::Authorization};
use url::Url;

/// Where packages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ecosystem {
    /// `pkg:pypi`: Python packages.
    Pypi,
    /// `pkg:npm`: JavaScript packages.
    Npm,
    /// `pkg:maven`: JVM packages.
    Maven,
    /// `pkg:generic`: a file at an address that the operator allows.
    Generic,
}

impl Ecosystem {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pypi, Self::Npm, Self::Maven, Self::Generic];

    /// The package URL type, which is also the key in Stave's configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pypi => "pypi",
            Self::Npm => "npm",
            Self::Maven => "maven",
            Self::Generic => "generic",
        }
    }

    /// The tool whose settings count where Stave's configuration says nothing; downloads by address have none.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Pypi => "pip",
            Self::Npm => "npm",
            Self::Maven => "Maven",
            Self::Generic => "nobody",
        }
    }

    /// The ecosystem of a package URL type.
    pub fn of(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ecosystem| ecosystem.name() == kind)
    }
}

/// Where a registry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// At an address laid out as the ecosystem has it.
    Remote(Url),
    /// At an address that is one page of links (pip's `find-links`).
    Page(Url),
    /// In a folder of this machine.
    Folder(PathBuf),
}

/// Why packages come from a registry: who named it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reason {
    /// The configuration, for a whole ecosystem.
    #[default]
    Configured,
    /// The configuration, for packages of this pattern and no others.
    Pattern(PackagePattern),
    /// The settings of the ecosystem's own tool.
    Settings(Ecosystem),
    /// The ecosystem's own tool, as what it uses where nothing is set.
    Default(Ecosystem),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured => f.write_str("`registries` in the configuration"),
            Self::Pattern(pattern) => write!(f, "`{pattern}` of `registries.for` in the configuration"),
            Self::Settings(ecosystem) => write!(f, "{}'s settings", ecosystem.tool()),
            Self::Default(ecosystem) => write!(f, "{}'s own default", ecosystem.tool()),
        }
    }
}

/// A registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Registry {
    /// Where it is. Addresses carry no user information.
    pub location: Location,
    /// Credentials for its origin.
    pub authorization: Option<Authorization>,
    /// Who named it.
    pub reason: Reason,
}

/// A text that does not say where a registry is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a registry: expected an address such as https://registry.example.com/simple, or an absolute path"
)]
pub struct InvalidRegistry(String);

impl Registry {
    /// Reads an `http`, `https` or `file` address or an absolute path. User information becomes credentials.
    pub fn parse(text: &str) -> Result<Self, InvalidRegistry> {
        let text = text.trim();
        if text.starts_with('/') {
            return Ok(Self::at(Location::Folder(PathBuf::from(text)), None));
        }
        let mut url: Url = text.parse().map_err(|_| InvalidRegistry(concealed(text)))?;
        if url.scheme() == "file" {
            let folder = url.to_file_path().map_err(|()| InvalidRegistry(concealed(text)))?;
            return Ok(Self::at(Location::Folder(folder), None));
        }
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(InvalidRegistry(concealed(text)));
        }
        let authorization = Authorization::of_url(&url);
        // Neither fails for http and https.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Self::at(Location::Remote(url), authorization))
    }

    fn at(location: Location, authorization: Option<Authorization>) -> Self {
        Self { location, authorization, reason: Reason::default() }
    }

    /// The same, named by somebody else than the configuration's key for its ecosystem.
    #[must_use]
    pub fn because(self, reason: Reason) -> Self {
        Self { reason, ..self }
    }

    /// The address, unless it is a folder.
    pub fn url(&self) -> Option<&Url> {
        match &self.location {
            Location::Remote(url) | Location::Page(url) => Some(url),
            Location::Folder(_) => None,
        }
    }
}

/// What can be shown of a text that may hold a password and is not understood.
fn concealed(text: &str) -> String {
    let text = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::Remote(url) | Location::Page(url) => f.write_str(&shown(url)),
            Location::Folder(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = if self.authorization.is_some() { " with credentials" } else { "" };
        write!(f, "Registry({self}{known})")
    }
}

/// `base` with `segments` appended as path segments, each encoded as a whole.
pub(crate) fn below<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // Fails only for addresses without a path, which no registry has.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_a_file_address_or_a_path() {
        let registry = Registry::parse(" https://me:s3cret@registry.example.com/simple ").unwrap();
        assert_eq!(registry.to_string(), "https://registry.example.com/simple");
        assert_eq!(format!("{registry:?}"), "Registry(https://registry.example.com/simple with credentials)");
        assert_eq!(registry.url().unwrap().username(), "");
        for text in ["/opt/wheels", "file:///opt/wheels"] {
            assert_eq!(Registry::parse(text).unwrap().location, Location::Folder("/opt/wheels".into()));
        }
    }

    #[test]
    fn anything_else_is_refused_without_its_password() {
        for text in ["", "wheels", "ftp://example.com", "https://", "data:x"] {
            assert!(Registry::parse(text).is_err(), "{text}");
        }
        let error = Registry::parse("ftp://me:s3cret@example.com\u{1b}").unwrap_err();
        insta::assert_snapshot!(error, @r"`example.com\u{1b}` is not a registry: expected an address such as https://registry.example.com/simple, or an absolute path");
    }

    #[test]
    fn segments_are_appended_whole() {
        let base = "https://registry.example.com/a/".parse().unwrap();
        assert_eq!(below(&base, ["@x/y", "z"]).as_str(), "https://registry.example.com/a/@x%2Fy/z");
    }
}
