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
