//! Docker's archive: one tar with `manifest.json`, a configuration and layers, as `docker load`, `podman load` and
//! `skopeo … docker-archive:` read it.
//!
//! Layers go in as they are stored, compressed with gzip: all three readers decompress them, and nothing has to be unpacked or
//! measured first. Those that are compressed with zstd go in unpacked, because Docker's readers from before version 23 do not
//! know it. The archive has no `index.json` beside: a daemon that finds one prefers it and, as it cannot be given a
//! name there without naming a registry, forgets how the image is called.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use stave_archive::{
    compression::{Compression, decoder},
    limits::Limits,
};
use stave_lifecycle::{
    image::{Image, ImageLayer, LAYER_ZSTD},
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Observer,
        sink::{Sink, Stored},
    },
};

use stave_model::digest::Hasher;

use crate::{aside, meter::Meter};

/// The instant of every entry: 1980-01-01T00:00:01Z, as in layers.
const MTIME: u64 = 315_532_801;

/// The most bytes that a zstd layer may unpack to. Whoever made the base image chose what it packs to.
const MAX_UNPACKED: u64 = 64 << 30;

/// An archive in a file. As a sink it answers with the configuration's digest, which docker calls the image's id: the
/// format knows no manifest. A killed process may leave `.stave-….partial` beside it until the next one writes there, never half
/// an archive under its name.
#[derive(Debug, Clone)]
pub struct ArchiveFile {
    path: PathBuf,
    names: Vec<String>,
}

impl ArchiveFile {
    /// The file at `path`, in which the image has `names` (repository and tag).
    pub fn new(path: impl Into<PathBuf>, names: Vec<String>) -> Self {
        Self { path: path.into(), names }
    }
}

impl Sink for ArchiveFile {
    fn describe(&self) -> String {
        format!("docker-archive:{}", self.path.display())
    }

    fn put(&self, image: &Image, observer: &dyn Observer, cancel: &Cancel) -> Result<Stored, PortError> {
        let path = self.path.display().to_string().escape_debug().to_string();
        let failed = |error| PortError::of_io(format!("could not write the archive `{path}`"), Fault::Io, error);
        if fs::symlink_metadata(&self.path).is_ok_and(|found| !found.is_file()) {
            return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "something is there that is not a file")));
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        aside::sweep(folder);
        let partial = aside::file(folder).map_err(failed)?;
        let what = format!("write {path}");
        let mut out = io::BufWriter::with_capacity(128 * 1024, partial.as_file());
        write(image, &self.names, &mut out, &mut Meter::begin(observer, what, total(image)), cancel).map_err(failed)?;
        out.into_inner().map_err(|error| failed(error.into_error()))?;
        partial.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(failed)?;
        partial.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(Stored { digest: image.config_descriptor().digest })
    }
}

/// How many bytes the image's blobs have together.
pub(crate) fn total(image: &Image) -> u64 {
    image.layers.iter().map(|layer| layer.descriptor.size).sum()
}

/// One entry of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listing<'a> {
    config: String,
    repo_tags: Vec<&'a str>,
    layers: Vec<String>,
}

/// Writes the archive of `image`. A cancelled run ends it with an error that carries [`PortError::cancelled`].
pub(crate) fn write(
    image: &Image,
    names: &[String],
    out: &mut dyn Write,
    meter: &mut Meter<'_>,
    cancel: &Cancel,
) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    let config = format!("{}.json", image.config_descriptor().digest.hex());
    let layers = image.layers.iter().map(layer_name).collect();
    let repo_tags = names.iter().filter_map(|name| tagged(name)).collect();
    let listing = serde_json::to_vec(&[Listing { config: config.clone(), repo_tags, layers }])?;
    append(&mut archive, "manifest.json", listing.len() as u64, &listing[..])?;
    append(&mut archive, &config, image.config.len() as u64, &image.config[..])?;
    let mut written = BTreeSet::new();
    for layer in &image.layers {
        let name = layer_name(layer);
        if !written.insert(name.clone()) {
            continue;
        }
        // A tar says first how long its entries are.
        let size = if is_zstd(layer) { unpacked_size(layer, cancel)? } else { layer.descriptor.size };
        let packed = Metered { reader: layer.content.open()?, meter, cancel };
        if is_zstd(layer) {
            append(&mut archive, &name, size, decoder(Compression::Zstd, packed, &unpacking())?)?;
        } else {
            append(&mut archive, &name, size, packed)?;
        }
    }
    archive.into_inner()?.flush()
}

