//! Bytes by their digest: `blobs/sha256/<2 hex>/<hex>`.
//!
//! A blob has its name only when it is whole and on the disk. Which file was compared with its digest is kept among the
//! results: size, time of the last write and inode. Whoever asks for a blob whose file is another one gets it only after it was
//! compared again, and a damaged one is taken away, so that it is made or fetched anew. Hashing a gigabyte takes longer than
//! using it, so what the disk changes without telling the system is found by [`DiskBlobs::verify`] alone.

mod lent;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use stave_archive::content::{Content, Span};
use stave_lifecycle::port::{
    blobs::{Blobs, NewBlob, Results},
    failure::PortError,
    observer::Level,
};
use stave_model::digest::{Digest, Key};

use crate::{
    files,
    folders::Folder,
    locks::Waiting,
    results::DiskResults,
    staged::{Staged, Staging},
};

/// The blobs in a folder.
#[derive(Debug, Clone)]
pub struct DiskBlobs {
    folder: Folder,
    staging: Staging,
    marks: DiskResults,
    told: Waiting,
    /// Where else blobs are.
    lender: Option<PathBuf>,
}

/// What [`DiskBlobs::verify`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// There is no such blob.
    Missing,
    /// Its bytes have its digest.
    Sound,
    /// They had another one. The blob is removed, so that it is fetched or made again.
    Damaged,
}

impl DiskBlobs {
    /// The blobs in `cache`; removes what killed processes left behind.
    pub fn open(cache: &Folder) -> Result<Self, PortError> {
        let folder = cache.within("blobs")?;
        let staging = Staging::open(&folder)?;
        Ok(Self { folder, staging, marks: DiskResults::open(cache)?, told: Waiting::default(), lender: None })
    }

    /// The same, telling of damage that is found.
    #[must_use]
    pub fn telling(self, told: Waiting) -> Self {
        Self { marks: self.marks.telling(told.clone()), told, ..self }
    }

    /// Where the blob is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        path(self.folder.path(), digest)
    }

    /// Reads a blob and compares, whatever is known of its file. A damaged one is removed.
    pub fn verify(&self, digest: &Digest) -> Result<Condition, PortError> {
        let failed = |error| self.folder.failed(format!("could not verify the blob {digest}"), error);
        match files::open_to_check(&self.path(digest)) {
            Ok(None) => return Ok(Condition::Missing),
            Ok(Some(span)) if span.digest().map_err(failed)? == *digest => {
                learn(&self.marks, digest, &span);
                return Ok(Condition::Sound);
            }
            Err(error) if !files::is_no_file(&error) => return Err(failed(error)),
            _ => {}
        }
        self.discard(digest)?;
        Ok(Condition::Damaged)
    }

    /// Every blob that has its place.
    pub(crate) fn list(&self) -> impl Iterator<Item = (Digest, fs::Metadata)> {
        let entries = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
        let folders = entries(self.folder.path().join("sha256"));
        folders.flat_map(move |folder| entries(folder.path())).filter_map(|entry| {
            let digest = Digest::from_hex(entry.file_name().to_str()?).ok()?;
            Some((digest, entry.metadata().ok()?))
        })
    }
}

/// Under what it is kept which file was compared with a digest.
fn compared(digest: &Digest) -> Digest {
    Key::new("compared blob 1").field(digest.hex()).finish()
}

/// Whether this very file was compared with the digest, and is as it was then.
fn is_known(marks: &DiskResults, digest: &Digest, file: &Span) -> bool {
    let mark = file.stat().map(|stat| stat.mark()).ok();
    mark.is_some_and(|mark| marks.get(&compared(digest)).is_some_and(|kept| kept == mark.as_bytes()))
}

/// Takes in that this file has the digest. Without a mark it is read the next time, and nothing worse.
fn learn(marks: &DiskResults, digest: &Digest, file: &Span) {
    if let Ok(stat) = file.stat()
        && !is_known(marks, digest, file)
    {
        marks.put(&compared(digest), stat.mark().as_bytes());
    }
}

impl Blobs for DiskBlobs {
    fn get(&self, digest: &Digest) -> Result<Option<Span>, PortError> {
        let failed = |error| self.folder.failed(format!("could not read the blob {digest}"), error);
        match files::open_used(&self.path(digest)) {
            Ok(None) => return Ok(self.lent(digest)),
            Ok(Some(span)) => {
                if is_known(&self.marks, digest, &span) {
                    return Ok(Some(span));
                }
                if span.digest().map_err(failed)? == *digest {
                    learn(&self.marks, digest, &span);
                    return Ok(Some(span));
                }
            }
            Err(error) if files::is_no_file(&error) => {}
            Err(error) => return Err(failed(error)),
        }
        self.discard(digest)?;
        let text = format!("the cache's copy of {digest} was damaged and is gone: it is made or fetched again");
        self.told.tell(Level::Warning, text);
        Ok(self.lent(digest))
    }

