//! Who is no client of ours: other sites, strangers, the slow, the large, and those who write nonsense.

use std::{
    io::{Read as _, Write as _},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use serde_json::json;
use stave_platform::port::Records as _;

use super::{
    client::{connect, reply, request, send},
    town::{Town, WEB, image, key},
};
use crate::{Secret, hmac::hmac, serve::Manners};

#[test]
fn names_that_name_nothing_are_refused() {
    let town = Town::new();
    for name in [
        "%00",
        "%FF%FE",
        "..%2F..%2Fetc",
        "WEB",
        "a%20b",
        "%E2%80%AE",
        &"a".repeat(64),
        "%25",
        "%C3%28",
        "~",
        "a%0d%0aX:%20y",
    ] {
        for what in ["GET", "DELETE"] {
            let reply = town.ask(&format!("{what} /v1/namespaces/team/images/{name}"));
            assert_eq!(reply.status, 400, "{name}");
            assert!(!reply.refusal().contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{name}");
        }
        assert_eq!(town.ask(&format!("GET /v1/clusterstacks/{name}")).status, 400, "{name}");
        assert_eq!(town.ask(&format!("GET /v1/namespaces/{name}/images/web/builds/1/log")).status, 400, "{name}");
    }
    assert_eq!(town.ask("GET /").refusal(), "404 there is nothing at this address");
    assert_eq!(town.ask("GET /v1/namespaces/team/images/").status, 404);
    assert_eq!(town.ask("GET /v1/namespaces/team/images/a/b").status, 404);
    let wrong = town.ask("PATCH /v1/images");
    assert_eq!(wrong.refusal(), "405 this address is not asked so: see the header `Allow`");
    assert_eq!(wrong.header("allow"), "GET,HEAD");
}

#[test]
fn bodies_that_are_no_manifests_are_refused() {
    let town = Town::new();
    let put =
        |body: &[u8]| town.ask_with(&format!("PUT {WEB}"), &["Content-Type: application/json; charset=utf-8"], body);
    assert_eq!(put(b"").refusal(), "400 the body is empty: a JSON document is needed");
    for body in [&b"{"[..], b"\xff\xfe", b"{\"a\":1e400}", b"[1,]", &[b'['; 5000], b"\x00", b"{} {}"] {
        let refused = put(body).refusal();
        assert!(refused.starts_with("400 read the body as JSON: "), "{refused}");
    }
    for body in [&b"null"[..], b"[]", b"1", b"\"x\"", b"{}", b"{\"metadata\":[]}", b"{\"metadata\":null}"] {
        assert_eq!(put(body).status, 422);
    }
    let text = image("web").to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data"] {
        let reply = town.ask_with(&format!("PUT {WEB}"), &[&format!("Content-Type: {kind}")], text.as_bytes());
        assert_eq!(reply.refusal(), "415 write the body as application/json");
    }
    assert_eq!(town.ask_with(&format!("PUT {WEB}"), &[], text.as_bytes()).status, 415);
    assert!(town.records.snapshot().unwrap().images.is_empty());
}

#[test]
fn large_bodies_are_refused() {
    let town = Town::new();
    let mut large = image("web");
    large["metadata"]["annotations"] = json!({ "a": "x".repeat(1 << 20) });
    assert_eq!(town.send(&format!("PUT {WEB}"), &large).refusal(), "413 the body is larger than 1048576 bytes");
    let headers = ["Content-Type: application/json", "Content-Length: 99999999999"];
    assert_eq!(town.ask_with(&format!("PUT {WEB}"), &headers, b"{}").status, 413);
    // One that does not say how large it is.
    let mut chunked =
        request(&format!("PUT {WEB}"), &["Content-Type: application/json", "Transfer-Encoding: chunked"], b"");
    for _ in 0..40 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&b" ".repeat(0x10000));
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(send(town.address, &chunked).status, 413);
    let mut just = image("web");
    just["metadata"]["annotations"] = json!({ "a": "x".repeat((1 << 20) - 1000) });
    assert_eq!(town.send(&format!("PUT {WEB}"), &just).status, 201);
}

