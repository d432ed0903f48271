//! Whose requests are taken, before anything is looked up.
//!
//! A server of one's own machine is reached by every web page that one looks at. A page whose name is made to lead here sends
//! that name as `Host`; one that sends from elsewhere says so as `Origin` or `Sec-Fetch-Site`, and cannot send
//! `application/json` without asking first, which is never allowed. Each of these is refused.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, StatusCode, Uri, header, request::Parts};

use crate::{App, hmac, rights::Role, trouble::Trouble};

/// Who may ask for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Everybody who gets here.
    Open,
    /// Who knows a token, where there is one; which one is looked at once it is known what is asked for.
    Known,
    /// A git host that knows the webhooks' token: looked at by the handler, for the body is part of the proof.
    Hook,
}

/// Refuses what does not mean this server.
pub(crate) fn host(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<(), Trouble> {
    if !app.is_local {
        return Ok(());
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let is_here = match (hosts.next().map(|host| host.to_str()), hosts.next()) {
        (Some(Ok(host)), None) => is_this_machine(host),
        _ => false,
    };
    if is_here && uri.authority().is_none_or(|authority| is_this_machine(authority.as_str())) {
        return Ok(());
    }
    let detail = "this server is for its own machine: ask for localhost, 127.0.0.1 or [::1]";
    Err(Trouble::new(StatusCode::MISDIRECTED_REQUEST, detail))
}

/// Whether a `Host` can only mean the machine itself: whoever else has a say in names has none in these.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Refuses who does not say what has to be said, and what changes something on behalf of another site's page. Says whose token
/// it was, where one is needed.
pub(crate) fn gate<'a>(app: &'a App, gate: Gate, parts: &Parts) -> Result<Option<Role<'a>>, Trouble> {
    let whose = match gate {
        Gate::Open | Gate::Hook => None,
        Gate::Known => {
            let stranger = "this needs a header `Authorization: Bearer` with the token of this server";
            Some(whose(app, &parts.headers).ok_or_else(|| Trouble::stranger(stranger))?)
        }
    };
    if is_reading(&parts.method) || gate == Gate::Hook {
        return Ok(whose);
    }
    if is_of_another_site(&parts.headers) {
        return Err(Trouble::new(StatusCode::FORBIDDEN, "pages of other sites change nothing here"));
    }
    if has_body(&parts.headers) && !is_json(&parts.headers) {
        return Err(Trouble::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "write the body as application/json"));
    }
    Ok(whose)
}

/// Whether a request only looks.
pub(crate) fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whose token is brought, if it is one.
fn whose<'a>(app: &'a App, headers: &HeaderMap) -> Option<Role<'a>> {
    let Some(operators) = &app.services.token else { return Some(Role::Operator) };
    let developers = app.services.developers.as_ref();
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(given), None) = (all.next(), all.next()) else { return None };
    let given = given.as_bytes();
    let (scheme, given) = given.split_at(given.len().min(7));
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    // Each is compared, so that the time does not tell which one it is.
    let is_operators = hmac::is_same(given, operators.bytes());
    let is_developers = developers.is_some_and(|developers| hmac::is_same(given, developers.token.bytes()));
    match developers {
        _ if is_operators => Some(Role::Operator),
        Some(developers) if is_developers => Some(Role::Developer(&developers.namespaces)),
        _ => None,
    }
}

/// Whether a browser says that a page of another site asks. What is no browser says nothing of the kind.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let is_elsewhere = |origin: &str| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_none() || host != text("host")
    };
    text("origin").is_some_and(is_elsewhere)
        || text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are() {
        for host in ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:1", "127.1.2.3"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "example.com", "localhost.example.com", "127.0.0.1.example.com", "0.0.0.0", "[::]:80", ":80"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
