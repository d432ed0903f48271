//! Contents that are compared with their digest while they are read: for bytes in a folder or archive of somebody else.

use std::{
    io::{self, Read},
    sync::Arc,
};

use stave_archive::content::Content;
use stave_lifecycle::{
    image::Descriptor,
    port::failure::{Fault, PortError},
};
use stave_model::digest::Hasher;

/// A content whose last bytes are only given when all of them have the promised digest.
#[derive(Debug, Clone)]
pub struct Checked {
    content: Arc<dyn Content>,
    promised: Descriptor,
}

impl Checked {
    /// `content`, which was promised to be as `promised` says.
    pub fn new(content: Arc<dyn Content>, promised: Descriptor) -> Self {
        Self { content, promised }
    }
}

impl Content for Checked {
    fn size(&self) -> u64 {
        self.promised.size
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        if self.content.size() != self.promised.size {
            return Err(mismatch(&self.promised));
        }
        let reader = self.content.open()?;
        Ok(Box::new(CheckedReader {
            reader,
            hasher: Hasher::new(),
            left: self.promised.size,
            promised: &self.promised,
        }))
    }

    fn mark(&self) -> io::Result<Option<String>> {
        self.content.mark()
    }
}

/// Hashes what passes. Whoever reads exactly the promised number of bytes, and does not look for the end, is told too.
struct CheckedReader<'a> {
    reader: Box<dyn Read + Send + 'a>,
    hasher: Hasher,
    left: u64,
    promised: &'a Descriptor,
}

impl Read for CheckedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let n = self.reader.read(&mut buffer[..wanted])?;
        self.hasher.update(&buffer[..n]);
        self.left -= n as u64;
        if n == 0 || (self.left == 0 && self.hasher.clone().finish() != self.promised.digest) {
            return Err(mismatch(self.promised));
        }
        Ok(n)
    }
}

/// The bytes are not the promised ones.
pub(crate) fn mismatch(promised: &Descriptor) -> io::Error {
    let Descriptor { digest, size, .. } = promised;
    let attempt = format!("{digest} is not what it should be: it has another digest, or not {size} bytes");
    io::Error::new(io::ErrorKind::InvalidData, PortError::new(Fault::Integrity, attempt))
}

#[cfg(test)]
mod tests {
    use stave_archive::content::Bytes;
    use stave_lifecycle::image::LAYER;
    use stave_model::digest::Digest;

    use super::*;

    fn read(promised: &[u8], there: &[u8]) -> io::Result<Vec<u8>> {
        let promised =
            Descriptor { media_type: LAYER.to_owned(), digest: Digest::of(promised), size: promised.len() as u64 };
        let size = usize::try_from(promised.size).unwrap();
        let checked = Checked::new(Arc::new(Bytes::new(there.to_vec())), promised);
        let mut bytes = vec![0; size];
        checked.open()?.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn only_the_promised_bytes_come_through() {
        assert_eq!(read(b"abc", b"abc").unwrap(), b"abc");
        for there in [&b"abd"[..], b"ab", b"abcd", b""] {
            let error = PortError::of_io("test", Fault::Io, read(b"abc", there).unwrap_err());
            assert_eq!(error.fault, Fault::Integrity, "{there:?}");
        }
    }
}
