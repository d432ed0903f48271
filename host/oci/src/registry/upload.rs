//! One blob into a registry, through faults (OCI distribution spec, "Pushing blobs").
//!
//! A small blob goes in one request, and again whole after a fault. A large one goes as docker sends it, in one `PATCH` as
//! a stream, which every registry takes. After a fault the registry is asked how much has arrived, and what is missing
//! follows from there; what it says counts where it is less than was sent, never where it is more (N20). A registry that
//! has given up the session gets a new one, and from then on pieces, so that the next fault costs less. At the end the
//! digest decides: whatever was put together from two sessions is right or refused.

use std::{
    io::{self, Read},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use stave_archive::content::Content;
use stave_lifecycle::{
    image::Descriptor,
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Observer,
    },
};
use stave_transport::{Error, Method, Request, Response, origin::shown, request::Body, retry::chance};
use url::Url;

use super::{
    memory::Memory,
    repository::{Repository, Stop, is_refused_as},
};
use crate::meter::Meter;

/// A blob up to this size goes in one request; a larger one that lost its session in pieces of it. In bytes.
const PIECE: u64 = 8 << 20;
/// The largest pieces that a registry may ask for, in bytes.
const LARGEST_PIECE: u64 = 256 << 20;
/// Progress of at least this many bytes lets the count of faults start anew.
const PROGRESS: u64 = 64 * 1024;
/// How often an upload may be interrupted in all, however much arrives in between.
const MOST_INTERRUPTIONS: u32 = 100;
/// How many sessions a registry may give up.
const MOST_LOST: u32 = 5;

/// What is sent, and to whom.
pub(super) struct Parcel<'a> {
    pub(super) repository: &'a Repository,
    pub(super) memory: &'a Memory,
    pub(super) observer: &'a dyn Observer,
    pub(super) attempt: &'a str,
    pub(super) descriptor: &'a Descriptor,
    pub(super) content: &'a dyn Content,
}

/// Sends a blob, in the session that `opened` leads to, or that an earlier run left, or a new one.
pub(super) fn send(parcel: &Parcel<'_>, opened: Option<Url>) -> Result<(), PortError> {
    let digest = &parcel.descriptor.digest;
    let meter = Meter::begin(parcel.observer, format!("push {}", digest.short()), parcel.descriptor.size);
    let meter = Mutex::new(meter);
    let tell = |done| meter.lock().unwrap_or_else(PoisonError::into_inner).at(done);
    let mut upload = Upload::new(parcel, opened, &tell);
    let (client, policy, flag) =
        (&parcel.repository.client, &parcel.repository.policy, parcel.repository.cancel.flag());
    let begun = client.clock().now();
    let (mut faults, mut interruptions, mut held) = (0, 0, 0);
    loop {
        let error = match upload.go_on() {
            Ok(()) => {
                upload.forget();
                return Ok(());
            }
            Err(Stop::Lasting(error)) => return Err(error),
            Err(Stop::Exchange(error)) => error,
        };
        upload.own_trouble()?;
        let advanced = upload.held > held + PROGRESS;
        faults = if advanced { 1 } else { faults + 1 };
        (held, interruptions) = (upload.held, interruptions + 1);
        let in_time = |delay: &Duration| {
            // The total is about waiting for a registry; a large blob that keeps arriving may take as long as it takes.
            advanced || client.clock().now().saturating_sub(begun) + *delay < policy.total
        };
        let delay = policy.next_delay(faults, error.kind(), chance()).filter(in_time);
        let Some(delay) = delay.filter(|_| interruptions < MOST_INTERRUPTIONS) else {
            return Err(parcel.repository.failed(parcel.attempt, error));
        };
        if !client.clock().wait(delay, &flag) {
            return Err(PortError::cancelled());
        }
    }
}

/// Is told how many bytes have gone.
type Tell<'a> = &'a (dyn Fn(u64) + Sync);

/// How far an upload is.
struct Upload<'a> {
    parcel: &'a Parcel<'a>,
    tell: Tell<'a>,
    /// What went wrong on our side.
    trouble: Mutex<Option<io::Error>>,
    session: Option<Url>,
    /// How many bytes the registry has, as far as is known.
    held: u64,
    /// How many bytes it can have at most.
    handed: u64,
    /// Whether a request was sent whose end is not known.
    doubtful: bool,
    /// Whether everything goes in one request.
    whole: bool,
    /// How much is sent at once otherwise.
    piece: u64,
    /// The least that the registry takes at once, but for the last piece.
    least: u64,
    /// How many sessions were given up.
    lost: u32,
    done: bool,
}