fn is_zstd(layer: &ImageLayer) -> bool {
    layer.descriptor.media_type == LAYER_ZSTD
}

fn unpacking() -> Limits {
    Limits { total_bytes: MAX_UNPACKED, ratio: u64::MAX, ..Limits::default() }
}

/// Unpacks a layer for its size, and fails unless the result is what the image's configuration names.
fn unpacked_size(layer: &ImageLayer, cancel: &Cancel) -> io::Result<u64> {
    let mut reader = decoder(Compression::Zstd, layer.content.open()?, &unpacking())?;
    let (mut hasher, mut size, mut buffer) = (Hasher::new(), 0, vec![0; 128 * 1024]);
    loop {
        cancel.check().map_err(io::Error::other)?;
        match reader.read(&mut buffer)? {
            0 => break,
            n => {
                hasher.update(&buffer[..n]);
                size += n as u64;
            }
        }
    }
    if hasher.finish() == layer.diff_id {
        return Ok(size);
    }
    let attempt = format!("the layer {} does not unpack to {}", layer.descriptor.digest, layer.diff_id);
    Err(io::Error::new(io::ErrorKind::InvalidData, PortError::new(Fault::Integrity, attempt)))
}

/// A name as an archive may have it: with a tag, and without a digest, which the image does not have there.
fn tagged(name: &str) -> Option<&str> {
    let name = name.split('@').next().unwrap_or(name);
    name.rsplit('/').next().is_some_and(|last| last.contains(':')).then_some(name)
}

fn layer_name(layer: &ImageLayer) -> String {
    match layer.descriptor.media_type.as_str() {
        LAYER_ZSTD => format!("{}.tar", layer.diff_id.hex()),
        media_type if media_type.ends_with("gzip") => format!("{}.tar.gz", layer.descriptor.digest.hex()),
        _ => format!("{}.tar", layer.descriptor.digest.hex()),
    }
}

pub(crate) fn append(
    archive: &mut tar::Builder<&mut dyn Write>,
    name: &str,
    size: u64,
    mut bytes: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(MTIME);
    header.set_cksum();
    let mut counted = Counted { reader: &mut bytes, left: size };
    archive.append(&header, &mut counted)?;
    if counted.left == 0 { Ok(()) } else { Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a layer ended early")) }
}

/// Gives at most as many bytes as the header says, and knows how many are missing.
struct Counted<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.reader.read(&mut buffer[..wanted])?;
        self.left -= n as u64;
        Ok(n)
    }
}

/// Tells how far it is, and ends when somebody asks to stop.
pub(crate) struct Metered<'a, 'o, R> {
    pub(crate) reader: R,
    pub(crate) meter: &'a mut Meter<'o>,
    pub(crate) cancel: &'a Cancel,
}

