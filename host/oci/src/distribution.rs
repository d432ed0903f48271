//! Which distribution an image is of, read from its files: for bases that say nothing of it in labels.
//!
//! Layers are looked through from the topmost down, as their files lie over each other, and no further than is needed. A link
//! is followed within the image. A layer's bytes are compared with their digest before what was found is believed.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use stave_archive::limits::Limits;
use stave_lifecycle::{
    image::{Image, ImageLayer},
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
    },
};
use stave_model::target::{
    Distro,
    os_release::{MAX_OS_RELEASE, PLACES, follow, parse},
};

use crate::{
    installed::MAX_BASE,
    validate::{normal, unpacked},
};

/// How many links are followed.
const MAX_LINKS: usize = 4;
/// The longest text of a link.
const MAX_LINK: usize = 4096;
/// What hides a name of the layers below, before that name; and what hides all that is below in a folder (OCI image spec,
/// "Whiteouts").
const HIDES: &str = ".wh.";
const HIDES_ALL: &str = ".wh..wh..opq";

/// What the uppermost layer that says anything of a path says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fact {
    /// A file, and what is in it.
    File(Vec<u8>),
    /// A link to this path.
    Link(String),
    /// Nothing is there.
    Gone,
    /// Something else is there: a folder, or a file too large to be looked at.
    Other,
}

/// How far a path was looked for.
#[derive(Debug, Default)]
struct Looked {
    /// In how many layers, from the topmost.
    layers: usize,
    found: Option<Fact>,
}

/// The distribution of the image, if a file of it names one. An image of more bytes than any base has is not looked through.
pub fn of(image: &Image, cancel: &Cancel) -> Result<Option<Distro>, PortError> {
    let bytes = image.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.descriptor.size));
    if bytes > MAX_BASE {
        let cause = format!("its layers have {bytes} bytes, and {MAX_BASE} are allowed");
        return Err(PortError::new(Fault::TooLarge, "could not look for os-release in the image").caused_by(cause));
    }
    let mut looked: BTreeMap<String, Looked> = PLACES.map(|place| (place.to_owned(), Looked::default())).into();
    for place in PLACES {
        let mut path = place.to_owned();
        for _ in 0..=MAX_LINKS {
            match look(image, &mut looked, &path, cancel)? {
                Fact::File(bytes) => return Ok(parse(&String::from_utf8_lossy(&bytes))),
                Fact::Link(next) => path = next,
                Fact::Gone => break,
                Fact::Other => return Ok(None),
            }
        }
    }
    Ok(None)
}

/// What stands at `path`. What is found of other paths on the way is kept for later.
fn look(image: &Image, looked: &mut BTreeMap<String, Looked>, path: &str, cancel: &Cancel) -> Result<Fact, PortError> {
    looked.entry(path.to_owned()).or_default();
    loop {
        let Some(Looked { layers, found }) = looked.get(path) else { return Ok(Fact::Gone) };
        if let Some(found) = found {
            return Ok(found.clone());
        }
        let at = *layers;
        let Some(layer) = image.layers.iter().rev().nth(at) else { return Ok(Fact::Gone) };
        let open: Vec<&str> =
            looked.iter().filter(|(_, one)| one.layers == at && one.found.is_none()).map(|(path, _)| &**path).collect();
        let mut facts = facts(layer, &open, cancel)?;
        for (path, one) in looked.iter_mut().filter(|(_, one)| one.layers == at && one.found.is_none()) {
            one.layers += 1;
            one.found = facts.remove(path.as_str());
        }
    }
}

/// What a layer says of some paths; nothing of those that it leaves as they are below.
fn facts(layer: &ImageLayer, paths: &[&str], cancel: &Cancel) -> Result<BTreeMap<String, Fact>, PortError> {
    let found = unpacked(layer, |reader| facts_of(reader, paths, cancel));
    cancel.check()?;
    let attempt = format!("could not look for os-release in the layer {}", layer.descriptor.digest);
    found.map_err(|error| PortError::of_io(attempt, Fault::InvalidInput, error))
}

