//! The app's source, read-only.

pub use crate::bindings::stave::buildpack::app::{Archive, Entry, Kind};
use crate::{
    Error, Failure, Fault,
    bindings::stave::buildpack::app::{self},
};

/// Everything that matches any of the glob patterns, sorted by path, at most `limit` of them.
pub fn find(patterns: &[&str], limit: u32) -> Result<Vec<Entry>, Error> {
    app::find(&owned(patterns), limit)
}

/// What stands at `path`; none if nothing does.
pub fn stat(path: &str) -> Result<Option<Entry>, Error> {
    app::stat(path)
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
