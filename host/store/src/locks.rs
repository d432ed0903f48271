//! Kernel locks: who holds one loses it when it ends, however it ends, so there is never a stale one. Whoever waits for one
//! says so after a moment, and stops waiting when asked to.
//!
//! | File | Alone | Shared |
//! |---|---|---|
//! | `.lock` in the cache folder | who throws things out of it | every run that uses it |
//! | `.turnstile` beside it | who waits for the former, so that new runs let it go first | every run, for an instant |
//! | `.lock` in the image store | who changes it | who reads it |
//! | `.lock` in the ledger | who adds to it | – |
//! | `platform/lease` in the data folder | who reconciles the platform | who wants to know whether somebody does, for an instant |
//! | the log of a build that runs | who writes it | – |

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use stave_lifecycle::port::{
    cancel::Cancel,
    failure::PortError,
    observer::{Event, Level, Observer, Silent},
};

use crate::{files::libc_nofollow, folders::Folder};

/// How often a lock that somebody else holds is tried again.
const PAUSE: Duration = Duration::from_millis(20);
/// After how many pauses people are told what is being waited for.
const PATIENCE: u32 = 50;

/// Who is told that something is waited for, and who may end that.
#[derive(Clone)]
pub struct Waiting {
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) cancel: Cancel,
}

impl Waiting {
    /// Tells `observer`; stops when `cancel` is set.
    pub fn new(observer: Arc<dyn Observer>, cancel: Cancel) -> Self {
        Self { observer, cancel }
    }

    pub(crate) fn tell(&self, level: Level, text: String) {
        self.observer.observe(Event::Note(level, text));
    }
}