impl<'a> Upload<'a> {
    fn new(parcel: &'a Parcel<'a>, opened: Option<Url>, tell: Tell<'a>) -> Self {
        let Descriptor { digest, size, .. } = parcel.descriptor;
        let (registry, name) = (&parcel.repository.registry, &parcel.repository.name);
        let is_fresh = opened.is_some();
        // What an earlier run left is asked how far it came, which may be anywhere.
        let left = || parcel.memory.session(registry, name, digest).filter(|url| parcel.repository.is_own(url));
        let session = opened.or_else(|| (*size > PIECE).then(left).flatten());
        let doubtful = session.is_some() && !is_fresh;
        Self {
            parcel,
            tell,
            trouble: Mutex::new(None),
            session,
            held: 0,
            handed: if doubtful { *size } else { 0 },
            doubtful,
            whole: *size <= PIECE,
            piece: u64::MAX,
            least: 0,
            lost: 0,
            done: false,
        }
    }

    fn size(&self) -> u64 {
        self.parcel.descriptor.size
    }

    /// Sends what is missing, up to the next fault.
    fn go_on(&mut self) -> Result<(), Stop> {
        if self.doubtful {
            self.look()?;
        }
        while !self.done {
            let Some(session) = self.session.clone() else {
                self.open()?;
                continue;
            };
            if self.whole {
                self.put_whole(&session)?;
            } else if self.held < self.size() {
                self.patch(&session)?;
            } else {
                self.close(&session)?;
            }
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), Stop> {
        let repository = self.parcel.repository;
        let make = || Ok(Request::new(Method::Post, repository.url("blobs/uploads/")));
        let opened = repository.once(self.parcel.attempt, &[202], make)?;
        let least = opened.header("oci-chunk-min-length").and_then(|text| text.trim().parse().ok());
        self.least = least.unwrap_or(0).min(LARGEST_PIECE);
        self.enter(session_of(repository, self.parcel.attempt, &opened)?);
        (self.held, self.handed) = (0, 0);
        Ok(())
    }

    /// Goes on at `session`, which a later run may do too.
    fn enter(&mut self, session: Url) {
        if self.size() > PIECE {
            let Parcel { repository, memory, descriptor, .. } = self.parcel;
            memory.note_session(&repository.registry, &repository.name, &descriptor.digest, &session);
        }
        self.session = Some(session);
    }

    fn forget(&self) {
        if self.size() > PIECE {
            let Parcel { repository, memory, descriptor, .. } = self.parcel;
            memory.forget_session(&repository.registry, &repository.name, &descriptor.digest);
        }
    }

    /// After a fault: how far did it come?
    fn look(&mut self) -> Result<(), Stop> {
        let Parcel { repository, attempt, descriptor, .. } = self.parcel;
        let Some(session) = self.session.clone() else {
            // A blob in one request is there, or nothing of it is.
            self.done = repository.has(attempt, descriptor)?;
            self.doubtful = false;
            return Ok(());
        };
        let make = || Ok(Request::get(session.clone()).follow_redirects(false));
        let state = repository.once(attempt, &[200, 202, 204, 400, 403, 404, 405, 410, 416, 501], make)?;
        if matches!(state.status(), 200..=204) {
            self.doubtful = false;
            return self.take_state(&state, held(state.header("range")).unwrap_or(0));
        }
        // An upload that has ended has no session either.
        self.done = repository.has(attempt, descriptor)?;
        self.doubtful = false;
        if self.done { Ok(()) } else { self.lose(repository.refused(attempt, state)) }
    }

    /// Goes on where the registry says that it is, unless it claims more than it can have.
    fn take_state(&mut self, response: &Response, held: u64) -> Result<(), Stop> {
        let Parcel { repository, attempt, .. } = self.parcel;
        if held > self.handed {
            let cause = format!("the registry says to have {held} bytes of {} that were sent", self.handed);
            return self.lose(PortError::new(Fault::Network, (*attempt).to_owned()).caused_by(cause));
        }
        self.held = held;
        (self.tell)(held);
        if response.header("location").is_some() {
            self.enter(session_of(repository, attempt, response)?);
        }
        Ok(())
    }

    /// The session is of no use any more; `why` is told if there were too many of them.
    fn lose(&mut self, why: PortError) -> Result<(), Stop> {
        self.forget();
        (self.session, self.held, self.handed) = (None, 0, 0);
        (self.lost, self.piece) = (self.lost + 1, PIECE);
        if self.lost > MOST_LOST { Err(why.into()) } else { Ok(()) }
    }

    /// Sends a piece, or all that is missing.
    fn patch(&mut self, session: &Url) -> Result<(), Stop> {
        let Parcel { repository, attempt, .. } = self.parcel;
        let (from, size) = (self.held, self.size());
        let end = size.min(from.saturating_add(self.piece.max(self.least)));
        self.handed = self.handed.max(end);
        self.doubtful = true;
        let make = || {
            let request = self.with_bytes(Method::Patch, session.clone(), from, end)?;
            // Docker streams without saying where; whatever is a part of the whole says it.
            let is_part = from > 0 || end < size;
            Ok(if is_part { request.header("content-range", format!("{from}-{}", end - 1)) } else { request })
        };
        let taken = repository.once(attempt, &[202, 204, 400, 404, 405, 416, 501], make)?;
        match taken.status() {
            202 | 204 => {
                self.doubtful = false;
                let held = held(taken.header("range")).unwrap_or(end);
                self.take_state(&taken, held)?;
                if held < end && self.session.is_some() {
                    return Err(Stop::Exchange(self.broken(format!("{held} of {end} bytes have arrived"))));
                }
                Ok(())
            }
            416 => Err(Stop::Exchange(self.broken("the registry expects other bytes".to_owned()))),
            405 | 501 => {
                // A registry that takes whole blobs alone.
                self.forget();
                (self.session, self.held, self.whole, self.doubtful) = (None, 0, true, false);
                Ok(())
            }
            _ => {
                // Not every registry takes pieces that say where they belong.
                (self.doubtful, self.whole) = (false, self.piece == PIECE);
                self.lose(repository.refused(attempt, taken))
            }
        }
    }

    fn broken(&self, cause: String) -> Error {
        let url = shown(&self.parcel.repository.url("blobs/uploads/"));
        Error::Broken { url, cause: cause.into() }
    }

    /// Closes a session that has everything.
    fn close(&mut self, session: &Url) -> Result<(), Stop> {
        self.doubtful = true;
        let Parcel { repository, attempt, descriptor, .. } = self.parcel;
        let make = || Ok(Request::new(Method::Put, with_digest(session, descriptor)));
        let closed = repository.once(attempt, &[201, 204, 400, 404, 416], make)?;
        self.end(closed)
    }

    /// Everything in one request.
    fn put_whole(&mut self, session: &Url) -> Result<(), Stop> {
        // After a fault nobody knows what this session has; the next one begins empty.
        (self.session, self.doubtful) = (None, true);
        let Parcel { repository, attempt, descriptor, .. } = self.parcel;
        let make = || self.with_bytes(Method::Put, with_digest(session, descriptor), 0, descriptor.size);
        let closed = repository.once(attempt, &[201, 204, 400, 404, 416], make)?;
        self.end(closed)
    }

    fn end(&mut self, closed: Response) -> Result<(), Stop> {
        let Parcel { repository, attempt, descriptor, content, .. } = self.parcel;
        self.doubtful = false;
        if matches!(closed.status(), 201 | 204) {
            self.done = true;
            return Ok(());
        }
        let refused = repository.refused(attempt, closed);
        let is_lost = refused.fault == Fault::NotFound || is_refused_as(&refused, "BLOB_UPLOAD_INVALID");
        if is_refused_as(&refused, "DIGEST_INVALID") {
            let ours = content.digest().map_err(|error| PortError::of_io(*attempt, Fault::Io, error))?;
            if ours != descriptor.digest {
                let cause = format!("what is kept here is damaged: its digest is {ours}");
                return Err(PortError::new(Fault::Integrity, (*attempt).to_owned()).caused_by(cause).into());
            }
        }
        if !is_lost {
            // It would be refused again, but that something may have gone wrong with the bytes on their way.
            self.lost = self.lost.max(MOST_LOST - 1);
        }
        self.lose(refused)
    }

    /// A request with the content's bytes `from` to `end`.
    fn with_bytes(&self, method: Method, url: Url, from: u64, end: u64) -> Result<Request<'_>, PortError> {
        let Parcel { repository, attempt, content, .. } = self.parcel;
        let failed = |error| PortError::of_io(*attempt, Fault::Io, error);
        let reader = reader_at(*content, from).map_err(failed)?;
        (self.tell)(from);
        let (tell, trouble, cancel) = (self.tell, &self.trouble, &repository.cancel);
        let reader = Outgoing { reader, position: from, tell, cancel, trouble };
        let request = Request::new(method, url).header("content-type", "application/octet-stream");
        Ok(request.body(Body::Reader(end - from, Box::new(reader))))
    }

