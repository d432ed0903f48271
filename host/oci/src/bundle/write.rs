//! Bundles written: the documents first, then all blobs in the sequence of their digests. The file gets its name last.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};

use serde::Serialize;
use serde_json::{Map, Value, json};
use stave_archive::content::{Bytes, Content};
use stave_lifecycle::{
    image::{self, Descriptor, Image, Index, MANIFEST},
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Observer,
    },
};
use stave_model::digest::Digest;

use super::{ARTIFACT, BLOBS, CONFIG, Contents, FILE, INDEX, MARKER, Names, PURL, Shown};
use crate::{
    artifact::descriptor,
    aside,
    builder::{self, all},
    checked::Checked,
    docker_archive::{Metered, append},
    index::descriptor_of,
    layout::{VERSION, entry},
    meter::Meter,
};

/// Blobs by digest, each with its size.
type Blobs = BTreeMap<Digest, Arc<dyn Content>>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: &'static str,
    artifact_type: &'static str,
    config: Descriptor,
    layers: Vec<Value>,
}

/// Writes a bundle; answers how many bytes it has. The same contents give the same bytes. Nothing stands under the name before all
/// does.
pub fn write(path: &Path, contents: &Contents<'_>, observer: &dyn Observer, cancel: &Cancel) -> Result<u64, PortError> {
    let failed = |error| PortError::of_io(format!("could not write the bundle `{}`", Shown(path)), Fault::Io, error);
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "something is there that is not a file")));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    aside::sweep(folder);
    let partial = aside::file(folder).map_err(failed)?;
    let (documents, blobs) = parts(contents);
    let bytes = blobs.values().map(|content| content.size()).sum();
    let mut meter = Meter::begin(observer, format!("write {}", Shown(path)), bytes);
    let mut out = io::BufWriter::with_capacity(128 * 1024, partial.as_file());
    pack(&documents, &blobs, &mut out, &mut meter, cancel).map_err(failed)?;
    out.into_inner().map_err(|error| failed(error.into_error()))?;
    let file = partial.as_file();
    file.set_permissions(fs::Permissions::from_mode(0o644)).and_then(|()| file.sync_data()).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    partial.persist(path).map_err(|error| failed(error.error))?;
    Ok(size)
}

/// The files of a bundle: documents by name, in their sequence, and blobs.
fn parts(contents: &Contents<'_>) -> (Vec<(String, Vec<u8>)>, Blobs) {
    let mut blobs = Blobs::new();
    let Contents { document, builder, carried, stack, files } = contents;
    for image in [*builder].into_iter().chain(*carried).chain(*stack) {
        add(&mut blobs, image);
    }
    let names = Names::of(&document.builder.name);
    let mut entries = vec![builder_entry(&mut blobs, builder, carried, &names.builder)];
    if !stack.is_empty() {
        entries.push(entry(&add_index(&mut blobs, stack), None, Some(&names.stack)));
    }
    let config = document.to_json();
    let manifest = manifest(contents, &config);
    let mut listed = entry(&descriptor(MANIFEST, &manifest), None, Some(&names.bundle));
    listed["artifactType"] = json!(ARTIFACT);
    entries.push(listed);
    for (digest, content) in *files {
        let promised = Descriptor { media_type: FILE.to_owned(), digest: *digest, size: content.size() };
        blobs.insert(*digest, Arc::new(Checked::new(Arc::clone(content), promised)));
    }
    let index = json!({ "schemaVersion": 2, "mediaType": image::INDEX, "manifests": entries });
    let blob = |bytes: &[u8]| format!("{BLOBS}{}", Digest::of(bytes).hex());
    let documents = vec![
        (MARKER.to_owned(), json!({ "imageLayoutVersion": VERSION }).to_string().into_bytes()),
        (INDEX.to_owned(), index.to_string().into_bytes()),
        (blob(&manifest), manifest),
        (blob(&config), config),
    ];
    (documents, blobs)
}

/// The manifest of the bundle itself: a layer for each file, with all the places that it comes from.
fn manifest(contents: &Contents<'_>, config: &[u8]) -> Vec<u8> {
    let layer = |(digest, content): (&Digest, &Arc<dyn Content>)| {
        let declared = contents.document.dependencies.iter().filter(|declared| declared.digest == *digest);
        let purl = declared.map(|declared| declared.purl.to_string()).min().unwrap_or_default();
        let annotations = Value::Object(Map::from_iter([(PURL.to_owned(), json!(purl))]));
        json!({ "mediaType": FILE, "digest": digest, "size": content.size(), "annotations": annotations })
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST,
        artifact_type: ARTIFACT,
        config: descriptor(CONFIG, config),
        layers: contents.files.iter().map(layer).collect(),
    };
    serde_json::to_vec(&manifest).expect("texts and digests are always JSON")
}

/// What lists the builder, as a layout does that it is put into.
fn builder_entry(blobs: &mut Blobs, artifact: &Image, carried: &[Image], name: &str) -> Value {
    if carried.is_empty() {
        let mut listed = entry(&descriptor_of(artifact), None, Some(name));
        listed["artifactType"] = json!(builder::ARTIFACT);
        return listed;
    }
    entry(&add_index(blobs, &all(artifact, carried)), None, Some(name))
}

fn add_index(blobs: &mut Blobs, images: &[Image]) -> Descriptor {
    let index = Index::of(images);
    let descriptor = index.descriptor();
    blobs.insert(descriptor.digest, Arc::new(Bytes::new(index.bytes)));
    descriptor
}

fn add(blobs: &mut Blobs, image: &Image) {
    for layer in &image.layers {
        let content = Checked::new(Arc::clone(&layer.content), layer.descriptor.clone());
        blobs.insert(layer.descriptor.digest, Arc::new(content));
    }
    for bytes in [&image.config, &image.manifest] {
        blobs.insert(Digest::of(bytes), Arc::new(Bytes::new(bytes.clone())));
    }
}

fn pack(
    documents: &[(String, Vec<u8>)],
    blobs: &Blobs,
    out: &mut dyn Write,
    meter: &mut Meter<'_>,
    cancel: &Cancel,
) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    for (name, bytes) in documents {
        append(&mut archive, name, bytes.len() as u64, &bytes[..])?;
    }
    for (digest, content) in blobs {
        let name = format!("{BLOBS}{}", digest.hex());
        if documents.iter().any(|(document, _)| *document == name) {
            continue;
        }
        let mut reader = Metered { reader: content.open()?, meter, cancel };
        append(&mut archive, &name, content.size(), &mut reader as &mut dyn Read)?;
    }
    archive.into_inner()?.flush()
}
