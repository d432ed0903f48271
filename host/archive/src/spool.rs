//! One unlinked temporary file that holds what was unpacked from streams, so that no name is ever made on disk.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use crate::content::{Content, Span};

const BUFFER: usize = 128 * 1024;

/// A temporary file without a name that only grows. What was put in stays readable as long as any [`Span`] of it lives,
/// also when the spool itself is gone; the system frees the space after that, whatever happens to the process.
#[derive(Debug)]
pub struct Spool {
    file: Arc<File>,
    end: u64,
    buffer: Box<[u8]>,
}

/// Which side of a copy into a spool failed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The source ended before the size that was promised.
    #[error("the bytes end before their declared size")]
    Short,
    /// The source failed.
    #[error("cannot read the bytes to keep")]
    Read(#[source] io::Error),
    /// The file could not be written: most often a full disk.
    #[error("cannot write to the temporary file")]
    Write(#[source] io::Error),
}

impl Spool {
    /// Makes the file in `folder`, which should be on a disk rather than in memory.
    pub fn new_in(folder: &Path) -> io::Result<Self> {
        let file = Arc::new(tempfile::tempfile_in(folder)?);
        Ok(Self { file, end: 0, buffer: vec![0; BUFFER].into_boxed_slice() })
    }

    /// Copies exactly `size` bytes of `reader` to the end of the file.
    pub fn keep(&mut self, reader: &mut impl Read, size: u64) -> Result<Span, SpoolError> {
        let start = self.end;
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let n = match reader.read(&mut self.buffer[..wanted]) {
                Ok(0) => return Err(SpoolError::Short),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(SpoolError::Read(error)),
            };
            self.file.write_all_at(&self.buffer[..n], start + size - left).map_err(SpoolError::Write)?;
            left -= n as u64;
        }
        self.end = start + size;
        Ok(Span::new(Arc::clone(&self.file), start, size))
    }

    /// The content as a span of a file: itself if it is one, else a copy. For archives within archives.
    pub fn span_of(&mut self, content: &dyn Content) -> Result<Span, SpoolError> {
        match content.span().map_err(SpoolError::Read)? {
            Some(span) => Ok(span),
            None => self.keep(&mut content.open().map_err(SpoolError::Read)?, content.size()),
        }
    }

    /// How many bytes were kept so far.
    pub fn size(&self) -> u64 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Bytes;

    #[test]
    fn what_is_kept_stays_and_leaves_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new_in(folder.path()).unwrap();
        let first = spool.keep(&mut &b"first-and-more"[..], 5).unwrap();
        assert!(matches!(spool.keep(&mut &b"short"[..], 6), Err(SpoolError::Short)));
        let second = spool.span_of(&Bytes::new(*b"second")).unwrap();
        assert_eq!(spool.size(), 11);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(spool);
        assert_eq!((first.bytes(9).unwrap(), second.bytes(9).unwrap()), (b"first".to_vec(), b"second".to_vec()));
    }
}
