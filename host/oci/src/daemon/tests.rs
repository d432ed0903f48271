//! A daemon in this process that takes what it is sent.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::net::UnixListener,
    thread::{self, JoinHandle},
};

use stave_lifecycle::port::observer::Silent;

use super::*;
use crate::testing::{image, layer};

/// Answers one request with `reply` after reading at most `most` bytes of its body; gives the head and the body, unchunked.
fn daemon(folder: &Path, reply: &'static str, most: usize) -> (Daemon, JoinHandle<(String, Vec<u8>)>) {
    let socket = folder.join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let serving = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let (mut head, mut body) = (String::new(), Vec::new());
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).unwrap();
        }
        while body.len() < most {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Ok(size) = usize::from_str_radix(line.trim(), 16) else { break };
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).unwrap();
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
        // The client may have gone.
        let _ = (&mut &stream).write_all(reply.as_bytes());
        (head, body)
    });
    (Daemon { socket, names: vec!["app:latest".to_owned()] }, serving)
}

fn told(error: &PortError, folder: &Path) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!("\ncaused by: {cause}")).unwrap_or_default();
    let hint = error.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("{error}{cause}{hint}").replace(&folder.display().to_string(), "DIR")
}

#[test]
fn the_daemon_gets_a_whole_archive() {
    let temp = tempfile::tempdir().unwrap();
    let image = image("amd64", vec![layer(&[("a", "1")])]);
    let (daemon, serving) = daemon(temp.path(), "HTTP/1.1 200 OK\r\n\r\n{\"stream\":\"Loaded\"}", usize::MAX);
    let stored = daemon.put(&image, &Silent, &Cancel::new()).unwrap();
    assert_eq!(stored.digest, image.config_descriptor().digest);
    let (head, body) = serving.join().unwrap();
    assert!(head.starts_with("POST /images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\n"), "{head}");
    let mut archive = tar::Archive::new(&body[..]);
    let names: Vec<String> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!((names.len(), names[0].as_str()), (3, "manifest.json"));
}

#[test]
fn the_daemons_words_are_handed_on() {
    let temp = tempfile::tempdir().unwrap();
    let image = image("amd64", vec![layer(&[("a", "1")])]);
    let reply = "HTTP/1.1 200 OK\r\n\r\n{\"errorDetail\":{\"message\":\"no space left on device\"},\"error\":\"x\"}";
    let (daemon, serving) = daemon(temp.path(), reply, usize::MAX);
    let error = daemon.put(&image, &Silent, &Cancel::new()).unwrap_err();
    serving.join().unwrap();
    insta::assert_snapshot!(told(&error, temp.path()), @"
    could not load the image into the docker daemon at DIR/docker.sock
    caused by: the daemon answered 200: no space left on device
    ");
}

#[test]
fn a_refusal_in_the_middle_is_heard() {
    let temp = tempfile::tempdir().unwrap();
    let mut image = image("amd64", vec![layer(&[("a", "1")])]);
    image.config = vec![b' '; 4 << 20];
    let (daemon, serving) = daemon(temp.path(), "HTTP/1.1 403 Forbidden\r\n\r\n{\"message\":\"not today\"}", 1);
    let error = daemon.put(&image, &Silent, &Cancel::new()).unwrap_err();
    serving.join().unwrap();
    assert!(told(&error, temp.path()).contains("403: not today"), "{}", told(&error, temp.path()));
}

#[test]
fn a_cancelled_load_is_never_completed() {
    let temp = tempfile::tempdir().unwrap();
    let image = image("amd64", vec![layer(&[("a", "1")])]);
    let (daemon, serving) = daemon(temp.path(), "HTTP/1.1 400 Bad Request\r\n\r\n", usize::MAX);
    let cancel = Cancel::new();
    cancel.set();
    let error = daemon.put(&image, &Silent, &cancel).unwrap_err();
    assert_eq!(error.fault, Fault::Cancelled);
    let (_, body) = serving.join().unwrap();
    assert_eq!(body, b"", "what was buffered was not sent");
}

#[test]
fn no_daemon_is_said_plainly() {
    let temp = tempfile::tempdir().unwrap();
    let daemon = Daemon { socket: temp.path().join("none.sock"), names: Vec::new() };
    let error = daemon.put(&image("amd64", Vec::new()), &Silent, &Cancel::new()).unwrap_err();
    insta::assert_snapshot!(told(&error, temp.path()), @"
    could not reach a docker daemon at DIR/none.sock
    caused by: No such file or directory (os error 2)
    hint: start it, or set DOCKER_HOST=unix:///PATH; --to docker-archive:FILE needs no daemon
    ");
}

#[test]
fn docker_host_decides() {
    let find = |host: &'static str| Daemon::find(move |name| (name == "DOCKER_HOST").then(|| host.into()), Vec::new());
    assert_eq!(
        find("unix:///run/user/1000/podman/podman.sock").unwrap().socket,
        Path::new("/run/user/1000/podman/podman.sock")
    );
    let error = find("tcp://example.com:2375").unwrap_err();
    insta::assert_snapshot!(told(&error, Path::new("/nowhere")), @"
    could not choose a docker daemon
    caused by: DOCKER_HOST is `tcp://example.com:2375`: only unix:///PATH is spoken
    hint: unset it, or use --to docker-archive:FILE and load that file over there
    ");
}