    /// What went wrong on our side says more than the exchange that broke because of it.
    fn own_trouble(&self) -> Result<(), PortError> {
        let own = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
        own.map_or(Ok(()), |own| Err(PortError::of_io(self.parcel.attempt, Fault::Io, own)))
    }
}

/// Where an upload goes on: on this registry, or nowhere (N12).
pub(super) fn session_of(repository: &Repository, attempt: &str, response: &Response) -> Result<Url, PortError> {
    let refused = |cause: String| PortError::new(Fault::Network, attempt.to_owned()).caused_by(cause);
    let location = response.header("location").filter(|location| location.len() <= 8192);
    let location = location.and_then(|location| response.url().join(location).ok());
    let url = location.ok_or_else(|| refused("the registry did not say where to send it".to_owned()))?;
    if !repository.is_own(&url) || !url.username().is_empty() || url.password().is_some() {
        return Err(refused(format!("the registry wants it sent to another place, {}", shown(&url))));
    }
    Ok(url)
}

fn with_digest(session: &Url, descriptor: &Descriptor) -> Url {
    let mut url = session.clone();
    url.query_pairs_mut().append_pair("digest", &descriptor.digest.to_string());
    url
}

/// How many bytes `Range: 0-N` means. An empty session has no last byte; registries say `0-0` of it, so that counts as
/// nothing.
fn held(range: Option<&str>) -> Option<u64> {
    let range = range?.trim();
    let range = range.strip_prefix("bytes").map_or(range, |rest| rest.trim_start_matches(['=', ' ']));
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first == 0).then(|| if last == 0 { 0 } else { last.saturating_add(1) })
}

