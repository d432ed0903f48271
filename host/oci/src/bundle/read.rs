//! Bundles read: taken apart beside the kept builders, compared to the last byte, and only then given a name among them.
//!
//! The file is somebody else's. It is read once, from begin to end; its blobs are hashed on their way to the disk. It is not
//! compressed, so it takes no more room than it has itself. Names in it choose no path: there are three kinds of them, and
//! each is made anew from what was understood.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use stave_lifecycle::port::{
    cancel::Cancel,
    failure::{Fault, PortError},
    observer::Observer,
};
use stave_model::digest::{Digest, Hasher};

use super::{BLOBS, INDEX, Imported, MARKER, MAX_FILES, NotABundle, Shown, contents};
use crate::{aside, json::MAX_DOCUMENT, layout, manifest::MAX_LAYER, meter::Meter};

/// How much is read at once.
const BUFFER: usize = 128 * 1024;

/// Why a bundle was not taken in.
pub(super) enum Trouble {
    /// The file is not right.
    Bundle(NotABundle),
    /// The disk is not.
    Disk(io::Error),
    /// What was found in it is not, or somebody asked to stop.
    Found(PortError),
}

impl From<NotABundle> for Trouble {
    fn from(error: NotABundle) -> Self {
        Self::Bundle(error)
    }
}

impl From<PortError> for Trouble {
    fn from(error: PortError) -> Self {
        Self::Found(error)
    }
}

