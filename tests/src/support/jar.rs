//! Jars made byte by byte, so that they can be anything: small, damaged, hostile.

use std::io::Read;

use flate2::{Compression, Crc, read::DeflateEncoder};

/// One entry of a zip.
pub(crate) struct Entry {
    name: String,
    bytes: Vec<u8>,
    mode: u32,
}

/// An ordinary file, or a folder if the name ends with a slash.
pub(crate) fn entry(name: &str, bytes: impl Into<Vec<u8>>) -> Entry {
    let mode = if name.ends_with('/') { 0o040_755 } else { 0o100_644 };
    Entry { name: name.to_owned(), bytes: bytes.into(), mode }
}

/// A symbolic link.
pub(crate) fn link(name: &str, to: &str) -> Entry {
    Entry { name: name.to_owned(), bytes: to.into(), mode: 0o120_777 }
}

/// A zip of these entries (APPNOTE.TXT 4.3), every one deflated and truthful about its size and checksum.
pub(crate) fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let mut crc = Crc::new();
        crc.update(&entry.bytes);
        let mut packed = Vec::new();
        DeflateEncoder::new(&entry.bytes[..], Compression::best()).read_to_end(&mut packed).unwrap();
        let offset = word(out.len());
        let mut common = Vec::new();
        for half in [20u16, 0, 8, 0, 0x21] {
            common.extend(half.to_le_bytes());
        }
        common.extend([crc.sum().to_le_bytes(), word(packed.len()), word(entry.bytes.len())].concat());
        common.extend(half(entry.name.len()));
        common.extend([0, 0]);
        out.extend([b"PK\x03\x04".as_slice(), &common, entry.name.as_bytes(), &packed].concat());
        directory.extend([b"PK\x01\x02\x14\x03".as_slice(), &common, &[0; 6]].concat());
        directory.extend([&(entry.mode << 16).to_le_bytes(), &offset, entry.name.as_bytes()].concat());
    }
    let (count, size, start) = (half(entries.len()), word(directory.len()), word(out.len()));
    out.extend(directory);
    out.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count, &size, &start, &[0, 0]].concat());
    out
}

fn half(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap().to_le_bytes()
}

fn word(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_le_bytes()
}

/// An executable jar. What it would do does not matter: it is built, not run.
pub(crate) fn plain() -> Vec<u8> {
    zip(&[
        entry("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nMain-Class: com.example.Main\r\n\r\n"),
        entry("com/example/Main.class", [0xca, 0xfe, 0xba, 0xbe]),
    ])
}

/// A jar as Spring Boot's plugin makes it, with an index of layers.
pub(crate) fn boot() -> Vec<u8> {
    let manifest = "Manifest-Version: 1.0\r\n\
        Main-Class: org.springframework.boot.loader.launch.JarLauncher\r\n\
        Start-Class: com.example.Main\r\n\
        Spring-Boot-Version: 3.5.0\r\n\
        Spring-Boot-Classes: BOOT-INF/classes/\r\n\
        Spring-Boot-Lib: BOOT-INF/lib/\r\n\
        Spring-Boot-Classpath-Index: BOOT-INF/classpath.idx\r\n\
        Spring-Boot-Layers-Index: BOOT-INF/layers.idx\r\n\
        Implementation-Title: tiny\r\n\
        Implementation-Version: 1.2.3\r\n\r\n";
    let layers = "- \"dependencies\":\n  - \"BOOT-INF/lib/\"\n- \"spring-boot-loader\":\n  - \"org/\"\n\
        - \"snapshot-dependencies\":\n- \"application\":\n  - \"BOOT-INF/classes/\"\n  - \"BOOT-INF/classpath.idx\"\n\
        \x20 - \"BOOT-INF/layers.idx\"\n  - \"META-INF/\"\n";
    zip(&[
        entry("META-INF/", ""),
        entry("META-INF/MANIFEST.MF", manifest),
        entry("BOOT-INF/classes/com/example/Main.class", [0xca, 0xfe, 0xba, 0xbe]),
        entry("BOOT-INF/classpath.idx", "- \"BOOT-INF/lib/tool-1.0.jar\"\n"),
        entry("BOOT-INF/layers.idx", layers),
        entry("BOOT-INF/lib/tool-1.0.jar", zip(&[entry("tool.txt", "tool")])),
        entry("org/springframework/boot/loader/launch/JarLauncher.class", [0xca, 0xfe, 0xba, 0xbe]),
    ])
}

/// A jar that nobody can start.
pub(crate) fn without_main_class() -> Vec<u8> {
    zip(&[entry("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n"), entry("a/Library.class", [0xca, 0xfe])])
}

/// Jars that no honest tool makes, by what is wrong with them.
pub(crate) fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let manifest = || entry("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nMain-Class: com.example.Main\r\n\r\n");
    let with = |mut entries: Vec<Entry>| {
        entries.insert(0, manifest());
        zip(&entries)
    };
    vec![
        ("climbs", with(vec![entry("../canary", "x")])),
        ("climbs inside", with(vec![entry("a/../../canary", "x")])),
        ("absolute", with(vec![entry("/canary", "x")])),
        ("backslashes", with(vec![entry("..\\canary", "x")])),
        ("duplicate", with(vec![entry("a", "x"), entry("a", "y")])),
        ("file as folder", with(vec![entry("a", "x"), entry("a/b", "y")])),
        ("link outside", with(vec![link("a", "../../canary")])),
        ("absolute link", with(vec![link("a", "/etc")])),
        ("through a link", with(vec![link("a", ".."), entry("a/canary", "x")])),
    ]
}

/// A jar of a megabyte that becomes a gigabyte.
pub(crate) fn bomb() -> Vec<u8> {
    let entries = (0..16).map(|n| entry(&format!("zeros/{n}"), vec![0; 64 << 20]));
    let manifest = entry("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nMain-Class: com.example.Main\r\n\r\n");
    zip(&std::iter::once(manifest).chain(entries).collect::<Vec<_>>())
}
