//! One layer: its bytes against its digests, and its archive entry by entry.

use std::{
    collections::BTreeSet,
    io::{self, Read},
};

use stave_archive::{
    compression::{Compression, decoder},
    content::Content as _,
    limits::Limits,
};
use stave_lifecycle::image::{ImageLayer, LAYER_ZSTD};
use stave_model::digest::Hasher;

use super::{
    Findings,
    root::{Entry, Kind},
};
use crate::checked::Checked;

/// The instant of every entry of ours, 1980-01-01T00:00:01Z.
const MTIME: u64 = 315_532_801;
/// How many bytes one packed byte may become: a layer of zeros is no attack here, an endless one is.
const MAX_RATIO: u64 = 1100;
/// The same for zstd, which makes fifty bytes of a megabyte of zeros.
const MAX_ZSTD_RATIO: u64 = 40_000;

/// Checks a layer and gives its entries, in order; none if it cannot be read to its end.
pub(super) fn check(part: &str, layer: &ImageLayer, is_ours: bool, findings: &mut Findings) -> Option<Vec<Entry>> {
    match read(part, layer, is_ours, findings) {
        Ok(entries) => Some(entries),
        Err(error) => {
            findings.add(part, format!("it cannot be read: {}", super::chain(&error)));
            None
        }
    }
}

/// How a layer is packed, by its media type.
fn compression(layer: &ImageLayer) -> Compression {
    match layer.descriptor.media_type.as_str() {
        media_type if media_type.ends_with("gzip") => Compression::Gzip,
        LAYER_ZSTD => Compression::Zstd,
        _ => Compression::Plain,
    }
}

/// How much of a layer is unpacked at most.
fn limits(layer: &ImageLayer) -> Limits {
    Limits { ratio: ratio(layer), ..Limits::default() }
}

/// How many bytes one packed byte of a layer may become.
pub(crate) fn ratio(layer: &ImageLayer) -> u64 {
    if compression(layer) == Compression::Zstd { MAX_ZSTD_RATIO } else { MAX_RATIO }
}

/// A layer's archive, unpacked while it is read; the packed bytes are compared with their digest.
pub(crate) fn unpacked<T>(layer: &ImageLayer, read: impl FnOnce(&mut dyn Read) -> io::Result<T>) -> io::Result<T> {
    unpacked_within(layer, &limits(layer), read)
}

/// The same with other limits than a layer's.
pub(crate) fn unpacked_within<T>(
    layer: &ImageLayer,
    limits: &Limits,
    read: impl FnOnce(&mut dyn Read) -> io::Result<T>,
) -> io::Result<T> {
    let content = Checked::new(layer.content.clone(), layer.descriptor.clone());
    let mut reader = decoder(compression(layer), content.open()?, limits)?;
    let answer = read(&mut reader)?;
    // The digest is about all bytes.
    io::copy(&mut reader, &mut io::sink())?;
    Ok(answer)
}

fn read(part: &str, layer: &ImageLayer, is_ours: bool, findings: &mut Findings) -> io::Result<Vec<Entry>> {
    let compression = compression(layer);
    let mut packed = Hashing { reader: layer.content.open()?, hasher: Hasher::new(), bytes: 0 };
    let limits = limits(layer);
    let (entries, tar) = {
        let decoder = decoder(compression, &mut packed, &limits)?;
        let mut unpacked = Hashing { reader: decoder, hasher: Hasher::new(), bytes: 0 };
        let entries = entries(part, &mut unpacked, is_ours, &limits, findings);
        // The digests are about all bytes, whatever the archive thinks of them.
        io::copy(&mut unpacked, &mut io::sink())?;
        (entries, unpacked.hasher.finish())
    };
    io::copy(&mut packed, &mut io::sink())?;
    let (digest, size) = (packed.hasher.finish(), packed.bytes);
    let promised = &layer.descriptor;
    findings.expect(size == promised.size, part, || format!("it has {size} bytes, and {} are promised", promised.size));
    findings.expect(digest == promised.digest, part, || format!("its digest is {digest}, not {}", promised.digest));
    findings.expect(tar == layer.diff_id, part, || format!("its diffID is {tar}, not {}", layer.diff_id));
    entries
}

fn entries(
    part: &str,
    tar: &mut impl Read,
    is_ours: bool,
    limits: &Limits,
    findings: &mut Findings,
) -> io::Result<Vec<Entry>> {
    let mut archive = tar::Archive::new(tar);
    let (mut entries, mut seen) = (Vec::new(), BTreeSet::new());
    for entry in archive.entries()? {
        let entry = entry?;
        let raw = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let shown = raw.chars().take(200).flat_map(char::escape_debug).collect::<String>();
        if entries.len() >= limits.entries {
            return Err(io::Error::other(format!("it has more than {} entries", limits.entries)));
        }
        let Some(path) = normal(&raw) else {
            findings.add(part, format!("`{shown}` is not a path within an image"));
            continue;
        };
        findings.expect(seen.insert(path.clone()), part, || format!("`{shown}` is there twice"));
        match kind(&entry)? {
            Some(kind) => entries.push(Entry { path, kind }),
            None => findings.add(part, format!("`{shown}` is neither a file nor a folder nor a link")),
        }
        if is_ours {
            check_header(part, &shown, entry.header(), findings)?;
        }
    }
    Ok(entries)
}

fn check_header(part: &str, shown: &str, header: &tar::Header, findings: &mut Findings) -> io::Result<()> {
    let mtime = header.mtime()?;
    findings.expect(mtime == MTIME, part, || format!("`{shown}` has another time than all others: {mtime}"));
    let named = |name: Option<&[u8]>| name.is_some_and(|name| !name.is_empty());
    let has_names = named(header.username_bytes()) || named(header.groupname_bytes());
    findings.expect(!has_names, part, || format!("`{shown}` names its owner"));
    Ok(())
}

/// What an entry is; none if it is something that no image of ours and no common base has.
fn kind<R: Read>(entry: &tar::Entry<'_, R>) -> io::Result<Option<Kind>> {
    let header = entry.header();
    let link = || -> io::Result<String> {
        let text = entry.link_name_bytes().unwrap_or_default();
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    Ok(match header.entry_type() {
        tar::EntryType::Directory => Some(Kind::Folder),
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            Some(Kind::File { is_program: header.mode()? & 0o111 != 0 })
        }
        tar::EntryType::Symlink => Some(Kind::Link(link()?)),
        tar::EntryType::Link => Some(Kind::HardLink(link()?)),
        _ => None,
    })
}

/// A name without its leading `/` or `./` and its trailing `/`; none if it has anything else that is not a plain name.
pub(crate) fn normal(raw: &str) -> Option<String> {
    let path = raw.strip_prefix("./").or_else(|| raw.strip_prefix('/')).unwrap_or(raw);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() || path == "." {
        // The root itself.
        return Some(String::new());
    }
    let plain = path.split('/').all(|name| !matches!(name, "" | "." | ".."));
    (plain && !path.contains('\0')).then(|| path.to_owned())
}

/// Hashes and counts what passes.
pub(crate) struct Hashing<R> {
    pub(crate) reader: R,
    pub(crate) hasher: Hasher,
    pub(crate) bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}
