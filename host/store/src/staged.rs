//! Files that do not have a name yet: written aside, on the same file system, and renamed when they are whole.
//!
//! A staged file is locked by the process that writes it. A killed process leaves its file behind and loses its lock,
//! which is how the next one tells leftovers from work in progress; no clock and no process id is asked.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

use crate::{
    files::libc_nofollow,
    folders::{Folder, FolderError},
};

/// The folder in which files wait for their names.
const WAITING: &str = "new";
/// How often a file is begun again that somebody swept away before it was locked.
const TRIES: usize = 1000;

/// The place within a folder where files are staged.
#[derive(Debug, Clone)]
pub struct Staging(Folder);

impl Staging {
    /// The staging place of `folder`, without what killed processes left in it.
    pub fn open(folder: &Folder) -> Result<Self, FolderError> {
        let staging = Self(folder.within(WAITING)?);
        staging.sweep();
        Ok(staging)
    }

    /// Begins a file. Nobody is waited for: between making a file and locking it somebody may take it for a leftover, and
    /// then another one is made.
    pub fn create(&self) -> io::Result<Staged> {
        for _ in 0..TRIES {
            let file = tempfile::Builder::new().prefix("").suffix(".part").tempfile_in(self.0.path())?;
            match lock(file.as_file(), FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if file.as_file().metadata()?.nlink() > 0 => return Ok(Staged(file)),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Err(io::Error::other(format!("{TRIES} new files were taken away by other processes")))
    }

    /// Removes leftovers. Failing to is no reason to stop: the next run tries again.
    fn sweep(&self) {
        for entry in fs::read_dir(self.0.path()).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "part") {
                continue;
            }
            let options = OpenOptions::new().read(true).custom_flags(libc_nofollow()).open(&path);
            // The lock is held until the name is gone: who made the file sees one or the other.
            if let Ok(file) = options
                && lock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// A file without a name. Dropping it removes it.
#[derive(Debug)]
pub struct Staged(NamedTempFile);

impl Staged {
    /// Brings its bytes to the disk, so that a name given afterwards does not outlive them when the power fails. Not needed
    /// for what is checked whenever it is read.
    pub fn settle(self) -> io::Result<Self> {
        self.0.as_file().sync_data()?;
        Ok(self)
    }

    /// Gives it its name and `mode`. Whatever stands there is replaced. Answers the open file.
    pub fn publish(self, name: &Path, mode: u32) -> io::Result<File> {
        self.0.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        let file = self.0.persist(name).map_err(|error| error.error)?;
        // The lock said "in progress"; a file with a name is not.
        lock(&file, FlockOperation::Unlock)?;
        Ok(file)
    }
}

impl Write for Staged {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.as_file_mut().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_file_mut().flush()
    }
}

/// Takes or drops a kernel lock.
fn lock(file: &File, operation: FlockOperation) -> io::Result<()> {
    flock(file, operation).map_err(io::Error::from)
}

/// Flushes a folder's names to the disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folders::CACHE_VARIABLE;

    fn names(folder: &Folder) -> Vec<String> {
        let entries = fs::read_dir(folder.path().join(WAITING)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn leftovers_go_and_work_in_progress_stays() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path().join("cache"), CACHE_VARIABLE).unwrap();
        let staging = Staging::open(&folder).unwrap();
        fs::write(folder.path().join("new/killed.part"), "half").unwrap();
        let mut working = staging.create().unwrap();
        working.write_all(b"going on").unwrap();
        Staging::open(&folder).unwrap();
        assert_eq!(names(&folder).len(), 1, "the leftover is gone, the file in progress is not");
        working.publish(&folder.path().join("done"), 0o444).unwrap();
        assert_eq!(fs::read(folder.path().join("done")).unwrap(), b"going on");
        assert_eq!(names(&folder), [""; 0]);
    }

    #[test]
    fn nobody_who_sweeps_takes_a_file_from_who_writes_it() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path().join("cache"), CACHE_VARIABLE).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let folder = &folder;
                scope.spawn(move || {
                    for round in 0..200 {
                        let mut staged = Staging::open(folder).unwrap().create().unwrap();
                        staged.write_all(b"whole").unwrap();
                        let name = folder.path().join(format!("{writer}-{round}"));
                        staged.publish(&name, 0o444).unwrap();
                        assert_eq!(fs::read(name).unwrap(), b"whole");
                    }
                });
            }
        });
        assert_eq!(names(&folder), [""; 0]);
    }

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path().join("cache"), CACHE_VARIABLE).unwrap();
        let mut staged = Staging::open(&folder).unwrap().create().unwrap();
        staged.write_all(b"half").unwrap();
        drop(staged);
        assert_eq!(names(&folder), [""; 0]);
    }
}
