//! Asks the system what is in a folder, and what it says of each entry.

use std::{
    ffi::CStr,
    io,
    os::fd::BorrowedFd,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use cap_std::fs::{self as cap, OpenOptionsExt as _};
use rustix::{
    fs::{AtFlags, FileType, OFlags, readlinkat, statat},
    io::Errno,
};

use super::FolderError;
use crate::{
    seen::Stat,
    tree::{MAX_PATH, TreePath},
};

/// So many folders are worth a thread.
const PER_THREAD: usize = 8;

/// An entry of a folder.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_folder: bool,
    /// What stands there. Who passes over an entry need not know that nothing can be said of it.
    pub(super) found: Result<Found, Unknown>,
}

/// What stands at an entry.
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) stat: Stat,
}

pub(super) enum Kind {
    File,
    Folder,
    Link(String),
    /// A socket, device or fifo.
    Special,
}

/// Why nothing can be said of an entry.
pub(super) enum Unknown {
    Unreadable(io::Error),
    NotText,
}

impl Unknown {
    pub(super) fn at(self, path: &TreePath) -> FolderError {
        match self {
            Self::Unreadable(source) => FolderError::Read { path: path.as_str().to_owned(), source },
            Self::NotText => FolderError::NotText(path.as_str().to_owned()),
        }
    }
}

/// How many names may be in the folders that are listed together, and how many were met. All of them are in memory before
/// anybody says which are passed over.
struct Names {
    most: usize,
    met: AtomicUsize,
}

impl Names {
    /// One more, in the folder `at`.
    fn count(&self, at: &str) -> Result<(), FolderError> {
        if self.met.fetch_add(1, Ordering::Relaxed) < self.most {
            return Ok(());
        }
        let rule = format!("more than {} names, those counted that are left out", self.most);
        Err(FolderError::Limit { path: at.to_owned(), rule })
    }
}

/// Lists some folders side by side; each answer is sorted by name. A folder is reached from `root` without following a link out
/// of it, and must still be the one of which `Stat` was said. Together they may hold `most` entries.
pub(super) fn list_all(
    root: &cap::Dir,
    folders: &[(TreePath, Stat)],
    most: usize,
) -> Vec<Result<Vec<Entry>, FolderError>> {
    let names = Names { most, met: AtomicUsize::new(0) };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(folders.len() / PER_THREAD);
    if threads < 2 {
        return folders.iter().map(|folder| list(root, folder, &names)).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(folder) = folders.get(number) else { return done };
            done.push((number, list(root, folder, &names)));
        }
    };
    let mut done: Vec<_> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, listing)| listing).collect()
}

fn list(root: &cap::Dir, (at, before): &(TreePath, Stat), names: &Names) -> Result<Vec<Entry>, FolderError> {
    let unreadable = |source| FolderError::Read { path: at.as_str().to_owned(), source };
    let name = if *at == TreePath::root() { "." } else { at.as_str() };
    let mut options = cap::OpenOptions::new();
    options.read(true).custom_flags((OFlags::DIRECTORY | OFlags::NONBLOCK).bits().cast_signed());
    let dir = root.open_with(name, &options).map_err(unreadable)?.into_std();
    if !Stat::of_handle(&dir).map_err(|error| unreadable(error.into()))?.is_same_place(before) {
        return Err(FolderError::Changed(at.as_str().to_owned()));
    }
    let mut dir = rustix::fs::Dir::new(dir).map_err(|error| unreadable(error.into()))?;
    let mut entries = Vec::new();
    while let Some(entry) = dir.read() {
        let entry = entry.map_err(|error| unreadable(error.into()))?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        names.count(name)?;
        let Ok(name) = entry.file_name().to_str() else {
            let path = format!("{at}/{}", entry.file_name().to_string_lossy());
            return Err(FolderError::NotText(path.trim_start_matches('/').to_owned()));
        };
        let fd = dir.fd().map_err(|error| unreadable(error.into()))?;
        let found = look(fd, entry.file_name());
        let is_folder = match &found {
            Ok(found) => matches!(found.kind, Kind::Folder),
            Err(_) => entry.file_type() == FileType::Directory,
        };
        entries.push(Entry { name: name.to_owned(), is_folder, found });
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// What stands at a name in a folder; no link is followed.
fn look(folder: BorrowedFd<'_>, name: &CStr) -> Result<Found, Unknown> {
    let unreadable = |error: Errno| Unknown::Unreadable(error.into());
    let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable)?;
    let kind = match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => Kind::Folder,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => {
            let text = readlinkat(folder, name, Vec::new()).map_err(unreadable)?.into_string();
            Kind::Link(text.ok().filter(|text| text.len() <= MAX_PATH).ok_or(Unknown::NotText)?)
        }
        _ => Kind::Special,
    };
    Ok(Found { kind, stat: Stat::of(&found) })
}
