//! Images into a layout.

pub(crate) mod adopt;
mod referrers;
mod remove;
mod replace;
mod sign;
mod within;

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use serde_json::{Map, Value, json};
use stave_lifecycle::{
    image::{Descriptor, INDEX, Image, Index},
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Observer,
        sink::{Sink, Stored},
    },
};
use stave_model::{
    digest::{Digest, Hasher},
    target::Platform,
};

use super::{NAME, Place, VERSION, read};
use crate::{aside, checked::Checked, docker_archive::total, index::descriptor_of, json as strict, meter::Meter};

/// A layout as the place where an image goes. A new one appears whole; in one that is there, the image replaces the one
/// of the same name and platform, and the index changes last. Images for other platforms stay under the name, also where it
/// leads to an index of its own. Only several images at once, an index, take the place of all that the name led to.
#[derive(Debug, Clone)]
pub struct LayoutFolder {
    place: Place,
    holds: Kind,
}

/// What goes into a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Images, each for its platform.
    Images,
    /// Artefacts of this type, which are for none: one takes the place of all that had its name.
    Artifacts(&'static str),
}

impl LayoutFolder {
    /// The layout at `place`, which need not exist yet.
    pub fn new(place: Place) -> Self {
        Self { place, holds: Kind::Images }
    }

    /// The same for artefacts of a type, which are for no platform. Whoever looks for images passes them over.
    #[must_use]
    pub fn of_artifacts(self, artifact_type: &'static str) -> Self {
        Self { holds: Kind::Artifacts(artifact_type), ..self }
    }

    /// Makes a whole layout beside the place, then gives it its name.
    fn create(&self, images: &[Image], meter: &mut Meter<'_>, cancel: &Cancel) -> io::Result<()> {
        let parent =
            self.place.folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        aside::sweep(parent);
        let aside = aside::folder(parent)?;
        let folder = aside.folder.path();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        self.fill(folder, images, meter, cancel)?;
        // An empty folder that was there gives way to the full one.
        fs::rename(folder, &self.place.folder)?;
        // Nothing is left at the old name to remove.
        drop(aside.folder.keep());
        Ok(())
    }

    /// Adds to a layout that is there, alone.
    fn extend(&self, images: &[Image], meter: &mut Meter<'_>, cancel: &Cancel) -> io::Result<()> {
        let folder = File::open(&self.place.folder)?;
        flock(&folder, FlockOperation::LockExclusive)?;
        aside::sweep(&self.place.folder);
        aside::sweep(&self.place.folder.join("blobs/sha256"));
        match images {
            [image] if self.holds == Kind::Images && within::put(&self.place, image, meter, cancel)? => Ok(()),
            images => self.fill(&self.place.folder, images, meter, cancel),
        }
    }

    /// Puts images into `folder`: blobs, then the marker, then the index. Several have an index of their own, which is one entry
    /// of the layout's, so that a name leads to all of them at once.
    fn fill(&self, folder: &Path, images: &[Image], meter: &mut Meter<'_>, cancel: &Cancel) -> io::Result<()> {
        let name = self.place.name.as_deref();
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        for image in images {
            blobs_into(&blobs, image, meter, cancel)?;
        }
        let entry = match images {
            [image] => match self.holds {
                Kind::Images => entry(&descriptor_of(image), Some(&image.platform), name),
                Kind::Artifacts(artifact_type) => {
                    let mut entry = entry(&descriptor_of(image), None, name);
                    entry["artifactType"] = json!(artifact_type);
                    entry
                }
            },
            images => {
                let index = Index::of(images);
                put_blob(&blobs, &index.descriptor(), || Ok(Box::new(&index.bytes[..])), meter, cancel)?;
                entry(&index.descriptor(), None, name)
            }
        };
        if !folder.join("oci-layout").exists() {
            replace(folder, "oci-layout", json!({ "imageLayoutVersion": VERSION }).to_string().as_bytes())?;
        }
        let mut index = match read::read(&File::open(folder)?, "index.json") {
            Ok(bytes) => strict::value(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Value::Null,
            Err(error) => return Err(error),
        };
        list(&mut index, entry);
        replace(folder, "index.json", &serde_json::to_vec(&index)?)
    }

    /// Puts one image there, or several as one.
    fn put_all(&self, images: &[Image], observer: &dyn Observer, cancel: &Cancel) -> Result<(), PortError> {
        let attempt = || format!("could not write `{}`", self.place);
        let bytes = images.iter().map(total).sum();
        let mut meter = Meter::begin(observer, format!("write {}", self.place), bytes);
        let written = match state(&self.place.folder) {
            State::Free => self.create(images, &mut meter, cancel),
            State::Layout => self.extend(images, &mut meter, cancel),
            State::Other => {
                let error = PortError::new(Fault::InvalidInput, attempt());
                return Err(error
                    .caused_by("something is there that is not an image layout")
                    .hint("name a new folder"));
            }
        };
        written.map_err(|error| PortError::of_io(attempt(), Fault::Io, error))
    }
}

impl Sink for LayoutFolder {
    fn describe(&self) -> String {
        self.place.to_string()
    }

