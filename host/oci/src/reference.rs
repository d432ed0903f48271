//! Image names as people write them: `[registry/]repository[:tag][@digest]` (the grammar of docker's `reference` package).
//!
//! One thing differs from docker: a name without a registry has none. Nothing here knows a default one, so `app` is a
//! fine name in the image store, an archive or a daemon, and publishing it is an error that says what is missing.

use std::{fmt, str::FromStr};

use stave_model::digest::Digest;

/// The longest name of a repository with its registry, in bytes (docker's limit).
const MAX_NAME: usize = 255;
/// The longest tag (OCI distribution spec, "Pulling manifests").
const MAX_TAG: usize = 128;
/// The tag that a name has when it says neither tag nor digest.
const DEFAULT_TAG: &str = "latest";

/// A registry's host, with a port where it is not the usual one. In lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Registry(String);

/// An image's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The registry, if the name says one.
    pub registry: Option<Registry>,
    /// The repository within it.
    pub repository: String,
    /// The tag. There is one unless there is a digest; both may be there.
    pub tag: Option<String>,
    /// The manifest's digest.
    pub digest: Option<Digest>,
}

/// Why a text is not an image's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not the name of an image: {rule}", .text.escape_debug())]
pub struct InvalidReference {
    text: String,
    rule: &'static str,
}

impl Registry {
    /// Host and port.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host without its port; an IPv6 address with its brackets.
    pub fn host(&self) -> &str {
        match self.0.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => &self.0,
        }
    }

    /// The one text that stands for all ways of writing this registry: without the usual ports, and addresses as URLs have them.
    pub fn canonical(&self) -> String {
        let url = url::Url::parse(&format!("https://{self}/")).ok();
        let written = url.as_ref().and_then(|url| Some((url.host_str()?, url.port())));
        match written {
            Some((host, None | Some(80))) => host.to_owned(),
            Some((host, Some(port))) => format!("{host}:{port}"),
            None => self.0.clone(),
        }
    }

    /// Whether it is this machine, which is spoken to without encryption.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host == "[::1]"
            || (host.starts_with("127.") && host.parse::<std::net::Ipv4Addr>().is_ok())
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Registry {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |rule| Err(invalid(text, rule));
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (text, None),
        };
        if port.is_some_and(|port| port.parse::<u16>().is_err() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
            return refuse("the registry's port is not a number");
        }
        let is_label = |label: &str| {
            let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            let bytes = label.as_bytes();
            edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        };
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let good = match address {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.split('.').all(is_label),
        };
        if good { Ok(Self(text.to_ascii_lowercase())) } else { refuse("the registry's host is not a host") }
    }
}

impl Reference {
    /// `registry/repository`, without tag and digest.
    pub fn name(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }

    /// What a registry is asked for: the digest, else the tag.
    pub fn target(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_else(|| DEFAULT_TAG.to_owned()),
        }
    }

    /// The same image by its digest.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains("://") {
            return Err(invalid(text, "it is written without a scheme"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let rule = "after `@` comes `sha256:` and 64 lower-case hex digits";
                (rest, Some(digest.parse().map_err(|_| invalid(text, rule))?))
            }
            None => (text, None),
        };
        let (registry, rest) = match rest.split_once('/') {
            Some((first, rest)) if is_registry(first) => {
                let registry = first.parse().map_err(|error: InvalidReference| invalid(text, error.rule))?;
                (Some(registry), rest)
            }
            _ => (None, rest),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        check_repository(repository).map_err(|rule| invalid(text, rule))?;
        if tag.is_some_and(|tag| !is_tag(tag)) {
            let rule = "a tag has up to 128 letters, digits, `_`, `.` and `-`, and starts with none of the last two";
            return Err(invalid(text, rule));
        }
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned()));
        let reference = Self { registry, repository: repository.to_owned(), tag, digest };
        if reference.name().len() > MAX_NAME {
            return Err(invalid(text, "it is longer than 255 bytes"));
        }
        Ok(reference)
    }
}

fn invalid(text: &str, rule: &'static str) -> InvalidReference {
    InvalidReference { text: text.chars().take(200).collect(), rule }
}

/// Whether the part before the first slash is a registry (docker's rule): it has a dot, a port or a capital letter, which
/// no repository's first part has together, or is `localhost`.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = tag.as_bytes();
    bytes.len() <= MAX_TAG
        && bytes.first().is_some_and(|byte| word(*byte))
        && bytes.iter().all(|byte| word(*byte) || matches!(byte, b'.' | b'-'))
}

/// Checks `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, repeated with `/` (OCI distribution spec, "Pulling manifests").
fn check_repository(repository: &str) -> Result<(), &'static str> {
    if repository.is_empty() {
        return Err("it names no repository");
    }
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("a repository is written in lower case");
    }
    let good = repository.split('/').all(|part| {
        let ends = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = part.as_bytes();
        ends(bytes.first())
            && ends(bytes.last())
            && part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(is_separator)
    });
    if good {
        Ok(())
    } else {
        Err("a repository has lower-case letters and digits, and `.`, `_`, `__` or `-` between them")
    }
}