fn facts_of(reader: &mut dyn Read, paths: &[&str], cancel: &Cancel) -> io::Result<BTreeMap<String, Fact>> {
    let mut facts: BTreeMap<String, Fact> = BTreeMap::new();
    let mut count = 0;
    for entry in tar::Archive::new(reader).entries()? {
        cancel.check().map_err(io::Error::other)?;
        let mut entry = entry?;
        count += 1;
        if count > Limits::default().entries {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it has too many entries"));
        }
        let Some(at) = normal(&String::from_utf8_lossy(&entry.path_bytes())) else { continue };
        for path in paths {
            if *path == at {
                facts.insert((*path).to_owned(), fact(&mut entry, path)?);
            } else if hides(&at, entry.header().entry_type().is_dir(), path) {
                // What the same layer has is not hidden, whichever comes first.
                facts.entry((*path).to_owned()).or_insert(Fact::Gone);
            }
        }
    }
    Ok(facts)
}

fn fact<R: Read>(entry: &mut tar::Entry<'_, R>, path: &str) -> io::Result<Fact> {
    let text = entry.link_name_bytes().map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    Ok(match entry.header().entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous if entry.size() <= MAX_OS_RELEASE => {
            let mut bytes = Vec::new();
            entry.take(MAX_OS_RELEASE).read_to_end(&mut bytes)?;
            Fact::File(bytes)
        }
        tar::EntryType::Symlink if text.len() <= MAX_LINK => Fact::Link(follow(path, &text)),
        // The text of a hard link is a path from the root, however it is written.
        tar::EntryType::Link if text.len() <= MAX_LINK => Fact::Link(follow("", &text)),
        _ => Fact::Other,
    })
}

