//! What a registry asks for before it answers (RFC 9110, 11; docker's "Token Authentication"), and whether it gets it.
//!
//! The registry's answer names the place that hands out tokens, so a hostile one could name any place. A login therefore
//! goes only over TLS, or in the open to the registry's own host where that is spoken to in the open anyway.

use serde::Deserialize;
use stave_transport::{
    Client, Error, Method, Request,
    fault::Kind,
    origin::shown,
    request::{Authorization, Body},
};
use url::{Url, form_urlencoded};

use super::credentials::Login;

/// The largest answer of a token service, and the longest token, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;
/// The longest header with challenges that is read.
const MAX_HEADER: usize = 8192;

/// Where a token is asked for, and what for.
pub(super) struct Realm<'a> {
    pub(super) client: &'a Client,
    pub(super) base: &'a Url,
    pub(super) scopes: &'a [String],
}

/// One challenge of `WWW-Authenticate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lower case.
    scheme: String,
    /// Names in lower case.
    parameters: Vec<(String, String)>,
}

/// Why there is nothing to answer a challenge with.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthError {
    /// The token service could not be asked.
    #[error("the token service could not be asked")]
    Exchange(#[source] Error),
    /// None of the schemes is known.
    #[error("the registry refuses access and asks for nothing that Stave knows")]
    Unknown,
    /// A user and password are asked for, and there are none.
    #[error("the registry asks for a user and password")]
    NoLogin,
    /// The realm is not one that may be asked.
    #[error("the registry's token service `{}` is not asked: {why}", .realm.escape_debug())]
    Realm {
        /// What the registry named, cut and without a user.
        realm: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The token service refused.
    #[error("the token service refused")]
    Refused(#[source] Error),
    /// What it answered is not a token.
    #[error("the token service's answer holds no token")]
    NoToken,
}

impl Challenge {
    /// Reads all challenges of these headers; what cannot be read is left out.
    pub(super) fn of(headers: &[&str]) -> Vec<Self> {
        headers.iter().filter(|header| header.len() <= MAX_HEADER).flat_map(|header| parse(header)).collect()
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Splits a header at commas outside of quotes; an item with a word before its first `=` begins a challenge.
fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    for item in items(header) {
        let (head, value) = item.split_once('=').unwrap_or((&item, ""));
        let mut words = head.split_whitespace();
        let name = match (words.next(), words.next(), words.next()) {
            (Some(scheme), name, None) if is_token(scheme) && (name.is_some() || !item.contains('=')) => {
                challenges.push(Challenge { scheme: scheme.to_ascii_lowercase(), parameters: Vec::new() });
                name
            }
            (name, None, None) => name,
            _ => None,
        };
        if let (Some(challenge), Some(name)) = (challenges.last_mut(), name) {
            challenge.parameters.push((name.to_ascii_lowercase(), unquoted(value.trim())));
        }
    }
    challenges
}

/// Whether this could be the name of a scheme (RFC 9110, 11.1, and what there is of them).
fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn items(header: &str) -> Vec<String> {
    let (mut items, mut item, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for c in header.chars() {
        match c {
            ',' if !quoted => items.push(std::mem::take(&mut item)),
            _ => {
                if c == '"' && !escaped {
                    quoted = !quoted;
                }
                escaped = quoted && c == '\\' && !escaped;
                item.push(c);
            }
        }
    }
    items.push(item);
    items.into_iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return value.to_owned() };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

/// Answers the strongest challenge that is understood.
pub(super) fn answer(
    realm: &Realm<'_>,
    challenges: &[Challenge],
    login: Option<&Login>,
) -> Result<Authorization, AuthError> {
    if let Some(Login::RegistryToken(token)) = login {
        return Ok(Authorization::Bearer(token.clone()));
    }
    if let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") {
        return token(realm, bearer, login).map(Authorization::Bearer);
    }
    if challenges.iter().any(|challenge| challenge.scheme == "basic") {
        return match login {
            Some(Login::Password { user, password }) => {
                Ok(Authorization::Basic { user: user.clone(), password: password.clone() })
            }
            _ => Err(AuthError::NoLogin),
        };
    }
    Err(AuthError::Unknown)
}

/// The token service's address, if a login may go there.
fn service(base: &Url, text: &str) -> Result<Url, AuthError> {
    let unreadable = || AuthError::Realm { realm: text.chars().take(200).collect(), why: "it is not an address" };
    let url: Url = text.parse().map_err(|_| unreadable())?;
    let refused = |why| AuthError::Realm { realm: shown(&url), why };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it brings a user of its own"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if base.scheme() == "http" && url.host_str() == base.host_str() => Ok(url),
        "http" => Err(refused("it would be spoken to without encryption")),
        _ => Err(refused("only http and https are spoken")),
    }
}

/// Asks for a token: with a password or without by `GET`, with an identity token by `POST` (docker's
/// protocol for refresh tokens).
fn token(realm: &Realm<'_>, challenge: &Challenge, login: Option<&Login>) -> Result<String, AuthError> {
    #[derive(Deserialize)]
    struct Tokens {
        token: Option<String>,
        access_token: Option<String>,
    }
    let mut url = service(realm.base, challenge.get("realm").unwrap_or_default())?;
    let name = challenge.get("service");
    let request = match login {
        Some(Login::IdentityToken(identity)) => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token").append_pair("client_id", "stave");
            form.append_pair("refresh_token", identity).append_pair("scope", &realm.scopes.join(" "));
            if let Some(name) = name {
                form.append_pair("service", name);
            }
            let body = Body::Bytes(form.finish().into_bytes());
            Request::new(Method::Post, url).header("content-type", "application/x-www-form-urlencoded").body(body)
        }
        other => {
            if let Some(name) = name {
                url.query_pairs_mut().append_pair("service", name);
            }
            for scope in realm.scopes {
                url.query_pairs_mut().append_pair("scope", scope);
            }
            let request = Request::get(url);
            match other {
                Some(Login::Password { user, password }) => {
                    request.authorization(Authorization::Basic { user: user.clone(), password: password.clone() })
                }
                _ => request,
            }
        }
    };
    let response = realm.client.send(request.led_by(realm.base).cap(MAX_ANSWER)).map_err(AuthError::Exchange)?;
    let response = response.success().map_err(|error| match error.kind() {
        Kind::Passing { .. } => AuthError::Exchange(error),
        Kind::Lasting => AuthError::Refused(error),
    })?;
    let bytes = response.bytes().map_err(AuthError::Exchange)?;
    let tokens: Tokens = serde_json::from_slice(&bytes).map_err(|_| AuthError::NoToken)?;
    let token = tokens.token.or(tokens.access_token).ok_or(AuthError::NoToken)?;
    // Anything else could not stand in a header.
    let good = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(token) } else { Err(AuthError::NoToken) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_servers_write_them() {
        let shown = |header: &str| {
            let shown = Challenge::of(&[header]).into_iter().map(|Challenge { scheme, parameters }| {
                let parameters: Vec<String> =
                    parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{scheme}({})", parameters.join(";"))
            });
            shown.collect::<Vec<_>>().join(" ")
        };
        let bearer =
            r#"Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a:pull,push""#;
        let cases = [
            (bearer, "bearer(realm=https://auth.example.com/token;service=registry;scope=repository:a:pull,push)"),
            (r#"Basic realm="Registry Realm""#, "basic(realm=Registry Realm)"),
            (r#"BASIC realm=x, Bearer realm="y" , service=z"#, "basic(realm=x) bearer(realm=y;service=z)"),
            (r#"Negotiate, Basic realm="a\"b,c""#, r#"negotiate() basic(realm=a"b,c)"#),
            ("", ""),
            (",,=,\"", ""),
            (r#"Bearer realm="open"#, "bearer(realm=\"open)"),
        ];
        for (header, expected) in cases {
            assert_eq!(shown(header), expected, "{header}");
        }
        assert_eq!(Challenge::of(&[&"Basic a=b,".repeat(5000)]), []);
    }

    #[test]
    fn a_login_goes_only_where_it_may() {
        let cases = [
            ("https://registry.example.com/v2/", "https://auth.example.com/token", true),
            ("https://registry.example.com/v2/", "http://registry.example.com/token", false),
            ("https://registry.example.com/v2/", "http://127.0.0.1/token", false),
            ("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5001/token", true),
            ("http://127.0.0.1:5000/v2/", "http://auth.example.com/token", false),
            ("http://127.0.0.1:5000/v2/", "https://auth.example.com/token", true),
            ("https://registry.example.com/v2/", "file:///etc/passwd", false),
            ("https://registry.example.com/v2/", "https://user:pass@auth.example.com/token", false),
            ("https://registry.example.com/v2/", "/token", false),
            ("https://registry.example.com/v2/", "", false),
        ];
        for (base, realm, good) in cases {
            assert_eq!(service(&base.parse().unwrap(), realm).is_ok(), good, "{base} {realm}");
        }
    }
}
