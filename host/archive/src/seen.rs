//! Digests that are known without reading: of files of which the system says today what it said when they were read.
//!
//! The rule is the one by which git trusts its index. A file whose device, inode, mode, size and two times are the same has
//! the same bytes, if those times were well in the past when it was read: a file that was written in the moment in which
//! it was read may be written once more without any of its times moving.

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::fstat;
use stave_model::digest::Digest;

use crate::tree::TreePath;

/// How long a file must have rested before what was read of it is trusted later. The coarsest clock of a file system, FAT's,
/// goes in steps of two seconds.
const REST: Duration = Duration::from_secs(3);
/// The first bytes of each part; its number changes whenever the form does.
const MAGIC: &[u8; 8] = b"seen 1\0\n";
/// The most bytes of a part but for its last record: a store of small results takes it whole.
const PART: usize = 2 << 20;
/// The bytes of a record before the length of its path: eight numbers and a digest.
const BEFORE_LENGTH: usize = 8 * 8 + 32;

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

/// What an earlier run read of the files of one folder, or of one file alone. It is kept as it was read, because it is only
/// asked while those files are indexed.
#[derive(Debug, Default)]
pub struct Seen {
    parts: Vec<Vec<u8>>,
    /// Where each record is: its part, and where it begins there. Sorted by path.
    records: Vec<(u32, u32)>,
    /// Which record is probably asked for next.
    next: AtomicUsize,
}

/// What may be believed of a file in a later run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// What the system says of it.
    pub stat: Stat,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Whether it was read now, and not in an earlier run.
    pub is_new: bool,
}

/// A digest, and how it came to be known.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The digest.
    pub digest: Digest,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Before,
    Now,
    /// The file did not rest when it was read, or changed meanwhile: the next run has to read it again.
    Restless,
}

impl Known {
    /// Read now, beginning at `began`; `after` is what the system said then. A file that did not rest before, or is no longer
    /// as `stat` says, is not to be believed later.
    pub fn read(digest: Digest, stat: &Stat, began: SystemTime, after: &Stat) -> Self {
        let origin = if stat == after && stat.rested(began) { Origin::Now } else { Origin::Restless };
        Self { digest, origin }
    }

    /// What a later run may believe, of a file of which the system says `stat`.
    pub fn sighting(&self, stat: &Stat) -> Option<Sighting> {
        let is_new = self.origin == Origin::Now;
        (self.origin != Origin::Restless).then_some(Sighting { stat: *stat, digest: self.digest, is_new })
    }
}

impl Seen {
    /// What an earlier run kept, from its parts in order. What cannot be read is not known: it costs reading files again.
    pub fn from_parts(parts: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut seen = Self::default();
        for part in parts {
            let (Some(mut rest), Ok(number)) = (part.strip_prefix(MAGIC.as_slice()), u32::try_from(seen.parts.len()))
            else {
                break;
            };
            while let Some((_, after)) = decode(rest) {
                let Ok(at) = u32::try_from(part.len() - rest.len()) else { break };
                seen.records.push((number, at));
                rest = after;
            }
            seen.parts.push(part);
        }
        // They come in order, but for a part that is left from a longer list: of two records the first counts.
        let Self { parts, records, .. } = &mut seen;
        records.sort_by(|a, b| path_at(parts, *a).cmp(path_at(parts, *b)));
        records.dedup_by(|b, a| path_at(parts, *a) == path_at(parts, *b));
        seen
    }

    /// How many files are known.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The digest of the file at `path`, if it is the file that was read before. Asking in the order of paths is quickest.
    pub fn recall(&self, path: &str, stat: &Stat) -> Option<Known> {
        let next = self.next.load(Ordering::Relaxed);
        let is_it = |at: &(u32, u32)| path_at(&self.parts, *at) == path.as_bytes();
        let at = if self.records.get(next).is_some_and(is_it) {
            next
        } else {
            self.records.binary_search_by(|at| path_at(&self.parts, *at).cmp(path.as_bytes())).ok()?
        };
        self.next.store(at + 1, Ordering::Relaxed);
        let (part, at) = self.records[at];
        let (record, _) = decode(self.parts.get(part as usize)?.get(at as usize..)?)?;
        (record.stat == *stat).then_some(Known { digest: record.digest, origin: Origin::Before })
    }
}

