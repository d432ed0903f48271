//! An app's source as an image: what a local folder is sent to a registry as, so that somebody else builds it.
//!
//! One layer with the whole tree on nothing else. Owners, times and order of its files are always the same, and so is all that
//! the configuration says: equal files make an image of equal digest on every machine. To kpack it is a source image too.
//!
//! What is read may be anybody's: kpack's words are understood ([`CONTENT_TYPE_LABEL`]), every layer is compared with both its
//! digests before anything of it is used, and no name in it is ever given to the operating system. Modes and owners become
//! those that a folder's files have ([`Access::of_file`]), so that the same files are the same app wherever they come from.

use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use serde_json::{Value, json};
use stave_archive::{
    compression::Compression,
    content::Content,
    format::{self, Format},
    intake::ArchiveError,
    layer::{self, LayerError, Packing, Place},
    limits::Limits,
    spool::Spool,
    tree::{Access, Node, Tree},
};
use stave_lifecycle::{
    image::{Descriptor, Image, ImageLayer},
    port::{
        blobs::Blobs,
        cancel::Cancel,
        failure::{Fault, PortError},
    },
};
use stave_model::{target::Platform, time};

use crate::{checked::Checked, json, validate};

/// The label that says of an image that it carries a source and nothing that runs; its value is the form's version.
pub const LABEL: &str = "io.buildpacks.stave.source";
/// The version of the form.
const FORM: &str = "1";
/// The label by which kpack says that the one file in an image's one layer is an archive, and of which kind. Without it, the
/// layers' files are the source.
pub const CONTENT_TYPE_LABEL: &str = "source.contenttype.kpack.io";

/// When everything here was made: the instant of a layer's files.
const MADE: u64 = 315_532_801;
/// The most characters of a stranger's label that are shown.
const MAX_SHOWN: usize = 100;

/// Makes an image of a source. Its layer is kept in `blobs`.
pub fn make(tree: &Tree, blobs: &dyn Blobs, cancel: &Cancel) -> Result<Image, PortError> {
    let layer = layer_of(tree, blobs, cancel)?;
    // Nothing in it is for a processor. It says one so that daemons and registries take it as the image that it is.
    let platform = Platform::linux("amd64");
    let created = time::rfc3339(MADE);
    let config = json!({
        "architecture": platform.arch,
        "os": platform.os,
        "created": created,
        "config": { "Labels": { LABEL: FORM } },
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
        "history": [{ "created": created, "created_by": "source" }],
    });
    let config = serde_json::to_vec(&config).expect("texts and digests are always JSON");
    Ok(Image::new(platform, config, vec![layer]))
}

fn layer_of(tree: &Tree, blobs: &dyn Blobs, cancel: &Cancel) -> Result<ImageLayer, PortError> {
    let attempt = "could not put the source into a layer";
    let mut blob = blobs.create()?;
    // As kpack and docker write names: below the folder that they are unpacked into.
    let place = Place::root().relative().owned_by(0, 0);
    let written = layer::write(tree, &place, Packing::GZIP, &cancel.flag(), &mut blob);
    let written = written.map_err(|error| match error {
        LayerError::Cancelled => PortError::cancelled(),
        LayerError::Output(error) => PortError::of_io(attempt, Fault::Io, error),
        error @ LayerError::Whiteout(_) => PortError::new(Fault::InvalidInput, attempt)
            .caused_by(error)
            .hint("rename the file, or take it out of the folder: no image can carry it"),
        error => failed(attempt, Fault::InvalidInput, error),
    })?;
    let span = blob.keep(&written.digest)?;
    let descriptor =
        Descriptor { media_type: written.media_type.to_owned(), digest: written.digest, size: written.size };
    Ok(ImageLayer { descriptor, diff_id: written.diff_id, content: Arc::new(span), origin: None })
}

