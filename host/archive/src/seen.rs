//! Digests that are known without reading: of files of which the system says today what it said when they were read.
//!
//! The rule is the one by which git trusts its index. A file whose device, inode, mode, size and two times are the same has
//! the same bytes, if those times were well in the past when it was read: a file that was written in the moment in which
//! it was read may be written once more without any of its times moving.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::fd::AsFd,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::fstat;
use stave_model::digest::Digest;

use crate::tree::MAX_PATH;

/// How long a file must have rested before what was read of it is trusted later. The coarsest clock of a file system, FAT's,
/// goes in steps of two seconds.
const REST: Duration = Duration::from_secs(3);
/// The first bytes of each part; its number changes whenever the form does.
const MAGIC: &[u8; 8] = b"seen 1\0\n";
/// The most bytes of a part but for its last record: a store of small results takes it whole.
const PART: usize = 2 << 20;
/// The bytes of a record before its path: ten numbers, a digest, and the path's length.
const FIXED: usize = 8 * 8 + 32 + 2;

/// What the system says of a file without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    modified: Instant,
    changed: Instant,
}

/// Seconds and nanoseconds since 1970. Packed, because there is a pair for each file of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))]
struct Instant(i64, u32);

impl Stat {
    /// What the system says of an open file.
    pub fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::of_handle(file)?)
    }

    pub(crate) fn of_handle(handle: &impl AsFd) -> rustix::io::Result<Self> {
        fstat(handle).map(|said| Self::of(&said))
    }

    pub(crate) fn of(said: &rustix::fs::Stat) -> Self {
        // Nanoseconds are fewer than a billion, and no file has less than no bytes.
        let nanos = |nanos| u32::try_from(nanos).unwrap_or(u32::MAX);
        Self {
            device: said.st_dev,
            inode: said.st_ino,
            size: u64::try_from(said.st_size).unwrap_or(0),
            mode: said.st_mode,
            modified: Instant(said.st_mtime, nanos(said.st_mtime_nsec)),
            changed: Instant(said.st_ctime, nanos(said.st_ctime_nsec)),
        }
    }

    /// Whether it is the same file or folder, whatever became of it.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether somebody may run it.
    pub(crate) fn is_executable(&self) -> bool {
        self.mode & 0o111 != 0
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// A text that stays as it is as long as it is the same file with the same bytes, see [`Stat::is_same_file`].
    pub fn mark(&self) -> String {
        let Self { device, inode, size, modified: Instant(seconds, nanos), .. } = *self;
        format!("{device}-{inode}-{size}-{seconds}.{nanos}")
    }

    /// Whether it is the same file with the same bytes, whatever was done to its name, its mode and its links.
    pub fn is_same_file(&self, other: &Self) -> bool {
        let bytes = |stat: &Self| (stat.device, stat.inode, stat.size, stat.modified);
        bytes(self) == bytes(other)
    }

    /// Whether both of its times were well in the past at `began`, so that a write after that moves them.
    fn rested(&self, began: SystemTime) -> bool {
        let Some(rest) = began.checked_sub(REST).and_then(|at| at.duration_since(UNIX_EPOCH).ok()) else {
            return false;
        };
        let latest = Instant(rest.as_secs().cast_signed(), rest.subsec_nanos());
        self.modified.max(self.changed) <= latest
    }
}

/// The files of one folder, or one file alone, as they were when they were read: now, or in an earlier run.
///
/// Files are looked up by [`Seen::recall`] once, when they are indexed; those that are never looked up are forgotten.
#[derive(Debug, Default)]
pub struct Seen {
    before: HashMap<String, Record>,
    now: Mutex<HashMap<String, (Stat, Digest)>>,
}

#[derive(Debug)]
struct Record {
    stat: Stat,
    digest: Digest,
    is_still_there: AtomicBool,
}

