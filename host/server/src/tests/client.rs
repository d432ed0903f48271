//! A client that sends bytes and reads what comes back, by itself: it sends what a library would refuse to send.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// What came back.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    /// Whether the body came to its end.
    pub(super) is_whole: bool,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// A refusal, which is a problem document of its status: `STATUS detail`, and each problem in a line.
    pub(super) fn refusal(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let document = self.json();
        assert_eq!(
            (document["type"].as_str(), document["status"].as_u64()),
            (Some("about:blank"), Some(self.status.into()))
        );
        let mut text = format!("{} {}", self.status, document["detail"].as_str().unwrap());
        for problem in document["problems"].as_array().into_iter().flatten() {
            let (path, rule) = (problem["path"].as_str().unwrap(), problem["rule"].as_str().unwrap());
            write!(text, "\n{path}: {rule}").unwrap();
        }
        text
    }
}

/// A request: `METHOD path`, headers in lines, body.
pub(super) fn request(what: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{what} HTTP/1.1\r\n");
    if !headers.iter().any(|header| header.to_lowercase().starts_with("host:")) {
        text.push_str("Host: localhost\r\n");
    }
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if !body.is_empty() && !headers.iter().any(|header| header.to_lowercase().starts_with("content-length")) {
        write!(text, "Content-Length: {}\r\n", body.len()).unwrap();
    }
    text.push_str("Connection: close\r\n\r\n");
    [text.into_bytes(), body.to_vec()].concat()
}

pub(super) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends bytes as they are, and reads the answer until the other end hangs up.
pub(super) fn send(address: SocketAddr, bytes: &[u8]) -> Reply {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    reply(&mut stream)
}

/// The answer on a connection that is closed after it.
pub(super) fn reply(stream: &mut TcpStream) -> Reply {
    let mut all = Vec::new();
    // Who hangs up in the middle may do so rudely.
    let _ = stream.read_to_end(&mut all);
    read(&all)
}

fn read(all: &[u8]) -> Reply {
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {all:?}"));
    let head = std::str::from_utf8(&all[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let rest = &all[end + 4..];
    let (body, is_whole) = if headers.contains_key("transfer-encoding") {
        dechunked(rest)
    } else {
        let length = headers.get("content-length").map(|length| length.parse::<usize>().unwrap());
        (rest.to_vec(), length.is_none_or(|length| length == rest.len()))
    };
    Reply { status, headers, body, is_whole }
}

fn dechunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else { return (body, false) };
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let begin = end + 2;
        if rest.len() < begin + size + 2 {
            return (body, false);
        }
        body.extend_from_slice(&rest[begin..begin + size]);
        rest = &rest[begin + size + 2..];
    }
}