impl<R: Read> Read for Metered<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        let n = self.reader.read(buffer)?;
        self.meter.add(n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use stave_archive::layer::Packing;
    use stave_lifecycle::port::observer::Silent;
    use stave_model::digest::Digest;

    use super::*;
    use crate::testing::{image, layer, packed_layer};

    fn put(path: &Path, image: &Image) -> Result<Stored, PortError> {
        ArchiveFile::new(path, vec!["app:latest".to_owned()]).put(image, &Silent, &Cancel::new())
    }

    fn listing(path: &Path) -> String {
        let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let (name, header) = (entry.path().unwrap().display().to_string(), entry.header().clone());
            let mut text = String::new();
            if header.size().unwrap() > 200 {
                entry.read_to_string(&mut text).unwrap();
            }
            format!("{name} {:o} {} {} {text}", header.mode().unwrap(), header.size().unwrap(), header.mtime().unwrap())
        });
        entries.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn is_what_docker_reads_and_the_same_each_time() {
        let temp = tempfile::tempdir().unwrap();
        let image = image("amd64", vec![layer(&[("a", "1")]), layer(&[("b", "2")]), layer(&[("a", "1")])]);
        for name in ["one.tar", "two.tar"] {
            let stored = put(&temp.path().join(name), &image).unwrap();
            assert_eq!(stored.digest, image.config_descriptor().digest);
        }
        assert_eq!(fs::read(temp.path().join("one.tar")).unwrap(), fs::read(temp.path().join("two.tar")).unwrap());
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2, "no partial file is left");
        insta::assert_snapshot!(listing(&temp.path().join("one.tar")), @r#"
        manifest.json 644 343 315532801 [{"Config":"da5d6281764123176ce1601f65e3f4d4bcc028b1dc28895fc799e1e507b069dc.json","RepoTags":["app:latest"],"Layers":["2b0d2ae018ccb188d3a1fba00be4a3c4e079be517b81386af4278b79e0278872.tar.gz","513af7990ce44e1df476d08c3370070da85f310c22e540e039990a76779f9cea.tar.gz","2b0d2ae018ccb188d3a1fba00be4a3c4e079be517b81386af4278b79e0278872.tar.gz"]}]
        da5d6281764123176ce1601f65e3f4d4bcc028b1dc28895fc799e1e507b069dc.json 644 428 315532801 {"architecture":"amd64","config":{},"history":[{"created":"1980-01-01T00:00:01Z"},{"created":"1980-01-01T00:00:01Z"},{"created":"1980-01-01T00:00:01Z"}],"os":"linux","rootfs":{"diff_ids":["sha256:9bc8eacbf293098560b7b3a0bf5b3c446cf3dd6e3ed8c45008ece65ed16fab4a","sha256:a9dc66cceeacd3a88d5e3cc928a90740f577c3c44514dab77d468491ca9fea42","sha256:9bc8eacbf293098560b7b3a0bf5b3c446cf3dd6e3ed8c45008ece65ed16fab4a"],"type":"layers"}}
        2b0d2ae018ccb188d3a1fba00be4a3c4e079be517b81386af4278b79e0278872.tar.gz 644 110 315532801 
        513af7990ce44e1df476d08c3370070da85f310c22e540e039990a76779f9cea.tar.gz 644 110 315532801
        "#);
    }

    #[test]
    fn zstd_is_unpacked_for_readers_who_do_not_know_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("app.tar");
        let mut image = image("amd64", vec![packed_layer(&[("a", "1")], Packing::ZSTD), layer(&[("b", "2")])]);
        assert_eq!(image.layers[0].descriptor.media_type, LAYER_ZSTD);
        put(&path, &image).unwrap();
        let mut archive = tar::Archive::new(fs::File::open(&path).unwrap());
        let mut layers = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let (name, mut bytes) = (entry.path().unwrap().display().to_string(), Vec::new());
            entry.read_to_end(&mut bytes).unwrap();
            layers.push((name, Digest::of(&bytes)));
        }
        let diff_id = image.layers[0].diff_id;
        assert_eq!(layers[2], (format!("{}.tar", diff_id.hex()), diff_id));
        image.layers[0].diff_id = Digest::of(b"another");
        let error = put(&path, &image).unwrap_err();
        assert_eq!(error.fault, Fault::Integrity);
    }

    #[test]
    fn names_in_an_archive_are_tags() {
        let cases = [
            ("app:1", Some("app:1")),
            ("localhost:5000/app:1@sha256:00", Some("localhost:5000/app:1")),
            ("localhost:5000/app@sha256:00", None),
        ];
        for (name, expected) in cases {
            assert_eq!(tagged(name), expected);
        }
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("app.tar");
        fs::write(&path, "before").unwrap();
        let mut bad = image("amd64", vec![layer(&[("a", "1")])]);
        bad.layers[0].descriptor.size += 1;
        assert!(put(&path, &bad).is_err());
        let cancel = Cancel::new();
        cancel.set();
        let good = image("amd64", vec![layer(&[("a", "1")])]);
        let error = ArchiveFile::new(&path, Vec::new()).put(&good, &Silent, &cancel).unwrap_err();
        assert_eq!(error.fault, Fault::Cancelled);
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
        assert!(put(temp.path(), &good).is_err(), "a folder is not replaced");
    }
}
