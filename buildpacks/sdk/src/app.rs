//! The app's source, read-only.

use std::{collections::BTreeMap, fmt::Display};

use crate::{Error, Failure, Fault, backend::app, parse};

/// Most bytes of a file that is read to be understood: [`read_properties`] and its like refuse more.
pub const MAX_PARSED: u32 = 1 << 20;
pub use crate::{
    backend::app::Archive,
    bindings::stave::buildpack::app::{Entry, Kind},
};

/// Everything that matches any of the glob patterns, sorted by path, at most `limit` of them.
pub fn find(patterns: &[&str], limit: u32) -> Result<Vec<Entry>, Error> {
    app::find(&owned(patterns), limit)
}

/// What stands at `path`; none if nothing does.
pub fn stat(path: &str) -> Result<Option<Entry>, Error> {
    app::stat(path)
}

/// Whether a file, a folder or a link that leads to one stands at `path`.
pub fn exists(path: &str) -> Result<bool, Error> {
    Ok(app::stat(path)?.is_some())
}

/// Reads a file of at most `limit` bytes; none if it is not there.
pub fn read(path: &str, limit: u32) -> Result<Option<Vec<u8>>, Error> {
    unless_missing(app::read(path, limit))
}

/// Reads a text of at most `limit` bytes; none if it is not there. One that is not UTF-8 is the app's failure.
pub fn read_text(path: &str, limit: u32) -> Result<Option<String>, Failure> {
    let Some(bytes) = read(path, limit)? else { return Ok(None) };
    let not_text = |_| Failure::app("the file is not UTF-8 text").file(path);
    String::from_utf8(bytes).map(Some).map_err(not_text)
}

/// Reads a file and understands it by `parse`; none if it is not there. An error of `parse` is the app's failure.
///
/// ```no_run
/// # fn x() -> Result<(), stave_sdk::Failure> {
/// let port: Option<u16> = stave_sdk::app::parse("port.txt", |text| text.trim().parse())?;
/// # Ok(()) }
/// ```
pub fn parse<T, E: Display>(path: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, Failure> {
    let understand = |text: String| parse(&text).map_err(|error| parse::misunderstood(path, error, None));
    read_text(path, MAX_PARSED)?.map(understand).transpose()
}

/// Reads a file of JSON into `T`; none if it is not there. Needs the feature `json`.
#[cfg(feature = "json")]
pub fn read_json<T: serde::de::DeserializeOwned>(path: &str) -> Result<Option<T>, Failure> {
    read_text(path, MAX_PARSED)?.map(|text| parse::json(path, &text)).transpose()
}

/// Reads a file of TOML into `T`; none if it is not there. Needs the feature `toml`.
#[cfg(feature = "toml")]
pub fn read_toml<T: serde::de::DeserializeOwned>(path: &str) -> Result<Option<T>, Failure> {
    read_text(path, MAX_PARSED)?.map(|text| parse::toml(path, &text)).transpose()
}

/// Reads a file of Java properties; none if it is not there.
pub fn read_properties(path: &str) -> Result<Option<BTreeMap<String, String>>, Failure> {
    read_text(path, MAX_PARSED)?.map(|text| parse::properties(path, &text)).transpose()
}

/// One digest, `sha256:…`, over paths and contents of all files that match.
pub fn digest(patterns: &[&str]) -> Result<String, Error> {
    app::digest(&owned(patterns))
}

/// Opens an archive (zip, jar, tar and its compressed forms) without unpacking it. A damaged one is `integrity`.
pub fn open_archive(path: &str) -> Result<Archive, Error> {
    app::open_archive(path)
}

impl Archive {
    /// Like [`read`], within the archive.
    pub fn read_file(&self, path: &str, limit: u32) -> Result<Option<Vec<u8>>, Error> {
        unless_missing(self.read(path, limit))
    }
}

impl Entry {
    /// Whether it can be read as a file: a file, or a link, which the host follows.
    pub fn may_be_file(&self) -> bool {
        matches!(self.kind, Kind::File | Kind::Link)
    }
}

fn unless_missing<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.fault == Fault::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The contract takes lists of owned texts.
pub(crate) fn owned(patterns: &[&str]) -> Vec<String> {
    patterns.iter().map(|pattern| (*pattern).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_there_becomes_none() {
        let fault = |fault| Err::<(), _>(Error { fault, message: String::new(), hint: None });
        assert_eq!(unless_missing(Ok(7)), Ok(Some(7)));
        assert_eq!(unless_missing(fault(Fault::NotFound)), Ok(None));
        assert_eq!(unless_missing(fault(Fault::TooLarge)).unwrap_err().fault, Fault::TooLarge);
    }

    #[test]
    fn a_folder_is_no_file() {
        for (kind, expected) in [(Kind::File, true), (Kind::Link, true), (Kind::Folder, false)] {
            assert_eq!(Entry { path: "x".to_owned(), kind, size: 0, executable: false }.may_be_file(), expected);
        }
    }
}