/// Whether an entry at `at` takes away what the layers below have at `path`: it says so of the path or of a folder above it, or
/// something that is no folder stands in such a folder's place.
fn hides(at: &str, is_folder: bool, path: &str) -> bool {
    let is_above =
        |folder: &str| folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let (folder, name) = at.rsplit_once('/').unwrap_or(("", at));
    if name == HIDES_ALL {
        return is_above(folder);
    }
    match name.strip_prefix(HIDES) {
        Some(name) => {
            let hidden = follow(at, name);
            hidden == path || is_above(&hidden)
        }
        None => !is_folder && is_above(at),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stave_archive::{content::Bytes, layer::Packing};
    use stave_lifecycle::image::{Descriptor, LAYER};
    use stave_model::digest::Digest;

    use super::*;
    use crate::testing;

    /// Paths of a layer, and what is there.
    type Entries<'a> = &'a [(&'a str, &'a str)];

    /// A layer of files, and of links where the text begins with `-> `, whiteouts among them, which no writer of ours makes.
    fn layer(entries: Entries<'_>) -> ImageLayer {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            if let Some(link) = text.strip_prefix("-> ") {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, path, link).unwrap();
            } else {
                header.set_size(text.len() as u64);
                archive.append_data(&mut header, path, text.as_bytes()).unwrap();
            }
        }
        let bytes = archive.into_inner().unwrap();
        let digest = Digest::of(&bytes);
        let descriptor = Descriptor { media_type: LAYER.to_owned(), digest, size: bytes.len() as u64 };
        ImageLayer { descriptor, diff_id: digest, content: Arc::new(Bytes::new(bytes)), origin: None }
    }

    fn found(layers: &[Entries<'_>]) -> String {
        let image = testing::image("amd64", layers.iter().map(|entries| layer(entries)).collect());
        let distro = of(&image, &Cancel::new()).unwrap();
        distro.map_or("-".to_owned(), |distro| format!("{} {}", distro.name, distro.version))
    }

    /// A file that was made large before anything was written to it becomes very little.
    #[test]
    fn a_layer_of_zeros_is_no_attack() {
        let zeros = "\0".repeat(16 << 20);
        for packing in ["gzip:9", "zstd"] {
            let packing: Packing = packing.parse().unwrap();
            let layer = testing::packed_layer(&[("etc/os-release", OLD), ("var/zeros", &zeros)], packing);
            assert!(layer.descriptor.size * 300 < zeros.len() as u64, "{}", layer.descriptor.size);
            let found = of(&testing::image("amd64", vec![layer]), &Cancel::new()).unwrap();
            assert_eq!(found.map(|distro| distro.name).as_deref(), Some("toy"));
        }
    }

    const OLD: &str = "ID=toy\nVERSION_ID=1";
    const NEW: &str = "ID=toy\nVERSION_ID=2";
    const LINK: (&str, &str) = ("etc/os-release", "-> ../usr/lib/os-release");

    #[test]
    fn the_uppermost_file_counts() {
        let large = "#".repeat(usize::try_from(MAX_OS_RELEASE).unwrap() + 1);
        let cases: [(&str, &[Entries<'_>], &str); 17] = [
            ("nothing", &[&[("bin/sh", "")]], "-"),
            ("no layer", &[], "-"),
            ("etc", &[&[("etc/os-release", OLD)]], "toy 1"),
            ("usr alone", &[&[("usr/lib/os-release", OLD)]], "toy 1"),
            ("etc before usr", &[&[("etc/os-release", OLD), ("usr/lib/os-release", NEW)]], "toy 1"),
            ("a link", &[&[LINK, ("usr/lib/os-release", OLD)], &[("x", "")]], "toy 1"),
            (
                "a link to a file above it",
                &[&[LINK, ("usr/lib/os-release", OLD)], &[("usr/lib/os-release", NEW)]],
                "toy 2",
            ),
            ("a link in the way", &[&[("usr/lib/os-release", OLD)], &[LINK], &[("a", "")]], "toy 1"),
            ("another link", &[&[("etc/toy", NEW)], &[("etc/os-release", "-> /etc/toy")]], "toy 2"),
            ("a link to nothing", &[&[("etc/os-release", "-> /none"), ("usr/lib/os-release", OLD)]], "toy 1"),
            ("a ring", &[&[("etc/os-release", "-> a"), ("etc/a", "-> os-release")]], "-"),
            ("replaced", &[&[("etc/os-release", OLD)], &[("etc/os-release", NEW)], &[("etc/x", "")]], "toy 2"),
            ("taken away", &[&[("etc/os-release", OLD)], &[("etc/.wh.os-release", "")]], "-"),
            ("its folder taken away", &[&[LINK, ("usr/lib/os-release", OLD)], &[(".wh.usr", "")]], "-"),
            (
                "a new folder",
                &[&[("etc/os-release", OLD)], &[("etc/.wh..wh..opq", ""), ("etc/os-release", NEW)]],
                "toy 2",
            ),
            ("a file for its folder", &[&[("etc/os-release", OLD)], &[("etc", "")]], "-"),
            ("too large", &[&[("etc/os-release", &large), ("usr/lib/os-release", OLD)]], "-"),
        ];
        for (what, layers, expected) in cases {
            assert_eq!(found(layers), expected, "{what}");
        }
    }

    #[test]
    fn no_layer_is_read_without_need() {
        let unreadable = || {
            let mut layer = layer(&[("x", "")]);
            layer.content = Arc::new(Bytes::new(*b"damaged"));
            layer
        };
        let of = |layers| of(&testing::image("amd64", layers), &Cancel::new());
        let told = of(vec![unreadable(), layer(&[("etc/os-release", OLD)])]).unwrap();
        assert_eq!(told.map(|distro| distro.version).as_deref(), Some("1"));
        let error = of(vec![layer(&[("etc/os-release", OLD)]), unreadable()]).unwrap_err();
        assert!(error.to_string().starts_with("could not look for os-release in the layer sha256:"), "{error}");
    }

    #[test]
    fn stops_on_request() {
        let cancel = Cancel::new();
        cancel.set();
        assert_eq!(of(&testing::image("amd64", vec![layer(&[LINK])]), &cancel).unwrap_err().fault, Fault::Cancelled);
    }
}
