//! Files of the store, as it reads them: never through a link, never anything but a regular file, and with the time of their
//! last use, which is what decides who goes when there is too much.
//!
//! The last use is the file's time of access, set here and not left to the system, whose own rule about it depends on how the disk
//! is mounted. The time of its last write is nobody's to set: it says whether the bytes are those that were checked.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
use stave_archive::content::Span;

/// How old the note of a last use may be before it is worth a write.
const FRESH: Duration = Duration::from_mins(10);

/// Opens a file for reading; none if there is none.
pub(crate) fn open(path: &Path) -> io::Result<Option<Span>> {
    open_with(path, OFlags::empty())?.map(Span::whole).transpose()
}

/// The same, and notes that it was used now.
pub(crate) fn open_used(path: &Path) -> io::Result<Option<Span>> {
    let Some(file) = open_with(path, OFlags::empty())? else { return Ok(None) };
    touch(&file);
    Span::whole(file).map(Some)
}

/// The same for somebody whose reading is no use of it.
pub(crate) fn open_to_check(path: &Path) -> io::Result<Option<Span>> {
    let file = match open_with(path, OFlags::NOATIME) {
        // Another's file may be read, but not without a trace.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open_with(path, OFlags::empty()),
        opened => opened,
    };
    file?.map(Span::whole).transpose()
}

fn open_with(path: &Path, flags: OFlags) -> io::Result<Option<File>> {
    // Opening a pipe would wait for somebody who writes to it.
    let flags = flags_of(flags | OFlags::NOFOLLOW | OFlags::NONBLOCK);
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.is_file() {
        Ok(Some(file))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"))
    }
}

/// Whether opening failed because of what stands there.
pub(crate) fn is_no_file(error: &io::Error) -> bool {
    let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    is_link || error.kind() == io::ErrorKind::InvalidData
}

/// Notes that a file is used now. A failure costs nothing but its place among those that were used lately.
fn touch(file: &File) {
    let noted = file.metadata().ok().and_then(|said| used(&said).elapsed().ok());
    if noted.is_some_and(|age| age < FRESH) {
        return;
    }
    let time = |nanos| Timespec { tv_sec: 0, tv_nsec: nanos };
    let _ = futimens(file, &Timestamps { last_access: time(UTIME_NOW), last_modification: time(UTIME_OMIT) });
}

/// When a file was used last.
pub(crate) fn used(said: &std::fs::Metadata) -> SystemTime {
    let seconds = u64::try_from(said.atime()).unwrap_or(0);
    let nanos = u32::try_from(said.atime_nsec()).unwrap_or(0);
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanos)).unwrap_or(UNIX_EPOCH)
}

/// `O_NOFOLLOW`, as the standard library wants it.
pub(crate) fn libc_nofollow() -> i32 {
    flags_of(OFlags::NOFOLLOW)
}

fn flags_of(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use stave_archive::content::Content as _;

    use super::*;

    #[test]
    fn a_use_is_noted_and_no_write_is_pretended() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        fs::write(&path, "x").unwrap();
        let long_ago = Timespec { tv_sec: 1_000_000, tv_nsec: 0 };
        let set = || {
            let times = Timestamps { last_access: long_ago, last_modification: long_ago };
            futimens(File::open(&path).unwrap(), &times).unwrap();
        };
        let times = || {
            let said = fs::metadata(&path).unwrap();
            (used(&said) > UNIX_EPOCH + Duration::from_secs(2_000_000), said.mtime())
        };
        set();
        assert_eq!(open_to_check(&path).unwrap().unwrap().bytes(9).unwrap(), b"x");
        assert_eq!(times(), (false, 1_000_000), "looking is no use");
        open_used(&path).unwrap().unwrap();
        assert_eq!(times(), (true, 1_000_000));
        assert!(open_used(&temp.path().join("other")).unwrap().is_none());
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(is_no_file(&open(&path).unwrap_err()));
    }
}
