//! A whole file into a sink, through faults: what has arrived is kept, and the rest is asked for by range where the
//! server answers with exactly that range. Anything else starts from the first byte; nothing is ever appended on trust.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    client::Client,
    fault::Error,
    request::Request,
    response::Response,
    retry::{Policy, chance},
};

/// Progress of at least this many bytes lets the count of faults start anew.
const PROGRESS: u64 = 64 * 1024;

/// How often a download may be interrupted in all, however much arrives in between.
const MOST_INTERRUPTIONS: u32 = 100;

/// Where a download goes.
pub trait Sink: Write {
    /// Forgets everything that was written.
    fn restart(&mut self) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}

impl Sink for File {
    fn restart(&mut self) -> io::Result<()> {
        self.set_len(0)?;
        self.seek(SeekFrom::Start(0)).map(drop)
    }
}

/// What a download is told while it goes on: bytes so far, and in all where that is known.
pub type Progress<'a> = &'a mut (dyn FnMut(u64, Option<u64>) + 'a);

/// Fetches what `request` names into `sink` and returns how many bytes it has. The request's cap holds for the whole.
pub fn download(
    client: &Client,
    request: &Request<'_>,
    policy: &Policy,
    cancel: &AtomicBool,
    sink: &mut dyn Sink,
    progress: Progress<'_>,
) -> Result<u64, Error> {
    let clock = client.clock();
    let begun = clock.now();
    let mut state = State::default();
    let (mut faults, mut interruptions) = (0, 0);
    loop {
        let before = state.done;
        let error = match attempt(client, request, &mut state, cancel, sink, progress) {
            Ok(()) => return Ok(state.done),
            Err(error) => error,
        };
        faults = if state.done >= before + PROGRESS { 1 } else { faults + 1 };
        interruptions += 1;
        let delay = policy.next_delay(faults, error.kind(), chance());
        // The total is about waiting for a server; a long file that keeps arriving may take as long as it takes.
        let patient = clock.now().saturating_sub(begun) < policy.total || state.done > before;
        let Some(delay) = delay.filter(|_| patient && interruptions < MOST_INTERRUPTIONS) else { return Err(error) };
        if !clock.wait(delay, cancel) {
            return Err(Error::Cancelled { url: request.shown() });
        }
    }
}

/// What is known about the file so far.
#[derive(Debug, Default)]
struct State {
    done: u64,
    total: Option<u64>,
    /// A strong validator: the same text means the same bytes (RFC 9110, 8.8.1).
    etag: Option<String>,
}

/// How a response continues what has arrived.
#[derive(Debug, PartialEq, Eq)]
enum Continuation {
    /// From the first byte.
    Whole,
    /// From where we are.
    Rest,
    /// Not usable: forget what has arrived and ask for the whole.
    Again,
}

fn attempt(
    client: &Client,
    request: &Request<'_>,
    state: &mut State,
    cancel: &AtomicBool,
    sink: &mut dyn Sink,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let keep = |cause| Error::Sink { url: request.shown(), cause };
    let mut response = ask(client, request, state)?;
    if state.done > 0 {
        match continuation(&response, state) {
            Continuation::Rest => return receive(response, request, state, cancel, sink, progress),
            Continuation::Whole => *state = State::default(),
            Continuation::Again => {
                *state = State::default();
                response = ask(client, request, state)?;
            }
        }
        sink.restart().map_err(keep)?;
    }
    let response = response.success()?;
    if response.status() != 200 {
        return Err(response.failure());
    }
    state.total = response.content_length();
    state.etag = response.header("etag").filter(|tag| tag.starts_with('"')).map(str::to_owned);
    receive(response, request, state, cancel, sink, progress)
}

/// Asks for what is missing.
fn ask(client: &Client, request: &Request<'_>, state: &State) -> Result<Response, Error> {
    let once = || Error::Request { url: request.shown(), why: "its body can be sent only once".to_owned() };
    let mut request = request.again().ok_or_else(once)?;
    if state.done > 0 {
        request = request.header("range", format!("bytes={}-", state.done));
        if let Some(etag) = &state.etag {
            request = request.header("if-range", etag.clone());
        }
    }
    client.send(request)
}

/// How the response to a range request continues what has arrived.
fn continuation(response: &Response, state: &State) -> Continuation {
    match response.status() {
        206 => match response.header("content-range").and_then(content_range) {
            Some((from, total)) if from == state.done && agree(total, state.total) => Continuation::Rest,
            _ => Continuation::Again,
        },
        416 => Continuation::Again,
        _ => Continuation::Whole,
    }
}

fn agree(a: Option<u64>, b: Option<u64>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// First byte and total of a `Content-Range`; none unless it runs to the end of a file of that size.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (from, to) = range.split_once('-')?;
    let (from, to): (u64, u64) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse::<u64>().ok()?),
    };
    (from <= to && total.is_none_or(|total| to.checked_add(1) == Some(total))).then_some((from, total))
}

