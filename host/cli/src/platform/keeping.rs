//! What was fetched of sources, below a limit: a server that runs for ever would fill its disk with what nobody builds any more.
//!
//! Archives are blobs among others, so it is noted which ones are: an empty file for each, whose time says when it was used. Repositories
//! have a folder. What was not used for longest goes first; whoever needs it again fetches it again, and who reads it meanwhile has
//! it open.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::Path,
    time::SystemTime,
};

use stave_lifecycle::port::{
    blobs::Blobs as _,
    failure::PortError,
    observer::{Event, Level, Observer as _},
};
use stave_model::digest::Digest;
use stave_sources::git;
use stave_store::{
    blobs::DiskBlobs,
    folders::Folder,
    tidy::{self, Item, Kind},
};

use crate::{exit::Exit, workshop::Workshop};

/// The most bytes of archives and repositories together; less where the whole cache may take less.
const MOST: u64 = 10 << 30;
/// The folder of the notes, in the cache.
const NOTES: &str = "archives";
/// The folder of the repositories, in the cache.
pub(crate) const REPOSITORIES: &str = "git";

/// Notes that an archive is used now. Nothing depends on it but how long it is kept.
pub(super) fn note(workshop: &Workshop, archive: &Digest) {
    let noted = workshop.cache.within(NOTES).map_err(PortError::from).and_then(|folder| {
        let path = folder.path().join(archive.hex());
        let file = File::options().create(true).truncate(false).write(true).open(path);
        let written = file.and_then(|file| file.set_modified(SystemTime::now()));
        written.map_err(|error| folder.failed("could not note that an archive is used", error))
    });
    if let Err(error) = noted {
        workshop.ui.observe(Event::Note(Level::Debug, error.sentence()));
    }
}

/// Throws out what was not used for longest, until the rest is small enough.
pub(super) fn tidy(workshop: &Workshop) {
    let max = workshop.config.cache.max_size.map_or(MOST, |size| size.0.min(MOST));
    let note = match tidied(&workshop.cache, &workshop.blobs, max) {
        Ok(0) => return,
        Ok(freed) => format!("removed {} of sources that were not used for longest", crate::ui::bytes(freed)),
        Err(exit) => format!("could not keep what is fetched of sources small: {}", exit.summary()),
    };
    workshop.ui.observe(Event::Note(Level::Debug, note));
}

/// The same with this limit; says how many bytes are gone.
fn tidied(cache: &Folder, blobs: &DiskBlobs, max: u64) -> Result<u64, Exit> {
    let folder = cache.path().join(REPOSITORIES);
    let mut items = repositories(&folder);
    items.extend(archives(&cache.path().join(NOTES), blobs));
    let mut freed = 0;
    for item in tidy::plan(items, &BTreeSet::new(), max).remove {
        let is_gone = match item.kind {
            Kind::Repository => remove(&folder, &item),
            _ => blobs.discard(&item.name).map_err(io::Error::other).and_then(|()| item.remove()).map(|()| true),
        };
        if is_gone.map_err(|error| cache.failed(format!("could not remove {}", item.name), error))? {
            freed += item.size;
        }
    }
    Ok(freed)
}

/// The repositories in a folder, as what may be thrown out.
pub(crate) fn repositories(folder: &Path) -> Vec<Item> {
    let item = |one: git::Kept| Item {
        kind: Kind::Repository,
        name: one.key,
        files: one.files,
        size: one.size,
        used: one.used,
        is_shared: false,
    };
    git::kept(folder).into_iter().map(item).collect()
}

fn remove(folder: &Path, item: &Item) -> io::Result<bool> {
    let name = item.files.first().and_then(|path| path.file_stem()?.to_str());
    name.map_or(Ok(false), |name| git::remove(folder, name))
}

/// The archives that are noted: the file of each is its note. One whose bytes are gone takes no room, and its note goes first.
fn archives(notes: &Path, blobs: &DiskBlobs) -> Vec<Item> {
    let mut items = Vec::new();
    for entry in fs::read_dir(notes).into_iter().flatten().flatten() {
        let digest = entry.file_name().to_str().and_then(|hex| Digest::from_hex(hex).ok());
        let (Some(digest), Ok(used)) = (digest, entry.metadata().and_then(|said| said.modified())) else { continue };
        let Ok(said) = fs::symlink_metadata(blobs.path(&digest)) else {
            // Whoever fetches it again notes it again.
            let _ = fs::remove_file(entry.path());
            continue;
        };
        let (kind, files) = (Kind::Blob, vec![entry.path()]);
        items.push(Item { kind, name: digest, files, size: said.len(), used, is_shared: false });
    }
    items
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, time::Duration};

    use stave_store::folders::CACHE_VARIABLE;

    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Folder::open(temp.path().join("cache"), CACHE_VARIABLE).unwrap();
        let blobs = DiskBlobs::open(&cache).unwrap();
        let keep = |bytes: &[u8]| {
            let mut blob = blobs.create().unwrap();
            blob.write_all(bytes).unwrap();
            let digest = Digest::of(bytes);
            blob.keep(&digest).unwrap();
            digest
        };
        let at = |path: &Path, minutes: u64| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let file = File::options().create(true).truncate(false).write(true).open(path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_mins(minutes)).unwrap();
        };
        let (layer, old, new) = (keep(&[1; 500]), keep(&[2; 100]), keep(&[3; 100]));
        let notes = cache.path().join(NOTES);
        at(&notes.join(old.hex()), 1);
        at(&notes.join(new.hex()), 3);
        at(&notes.join(Digest::of(b"gone").hex()), 9);
        let repository = cache.path().join(REPOSITORIES).join(format!("{}-commits", old.hex()));
        fs::create_dir_all(repository.with_extension("git")).unwrap();
        fs::write(repository.with_extension("git").join("pack"), [4; 100]).unwrap();
        let folder = File::open(repository.with_extension("git")).unwrap();
        folder.set_modified(SystemTime::UNIX_EPOCH + Duration::from_mins(1)).unwrap();
        at(&repository.with_extension("lock"), 2);

        let is_there = |digest: &Digest| blobs.get(digest).unwrap().is_some();
        assert_eq!(tidied(&cache, &blobs, 300).unwrap(), 0, "what is no source does not count");
        assert_eq!(fs::read_dir(&notes).unwrap().count(), 2, "a note without an archive goes");
        assert_eq!(tidied(&cache, &blobs, 299).unwrap(), 100);
        assert!(!is_there(&old) && is_there(&new) && repository.with_extension("git").exists());
        assert_eq!(tidied(&cache, &blobs, 100).unwrap(), 100);
        assert!(!repository.with_extension("git").exists() && !repository.with_extension("lock").exists());
        assert_eq!(tidied(&cache, &blobs, 0).unwrap(), 100);
        assert!(is_there(&layer) && !is_there(&new) && fs::read_dir(&notes).unwrap().next().is_none());
    }
}
