//! Whether a redirect is followed, and with what. A redirect is a wish of whoever answered, not of the user.

use std::fmt;

use url::Url;

use crate::{
    address::{Reach, reach_of_text},
    origin::Origin,
    request::Method,
};

/// How many redirects are followed in a row.
pub const MOST: u32 = 10;

/// Why a redirect is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There was no readable `Location`.
    NoTarget,
    /// Ten in a row.
    TooMany,
    /// From `https` to `http`.
    Downgrade,
    /// To something that is neither.
    Scheme,
    /// From a public host to a loopback, link-local or private address.
    Private,
    /// The body would have to be sent again and cannot be.
    Body,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTarget => "it does not say where",
            Self::TooMany => "too many redirects in a row",
            Self::Downgrade => "it would give up encryption",
            Self::Scheme => "only http and https are spoken",
            Self::Private => "a public server may not send us to a private address",
            Self::Body => "what was sent cannot be sent again",
        })
    }
}

/// What is known when a redirect arrives.
#[derive(Debug, Clone, Copy)]
pub struct Met<'a> {
    /// The status, 301, 302, 303, 307 or 308.
    pub status: u16,
    /// The request's method.
    pub method: Method,
    /// The address that answered.
    pub from: &'a Url,
    /// The `Location` header.
    pub location: Option<&'a str>,
    /// How many redirects were followed before.
    pub hops: u32,
    /// Whether only public addresses may follow.
    pub public_only: bool,
}

/// How a redirect is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// Where to. Without user information: nobody else chooses our credentials.
    pub url: Url,
    /// The method from here on.
    pub method: Method,
    /// Whether the body is sent again.
    pub keeps_body: bool,
    /// Whether credentials may be sent: only to the same scheme, host and port.
    pub keeps_secrets: bool,
}

/// Whether `status` is one that sends the client elsewhere.
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Decides about one redirect (RFC 9110, 15.4). The refused address is given where there is one.
pub fn decide(met: &Met<'_>) -> Result<Next, (Refusal, Option<Url>)> {
    let target = met.location.filter(|text| text.len() <= 8192).and_then(|text| met.from.join(text).ok());
    let Some(mut url) = target else { return Err((Refusal::NoTarget, None)) };
    if let Err(refusal) = may_lead(met.from, &url, met.public_only) {
        return Err((refusal, Some(url)));
    }
    if met.hops >= MOST {
        return Err((Refusal::TooMany, Some(url)));
    }
    // Neither fails for http and https.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if url.fragment().is_none() {
        url.set_fragment(met.from.fragment());
    }
    let becomes_get = match met.status {
        303 => met.method != Method::Head,
        301 | 302 => met.method == Method::Post,
        _ => false,
    };
    Ok(Next {
        method: if becomes_get { Method::Get } else { met.method },
        keeps_body: !becomes_get,
        keeps_secrets: Origin::of(met.from) == Origin::of(&url),
        url,
    })
}

/// Whether what `from` said may lead to `to`: a redirect, an address within an index, an upload's location.
pub fn may_lead(from: &Url, to: &Url, public_only: bool) -> Result<(), Refusal> {
    match (from.scheme(), to.scheme()) {
        ("https", "http") => Err(Refusal::Downgrade),
        (_, "http" | "https") if public_only && reach_of_text(to) == Some(Reach::Private) => Err(Refusal::Private),
        (_, "http" | "https") => Ok(()),
        _ => Err(Refusal::Scheme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(from: &str, location: &str, public_only: bool) -> Result<Next, Refusal> {
        let from = from.parse().unwrap();
        let met = Met { status: 302, method: Method::Get, from: &from, location: Some(location), hops: 0, public_only };
        decide(&met).map_err(|(refusal, _)| refusal)
    }

    #[test]
    fn refuses_what_a_stranger_may_not_ask() {
        let cases = [
            ("https://a.example.com/", "http://a.example.com/", Refusal::Downgrade),
            ("https://a.example.com/", "file:///etc/passwd", Refusal::Scheme),
            ("https://a.example.com/", "https://", Refusal::NoTarget),
            ("https://a.example.com/", "https://127.0.0.1/", Refusal::Private),
            ("http://a.example.com/", "http://169.254.169.254/latest", Refusal::Private),
            ("http://a.example.com/", "http://2852039166/", Refusal::Private),
            ("http://a.example.com/", "http://[::ffff:10.0.0.1]/", Refusal::Private),
            ("http://a.example.com/", "http://localhost:8080/", Refusal::Private),
        ];
        for (from, to, refusal) in cases {
            assert_eq!(met(from, to, true), Err(refusal), "{to}");
        }
        assert!(met("http://10.0.0.1/", "http://10.0.0.2/", false).is_ok());
    }

    #[test]
    fn secrets_stay_with_their_origin() {
        let keeps = |from: &str, to: &str| met(from, to, true).unwrap().keeps_secrets;
        assert!(
            keeps("https://a.example.com/x", "/y") && keeps("https://a.example.com/", "https://A.example.com:443/z")
        );
        for to in ["https://b.example.com/", "https://a.example.com:8443/", "//example.com/"] {
            assert!(!keeps("https://a.example.com/", to), "{to}");
        }
        assert!(!keeps("http://a.example.com/", "https://a.example.com/"));
        let next = met("https://a.example.com/", "https://u:p@a.example.com/", true).unwrap();
        assert_eq!(next.url.as_str(), "https://a.example.com/");
    }

    #[test]
    fn the_method_follows_the_status() {
        let from: Url = "https://a.example.com/".parse().unwrap();
        let next = |status, method| {
            let met = Met { status, method, from: &from, location: Some("/b"), hops: 0, public_only: true };
            let next = decide(&met).unwrap();
            (next.method, next.keeps_body)
        };
        assert_eq!(next(303, Method::Put), (Method::Get, false));
        assert_eq!(next(302, Method::Post), (Method::Get, false));
        assert_eq!(next(302, Method::Put), (Method::Put, true));
        assert_eq!(next(307, Method::Post), (Method::Post, true));
        assert_eq!(next(303, Method::Head), (Method::Head, true));
    }

    #[test]
    fn ends_somewhere() {
        let from: Url = "https://a.example.com/".parse().unwrap();
        let met =
            Met { status: 301, method: Method::Get, from: &from, location: Some("/"), hops: MOST, public_only: true };
        assert_eq!(decide(&met).unwrap_err().0, Refusal::TooMany);
    }
}