    fn discard(&self, digest: &Digest) -> Result<(), PortError> {
        match fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.folder.failed(format!("could not remove the damaged blob {digest}"), error))
            }
            _ => Ok(()),
        }
    }

    fn create(&self) -> Result<Box<dyn NewBlob>, PortError> {
        let staged = self.staging.create().map_err(|error| self.folder.failed("could not begin a blob", error))?;
        Ok(Box::new(DiskBlob { folder: self.folder.clone(), marks: self.marks.clone(), staged }))
    }
}

/// A blob that is being written. Errors of [`Write`] are the disk's own; [`DiskBlob::keep`] adds what can be done.
#[derive(Debug)]
struct DiskBlob {
    folder: Folder,
    marks: DiskResults,
    staged: Staged,
}

impl Write for DiskBlob {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.staged.write(buffer).map_err(|error| explained(&self.folder, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.staged.flush()
    }
}

impl NewBlob for DiskBlob {
    fn keep(self: Box<Self>, digest: &Digest) -> Result<Span, PortError> {
        let Self { folder, marks, staged } = *self;
        let path = path(folder.path(), digest);
        // Somebody else may have been quicker with the same bytes. A file of which that is not known is replaced.
        if let Ok(Some(kept)) = files::open_used(&path)
            && is_known(&marks, digest, &kept)
        {
            return Ok(kept);
        }
        let publish = || {
            fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            staged.settle()?.publish(&path, 0o444)?;
            files::open(&path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        let span =
            publish().map_err(|error: io::Error| folder.failed(format!("could not keep the blob {digest}"), error))?;
        learn(&marks, digest, &span);
        Ok(span)
    }
}

/// An error of a write with the folder and the way out inside, because the writer passes through code that knows neither.
fn explained(folder: &Folder, error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::Interrupted {
        return error;
    }
    io::Error::new(error.kind(), folder.failed("could not write a blob", error))
}

fn path(folder: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    folder.join("sha256").join(&hex[..2]).join(hex)
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{MetadataExt, PermissionsExt, symlink},
        process, thread,
    };

    use super::*;
    use crate::folders::CACHE_VARIABLE;

    fn store(temp: &tempfile::TempDir) -> DiskBlobs {
        DiskBlobs::open(&Folder::open(temp.path().join("cache"), CACHE_VARIABLE).unwrap()).unwrap()
    }

    fn put(blobs: &DiskBlobs, bytes: &[u8]) -> Digest {
        let mut blob = blobs.create().unwrap();
        blob.write_all(bytes).unwrap();
        let digest = Digest::of(bytes);
        assert_eq!(blob.keep(&digest).unwrap().bytes(1 << 20).unwrap(), bytes);
        digest
    }

    fn files(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
    }

    #[test]
    fn what_was_kept_comes_back() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = store(&temp);
        assert!(blobs.get(&Digest::of(b"x")).unwrap().is_none());
        let digest = put(&blobs, b"hello");
        assert_eq!(put(&blobs, b"hello"), digest);
        assert_eq!(store(&temp).get(&digest).unwrap().unwrap().bytes(9).unwrap(), b"hello");
        assert!(blobs.path(&digest).ends_with(format!("blobs/sha256/{}/{}", &digest.hex()[..2], digest.hex())));
    }

    #[test]
    fn what_was_not_kept_is_gone() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = store(&temp);
        let before = files(temp.path());
        let mut blob = blobs.create().unwrap();
        blob.write_all(b"half").unwrap();
        drop(blob);
        assert_eq!(files(temp.path()), before);
    }

