//! What goes on while somebody looks: logs that grow, numbers, and the end.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use stave_model::digest::Digest;

use super::{
    client::{connect, reply, request},
    town::{Town, WEB, until},
};
use crate::serve::Manners;

#[test]
fn a_log_is_read_to_where_it_is() {
    let town = Town::new();
    town.settle();
    let log = |query: &str| town.ask(&format!("GET {WEB}/builds/1/log{query}"));
    assert_eq!(log("").refusal(), "404 there is no build 1 of the image team/web");
    town.begin();
    let said = log("");
    assert_eq!((said.status, said.text(), said.is_whole), (200, String::new(), true), "it has said nothing yet");
    assert_eq!(said.header("content-type"), "text/plain; charset=utf-8");
    let text = "===> PREPARE\nevery byte of it, \u{1b}[31mwhatever it is\u{0}\n";
    town.logs.0.lock().unwrap().insert(1, (text.as_bytes().to_vec(), false));
    assert_eq!(log("").text(), text);
    assert_eq!(log("?follow=false").text(), text);
    town.end(Some(Digest::of(text.as_bytes())));
    assert_eq!(log("?follow=true").text(), text, "nobody waits for a build that is over");
    town.logs.0.lock().unwrap().clear();
    assert_eq!(log("").refusal(), "404 there is no log of build 1 of the image team/web");
    for query in ["?follow=yes", "?follow=", "?follow=True", "?follow=true&follow=true", "?from=1"] {
        assert_eq!(log(query).status, 400, "{query}");
    }
}

#[test]
fn a_log_is_followed_until_the_build_is_over() {
    let town = Town::new();
    town.settle();
    town.begin();
    let mut stream = connect(town.address);
    stream.write_all(&request(&format!("GET {WEB}/builds/1/log?follow=true"), &[], &[])).unwrap();
    let say = |text: &str, is_over| {
        let mut logs = town.logs.0.lock().unwrap();
        let (bytes, over) = logs.entry(1).or_default();
        bytes.extend_from_slice(text.as_bytes());
        *over = is_over;
    };
    let mut seen = Vec::new();
    let mut read_until = |text: &str| {
        until(text, || {
            let mut piece = [0; 512];
            let read = stream.read(&mut piece).unwrap();
            seen.extend_from_slice(&piece[..read]);
            String::from_utf8_lossy(&seen).contains(text)
        });
    };
    say("first ", false);
    read_until("first");
    // The others are served while one listens.
    assert_eq!(town.ask("GET /healthz").status, 200);
    say("second", false);
    read_until("second");
    say("third.", true);
    town.end(None);
    read_until("third.");
    read_until("0\r\n\r\n");
}

#[test]
fn a_build_that_died_ends_its_log() {
    let town = Town::new();
    town.settle();
    town.begin();
    town.logs.0.lock().unwrap().insert(1, (b"it began".to_vec(), false));
    town.end(None);
    let said = town.ask(&format!("GET {WEB}/builds/1/log?follow=true"));
    assert_eq!((said.text().as_str(), said.is_whole), ("it began", true));
}

#[test]
fn numbers_are_as_prometheus_reads_them() {
    let town = Town::new();
    town.settle();
    town.begin();
    town.end(None);
    let shown = town.ask("GET /metrics");
    assert_eq!(shown.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = shown.text();
    let mut family = "";
    let mut samples = 0;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().unwrap();
            assert!(text.contains(&format!("# HELP {family} ")), "{line}");
            assert_eq!(rest.ends_with(" counter"), family.ends_with("_total"), "{line}");
        } else if !line.starts_with('#') {
            samples += 1;
            assert!(
                line.starts_with(family) && line[family.len()..].starts_with(['{', ' ']),
                "{line} is not of {family}"
            );
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(text.ends_with('\n') && samples > 15, "{text}");
    for line in [
        "stave_info{version=\"0.1.0\"} 1",
        "stave_start_time_seconds 1796018340",
        "stave_builds_running 1",
        "stave_builds_waiting 3",
        "stave_builds_ended_total{mode=\"build\",outcome=\"succeeded\"} 2",
        "stave_build_seconds_total{mode=\"build\",outcome=\"succeeded\"} 61.5",
        "stave_build_seconds_total{mode=\"rebase\",outcome=\"failed\"} 0.02",
        "stave_images{ready=\"False\"} 1",
        "stave_images{ready=\"True\"} 0",
        "stave_build_records{outcome=\"failed\"} 1",
        "stave_build_records{outcome=\"running\"} 0",
        "stave_resources{kind=\"builder\"} 1",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
}

/// A request of which the server waits for the body.
fn begun(town: &Town, length: usize) -> TcpStream {
    let length = format!("Content-Length: {length}");
    let headers = ["Content-Type: application/json", "Expect: 100-continue", &length];
    let mut open = connect(town.address);
    open.write_all(&request("PUT /v1/namespaces/team/images/late", &headers, b"")).unwrap();
    let mut go_on = [0; 25];
    open.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    open
}

#[test]
fn open_requests_are_finished_when_it_ends() {
    let mut town = Town::new();
    town.settle();
    town.begin();
    // One that is idle, and one in the middle of its body.
    let mut idle = connect(town.address);
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut begin = [0; 12];
    idle.read_exact(&mut begin).unwrap();
    let body = super::town::image("late").to_string().into_bytes();
    let mut open = begun(&town, body.len());
    open.write_all(&body[..10]).unwrap();
    // And one that follows a log: it is told that it was cut off.
    let mut follows = connect(town.address);
    follows.write_all(&request(&format!("GET {WEB}/builds/1/log?follow=true"), &[], &[])).unwrap();
    follows.read_exact(&mut begin).unwrap();
    let address = town.address;
    let told = Instant::now();
    town.tell_to_stop();
    until("nobody is let in", || TcpStream::connect(address).is_err());
    open.write_all(&body[10..]).unwrap();
    assert_eq!(reply(&mut open).status, 201);
    town.stop();
    assert!(told.elapsed() < Duration::from_secs(4), "the idle one keeps nobody: {:?}", told.elapsed());
    let mut rest = Vec::new();
    let _ = follows.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it looks like the whole log");
}

#[test]
fn who_does_not_end_does_not_keep_it() {
    let manners = Manners { grace: Duration::from_millis(300), ..Manners::default() };
    let mut town = Town::with("127.0.0.1:0", manners, |_| {});
    let _open = begun(&town, 100);
    let began = Instant::now();
    town.stop();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
