//! An in-process HTTP server for tests: a function from request to reply, and faults on request.
//!
//! It speaks one exchange a connection, which is all that a test of a client needs, and does exactly what the reply
//! says, even where that is wrong. Asked to be a proxy (`CONNECT`) and willing (200), it answers for the host behind it.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use url::Url;

use crate::clock::Clock;

/// A clock that moves only when somebody waits by it, and then at once: an hour of patience takes no time.
#[derive(Debug, Default)]
pub struct StillClock(Mutex<Vec<Duration>>);

impl StillClock {
    /// How long was waited, each time.
    pub fn waits(&self) -> Vec<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Clock for StillClock {
    fn now(&self) -> Duration {
        self.waits().iter().sum()
    }

    fn wait(&self, delay: Duration, cancel: &AtomicBool) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(delay);
        !cancel.load(Ordering::SeqCst)
    }
}

/// What a test server was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
    /// Whether the connection was closed within the body.
    pub is_cut: bool,
    /// How many requests came before it.
    pub number: usize,
}

impl Asked {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first byte of an open `Range`.
    pub fn range_start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What goes wrong with a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The connection closes after that many bytes of the body.
    DropAfter(usize),
    /// The connection stays open and silent after that many bytes of the body, until the client gives up.
    StallAfter(usize),
    /// The connection stays open and nothing at all is said.
    Silence,
    /// The connection closes and nothing at all is said.
    Hangup,
    /// The body never ends.
    Endless,
}

/// What a test server answers.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    length: Option<u64>,
    fault: Fault,
}

impl Reply {
    /// A status and a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), length: None, fault: Fault::None }
    }

    /// 200 and a body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body)
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::new(404, "not found")
    }

    /// A redirect.
    pub fn redirect(status: u16, to: &str) -> Self {
        Self::new(status, "").header("location", to)
    }

    /// 206: `whole` from byte `from`, honestly.
    pub fn rest(whole: &[u8], from: usize) -> Self {
        let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
        Self::new(206, &whole[from..]).header("content-range", &range)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Announces another length than the body's.
    #[must_use]
    pub fn claiming(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// Lets something go wrong.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// How many bytes the body has.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether there is no body.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }
}

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1 that answers with `handler`.
    pub fn start(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> io::Result<Self> {
        Self::start_cutting(handler, |_| None)
    }

    /// The same, where `cut` may say of a request, before its body is read, after how many bytes of it the connection
    /// closes. The handler is shown what came until then; its reply is not sent.
    pub fn start_cutting(
        handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
        cut: impl Fn(&Asked) -> Option<usize> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let (asked, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stop, script) =
            (Arc::clone(&asked), Arc::clone(&ended), Arc::new(Script { handler, cut, count: AtomicUsize::new(0) }));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                // A client that goes away is part of many tests.
                thread::spawn(move || drop(serve(&stream, &log, &*script)));
            }
        });
        Ok(Self { address, asked, ended })
    }

    /// The address of `path`, which starts with a slash.
    ///
    /// # Panics
    /// If `path` does not make an address.
    pub fn url(&self, path: &str) -> Url {
        let text = format!("http://{}{path}", self.address);
        #[expect(clippy::expect_used, reason = "a test that gives no path should end")]
        text.parse().expect("a path that starts with a slash")
    }

    /// Host and port, as they stand in a `Host` header.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Methods and paths of everything that was asked so far.
    pub fn lines(&self) -> Vec<String> {
        self.asked().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
    }
}

/// What a server does.
struct Script<H, C> {
    handler: H,
    cut: C,
    count: AtomicUsize,
}

fn serve<H: Fn(&Asked) -> Reply, C: Fn(&Asked) -> Option<usize>>(
    stream: &TcpStream,
    log: &Mutex<Vec<Asked>>,
    script: &Script<H, C>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (asked, reply) = loop {
        let asked = read_request(&mut reader, &script.count, &script.cut)?;
        log.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        let reply = (script.handler)(&asked);
        if asked.is_cut || reply.fault == Fault::Hangup {
            return Ok(());
        }
        if asked.method != "CONNECT" || reply.status != 200 {
            break (asked, reply);
        }
        // As a proxy that is itself what is behind it.
        (&mut &*stream).write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    };
    if reply.fault == Fault::Silence {
        return hold(reader);
    }
    write_reply(stream, &asked, &reply)?;
    match reply.fault {
        Fault::StallAfter(_) => hold(reader),
        Fault::Endless => loop {
            (&mut &*stream).write_all(&[b'x'; 4096])?;
        },
        _ => stream.shutdown(Shutdown::Write),
    }
}

/// Waits until the client closes the connection.
fn hold(mut reader: BufReader<&TcpStream>) -> io::Result<()> {
    io::copy(&mut reader, &mut io::sink()).map(drop)
}

fn read_request(
    reader: &mut BufReader<&TcpStream>,
    count: &AtomicUsize,
    cut: &dyn Fn(&Asked) -> Option<usize>,
) -> io::Result<Asked> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not a request");
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(invalid()) };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let number = count.fetch_add(1, Ordering::SeqCst);
    let mut asked = Asked { method, path, headers, body: Vec::new(), is_cut: false, number };
    let kept = cut(&asked);
    if let Some(length) = asked.header("content-length").and_then(|text| text.parse::<usize>().ok()) {
        let kept = kept.filter(|kept| *kept < length);
        asked.is_cut = kept.is_some();
        asked.body = vec![0; kept.unwrap_or(length)];
        reader.read_exact(&mut asked.body)?;
    } else if asked.header("transfer-encoding") == Some("chunked") {
        asked.body = read_chunks(reader)?;
    }
    Ok(asked)
}

fn read_chunks(reader: &mut BufReader<&TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

fn write_reply(mut stream: &TcpStream, asked: &Asked, reply: &Reply) -> io::Result<()> {
    let mut head = Vec::new();
    write!(head, "HTTP/1.1 {} Scripted\r\nconnection: close\r\n", reply.status)?;
    for (name, value) in &reply.headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    if reply.fault != Fault::Endless {
        write!(head, "content-length: {}\r\n", reply.length.unwrap_or(reply.body.len() as u64))?;
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head)?;
    let sent = match reply.fault {
        Fault::DropAfter(n) | Fault::StallAfter(n) => n.min(reply.body.len()),
        _ => reply.body.len(),
    };
    if asked.method != "HEAD" {
        stream.write_all(&reply.body[..sent])?;
    }
    stream.flush()
}