    fn put(&self, image: &Image, observer: &dyn Observer, cancel: &Cancel) -> Result<Stored, PortError> {
        self.put_all(std::slice::from_ref(image), observer, cancel)?;
        Ok(Stored { digest: image.digest() })
    }

    fn holds_platforms(&self) -> bool {
        true
    }

    fn put_platforms(&self, images: &[Image], observer: &dyn Observer, cancel: &Cancel) -> Result<Stored, PortError> {
        self.put_all(images, observer, cancel)?;
        Ok(Stored { digest: Index::of(images).descriptor().digest })
    }
}

/// What is at a place.
enum State {
    /// Nothing, or an empty folder.
    Free,
    /// A layout.
    Layout,
    /// Something that is not ours to change.
    Other,
}

fn state(folder: &Path) -> State {
    if folder.join("oci-layout").is_file() {
        return State::Layout;
    }
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => State::Free,
        Err(error) if error.kind() == io::ErrorKind::NotFound => State::Free,
        _ => State::Other,
    }
}

/// Puts layers, configuration and manifest into the folder of blobs; answers with the manifest's descriptor.
fn blobs_into(blobs: &Path, image: &Image, meter: &mut Meter<'_>, cancel: &Cancel) -> io::Result<Descriptor> {
    for layer in &image.layers {
        let content = Checked::new(layer.content.clone(), layer.descriptor.clone());
        put_blob(blobs, &layer.descriptor, || stave_archive::content::Content::open(&content), meter, cancel)?;
    }
    let manifest = descriptor_of(image);
    for (descriptor, bytes) in [(image.config_descriptor(), &image.config), (manifest.clone(), &image.manifest)] {
        put_blob(blobs, &descriptor, || Ok(Box::new(&bytes[..])), meter, cancel)?;
    }
    Ok(manifest)
}

/// An entry of the layout's index. An index of several platforms names none of them.
pub(crate) fn entry(descriptor: &Descriptor, platform: Option<&Platform>, name: Option<&str>) -> Value {
    let mut entry = json!({
        "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size,
    });
    if let Some(platform) = platform {
        entry["platform"] = json!({ "architecture": platform.arch, "os": platform.os });
        if let Some(variant) = &platform.variant {
            entry["platform"]["variant"] = json!(variant);
        }
    }
    if let Some(name) = name {
        entry["annotations"] = Value::Object(Map::from_iter([(NAME.to_owned(), json!(name))]));
    }
    entry
}

/// The name that an entry gives what it leads to.
pub(crate) fn named(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(NAME)?.as_str()
}

/// Lists an entry in an index; those that it takes the place of go: of the same name, and of the same platform or, where it is
/// an index, of any. An artefact takes the place of all that had its name; without one, of what has none either and is of its
/// type. What else the index says stays as it is.
fn list(index: &mut Value, entry: Value) {
    if !index.get("manifests").is_some_and(Value::is_array) {
        *index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    }
    if let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) {
        let is_index = entry.get("mediaType").is_some_and(|kind| kind == INDEX);
        let artifact_type = entry.get("artifactType");
        let gives_way = |old: &Value| {
            let is_same = match artifact_type {
                None => is_index || old.get("platform") == entry.get("platform"),
                Some(_) => named(&entry).is_some() || old.get("artifactType") == artifact_type,
            };
            named(old) == named(&entry) && is_same
        };
        let is_again = |old: &Value| old.get("digest") == entry.get("digest") && named(old) == named(&entry);
        entries.retain(|old| !gives_way(old) && !is_again(old));
        entries.push(entry);
    }
}

fn put_blob<'a>(
    blobs: &Path,
    descriptor: &Descriptor,
    open: impl FnOnce() -> io::Result<Box<dyn Read + Send + 'a>>,
    meter: &mut Meter<'_>,
    cancel: &Cancel,
) -> io::Result<()> {
    let path = blobs.join(descriptor.digest.hex());
    match fs::symlink_metadata(&path) {
        // What was torn by whoever wrote it, or has changed since, is replaced.
        Ok(there) if there.is_file() => {
            if there.len() == descriptor.size && has_digest(&path, descriptor.digest, cancel)? {
                return Ok(());
            }
        }
        Ok(_) => {
            let message = format!("{} is there, and is not a regular file", descriptor.digest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = aside::file(blobs)?;
    let mut reader = open()?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        cancel.check().map_err(io::Error::other)?;
        match reader.read(&mut buffer)? {
            0 => break,
            n => {
                file.write_all(&buffer[..n])?;
                meter.add(n as u64);
            }
        }
    }
    publish(file, &path)
}

/// Whether the file at `path` is the blob that its name says: whoever lists it in an index answers for its bytes.
fn has_digest(path: &Path, digest: Digest, cancel: &Cancel) -> io::Result<bool> {
    let mut file = File::from(openat(CWD, path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 128 * 1024]);
    loop {
        cancel.check().map_err(io::Error::other)?;
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish() == digest),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = aside::file(folder)?;
    file.write_all(bytes)?;
    publish(file, &folder.join(name))
}

fn publish(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_data()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
