//! The client: options, connections kept for reuse, and one exchange with the redirects it leads to.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ureq::{
    Agent, AsSendBody, Proxy, SendBody, http,
    tls::TlsConfig,
    unversioned::{
        resolver::DefaultResolver,
        transport::{Connector as _, DefaultConnector},
    },
};
use url::Url;

use crate::{
    address::{Reach, reach_of_text},
    clock::{Clock, Monotonic},
    fault::{self, Error, Limits},
    origin::{Origin, shown},
    patience::Patience,
    proxy::Proxies,
    redirect::{self, Met, Refusal},
    request::{Body, Method, Request},
    resolver::{Seen, Watchful},
    response::Response,
    roots::{self, Identity},
};

/// How a client behaves, for all its requests.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the client calls itself.
    pub user_agent: String,
    /// Bundles of CA certificates (PEM), trusted besides the system's.
    pub ca_bundles: Vec<PathBuf>,
    /// Who we are to servers that ask for a certificate.
    pub identity: Option<Identity>,
    /// Which proxies to use; [`Proxies::default`] for none.
    pub proxies: Proxies,
    /// Hosts that may have private addresses even where only public ones are asked, in lower case.
    pub trusted_hosts: BTreeSet<String>,
    /// Ask public addresses alone, also where no other host led there: for addresses that somebody else chose. A name that a proxy
    /// looks up is the proxy's to judge.
    pub public_only: bool,
    /// Refuse every request, naming what was wanted.
    pub offline: bool,
    /// How long it may take to find a host, and again to connect to it.
    pub connect: Duration,
    /// How long a server may take from the request's end to the end of its headers.
    pub headers: Duration,
    /// How long it may be silent within a body, or not take a byte of ours.
    pub idle: Duration,
    /// What to wait by before another attempt.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!("stave/", env!("CARGO_PKG_VERSION")).to_owned(),
            ca_bundles: Vec::new(),
            identity: None,
            proxies: Proxies::default(),
            trusted_hosts: BTreeSet::new(),
            public_only: false,
            offline: false,
            connect: Duration::from_secs(10),
            headers: Duration::from_mins(1),
            idle: Duration::from_secs(30),
            clock: Arc::new(Monotonic::default()),
        }
    }
}

/// The HTTP client. Clones share their connections; any number of threads may use it at once.
#[derive(Debug, Clone)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: Options,
    agents: Mutex<BTreeMap<Route, Agent>>,
    seen: Seen,
    family: Arc<Family>,
}

/// What a client has in common with those that were derived from it: they end together.
#[derive(Debug, Default)]
struct Family {
    closed: AtomicBool,
    agents: Mutex<Vec<Agent>>,
}

impl Family {
    /// Takes in an agent; false if the family has ended.
    fn adopt(&self, agent: &Agent) -> bool {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.has_ended() {
            agents.push(agent.clone());
            return true;
        }
        false
    }

    fn has_ended(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

/// What tells one pool of connections from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    proxy: Option<String>,
    public_only: bool,
}

impl Client {
    /// A client that has not connected to anything yet.
    pub fn new(options: Options) -> Self {
        Self::of_family(options, Arc::default())
    }

    fn of_family(options: Options, family: Arc<Family>) -> Self {
        Self(Arc::new(Shared { options, agents: Mutex::default(), seen: Seen::default(), family }))
    }

    /// A client with the same options that trusts the certificates in `bundles` too.
    #[must_use]
    pub fn trusting(&self, bundles: &[PathBuf]) -> Self {
        let mut options = self.0.options.clone();
        let new: Vec<_> = bundles.iter().filter(|path| !options.ca_bundles.contains(path)).cloned().collect();
        if new.is_empty() {
            return self.clone();
        }
        options.ca_bundles.extend(new);
        Self::of_family(options, Arc::clone(&self.0.family))
    }

    /// A client with the same options that shows this certificate to servers that ask for one.
    #[must_use]
    pub fn identified_by(&self, identity: Identity) -> Self {
        let options = Options { identity: Some(identity), ..self.0.options.clone() };
        Self::of_family(options, Arc::clone(&self.0.family))
    }