/// Where the path of a record is, as bytes; empty where there is none.
fn path_at(parts: &[Vec<u8>], (part, at): (u32, u32)) -> &[u8] {
    let record = parts.get(part as usize).and_then(|part| part.get(at as usize + BEFORE_LENGTH..));
    let path = record.and_then(|record| record.split_first_chunk::<2>());
    path.and_then(|(len, rest)| rest.get(..usize::from(u16::from_le_bytes(*len)))).unwrap_or_default()
}

/// Whether there is something to keep: what is known now is not what was kept before, of so many files.
pub fn is_news(sightings: impl Iterator<Item = Sighting>, before: usize) -> bool {
    let (mut old, mut is_new) = (0, false);
    for sighting in sightings {
        old += usize::from(!sighting.is_new);
        is_new |= sighting.is_new;
    }
    is_new || old != before
}

/// What to keep of files for [`Seen::from_parts`], in the order of their paths. Each part goes to `put` when it is full, so
/// that of many files only one is held.
pub fn write_parts<'a>(sightings: impl Iterator<Item = (&'a TreePath, Sighting)>, mut put: impl FnMut(&[u8])) {
    let mut part = MAGIC.to_vec();
    for (path, sighting) in sightings {
        if part.len() >= PART {
            put(&part);
            part.truncate(MAGIC.len());
        }
        encode(&mut part, path.as_str(), &sighting.stat, &sighting.digest);
    }
    put(&part);
}

fn encode(to: &mut Vec<u8>, path: &str, stat: &Stat, digest: &Digest) {
    let [modified, changed] =
        [stat.modified, stat.changed].map(|Instant(at, nanos)| [at.cast_unsigned(), nanos.into()]);
    let numbers = [stat.device, stat.inode, stat.size, u64::from(stat.mode)];
    numbers.into_iter().chain(modified).chain(changed).for_each(|n| to.extend_from_slice(&n.to_le_bytes()));
    to.extend_from_slice(digest.bytes());
    // Paths of a tree are at most 4095 bytes long.
    to.extend_from_slice(&u16::try_from(path.len()).unwrap_or(0).to_le_bytes());
    to.extend_from_slice(path.as_bytes());
}

/// What is kept of one file, beside its path.
struct Record {
    stat: Stat,
    digest: Digest,
}

