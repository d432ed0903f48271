//! What is kept of repositories, for whoever looks after the room that it takes.
//!
//! Whoever uses one holds the lock of its file; whoever throws one out does so under that lock, and takes the file along. That the name
//! still is that of the file that was locked is what tells a lock from a leftover.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use stave_model::digest::Digest;

/// A repository of ours: what was fetched from one address for one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What its files' names begin with.
    pub name: String,
    /// What it is of, as a digest.
    pub key: Digest,
    /// Its folders, and the file of its lock.
    pub files: Vec<PathBuf>,
    /// Their bytes.
    pub size: u64,
    /// When it was used last.
    pub used: SystemTime,
}

/// How the names of a repository's files end: the whole one, one that is being made, its lock.
const ENDINGS: [&str; 3] = ["git", "new", "lock"];
const LOCK: &str = "lock";

/// All that is kept in a folder for repositories.
pub fn kept(cache: &Path) -> Vec<Kept> {
    let mut found: BTreeMap<String, Kept> = BTreeMap::new();
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let path = entry.path();
        let (Some(name), Some(ending)) = (path.file_stem().and_then(|name| name.to_str()), path.extension()) else {
            continue;
        };
        let key = name.split('-').next().and_then(|hex| Digest::from_hex(hex).ok());
        let (Some(key), true) = (key, ENDINGS.iter().any(|known| ending == *known)) else { continue };
        let fresh = || Kept { name: name.to_owned(), key, files: Vec::new(), size: 0, used: SystemTime::UNIX_EPOCH };
        let one = found.entry(name.to_owned()).or_insert_with(fresh);
        one.size += size_of(&path);
        if let Ok(written) = entry.metadata().and_then(|said| said.modified()) {
            one.used = one.used.max(written);
        }
        one.files.push(path);
    }
    found.into_values().collect()
}

/// Throws a repository out, unless somebody uses it; says whether it is gone.
pub fn remove(cache: &Path, name: &str) -> io::Result<bool> {
    let at = |ending: &str| cache.join(format!("{name}.{ending}"));
    let lock = at(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&lock)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(false),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    if !is_at(&file, &lock)? {
        return Ok(false);
    }
    for ending in ENDINGS.into_iter().filter(|ending| *ending != LOCK) {
        gone(fs::remove_dir_all(at(ending)))?;
    }
    gone(fs::remove_file(&lock))?;
    Ok(true)
}

/// Whether a path still is the name of an open file.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((held.dev(), held.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What is gone already is no failure.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn size_of(path: &Path) -> u64 {
    let Ok(said) = fs::symlink_metadata(path) else { return 0 };
    if !said.is_dir() {
        return said.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size_of(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_and_thrown_out_unless_somebody_uses_it() {
        let temp = tempfile::tempdir().unwrap();
        let key = Digest::of(b"address");
        let name = format!("{}-commits", key.hex());
        let write = |path: &str, text: &str| {
            let path = temp.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(&format!("{name}.git/objects/pack/a.pack"), "twelve bytes");
        write(&format!("{name}.new/HEAD"), "four");
        write(&format!("{name}.lock"), "");
        write("readme.git", "not one of ours");
        write(&format!("{name}.other"), "nor this");
        let found = kept(temp.path());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&found[0].name, found[0].key, found[0].size, found[0].files.len()), (&name, key, 16, 3));

        let lock = temp.path().join(format!("{name}.lock"));
        let user = File::options().write(true).open(&lock).unwrap();
        user.lock().unwrap();
        assert!(!remove(temp.path(), &name).unwrap(), "somebody uses it");
        assert!(temp.path().join(format!("{name}.git/objects/pack/a.pack")).exists() && is_at(&user, &lock).unwrap());
        drop(user);
        let waiting = File::options().write(true).open(&lock).unwrap();
        assert!(remove(temp.path(), &name).unwrap());
        assert!(kept(temp.path()).is_empty() && !is_at(&waiting, &lock).unwrap(), "who waited for it begins anew");
        assert!(temp.path().join("readme.git").exists());
    }
}
