//! Where a repository is: which addresses are taken, and by which transport each is reached.
//!
//! Addresses are judged here before git sees them, and once more by git, which is told which transports it may use. What a
//! repository says of its submodules is a stranger's word: it never leads to this machine's files.

use stave_platform::{port::Failed, resource::build::Fault};
use stave_transport::{
    address::{Reach, reach_of_text},
    origin::{Origin, shown},
    redirect::may_lead,
};
use url::Url;

/// The longest address that is taken.
const LONGEST: usize = 2048;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Over TLS.
    Https,
    /// In the clear.
    Http,
    /// Over ssh.
    Ssh,
    /// It is on this machine.
    File,
}

/// A repository's address that was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    text: String,
    pub(crate) transport: Transport,
    /// The same as a URL; a short ssh address is written as one with `ssh`.
    url: Url,
    is_short: bool,
}

impl Address {
    /// The address in a wish.
    pub(crate) fn of_wish(text: &str) -> Result<Self, Failed> {
        Self::read(text).map_err(|rule| refused("the repository", text, rule))
    }

    /// The address that a repository says one of its submodules has.
    pub(crate) fn of_module(parent: &Self, text: &str) -> Result<Self, Failed> {
        let refuse = |rule| refused("the submodule's repository", text, rule);
        let is_relative = text.starts_with("./") || text.starts_with("../");
        let joined =
            if is_relative { parent.join(text).ok_or_else(|| refuse("it leads nowhere"))? } else { text.to_owned() };
        let address = Self::read(&joined).map_err(refuse)?;
        if address.transport == Transport::File {
            return Err(refuse("a submodule may not be on this machine"));
        }
        let public_only = parent.as_web().is_none_or(|url| reach_of_text(&url) != Some(Reach::Private));
        let (Some(from), Some(to)) = (parent.as_web(), address.as_web()) else {
            return Err(refuse("it names no host"));
        };
        let from = if parent.transport == Transport::Http { from } else { upgraded(from) };
        let to = if address.transport == Transport::Http { to } else { upgraded(to) };
        may_lead(&from, &to, public_only)
            .map_err(|why| refuse("it is not where this repository may lead").caused_by(Led(why)))?;
        Ok(address)
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > LONGEST {
            return Err("it is empty, or longer than 2048 bytes");
        }
        if text.starts_with('-') {
            return Err("it begins with `-`");
        }
        if text.contains(|c: char| c.is_control() || c == ' ' || c == '\\') {
            return Err("it holds a space, a backslash or a control character");
        }
        if text.split(['/', '@']).next().is_some_and(|head| head.contains("::")) {
            return Err("it names a program to fetch it with");
        }
        if text.starts_with('/') {
            let url = Url::from_file_path(text).map_err(|()| "it is no path")?;
            return Ok(Self { text: text.to_owned(), transport: Transport::File, url, is_short: false });
        }
        if text.contains("://") { Self::read_url(text) } else { Self::read_short(text) }
    }