    #[test]
    fn damage_is_found_and_healed() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = store(&temp);
        let digest = put(&blobs, b"hello");
        assert_eq!(blobs.verify(&digest).unwrap(), Condition::Sound);
        fs::remove_file(blobs.path(&digest)).unwrap();
        fs::write(blobs.path(&digest), b"hellp").unwrap();
        assert_eq!(blobs.verify(&digest).unwrap(), Condition::Damaged);
        assert_eq!(blobs.verify(&digest).unwrap(), Condition::Missing);
    }

    #[test]
    fn a_blob_of_another_size_is_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = store(&temp);
        let digest = put(&blobs, b"hello");
        fs::remove_file(blobs.path(&digest)).unwrap();
        fs::write(blobs.path(&digest), b"hel").unwrap();
        assert_eq!(put(&blobs, b"hello"), digest);
        blobs.discard(&digest).unwrap();
        assert!(blobs.get(&digest).unwrap().is_none());
        blobs.discard(&digest).unwrap();
    }

    #[test]
    fn a_blob_with_other_bytes_is_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = store(&temp);
        let digest = put(&blobs, b"hello");
        fs::remove_file(blobs.path(&digest)).unwrap();
        fs::write(blobs.path(&digest), b"hellp").unwrap();
        // Not within the same tick of the file system's clock as the one before.
        let file = fs::File::options().write(true).open(blobs.path(&digest)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(put(&blobs, b"hello"), digest);
        assert_eq!(blobs.verify(&digest).unwrap(), Condition::Sound);
    }

    #[test]
    fn a_link_in_a_blobs_place_is_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = store(&temp);
        let digest = Digest::of(b"secret");
        fs::create_dir_all(blobs.path(&digest).parent().unwrap()).unwrap();
        fs::write(temp.path().join("secret"), "secret").unwrap();
        symlink(temp.path().join("secret"), blobs.path(&digest)).unwrap();
        assert!(blobs.get(&digest).unwrap().is_none());
        assert!(!blobs.path(&digest).is_symlink(), "the right bytes can take its place");
        assert_eq!(fs::read(temp.path().join("secret")).unwrap(), b"secret");
    }

    /// T7: whatever was done to the file of a blob is found by who asks for it, and the blob can be made again.
    #[test]
    fn t7_a_changed_or_swapped_file_is_found_on_use() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = store(&temp);
        let (digest, other) = (put(&blobs, b"hello"), put(&blobs, b"hallo"));
        let path = blobs.path(&digest);
        let writable = || fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        // Some time after it was written: a clock that stood still would hide it.
        let later = || {
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_modified(file.metadata().unwrap().modified().unwrap() + std::time::Duration::from_secs(1))
                .unwrap();
        };
        let ways: [&dyn Fn(); 4] = [
            &|| {
                writable();
                fs::write(&path, "hellp").unwrap();
                later();
            },
            &|| {
                writable();
                fs::write(&path, "hell").unwrap();
            },
            &|| fs::rename(blobs.path(&other), &path).unwrap(),
            &|| {
                fs::remove_file(&path).unwrap();
                symlink("/dev/null", &path).unwrap();
            },
        ];
        for (way, damage) in ways.into_iter().enumerate() {
            damage();
            assert!(blobs.get(&digest).unwrap().is_none(), "way {way}");
            assert!(!path.exists(), "way {way}");
            put(&blobs, b"hello");
            assert_eq!(blobs.get(&digest).unwrap().unwrap().bytes(9).unwrap(), b"hello", "way {way}");
        }
    }

    #[test]
    fn what_was_compared_is_read_again_only_if_it_is_another_file() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = store(&temp);
        let digest = put(&blobs, b"hello");
        let mark = || blobs.marks.get(&compared(&digest));
        let before = mark().unwrap();
        blobs.get(&digest).unwrap().unwrap();
        fs::hard_link(blobs.path(&digest), temp.path().join("second name")).unwrap();
        blobs.get(&digest).unwrap().unwrap();
        assert_eq!(mark().as_ref(), Some(&before), "nothing was to be learned");
        // The same bytes in another file.
        let copy = temp.path().join("copy");
        fs::copy(blobs.path(&digest), &copy).unwrap();
        fs::rename(copy, blobs.path(&digest)).unwrap();
        blobs.get(&digest).unwrap().unwrap();
        assert!(mark().is_some_and(|mark| mark != before));
        // Nobody who is quicker with the same bytes is written over.
        let inode = || fs::metadata(blobs.path(&digest)).unwrap().ino();
        let first = inode();
        put(&blobs, b"hello");
        assert_eq!(inode(), first);
    }

    #[test]
    fn many_writers_of_the_same_blobs_agree() {
        let temp = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let blobs = store(&temp);
                    for n in 0..50_u8 {
                        put(&blobs, &[n; 1000]);
                    }
                });
            }
        });
        let blobs = store(&temp);
        for n in 0..50_u8 {
            assert_eq!(blobs.verify(&Digest::of(&[n; 1000])).unwrap(), Condition::Sound);
        }
        assert_eq!(files(&temp.path().join("cache/blobs/new")), 0);
    }

    /// Not a test by itself: the process that `a_killed_writer_leaves_nothing_that_counts` kills.
    #[test]
    fn writer_to_be_killed() {
        let Some(folder) = std::env::var_os("STAVE_TEST_KILLED_WRITER") else { return };
        let blobs = DiskBlobs::open(&Folder::open(folder.into(), CACHE_VARIABLE).unwrap()).unwrap();
        let mut blob = blobs.create().unwrap();
        blob.write_all(b"half a blob").unwrap();
        process::abort();
    }

    #[test]
    fn a_killed_writer_leaves_nothing_that_counts() {
        let temp = tempfile::tempdir().unwrap();
        let cache = temp.path().join("cache");
        let status = process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "blobs::tests::writer_to_be_killed"])
            .env("STAVE_TEST_KILLED_WRITER", &cache)
            .output()
            .unwrap()
            .status;
        assert!(!status.success());
        assert_eq!(files(&cache.join("blobs")), 1, "the half-written blob");
        store(&temp);
        assert_eq!(files(&cache.join("blobs")), 0);
    }
}