/// One record and what follows it; none at the end, or where it cannot be read.
fn decode(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (numbers, rest) = bytes.split_first_chunk::<64>()?;
    let (digest, rest) = rest.split_first_chunk::<32>()?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let (_path, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
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
    Some((Record { stat, digest: Digest::from_bytes(*digest) }, rest))
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

    fn paths(names: &[&str]) -> Vec<TreePath> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// Files that were read now, each with the digest of its name.
    fn read_now(names: &[&str], stat: Stat) -> Vec<Vec<u8>> {
        let paths = paths(names);
        let sighting = |path: &TreePath| Sighting { stat, digest: Digest::of(path.as_str().as_bytes()), is_new: true };
        written(paths.iter().map(|path| (path, sighting(path))))
    }

    fn written<'a>(sightings: impl Iterator<Item = (&'a TreePath, Sighting)>) -> Vec<Vec<u8>> {
        let mut parts = Vec::new();
        write_parts(sightings, |part| parts.push(part.to_vec()));
        parts
    }

    fn recall(seen: &Seen, path: &str, stat: &Stat) -> Option<Digest> {
        seen.recall(path, stat).map(|known| known.digest)
    }

    #[test]
    fn a_file_is_known_as_long_as_nothing_about_it_moved() {
        let first = stat(1, 1000);
        let seen = Seen::from_parts(read_now(&["a/b"], first));
        assert_eq!(recall(&seen, "a/b", &first), Some(Digest::of(b"a/b")));
        assert_eq!(recall(&seen, "a/c", &first), None);
        let later = Instant(1000, 6);
        for other in [
            Stat { device: 2, ..first },
            Stat { inode: 2, ..first },
            Stat { size: 8, ..first },
            Stat { mode: 0o100_755, ..first },
            Stat { modified: later, ..first },
            Stat { changed: later, ..first },
        ] {
            assert_eq!(recall(&seen, "a/b", &other), None, "{other:?}");
        }
    }

    #[test]
    fn a_file_that_did_not_rest_is_not_kept() {
        let kept = |modified: i64, changed: i64, began: u64| {
            let stat = Stat { modified: Instant(modified, 0), changed: Instant(changed, 0), ..stat(1, 0) };
            Known::read(Digest::of(b""), &stat, at(began), &stat).sighting(&stat).is_some()
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
        let (before, after) = (stat(1, 1000), stat(1, 1001));
        assert!(Known::read(Digest::of(b""), &before, at(2000), &after).sighting(&before).is_none());
    }

    #[test]
    fn what_is_gone_is_forgotten_and_what_is_new_added() {
        let (old, new) = (stat(1, 1000), stat(1, 1500));
        let seen = Seen::from_parts(read_now(&["changed", "gone", "kept"], old));
        assert_eq!(seen.len(), 3);
        let [changed, kept] = paths(&["changed", "kept"]).try_into().unwrap();
        assert_eq!(recall(&seen, "changed", &new), None);
        let now = Known::read(Digest::of(b"now"), &new, at(2000), &new).sighting(&new).unwrap();
        let before = seen.recall("kept", &old).unwrap().sighting(&old).unwrap();
        assert!(now.is_new && !before.is_new);
        let seen = Seen::from_parts(written([(&changed, now), (&kept, before)].into_iter()));
        assert_eq!(seen.len(), 2);
        assert_eq!(recall(&seen, "changed", &new), Some(Digest::of(b"now")));
        assert_eq!(recall(&seen, "kept", &old), Some(Digest::of(b"kept")));
        let both = || [Sighting { is_new: false, ..now }, before].into_iter();
        assert!(!is_news(both(), 2));
        assert!(is_news(both(), 3), "one is gone");
        assert!(is_news([now, before].into_iter(), 2), "one is new");
    }

    #[test]
    fn many_files_take_several_parts_and_damage_costs_only_time() {
        let names: Vec<String> = (10_000..19_000).map(|n| format!("{n}/{}", "long".repeat(50))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let parts = read_now(&names, stat(1, 1000));
        assert!(parts.len() > 1 && parts.iter().all(|part| part.len() < 3 << 20));
        let count = |parts: Vec<Vec<u8>>| Seen::from_parts(parts).len();
        let seen = Seen::from_parts(parts.clone());
        for name in names.iter().chain(names.iter().rev()) {
            assert_eq!(recall(&seen, name, &stat(1, 1000)), Some(Digest::of(name.as_bytes())));
        }
        let cut = parts.iter().map(|part| part[..part.len() - 1].to_vec()).collect();
        assert_eq!(count(cut), 9_000 - parts.len());
        assert_eq!(count(vec![b"other".to_vec(), parts[0].clone()]), 0);
        assert_eq!(count(vec![MAGIC[..5].to_vec()]), 0);
    }

    #[test]
    fn of_two_records_the_first_counts() {
        let (new, old) = (stat(1, 1500), stat(1, 1000));
        let parts = [read_now(&["a"], new), read_now(&["a", "b"], old)].concat();
        let seen = Seen::from_parts(parts);
        assert_eq!(seen.len(), 2);
        assert!(recall(&seen, "a", &new).is_some() && recall(&seen, "a", &old).is_none());
        assert!(recall(&seen, "b", &old).is_some());
    }
}