impl Seen {
    /// What an earlier run kept, from its parts in order. What cannot be read is not known: it costs reading files again.
    pub fn from_parts(parts: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut before = HashMap::new();
        for part in parts {
            let Some(mut rest) = part.strip_prefix(MAGIC.as_slice()) else { break };
            while let Some((path, record, after)) = decode(rest) {
                // Of two the first: a later part may be left from a longer list.
                before.entry(path).or_insert(record);
                rest = after;
            }
        }
        Self { before, now: Mutex::default() }
    }

    /// The digest of the file at `path`, if it is the file that was read before.
    pub fn recall(&self, path: &str, stat: &Stat) -> Option<Digest> {
        let record = self.before.get(path).filter(|record| record.stat == *stat)?;
        record.is_still_there.store(true, Ordering::Relaxed);
        Some(record.digest)
    }

    /// Takes in that the file at `path` has this digest: reading it began at `began`, and afterwards it still was as `stat`
    /// says. A file that did not rest before is not kept.
    pub fn learn(&self, path: &str, stat: &Stat, digest: Digest, began: SystemTime) {
        if stat.rested(began) && path.len() <= MAX_PATH {
            self.now.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), (*stat, digest));
        }
    }

    /// All that is known of files that are still there, for [`Seen::from_parts`]. None if it is what was kept before.
    pub fn to_parts(&self) -> Option<Vec<Vec<u8>>> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let still = self.before.iter().filter(|(_, record)| record.is_still_there.load(Ordering::Relaxed));
        let mut all: Vec<(&str, Stat, Digest)> =
            still.map(|(path, record)| (path.as_str(), record.stat, record.digest)).collect();
        if now.is_empty() && all.len() == self.before.len() {
            return None;
        }
        all.retain(|(path, ..)| !now.contains_key(*path));
        all.extend(now.iter().map(|(path, (stat, digest))| (path.as_str(), *stat, *digest)));
        all.sort_unstable_by_key(|(path, ..)| *path);
        let mut parts = vec![MAGIC.to_vec()];
        for (path, stat, digest) in all {
            let mut record = Vec::with_capacity(FIXED + path.len());
            encode(&mut record, path, &stat, &digest);
            match parts.last_mut().filter(|part| part.len() < PART) {
                Some(part) => part.extend_from_slice(&record),
                None => parts.push([MAGIC.as_slice(), &record].concat()),
            }
        }
        Some(parts)
    }
}

fn encode(to: &mut Vec<u8>, path: &str, stat: &Stat, digest: &Digest) {
    let [modified, changed] =
        [stat.modified, stat.changed].map(|Instant(at, nanos)| [at.cast_unsigned(), nanos.into()]);
    let numbers = [stat.device, stat.inode, stat.size, u64::from(stat.mode)];
    to.extend([numbers.as_slice(), &modified, &changed].concat().into_iter().flat_map(u64::to_le_bytes));
    to.extend_from_slice(digest.bytes());
    // Paths are at most `MAX_PATH` long, see `learn`.
    to.extend_from_slice(&u16::try_from(path.len()).unwrap_or(0).to_le_bytes());
    to.extend_from_slice(path.as_bytes());
}

