//! How a layer is compressed, and the number under which all that decides its bytes is known.

use std::{fmt, str::FromStr};

/// The version of everything that makes a layer's compressed bytes what they are: the size of a block, how blocks are joined,
/// what is stored because it does not compress, and what the two compressors in `Cargo.lock` make of the rest. It is part of
/// the key under which layers are kept. Raise it whenever the test that knows a layer's digests by heart says that they are
/// others; the digest of the tar (OCI's diffID) does not depend on it.
pub const LAYER_FORMAT: u32 = 1;

/// What is compressed by itself, in bytes.
pub(super) const BLOCK_SIZE: usize = 1 << 20;

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// Gzip (RFC 1952): one member with an empty header, which every reader of images reads.
    Gzip(Level),
    /// Zstandard (RFC 8878): a frame for each block. Daemons from before 2023 do not read it.
    Zstd(Level),
}

/// How hard a compressor tries; made by reading a [`Packing`], or one of its constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(pub(super) u8);

/// A text that is not a way to compress.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a compression: use gzip, gzip:1 to gzip:9, zstd, or zstd:1 to zstd:19", .0.escape_debug())]
pub struct InvalidPacking(String);

impl Packing {
    /// Gzip at its fastest level, as the field's tools do.
    pub const GZIP: Self = Self::Gzip(Level(1));
    /// Zstandard at its usual level.
    pub const ZSTD: Self = Self::Zstd(Level(3));

    /// OCI's name for a layer that is packed so.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip(_) => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd(_) => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    /// Everything that a layer's bytes depend on beside its files and their place, for keys.
    pub fn recipe(self) -> String {
        format!("layer-format {LAYER_FORMAT}, {self}")
    }
}

impl Default for Packing {
    fn default() -> Self {
        Self::GZIP
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::Gzip(Level(level)) => write!(f, "gzip:{level}"),
            Self::Zstd(Level(level)) => write!(f, "zstd:{level}"),
        }
    }
}

/// Reads `gzip` and `zstd`, each with `:LEVEL` or without.
impl FromStr for Packing {
    type Err = InvalidPacking;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
        let level = |usual: Self, most: u8, at: fn(Level) -> Self| match level.map(str::parse::<u8>) {
            None => Some(usual),
            Some(Ok(level @ 1..)) if level <= most => Some(at(Level(level))),
            Some(_) => None,
        };
        match name {
            "gzip" => level(Self::GZIP, 9, Self::Gzip),
            "zstd" => level(Self::ZSTD, 19, Self::Zstd),
            _ => None,
        }
        .ok_or_else(|| InvalidPacking(text.chars().take(100).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packing_is_read_as_it_is_written() {
        for (text, packing) in [
            ("gzip", Packing::Gzip(Level(1))),
            ("gzip:9", Packing::Gzip(Level(9))),
            ("zstd", Packing::Zstd(Level(3))),
            ("zstd:19", Packing::Zstd(Level(19))),
        ] {
            assert_eq!(text.parse(), Ok(packing));
            assert_eq!(packing.to_string().parse(), Ok(packing));
        }
        for text in ["", "gzip:", "gzip:0", "gzip:10", "zstd:20", "zstd:-1", "zstd:3:4", "GZIP", "plain", "gzip: 1"] {
            assert!(text.parse::<Packing>().is_err(), "{text}");
        }
        let error = "xz\n".parse::<Packing>().unwrap_err();
        insta::assert_snapshot!(error, @r"`xz\n` is not a compression: use gzip, gzip:1 to gzip:9, zstd, or zstd:1 to zstd:19");
    }
}
