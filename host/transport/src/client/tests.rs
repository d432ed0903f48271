//! Exchanges with a scripted server: redirects, credentials, caps, deadlines, and the messages for each failure.

use std::{error::Error as StdError, io::Write, net::TcpListener, sync::mpsc, thread};

use insta::assert_snapshot;

use super::*;
use crate::{
    request::Authorization,
    testing::{Asked, Fault, Reply, Server},
};

/// A client as people have it: its patience is longer than any pause that a busy machine makes.
fn client() -> Client {
    Client::new(Options::default())
}

fn server(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(handler).unwrap()
}

/// A failure and its causes on one line, with the server's port made equal.
fn told(error: &Error, server: &Server) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text} <- {inner}");
        cause = inner.source();
    }
    text.replace(&server.authority(), "HOST")
}

fn password() -> Authorization {
    Authorization::Basic { user: "me".to_owned(), password: "secret".to_owned() }
}

#[test]
fn gives_every_status_to_the_caller() {
    for status in [200, 202, 206, 304, 401, 404, 416, 429, 500] {
        let server = server(move |_| Reply::new(status, "body").header("x-test", "yes"));
        let response = client().send(Request::get(server.url("/"))).unwrap();
        assert_eq!((response.status(), response.header("X-Test")), (status, Some("yes")));
        if status != 304 {
            assert_eq!(response.bytes().unwrap(), b"body");
        }
    }
}

#[test]
fn sends_method_headers_and_body() {
    let server = server(|asked| Reply::ok(asked.body.clone()));
    let put = Request::new(Method::Put, server.url("/a?b=c")).header("x-one", "1").body(Body::Bytes(b"abc".to_vec()));
    assert_eq!(client().send(put).unwrap().bytes().unwrap(), b"abc");
    let patch = Request::new(Method::Patch, server.url("/r")).body(Body::Reader(5, Box::new(&b"hello, more"[..])));
    assert_eq!(client().send(patch).unwrap().bytes().unwrap(), b"hello");
    let empty = Request::new(Method::Post, server.url("/e"));
    assert_eq!(client().send(empty).unwrap().bytes().unwrap(), b"");
    let asked = server.asked();
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("PUT", "/a?b=c"));
    assert_eq!((asked[0].header("x-one"), asked[0].header("accept-encoding")), (Some("1"), Some("identity")));
    assert!(asked[0].header("user-agent").unwrap().starts_with("stave/"));
    assert_eq!((asked[1].header("content-length"), asked[2].header("content-length")), (Some("5"), Some("0")));
}

#[test]
fn a_body_shorter_than_announced_is_not_sent_as_whole() {
    let server = server(|_| Reply::ok(""));
    let short = Request::new(Method::Put, server.url("/")).body(Body::Reader(9, Box::new(&b"short"[..])));
    let error = client().send(short).unwrap_err();
    assert_snapshot!(told(&error, &server), @"the connection to http://HOST/ broke off <- 4 bytes fewer to send than announced");
    assert_eq!(server.lines(), [""; 0]);
}

#[test]
fn follows_redirects_and_leaves_credentials_behind() {
    let other = server(|_| Reply::ok("there"));
    let target = other.url("/there").to_string();
    let first = server(move |asked| match asked.path.as_str() {
        "/" => Reply::redirect(302, "/here"),
        _ => Reply::redirect(307, &target),
    });
    let request =
        Request::get(first.url("/")).authorization(password()).header("Cookie", "a=b").header("accept", "x/y");
    let response = client().send(request).unwrap();
    assert_eq!(response.url(), &other.url("/there"));
    assert_eq!(response.bytes().unwrap(), b"there");
    assert!(first.asked().iter().all(|asked| asked.header("authorization") == Some("Basic bWU6c2VjcmV0")));
    let there = &other.asked()[0];
    assert_eq!(
        (there.header("authorization"), there.header("cookie"), there.header("accept")),
        (None, None, Some("x/y"))
    );
}

#[test]
fn hands_redirects_over_where_the_caller_wants_them() {
    let server = server(|_| Reply::redirect(307, "/elsewhere"));
    let get = client().send(Request::get(server.url("/")).follow_redirects(false)).unwrap();
    assert_eq!((get.status(), get.header("location")), (307, Some("/elsewhere")));
    let post = client().send(Request::new(Method::Post, server.url("/"))).unwrap();
    assert!(post.is_redirect());
}

#[test]
fn refuses_redirects_that_lead_astray() {
    let server = server(|asked| match asked.path.as_str() {
        "/loop" => Reply::redirect(302, "/loop"),
        "/file" => Reply::redirect(302, "file:///etc/passwd"),
        "/nowhere" => Reply::new(302, ""),
        _ => Reply::redirect(307, "/again"),
    });
    let fails = |request: Request<'_>| told(&client().send(request).unwrap_err(), &server);
    assert_snapshot!(fails(Request::get(server.url("/loop"))), @"http://HOST/loop sent us to http://HOST/loop, which is refused: too many redirects in a row");
    assert_snapshot!(fails(Request::get(server.url("/file"))), @"http://HOST/file sent us to file:///etc/passwd, which is refused: only http and https are spoken");
    assert_snapshot!(fails(Request::get(server.url("/nowhere"))), @"http://HOST/nowhere sent us to another address, which is refused: it does not say where");
    let reader = Request::new(Method::Put, server.url("/put")).body(Body::Reader(1, Box::new(&b"x"[..])));
    assert_snapshot!(fails(reader.follow_redirects(true)), @"http://HOST/put sent us to http://HOST/again, which is refused: what was sent cannot be sent again");
}

