//! Who reconciles: of all the processes of a user, at most one at a time.
//!
//! The lock is the kernel's, on `platform/lease` in the data folder, so whoever dies leaves no lease behind, however that
//! happened. What stands in the file is for people and programs that want to know who it is, and counts only while the lock is
//! held.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt,
    thread,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use stave_lifecycle::port::failure::PortError;

use crate::{files::libc_nofollow, folders::Folder, locks};

/// The file.
const FILE: &str = "lease";
/// The most that is read of it, in bytes.
const MAX_FILE: u64 = 1 << 16;
/// How often the lock is tried, and the file read, before it is taken for what it seems: who only looks holds the lock too, for
/// an instant, and who takes the lease writes who it is an instant later.
const TRIES: u32 = 10;
/// How long between two tries.
const INSTANT: Duration = Duration::from_millis(2);

/// Who reconciles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// Its process; 0 if that is not known.
    pub pid: u32,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// What it is: `stave serve`.
    pub what: String,
    /// Where it can be asked, if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// The right to reconcile, which ends when it is dropped.
#[derive(Debug)]
pub struct Lease {
    folder: Folder,
    file: File,
    holder: Holder,
}

/// Ends the lock itself: a child process that was begun at this moment may hold the same file open a little longer.
impl Drop for Lease {
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl Lease {
    /// Takes the lease for `holder`; none if somebody else has it. Nobody is waited for.
    pub fn take(data: &Folder, holder: &Holder) -> Result<Option<Self>, PortError> {
        let folder = data.within("platform")?;
        let failed = |error| folder.failed("could not take the lease of the platform", error);
        let file = options().write(true).create(true).truncate(false).open(folder.path().join(FILE)).map_err(failed)?;
        for tried in 1.. {
            if locks::try_to(&file, FlockOperation::NonBlockingLockExclusive).map_err(failed)? {
                break;
            }
            if tried == TRIES {
                return Ok(None);
            }
            thread::sleep(INSTANT);
        }
        let mut lease = Self { folder: folder.clone(), file, holder: holder.clone() };
        lease.write().map_err(failed)?;
        Ok(Some(lease))
    }

    /// Who has it now.
    pub fn holder(data: &Folder) -> Option<Holder> {
        let path = data.path().join("platform").join(FILE);
        for _ in 0..TRIES {
            let mut file = options().open(&path).ok()?;
            // Whoever gets the lock beside others knows that nobody has it alone.
            if locks::try_to(&file, FlockOperation::NonBlockingLockShared).unwrap_or(true) {
                let _ = flock(&file, FlockOperation::Unlock);
                return None;
            }
            if let Some(holder) = read(&mut file) {
                return Some(holder);
            }
            thread::sleep(INSTANT);
        }
        Some(Holder { pid: 0, since: 0, what: "another stave".to_owned(), address: None })
    }

    /// Says where the holder can be asked from now on, or that it cannot.
    pub fn set_address(&mut self, address: Option<String>) -> Result<(), PortError> {
        self.holder.address = address;
        let folder = self.folder.clone();
        self.write().map_err(|error| folder.failed("could not write down who has the lease of the platform", error))
    }

    /// The file is written in its place: another one in its stead would not be locked. Who reads it in between sees that it is not
    /// whole, and looks again.
    fn write(&mut self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.holder)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)
    }
}

/// Never through a link, and never waiting for somebody at the other end of a pipe.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    options.read(true).mode(0o600).custom_flags(libc_nofollow() | nonblock);
    options
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

impl Holder {
    /// This process, that does `what` since `now`.
    pub fn this_process(what: impl Into<String>, now: u64) -> Self {
        Self { pid: std::process::id(), since: now, what: what.into(), address: None }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::PermissionsExt as _,
        process,
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;
    use crate::folders::DATA_VARIABLE;

    fn data(temp: &tempfile::TempDir) -> Folder {
        Folder::open(temp.path().join("data"), DATA_VARIABLE).unwrap()
    }

    fn serve() -> Holder {
        Holder::this_process("stave serve", 1_796_018_400)
    }

    #[test]
    fn one_at_a_time_has_it() {
        let temp = tempfile::tempdir().unwrap();
        let data = data(&temp);
        assert_eq!(Lease::holder(&data), None);
        assert!(!data.path().join("platform").exists(), "who looks makes nothing");
        let mut lease = Lease::take(&data, &serve()).unwrap().unwrap();
        let other = Holder { what: "stave image create, with a longer line".to_owned(), ..serve() };
        assert!(Lease::take(&data, &other).unwrap().is_none());
        assert_eq!(Lease::holder(&data), Some(serve()));
        lease.set_address(Some("127.0.0.1:8080".to_owned())).unwrap();
        assert_eq!(Lease::holder(&data).unwrap().address.as_deref(), Some("127.0.0.1:8080"));
        lease.set_address(None).unwrap();
        assert_eq!(Lease::holder(&data), Some(serve()), "nothing of the longer line is left");
        drop(lease);
        assert_eq!(Lease::holder(&data), None, "the file stays, and says nothing");
        let path = data.path().join("platform/lease");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        let lease = Lease::take(&data, &other).unwrap().unwrap();
        assert_eq!(Lease::holder(&data), Some(other));
        drop(lease);
    }

    #[test]
    fn who_looks_is_in_nobody_s_way() {
        let temp = tempfile::tempdir().unwrap();
        let data = data(&temp);
        drop(Lease::take(&data, &serve()).unwrap().unwrap());
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Nobody, the whole of it, or somebody of whom nothing is known yet; never half a word.
                    let seen = Lease::holder(&data);
                    assert!(seen.is_none_or(|holder| holder == serve() || holder.pid == 0));
                }
            });
            let mut taken = 0;
            // On a machine that stops who looks in the middle, a try may be in vain.
            for _ in 0..200 {
                taken += usize::from(Lease::take(&data, &serve()).is_ok_and(|lease| lease.is_some()));
            }
            done.store(true, Ordering::Relaxed);
            assert!(taken >= 100, "{taken} of 200");
        });
    }

    #[test]
    fn a_file_that_says_nothing_is_still_somebody_s_while_it_is_locked() {
        let temp = tempfile::tempdir().unwrap();
        let data = data(&temp);
        let lease = Lease::take(&data, &serve()).unwrap().unwrap();
        for damage in ["", "{", "[]"] {
            fs::write(data.path().join("platform/lease"), damage).unwrap();
            assert_eq!(Lease::holder(&data).unwrap().what, "another stave");
        }
        drop(lease);
        assert_eq!(Lease::holder(&data), None);
    }

    /// Not a test by itself: the process that `a_dead_process_has_no_lease` runs.
    #[test]
    fn holder_to_be_killed() {
        let Some(folder) = std::env::var_os("STAVE_TEST_KILLED_LEASE") else { return };
        let data = Folder::open(folder.into(), DATA_VARIABLE).unwrap();
        let _lease = Lease::take(&data, &serve()).unwrap().unwrap();
        process::abort();
    }

    #[test]
    fn a_dead_process_has_no_lease() {
        let temp = tempfile::tempdir().unwrap();
        let data = data(&temp);
        let run = process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lease::tests::holder_to_be_killed"])
            .env("STAVE_TEST_KILLED_LEASE", data.path())
            .output()
            .unwrap();
        assert!(!run.status.success());
        let text = fs::read_to_string(data.path().join("platform/lease")).unwrap();
        assert!(text.contains("stave serve"), "{text}");
        assert_eq!(Lease::holder(&data), None);
        assert!(Lease::take(&data, &serve()).unwrap().is_some());
    }
}
