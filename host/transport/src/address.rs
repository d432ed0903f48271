//! Which IP addresses are public, and which belong to this machine or to someone's own network.
//!
//! A public server must not be able to send this machine's client to a place that only this machine can reach: a
//! cloud's metadata service, a router's settings page, another process (server-side request forgery, N11).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// From where an address can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From anywhere.
    Public,
    /// Only from this machine or its network: loopback, link-local, private, shared, multicast, unspecified.
    Private,
}

/// The reach of `ip`, looking through the IPv6 forms that carry an IPv4 address.
pub fn reach(ip: IpAddr) -> Reach {
    let private = match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => embedded_v4(ip).map_or_else(|| is_private_v6(ip), is_private_v4),
    };
    if private { Reach::Private } else { Reach::Public }
}

/// The reach of the host of `url` as far as its text tells: none for a name that must be looked up.
pub fn reach_of_text(url: &Url) -> Option<Reach> {
    match url.host()? {
        Host::Ipv4(ip) => Some(reach(ip.into())),
        Host::Ipv6(ip) => Some(reach(ip.into())),
        Host::Domain(name) => is_local_name(name).then_some(Reach::Private),
    }
}

/// Whether `url` names this machine itself: `localhost`, 127.0.0.0/8, `::1`.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => is_local_name(name),
        None => false,
    }
}

/// `localhost` and everything below it is this machine (RFC 6761).
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || a == 0
        || a >= 240
        || (a == 100 && b & 0xc0 == 64)
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && b & 0xfe == 18)
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_unique_local() || ip.is_unicast_link_local()
        // Site-local addresses: deprecated (RFC 3879), yet routed by some.
        || ip.segments()[0] & 0xffc0 == 0xfec0
}

/// The IPv4 address within a mapped, compatible, NAT64 (RFC 6052) or 6to4 (RFC 3056) address.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = ip.segments();
    let join = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match parts {
        // `::1` and `::` are no IPv4 addresses.
        [0, 0, 0, 0, 0, 0, 0, _] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(join(high, low))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_private_from_public() {
        let private = [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
        ];
        for ip in private {
            assert_eq!(reach(ip.parse().unwrap()), Reach::Private, "{ip}");
        }
        for ip in
            ["1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]
        {
            assert_eq!(reach(ip.parse().unwrap()), Reach::Public, "{ip}");
        }
    }

    #[test]
    fn sees_through_the_ways_to_write_an_address() {
        let urls = [
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::ffff:7f00:1]/",
            "http://localhost/",
            "http://a.LOCALHOST./",
        ];
        for url in urls {
            assert_eq!(reach_of_text(&url.parse().unwrap()), Some(Reach::Private), "{url}");
        }
        assert_eq!(reach_of_text(&"http://1.1.1.1".parse().unwrap()), Some(Reach::Public));
        assert_eq!(reach_of_text(&"http://example.com".parse().unwrap()), None);
    }

    #[test]
    fn loopback_is_this_machine_alone() {
        assert!(
            is_loopback(&"http://127.0.0.1:5000".parse().unwrap()) && is_loopback(&"http://[::1]".parse().unwrap())
        );
        assert!(
            !is_loopback(&"http://10.0.0.1".parse().unwrap()) && !is_loopback(&"http://example.com".parse().unwrap())
        );
    }
}
