//! The manifest as a custom section of a `.wasm`, so that a single file is a buildpack.
//!
//! Only the outermost frame of the binary format is read here (WebAssembly specification, "Binary Format": a preamble of
//! eight bytes, then sections of an id byte, a LEB128 size and contents). What is in the other sections is the engine's
//! business.

use crate::manifest::MAX_MANIFEST;

/// The name of the custom section.
pub const MANIFEST_SECTION: &str = "stave:manifest";
/// `\0asm`, then version 0x0d in layer 1: a component. A core module has version 1 in layer 0.
const COMPONENT_PREAMBLE: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];
const CUSTOM: u8 = 0;

/// Why bytes are not a buildpack component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// Not WebAssembly at all.
    #[error("it is not WebAssembly")]
    NotWasm,
    /// A core module.
    #[error("it is a core WebAssembly module, not a component")]
    CoreModule,
    /// The binary breaks off or a size does not fit.
    #[error("it is a damaged component: the section at byte {0} does not end within the file")]
    Damaged(usize),
    /// It has no manifest.
    #[error("it is a component, but carries no buildpack manifest")]
    NoManifest,
    /// It has more than one manifest.
    #[error("it carries more than one buildpack manifest")]
    TwoManifests,
    /// Its manifest is too large or not UTF-8.
    #[error("its buildpack manifest is not a text of at most {MAX_MANIFEST} bytes")]
    Unreadable,
}

/// Adds `manifest` to `wasm`, in place of one that is there.
pub fn embed(wasm: &[u8], manifest: &str) -> Result<Vec<u8>, ComponentError> {
    let mut out = COMPONENT_PREAMBLE.to_vec();
    for section in sections(wasm)? {
        let section = section?;
        if section.manifest().is_none() {
            out.extend_from_slice(section.whole);
        }
    }
    let mut body = leb128(MANIFEST_SECTION.len());
    body.extend_from_slice(MANIFEST_SECTION.as_bytes());
    body.extend_from_slice(manifest.as_bytes());
    out.push(CUSTOM);
    out.extend_from_slice(&leb128(body.len()));
    out.extend_from_slice(&body);
    Ok(out)
}

/// The manifest that `wasm` carries.
pub fn manifest(wasm: &[u8]) -> Result<&str, ComponentError> {
    let mut found = None;
    for section in sections(wasm)? {
        if let Some(bytes) = section?.manifest()
            && found.replace(bytes).is_some()
        {
            return Err(ComponentError::TwoManifests);
        }
    }
    let bytes = found.ok_or(ComponentError::NoManifest)?;
    std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_MANIFEST).ok_or(ComponentError::Unreadable)
}

struct Section<'a> {
    id: u8,
    body: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Section<'a> {
    /// The manifest, if this is the section that holds it.
    fn manifest(&self) -> Option<&'a [u8]> {
        let (len, used) = read_leb128(self.body)?;
        let name = self.body.get(used..used.checked_add(len)?)?;
        (self.id == CUSTOM && name == MANIFEST_SECTION.as_bytes()).then(|| &self.body[used + len..])
    }
}

fn sections(wasm: &[u8]) -> Result<impl Iterator<Item = Result<Section<'_>, ComponentError>>, ComponentError> {
    match wasm.get(..8) {
        Some(preamble) if preamble == COMPONENT_PREAMBLE => {}
        Some(preamble) if preamble[..4] == COMPONENT_PREAMBLE[..4] => return Err(ComponentError::CoreModule),
        _ => return Err(ComponentError::NotWasm),
    }
    let mut at = 8;
    Ok(std::iter::from_fn(move || {
        let rest = wasm.get(at..).filter(|rest| !rest.is_empty())?;
        let section = split_section(rest).ok_or(ComponentError::Damaged(at));
        at = section.as_ref().map_or(wasm.len(), |section| at + section.whole.len());
        Some(section)
    }))
}

fn split_section(rest: &[u8]) -> Option<Section<'_>> {
    let (size, used) = read_leb128(&rest[1..])?;
    let start = 1 + used;
    let end = start.checked_add(size)?;
    Some(Section { id: rest[0], body: rest.get(start..end)?, whole: &rest[..end] })
}

/// An unsigned 32-bit LEB128 number and how many bytes it takes.
fn read_leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value: u64 = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok().map(|value| (value as usize, index + 1));
        }
    }
    None
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0x7f);
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_goes_in_and_comes_out() {
        let long = "x".repeat(300);
        let one = embed(&COMPONENT_PREAMBLE, "a = 1").unwrap();
        assert_eq!(manifest(&one), Ok("a = 1"));
        let other = embed(&one, &long).unwrap();
        assert_eq!(manifest(&other), Ok(long.as_str()), "embedding again replaces");
        let two = [other.as_slice(), &one[8..]].concat();
        assert_eq!(manifest(&two), Err(ComponentError::TwoManifests));
    }

    #[test]
    fn says_what_is_wrong_with_other_files() {
        assert_eq!(manifest(b"#!/bin/sh"), Err(ComponentError::NotWasm));
        assert_eq!(manifest(b""), Err(ComponentError::NotWasm));
        assert_eq!(manifest(b"\0asm\x01\0\0\0"), Err(ComponentError::CoreModule));
        assert_eq!(manifest(&COMPONENT_PREAMBLE), Err(ComponentError::NoManifest));
        let good = embed(&COMPONENT_PREAMBLE, "a = 1").unwrap();
        assert_eq!(manifest(&good[..good.len() - 1]), Err(ComponentError::Damaged(8)));
        let endless = [&COMPONENT_PREAMBLE[..], &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]].concat();
        assert_eq!(manifest(&endless), Err(ComponentError::Damaged(8)));
    }
}
