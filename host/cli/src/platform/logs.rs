//! What builds said, for who reads it here and for who asks over HTTP: the same bytes.

use std::{io, ops::ControlFlow, sync::Mutex, sync::PoisonError};

use stave_model::digest::Digest;
use stave_platform::resource::name::ImageKey;
use stave_server::Chunk;
use stave_store::logs::{DiskLogs, Progress, Stamps};

use crate::{
    exit::{Exit, USAGE},
    workshop::Workshop,
};

/// How much of a log is answered at once, in bytes.
const PIECE: usize = 1 << 18;

/// Shows the log of a build on standard output, and follows it while the build runs.
pub(crate) fn show(
    workshop: &Workshop,
    logs: &DiskLogs,
    (key, number): (&ImageKey, u64),
    stamps: Stamps,
    mut progress: impl FnMut() -> Progress,
) -> Result<(), Exit> {
    let cancel = &workshop.cancel;
    let take = |lines: &[u8]| {
        let text = String::from_utf8_lossy(lines);
        // A line end is printed with each.
        workshop.ui.result(text.strip_suffix('\n').unwrap_or(&text));
        if cancel.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let progress = || if cancel.is_set() { Progress::Over(None) } else { progress() };
    let found = logs.follow(key, number, stamps, progress, take)?;
    cancel.check()?;
    if found {
        return Ok(());
    }
    Err(Exit::new(USAGE, format!("build {number} of {key} has no log"))
        .hint("a build that was only put back ran nothing"))
}

/// The same for who asks over HTTP.
pub(crate) struct Shared {
    logs: DiskLogs,
    /// Where the last one who asked stopped: who follows asks for what comes next.
    last: Mutex<Option<Reading>>,
}

struct Reading {
    what: (ImageKey, u64, Option<Digest>),
    at: u64,
    log: stave_store::logs::Log,
}

impl Shared {
    pub(crate) fn of(logs: DiskLogs) -> Self {
        Self { logs, last: Mutex::new(None) }
    }

    /// The log, read up to `from`.
    fn at(&self, what: &(ImageKey, u64, Option<Digest>), from: u64) -> io::Result<Reading> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = last.take_if(|reading| reading.what == *what && reading.at == from) {
            return Ok(reading);
        }
        drop(last);
        let (key, number, digest) = what;
        let log = self.logs.open_log(key, *number, digest.as_ref()).map_err(io::Error::other)?;
        let log = log.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such log"))?;
        Ok(Reading { what: what.clone(), at: 0, log })
    }
}

impl stave_server::Logs for Shared {
    fn read(&self, key: &ImageKey, number: u64, digest: Option<Digest>, from: u64) -> io::Result<Chunk> {
        let what = (key.clone(), number, digest);
        let mut reading = self.at(&what, from)?;
        let mut bytes = Vec::new();
        let skip = usize::try_from(from - reading.at).unwrap_or(usize::MAX);
        let mut take = |lines: &[u8]| {
            bytes.extend_from_slice(lines);
            if bytes.len() > skip.saturating_add(PIECE) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let all = reading.log.more(Stamps::Hidden, &mut take)?;
        let is_all = all.is_continue() && digest.is_some();
        if is_all {
            let _ = reading.log.rest(Stamps::Hidden, &mut take);
        }
        reading.at += bytes.len() as u64;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        Ok(Chunk { bytes: bytes.split_off(skip.min(bytes.len())), is_over: is_all })
    }
}
