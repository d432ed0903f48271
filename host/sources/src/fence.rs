//! Which servers are asked for wishes that may be somebody else's: none of this machine, none of its network, but those that were named.
//!
//! Whoever may wish for an image could otherwise have this machine ask what only it can reach, and read the answer out of a build or
//! a failure. Archives are asked for by a client that judges the very addresses it connects to ([`Client::public_but`]). Git looks
//! names up by itself: its host is looked up before, and git is told the addresses that were judged, so that a name which
//! answers otherwise a moment later gains nothing; so is ssh. A redirect is not followed.
//!
//! What remains: a name that a proxy looks up is the proxy's to judge, and a git older than 2.37 does not hear where an `http` host was
//! judged to be and asks again. Where an image goes is not a source: its tag may be in a private network.
//!
//! [`Client::public_but`]: stave_transport::Client::public_but

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
};

use stave_platform::{port::Failed, resource::build::Fault};
use stave_transport::{Error as TransportError, address::Reach, look_up};

use crate::git::address::Address;

/// Who says where a host is.
type LookUp = fn(&str, u16) -> io::Result<Vec<(IpAddr, Reach)>>;

/// Where wishes may lead.
#[derive(Debug, Clone)]
pub struct Fence {
    allowed: BTreeSet<String>,
    look_up: LookUp,
}

/// A host and where it is, as it was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged {
    /// Its name, or its address.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// Where it is asked; nowhere in particular where a proxy looks it up.
    pub(crate) at: Vec<IpAddr>,
}

impl Fence {
    /// One that leads to public addresses, and to these hosts, in lower case, wherever they are.
    pub fn new(allowed: BTreeSet<String>) -> Self {
        Self { allowed, look_up }
    }

    /// One that asks somebody else where hosts are.
    #[cfg(test)]
    pub(crate) fn looking_up(allowed: &[&str], look_up: LookUp) -> Self {
        Self { allowed: allowed.iter().map(|host| (*host).to_owned()).collect(), look_up }
    }

    /// Where a repository's server is, if it may be asked.
    pub(crate) fn judge(&self, address: &Address, is_proxied: bool) -> Result<Judged, Failed> {
        let shown = address.shown();
        let refuse = |rule: &str| Failed::new(Fault::Refused, format!("the repository `{shown}` is refused: {rule}"));
        let (host, port) = address.server().map_err(refuse)?;
        let found = match (self.look_up)(&host, port) {
            Ok(found) => found,
            // Where a proxy looks names up, nobody else may be able to. What one of them reaches is the proxy's to judge.
            Err(_) if is_proxied => Vec::new(),
            Err(cause) => {
                let attempt = format!("could not find the host of {shown}");
                return Err(Failed::new(Fault::Transient, attempt).caused_by(cause));
            }
        };
        let is_allowed = self.allowed.contains(host.trim_end_matches('.'));
        let is_open = |reach: Reach| is_allowed || reach == Reach::Public;
        let at: Vec<IpAddr> = found.iter().filter(|(_, reach)| is_open(*reach)).map(|(ip, _)| *ip).collect();
        if at.is_empty() && !(is_proxied && found.is_empty()) {
            let failed = Failed::new(Fault::Refused, "a repository of a private network is refused");
            return Err(failed.caused_by(TransportError::Private { url: shown }));
        }
        Ok(Judged { host, port, at })
    }
}

impl Judged {
    /// The setting by which git asks nobody else for the host's addresses; none where it is an address.
    pub(crate) fn setting(&self) -> Option<String> {
        if self.at.is_empty() || self.is_address() {
            return None;
        }
        let written = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let at: Vec<String> = self.at.iter().map(written).collect();
        Some(format!("http.curloptResolve={}:{}:{}", self.host, self.port, at.join(",")))
    }

    /// The options by which ssh asks nobody else, and still knows the host by its name.
    pub(crate) fn options(&self) -> Vec<String> {
        let Some(at) = self.at.first().filter(|_| !self.is_address()) else { return Vec::new() };
        let alias = if self.port == 22 { self.host.clone() } else { format!("[{}]:{}", self.host, self.port) };
        vec![format!("HostName={at}"), format!("HostKeyAlias={alias}")]
    }

