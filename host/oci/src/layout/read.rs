//! Images out of a layout.

mod builder;
mod component;
mod names;
mod signatures;

use std::{collections::BTreeSet, fs::File, io, path::Path, sync::Arc};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
};
use serde::Deserialize;
use stave_archive::content::{Content, Span};
use stave_lifecycle::{
    image::{Descriptor, INDEX, Image},
    port::{
        bases::{Base, Bases},
        failure::{Fault, PortError},
    },
};
use stave_model::{digest::Digest, target::Platform};

use super::{Place, VERSION};
use crate::{
    checked::Checked,
    config::Config,
    image,
    json::{self, MAX_DOCUMENT},
    manifest::{self, Document, Entry, Index, MAX_NESTING, Manifest},
};

/// How many manifests are looked at to find an image.
const MAX_MANIFESTS: usize = 1024;

/// An open layout.
#[derive(Debug)]
pub struct Layout {
    place: Place,
    root: File,
    blobs: File,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// A manifest in the layout, and what it is for.
struct Found {
    descriptor: Descriptor,
    platform: Platform,
    name: Option<String>,
}

impl Layout {
    /// Opens the layout at `place`.
    pub fn open(place: Place) -> Result<Self, PortError> {
        let refused = |fault, error: io::Error| {
            PortError::new(fault, format!("could not open the layout `{place}`")).caused_by(error)
        };
        let at = |folder: &File, name: &str| open(folder, name, OFlags::DIRECTORY);
        let root = openat(CWD, &place.folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let root = root.map(File::from).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => refused(Fault::NotFound, errno.into()),
            _ => refused(Fault::Io, errno.into()),
        })?;
        let marker = read(&root, "oci-layout").and_then(|bytes| {
            json::parse::<Marker>(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        });
        let marker =
            marker.map_err(|error| refused(Fault::InvalidInput, error).hint("a layout has a file `oci-layout`"))?;
        if marker.image_layout_version != VERSION {
            let cause = io::Error::other(format!("its version is not {VERSION}"));
            return Err(refused(Fault::Unsupported, cause));
        }
        let blobs = at(&root, "blobs").and_then(|blobs| at(&blobs, "sha256"));
        let blobs = blobs.map_err(|error| refused(Fault::InvalidInput, error))?;
        Ok(Self { place, root, blobs })
    }

    /// The image that the place names, for `platform`.
    pub fn image(&self, platform: &Platform) -> Result<Image, PortError> {
        let found = self.choose(platform)?;
        self.load(&found)
    }

    /// All images of the place's name, each once.
    pub fn images(&self) -> Result<Vec<Image>, PortError> {
        let mut seen = BTreeSet::new();
        // Attestations hang in indexes as images for `unknown/unknown`.
        let found = self.found()?.into_iter().filter(|found| found.platform.os != "unknown");
        found.filter(|found| seen.insert(found.descriptor.digest)).map(|found| self.load(&found)).collect()
    }

    fn load(&self, found: &Found) -> Result<Image, PortError> {
        let (bytes, manifest) = self.manifest(&found.descriptor)?;
        let config = self.document(&manifest.config)?;
        image::assemble(bytes, manifest, config, None, |layer| {
            let span = self.blob(&layer.digest)?;
            Ok(Arc::new(Checked::new(Arc::new(span), layer.clone())) as Arc<dyn Content>)
        })
    }

    /// The platforms that there are images for under the place's name.
    pub fn platforms(&self) -> Result<Vec<Platform>, PortError> {
        Ok(self.found()?.into_iter().map(|found| found.platform).collect())
    }

    /// The manifests for this platform and no other, of what has the place's name and no other.
    pub(super) fn exactly_for(&self, platform: &Platform) -> Result<Vec<Digest>, PortError> {
        let found = self.found()?.into_iter();
        let meant = found.filter(|found| found.platform == *platform && found.name == self.place.name);
        Ok(meant.map(|found| found.descriptor.digest).collect())
    }

    fn choose(&self, platform: &Platform) -> Result<Found, PortError> {
        let found = self.found()?;
        let mut serving: Vec<&Found> = found.iter().filter(|found| found.platform.serves(platform)).collect();
        if serving.iter().any(|found| found.platform == *platform) {
            serving.retain(|found| found.platform == *platform);
        }
        serving.dedup_by_key(|found| found.descriptor.digest);
        let refused = |attempt: String| PortError::new(Fault::NotFound, attempt);
        match serving[..] {
            [one] => {
                Ok(Found { descriptor: one.descriptor.clone(), platform: one.platform.clone(), name: one.name.clone() })
            }
            [] => {
                let there: Vec<String> = found.iter().take(20).map(|found| found.platform.to_string()).collect();
                let error = refused(format!("`{}` has no image for {platform}", self.place));
                Err(if there.is_empty() { error } else { error.hint(format!("there is one for {}", there.join(", "))) })
            }
            _ => {
                let names = serving.iter().filter_map(|found| found.name.as_deref());
                let names: Vec<String> = names.take(20).map(|name| name.escape_debug().to_string()).collect();
                let hint = format!("name one of them, as in oci:FOLDER:NAME; the names are {}", names.join(", "));
                Err(refused(format!("`{}` has several images for {platform}", self.place)).hint(hint))
            }
        }
    }