/// Takes in a body that continues at `state.done`.
fn receive(
    response: Response,
    request: &Request<'_>,
    state: &mut State,
    cancel: &AtomicBool,
    sink: &mut dyn Sink,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let url = request.shown();
    let too_large = || Error::TooLarge { url: request.shown(), cap: request.cap };
    if state.total.is_some_and(|total| total > request.cap) {
        return Err(too_large());
    }
    let mut reader = response.reader()?;
    let mut buffer = vec![0; 128 * 1024];
    progress(state.done, state.total);
    loop {
        if cancel.load(Ordering::SeqCst) {
            return Err(Error::Cancelled { url });
        }
        let n = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) => {
                return Err(Error::from_io(error).unwrap_or_else(|cause| Error::Broken { url, cause: cause.into() }));
            }
        };
        if state.done + n as u64 > request.cap {
            return Err(too_large());
        }
        sink.write_all(&buffer[..n]).map_err(|cause| Error::Sink { url: url.clone(), cause })?;
        state.done += n as u64;
        progress(state.done, state.total);
    }
    match state.total.filter(|total| *total != state.done) {
        Some(total) => {
            let message = format!("{} of {total} bytes arrived", state.done);
            Err(Error::Broken { url, cause: io::Error::new(io::ErrorKind::UnexpectedEof, message).into() })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use crate::{
        client::Options,
        testing::{Asked, Fault, Reply, Server},
    };

    const FILE: &[u8] = b"0123456789abcdefghij";

    fn fetch(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Result<Vec<u8>, Error>, Vec<Asked>) {
        fetch_with(Options::default(), handler)
    }

    fn fetch_with(
        options: Options,
        handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> (Result<Vec<u8>, Error>, Vec<Asked>) {
        let server = Server::start(handler).unwrap();
        let client = Client::new(options);
        let policy = Policy { first: Duration::ZERO, ..Policy::default() };
        let request = Request::get(server.url("/file")).cap(100);
        let mut sink = Vec::new();
        let result = download(&client, &request, &policy, &AtomicBool::new(false), &mut sink, &mut |_, _| {});
        if let Ok(length) = &result {
            assert_eq!(*length, sink.len() as u64);
        }
        (result.map(|_| sink), server.asked())
    }

    fn whole() -> Reply {
        Reply::ok(FILE).header("etag", "\"v1\"")
    }

    #[test]
    fn resumes_where_it_was_interrupted() {
        let (result, asked) = fetch(|asked| match asked.range_start() {
            None => whole().fault(Fault::DropAfter(5)),
            Some(5) => Reply::rest(FILE, 5).fault(Fault::DropAfter(7)),
            Some(from) => Reply::rest(FILE, from),
        });
        assert_eq!(result.unwrap(), FILE);
        let starts: Vec<_> = asked.iter().map(Asked::range_start).collect();
        assert_eq!(starts, [None, Some(5), Some(12)]);
        assert_eq!(asked[1].header("if-range"), Some("\"v1\""));
    }

    #[test]
    fn resumes_where_it_stalled() {
        let impatient = Options { idle: Duration::from_millis(200), ..Options::default() };
        let (result, asked) = fetch_with(impatient, |asked| match asked.range_start() {
            None => whole().fault(Fault::StallAfter(5)),
            Some(from) => Reply::rest(FILE, from),
        });
        assert_eq!(result.unwrap(), FILE);
        // A machine that pauses may let it ask more often, but never go on elsewhere.
        assert!(asked.iter().any(|asked| asked.range_start() == Some(5)), "{asked:?}");
    }

    #[test]
    fn starts_again_rather_than_append_on_trust() {
        type Answer = fn(usize) -> Reply;
        let answers: [(&str, Answer); 6] = [
            ("the whole again", |_| whole()),
            ("a range that starts elsewhere", |from| Reply::rest(FILE, from + 1)),
            ("a range of a file of another size", |_| Reply::new(206, "x").header("content-range", "bytes 5-98/99")),
            ("a range that ends early", |_| Reply::new(206, "56").header("content-range", "bytes 5-6/20")),
            ("no range", |_| Reply::new(206, &FILE[5..])),
            ("not satisfiable", |_| Reply::new(416, "")),
        ];
        for (name, answer) in answers {
            let first = AtomicBool::new(true);
            let (result, _) = fetch(move |asked| match asked.range_start() {
                Some(from) => answer(from),
                None if first.swap(false, Ordering::SeqCst) => whole().fault(Fault::DropAfter(5)),
                None => whole(),
            });
            assert_eq!(result.unwrap(), FILE, "{name}");
        }
    }

    #[test]
    fn another_file_in_between_is_taken_whole() {
        let (result, _) = fetch(|asked| match asked.range_start() {
            None => whole().fault(Fault::DropAfter(5)),
            Some(_) => Reply::ok("another file").header("etag", "\"v2\""),
        });
        assert_eq!(result.unwrap(), b"another file");
    }

    #[test]
    fn gives_up_after_faults_in_a_row() {
        let (result, asked) = fetch(|_| Reply::new(503, "").header("retry-after", "0"));
        assert_eq!((result.unwrap_err().status(), asked.len()), (Some(503), 5));
        let (result, asked) = fetch(|_| Reply::not_found());
        assert_eq!((result.unwrap_err().status(), asked.len()), (Some(404), 1));
    }

    #[test]
    fn the_cap_holds_for_the_whole() {
        let (result, asked) = fetch(|_| Reply::ok("").fault(Fault::Endless));
        assert!(matches!(result.unwrap_err(), Error::TooLarge { cap: 100, .. }));
        assert_eq!(asked.len(), 1);
        let (result, _) = fetch(|_| Reply::ok("").claiming(101));
        assert!(matches!(result.unwrap_err(), Error::TooLarge { cap: 100, .. }));
    }

    #[test]
    fn ends_when_cancelled() {
        let server = Server::start(|_| whole()).unwrap();
        let client = Client::new(Options::default());
        let (cancel, mut sink) = (AtomicBool::new(false), Vec::new());
        let mut progress = |_, _| cancel.store(true, Ordering::SeqCst);
        let request = Request::get(server.url("/file"));
        let result = download(&client, &request, &Policy::default(), &cancel, &mut sink, &mut progress);
        assert!(matches!(result, Err(Error::Cancelled { .. })));
        assert!(sink.is_empty());
    }

    #[test]
    fn reads_ranges_that_run_to_the_end() {
        let cases = [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 5-9/*", Some((5, None))),
            ("bytes 5-8/10", None),
            ("bytes 5-9/9", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("items 5-9/10", None),
            ("bytes 5-18446744073709551615/10", None),
        ];
        for (text, expected) in cases {
            assert_eq!(content_range(text), expected, "{text}");
        }
    }
}
