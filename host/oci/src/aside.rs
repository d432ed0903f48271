//! Files and folders that have no name yet, written beside the place where they will stand.
//!
//! Whoever writes one holds a lock on it. A killed process leaves it behind and loses the lock, which is how the next one,
//! writing to the same place, tells leftovers from the work of others, and removes them; no clock and no process id is asked.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt as _},
    path::Path,
};

use rustix::fs::{FlockOperation, OFlags, flock};
use tempfile::{Builder, NamedTempFile, TempDir};

const PREFIX: &str = ".stave-";
const SUFFIX: &str = ".partial";

/// A folder without its name, removed when dropped, and the handle that is its lock.
pub(crate) struct Folder {
    pub(crate) folder: TempDir,
    _lock: File,
}

/// Writes a file that is there whole or not at all, with the mode of any new one. What killed processes left beside it goes.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with_mode(path, bytes, 0o666)
}

/// The same for a secret: this user alone may read it.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with_mode(path, bytes, 0o600)
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sweep(folder);
    let mut file = begin(folder, named().permissions(Permissions::from_mode(mode)))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// A file in `folder` that has no name yet.
pub(crate) fn file(folder: &Path) -> io::Result<NamedTempFile> {
    begin(folder, &named())
}

fn begin(folder: &Path, named: &Builder<'_, '_>) -> io::Result<NamedTempFile> {
    loop {
        let file = named.tempfile_in(folder)?;
        if is_ours(file.as_file(), file.path()) {
            return Ok(file);
        }
    }
}

/// A folder in `parent` that has no name yet.
pub(crate) fn folder(parent: &Path) -> io::Result<Folder> {
    loop {
        let folder = named().tempdir_in(parent)?;
        let lock = File::open(folder.path())?;
        if is_ours(&lock, folder.path()) {
            return Ok(Folder { folder, _lock: lock });
        }
    }
}

/// Removes what killed processes left in a folder. Failing to is no reason to stop.
pub(crate) fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if !(name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())) {
            continue;
        }
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let Ok(left) = OpenOptions::new().read(true).custom_flags(flags).open(entry.path()) else { continue };
        if flock(&left, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let is_folder = left.metadata().is_ok_and(|metadata| metadata.is_dir());
            let _ = if is_folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        }
    }
}

fn named() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    builder
}

/// Locks what was just made. No, if somebody swept it away before it was locked: then another is to be made.
fn is_ours(handle: &File, path: &Path) -> bool {
    let is_there = || fs::symlink_metadata(path).is_ok_and(|at| handle.metadata().is_ok_and(|it| it.ino() == at.ino()));
    flock(handle, FlockOperation::NonBlockingLockExclusive).is_ok() && is_there()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_leftovers_beside_it_go() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("bill.json");
        fs::write(temp.path().join(".stave-killed.partial"), "half").unwrap();
        for text in ["one", "two"] {
            write_whole(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let names: Vec<_> = fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["bill.json"]);
        // As readable as what any other program writes here.
        fs::write(temp.path().join("other"), "").unwrap();
        let mode = |name: &str| fs::metadata(temp.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode("bill.json"), mode("other"));
        write_private(&path, b"secret").unwrap();
        assert_eq!(mode("bill.json") & 0o777, 0o600);
    }

    #[test]
    fn leftovers_go_and_work_of_others_stays() {
        let temp = tempfile::tempdir().unwrap();
        let (file, folder) = (file(temp.path()).unwrap(), folder(temp.path()).unwrap());
        fs::write(folder.folder.path().join("blob"), "half").unwrap();
        // As a killed process leaves them: nobody holds a lock.
        fs::write(temp.path().join(".stave-killed.partial"), "half").unwrap();
        fs::create_dir_all(temp.path().join(".stave-too.partial/blobs")).unwrap();
        for kept in ["other.partial", ".stave-other"] {
            fs::write(temp.path().join(kept), "").unwrap();
        }
        std::os::unix::fs::symlink("/etc", temp.path().join(".stave-link.partial")).unwrap();

        sweep(temp.path());
        let mut names: Vec<_> = fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let mut expected = vec![file.path().to_owned(), folder.folder.path().to_owned()];
        expected.extend([".stave-link.partial", ".stave-other", "other.partial"].map(|name| temp.path().join(name)));
        expected.sort();
        assert_eq!(names, expected);
    }
}