    /// All images of the place's name.
    fn found(&self) -> Result<Vec<Found>, PortError> {
        let index = self.index()?;
        let wanted = |entry: &&Entry| self.place.name.is_none() || entry.name == self.place.name;
        let entries: Vec<Entry> = index.entries.iter().filter(wanted).cloned().collect();
        if let (Some(name), true) = (&self.place.name, entries.is_empty()) {
            let names: BTreeSet<&str> = index.entries.iter().filter_map(|entry| entry.name.as_deref()).collect();
            let names: Vec<String> = names.into_iter().take(20).map(|name| name.escape_debug().to_string()).collect();
            let error = PortError::new(Fault::NotFound, format!("there is no image called `{}`", name.escape_debug()));
            return Err(if names.is_empty() { error } else { error.hint(format!("there are {}", names.join(", "))) });
        }
        let mut found = Vec::new();
        self.descend(entries, 0, &mut found)?;
        Ok(found)
    }

    fn descend(&self, entries: Vec<Entry>, depth: usize, found: &mut Vec<Found>) -> Result<(), PortError> {
        let refused = |why: &'static str| {
            PortError::new(Fault::InvalidInput, format!("could not search `{}`", self.place)).caused_by(why)
        };
        if depth > MAX_NESTING {
            return Err(refused("its indexes lie too deep in one another"));
        }
        for Entry { descriptor, platform, name } in entries {
            if found.len() >= MAX_MANIFESTS {
                return Err(refused("it holds too many images"));
            }
            if manifest::is_index(&descriptor.media_type) {
                let bytes = self.document(&descriptor)?;
                if let Document::Index(index) = self.parse(&bytes, Some(&descriptor.media_type))? {
                    let named = index.entries.into_iter().map(|entry| Entry { name: name.clone(), ..entry });
                    self.descend(named.collect(), depth + 1, found)?;
                }
                continue;
            }
            let platform = match platform {
                Some(platform) => platform,
                None => self.platform(&descriptor)?,
            };
            found.push(Found { descriptor, platform, name });
        }
        Ok(())
    }

    /// What an image is for, by its configuration.
    fn platform(&self, descriptor: &Descriptor) -> Result<Platform, PortError> {
        let (_, manifest) = self.manifest(descriptor)?;
        let config = Config::parse(&self.document(&manifest.config)?, manifest.layers.len());
        config.map(|config| config.platform).map_err(|error| self.refuse(error))
    }

    fn index(&self) -> Result<Index, PortError> {
        let bytes = read(&self.root, "index.json").map_err(|error| self.refuse(error))?;
        match self.parse(&bytes, Some(INDEX))? {
            Document::Index(index) => Ok(index),
            Document::Manifest(_) => Err(self.refuse("its index.json is not an index")),
        }
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Manifest), PortError> {
        let bytes = self.document(descriptor)?;
        match self.parse(&bytes, Some(&descriptor.media_type))? {
            Document::Manifest(manifest) => Ok((bytes, manifest)),
            Document::Index(_) => Err(self.refuse("an index stands where a manifest should")),
        }
    }

    fn parse(&self, bytes: &[u8], media_type: Option<&str>) -> Result<Document, PortError> {
        Document::parse(bytes, media_type).map_err(|error| self.refuse(error))
    }

    pub(crate) fn document(&self, promised: &Descriptor) -> Result<Vec<u8>, PortError> {
        let bytes = self.blob(&promised.digest)?.bytes(MAX_DOCUMENT).map_err(|error| self.refuse(error))?;
        image::check(promised, &bytes).map(|()| bytes)
    }

    fn blob(&self, digest: &Digest) -> Result<Span, PortError> {
        let file = open_file(&self.blobs, &digest.hex());
        file.and_then(Span::whole).map_err(|error| {
            PortError::new(Fault::InvalidInput, format!("could not read {digest} in `{}`", self.place)).caused_by(error)
        })
    }

    fn refuse(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
        PortError::new(Fault::InvalidInput, format!("could not read `{}`", self.place)).caused_by(cause)
    }
}

impl Bases for Layout {
    fn base(&self, platform: &Platform) -> Result<Base, PortError> {
        let image = self.image(platform)?;
        let reference = format!("{}@{}", self.place, image.digest());
        Ok(Base { image, name: self.place.to_string(), reference })
    }
}

/// Opens a name below a folder; a link there is an error.
fn open(folder: &File, name: impl AsRef<Path>, more: OFlags) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | more;
    Ok(File::from(openat(folder, name.as_ref(), flags, Mode::empty())?))
}

/// Opens a regular file below a folder; anything else, a pipe that never answers among it, is an error.
pub(super) fn open_file(folder: &File, name: &str) -> io::Result<File> {
    let file = open(folder, name, OFlags::empty())?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("{name} is not a regular file")))
    }
}

/// Reads a small file below a folder.
pub(crate) fn read(folder: &File, name: &str) -> io::Result<Vec<u8>> {
    Span::whole(open_file(folder, name)?)?.bytes(MAX_DOCUMENT)
}
