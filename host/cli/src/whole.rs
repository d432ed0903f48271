//! Files that are there whole or not at all.

use std::{fs, io, path::Path};

use stave_oci::aside;

/// Writes a file beside its place, and gives it its name at the end.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    aside::write_whole(path, bytes)
}

/// The same for a secret: this user alone may read it.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    aside::write_private(path, bytes)
}

/// Writes a file as any other, where somebody may have named a terminal, a pipe or a link instead: those are written to as they are.
pub(crate) fn write_out(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let is_something_else = fs::symlink_metadata(path).is_ok_and(|there| !there.is_file());
    if is_something_else { fs::write(path, bytes) } else { write_whole(path, bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_one() {
        let temp = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| temp.path().join(name));
        write_out(&file, b"one").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_out(&link, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write_out(Path::new("/dev/null"), b"three").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
