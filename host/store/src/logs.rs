//! Logs of builds: `platform/logs` in the data folder.
//!
//! While a build runs, its log is a growing file, `<namespace>/<image>/<number>`, locked by who writes it. When the build is over
//! the same file moves to `sha256/<hex>`, and the build's record names it by its digest. So what somebody sees who follows a build
//! and what is shown of it years later are the same bytes. Each line stands there with its time, which is shown to who asks for
//! it; nothing is kept beyond a size, and a line says so.

mod read;

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{FlockOperation, flock};
use stave_lifecycle::port::failure::PortError;
use stave_model::digest::{Digest, Hasher};
use stave_platform::resource::name::ImageKey;

use crate::{files::libc_nofollow, folders::Folder, locks, staged::sync_folder};
pub use read::{Log, Progress, Stamps};

/// The largest log, in bytes.
pub const MAX_LOG: u64 = 16 << 20;
/// The line that ends a log which has no more room.
const LEFT_OUT: &str = "the rest of this log is left out: there is room for 16 MiB";
/// What is kept free for that line with its time.
const ROOM: u64 = 128;
/// The folder of logs of builds that are over. A namespace may be called the same: what is of it are folders.
const KEPT: &str = "sha256";
/// How long a log is left alone after its end whether or not a record names it: the record is written an instant later.
const GRACE: Duration = Duration::from_hours(1);

/// The logs of a user's platform.
#[derive(Debug, Clone)]
pub struct DiskLogs {
    folder: Folder,
}

/// The log of a build that runs. Dropped without [`LogWriter::finish`] it stays where it is, as if the process had been killed.
#[derive(Debug)]
pub struct LogWriter {
    logs: DiskLogs,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    length: u64,
    is_full: bool,
}

/// A child process that was begun at this moment may hold the same file open a little longer.
impl Drop for LogWriter {
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl DiskLogs {
    /// The logs in the data folder.
    pub fn open(data: &Folder) -> Result<Self, PortError> {
        let folder = data.within("platform")?.within("logs")?;
        folder.within(KEPT)?;
        Ok(Self { folder })
    }

    /// Begins the log of a build. What a process that was killed left of it goes.
    pub fn start(&self, key: &ImageKey, number: u64) -> Result<LogWriter, PortError> {
        let folder = self.folder.within(key.namespace.as_str())?.within(key.name.as_str())?;
        let path = folder.path().join(number.to_string());
        let begin = || {
            // Another file, not the same one emptied: who still reads the old one is not confused.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut options = OpenOptions::new();
            let file = options.append(true).create_new(true).mode(0o600).custom_flags(libc_nofollow()).open(&path)?;
            locks::try_to(&file, FlockOperation::NonBlockingLockExclusive)?;
            Ok(file)
        };
        let failed = |error| folder.failed(format!("could not begin the log of build {number} of {key}"), error);
        let file = begin().map_err(failed)?;
        Ok(LogWriter { logs: self.clone(), path, file, hasher: Hasher::new(), length: 0, is_full: false })
    }

    /// Removes logs of builds that are over and not in `keep`, and answers how many bytes that were. What runs, and what ended
    /// just now, stays.
    pub fn gc(&self, keep: &BTreeSet<Digest>) -> Result<u64, PortError> {
        self.gc_at(keep, SystemTime::now())
    }

    fn gc_at(&self, keep: &BTreeSet<Digest>, now: SystemTime) -> Result<u64, PortError> {
        let failed = |error| self.folder.failed("could not remove logs of builds that are gone", error);
        let mut freed = 0;
        for entry in fs::read_dir(self.folder.path().join(KEPT)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let digest = entry.file_name().to_str().and_then(|name| Digest::from_hex(name).ok());
            let Ok(said) = entry.metadata() else { continue };
            let ended = said.modified().map_err(failed)?;
            let is_old = now.duration_since(ended).is_ok_and(|age| age > GRACE);
            if digest.is_some_and(|digest| !keep.contains(&digest)) && said.is_file() && is_old {
                gone(fs::remove_file(entry.path())).map_err(failed)?;
                freed += said.len();
            }
        }
        Ok(freed)
    }

    /// Removes what is left of logs of an image's builds that are not over. A log that is being written stays.
    pub fn remove(&self, key: &ImageKey) -> Result<(), PortError> {
        let namespace = self.folder.path().join(key.namespace.as_str());
        let folder = namespace.join(key.name.as_str());
        let failed = |error| self.folder.failed(format!("could not remove the logs of {key}"), error);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            // What cannot be opened is no log, and nobody writes it.
            let file = read::open(&path).ok().flatten();
            let has_lock = |file: File| !locks::try_to(&file, FlockOperation::NonBlockingLockShared).unwrap_or(true);
            let is_written = file.is_some_and(has_lock);
            if !is_written {
                gone(fs::remove_file(path)).map_err(failed)?;
            }
        }
        // They stay while there is something in them.
        let _ = fs::remove_dir(folder);
        if key.namespace.as_str() != KEPT {
            let _ = fs::remove_dir(namespace);
        }
        Ok(())
    }

    fn running(&self, key: &ImageKey, number: u64) -> PathBuf {
        self.folder.path().join(key.namespace.as_str()).join(key.name.as_str()).join(number.to_string())
    }

    fn kept(&self, digest: &Digest) -> PathBuf {
        self.folder.path().join(KEPT).join(digest.hex())
    }
}

impl LogWriter {
    /// Adds a text, line by line.
    pub fn write(&mut self, text: &str) -> Result<(), PortError> {
        self.write_at(text, SystemTime::now())
    }

    fn write_at(&mut self, text: &str, now: SystemTime) -> Result<(), PortError> {
        let time = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let text = text.strip_suffix('\n').unwrap_or(text);
        for line in text.split('\n') {
            if self.is_full {
                return Ok(());
            }
            let stamped = |line: &str| format!("{}.{:03} {line}\n", time.as_secs(), time.subsec_millis());
            let mut bytes = stamped(line);
            if self.length + bytes.len() as u64 > MAX_LOG - ROOM {
                bytes = stamped(LEFT_OUT);
                self.is_full = true;
            }
            self.append(bytes.as_bytes()).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// A line is there as a whole or not at all.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// The build is over: the log moves to its last place, and is known by its digest.
    pub fn finish(self) -> Result<Digest, PortError> {
        let digest = self.hasher.clone().finish();
        let end = || {
            // It ended now, also if nothing was said for long.
            self.file.set_modified(SystemTime::now())?;
            self.file.set_permissions(fs::Permissions::from_mode(0o400))?;
            self.file.sync_all()?;
            let kept = self.logs.kept(&digest);
            fs::rename(&self.path, &kept)?;
            kept.parent().map_or(Ok(()), sync_folder)
        };
        end().map_err(|error| self.failed(error))?;
        Ok(digest)
    }

    fn failed(&self, error: io::Error) -> PortError {
        let path = self.path.strip_prefix(self.logs.folder.path()).unwrap_or(Path::new("?"));
        self.logs
            .folder
            .failed(format!("could not write the log `{}`", path.display().to_string().escape_debug()), error)
    }
}

/// Whether something is gone now, whoever removed it.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