    /// A client with the same options that asks public addresses alone, and these hosts, in lower case, wherever they are.
    #[must_use]
    pub fn public_but(&self, hosts: BTreeSet<String>) -> Self {
        let options = Options { public_only: true, trusted_hosts: hosts, ..self.0.options.clone() };
        Self::of_family(options, Arc::clone(&self.0.family))
    }

    /// What is waited by before another attempt.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.options.clock
    }

    /// Whether every request is refused.
    pub fn is_offline(&self) -> bool {
        self.0.options.offline
    }

    /// Ends every exchange of this client, its clones and those derived from it, for good: what is blocked on the network wakes up with an
    /// error. For a signal that ends the run.
    pub fn shutdown(&self) {
        let agents = {
            let mut agents = self.0.family.agents.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.family.closed.store(true, Ordering::SeqCst);
            std::mem::take(&mut *agents)
        };
        agents.into_iter().for_each(Agent::shutdown);
    }

    /// Sends `request`, follows redirects if it says so, and gives the response whatever its status.
    pub fn send(&self, mut request: Request<'_>) -> Result<Response, Error> {
        if self.is_offline() {
            return Err(Error::Offline { url: request.shown() });
        }
        let is_trusted = self.is_trusted(&request.url);
        let mut public_only =
            self.0.options.public_only || request.led_by.as_ref().is_some_and(|index| self.is_public(index));
        if let Some(index) = &request.led_by {
            let refused = |why| Error::Redirect { url: shown(index), to: request.shown(), why };
            redirect::may_lead(index, &request.url, public_only && !is_trusted).map_err(refused)?;
        } else if public_only && !is_trusted && reach_of_text(&request.url) == Some(Reach::Private) {
            return Err(Error::Private { url: request.shown() });
        }
        let mut hops = 0;
        loop {
            let kept = request.again();
            let (method, follows) = (request.method, request.follows);
            let response = self.exchange(request, public_only)?;
            if !follows || !response.is_redirect() {
                return Ok(response);
            }
            public_only = public_only || self.is_public(response.url());
            request = self.redirected(&response, method, kept, hops, public_only)?;
            hops += 1;
        }
    }