    fn read_url(text: &str) -> Result<Self, &'static str> {
        let url: Url = text.parse().map_err(|_| "it is no URL")?;
        let transport = match url.scheme() {
            "https" => Transport::Https,
            "http" => Transport::Http,
            "ssh" => Transport::Ssh,
            "file" => Transport::File,
            "git" => return Err("the git transport is neither encrypted nor knows who it speaks to"),
            _ => return Err("https, http, ssh and file are spoken"),
        };
        if url.password().is_some() {
            return Err("it holds a password, which would be written down with every build");
        }
        // Also a login that a reader of URLs drops for being empty: what a secret is compared with is the text.
        let authority = text.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
        if matches!(transport, Transport::Https | Transport::Http) && authority.contains('@') {
            return Err("it holds a login, which belongs into a secret");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it holds a query or a fragment");
        }
        let host = url.host_str().unwrap_or_default();
        if (transport == Transport::File) != host.is_empty() || host.starts_with('-') || url.username().starts_with('-')
        {
            return Err("its host is missing, or none that can be asked");
        }
        if url.path().trim_start_matches('/').starts_with('-') || url.path() == "/" {
            return Err("its path is missing, or begins with `-`");
        }
        Ok(Self { text: text.to_owned(), transport, url, is_short: false })
    }

    /// `user@host:path`.
    fn read_short(text: &str) -> Result<Self, &'static str> {
        const UNKNOWN: &str = "it is neither a URL, nor an absolute path, nor user@host:path";
        let (host, path) = text.split_once(':').filter(|(host, _)| !host.contains('/')).ok_or(UNKNOWN)?;
        let url: Url = format!("ssh://{host}/{}", path.trim_start_matches('/')).parse().map_err(|_| UNKNOWN)?;
        let names = [url.host_str().unwrap_or_default(), path];
        if names.iter().any(|name| name.is_empty() || name.starts_with('-')) || url.username().starts_with('-') {
            return Err("its host or its path is missing, or begins with `-`");
        }
        if url.password().is_some() || url.port().is_some() {
            return Err(UNKNOWN);
        }
        Ok(Self { text: text.to_owned(), transport: Transport::Ssh, url, is_short: true })
    }

    /// As git is given it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// As people are shown it.
    pub(crate) fn shown(&self) -> String {
        if self.is_short || self.transport == Transport::File { self.text.clone() } else { shown(&self.url) }
    }

    /// Scheme, host and port as `scheme://host:port`, as far as git needs them to tell whose credentials are asked for.
    pub(crate) fn origin(&self) -> String {
        let port = self.url.port().map_or_else(String::new, |port| format!(":{port}"));
        format!("{}://{}{port}", self.url.scheme(), self.url.host_str().unwrap_or_default())
    }

    /// Where its server is, as a URL.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Host and port, if they are written so that everybody reads them alike: what is judged must be what git then asks.
    pub(crate) fn server(&self) -> Result<(String, u16), &'static str> {
        const ODD: &str = "its host is written in a way that is not read alike by all";
        let authority = match self.text.split_once("://") {
            Some((_, rest)) => rest.split('/').next(),
            None => self.text.split(':').next(),
        };
        let written = authority.and_then(|text| text.rsplit('@').next()).unwrap_or_default().to_ascii_lowercase();
        let web = self.as_web().ok_or("it names no host")?;
        let host = web.host_str().unwrap_or_default();
        let is_port = |rest: &str| rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
        let is_read_alike = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
            && written.strip_prefix(host).is_some_and(|rest| rest.is_empty() || is_port(rest));
        if !is_read_alike {
            return Err(ODD);
        }
        let port = self.url.port_or_known_default().unwrap_or(22);
        Ok((host.to_owned(), port))
    }

    /// Whether the other's credentials are meant for this one too.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        let port = |address: &Self| address.url.port_or_known_default().or(Some(22));
        self.transport == other.transport
            && self.transport != Transport::File
            && self.url.host_str().map(str::to_ascii_lowercase) == other.url.host_str().map(str::to_ascii_lowercase)
            && port(self) == port(other)
    }

    /// The address with a web scheme, so that the rules for who may lead where can be asked; none for a file.
    fn as_web(&self) -> Option<Url> {
        let scheme = if self.transport == Transport::Http { "http" } else { "https" };
        let url: Url = format!("{scheme}://{}/", self.url.host_str().filter(|host| !host.is_empty())?).parse().ok()?;
        Origin::of(&url).map(|_| url)
    }

    /// What a submodule's relative address comes to, as git reads it: each `../` takes a name off the end.
    fn join(&self, relative: &str) -> Option<String> {
        let (head, path) = if self.is_short {
            let (host, path) = self.text.split_once(':')?;
            (format!("{host}:"), path)
        } else if self.transport == Transport::File {
            return None;
        } else {
            let start = self.text.find("://")? + 3;
            let slash = start + self.text[start..].find('/')?;
            (self.text[..=slash].to_owned(), &self.text[slash + 1..])
        };
        let mut names: Vec<&str> = path.trim_matches('/').split('/').collect();
        for name in relative.split('/') {
            match name {
                "" | "." => {}
                ".." => drop(names.pop()?),
                name => names.push(name),
            }
        }
        (!names.is_empty()).then(|| format!("{head}{}", names.join("/")))
    }
}

