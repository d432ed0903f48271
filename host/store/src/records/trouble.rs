//! What can go wrong with the file of the records: whose fault that is, and what a person can do.

use std::{error::Error, io, path::PathBuf, thread, time::Duration};

use rusqlite::ErrorCode;
use stave_platform::{port::Failed, resource::build::Fault};

use crate::folders::Folder;

/// How often somebody who writes is waited for again. The library itself waits too, but not for all that can be in the way.
const TRIES: u32 = 5;
/// How long between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The library or the disk failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The file was to be made, or taken from others' eyes.
    #[error(transparent)]
    File(#[from] io::Error),
    /// What stands there is not what this program writes.
    #[error("what is written of {what} cannot be read")]
    Unreadable {
        /// Of which resource or build.
        what: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A newer program wrote the file.
    #[error("a newer stave wrote it: its layout is number {found}, and this one knows {known}")]
    Newer {
        /// The file's layout.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// It holds something else.
    #[error("it is a database, but not one of stave's")]
    Foreign,
    /// Processes cannot use it beside each other.
    #[error("processes cannot share it there")]
    NoSharing,
    /// Whoever asked for the change could not make it.
    #[error(transparent)]
    Said(Failed),
}

/// Where the records are.
#[derive(Debug, Clone)]
pub(super) struct Place(pub(super) Folder);

impl Place {
    /// The file.
    pub(super) fn file(&self) -> PathBuf {
        self.0.path().join("records.db")
    }

    /// What failed, for whoever asked; `doing` stands after "could not".
    pub(super) fn failed(&self, doing: &str, trouble: Trouble) -> Failed {
        let file = self.file().display().to_string().escape_debug().to_string();
        let (fault, hint) = match &trouble {
            Trouble::Said(_) => (Fault::Refused, None),
            Trouble::Sqlite(error) => self.judge(error),
            Trouble::File(error) => {
                let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                (if is_full { Fault::Transient } else { Fault::Refused }, self.hint(error.kind()))
            }
            Trouble::Unreadable { .. } | Trouble::Foreign => (Fault::Refused, Some(damaged(&file))),
            Trouble::Newer { .. } => {
                let hint = "use the newer stave, or set STAVE_DATA_DIR to another folder";
                (Fault::Refused, Some(hint.to_owned()))
            }
            Trouble::NoSharing => (Fault::Refused, self.hint(io::ErrorKind::Unsupported)),
        };
        let source: Box<dyn Error + Send + Sync> = match trouble {
            // Somebody else's failure is told as it is.
            Trouble::Said(failed) => return failed,
            Trouble::Sqlite(error) => told(&error).into(),
            Trouble::File(error) => error.into(),
            other => other.into(),
        };
        let attempt = format!("could not {doing} in `{file}`");
        Failed { fault, attempt, hint, source: Some(source) }
    }

    /// Whose fault an answer of the library is.
    fn judge(&self, error: &rusqlite::Error) -> (Fault, Option<String>) {
        let file = self.file().display().to_string().escape_debug().to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => (Fault::Transient, self.hint(io::ErrorKind::StorageFull)),
            Some(ErrorCode::SystemIoFailure) => {
                let hint = format!("see whether the disk of `{}` is in order and has room", self.0.shown());
                (Fault::Transient, Some(hint))
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                let hint = "another program holds it for long: end that one, or try again";
                (Fault::Transient, Some(hint.to_owned()))
            }
            Some(ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted) => (Fault::Transient, None),
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                (Fault::Refused, self.hint(io::ErrorKind::PermissionDenied))
            }
            Some(ErrorCode::ApiMisuse | ErrorCode::TooBig | ErrorCode::ConstraintViolation) => (Fault::Refused, None),
            // Not its format, or tables and columns are not those that were made there.
            _ => (Fault::Refused, Some(damaged(&file))),
        }
    }

    fn hint(&self, kind: io::ErrorKind) -> Option<String> {
        self.0.failed("", io::Error::from(kind)).hint
    }
}

/// The library says the same thing twice, once as a cause; its number tells more.
fn told(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, _) => format!("{error} (SQLite's code {})", code.extended_code),
        other => other.to_string(),
    }
}

fn damaged(file: &str) -> String {
    format!("put a copy of it back, or move `{file}`, its `-wal` and its `-shm` away, and apply the manifests again")
}

/// Does something again while somebody else is in the way.
pub(super) fn retrying<T>(mut act: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    for _ in 1..TRIES {
        match act() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => thread::sleep(PAUSE),
            other => return other,
        }
    }
    act()
}
