//! What can go wrong between this machine and a server, told so that a person or a retry can act on it.

use std::{error::Error as StdError, io, time::Duration};

use crate::{redirect::Refusal, resolver::LedAstray, roots::UnreadableBundle};

type Cause = Box<dyn StdError + Send + Sync>;

/// A failed exchange. Addresses in messages never carry user information or queries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network may not be used in this run.
    #[error("{url} was not asked: this run is offline")]
    Offline {
        /// What was wanted.
        url: String,
    },
    /// The run was cancelled, or the client shut down.
    #[error("cancelled while asking {url}")]
    Cancelled {
        /// What was wanted.
        url: String,
    },
    /// The request could not be written down: an address without a host, a header with a line break.
    #[error("{url} cannot be asked: {why}")]
    Request {
        /// What was wanted.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// No address is known for the host.
    #[error("could not find the host of {url}")]
    Resolve {
        /// What was wanted.
        url: String,
        /// What the resolver said.
        #[source]
        cause: Option<Cause>,
    },
    /// The host is in a private network, where only public ones may be asked.
    #[error("{url} is not asked: its host has a private address")]
    Private {
        /// What was wanted.
        url: String,
    },
    /// The host, or the proxy before it, could not be reached.
    #[error("could not connect to {url}")]
    Connect {
        /// What was wanted.
        url: String,
        /// Why not.
        #[source]
        cause: Cause,
    },
    /// The proxy's address is not one, or the proxy refused.
    #[error("could not reach {url} through the proxy")]
    Proxy {
        /// What was wanted.
        url: String,
        /// Why not.
        #[source]
        cause: Cause,
    },
    /// The server's certificate, or its TLS, was not acceptable. There is no way around: plain HTTP is never tried.
    #[error("could not set up a trusted connection to {url}")]
    Tls {
        /// What was wanted.
        url: String,
        /// Why not.
        #[source]
        cause: Cause,
    },
    /// A bundle of certificates was named that cannot be used.
    #[error("could not set up who to trust")]
    Roots(#[source] UnreadableBundle),
    /// A step took longer than it may.
    #[error("{url} took too long: more than {limit:?} {phase}")]
    Timeout {
        /// What was wanted.
        url: String,
        /// Which step, such as `to connect`.
        phase: &'static str,
        /// How long it may take.
        limit: Duration,
    },
    /// Bytes arrive, but so slowly that the end would not be seen.
    #[error("{url} is too slow: fewer than {least} bytes in {window:?}")]
    TooSlow {
        /// What was wanted.
        url: String,
        /// How many bytes were expected.
        least: u64,
        /// In which time.
        window: Duration,
    },
    /// The connection ended before the message did.
    #[error("the connection to {url} broke off")]
    Broken {
        /// What was wanted.
        url: String,
        /// How.
        #[source]
        cause: Cause,
    },
    /// What came was not HTTP as agreed.
    #[error("{url} answered with something that is not HTTP/1.1")]
    Protocol {
        /// What was wanted.
        url: String,
        /// In which way.
        #[source]
        cause: Cause,
    },
    /// The server answered, and the answer is not what was asked for.
    #[error("{url} answered {status}{}", reason(*.status))]
    Status {
        /// What was wanted.
        url: String,
        /// The status code.
        status: u16,
        /// How long the server asks us to wait, if it says so.
        retry_after: Option<Duration>,
    },
    /// The body is larger than the caller allows.
    #[error("{url} is larger than the {cap} bytes allowed")]
    TooLarge {
        /// What was wanted.
        url: String,
        /// How many bytes are allowed.
        cap: u64,
    },
    /// A redirect was not followed.
    #[error("{url} sent us to {to}, which is refused: {why}")]
    Redirect {
        /// Who sent us.
        url: String,
        /// Where.
        to: String,
        /// Why it is refused.
        why: Refusal,
    },
    /// What came could not be put where it belongs.
    #[error("could not keep what {url} sent")]
    Sink {
        /// What was wanted.
        url: String,
        /// What the receiver said.
        #[source]
        cause: io::Error,
    },
}

/// What a failure means for another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The network or the server had a bad moment.
    Passing {
        /// How long the server asks us to wait.
        retry_after: Option<Duration>,
    },
    /// It will be the same next time.
    Lasting,
}

