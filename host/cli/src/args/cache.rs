//! What can be typed to look after the cache and the image store.

use std::{error::Error, fmt, path::PathBuf, str::FromStr};

use clap::{ArgAction, Args, Subcommand};
use serde::{Deserialize, Deserializer, de};

use super::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Say what the cache and the image store hold
    Info(CacheInfo),
    /// Read everything and compare: what is damaged is taken away or replaced
    ///
    /// Ends with 1 if something was damaged, also where it was healed; running it again tells whether all is well.
    Verify(CacheVerify),
    /// Remove what killed runs left, and what was not used for longest until the cache is small enough
    ///
    /// Runs that use the cache are waited for, and new ones wait until it is done. What images of the image store are made of stays, and what the documents of
    /// --lock name; everything else can be made or fetched again.
    Gc(CacheGc),
}

#[derive(Debug, Args)]
pub(crate) struct CacheInfo {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct CacheVerify {
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct CacheGc {
    /// How large the cache may be, such as 20GB [default: `max-size` below `[cache]` in the configuration, or any size]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<Size>,
    /// Keep what this document names by digest, such as a stave.lock, and what that leads to; may be given more than once
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub(crate) lock: Vec<PathBuf>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImagesCommand {
    /// Take names out of the image store; what nothing else is made of is removed
    Remove(ImagesRemove),
}

#[derive(Debug, Args)]
pub(crate) struct ImagesRemove {
    /// The image's name in the image store, for all its platforms; may be given more than once
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
}

/// A number of bytes as people write it: `500MB`, `1.5 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// A text that is no size.
#[derive(Debug)]
pub(crate) struct InvalidSize(String);

impl fmt::Display for InvalidSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = "B, kB, MB, GB, TB, KiB, MiB, GiB or TiB";
        write!(f, "`{}` is not a size: write a number and {units}", self.0)
    }
}

impl Error for InvalidSize {}

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSize(text.chars().take(100).flat_map(char::escape_debug).collect());
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" | "k" => 1000,
            "mb" | "m" => 1000_u64.pow(2),
            "gb" | "g" => 1000_u64.pow(3),
            "tb" | "t" => 1000_u64.pow(4),
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            _ => return Err(invalid()),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let whole: u64 = whole.parse().map_err(|_| invalid())?;
        // Thousandths are enough of a fraction, and need no float.
        let digits = part.len().min(3);
        let scale = 10_u64.pow(u32::try_from(digits).unwrap_or(0));
        let part: u64 = part.get(..digits).and_then(|part| part.parse().ok()).ok_or_else(invalid)?;
        let parts = part.checked_mul(unit).map(|parts| parts / scale);
        let bytes = whole.checked_mul(unit).zip(parts).and_then(|(whole, part)| whole.checked_add(part));
        bytes.map(Self).ok_or_else(invalid)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("500MB", 500_000_000),
            ("20 GB", 20_000_000_000),
            ("1.5kB", 1500),
            ("1.5 GiB", 3 << 29),
            ("2k", 2000),
            ("0.0019 kB", 1),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(text.parse::<Size>().unwrap(), Size(bytes), "{text}");
        }
        for text in ["", "GB", "-1", "1 PB", "1.2.3", "1.", "99999999999 TB", "1e3", "ten"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        insta::assert_snapshot!("1 \u{1b}".parse::<Size>().unwrap_err(), @r"`1 \u{1b}` is not a size: write a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB");
    }
}
