//! Name resolution that knows where an answer leads: remembers it for first hosts, and refuses a private one where a
//! public server sent us (N11). The check is made on the very addresses that are then connected to, so a name that
//! changes its answer between two questions (DNS rebinding) gains nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, ToSocketAddrs as _},
    sync::{Arc, Mutex, PoisonError},
};

use ureq::{
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

use crate::address::{Reach, reach};

/// How many hosts' answers are remembered; a run speaks to a handful.
const REMEMBERED: usize = 1024;

/// The reach of each host that was looked up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<BTreeMap<String, Reach>>>);

impl Seen {
    /// What the last look-up of `host` led to; none if it was never looked up here (a proxy does it).
    pub(crate) fn reach_of(&self, host: &str) -> Option<Reach> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied()
    }

    fn note(&self, host: &str, reach: Reach) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < REMEMBERED || seen.contains_key(host) {
            seen.insert(host.to_owned(), reach);
        }
    }
}

/// The addresses of a host and of which reach they are, for who connects by other means than this client.
pub fn look_up(host: &str, port: u16) -> io::Result<Vec<(IpAddr, Reach)>> {
    let bare = host.trim_matches(['[', ']']);
    let mut found = Vec::new();
    for address in (bare, port).to_socket_addrs()? {
        let address = (address.ip(), reach(address.ip()));
        if !found.contains(&address) {
            found.push(address);
        }
    }
    Ok(found)
}

/// A host led only to private addresses, where only public ones may be asked.
#[derive(Debug, thiserror::Error)]
#[error("its address belongs to a private network")]
pub(crate) struct LedAstray;

/// The resolver of an agent.
#[derive(Debug)]
pub(crate) struct Watchful {
    pub(crate) seen: Seen,
    /// Whether private answers are left out.
    pub(crate) public_only: bool,
    /// Hosts that may be private all the same.
    pub(crate) trusted: BTreeSet<String>,
    pub(crate) inner: DefaultResolver,
}

impl Resolver for Watchful {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let host = uri.host().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let private = found.iter().any(|addr| reach(addr.ip()) == Reach::Private);
        self.seen.note(&host, if private { Reach::Private } else { Reach::Public });
        if !self.public_only || !private || self.trusted.contains(&host) {
            return Ok(found);
        }
        let mut public = self.empty();
        found.iter().filter(|addr| reach(addr.ip()) == Reach::Public).for_each(|addr| public.push(*addr));
        if public.is_empty() { Err(ureq::Error::Other(Box::new(LedAstray))) } else { Ok(public) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_host_are_found_once() {
        assert_eq!(look_up("127.0.0.1", 80).unwrap(), [("127.0.0.1".parse().unwrap(), Reach::Private)]);
        assert_eq!(look_up("[::ffff:10.0.0.1]", 80).unwrap(), [("::ffff:10.0.0.1".parse().unwrap(), Reach::Private)]);
        assert_eq!(look_up("1.1.1.1", 80).unwrap(), [("1.1.1.1".parse().unwrap(), Reach::Public)]);
        let local = look_up("localhost", 80).unwrap();
        assert!(!local.is_empty() && local.iter().all(|(_, reach)| *reach == Reach::Private), "{local:?}");
    }

    #[test]
    fn a_private_answer_is_noted_and_refused_where_only_public_ones_may_follow() {
        let uri = Uri::from_static("http://127.0.0.1:80/");
        let resolve = |public_only, trusted: &[&str]| {
            let trusted = trusted.iter().map(|host| (*host).to_owned()).collect();
            let resolver = Watchful { seen: Seen::default(), public_only, trusted, inner: DefaultResolver::default() };
            let found = resolver.resolve(&uri, &Config::default(), NextTimeout::default());
            (resolver.seen.reach_of("127.0.0.1"), found.map(|found| found.len()))
        };
        assert!(matches!(resolve(false, &[]), (Some(Reach::Private), Ok(1))));
        assert!(matches!(resolve(true, &["127.0.0.1"]), (Some(Reach::Private), Ok(1))));
        let (_, refused) = resolve(true, &[]);
        assert!(matches!(refused, Err(ureq::Error::Other(cause)) if cause.is::<LedAstray>()));
    }
}
