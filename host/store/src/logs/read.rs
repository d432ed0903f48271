//! Reading a log: one that is whole, or one that grows.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    ops::ControlFlow,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    thread,
    time::Duration,
};

use rustix::fs::OFlags;
use stave_lifecycle::port::failure::PortError;
use stave_model::{
    digest::Digest,
    time::{LAST, rfc3339},
};
use stave_platform::resource::name::ImageKey;

use super::{DiskLogs, MAX_LOG};

/// How often somebody who follows looks for more.
const PAUSE: Duration = Duration::from_millis(100);
/// How much is read at a time.
const PIECE: usize = 1 << 16;

/// Whether lines are shown with their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stamps {
    /// Without.
    #[default]
    Hidden,
    /// With: `2026-11-30T06:00:00.000Z` and a space before each.
    Shown,
}

/// How far a build is whose log somebody follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It runs, or waits.
    Running,
    /// It is over, and this is its log, if it has one.
    Over(Option<Digest>),
}

/// A log that is read from its beginning.
#[derive(Debug)]
pub struct Log {
    file: File,
    /// Which file it is.
    inode: (u64, u64),
    read: u64,
    /// The beginning of a line that is not whole yet.
    begun: Vec<u8>,
}

impl DiskLogs {
    /// The log of a build: by its digest, if the build is over; none if there is none.
    pub fn open_log(&self, key: &ImageKey, number: u64, digest: Option<&Digest>) -> Result<Option<Log>, PortError> {
        let path = digest.map_or_else(|| self.running(key, number), |digest| self.kept(digest));
        let log = || open(&path)?.map(Log::new).transpose();
        log().map_err(|error| self.failed(key, number, error))
    }

    /// Reads a log to the end of what is there. Answers whether there is one.
    pub fn replay(
        &self,
        key: &ImageKey,
        number: u64,
        digest: Option<&Digest>,
        stamps: Stamps,
        mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<bool, PortError> {
        let Some(mut log) = self.open_log(key, number, digest)? else { return Ok(false) };
        let all = log.more(stamps, &mut take).map_err(|error| self.failed(key, number, error))?;
        if all.is_continue() {
            let _ = log.rest(stamps, &mut take);
        }
        Ok(true)
    }

    /// Reads a log while it grows: what is there and what comes, whole lines, until `progress` says that the build is over and
    /// all of it was read, or `take` breaks. If the build is begun again its log is read from its beginning again. Answers whether
    /// there was one.
    pub fn follow(
        &self,
        key: &ImageKey,
        number: u64,
        stamps: Stamps,
        mut progress: impl FnMut() -> Progress,
        mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<bool, PortError> {
        let failed = |error| self.failed(key, number, error);
        let mut log: Option<Log> = None;
        loop {
            // Asked before reading: when it is over, all of it is there.
            let now = progress();
            let digest = match now {
                Progress::Over(digest) => digest,
                Progress::Running => None,
            };
            if let Some(other) = self.open_log(key, number, digest.as_ref())?
                && log.as_ref().is_none_or(|log| log.inode != other.inode)
            {
                log = Some(other);
            }
            if let Some(log) = &mut log
                && log.more(stamps, &mut take).map_err(failed)?.is_break()
            {
                return Ok(true);
            }
            if let Progress::Over(_) = now {
                let found = log.is_some();
                let _ = log.map(|mut log| log.rest(stamps, &mut take));
                return Ok(found);
            }
            thread::sleep(PAUSE);
        }
    }

    fn failed(&self, key: &ImageKey, number: u64, error: io::Error) -> PortError {
        self.folder.failed(format!("could not read the log of build {number} of {key}"), error)
    }
}

impl Log {
    fn new(file: File) -> io::Result<Self> {
        let said = file.metadata()?;
        Ok(Self { file, inode: (said.dev(), said.ino()), read: 0, begun: Vec::new() })
    }

    /// Passes on what is there and was not passed on yet, in whole lines.
    pub fn more(
        &mut self,
        stamps: Stamps,
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut piece = vec![0; PIECE];
        // No log is longer; what is, is something else.
        while self.read < MAX_LOG {
            let count = self.file.read(&mut piece)?;
            if count == 0 {
                break;
            }
            self.read += count as u64;
            self.begun.extend_from_slice(&piece[..count]);
            let Some(end) = self.begun.iter().rposition(|byte| *byte == b'\n') else { continue };
            let begun = self.begun.split_off(end + 1);
            let lines = std::mem::replace(&mut self.begun, begun);
            if take(&shown(&lines, stamps)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Passes on what is left at the end: half a line of somebody who was killed.
    pub fn rest(&mut self, stamps: Stamps, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> ControlFlow<()> {
        let rest = std::mem::take(&mut self.begun);
        if rest.is_empty() { ControlFlow::Continue(()) } else { take(&shown(&rest, stamps)) }
    }
}

/// Opens a log, if there is one: never through a link, never anything but a file.
pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file")),
    }
}

/// Lines as they are shown.
fn shown(lines: &[u8], stamps: Stamps) -> Vec<u8> {
    let mut shown = Vec::with_capacity(lines.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let Some((seconds, millis, text)) = parted(line) else {
            shown.extend_from_slice(line);
            continue;
        };
        if stamps == Stamps::Shown {
            // `…:00Z` becomes `…:00.000Z`.
            let time = rfc3339(seconds);
            shown.extend_from_slice(format!("{}.{millis}Z ", time.trim_end_matches('Z')).as_bytes());
        }
        shown.extend_from_slice(text);
    }
    shown
}

/// Seconds, thousandths and text of a line; none if it is not a line of a log.
fn parted(line: &[u8]) -> Option<(u64, &str, &[u8])> {
    let space = line.iter().take(32).position(|byte| *byte == b' ')?;
    let (seconds, millis) = std::str::from_utf8(&line[..space]).ok()?.split_once('.')?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if millis.len() != 3 || !is_number(millis) || !is_number(seconds) {
        return None;
    }
    Some((seconds.parse().ok().filter(|seconds| *seconds <= LAST)?, millis, &line[space + 1..]))
}
