//! Changes to the app as it will stand in the image. Build phase only; to be granted.

use crate::{Error, app::owned, backend::overlay};

/// Adds a file, or puts another in its place.
pub fn write_file(path: &str, contents: &[u8], executable: bool) -> Result<(), Error> {
    overlay::write_file(path, contents, executable)
}

/// Leaves out what matches, with everything below; answers how many files and folders went.
pub fn remove(patterns: &[&str]) -> Result<u64, Error> {
    overlay::remove(&owned(patterns))
}

/// Unpacks an archive of the app into the folder `into` (the root, when empty) and leaves the archive itself out; answers
/// how many files were added.
pub fn unpack(archive: &str, into: &str) -> Result<u64, Error> {
    overlay::unpack(archive, into)
}
