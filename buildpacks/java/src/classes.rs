//! How many classes there are: in the app and in the runtime.
//!
//! Metaspace, the memory that a JVM keeps classes in, is given out by this number when a container starts. Only a part of
//! them is ever loaded, so the number need not be exact: what cannot be opened is judged by its size.

use stave_sdk::{
    Error, Failure, Fault,
    app::{self, Archive, Entry, Kind},
};

use crate::version::Version;

/// What becomes a class: compiled already, or by a language that compiles when the app runs.
const ENDINGS: [&str; 5] = ["class", "classdata", "clj", "groovy", "kts"];
/// The same as a pattern.
const CLASSES: &str = "**/*.{class,classdata,clj,groovy,kts}";
const JARS: &str = "**/*.jar";
/// The most classes that are counted in one place.
const MAX_CLASSES: u32 = 50_000;
/// The most jars that are seen, and of those the ones that are opened: the host opens no more archives for one buildpack than
/// 256, of which detection's share is left.
const MAX_JARS: (u32, usize) = (5_000, 190);
/// The most jars within one jar that are looked into, and the largest, in bytes. Others are judged by their size.
const MAX_NESTED: (usize, u32) = (100, 8 * 1024 * 1024);
/// About how many bytes of a jar hold a class.
const BYTES_A_CLASS: u64 = 2_000;
/// The number is rounded up to a multiple of this, so that one more class changes no layer.
const STEP: u64 = 100;

/// Classes in the runtimes that the manifest declares. They are pinned by digest, and so is this.
const IN_RUNTIME: [(Version, u64); 4] = [
    (Version(25, 0, 2), 18_529),
    (Version(21, 0, 8), 18_829),
    (Version(17, 0, 9), 17_515),
    (Version(11, 0, 13), 17_214),
];

/// The classes of a runtime, if it is known.
pub(crate) fn in_runtime(version: &str) -> Option<u64> {
    let version = Version::parse(version)?;
    IN_RUNTIME.iter().find(|(known, _)| *known == version).map(|(_, count)| *count)
}

/// The classes of the app as it is at this moment, its libraries included; about.
pub(crate) fn in_app() -> Result<u64, Failure> {
    let mut count = files(app::find(&[CLASSES], MAX_CLASSES)?).count() as u64;
    for (number, jar) in files(app::find(&[JARS], MAX_JARS.0)?).enumerate() {
        let counted = if number < MAX_JARS.1 { in_jar(&jar.path)? } else { None };
        count += counted.unwrap_or_else(|| by_size(jar.size));
    }
    Ok(count.next_multiple_of(STEP))
}

/// The classes in a jar and in the jars in it; none if it cannot be opened, which is for the JVM to say.
fn in_jar(path: &str) -> Result<Option<u64>, Failure> {
    let Some(archive) = unless_unreadable(app::open_archive(path))? else { return Ok(None) };
    let mut count = files(archive.find(&[CLASSES.to_owned()], MAX_CLASSES)?).count() as u64;
    for (number, jar) in files(archive.find(&[JARS.to_owned()], MAX_JARS.0)?).enumerate() {
        let counted = if number < MAX_NESTED.0 { in_nested(&archive, &jar)? } else { None };
        count += counted.unwrap_or_else(|| by_size(jar.size));
    }
    Ok(Some(count))
}

fn in_nested(archive: &Archive, jar: &Entry) -> Result<Option<u64>, Failure> {
    if jar.size > MAX_NESTED.1.into() {
        return Ok(None);
    }
    let bytes = unless_unreadable(archive.read_file(&jar.path, MAX_NESTED.1))?.flatten();
    Ok(bytes.and_then(|bytes| in_zip(&bytes)))
}

fn files(entries: Vec<Entry>) -> impl Iterator<Item = Entry> {
    entries.into_iter().filter(|entry| entry.kind == Kind::File)
}

fn by_size(bytes: u64) -> u64 {
    bytes / BYTES_A_CLASS
}

