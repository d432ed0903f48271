//! What is asked of a server: method, address, headers, body, credentials, and how much answer is acceptable.

use std::{fmt, io::Read};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use url::Url;

use crate::origin::{Origin, shown};

/// The most a response may hold unless the request says otherwise: enough for any manifest or small index.
pub const DEFAULT_CAP: u64 = 4 << 20;

/// Headers that carry a secret and therefore stay with the origin they were meant for.
const SECRET: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-registry-auth"];

/// The methods that Stave uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads the headers alone.
    Head,
    /// Starts something.
    Post,
    /// Puts the body at the address.
    Put,
    /// Adds the body to what is there.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// The method as it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What is sent with a request.
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// Bytes in memory: can be sent again.
    Bytes(Vec<u8>),
    /// That many bytes from a reader, sent once. A reader that ends early breaks the exchange off.
    Reader(u64, Box<dyn Read + Send + 'a>),
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Reader(size, _) => write!(f, "Reader({size})"),
        }
    }
}

/// Credentials, never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    /// User and password (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// The password or token.
        password: String,
    },
    /// A bearer token (RFC 6750).
    Bearer(String),
}

impl Authorization {
    /// The value of the `Authorization` header.
    pub fn header(&self) -> String {
        match self {
            Self::Basic { user, password } => format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))),
            Self::Bearer(token) => format!("Bearer {token}"),
        }
    }

    /// What `user:password@` in an address says; none if there is nothing.
    pub fn of_url(url: &Url) -> Option<Self> {
        let decode = |text: &str| String::from_utf8(unescape(text)).ok();
        let (user, password) = (decode(url.username())?, decode(url.password().unwrap_or_default())?);
        (!user.is_empty() || !password.is_empty()).then_some(Self::Basic { user, password })
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic(…)",
            Self::Bearer(_) => "Bearer(…)",
        })
    }
}

/// Decodes `%XX`; what is no escape stays.
fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let escaped = pair.filter(|_| bytes[at] == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        decoded.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    decoded
}

/// One request.
#[derive(Debug)]
pub struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) authorization: Option<(Origin, Authorization)>,
    pub(crate) body: Body<'a>,
    pub(crate) cap: u64,
    pub(crate) follows: bool,
    pub(crate) led_by: Option<Url>,
}

impl<'a> Request<'a> {
    /// A request for `url`. User information in it becomes credentials for its origin. Redirects are followed for
    /// `GET` and `HEAD`, and handed to the caller otherwise.
    pub fn new(method: Method, mut url: Url) -> Self {
        let authorization = Origin::of(&url).zip(Authorization::of_url(&url));
        // Both fail only for addresses that cannot have user information.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Self {
            method,
            url,
            headers: Vec::new(),
            authorization,
            body: Body::Empty,
            cap: DEFAULT_CAP,
            follows: matches!(method, Method::Get | Method::Head),
            led_by: None,
        }
    }

    /// `GET url`.
    pub fn get(url: Url) -> Self {
        Self::new(Method::Get, url)
    }

    /// `HEAD url`.
    pub fn head(url: Url) -> Self {
        Self::new(Method::Head, url)
    }

    /// Adds a header. Those that carry a secret are dropped on the way to another origin.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Credentials for the origin of this request's address, and no other.
    #[must_use]
    pub fn authorization(mut self, authorization: Authorization) -> Self {
        self.authorization = Origin::of(&self.url).map(|origin| (origin, authorization));
        self
    }

    /// What to send.
    #[must_use]
    pub fn body(mut self, body: Body<'a>) -> Self {
        self.body = body;
        self
    }

    /// How many bytes the response's body may have.
    #[must_use]
    pub fn cap(mut self, bytes: u64) -> Self {
        self.cap = bytes;
        self
    }

    /// Whether redirects are followed, or handed to the caller like any other response.
    #[must_use]
    pub fn follow_redirects(mut self, follow: bool) -> Self {
        self.follows = follow;
        self
    }

    /// Says that this address was named by a response of `index` (an address within an index, an upload's location, a
    /// token service), so that the rules for redirects hold for it: no way from `https` to `http`, nor from a public
    /// host to a private address.
    #[must_use]
    pub fn led_by(mut self, index: &Url) -> Self {
        self.led_by = Some(index.clone());
        self
    }

    /// The address, without user information.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The address for a message.
    pub fn shown(&self) -> String {
        shown(&self.url)
    }

    /// The same request once more; none if its body can be read only once.
    pub fn again(&self) -> Option<Request<'static>> {
        let body = match &self.body {
            Body::Empty => Body::Empty,
            Body::Bytes(bytes) => Body::Bytes(bytes.clone()),
            Body::Reader(..) => return None,
        };
        Some(Request {
            method: self.method,
            url: self.url.clone(),
            headers: self.headers.clone(),
            authorization: self.authorization.clone(),
            body,
            cap: self.cap,
            follows: self.follows,
            led_by: self.led_by.clone(),
        })
    }

    pub(crate) fn drop_secrets(&mut self) {
        self.authorization = None;
        self.headers.retain(|(name, _)| !SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_information_becomes_credentials_and_leaves_the_address() {
        let request = Request::get("https://us%40er:p%2Fw@example.com/simple/".parse().unwrap());
        assert_eq!(request.url().as_str(), "https://example.com/simple/");
        let (origin, authorization) = request.authorization.as_ref().unwrap();
        assert_eq!(origin.to_string(), "https://example.com:443");
        assert_eq!(*authorization, Authorization::Basic { user: "us@er".to_owned(), password: "p/w".to_owned() });
        assert_eq!(authorization.header(), "Basic dXNAZXI6cC93");
        assert!(!format!("{request:?}").contains("p/w"));
    }

    #[test]
    fn a_reader_is_not_sent_twice() {
        let url: Url = "https://example.com/".parse().unwrap();
        let bytes = Request::new(Method::Put, url.clone()).body(Body::Bytes(b"x".to_vec()));
        assert!(bytes.again().is_some());
        let reader = Request::new(Method::Put, url).body(Body::Reader(1, Box::new(&b"x"[..])));
        assert!(reader.again().is_none());
    }
}