#[test]
fn other_names_than_this_machines_are_refused() {
    let town = Town::new();
    let ask = |headers: &[&str]| town.ask_with("GET /v1/images", headers, &[]).status;
    for host in ["localhost", "localhost:1", "127.0.0.1", "[::1]:8080"] {
        assert_eq!(ask(&[&format!("Host: {host}")]), 200, "{host}");
    }
    for host in ["evil.example.com", "127.0.0.1.evil.example.com", "localhost.evil.example.com:80", ""] {
        assert_eq!(ask(&[&format!("Host: {host}")]), 421, "{host}");
    }
    assert_eq!(ask(&["Host: localhost", "Host: evil.example.com"]), 421);
    assert_eq!(town.ask_with("GET /healthz", &["Host: evil.example.com"], &[]).status, 421);
    assert_eq!(send(town.address, b"GET /v1/images HTTP/1.0\r\n\r\n").status, 421, "who says nothing is not known");
    // A server of a network is called by names that it does not know.
    let open = Town::with("0.0.0.0:0", Manners::default(), |_| {});
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], open.address.port()));
    assert_eq!(send(address, &request("GET /v1/images", &["Host: stave.example.com"], &[])).status, 200);
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let town = Town::new();
    town.settle();
    let trigger = |headers: &[&str]| town.ask_with(&format!("POST {WEB}/trigger"), headers, &[]).status;
    for header in
        ["Origin: http://evil.example.com", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"]
    {
        assert_eq!(trigger(&[header]), 403, "{header}");
        assert_eq!(town.ask_with(&format!("DELETE {WEB}"), &[header], &[]).status, 403, "{header}");
    }
    for header in ["Origin: http://localhost", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none"] {
        assert_eq!(trigger(&[header]), 202, "{header}");
    }
    let asked = town.ask("GET /v1/images");
    assert!(asked.headers.keys().all(|name| !name.starts_with("access-control")), "{asked:?}");
    assert_eq!((asked.header("x-content-type-options"), asked.header("cache-control")), ("nosniff", "no-store"));
}

#[test]
fn strangers_get_nothing() {
    let town = Town::with("127.0.0.1:0", Manners::default(), |services| services.token = Secret::new("letmein"));
    let refused = town.ask("GET /v1/images");
    assert_eq!(refused.refusal(), "401 this needs a header `Authorization: Bearer` with the token of this server");
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    for header in [
        "Authorization: Bearer wrong",
        "Authorization: Bearer letmei",
        "Authorization: letmein",
        "Authorization: Basic letmein",
        "Authorization: é",
    ] {
        assert_eq!(town.ask_with("GET /v1/images", &[header], &[]).status, 401, "{header}");
    }
    assert_eq!(town.ask_with("GET /v1/images", &["Authorization: Bearer letmein"], &[]).status, 200);
    assert_eq!(town.ask_with("GET /v1/images", &["Authorization: bearer letmein"], &[]).status, 200);
    assert_eq!(
        town.ask_with("GET /v1/images", &["Authorization: Bearer letmein", "Authorization: Bearer x"], &[]).status,
        401
    );
    for open in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(town.ask(&format!("GET {open}")).status, 200, "{open}");
    }
    assert_eq!(format!("{:?}", town.services.token), "Some(Secret(…))");
    assert_eq!(Secret::new(""), None);
}