/// What is no archive is none; that the host cannot do its work is an error.
fn unless_unreadable<T>(answer: Result<T, Error>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.fault {
            Fault::Integrity | Fault::Unsupported | Fault::TooLarge | Fault::InvalidInput | Fault::NotFound => Ok(None),
            Fault::Denied | Fault::Network | Fault::Io => Err(error.into()),
        },
    }
}

/// The classes that a zip's directory names (APPNOTE.TXT 4.3.12, 4.3.16); none if it has none.
fn in_zip(bytes: &[u8]) -> Option<u64> {
    let end = bytes.len().checked_sub(22)?;
    // A comment of up to 64 KiB may stand behind the end.
    let end = (end.saturating_sub(0xffff)..=end).rev().find(|at| bytes[*at..].starts_with(b"PK\x05\x06"))?;
    let size = usize::try_from(u32::from_le_bytes(bytes.get(end + 12..end + 16)?.try_into().ok()?)).ok()?;
    let mut directory = bytes.get(end.checked_sub(size)?..end)?;
    let mut count = 0;
    while !directory.is_empty() {
        let half = |at: usize| Some(usize::from(u16::from_le_bytes(directory.get(at..at + 2)?.try_into().ok()?)));
        let name = directory.strip_prefix(b"PK\x01\x02").and_then(|_| directory.get(46..46 + half(28)?))?;
        let next = 46 + half(28)? + half(30)? + half(32)?;
        let ending = name.rsplit(|byte| *byte == b'.').next().filter(|ending| ending.len() < name.len());
        count += u64::from(ending.is_some_and(|ending| ENDINGS.iter().any(|known| known.as_bytes() == ending)));
        directory = directory.get(next..)?;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A zip's directory and end; what the entries hold does not count.
    fn zip(names: &[&str], comment: &str) -> Vec<u8> {
        let mut directory = Vec::new();
        for name in names {
            let mut entry = b"PK\x01\x02".to_vec();
            entry.resize(46, 0);
            entry[28..30].copy_from_slice(&u16::try_from(name.len()).unwrap().to_le_bytes());
            entry[30] = 3;
            entry.extend(name.as_bytes());
            entry.extend([7; 3]);
            directory.extend(entry);
        }
        let mut end = b"PK\x05\x06".to_vec();
        end.resize(22, 0);
        end[12..16].copy_from_slice(&u32::try_from(directory.len()).unwrap().to_le_bytes());
        [b"what stands before".as_slice(), &directory, &end, comment.as_bytes()].concat()
    }

    #[test]
    fn classes_are_counted_by_name() {
        let names =
            ["a/A.class", "B.class", "class", "a/.class", "x.classdata", "s.clj", "t.groovy", "u.kts", "v.java", "w/"];
        assert_eq!(in_zip(&zip(&names, "")), Some(7));
        assert_eq!(in_zip(&zip(&names, "a comment")), Some(7));
        assert_eq!(in_zip(&zip(&[], "")), Some(0));
    }

    #[test]
    fn what_is_no_zip_is_not_counted() {
        let whole = zip(&["A.class", "B.class"], "");
        for length in 0..whole.len() {
            assert_eq!(in_zip(&whole[..length]), None, "{length}");
        }
        let begin = b"what stands before".len();
        for length in 1..begin + 46 {
            // Something is lost at the beginning: no entry may be read across it.
            assert!(in_zip(&whole[length..]).is_none_or(|count| length <= begin && count == 2), "{length}");
        }
        assert_eq!(in_zip(&[0; 100]), None);
    }

    #[test]
    fn every_runtime_that_is_declared_has_its_number() {
        let manifest = include_str!("../buildpack.toml");
        let (_, dependencies) = manifest.split_once("[[dependencies]]").unwrap();
        let versions: Vec<&str> =
            dependencies.lines().filter_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"')).collect();
        assert_eq!(versions.len(), IN_RUNTIME.len());
        for version in versions {
            assert!(in_runtime(version).is_some(), "{version}");
        }
        assert_eq!(in_runtime("8.0.1"), None);
    }
}
