//! Zips made byte by byte, so that they can lie.

use super::*;
use crate::{
    content::Bytes,
    tree::{Node, TreeError},
};

/// One entry; what is none is told truthfully.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) name: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) deflate: bool,
    pub(crate) mode: u32,
    local_name: Option<Vec<u8>>,
    method: Option<u16>,
    flags: u16,
    crc: Option<u32>,
    size: Option<u32>,
    packed: Option<Vec<u8>>,
    offset: Option<u32>,
}

pub(crate) fn raw(name: &str, bytes: &[u8]) -> Raw {
    Raw {
        name: name.as_bytes().to_vec(),
        bytes: bytes.to_vec(),
        deflate: true,
        mode: if name.ends_with('/') { 0o040_755 } else { 0o100_644 },
        local_name: None,
        method: None,
        flags: 0,
        crc: None,
        size: None,
        packed: None,
        offset: None,
    }
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    flate2::read::DeflateEncoder::new(bytes, flate2::Compression::best()).read_to_end(&mut packed).unwrap();
    packed
}

/// An archive of these entries, its offsets counted from behind `prefix`.
pub(crate) fn archive(prefix: &[u8], entries: &[Raw]) -> Vec<u8> {
    let (mut out, mut directory) = (prefix.to_vec(), Vec::new());
    for entry in entries {
        let mut crc = Crc::new();
        crc.update(&entry.bytes);
        let plain = || if entry.deflate { deflate(&entry.bytes) } else { entry.bytes.clone() };
        let packed = entry.packed.clone().unwrap_or_else(plain);
        let size = entry.size.unwrap_or(u32::try_from(entry.bytes.len()).unwrap());
        let local_name = entry.local_name.as_ref().unwrap_or(&entry.name);
        let offset = entry.offset.unwrap_or(u32::try_from(out.len() - prefix.len()).unwrap());
        let mut common = Vec::new();
        for half in [20, entry.flags, entry.method.unwrap_or(if entry.deflate { 8 } else { 0 }), 0, 0x21] {
            common.extend_from_slice(&half.to_le_bytes());
        }
        for word in [entry.crc.unwrap_or(crc.sum()), u32::try_from(packed.len()).unwrap(), size] {
            common.extend_from_slice(&word.to_le_bytes());
        }
        let length = |name: &[u8]| u16::try_from(name.len()).unwrap().to_le_bytes();
        out.extend([&b"PK\x03\x04"[..], &common, &length(local_name), &[0, 0], local_name, &packed].concat());
        let tail = [&[0; 6][..], &(entry.mode << 16).to_le_bytes(), &offset.to_le_bytes()].concat();
        let head = [&b"PK\x01\x02\x14\x03"[..], &common, &length(&entry.name), &[0, 0]].concat();
        directory.extend([head, tail, entry.name.clone()].concat());
    }
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
    let start = u32::try_from(out.len() - prefix.len()).unwrap().to_le_bytes();
    out.extend(directory);
    out.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &size, &start, &[0, 0]].concat());
    out
}

pub(crate) fn span(bytes: &[u8]) -> Span {
    let mut file = tempfile::tempfile().unwrap();
    io::Write::write_all(&mut file, bytes).unwrap();
    Span::whole(file).unwrap()
}

fn open(entries: &[Raw]) -> Result<Tree, ArchiveError> {
    read(span(&archive(b"", entries)), &Limits::default())
}

/// Reads the archive and then every file in it; answers what was wrong, causes included.
fn complaint(bytes: &[u8]) -> String {
    let unpack = || -> Result<(), Box<dyn std::error::Error>> {
        for (_, node) in read(span(bytes), &Limits::default())?.iter() {
            if let Node::File(_, content) = node {
                content.bytes(1 << 20)?;
            }
        }
        Ok(())
    };
    let error = unpack().expect_err("a hostile zip was accepted");
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}; {error}");
        cause = error.source();
    }
    text
}

