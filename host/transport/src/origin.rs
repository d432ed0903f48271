//! Origins, and how addresses are shown: user information, queries and fragments carry secrets and are left out.

use std::fmt;

use url::Url;

/// Scheme, host and port (RFC 6454): what a credential is bound to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of `url`; none if it has no host or no known port.
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.trim_end_matches('.').to_ascii_lowercase(),
            port: url.port_or_known_default()?,
        })
    }

    /// The host in lower case, without a final dot.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// `url` for a message: without user information, query and fragment, and at most 200 characters.
pub fn shown(url: &Url) -> String {
    let mut bare = url.clone();
    // Both fail only for addresses that cannot have user information.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    let had_query = bare.query().is_some();
    bare.set_query(None);
    bare.set_fragment(None);
    let mut text: String = bare.as_str().chars().take(200).flat_map(char::escape_debug).collect();
    if bare.as_str().len() > 200 {
        text.push('…');
    } else if had_query {
        text.push_str("?…");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_differ_by_scheme_host_or_port() {
        let origin = |text: &str| Origin::of(&text.parse().unwrap()).unwrap();
        assert_eq!(origin("https://Example.com/a"), origin("https://example.com.:443/b?c"));
        for other in ["http://example.com", "https://example.com:8443", "https://a.example.com"] {
            assert_ne!(origin("https://example.com"), origin(other));
        }
        assert_eq!(Origin::of(&"data:,x".parse().unwrap()), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = |text: &str| shown(&text.parse().unwrap());
        assert_eq!(shown("https://user:pa55@example.com/simple/?token=s3cret#x"), "https://example.com/simple/?…");
        assert_eq!(shown("https://example.com/a"), "https://example.com/a");
        assert_eq!(shown(&format!("https://example.com/{}", "a".repeat(300))).chars().count(), 201);
    }
}