impl Error {
    /// Whether another attempt could end differently.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Status { status, retry_after, .. } if is_passing(*status) => {
                Kind::Passing { retry_after: *retry_after }
            }
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::TooSlow { .. }
            | Self::Broken { .. } => Kind::Passing { retry_after: None },
            _ => Kind::Lasting,
        }
    }

    /// The status that the server answered with, if that is what went wrong.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Offline { .. } => Some("run once without --offline, so that what is missing is fetched and kept"),
            Self::Resolve { .. } | Self::Connect { .. } | Self::Timeout { .. } => {
                Some("check the network; behind a proxy, set HTTPS_PROXY (and NO_PROXY for hosts within)")
            }
            Self::Proxy { .. } => Some("check HTTP_PROXY and HTTPS_PROXY: expected http://host:port"),
            Self::Tls { .. } => Some(
                "where a company's proxy signs for other hosts, set SSL_CERT_FILE to a bundle that holds its certificate",
            ),
            Self::Roots(_) => Some(
                "correct it, or the setting that names it: PIP_CERT or pip's `cert`, npm's `cafile`, NODE_EXTRA_CA_CERTS, a registry's folder in certs.d, or Stave's own",
            ),
            Self::Status { status: 401 | 403, .. } => Some("check the credentials for this host"),
            Self::Status { status: 407, .. } => {
                Some("the proxy wants credentials: HTTPS_PROXY=http://user:password@host:port")
            }
            _ => None,
        }
    }

    /// An error as a reader must give it; [`Error::from_io`] takes it out again.
    pub fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::Timeout { .. } | Self::TooSlow { .. } => io::ErrorKind::TimedOut,
            Self::TooLarge { .. } => io::ErrorKind::FileTooLarge,
            Self::Broken { .. } => io::ErrorKind::ConnectionAborted,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }

    /// The error within an [`io::Error`] that a [`crate::response::Reader`] gave; others are given back.
    pub fn from_io(error: io::Error) -> Result<Self, io::Error> {
        error.downcast::<Self>()
    }
}

/// The statuses after which another attempt makes sense: those, and the server's own troubles but the ones that say "never".
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429)
        || matches!(status, 500..=599) && !matches!(status, 501 | 505 | 506 | 508 | 510 | 511)
}

/// The words for a status, for those that people meet.
fn reason(status: u16) -> &'static str {
    match status {
        400 => " (bad request)",
        401 => " (unauthorised)",
        403 => " (forbidden)",
        404 => " (not found)",
        407 => " (proxy authentication required)",
        410 => " (gone)",
        416 => " (range not satisfiable)",
        429 => " (too many requests)",
        500 => " (internal server error)",
        502 => " (bad gateway)",
        503 => " (service unavailable)",
        504 => " (gateway timeout)",
        _ => "",
    }
}

/// The limits that a timeout is reported with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    pub(crate) headers: Duration,
    pub(crate) idle: Duration,
}

/// An error of the library in our words, for an exchange with `url`.
pub(crate) fn translate(error: ureq::Error, url: String, limits: Limits) -> Error {
    match error {
        ureq::Error::HostNotFound => Error::Resolve { url, cause: None },
        ureq::Error::Timeout(step) => timed_out(step, url, limits),
        ureq::Error::Io(cause) => translate_io(cause, url, limits),
        ureq::Error::Other(cause) if cause.is::<LedAstray>() => Error::Private { url },
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) | ureq::Error::TlsRequired => {
            Error::Tls { url, cause: error.into() }
        }
        ureq::Error::InvalidProxyUrl | ureq::Error::ConnectProxyFailed(_) => Error::Proxy { url, cause: error.into() },
        ureq::Error::ConnectionFailed => Error::Connect { url, cause: error.into() },
        ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::BodyExceedsLimit(_) => {
            Error::Request { url, why: "it is not a well-formed request".to_owned() }
        }
        other => Error::Protocol { url, cause: other.into() },
    }
}

fn translate_io(cause: io::Error, url: String, limits: Limits) -> Error {
    use io::ErrorKind as Kind;
    // What a reader of ours gave travels through the library as an I/O error and is taken out here.
    let cause = match cause.downcast::<Error>() {
        Ok(ours) => return ours,
        Err(cause) => cause,
    };
    match cause.kind() {
        Kind::TimedOut | Kind::WouldBlock => timed_out(ureq::Timeout::PerRead, url, limits),
        // rustls reports its own errors so; HTTP's come as another variant.
        Kind::InvalidData => Error::Tls { url, cause: cause.into() },
        Kind::ConnectionRefused
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable
        | Kind::PermissionDenied => Error::Connect { url, cause: cause.into() },
        Kind::NotConnected => Error::Cancelled { url },
        _ if is_lookup(&cause) => Error::Resolve { url, cause: Some(cause.into()) },
        _ => Error::Broken { url, cause: cause.into() },
    }
}

/// The standard library gives failed look-ups no kind of their own.
fn is_lookup(error: &io::Error) -> bool {
    error.to_string().starts_with("failed to lookup address information")
}

fn timed_out(step: ureq::Timeout, url: String, limits: Limits) -> Error {
    let (phase, limit) = match step {
        ureq::Timeout::Resolve => ("to find the host", limits.connect),
        ureq::Timeout::Connect => ("to connect", limits.connect),
        ureq::Timeout::RecvResponse => ("to answer", limits.headers),
        ureq::Timeout::SendRequest | ureq::Timeout::PerWrite | ureq::Timeout::SendBody => {
            ("without taking a byte", limits.idle)
        }
        _ => ("without sending a byte", limits.idle),
    };
    Error::Timeout { url, phase, limit }
}
