//! Bytes by their digest: `blobs/sha256/<2 hex>/<hex>`.
//!
//! A blob has its name only when it is whole and on the disk, so one that is there has the size it was written with.
//! What a disk does to it later is found by [`DiskBlobs::verify`], not by every reader: hashing a gigabyte takes longer
//! than using it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use stave_archive::content::{Content, Span};
use stave_lifecycle::port::{
    blobs::{Blobs, NewBlob},
    failure::PortError,
};
use stave_model::digest::Digest;

use crate::{
    folders::Folder,
    staged::{Staged, Staging, libc_nofollow},
};

/// The blobs in a folder.
#[derive(Debug, Clone)]
pub struct DiskBlobs {
    folder: Folder,
    staging: Staging,
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
        Ok(Self { folder, staging })
    }

    /// Where the blob is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        path(self.folder.path(), digest)
    }

    /// Reads a blob and compares. A damaged one is removed.
    pub fn verify(&self, digest: &Digest) -> Result<Condition, PortError> {
        let Some(span) = self.get(digest)? else { return Ok(Condition::Missing) };
        let failed = |error| self.folder.failed(format!("could not verify the blob {digest}"), error);
        if span.digest().map_err(failed)? == *digest {
            return Ok(Condition::Sound);
        }
        self.discard(digest)?;
        Ok(Condition::Damaged)
    }
}

impl Blobs for DiskBlobs {
    fn get(&self, digest: &Digest) -> Result<Option<Span>, PortError> {
        open(&self.path(digest)).map_err(|error| self.folder.failed(format!("could not read the blob {digest}"), error))
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
        Ok(Box::new(DiskBlob { folder: self.folder.clone(), staged, size: 0 }))
    }
}

/// A blob that is being written. Errors of [`Write`] are the disk's own; [`DiskBlob::keep`] adds what can be done.
#[derive(Debug)]
struct DiskBlob {
    folder: Folder,
    staged: Staged,
    size: u64,
}

impl Write for DiskBlob {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.staged.write(buffer).map_err(|error| explained(&self.folder, error))?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.staged.flush()
    }
}

impl NewBlob for DiskBlob {
    fn keep(self: Box<Self>, digest: &Digest) -> Result<Span, PortError> {
        let failed = |error| self.folder.failed(format!("could not keep the blob {digest}"), error);
        let path = path(self.folder.path(), digest);
        if let Some(kept) = open(&path).map_err(failed)?.filter(|kept| kept.size() == self.size)
            && kept.digest().map_err(failed)? == *digest
        {
            // Somebody else was quicker with the same bytes. A blob with others is damaged, and replaced.
            return Ok(kept);
        }
        let parent = path.parent().unwrap_or(self.folder.path());
        fs::create_dir_all(parent).map_err(failed)?;
        let folder = self.folder.clone();
        let published = self.staged.settle().and_then(|staged| staged.publish(&path, 0o444)).and_then(|_| open(&path));
        published
            .and_then(|span| span.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(|error| folder.failed(format!("could not keep the blob {digest}"), error))
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

/// Opens a blob for reading; links are not followed, and anything but a regular file is an error.
pub(crate) fn open(path: &Path) -> io::Result<Option<Span>> {
    let file = match OpenOptions::new().read(true).custom_flags(libc_nofollow()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    regular(file).map(Some)
}

fn regular(file: File) -> io::Result<Span> {
    if file.metadata()?.is_file() {
        Span::whole(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"))
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, process, thread};

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
        assert!(files(temp.path()) <= before + 1, "nothing but the gate's file may be new");
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
        assert!(blobs.get(&digest).is_err());
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
        assert_eq!(files(&temp.path().join("cache/blobs/new")), 1, "only the gate's file is left");
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
        assert_eq!(files(&cache.join("blobs")), 2, "the gate and the half-written blob");
        store(&temp);
        assert_eq!(files(&cache.join("blobs")), 1, "the gate alone");
    }
}