#[test]
fn a_public_index_cannot_name_a_private_address() {
    let server = server(|_| Reply::ok("internal"));
    let index: Url = "http://1.1.1.1/simple/".parse().unwrap();
    let error = client().send(Request::get(server.url("/file")).led_by(&index)).unwrap_err();
    assert_snapshot!(told(&error, &server), @"http://1.1.1.1/simple/ sent us to http://HOST/file, which is refused: a public server may not send us to a private address");
    assert_eq!(server.lines(), [""; 0]);
    let trusted = Client::new(Options { trusted_hosts: ["127.0.0.1".to_owned()].into(), ..Options::default() });
    assert!(trusted.send(Request::get(server.url("/file")).led_by(&index)).is_ok());
    assert!(client().send(Request::get(server.url("/file")).led_by(&server.url("/index"))).is_ok());
}

#[test]
fn where_only_public_addresses_may_be_asked_no_other_is() {
    let server = server(|asked| match asked.path.as_str() {
        "/elsewhere" => Reply::redirect(302, "http://127.0.0.2/"),
        "/metadata" => Reply::redirect(302, "http://169.254.169.254/latest"),
        _ => Reply::ok("internal"),
    });
    let port = server.url("/").port().unwrap();
    let fenced = client().public_but(BTreeSet::new());
    let fails = |client: &Client, url: &str| {
        let url: Url = url.replace("PORT", &port.to_string()).parse().unwrap();
        let error = client.send(Request::get(url)).unwrap_err();
        assert_eq!(error.kind(), fault::Kind::Lasting);
        error.to_string().replace(&port.to_string(), "PORT")
    };
    // A name as well as every way to write an address.
    let urls =
        ["127.0.0.1:PORT", "localhost:PORT", "2130706433:PORT", "[::ffff:127.0.0.1]:PORT", "0.0.0.0:PORT", "10.0.0.1"];
    let said: Vec<String> = urls.iter().map(|host| fails(&fenced, &format!("http://{host}/"))).collect();
    assert_snapshot!(said.join("\n"), @r"
    http://127.0.0.1:PORT/ is not asked: its host has a private address
    http://localhost:PORT/ is not asked: its host has a private address
    http://127.0.0.1:PORT/ is not asked: its host has a private address
    http://[::ffff:7f00:1]:PORT/ is not asked: its host has a private address
    http://0.0.0.0:PORT/ is not asked: its host has a private address
    http://10.0.0.1/ is not asked: its host has a private address
    ");
    assert_eq!(server.lines(), [""; 0]);
    // A host that is allowed leads to no other.
    let but = client().public_but(["127.0.0.1".to_owned()].into());
    assert_eq!(but.send(Request::get(server.url("/"))).unwrap().bytes().unwrap(), b"internal");
    assert_snapshot!(fails(&but, "http://127.0.0.1:PORT/elsewhere"), @"http://127.0.0.1:PORT/elsewhere sent us to http://127.0.0.2/, which is refused: a public server may not send us to a private address");
    assert_snapshot!(fails(&but, "http://127.0.0.1:PORT/metadata"), @"http://127.0.0.1:PORT/metadata sent us to http://169.254.169.254/latest, which is refused: a public server may not send us to a private address");
    assert_eq!(
        client().send(Request::get(server.url("/"))).unwrap().status(),
        200,
        "the one it was made of is as before"
    );
}

#[test]
fn a_body_ends_at_its_cap() {
    let server = server(|asked| match asked.path.as_str() {
        "/endless" => Reply::ok("").fault(Fault::Endless),
        "/claims" => Reply::ok("").claiming(1 << 62),
        _ => Reply::ok("12345"),
    });
    let bytes = |path, cap| client().send(Request::get(server.url(path)).cap(cap)).and_then(Response::bytes);
    assert_eq!(bytes("/", 5).unwrap(), b"12345");
    assert_snapshot!(told(&bytes("/", 4).unwrap_err(), &server), @"http://HOST/ is larger than the 4 bytes allowed");
    assert!(matches!(bytes("/endless", 100_000), Err(Error::TooLarge { cap: 100_000, .. })));
    assert!(matches!(bytes("/claims", 100), Err(Error::TooLarge { cap: 100, .. })));
    assert_eq!(client().send(Request::head(server.url("/claims"))).unwrap().content_length(), Some(1 << 62));
}

#[test]
fn silence_ends() {
    let server = server(|asked| match asked.path.as_str() {
        "/headers" => Reply::ok("").fault(Fault::Silence),
        _ => Reply::ok("12345").fault(Fault::StallAfter(2)),
    });
    // Each is impatient for one thing alone, so that a pause of the machine is not taken for the other.
    let short = Duration::from_millis(200);
    let bytes = |path, options| Client::new(options).send(Request::get(server.url(path))).and_then(Response::bytes);
    let error = bytes("/headers", Options { headers: short, ..Options::default() }).unwrap_err();
    assert_snapshot!(told(&error, &server), @"http://HOST/headers took too long: more than 200ms to answer");
    let error = bytes("/body", Options { idle: short, ..Options::default() }).unwrap_err();
    assert_snapshot!(told(&error, &server), @"http://HOST/body took too long: more than 200ms without sending a byte");
}

#[test]
fn a_broken_connection_is_not_an_end() {
    let server = server(|_| Reply::ok("12345").fault(Fault::DropAfter(3)));
    let error = client().send(Request::get(server.url("/"))).and_then(Response::bytes).unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
}

#[test]
fn tls_is_not_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let plain =
        thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP/1.1 400 no TLS here\r\n\r\n").unwrap());
    let url = format!("https://{authority}/a?token=secret").parse().unwrap();
    let error = client().send(Request::get(url)).unwrap_err();
    plain.join().unwrap();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    assert_snapshot!(error.to_string().replace(&authority, "HOST"), @"could not set up a trusted connection to https://HOST/a?…");
    assert!(error.hint().unwrap().contains("SSL_CERT_FILE"));
}