/// One record and what follows it; none at the end, or where it cannot be read.
fn decode(bytes: &[u8]) -> Option<(String, Record, &[u8])> {
    let (numbers, rest) = bytes.split_first_chunk::<64>()?;
    let (digest, rest) = rest.split_first_chunk::<32>()?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let (path, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    let (numbers, _) = numbers.as_chunks::<8>();
    let number = |at: usize| u64::from_le_bytes(numbers[at]);
    let instant = |at: usize| Some(Instant(number(at).cast_signed(), u32::try_from(number(at + 1)).ok()?));
    let stat = Stat {
        device: number(0),
        inode: number(1),
        size: number(2),
        mode: u32::try_from(number(3)).ok()?,
        modified: instant(4)?,
        changed: instant(6)?,
    };
    let record = Record { stat, digest: Digest::from_bytes(*digest), is_still_there: AtomicBool::new(false) };
    Some((String::from_utf8(path.to_vec()).ok()?, record, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(inode: u64, seconds: i64) -> Stat {
        let time = Instant(seconds, 5);
        Stat { device: 1, inode, size: 7, mode: 0o100_644, modified: time, changed: time }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn again(seen: &Seen) -> Seen {
        Seen::from_parts(seen.to_parts().unwrap())
    }

    #[test]
    fn a_file_is_known_as_long_as_nothing_about_it_moved() {
        let seen = Seen::default();
        let (first, digest) = (stat(1, 1000), Digest::of(b"first"));
        seen.learn("a/b", &first, digest, at(2000));
        let seen = again(&seen);
        assert_eq!(seen.recall("a/b", &first), Some(digest));
        assert_eq!(seen.recall("a/c", &first), None);
        let later = Instant(1000, 6);
        for other in [
            Stat { device: 2, ..first },
            Stat { inode: 2, ..first },
            Stat { size: 8, ..first },
            Stat { mode: 0o100_755, ..first },
            Stat { modified: later, ..first },
            Stat { changed: later, ..first },
        ] {
            assert_eq!(seen.recall("a/b", &other), None, "{other:?}");
        }
    }

    #[test]
    fn a_file_that_did_not_rest_is_not_kept() {
        let kept = |modified: i64, changed: i64, began: u64| {
            let seen = Seen::default();
            let stat = Stat { modified: Instant(modified, 0), changed: Instant(changed, 0), ..stat(1, 0) };
            seen.learn("a", &stat, Digest::of(b""), at(began));
            !seen.now.lock().unwrap().is_empty()
        };
        for (modified, changed, began, expected) in [
            (1000, 1000, 1003, true),
            (1000, 1000, 1002, false),
            (1000, 1001, 1003, false),
            (1001, 1000, 1003, false),
            // The clock of the file system, or of this machine, is wrong.
            (9000, 1000, 2000, false),
            (1000, 9000, 2000, false),
            (0, 0, 1, false),
        ] {
            assert_eq!(kept(modified, changed, began), expected, "{modified} {changed} {began}");
        }
    }

    #[test]
    fn what_is_gone_is_forgotten_and_what_is_new_added() {
        let seen = Seen::default();
        for name in ["gone", "kept", "changed"] {
            seen.learn(name, &stat(1, 1000), Digest::of(name.as_bytes()), at(2000));
        }
        let seen = again(&seen);
        assert!(seen.recall("kept", &stat(1, 1000)).is_some());
        assert!(seen.recall("changed", &stat(1, 1500)).is_none());
        seen.learn("changed", &stat(1, 1500), Digest::of(b"now"), at(2000));
        let seen = again(&seen);
        assert_eq!(seen.before.len(), 2);
        assert_eq!(seen.recall("changed", &stat(1, 1500)), Some(Digest::of(b"now")));
        assert!(seen.recall("kept", &stat(1, 1000)).is_some());
        assert!(seen.to_parts().is_none(), "nothing is new");
    }

    #[test]
    fn many_files_take_several_parts_and_damage_costs_only_time() {
        let seen = Seen::default();
        let path = |n: u64| format!("{n}/{}", "long".repeat(50));
        for n in 0..9_000 {
            seen.learn(&path(n), &stat(n, 1000), Digest::of(&n.to_le_bytes()), at(2000));
        }
        let parts = seen.to_parts().unwrap();
        assert!(parts.len() > 1 && parts.iter().all(|part| part.len() < 3 << 20));
        let count = |parts: Vec<Vec<u8>>| Seen::from_parts(parts).before.len();
        assert_eq!(count(parts.clone()), 9_000);
        let cut = parts.iter().map(|part| part[..part.len() - 1].to_vec()).collect();
        assert_eq!(count(cut), 9_000 - parts.len());
        assert_eq!(count(vec![b"other".to_vec(), parts[0].clone()]), 0);
        assert_eq!(count(vec![MAGIC[..5].to_vec()]), 0);
    }
}