/// A reader at byte `from`: by seeking in a file, or by reading past what is not wanted.
fn reader_at(content: &dyn Content, from: u64) -> io::Result<Box<dyn Read + Send + '_>> {
    if from == 0 {
        return content.open();
    }
    let part = content.span()?.and_then(|span| span.part(from, span.size().checked_sub(from)?));
    if let Some(part) = part {
        return Ok(Box::new(part.cursor()));
    }
    let mut reader = content.open()?;
    io::copy(&mut reader.by_ref().take(from), &mut io::sink())?;
    Ok(reader)
}

/// A blob on its way: tells how far it is, ends when somebody asks to stop, and remembers what went wrong with it.
struct Outgoing<'a> {
    reader: Box<dyn Read + Send + 'a>,
    position: u64,
    tell: Tell<'a>,
    cancel: &'a Cancel,
    trouble: &'a Mutex<Option<io::Error>>,
}

impl Read for Outgoing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.cancel.check().map_err(io::Error::other).and_then(|()| self.reader.read(buffer));
        match read {
            Ok(n) => {
                self.position += n as u64;
                (self.tell)(self.position);
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.trouble.lock().unwrap_or_else(PoisonError::into_inner).replace(error);
                Err(kind.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_how_much_has_arrived() {
        let cases = [
            (Some("0-9"), Some(10)),
            (Some("bytes=0-9"), Some(10)),
            (Some("bytes 0-9"), Some(10)),
            (Some("0-0"), Some(0)),
            (Some("1-9"), None),
            (Some("0-18446744073709551615"), Some(u64::MAX)),
            (Some("0-18446744073709551616"), None),
            (Some("0--1"), None),
            (Some("all"), None),
            (None, None),
        ];
        for (range, expected) in cases {
            assert_eq!(held(range), expected, "{range:?}");
        }
    }

    #[test]
    fn bytes_are_read_from_where_they_are_missing() {
        let bytes = stave_archive::content::Bytes::new(*b"0123456789");
        let rest = |from| io::read_to_string(reader_at(&bytes, from).unwrap()).unwrap();
        assert_eq!((rest(0), rest(7), rest(10)), ("0123456789".into(), "789".into(), String::new()));
    }
}
