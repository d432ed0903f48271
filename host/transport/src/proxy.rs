//! Proxies as the environment names them: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.
//!
//! The rules are curl's, which most tools follow: lower case wins, `http_proxy` is read in lower case only when a
//! web server could have set the upper-case one (`REQUEST_METHOD`), and this machine is never reached by proxy.
//! Plain `http` is tunnelled with `CONNECT` too: a proxy that allows that for port 443 alone must be passed by with
//! `NO_PROXY`, or the address be one with `https`.

use url::Url;

use crate::address;

/// What the environment says about proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http` addresses.
    pub http: Option<String>,
    /// For `https` addresses.
    pub https: Option<String>,
    /// Hosts that are reached without one: names, `.suffixes`, addresses, networks (`10.0.0.0/8`) or `*`, each with an
    /// optional `:port`.
    pub without: Vec<String>,
}

impl Proxies {
    /// Reads the variables through `variable`.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| variable(name)).map(|v| v.trim().to_owned());
        let set = |names: &[&str]| first(names).filter(|value| !value.is_empty());
        let in_cgi = variable("REQUEST_METHOD").is_some();
        let http: &[&str] = if in_cgi { &["http_proxy"] } else { &["http_proxy", "HTTP_PROXY"] };
        let any = || set(&["all_proxy", "ALL_PROXY"]);
        let without = set(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
        Self {
            http: set(http).or_else(any),
            https: set(&["https_proxy", "HTTPS_PROXY"]).or_else(any),
            without: without.split([',', ' ']).filter(|entry| !entry.is_empty()).map(str::to_owned).collect(),
        }
    }

    /// The proxy through which `url` is reached, if any.
    pub fn choose(&self, url: &Url) -> Option<&str> {
        if address::is_loopback(url) || self.without.iter().any(|entry| covers(entry, url)) {
            return None;
        }
        match url.scheme() {
            "http" => self.http.as_deref(),
            "https" => self.https.as_deref(),
            _ => None,
        }
    }
}

/// Whether a `NO_PROXY` entry covers `url`.
fn covers(entry: &str, url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    if let (Some((network, bits)), Ok(ip)) = (entry.split_once('/'), host.parse()) {
        return in_network(ip, network, bits);
    }
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, port.parse::<u16>().ok()),
        _ => (entry, None),
    };
    if port.is_some() && port != url.port_or_known_default() {
        return false;
    }
    let name = name.trim_matches(['[', ']']).trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
    let below = || {
        let tail = host.len().checked_sub(name.len() + 1);
        tail.is_some_and(|at| host.as_bytes()[at] == b'.' && host[at + 1..].eq_ignore_ascii_case(name))
    };
    name == "*" || (!name.is_empty() && (host.eq_ignore_ascii_case(name) || below()))
}

fn in_network(ip: std::net::IpAddr, network: &str, bits: &str) -> bool {
    use std::net::IpAddr::{V4, V6};
    let (Ok(network), Ok(bits)) = (network.parse(), bits.parse::<u32>()) else { return false };
    let (a, b, width) = match (ip, network) {
        (V4(a), V4(b)) => (u128::from(u32::from(a)), u128::from(u32::from(b)), 32),
        (V6(a), V6(b)) => (u128::from(a), u128::from(b), 128),
        _ => return false,
    };
    bits == 0 || (bits <= width && (a >> (width - bits)) == (b >> (width - bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Proxies {
        Proxies::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn each_scheme_has_its_own() {
        let proxies =
            read(&[("HTTP_PROXY", "http://a:1"), ("https_proxy", "http://b:2"), ("HTTPS_PROXY", "http://c:3")]);
        let chosen = |url: &str| proxies.choose(&url.parse().unwrap()).map(str::to_owned);
        assert_eq!(chosen("http://example.com").as_deref(), Some("http://a:1"));
        assert_eq!(chosen("https://example.com").as_deref(), Some("http://b:2"));
        assert_eq!(chosen("http://127.0.0.1:5000"), None);
        assert_eq!(read(&[("HTTP_PROXY", "http://a:1"), ("REQUEST_METHOD", "GET")]).http, None);
        assert_eq!(read(&[("all_proxy", "http://a:1"), ("http_proxy", " ")]).http.as_deref(), Some("http://a:1"));
    }

    #[test]
    fn some_hosts_are_reached_without() {
        let covered = |without: &str, url: &str| {
            let proxies = read(&[("http_proxy", "http://p:1"), ("no_proxy", without)]);
            proxies.choose(&url.parse().unwrap()).is_none()
        };
        let cases = [
            ("example.com", "http://example.com", true),
            ("example.com", "http://a.Example.com.", true),
            (".example.com", "http://a.example.com", true),
            ("*.example.com", "http://a.example.com", true),
            ("example.com", "http://badexample.com", false),
            ("x, 10.0.0.0/8", "http://10.1.2.3", true),
            ("10.0.0.0/8", "http://11.1.2.3", false),
            ("fd00::/8", "http://[fd12::1]", true),
            ("example.com:8080", "http://example.com:8080", true),
            ("example.com:8080", "http://example.com", false),
            ("*", "http://example.com", true),
            (".", "http://example.com", false),
            ("é", "http://example.com", false),
        ];
        for (without, url, expected) in cases {
            assert_eq!(covered(without, url), expected, "{without} {url}");
        }
    }
}