/// Ssh is as encrypted as https, so it may lead from and to it.
fn upgraded(mut url: Url) -> Url {
    // Fails for no web address.
    let _ = url.set_scheme("https");
    url
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Led(stave_transport::redirect::Refusal);

fn refused(what: &str, text: &str, rule: &str) -> Failed {
    // An address that is refused may hold a password.
    let bare: String = match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}{}", &text[..scheme + 3], &text[at + 1..]),
        _ => text.to_owned(),
    };
    let bare: String = bare.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect();
    Failed::new(Fault::Refused, format!("{what} `{}` is refused: {rule}", bare.escape_debug()))
        .hint("write https://host/path, ssh://user@host/path or user@host:path; who asks belongs in a secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T>(result: Result<T, Failed>, show: impl Fn(T) -> String) -> String {
        result.map_or_else(|failed| failed.sentence(), show)
    }

    #[test]
    fn addresses_are_known_by_their_form() {
        use Transport::{File, Http, Https, Ssh};
        for (text, transport, origin) in [
            ("https://git.example.com/team/app.git", Https, "https://git.example.com"),
            ("https://git.example.com:8443/app", Https, "https://git.example.com:8443"),
            ("http://git.example.com/app", Http, "http://git.example.com"),
            ("ssh://git@git.example.com:2222/app", Ssh, "ssh://git.example.com:2222"),
            ("git@git.example.com:team/app", Ssh, "ssh://git.example.com"),
            ("file:///srv/app.git", File, "file://"),
            ("/srv/app.git", File, "file://"),
        ] {
            let address = Address::of_wish(text).unwrap();
            assert_eq!((address.transport, address.origin().as_str(), address.text()), (transport, origin, text));
        }
    }

    #[test]
    fn addresses_that_are_more_than_addresses_are_refused() {
        let texts = [
            "",
            "--upload-pack=touch x",
            "-u",
            "ext::sh -c touch% x",
            "ext::sh",
            "fd::17/x",
            "git://git.example.com/app",
            "ftp://git.example.com/app",
            "https://user:pa55@git.example.com/app",
            "https://git.example.com/app?token=s3cret",
            "https://git.example.com/",
            "ssh://-oProxyCommand=x/app",
            "-oProxyCommand=x:app",
            "git@host:-app",
            "file://elsewhere/app",
            "../app",
            "app",
            "https://git.example.com/a\u{1b}[31m",
        ];
        let lines: Vec<String> =
            texts.iter().map(|text| said(Address::of_wish(text), |a| format!("TAKEN {}", a.text))).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        the repository `` is refused: it is empty, or longer than 2048 bytes
        the repository `--upload-pack=touch x` is refused: it begins with `-`
        the repository `-u` is refused: it begins with `-`
        the repository `ext::sh -c touch% x` is refused: it holds a space, a backslash or a control character
        the repository `ext::sh` is refused: it names a program to fetch it with
        the repository `fd::17/x` is refused: it names a program to fetch it with
        the repository `git://git.example.com/app` is refused: the git transport is neither encrypted nor knows who it speaks to
        the repository `ftp://git.example.com/app` is refused: https, http, ssh and file are spoken
        the repository `https://git.example.com/app` is refused: it holds a password, which would be written down with every build
        the repository `https://git.example.com/app` is refused: it holds a query or a fragment
        the repository `https://git.example.com/` is refused: its path is missing, or begins with `-`
        the repository `ssh://-oProxyCommand=x/app` is refused: its host is missing, or none that can be asked
        the repository `-oProxyCommand=x:app` is refused: it begins with `-`
        the repository `git@host:-app` is refused: its host or its path is missing, or begins with `-`
        the repository `file://elsewhere/app` is refused: its host is missing, or none that can be asked
        the repository `../app` is refused: it is neither a URL, nor an absolute path, nor user@host:path
        the repository `app` is refused: it is neither a URL, nor an absolute path, nor user@host:path
        the repository `https://git.example.com/a\u{1b}[31m` is refused: it holds a space, a backslash or a control character
        ");
    }

    #[test]
    fn a_submodule_is_never_on_this_machine() {
        let of = |parent: &str, text: &str| {
            said(Address::of_module(&Address::of_wish(parent).unwrap(), text), |address| address.text)
        };
        let lines = [
            of("https://git.example.com/team/app.git", "../lib.git"),
            of("https://git.example.com/team/app", "./lib"),
            of("git@git.example.com:team/app", "../../other/lib"),
            of("https://git.example.com/app", "git@git.example.com:lib"),
            of("git@git.example.com:team/app", "https://other.example.com/lib"),
            of("http://127.0.0.1:8080/app", "../lib"),
            of("https://git.example.com/app", "../../../lib"),
            of("https://git.example.com/app", "file:///etc"),
            of("https://git.example.com/app", "/etc"),
            of("file:///srv/app", "../lib"),
            of("https://git.example.com/app", "ext::sh"),
            of("https://git.example.com/app", "http://git.example.com/lib"),
            of("https://git.example.com/app", "https://127.0.0.1/lib"),
            of("https://git.example.com/app", "git@localhost:lib"),
            of("https://git.example.com/app", "-x"),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        https://git.example.com/team/lib.git
        https://git.example.com/team/app/lib
        git@git.example.com:other/lib
        git@git.example.com:lib
        https://other.example.com/lib
        http://127.0.0.1:8080/lib
        the submodule's repository `../../../lib` is refused: it leads nowhere
        the submodule's repository `file:///etc` is refused: a submodule may not be on this machine
        the submodule's repository `/etc` is refused: a submodule may not be on this machine
        the submodule's repository `../lib` is refused: it leads nowhere
        the submodule's repository `ext::sh` is refused: it names a program to fetch it with
        the submodule's repository `http://git.example.com/lib` is refused: it is not where this repository may lead: it would give up encryption
        the submodule's repository `https://127.0.0.1/lib` is refused: it is not where this repository may lead: a public server may not send us to a private address
        the submodule's repository `git@localhost:lib` is refused: it is not where this repository may lead: a public server may not send us to a private address
        the submodule's repository `-x` is refused: it begins with `-`
        ");
    }

    #[test]
    fn credentials_go_to_the_same_place_only() {
        let beside = |a: &str, b: &str| Address::of_wish(a).unwrap().is_beside(&Address::of_wish(b).unwrap());
        assert!(beside("https://git.example.com/a", "https://Git.example.com:443/b"));
        assert!(beside("ssh://git@git.example.com/a", "git@git.example.com:b"));
        for other in ["http://git.example.com/b", "https://git.example.com:8443/b", "https://example.com/b"] {
            assert!(!beside("https://git.example.com/a", other), "{other}");
        }
    }
}