#[test]
fn webhooks_prove_that_they_know_the_secret() {
    let town = Town::new();
    town.settle();
    let (hook, body) = (format!("POST {WEB}/hook"), &b"payload=%7B%22ref%22%3A%22main%22%7D"[..]);
    let signed = |key: &[u8]| format!("X-Hub-Signature-256: sha256={}", hex::encode(hmac(key, body)));
    let note = |looked| {
        town.records
            .amend_image(&key(), &mut |record| {
                record.source.looked = looked;
                Ok(())
            })
            .unwrap();
    };
    let looked = || town.records.image(&key()).unwrap().unwrap().source.looked;
    let is_refused = |headers: &[&str]| {
        note(7);
        let reply = town.ask_with(&hook, headers, body);
        assert_eq!(reply.status, 401, "{headers:?}");
        assert!(reply.refusal().contains("`X-Stave-Token`") && !reply.refusal().contains("it's"), "{headers:?}");
        assert_eq!(looked(), 7);
    };
    is_refused(&[]);
    is_refused(&["X-Stave-Token: "]);
    is_refused(&["X-Stave-Token: it's a secre"]);
    is_refused(&["X-Gitlab-Token: it's a secret!"]);
    is_refused(&[&signed(b"another")]);
    is_refused(&["X-Hub-Signature-256: sha256=zz"]);
    is_refused(&[&signed(b"it's a secret").replace("sha256=", "sha1=")]);
    is_refused(&[&signed(b"it's a secret"), "X-Stave-Token: wrong"]);
    is_refused(&["Authorization: Bearer it's a secret"]);
    let form = "Content-Type: application/x-www-form-urlencoded";
    for proof in ["X-Stave-Token: it's a secret", "X-Gitlab-Token: it's a secret", &signed(b"it's a secret")] {
        note(7);
        let reply = town.ask_with(&hook, &[proof, form], body);
        assert_eq!((reply.status, looked()), (202, 0), "{proof}: {reply:?}");
    }
    let elsewhere = "POST /v1/namespaces/team/images/other/hook";
    assert_eq!(town.ask_with(elsewhere, &[], body).status, 401, "strangers are not told what there is");
    assert_eq!(town.ask_with(elsewhere, &["X-Stave-Token: it's a secret"], body).status, 404);
    let closed = Town::with("127.0.0.1:0", Manners::default(), |services| services.hook_token = None);
    assert_eq!(closed.ask_with(&hook, &["X-Stave-Token: "], body).refusal(), "404 this server takes no webhooks");
}

#[test]
fn who_is_slow_is_hung_up_on() {
    let manners = Manners { patience: Duration::from_millis(300), ..Manners::default() };
    let town = Town::with("127.0.0.1:0", manners, |_| {});
    let began = Instant::now();
    // Half a head.
    let mut half = connect(town.address);
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").unwrap();
    let mut rest = Vec::new();
    let _ = half.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{rest:?}");
    // Nothing at all.
    let mut silent = connect(town.address);
    assert_eq!(silent.read(&mut [0; 1]).ok(), Some(0), "it is hung up on");
    // Half a body.
    let mut body = connect(town.address);
    let head = request(&format!("PUT {WEB}"), &["Content-Type: application/json", "Content-Length: 100"], b"");
    body.write_all(&[head, b"{\"kind\"".to_vec()].concat()).unwrap();
    let late = reply(&mut body);
    assert_eq!(late.refusal(), "408 the body did not come in time");
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(town.ask("GET /healthz").status, 200, "the others are served");
}

#[test]
fn at_most_so_many_are_served_at_once() {
    let manners = Manners { connections: 2, ..Manners::default() };
    let town = Town::with("127.0.0.1:0", manners, |_| {});
    let mut held: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = connect(town.address);
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            let mut begin = [0; 12];
            stream.read_exact(&mut begin).unwrap();
            assert_eq!(&begin, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let mut third = connect(town.address);
    third.write_all(&request("GET /healthz", &[], &[])).unwrap();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.read(&mut [0; 1]).is_err(), "it waits");
    held.pop();
    third.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(reply(&mut third).status, 200);
}

#[test]
fn records_that_cannot_be_read_are_told_of_and_nothing_more() {
    let town = Town::new();
    town.records.is_broken.store(true, Ordering::Relaxed);
    assert_eq!(town.ask("GET /healthz").status, 200, "it lives");
    let expected = r"503 read the records: disk\u{1b}[2J is gone";
    for what in ["/readyz", "/metrics", "/v1/images", WEB, "/v1/clusterstacks"] {
        assert_eq!(town.ask(&format!("GET {what}")).refusal(), expected, "{what}");
    }
    assert_eq!(town.send(&format!("PUT {WEB}"), &image("web")).refusal(), expected);
    assert_eq!(town.ask(&format!("POST {WEB}/trigger")).refusal(), expected);
}