    fn is_address(&self) -> bool {
        format!("{}:{}", self.host, self.port).parse::<SocketAddr>().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use stave_transport::address::reach;

    use super::*;

    /// Names that lead somewhere, and nobody is asked.
    fn found(host: &str, _: u16) -> io::Result<Vec<(IpAddr, Reach)>> {
        let texts: &[&str] = match host {
            "git.example.com" => &["192.0.2.7", "2001:db8::7"],
            "inside.example.com" | "x.inside.example.com" => &["10.1.2.3"],
            "both.example.com" => &["127.0.0.1", "192.0.2.8"],
            "mapped.example.com" => &["::ffff:169.254.169.254"],
            "nowhere.example.com" => &[],
            "gone.example.com" => return Err(io::Error::other("no such host")),
            literal => &[literal.trim_matches(['[', ']'])],
        };
        Ok(texts.iter().map(|text| text.parse().unwrap()).map(|ip| (ip, reach(ip))).collect())
    }

    fn fence(allowed: &[&str]) -> Fence {
        Fence::looking_up(allowed, found)
    }

    fn judged(fence: &Fence, url: &str, is_proxied: bool) -> String {
        match fence.judge(&Address::of_wish(url).unwrap(), is_proxied) {
            Ok(judged) => {
                let setting = judged.setting().unwrap_or_else(|| "-".to_owned());
                format!("{setting} | {}", judged.options().join(" ")).trim_end().to_owned()
            }
            Err(failed) => format!("{:?}: {}", failed.fault, failed.sentence()),
        }
    }

    #[test]
    fn only_public_addresses_are_asked_and_nobody_is_asked_for_them_again() {
        let lines: Vec<String> = [
            "https://git.example.com/app",
            "https://GIT.example.com:8443/app",
            "git@git.example.com:app",
            "ssh://git@git.example.com:2222/app",
            "https://both.example.com/app",
            "https://192.0.2.9/app",
            "https://[2001:db8::9]/app",
            "https://inside.example.com/app",
            "git@inside.example.com:app",
            "https://mapped.example.com/app",
            "https://nowhere.example.com/app",
            "https://gone.example.com/app",
            "http://127.0.0.1:8080/app",
            "http://0.0.0.0/app",
            "https://[::1]/app",
            "https://[::ffff:10.0.0.1]/app",
            "https://[fe80::1]/app",
            "ssh://git@192.168.0.1/app",
            "git@169.254.169.254:app",
        ]
        .iter()
        .map(|url| judged(&fence(&[]), url, false))
        .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        http.curloptResolve=git.example.com:443:192.0.2.7,[2001:db8::7] | HostName=192.0.2.7 HostKeyAlias=[git.example.com]:443
        http.curloptResolve=git.example.com:8443:192.0.2.7,[2001:db8::7] | HostName=192.0.2.7 HostKeyAlias=[git.example.com]:8443
        http.curloptResolve=git.example.com:22:192.0.2.7,[2001:db8::7] | HostName=192.0.2.7 HostKeyAlias=git.example.com
        http.curloptResolve=git.example.com:2222:192.0.2.7,[2001:db8::7] | HostName=192.0.2.7 HostKeyAlias=[git.example.com]:2222
        http.curloptResolve=both.example.com:443:192.0.2.8 | HostName=192.0.2.8 HostKeyAlias=[both.example.com]:443
        - |
        - |
        Refused: a repository of a private network is refused: https://inside.example.com/app is not asked: its host has a private address
        Refused: a repository of a private network is refused: git@inside.example.com:app is not asked: its host has a private address
        Refused: a repository of a private network is refused: https://mapped.example.com/app is not asked: its host has a private address
        Refused: a repository of a private network is refused: https://nowhere.example.com/app is not asked: its host has a private address
        Transient: could not find the host of https://gone.example.com/app: no such host
        Refused: a repository of a private network is refused: http://127.0.0.1:8080/app is not asked: its host has a private address
        Refused: a repository of a private network is refused: http://0.0.0.0/app is not asked: its host has a private address
        Refused: a repository of a private network is refused: https://[::1]/app is not asked: its host has a private address
        Refused: the repository `https://[::ffff:a00:1]/app` is refused: its host is written in a way that is not read alike by all
        Refused: a repository of a private network is refused: https://[fe80::1]/app is not asked: its host has a private address
        Refused: a repository of a private network is refused: ssh://192.168.0.1/app is not asked: its host has a private address
        Refused: a repository of a private network is refused: git@169.254.169.254:app is not asked: its host has a private address
        ");
    }

    /// What is judged must be what git then asks.
    #[test]
    fn hosts_that_are_read_in_several_ways_are_refused() {
        let lines: Vec<String> = [
            "http://2130706433/app",
            "http://0x7f.1/app",
            "http://127.1/app",
            "http://%3127.0.0.1/app",
            "http://\u{ff11}27.0.0.1/app",
            "https://fa\u{df}.example.com/app",
            "git@2130706433:app",
            "git@git.example.com';x;':app",
            "git@$HOST:app",
            "file:///srv/app",
            "/srv/app",
        ]
        .iter()
        .map(|url| judged(&fence(&[]), url, false))
        .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        Refused: the repository `http://127.0.0.1/app` is refused: its host is written in a way that is not read alike by all
        Refused: the repository `http://127.0.0.1/app` is refused: its host is written in a way that is not read alike by all
        Refused: the repository `http://127.0.0.1/app` is refused: its host is written in a way that is not read alike by all
        Refused: the repository `http://127.0.0.1/app` is refused: its host is written in a way that is not read alike by all
        Refused: the repository `http://127.0.0.1/app` is refused: its host is written in a way that is not read alike by all
        Refused: the repository `https://xn--fa-hia.example.com/app` is refused: its host is written in a way that is not read alike by all
        Refused: the repository `git@2130706433:app` is refused: its host is written in a way that is not read alike by all
        Refused: the repository `git@git.example.com';x;':app` is refused: its host is written in a way that is not read alike by all
        Refused: the repository `git@$HOST:app` is refused: its host is written in a way that is not read alike by all
        Refused: the repository `file:///srv/app` is refused: it names no host
        Refused: the repository `/srv/app` is refused: it names no host
        ");
    }

    #[test]
    fn a_host_that_was_named_may_be_anywhere() {
        let fence = fence(&["inside.example.com", "127.0.0.1", "[::1]"]);
        for url in [
            "https://Inside.example.com/app",
            "git@inside.example.com:app",
            "http://127.0.0.1:1/app",
            "https://[::1]/app",
        ] {
            assert!(!judged(&fence, url, false).contains("refused"), "{url}");
        }
        assert!(judged(&fence, "http://127.0.0.2:1/app", false).starts_with("Refused"));
        assert!(judged(&fence, "https://x.inside.example.com/app", false).starts_with("Refused"));
    }

    #[test]
    fn a_proxy_looks_up_what_nobody_else_can() {
        let fence = fence(&[]);
        assert_eq!(judged(&fence, "https://gone.example.com/app", true), "- |");
        assert!(judged(&fence, "https://inside.example.com/app", true).starts_with("Refused"));
    }
}