#[test]
fn says_what_could_not_be_reached() {
    let gone = server(|_| Reply::ok(""));
    let url = gone.url("/");
    let port = url.port().unwrap();
    drop(gone);
    // The port may be taken again at once; port 1 is not.
    let error = client().send(Request::get("http://127.0.0.1:1/x".parse().unwrap())).unwrap_err();
    assert_ne!(port, 1);
    assert_snapshot!(error, @"could not connect to http://127.0.0.1:1/x");
    assert!(error.hint().unwrap().contains("HTTPS_PROXY"));
}

#[test]
fn offline_asks_nothing() {
    let server = server(|_| Reply::ok(""));
    let client = Client::new(Options { offline: true, ..Options::default() });
    let error = client.send(Request::get(server.url("/a"))).unwrap_err();
    assert_snapshot!(told(&error, &server), @"http://HOST/a was not asked: this run is offline");
    assert_eq!(server.lines(), [""; 0]);
}

#[test]
fn refuses_requests_that_are_not_well_formed() {
    let server = server(|_| Reply::ok(""));
    let error = client().send(Request::get(server.url("/")).header("x", "a\r\nb: c")).unwrap_err();
    assert_snapshot!(told(&error, &server), @"http://HOST/ cannot be asked: its address or one of its headers is not well-formed");
    let error = client().send(Request::get("ftp://example.com/".parse().unwrap())).unwrap_err();
    assert_snapshot!(error, @"ftp://example.com/ cannot be asked: only http and https are spoken");
    assert_eq!(server.lines(), [""; 0]);
}

#[test]
fn goes_through_the_proxy_that_is_configured() {
    let ask = |proxy: &str| {
        let proxies = Proxies { http: Some(proxy.to_owned()), ..Proxies::default() };
        let client = Client::new(Options { proxies, ..Options::default() });
        client.send(Request::get("http://index.example.com/a".parse().unwrap())).and_then(Response::bytes)
    };
    let open = server(|asked| Reply::ok(asked.path.clone()));
    assert_eq!(ask(open.url("").as_str()).unwrap(), b"/a");
    assert_eq!(open.lines(), ["CONNECT index.example.com:80", "GET /a"]);
    let proxies = Proxies { http: Some(open.url("").to_string()), ..Proxies::default() };
    let client = Client::new(Options { proxies, ..Options::default() });
    let led = Request::get("http://files.example.com/b".parse().unwrap()).led_by(&"http://1.1.1.1/".parse().unwrap());
    assert_eq!(
        client.send(led).and_then(Response::bytes).unwrap(),
        b"/b",
        "the proxy itself may have a private address"
    );
    let closed = server(|_| Reply::new(403, ""));
    assert_snapshot!(ask(closed.url("").as_str()).unwrap_err(), @"could not reach http://index.example.com/a through the proxy");
    assert_snapshot!(ask("::").unwrap_err(), @"could not reach http://index.example.com/a through the proxy");
}

#[test]
fn a_shut_down_client_wakes_up() {
    let (heard, waits) = mpsc::channel();
    let server = server(move |_| {
        heard.send(()).unwrap();
        Reply::ok("").fault(Fault::Silence)
    });
    let client = Client::new(Options::default());
    let (asking, url) = (client.clone(), server.url("/"));
    let waiting = thread::spawn(move || asking.send(Request::get(url)).map(|response| response.status()));
    waits.recv().unwrap();
    let bundle = PathBuf::from("/nowhere/ca.pem");
    let derived = client.trusting(&[bundle]);
    client.shutdown();
    assert!(matches!(derived.send(Request::get(server.url("/"))), Err(Error::Cancelled { .. })));
    assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled { .. })));
    assert!(matches!(client.send(Request::get(server.url("/"))), Err(Error::Cancelled { .. })));
}
