//! Small results by their key: `results/<2 hex>/<hex>`, each with a check inside.
//!
//! A file that was torn, flipped, swapped with another or written by somebody who does not know its key is a miss, and
//! a miss only costs time. Whoever waits is told of it once, because what changed this file may change others.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use stave_archive::content::{Content, Span};
use stave_lifecycle::port::{blobs::Results, failure::PortError, observer::Level};
use stave_model::digest::{Digest, Key};

use crate::{blobs::Condition, files, folders::Folder, locks::Waiting, staged::Staging};

/// The largest result that is kept, in bytes.
pub const MAX_RESULT: usize = 4 << 20;

/// How many bytes the check before a value takes: a digest as text and a line feed.
const CHECK: usize = 72;

/// The results in a folder.
#[derive(Debug, Clone)]
pub struct DiskResults {
    folder: Folder,
    staging: Staging,
    told: Waiting,
}

impl DiskResults {
    /// The results in `cache`.
    pub fn open(cache: &Folder) -> Result<Self, PortError> {
        let folder = cache.within("results")?;
        let staging = Staging::open(&folder)?;
        Ok(Self { folder, staging, told: Waiting::default() })
    }

    /// The same, telling of damage that is found.
    #[must_use]
    pub fn telling(self, told: Waiting) -> Self {
        Self { told, ..self }
    }

    /// Reads a result and compares. A damaged one is removed; it is a miss anyhow.
    pub fn verify(&self, key: &Digest) -> Condition {
        match files::open_to_check(&self.path(key)) {
            Ok(None) => return Condition::Missing,
            Ok(Some(span)) if value(key, &span).is_some() => return Condition::Sound,
            _ => {}
        }
        let _ = fs::remove_file(self.path(key));
        Condition::Damaged
    }

    /// Every result that has its place.
    pub(crate) fn list(&self) -> impl Iterator<Item = (Digest, fs::Metadata)> {
        let entries = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
        let folders = entries(self.folder.path().to_owned()).filter(|folder| folder.file_name().len() == 2);
        folders.flat_map(move |folder| entries(folder.path())).filter_map(|entry| {
            let key = Digest::from_hex(entry.file_name().to_str()?).ok()?;
            Some((key, entry.metadata().ok()?))
        })
    }

    pub(crate) fn path(&self, key: &Digest) -> PathBuf {
        let hex = key.hex();
        self.folder.path().join(&hex[..2]).join(hex)
    }

    fn try_put(&self, key: &Digest, value: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut staged = self.staging.create()?;
        writeln!(staged, "{}", check(key, value))?;
        staged.write_all(value)?;
        staged.publish(&path, 0o444)?;
        Ok(())
    }
}

impl Results for DiskResults {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        let kept = match files::open_used(&self.path(key)) {
            Ok(Some(span)) => value(key, &span),
            Err(error) if files::is_no_file(&error) => None,
            Ok(None) | Err(_) => return None,
        };
        if kept.is_none() && fs::remove_file(self.path(key)).is_ok() {
            let text = format!("what the cache kept as {key} was damaged and is gone: it is found out again");
            self.told.tell(Level::Warning, text);
        }
        kept
    }

    fn put(&self, key: &Digest, value: &[u8]) {
        if value.len() <= MAX_RESULT {
            // A result that is not kept is made again.
            let _ = self.try_put(key, value);
        }
    }
}

/// The value of a key in a file that has the right check.
fn value(key: &Digest, span: &Span) -> Option<Vec<u8>> {
    let bytes = span.bytes((MAX_RESULT + CHECK) as u64).ok()?;
    let (line, value) = bytes.split_at_checked(CHECK)?;
    (line == format!("{}\n", check(key, value)).as_bytes()).then(|| value.to_vec())
}

/// Binds a value to its key.
fn check(key: &Digest, value: &[u8]) -> Digest {
    Key::new("stave result 1").field(key.to_string()).field(value).finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stave_lifecycle::port::{
        cancel::Cancel,
        observer::{Event, Observer},
    };

    use super::*;
    use crate::folders::CACHE_VARIABLE;

    fn results(temp: &tempfile::TempDir) -> DiskResults {
        DiskResults::open(&Folder::open(temp.path().join("cache"), CACHE_VARIABLE).unwrap()).unwrap()
    }

    #[test]
    fn what_was_put_comes_back_and_the_last_one_counts() {
        let temp = tempfile::tempdir().unwrap();
        let (results, key) = (results(&temp), Digest::of(b"key"));
        assert_eq!(results.get(&key), None);
        for value in [&b"one"[..], b"", b"two\nlines"] {
            results.put(&key, value);
            assert_eq!(results.get(&key).as_deref(), Some(value));
        }
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let temp = tempfile::tempdir().unwrap();
        let (results, key) = (results(&temp), Digest::of(b"key"));
        results.put(&key, &vec![0; MAX_RESULT + 1]);
        assert_eq!(results.get(&key), None);
        results.put(&key, &vec![0; MAX_RESULT]);
        assert_eq!(results.get(&key).map(|value| value.len()), Some(MAX_RESULT));
    }

    #[test]
    fn whatever_was_changed_is_a_miss() {
        let temp = tempfile::tempdir().unwrap();
        let (results, key, other) = (results(&temp), Digest::of(b"key"), Digest::of(b"other"));
        results.put(&key, b"value");
        let good = fs::read(results.path(&key)).unwrap();
        let set = |bytes: &[u8]| {
            let _ = fs::remove_file(results.path(&key));
            fs::write(results.path(&key), bytes).unwrap();
        };
        for at in 0..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            set(&flipped);
            assert_eq!(results.get(&key), None, "byte {at} flipped");
            set(&good[..at]);
            assert_eq!(results.get(&key), None, "torn at {at}");
        }
        set(&good);
        assert!(results.get(&key).is_some());
        results.put(&other, b"another value");
        fs::rename(results.path(&other), results.path(&key)).unwrap();
        assert_eq!(results.get(&key), None, "swapped with another");
        assert_eq!(results.verify(&key), Condition::Missing, "what is damaged does not stay");
        set(&good[1..]);
        assert_eq!((results.verify(&key), results.verify(&key)), (Condition::Damaged, Condition::Missing));
        set(&good);
        assert_eq!(results.verify(&key), Condition::Sound);
    }

    /// T7.
    #[test]
    fn t7_whoever_waits_is_told_once_of_what_was_changed() {
        struct Ear(std::sync::mpsc::Sender<Event>);
        impl Observer for Ear {
            fn observe(&self, event: Event) {
                let _ = self.0.send(event);
            }
        }
        let (sender, heard) = std::sync::mpsc::channel();
        let (temp, key) = (tempfile::tempdir().unwrap(), Digest::of(b"key"));
        let results = results(&temp).telling(Waiting::new(Arc::new(Ear(sender)), Cancel::new()));
        for change in ["another value", ""] {
            results.put(&key, b"value");
            fs::remove_file(results.path(&key)).unwrap();
            fs::write(results.path(&key), change).unwrap();
            assert_eq!((results.get(&key), results.get(&key)), (None, None));
        }
        // A link is as bad, wherever it leads.
        std::os::unix::fs::symlink("/dev/null", results.path(&key)).unwrap();
        assert_eq!((results.get(&key), results.get(&key)), (None, None));
        results.put(&key, b"value");
        assert!(results.get(&key).is_some());
        let text = format!("what the cache kept as {key} was damaged and is gone: it is found out again");
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), vec![Event::Note(Level::Warning, text); 3]);
    }
}