/// Takes a bundle in: its builder is in the layout `builders` afterwards, under `name` or else under the one it came with, and
/// so are the files of its dependencies. An error leaves what was there before.
pub fn import(
    file: &Path,
    builders: &Path,
    name: Option<&str>,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<Imported, PortError> {
    take_in(file, builders, name, observer, cancel).map_err(|trouble| {
        let attempt = format!("could not import the bundle `{}`", Shown(file));
        match trouble {
            Trouble::Bundle(error) => PortError::new(Fault::InvalidInput, attempt)
                .caused_by(error)
                .hint("bundles are made with `stave bundle create`; copy it again if it was whole there"),
            Trouble::Disk(error) => PortError::of_io(attempt, Fault::Io, error),
            Trouble::Found(error) if error.fault == Fault::Cancelled => error,
            Trouble::Found(error) => {
                let hint = error.hint.clone();
                let outer = PortError::new(error.fault, attempt).caused_by(error);
                hint.into_iter().fold(outer, PortError::hint)
            }
        }
    })
}

fn take_in(
    file: &Path,
    builders: &Path,
    name: Option<&str>,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<Imported, Trouble> {
    let opened = open(file).map_err(Trouble::Disk)?;
    let size = opened.metadata().map_err(Trouble::Disk)?.len();
    let parent = builders.parent().unwrap_or(Path::new("."));
    aside::sweep(parent);
    let aside = aside::folder(parent).map_err(Trouble::Disk)?;
    let folder = aside.folder.path().to_owned();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).map_err(Trouble::Disk)?;
    fs::create_dir_all(folder.join("blobs/sha256")).map_err(Trouble::Disk)?;
    let mut meter = Meter::begin(observer, format!("read {}", Shown(file)), size);
    let sizes = unpack(opened, &folder, &mut meter, cancel)?;
    drop(meter);
    let (imported, entries) = contents::understand(&folder, &sizes, builders, name)?;
    settle(&folder).map_err(Trouble::Disk)?;
    layout::adopt(builders, aside, &imported.name, entries, cancel).map_err(Trouble::Disk)?;
    Ok(imported)
}

/// Opens a regular file: a pipe or a device may never end.
fn open(file: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(file)?;
    if opened.metadata()?.is_file() {
        return Ok(opened);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// What a name in the archive means.
enum Name {
    /// One of the two documents that have names.
    Document(&'static str),
    /// A blob.
    Blob(Digest),
}

impl Name {
    fn of(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        if let Some(document) = [MARKER, INDEX].into_iter().find(|document| *document == text) {
            return Some(Self::Document(document));
        }
        let digest = Digest::from_hex(text.strip_prefix(BLOBS)?).ok()?;
        // Upper case is another name of the same digest.
        (text == format!("{BLOBS}{}", digest.hex())).then_some(Self::Blob(digest))
    }

    fn limit(&self) -> u64 {
        if let Self::Blob(_) = self { MAX_LAYER } else { MAX_DOCUMENT }
    }

    fn path(&self, folder: &Path) -> PathBuf {
        match self {
            Self::Document(name) => folder.join(name),
            Self::Blob(digest) => folder.join(BLOBS).join(digest.hex()),
        }
    }
}

/// Puts the entries of an archive into a folder; answers which blobs there are, and how large they are. Records of extensions,
/// which could give an entry another name or size than the one that is read here, are entries like others, and none that is taken.
fn unpack(file: File, folder: &Path, meter: &mut Meter<'_>, cancel: &Cancel) -> Result<BTreeMap<Digest, u64>, Trouble> {
    let mut archive = tar::Archive::new(BufReader::with_capacity(BUFFER, file));
    let (mut sizes, mut documents, mut count) = (BTreeMap::new(), Vec::new(), 0);
    for entry in archive.entries().map_err(NotABundle::Tar)?.raw(true) {
        let mut entry = entry.map_err(NotABundle::Tar)?;
        count += 1;
        if count > MAX_FILES {
            return Err(NotABundle::TooMany.into());
        }
        let bytes = entry.path_bytes().into_owned();
        let shown: String = String::from_utf8_lossy(&bytes).chars().take(100).collect();
        if !entry.header().entry_type().is_file() {
            return Err(NotABundle::Kind(shown).into());
        }
        let Some(name) = Name::of(&bytes) else { return Err(NotABundle::Name(shown).into()) };
        let size = entry.size();
        if size > name.limit() {
            return Err(NotABundle::TooLarge { name: shown, size, limit: name.limit() }.into());
        }
        let is_new = match &name {
            Name::Document(document) => !documents.contains(document),
            Name::Blob(digest) => !sizes.contains_key(digest),
        };
        if !is_new {
            return Err(NotABundle::Twice(shown).into());
        }
        let digest = put(&mut entry, &name.path(folder), size, &shown, meter, cancel)?;
        match name {
            Name::Document(document) => documents.push(document),
            Name::Blob(named) if named == digest => drop(sizes.insert(digest, size)),
            Name::Blob(named) => return Err(NotABundle::Digest(named).into()),
        }
    }
    match [MARKER, INDEX].into_iter().find(|document| !documents.contains(document)) {
        Some(missing) => Err(NotABundle::Missing(missing.to_owned()).into()),
        None => Ok(sizes),
    }
}

/// Puts one entry into a file and answers its digest.
fn put(
    entry: &mut impl Read,
    path: &Path,
    size: u64,
    shown: &str,
    meter: &mut Meter<'_>,
    cancel: &Cancel,
) -> Result<Digest, Trouble> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(Trouble::Disk)?;
    let (mut hasher, mut buffer, mut left) = (Hasher::new(), vec![0; BUFFER], size);
    while left > 0 {
        cancel.check()?;
        let n = match entry.read(&mut buffer) {
            Ok(0) => return Err(NotABundle::Short(shown.to_owned()).into()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(NotABundle::Tar(error).into()),
        };
        hasher.update(&buffer[..n]);
        file.write_all(&buffer[..n]).map_err(Trouble::Disk)?;
        left = left.saturating_sub(n as u64);
        meter.add(n as u64);
    }
    file.set_permissions(fs::Permissions::from_mode(0o644)).map_err(Trouble::Disk)?;
    Ok(hasher.finish())
}

/// Brings all blobs to the disk, so that no index that lists them outlives them when the power fails.
fn settle(folder: &Path) -> io::Result<()> {
    for blob in fs::read_dir(folder.join(BLOBS))? {
        File::open(blob?.path())?.sync_data()?;
    }
    Ok(())
}