    /// The request that a redirect asks for, if it may be followed.
    fn redirected(
        &self,
        response: &Response,
        method: Method,
        kept: Option<Request<'static>>,
        hops: u32,
        public_only: bool,
    ) -> Result<Request<'static>, Error> {
        let from = response.url();
        let location = response.header("location");
        let target = location.and_then(|text| from.join(text).ok());
        let public_only = public_only && !target.is_some_and(|url| self.is_trusted(&url));
        let met = Met { status: response.status(), method, from, location, hops, public_only };
        let refused = |why, to: Option<Url>| {
            let to = to.map_or_else(|| "another address".to_owned(), |to| shown(&to));
            Error::Redirect { url: shown(from), to, why }
        };
        let next = redirect::decide(&met).map_err(|(why, to)| refused(why, to))?;
        let Some(mut request) = kept else { return Err(refused(Refusal::Body, Some(next.url))) };
        if !next.keeps_secrets {
            request.drop_secrets();
        }
        if !next.keeps_body {
            request.body = Body::Empty;
            request.headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
        }
        (request.url, request.method) = (next.url, next.method);
        Ok(request)
    }

    /// Whether a host is known to have public addresses only. One that a proxy looks up counts as public.
    fn is_public(&self, url: &Url) -> bool {
        let by_text = reach_of_text(url);
        let looked_up = || Origin::of(url).and_then(|origin| self.0.seen.reach_of(origin.host()));
        by_text.or_else(looked_up) != Some(Reach::Private)
    }

    fn is_trusted(&self, url: &Url) -> bool {
        Origin::of(url).is_some_and(|origin| self.0.options.trusted_hosts.contains(origin.host()))
    }

    /// One request, one response.
    fn exchange(&self, request: Request<'_>, public_only: bool) -> Result<Response, Error> {
        let options = &self.0.options;
        let limits = Limits { connect: options.connect, headers: options.headers, idle: options.idle };
        let name = request.shown();
        let agent = self.agent(&request.url, public_only)?;
        let (head, url, cap) = (head_of(&request)?, request.url, request.cap);
        let has_body = request.method != Method::Head;
        let result = match request.body {
            Body::Empty if matches!(request.method, Method::Get | Method::Head | Method::Delete) => {
                run(&agent, head, SendBody::none())
            }
            Body::Empty => run(&agent, head, (&[] as &[u8]).as_body()),
            Body::Bytes(bytes) => run(&agent, head, bytes.as_slice().as_body()),
            Body::Reader(size, reader) => {
                let mut exact = Exact { reader, left: size };
                run(&agent, head, SendBody::from_reader(&mut exact))
            }
        };
        match result {
            Ok(inner) => Ok(Response::new(url, inner, cap, limits, has_body)),
            Err(_) if self.0.family.has_ended() => Err(Error::Cancelled { url: name }),
            Err(error) => Err(fault::translate(error, name, limits)),
        }
    }

    fn agent(&self, url: &Url, public_only: bool) -> Result<Agent, Error> {
        let options = &self.0.options;
        let proxy = options.proxies.choose(url).map(str::to_owned);
        // With a proxy only its own address is looked up here, and that may well be private.
        let public_only = public_only && proxy.is_none();
        let route = Route { proxy, public_only };
        let mut agents = self.0.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.family.has_ended() {
            return Err(Error::Cancelled { url: shown(url) });
        }
        if let Some(agent) = agents.get(&route) {
            return Ok(agent.clone());
        }
        let proxy = route.proxy.as_deref().map(Proxy::new).transpose();
        let proxy = proxy.map_err(|cause| Error::Proxy { url: shown(url), cause: cause.into() })?;
        let roots = roots::load(&options.ca_bundles).map_err(Error::Roots)?;
        let identity = options.identity.as_ref().map(Identity::load).transpose().map_err(Error::Roots)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .tls_config(TlsConfig::builder().root_certs(roots).client_cert(identity).build())
            .user_agent(&options.user_agent)
            .accept_encoding("identity")
            .timeout_resolve(Some(options.connect))
            .timeout_connect(Some(options.connect))
            .timeout_recv_response(Some(options.headers))
            .timeout_per_write(Some(options.idle))
            .build();
        let resolver = Watchful {
            seen: self.0.seen.clone(),
            public_only,
            trusted: options.trusted_hosts.clone(),
            inner: DefaultResolver::default(),
        };
        let connector = DefaultConnector::default().chain(Patience { idle: options.idle });
        let agent = Agent::with_parts(config, connector, resolver);
        if !self.0.family.adopt(&agent) {
            return Err(Error::Cancelled { url: shown(url) });
        }
        agents.insert(route, agent.clone());
        Ok(agent)
    }
}

type Head = http::request::Builder;

/// Method, address and headers.
fn head_of(request: &Request<'_>) -> Result<Head, Error> {
    let mut bare = request.url.clone();
    bare.set_fragment(None);
    let mut head = http::Request::builder().method(request.method.as_str()).uri(bare.as_str());
    for (name, value) in &request.headers {
        head = head.header(name, value);
    }
    if let Some((_, authorization)) =
        request.authorization.as_ref().filter(|(origin, _)| Origin::of(&request.url).as_ref() == Some(origin))
    {
        head = head.header("authorization", authorization.header());
    }
    if let Body::Reader(size, _) = &request.body {
        head = head.header("content-length", *size);
    }
    // The library's own message may hold the address with its secrets.
    let invalid = |why: &str| Error::Request { url: request.shown(), why: why.to_owned() };
    if !matches!(request.url.scheme(), "http" | "https") {
        return Err(invalid("only http and https are spoken"));
    }
    if head.headers_ref().is_none() {
        return Err(invalid("its address or one of its headers is not well-formed"));
    }
    Ok(head)
}

fn run(agent: &Agent, head: Head, body: SendBody<'_>) -> Result<http::Response<ureq::Body>, ureq::Error> {
    agent.run(head.body(body)?)
}

/// A reader that gives exactly as many bytes as were announced, or fails.
struct Exact<'a> {
    reader: Box<dyn Read + Send + 'a>,
    left: u64,
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let n = self.reader.read(&mut buffer[..wanted])?;
        if n == 0 {
            let message = format!("{} bytes fewer to send than announced", self.left);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