impl Default for Waiting {
    /// Tells nobody.
    fn default() -> Self {
        Self::new(Arc::new(Silent), Cancel::new())
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

/// Takes the lock of the file `name` in `folder`, which is dropped with the file that is answered. `other` is what somebody
/// who holds it does, after "another stave that".
pub(crate) fn take(
    folder: &Folder,
    name: &str,
    operation: FlockOperation,
    other: &str,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<File, PortError> {
    let failed = |error| folder.failed(format!("could not lock `{}`", folder.shown()), error);
    let file = open(&folder.path().join(name)).map_err(failed)?;
    wait(folder, &file, operation, other, observer, cancel)?;
    Ok(file)
}

/// Waits for the lock of an open file.
fn wait(
    folder: &Folder,
    file: &File,
    operation: FlockOperation,
    other: &str,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<(), PortError> {
    let failed = |error| folder.failed(format!("could not lock `{}`", folder.shown()), error);
    let mut pauses = 0;
    while !try_to(file, operation).map_err(failed)? {
        cancel.check()?;
        pauses += 1;
        if pauses == PATIENCE {
            observer.observe(Event::Note(Level::Info, format!("waiting for another stave that {other}")));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600).custom_flags(libc_nofollow()).open(path)
}

/// Whether the lock was to be had; `operation` must be one that does not wait.
pub(crate) fn try_to(file: &File, operation: FlockOperation) -> io::Result<bool> {
    loop {
        match flock(file, operation).map_err(io::Error::from) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The right to use the cache, which ends when it is dropped.
#[derive(Debug)]
pub struct Turn {
    lock: File,
    /// Held by whoever is alone: nobody else begins.
    turnstile: Option<File>,
}

/// Ends the locks themselves: a child process that was begun at this moment may hold the same files open a little longer.
impl Drop for Turn {
    fn drop(&mut self) {
        for file in [&self.lock].into_iter().chain(&self.turnstile) {
            let _ = flock(file, FlockOperation::Unlock);
        }
    }
}

impl Turn {
    /// Beside everybody else: nothing is thrown out meanwhile.
    pub fn beside_others(cache: &Folder, waiting: &Waiting) -> Result<Self, PortError> {
        let Waiting { observer, cancel } = waiting;
        let take = |name| {
            let operation = FlockOperation::NonBlockingLockShared;
            take(cache, name, operation, "tidies the cache", observer.as_ref(), cancel)
        };
        let turnstile = take(".turnstile")?;
        let lock = take(".lock")?;
        drop(turnstile);
        Ok(Self { lock, turnstile: None })
    }

    /// Alone: whoever uses the cache is waited for, and whoever comes waits.
    pub fn alone(cache: &Folder, waiting: &Waiting) -> Result<Self, PortError> {
        let Waiting { observer, cancel } = waiting;
        let take =
            |name, other| take(cache, name, FlockOperation::NonBlockingLockExclusive, other, observer.as_ref(), cancel);
        let turnstile = take(".turnstile", "tidies the cache")?;
        Ok(Self { lock: take(".lock", "uses the cache")?, turnstile: Some(turnstile) })
    }

    /// Gives a turn beside others up while `pause` lasts, which may be long: for a person, or for a change of a file. Others may
    /// throw out meanwhile what was kept.
    pub fn pausing<T>(&self, cache: &Folder, waiting: &Waiting, pause: impl FnOnce() -> T) -> Result<T, PortError> {
        let Waiting { observer, cancel } = waiting;
        let failed = |error: io::Error| cache.failed(format!("could not unlock `{}`", cache.shown()), error);
        flock(&self.lock, FlockOperation::Unlock).map_err(|error| failed(error.into()))?;
        let answer = pause();
        let shared = FlockOperation::NonBlockingLockShared;
        let turnstile = take(cache, ".turnstile", shared, "tidies the cache", observer.as_ref(), cancel)?;
        wait(cache, &self.lock, shared, "tidies the cache", observer.as_ref(), cancel)?;
        drop(turnstile);
        Ok(answer)
    }

    /// Whether nobody else uses the cache, and nobody will while this turn lasts. If no, the turn may be over: the kernel
    /// gives up one lock for the other.
    pub fn becomes_alone(&self) -> bool {
        try_to(&self.lock, FlockOperation::NonBlockingLockExclusive).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        process,
        sync::{
            Mutex,
            mpsc::{Sender, channel},
        },
    };

    use super::*;
    use crate::folders::CACHE_VARIABLE;

    /// Sends on what it is told.
    struct Ear(Mutex<Sender<String>>);

    impl Observer for Ear {
        fn observe(&self, event: Event) {
            if let Event::Note(_, text) = event {
                self.0.lock().unwrap().send(text).unwrap();
            }
        }
    }

    fn cache(temp: &tempfile::TempDir) -> Folder {
        Folder::open(temp.path().join("cache"), CACHE_VARIABLE).unwrap()
    }

    #[test]
    fn whoever_waits_says_so_and_goes_on_when_it_can() {
        let temp = tempfile::tempdir().unwrap();
        let cache = cache(&temp);
        let (sender, heard) = channel();
        let waiting = Waiting::new(Arc::new(Ear(Mutex::new(sender))), Cancel::new());
        let silent = Waiting::default();
        thread::scope(|scope| {
            let [one, other] = [(); 2].map(|()| Turn::beside_others(&cache, &silent).unwrap());
            let tidier = scope.spawn(|| Turn::alone(&cache, &waiting).unwrap());
            assert_eq!(heard.recv().unwrap(), "waiting for another stave that uses the cache");
            // Whoever comes now lets the one go first who waited before.
            let late = scope.spawn(|| Turn::beside_others(&cache, &waiting).unwrap());
            assert_eq!(heard.recv().unwrap(), "waiting for another stave that tidies the cache");
            drop((one, other));
            let alone = tidier.join().unwrap();
            assert!(!late.is_finished());
            drop(alone);
            late.join().unwrap();
        });
    }

    #[test]
    fn who_is_asked_to_stop_waits_no_longer() {
        let temp = tempfile::tempdir().unwrap();
        let cache = cache(&temp);
        let _held = Turn::alone(&cache, &Waiting::default()).unwrap();
        let cancel = Cancel::new();
        cancel.set();
        let error = Turn::beside_others(&cache, &Waiting::new(Arc::new(Silent), cancel)).unwrap_err();
        assert_eq!(error.to_string(), "stopped on request");
    }

    #[test]
    fn the_last_one_out_may_tidy() {
        let temp = tempfile::tempdir().unwrap();
        let cache = cache(&temp);
        let [one, other] = [(); 2].map(|()| Turn::beside_others(&cache, &Waiting::default()).unwrap());
        assert!(!one.becomes_alone());
        drop(one);
        assert!(other.becomes_alone());
    }

    #[test]
    fn who_pauses_lets_others_be_alone() {
        let temp = tempfile::tempdir().unwrap();
        let cache = cache(&temp);
        let silent = Waiting::default();
        let turn = Turn::beside_others(&cache, &silent).unwrap();
        turn.pausing(&cache, &silent, || drop(Turn::alone(&cache, &silent).unwrap())).unwrap();
        let other = Turn::beside_others(&cache, &silent).unwrap();
        assert!(!other.becomes_alone(), "the turn goes on");
    }

    /// Not a test by itself: the process that `t10_a_dead_process_holds_no_lock` kills.
    #[test]
    fn holder_to_be_killed() {
        let Some(folder) = std::env::var_os("STAVE_TEST_KILLED_HOLDER") else { return };
        let folder = Folder::open(folder.into(), CACHE_VARIABLE).unwrap();
        let _turn = Turn::alone(&folder, &Waiting::default()).unwrap();
        process::abort();
    }

    /// T10: the lock is the kernel's, so neither what a dead process left nor a process with its number matters.
    #[test]
    fn t10_a_dead_process_holds_no_lock() {
        let temp = tempfile::tempdir().unwrap();
        let cache = cache(&temp);
        let status = process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "locks::tests::holder_to_be_killed"])
            .env("STAVE_TEST_KILLED_HOLDER", cache.path())
            .output()
            .unwrap()
            .status;
        assert!(!status.success());
        assert!(cache.path().join(".lock").exists(), "the file stays, and says nothing");
        let asked = Cancel::new();
        asked.set();
        // Not a moment is waited.
        Turn::alone(&cache, &Waiting::new(Arc::new(Silent), asked)).unwrap();
    }

    /// T10: a file system without locks is said, and where to go instead.
    #[test]
    fn t10_a_file_system_without_locks_is_said() {
        let temp = tempfile::tempdir().unwrap();
        for number in [rustix::io::Errno::NOLCK, rustix::io::Errno::OPNOTSUPP] {
            let error = cache(&temp).failed("could not lock the cache", io::Error::from(number));
            let hint = error.hint.unwrap().replace(&temp.path().display().to_string(), "/tmp");
            insta::allow_duplicates! {
                insta::assert_snapshot!(hint, @"the file system of `/tmp/cache` has no locks: set STAVE_CACHE_DIR to a folder on a local disk");
            }
        }
    }
}