fn text_of(tree: &Tree, path: &str) -> String {
    match tree.get(path) {
        Some(Node::File(_, content)) => String::from_utf8(content.bytes(1000).unwrap()).unwrap(),
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn a_jar_is_read_and_its_files_open_again_and_again() {
    let mut script = raw("bin/run", b"#!/bin/sh\n");
    script.mode = 0o100_755;
    let mut stored = raw("BOOT-INF/lib/a.jar", &archive(b"", &[raw("inner.txt", b"inner")]));
    stored.deflate = false;
    let unknown = Raw { mode: 0xffff, ..raw("META-INF/maven/", b"") };
    let entries =
        [raw("META-INF/", b""), unknown, raw("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\n"), script, stored];
    for prefix in [&b""[..], b"#!/bin/bash\nexec java -jar \"$0\"\n"] {
        let tree = read(span(&archive(prefix, &entries)), &Limits::default()).unwrap();
        for _ in 0..2 {
            assert_eq!(text_of(&tree, "META-INF/MANIFEST.MF"), "Manifest-Version: 1.0\n");
        }
        assert!(matches!(tree.get("bin/run"), Some(Node::File(Access::PROGRAM, _))));
        assert!(matches!(tree.get("META-INF/MANIFEST.MF"), Some(Node::File(Access::FILE, _))));
        let Some(Node::File(_, nested)) = tree.get("BOOT-INF/lib/a.jar") else { panic!("nested jar is missing") };
        let nested = read(nested.span().unwrap().unwrap(), &Limits::default()).unwrap();
        assert_eq!(text_of(&nested, "inner.txt"), "inner");
    }
}

#[test]
fn an_empty_zip_is_an_empty_tree() {
    assert!(open(&[]).unwrap().is_empty());
}

#[test]
fn links_stay_inside() {
    let mut link = raw("lib/libz.so", b"libz.so.1");
    link.mode = 0o120_777;
    assert!(matches!(open(&[link.clone()]).unwrap().get("lib/libz.so"), Some(Node::Link(text)) if text == "libz.so.1"));
    for text in ["../../x", "/etc/passwd", ""] {
        link.bytes = text.as_bytes().to_vec();
        assert!(matches!(open(&[link.clone()]), Err(ArchiveError::Tree(TreeError::LinkOutside(..)))), "{text}");
    }
    link.bytes = b"elsewhere".to_vec();
    let below = raw("lib/libz.so/x", b"");
    assert!(matches!(open(&[link, below]), Err(ArchiveError::Tree(TreeError::Occupied(_)))));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["../x", "a/../../x", "/etc/passwd", "C:\\x", "a\\..\\x", "a//b", "", "x\0y"] {
        assert!(open(&[raw(name, b"")]).is_err(), "{name:?}");
    }
}

#[test]
fn lies_are_named() {
    type Lie = fn(&mut Raw);
    let lies: [(&str, Lie); 14] = [
        ("encrypted", |e| e.flags = 1),
        ("unknown method", |e| e.method = Some(14)),
        ("other name inside", |e| e.local_name = Some(b"liar.txt".to_vec())),
        ("wrong checksum", |e| e.crc = Some(7)),
        ("too small a size", |e| e.size = Some(3)),
        ("too large a size", |e| e.size = Some(900)),
        ("enormous size", |e| e.size = Some(0xffff_fff0)),
        ("two sizes", |e| (e.deflate, e.size) = (false, Some(3))),
        ("not deflate", |e| e.packed = Some(vec![0xff; 30])),
        ("bytes behind the data", |e| e.packed = Some([deflate(&e.bytes), vec![1, 2, 3]].concat())),
        ("a device", |e| e.mode = 0o020_644),
        ("folder by its mode", |e| e.mode = 0o040_755),
        ("outside", |e| e.offset = Some(0x00ff_ffff)),
        ("amid another", |e| e.offset = Some(3)),
    ];
    let mut table = Vec::new();
    for (what, lie) in lies {
        let mut entry = raw("file.txt", b"some text in a file");
        lie(&mut entry);
        table.push(format!("{what}: {}", complaint(&archive(b"", &[raw("first", b"1"), entry]))));
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    encrypted: zip entry `file.txt` is refused: it is encrypted
    unknown method: zip entry `file.txt` is refused: its compression method 14 is not known
    other name inside: zip entry `file.txt` is refused: the archive's directory and the entry's own header differ
    wrong checksum: zip entry `file.txt` is damaged: its checksum is not what was declared
    too small a size: zip entry `file.txt` is damaged: its checksum is not what was declared
    too large a size: zip entry `file.txt` is damaged: it holds fewer bytes than declared
    enormous size: zip entry `file.txt` is refused: it declares 4294967280 bytes, packed in 21
    two sizes: zip entry `file.txt` is refused: it is not compressed, but declares two sizes
    not deflate: zip entry `file.txt` is damaged: its compressed data is not deflate
    bytes behind the data: zip entry `file.txt` is damaged: bytes follow the end of its compressed data
    a device: zip entry `file.txt` is refused: it is a device, a fifo or a socket
    folder by its mode: zip entry `file.txt` is refused: its name and its mode differ on whether it is a folder
    outside: zip entry `file.txt` is refused: its bytes are not in front of the archive's directory
    amid another: zip entry `file.txt` is refused: its own header is damaged
    ");
}

#[test]
fn entries_stand_once_and_share_nothing() {
    let mut twin = raw("a.txt", b"twin");
    let mut table = vec![
        complaint(&archive(b"", &[raw("a.txt", b"1"), raw("a.txt", b"2")])),
        complaint(&archive(b"", &[raw("a", b"1"), raw("a/", b"")])),
        complaint(&archive(b"", &[raw("a/", b""), raw("a/", b"")])),
        complaint(&archive(b"", &[raw("a", b"1"), raw("a/b", b"2")])),
    ];
    twin.local_name = Some(b"b.txt".to_vec());
    twin.offset = Some(0);
    twin.name = b"b.txt".to_vec();
    let mut first = raw("b.txt", b"twin");
    first.name = b"b.txt".to_vec();
    let mut shared = archive(b"", &[first, twin]);
    // Both directory records lead to one header; the second gets another name of the same length in both places.
    let at = shared.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap() + 46;
    shared[at..at + 5].copy_from_slice(b"c.txt");
    table.push(complaint(&shared));
    let mut inside = raw("inside", b"");
    inside.deflate = false;
    let mut outer = raw("outer", &archive(b"", &[inside.clone()]));
    outer.deflate = false;
    inside.offset = Some(30 + 5);
    table.push(complaint(&archive(b"", &[outer, inside])));
    insta::assert_snapshot!(table.join("\n"), @r"
    `a.txt` is there twice, or below something that is not a folder
    `a` is there twice, or below something that is not a folder
    `a` is there twice, or below something that is not a folder
    `a/b` is there twice, or below something that is not a folder
    zip entry `c.txt` is refused: the archive's directory and the entry's own header differ
    zip entry `outer` is refused: its bytes overlap with what follows them
    ");
}

#[test]
fn a_damaged_archive_is_refused_wherever_it_is_cut() {
    let whole = archive(b"", &[raw("a.txt", b"some text"), raw("b.txt", b"more text")]);
    for end in 0..whole.len() {
        assert!(read(span(&whole[..end]), &Limits::default()).is_err(), "cut at {end}");
    }
    let mut table = vec![complaint(&[&whole[..], b"tail"].concat()), complaint(b"no zip at all"), complaint(b"")];
    let mut counted = whole.clone();
    let end = counted.len();
    counted[end - 12] = 9;
    table.push(complaint(&counted));
    insta::assert_snapshot!(table.join("\n"), @r"
    zip archive is refused: bytes follow its end
    cannot read the zip archive; Missing end of central directory
    cannot read the zip archive; Missing end of central directory
    zip archive is refused: it holds another number of entries than it declares
    ");
}

#[test]
fn bombs_are_seen_in_the_directory() {
    let mut bomb = raw("zeros", &vec![0; 70 << 20]);
    assert!(complaint(&archive(b"", &[bomb.clone()])).contains("is refused: it declares 73400320 bytes, packed in"));
    // Each for itself is small enough.
    bomb.bytes.truncate(30 << 20);
    let many: Vec<Raw> = (0..3).map(|n| Raw { name: format!("zeros-{n}").into_bytes(), ..bomb.clone() }).collect();
    insta::assert_snapshot!(complaint(&archive(b"", &many)), @"zip archive is refused: it unpacks to more than 200 times its size");
    let few = Limits { entries: 2, ..Limits::default() };
    insta::assert_snapshot!(read(span(&archive(b"", &many)), &few).unwrap_err(), @"zip archive is refused: it holds more than 2 entries");
}

#[test]
fn an_entry_is_copied_to_be_an_archive_only_if_it_is_packed() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = crate::spool::Spool::new_in(folder.path()).unwrap();
    let inner = archive(b"", &[raw("x", b"inner")]);
    let tree = open(&[raw("packed.jar", &inner)]).unwrap();
    let Some(Node::File(_, content)) = tree.get("packed.jar") else { panic!("it is not a file") };
    assert!(content.span().unwrap().is_none());
    let nested = read(spool.span_of(content.as_ref()).unwrap(), &Limits::default()).unwrap();
    assert_eq!((text_of(&nested, "x").as_str(), spool.size()), ("inner", inner.len() as u64));
    assert_eq!(Bytes::new(inner).size(), spool.size());
}