fn is_separator(text: &str) -> bool {
    matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_registry_has_one_canonical_text() {
        let canonical = |text: &str| text.parse::<Registry>().unwrap().canonical();
        for text in
            ["Registry.example.com", "registry.example.com:443", "registry.example.com:0443", "registry.example.com:80"]
        {
            assert_eq!(canonical(text), "registry.example.com", "{text}");
        }
        assert_eq!(canonical("registry.example.com:05000"), "registry.example.com:5000");
        assert_eq!(canonical("127.1:5000"), "127.0.0.1:5000");
        assert_eq!(canonical("[0:0::1]:5000"), "[::1]:5000");
    }

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("spring-webdb", None, "spring-webdb", "latest"),
            ("spring-webdb:1.0", None, "spring-webdb", "1.0"),
            ("team/app", None, "team/app", "latest"),
            ("registry.example.com/team/app:v1_2", Some("registry.example.com"), "team/app", "v1_2"),
            ("Registry.Example.com/app", Some("registry.example.com"), "app", "latest"),
            ("localhost/app", Some("localhost"), "app", "latest"),
            ("localhost:5000/app", Some("localhost:5000"), "app", "latest"),
            ("127.0.0.1:5000/a/b__c/d---e:x", Some("127.0.0.1:5000"), "a/b__c/d---e", "x"),
            ("[::1]:5000/app", Some("[::1]:5000"), "app", "latest"),
            ("[::1]/app", Some("[::1]"), "app", "latest"),
        ];
        for (text, registry, repository, tag) in cases {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.registry.as_ref().map(Registry::as_str), registry, "{text}");
            assert_eq!((reference.repository.as_str(), reference.tag.as_deref()), (repository, Some(tag)), "{text}");
            assert_eq!(reference.to_string().parse(), Ok(reference), "{text}");
        }
        let both: Reference = format!("a.example.com/app:1@sha256:{HEX}").parse().unwrap();
        assert_eq!((both.tag.as_deref(), both.target()), (Some("1"), format!("sha256:{HEX}")));
        let digest: Reference = format!("app@sha256:{HEX}").parse().unwrap();
        assert_eq!((digest.tag.as_ref(), digest.to_string()), (None, format!("app@sha256:{HEX}")));
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        let long = "a/".repeat(130);
        let texts = [
            "",
            "App",
            ":tag",
            "app:",
            "app:-x",
            "a.example.com/",
            "a.example.com//app",
            "a..example.com/app",
            "a.example.com:port/app",
            "a.example.com:99999/app",
            "a.example.com:+80/app",
            "../../etc/passwd",
            "a/../b",
            "app ",
            "app@sha256:../../x",
            "app@md5:00",
            "-app",
            "app_",
            "a___b",
            "[::z]/app",
            "http://a.example.com/app",
            "app\u{1b}[31m",
            &long,
        ];
        let shown: Vec<String> = texts.iter().map(|text| text.parse::<Reference>().unwrap_err().to_string()).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        `` is not the name of an image: it names no repository
        `App` is not the name of an image: a repository is written in lower case
        `:tag` is not the name of an image: it names no repository
        `app:` is not the name of an image: a tag has up to 128 letters, digits, `_`, `.` and `-`, and starts with none of the last two
        `app:-x` is not the name of an image: a tag has up to 128 letters, digits, `_`, `.` and `-`, and starts with none of the last two
        `a.example.com/` is not the name of an image: it names no repository
        `a.example.com//app` is not the name of an image: a repository has lower-case letters and digits, and `.`, `_`, `__` or `-` between them
        `a..example.com/app` is not the name of an image: the registry's host is not a host
        `a.example.com:port/app` is not the name of an image: the registry's port is not a number
        `a.example.com:99999/app` is not the name of an image: the registry's port is not a number
        `a.example.com:+80/app` is not the name of an image: the registry's port is not a number
        `../../etc/passwd` is not the name of an image: the registry's host is not a host
        `a/../b` is not the name of an image: a repository has lower-case letters and digits, and `.`, `_`, `__` or `-` between them
        `app ` is not the name of an image: a repository has lower-case letters and digits, and `.`, `_`, `__` or `-` between them
        `app@sha256:../../x` is not the name of an image: after `@` comes `sha256:` and 64 lower-case hex digits
        `app@md5:00` is not the name of an image: after `@` comes `sha256:` and 64 lower-case hex digits
        `-app` is not the name of an image: a repository has lower-case letters and digits, and `.`, `_`, `__` or `-` between them
        `app_` is not the name of an image: a repository has lower-case letters and digits, and `.`, `_`, `__` or `-` between them
        `a___b` is not the name of an image: a repository has lower-case letters and digits, and `.`, `_`, `__` or `-` between them
        `[::z]/app` is not the name of an image: the registry's host is not a host
        `http://a.example.com/app` is not the name of an image: it is written without a scheme
        `app\u{1b}[31m` is not the name of an image: a repository has lower-case letters and digits, and `.`, `_`, `__` or `-` between them
        `a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/` is not the name of an image: a repository has lower-case letters and digits, and `.`, `_`, `__` or `-` between them
        ");
    }

    #[test]
    fn loopback_is_this_machine() {
        let loopback = |text: &str| text.parse::<Registry>().unwrap().is_loopback();
        for text in ["localhost", "localhost:5000", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:5000"] {
            assert!(loopback(text), "{text}");
        }
        for text in ["localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "[::2]", "example.com:127"] {
            assert!(!loopback(text), "{text}");
        }
    }
}
