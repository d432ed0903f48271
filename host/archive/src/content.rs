//! Bytes that can be read again and again without being held in memory.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    sync::Arc,
};

use stave_model::digest::{Digest, Hasher};

use crate::seen::{Sighting, Stat};

const BUFFER: usize = 128 * 1024;

/// Something with a known size that can be read from the start any number of times.
pub trait Content: fmt::Debug + Send + Sync {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// A reader at the first byte. It yields exactly [`Content::size`] bytes or fails.
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>>;

    /// The same bytes as a part of a file, where they stand as such: what an archive within an archive is read from.
    fn span(&self) -> io::Result<Option<Span>> {
        Ok(None)
    }

    /// A text that stays as it is as long as the bytes stand in the same file and nobody writes to it: what was read once need not
    /// be read again. None where they are in no file at hand.
    fn mark(&self) -> io::Result<Option<String>> {
        Ok(None)
    }

    /// The bytes, if they are in memory and nowhere else.
    fn in_memory(&self) -> Option<&[u8]> {
        None
    }

    /// Reads everything, refusing more than `limit` bytes before allocating.
    fn bytes(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.size() > limit {
            let message = format!("{} bytes, more than the limit of {limit}", self.size());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.size()).unwrap_or(0));
        self.open()?.take(self.size() + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != self.size() {
            return Err(changed_size());
        }
        Ok(bytes)
    }

    /// A digest that is equal only where the bytes are: what to ask for in order to know whether something changed. It costs
    /// nothing where it is known whence the bytes come ([`Known`]), or where the file was read before and is the same
    /// ([`crate::seen`]); so equal bytes of different origin may have different identities.
    fn identity(&self) -> io::Result<Digest> {
        self.digest()
    }

    /// What a later run may believe of it without reading it, if anything ([`crate::seen`]).
    fn sighting(&self) -> Option<Sighting> {
        None
    }

    /// SHA-256 of the bytes. Hashes everything, but for a file of a folder that was read before and is the same.
    fn digest(&self) -> io::Result<Digest> {
        hash(&mut self.open()?, self.size())
    }
}

/// Hashes what comes; `size` is how much that will be.
pub(crate) fn hash(reader: &mut dyn Read, size: u64) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; usize::try_from(size).unwrap_or(BUFFER).clamp(1, BUFFER)];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn changed_size() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the content's size is not what it was when it was indexed")
}

/// Content whose identity follows from where it comes from, such as one entry of an archive whose digest is known.
#[derive(Debug, Clone)]
pub struct Known {
    content: Arc<dyn Content>,
    identity: Digest,
}

impl Known {
    /// Vouches that whatever has this `identity` has the bytes of `content`.
    pub fn new(content: Arc<dyn Content>, identity: Digest) -> Self {
        Self { content, identity }
    }
}

impl Content for Known {
    fn size(&self) -> u64 {
        self.content.size()
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        self.content.open()
    }

    fn identity(&self) -> io::Result<Digest> {
        Ok(self.identity)
    }

    fn span(&self) -> io::Result<Option<Span>> {
        self.content.span()
    }

    fn mark(&self) -> io::Result<Option<String>> {
        self.content.mark()
    }
}

/// Bytes in memory: for small files that a buildpack wrote.
#[derive(Clone)]
pub struct Bytes(Arc<[u8]>);

impl Bytes {
    /// Takes the bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

impl Content for Bytes {
    fn in_memory(&self) -> Option<&[u8]> {
        Some(&self.0)
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(&self.0[..]))
    }
}

/// A run of bytes within an open file. Cloning shares the file; each reader has its own position.
#[derive(Debug, Clone)]
pub struct Span {
    file: Arc<File>,
    offset: u64,
    len: u64,
}

impl Span {
    /// The whole of `file`, at the size it has now.
    pub fn whole(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), offset: 0, len })
    }

    /// `len` bytes of `file` from `offset`.
    pub fn new(file: Arc<File>, offset: u64, len: u64) -> Self {
        Self { file, offset, len }
    }

    /// `len` bytes of this span from `offset`; none if it does not reach that far.
    pub fn part(&self, offset: u64, len: u64) -> Option<Self> {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.len);
        fits.then(|| Self { file: Arc::clone(&self.file), offset: self.offset + offset, len })
    }

    /// Reads some bytes at `offset`, 0 at the end; no position is kept.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.len.saturating_sub(offset);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.file.read_at(&mut buffer[..wanted], self.offset + offset)? {
            0 => Err(changed_size()),
            n => Ok(n),
        }
    }

    /// What the system says of the file that the span is of.
    pub fn stat(&self) -> io::Result<Stat> {
        Stat::of_file(&self.file)
    }

    /// A reader that can also seek, for formats with a directory at their end.
    pub fn cursor(&self) -> SpanCursor {
        SpanCursor { span: self.clone(), position: 0 }
    }
}

impl Content for Span {
    fn size(&self) -> u64 {
        self.len
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.cursor()))
    }

    fn span(&self) -> io::Result<Option<Span>> {
        Ok(Some(self.clone()))
    }

    fn mark(&self) -> io::Result<Option<String>> {
        Ok(Some(format!("{}-{}+{}", self.stat()?.mark(), self.offset, self.len)))
    }
}

/// Reads a [`Span`] from a position of its own.
#[derive(Debug, Clone)]
pub struct SpanCursor {
    span: Span,
    position: u64,
}

impl Read for SpanCursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.span.read_at(buffer, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for SpanCursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, delta) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::End(delta) => (self.span.len, delta),
            SeekFrom::Current(delta) => (self.position, delta),
        };
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "seek before the first byte");
        self.position = base.checked_add_signed(delta).ok_or_else(invalid)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_span_reads_its_part_and_no_more() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"head-body-tail").unwrap();
        let span = Span::new(Arc::new(file), 5, 4);
        assert_eq!(span.bytes(4).unwrap(), b"body");
        assert_eq!(span.digest().unwrap(), Digest::of(b"body"));
        let mut cursor = span.cursor();
        cursor.seek(SeekFrom::End(-2)).unwrap();
        let mut rest = String::new();
        cursor.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "dy");
        assert!(cursor.seek(SeekFrom::Current(-9)).is_err());
    }

    #[test]
    fn a_limit_is_checked_before_reading() {
        let error = Bytes::new(*b"12345").bytes(4).unwrap_err();
        assert_eq!(error.to_string(), "5 bytes, more than the limit of 4");
    }

    #[test]
    fn a_file_that_shrank_is_an_error_not_a_short_read() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10).unwrap();
        let span = Span::whole(file.try_clone().unwrap()).unwrap();
        file.set_len(3).unwrap();
        assert!(span.bytes(100).is_err());
    }
}