/// The source that an image carries: ours, kpack's, or any image's files. What is unpacked of it stands in a file without a name
/// in the folder `scratch`.
pub fn read(image: &Image, limits: &Limits, scratch: &Path, cancel: &Cancel) -> Result<Tree, PortError> {
    let attempt = format!("could not read the source image {}", image.digest());
    let archive = archive(image).map_err(|why| {
        let error = PortError::new(Fault::Unsupported, attempt.as_str()).caused_by(why);
        error.hint(format!("the label {CONTENT_TYPE_LABEL} is zip, jar, war, tar or tar.gz, or it is left out"))
    })?;
    let mut spool = Spool::new_in(scratch).map_err(|error| PortError::of_io(attempt.as_str(), Fault::Io, error))?;
    let (mut tree, mut entries) = (Tree::new(), 0);
    for layer in &image.layers {
        cancel.check()?;
        let mut attempt = format!("{attempt}: the layer {}", layer.descriptor.digest);
        if entries > 0 {
            // What is left of the limits is what the cause tells of.
            attempt = format!("{attempt}, over {entries} entries and {} bytes", spool.size());
        }
        let left = Limits {
            entries: limits.entries.saturating_sub(entries),
            total_bytes: limits.total_bytes.saturating_sub(spool.size()),
            // A folder may hold a file of zeros, and we would have packed it.
            ratio: limits.ratio.max(validate::ratio(layer)),
            ..*limits
        };
        let packed = Stoppable { content: Checked::new(layer.content.clone(), layer.descriptor.clone()), cancel };
        let unread = |error| failed(&attempt, Fault::InvalidInput, error);
        let (above, diff_id) = layer::read_whole(&packed, &left, &mut spool).map_err(unread)?;
        if diff_id != layer.diff_id {
            let cause = format!("its files are others than its configuration says: {diff_id}, not {}", layer.diff_id);
            return Err(PortError::new(Fault::Integrity, attempt).caused_by(cause));
        }
        entries += above.len();
        tree = layer::lay(tree, &above).map_err(unread)?;
    }
    if let Some(format) = archive {
        tree = unpacked(image, &tree, format, limits, &mut spool).map_err(|error| match error {
            Inner::Shape(why) => PortError::new(Fault::InvalidInput, attempt.as_str()).caused_by(why),
            Inner::Archive(error) => failed(&attempt, Fault::InvalidInput, error),
        })?;
    }
    Ok(tree.map(|_, node| match node {
        Node::Folder(_) => Node::Folder(Access::FOLDER),
        Node::File(access, content) => Node::file(content, access.mode & 0o111 != 0),
        link @ Node::Link(_) => link,
    }))
}

/// Which archive the image says to carry, if it does not carry files as such.
fn archive(image: &Image) -> Result<Option<Format>, String> {
    let config: Value = json::value(&image.config).map_err(|error| error.to_string())?;
    let label = config.pointer("/config/Labels").and_then(|labels| labels.get(CONTENT_TYPE_LABEL));
    match label.map(|label| label.as_str().unwrap_or("no text")) {
        None | Some("") => Ok(None),
        Some("zip" | "jar" | "war") => Ok(Some(Format::Zip)),
        Some("tar") => Ok(Some(Format::Tar(Compression::Plain))),
        Some("tar.gz") => Ok(Some(Format::Tar(Compression::Gzip))),
        Some(other) => {
            let shown: String = other.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
            Err(format!("its label {CONTENT_TYPE_LABEL} is `{shown}`, which is no kind of archive that is known"))
        }
    }
}

/// Why an archive in an image was not read.
enum Inner {
    Shape(&'static str),
    Archive(ArchiveError),
}

/// What is in the one file of the one layer.
fn unpacked(image: &Image, tree: &Tree, format: Format, limits: &Limits, spool: &mut Spool) -> Result<Tree, Inner> {
    if image.layers.len() != 1 {
        return Err(Inner::Shape("it says to carry an archive, which is one file in one layer, and has not one layer"));
    }
    let mut nodes = tree.iter();
    let (Some((_, Node::File(_, file))), None) = (nodes.next(), nodes.next()) else {
        return Err(Inner::Shape("it says to carry an archive, and its layer does not hold one file alone"));
    };
    let span =
        spool.span_of(file.as_ref()).map_err(|error| Inner::Archive(ArchiveError::Spool(io::Error::other(error))))?;
    format::unpack(span, format, limits, spool).map_err(Inner::Archive)
}

/// A failed attempt; a fault and a hint that a port gave on the way are passed on.
fn failed(attempt: &str, otherwise: Fault, error: impl std::error::Error + Send + Sync + 'static) -> PortError {
    let (fault, hint) = PortError::within(&error).map_or((otherwise, None), |inner| (inner.fault, inner.hint.clone()));
    PortError { hint, ..PortError::new(fault, attempt).caused_by(error) }
}

/// A layer's bytes, until somebody asks to stop.
#[derive(Debug)]
struct Stoppable<'a> {
    content: Checked,
    cancel: &'a Cancel,
}

impl Content for Stoppable<'_> {
    fn size(&self) -> u64 {
        self.content.size()
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(StoppableReader { reader: self.content.open()?, cancel: self.cancel }))
    }
}

struct StoppableReader<'a> {
    reader: Box<dyn Read + Send + 'a>,
    cancel: &'a Cancel,
}

impl Read for StoppableReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        self.reader.read(buffer)
    }
}

#[cfg(test)]
mod tests;
