//! Reads a zip (a jar, a wheel) into a tree whose files are unpacked only when they are opened.
//!
//! The directory at the archive's end is the authority, and it is checked once: every entry's own header must carry the same
//! name, no two entries may share bytes, no name may stand twice. After that an entry is a span of the archive that inflates
//! on [`Content::open`] and fails unless size and checksum are what was declared. Parsing is `rawzip`'s: it shows entries as
//! they stand, where the better known crate keeps the last of several with one name.

use std::{
    fmt,
    io::{self, BufReader, Read},
    sync::Arc,
};

use flate2::{Crc, bufread::DeflateDecoder};
use rawzip::{CompressionMethod, ReaderAt, ZipArchive, ZipFileHeaderRecord, ZipLocator};
use stave_model::digest::{Digest, Key};

use crate::{
    content::{Content, Span, SpanCursor},
    intake::{ArchiveError, Intake, Links},
    limits::Limits,
    tree::{Access, MAX_PATH, Tree, TreePath},
};

const BUFFER: usize = 128 * 1024;
/// Room for any directory record: 46 bytes and three fields of up to 65,535.
const RECORD: usize = 256 * 1024;

const TYPE: u32 = 0o170_000;
const TYPE_FOLDER: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_LINK: u32 = 0o120_000;

/// Indexes a zip. What stands before its first entry (the script of an executable jar) is skipped; nothing may follow its end.
///
/// Files are `0644`, or `0755` where the archive says that anyone may run them. Symbolic links must stay inside.
pub fn read(source: Span, limits: &Limits) -> Result<Tree, ArchiveError> {
    let mut intake = Intake::new("zip", limits, Links::Inside);
    let mut buffer = vec![0; RECORD];
    let size = source.size();
    let archive = ZipLocator::new()
        .locate_in_reader(Source(source), &mut buffer, size)
        .map_err(|(_, error)| unreadable(error))?;
    if archive.end_offset() != size {
        return Err(intake.refuse_all("bytes follow its end"));
    }
    let mut taken = Vec::new();
    let mut packed_bytes = 0u64;
    let mut local = vec![0; RECORD];
    let mut records = archive.entries(&mut buffer);
    while let Some(record) = records.next_entry().map_err(unreadable)? {
        let entry = Entry::check(&archive, &record, &mut local, &mut intake)?;
        packed_bytes = packed_bytes.saturating_add(entry.packed);
        taken.push((entry.span, entry.path.clone()));
        entry.put(archive.get_ref(), &mut intake)?;
    }
    if taken.len() as u64 != archive.entries_hint() {
        return Err(intake.refuse_all("it holds another number of entries than it declares"));
    }
    if limits.is_bomb(packed_bytes, intake.bytes()) {
        return Err(intake.refuse_all(format!("it unpacks to more than {} times its size", limits.ratio)));
    }
    refuse_overlaps(taken, archive.directory_offset(), &intake)?;
    Ok(intake.finish())
}

/// Each entry owns its bytes: shared ones are how a small archive unpacks to a huge one, and how one file hides in another.
fn refuse_overlaps(mut taken: Vec<((u64, u64), TreePath)>, end: u64, intake: &Intake<'_>) -> Result<(), ArchiveError> {
    taken.sort_unstable();
    let starts = taken.iter().skip(1).map(|((start, _), _)| *start).chain([end]);
    match taken.iter().zip(starts).find(|(((_, end), _), next)| end > next) {
        Some(((_, path), _)) => {
            Err(intake.refuse(path.as_str().as_bytes(), "its bytes overlap with what follows them"))
        }
        None => Ok(()),
    }
}

fn unreadable(error: rawzip::Error) -> ArchiveError {
    ArchiveError::Read { format: "zip", source: io::Error::new(io::ErrorKind::InvalidData, error) }
}

#[derive(Debug)]
struct Source(Span);

impl ReaderAt for Source {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
}

/// A directory record that agrees with the header in front of its bytes.
struct Entry {
    path: TreePath,
    what: What,
    /// From its header's first byte to behind its last packed byte.
    span: (u64, u64),
    data: u64,
    packed: u64,
    size: u64,
    crc: u32,
    deflated: bool,
}

enum What {
    Folder,
    File(Access),
    Link,
}

impl Entry {
    fn check(
        archive: &ZipArchive<Source>,
        record: &ZipFileHeaderRecord<'_>,
        local: &mut [u8],
        intake: &mut Intake<'_>,
    ) -> Result<Self, ArchiveError> {
        let name = record.file_path();
        let name = name.as_bytes();
        let path = intake.name(name)?;
        let what = kind(record).map_err(|rule| intake.refuse(name, rule))?;
        if record.flags().is_encrypted() || record.flags().is_masked() {
            return Err(intake.refuse(name, "it is encrypted"));
        }
        let deflated = match record.compression_method() {
            CompressionMethod::STORE => false,
            CompressionMethod::DEFLATE => true,
            other => return Err(intake.refuse(name, format!("its compression method {} is not known", other.as_u16()))),
        };
        let (packed, size) = (record.compressed_size_hint(), record.uncompressed_size_hint());
        intake.size(&path, size)?;
        if matches!(what, What::Folder) && size != 0 {
            return Err(intake.refuse(name, "it is a folder that declares contents"));
        }
        if !deflated && packed != size {
            return Err(intake.refuse(name, "it is not compressed, but declares two sizes"));
        }
        if intake.is_bomb(packed, size) {
            return Err(intake.refuse(name, format!("it declares {size} bytes, packed in {packed}")));
        }
        if record.local_header_offset() >= archive.directory_offset() {
            return Err(intake.refuse(name, "its bytes are not in front of the archive's directory"));
        }
        let damaged = |error: rawzip::Error| match error.kind() {
            rawzip::ErrorKind::IO(_) => unreadable(error),
            _ => intake.refuse(name, "its own header is damaged"),
        };
        let body = archive.get_entry(record.wayfinder()).map_err(damaged)?;
        let header = body.local_header(local).map_err(damaged)?;
        if header.file_path().as_bytes() != name || header.compression_method() != record.compression_method() {
            return Err(intake.refuse(name, "the archive's directory and the entry's own header differ"));
        }
        let (data, end) = body.compressed_data_range();
        let span = (record.local_header_offset(), end);
        Ok(Self { path, what, span, data, packed, size, crc: record.crc32(), deflated })
    }

    fn put(self, source: &Source, intake: &mut Intake<'_>) -> Result<(), ArchiveError> {
        let name = self.path.as_str().as_bytes();
        let span = source.0.part(self.data, self.packed).ok_or_else(|| intake.refuse(name, "its bytes end outside"))?;
        let Self { size, crc, deflated, .. } = self;
        let packed = Packed { name: self.path.clone(), span, size, crc, deflated };
        match self.what {
            What::Folder => intake.folder(self.path, Access::FOLDER),
            What::File(access) => intake.file(self.path, access, Arc::new(packed)),
            What::Link => {
                let text = packed.bytes(MAX_PATH as u64);
                let text = text.map_err(|source| ArchiveError::Read { format: "zip", source })?;
                intake.link(self.path, &text)
            }
        }
    }
}

/// Judges by the name's last byte, and by the Unix mode where the archive was made on such a system.
fn kind(record: &ZipFileHeaderRecord<'_>) -> Result<What, &'static str> {
    let system = record.version_made_by().creator_system().as_u8();
    // All bits set is how old Maven archivers say that they do not know.
    let mode = if matches!(system, 3 | 19) { record.external_attributes() >> 16 } else { 0 };
    let mode = if mode == 0xffff { 0 } else { mode };
    match (record.is_dir(), mode & TYPE) {
        (true, 0 | TYPE_FOLDER) => Ok(What::Folder),
        (false, 0 | TYPE_FILE) => Ok(What::File(Access::of_file(mode & 0o111 != 0))),
        (false, TYPE_LINK) => Ok(What::Link),
        (_, TYPE_FOLDER | TYPE_FILE | TYPE_LINK) => Err("its name and its mode differ on whether it is a folder"),
        _ => Err("it is a device, a fifo or a socket"),
    }
}

/// A file's packed bytes.
struct Packed {
    name: TreePath,
    span: Span,
    size: u64,
    crc: u32,
    deflated: bool,
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({:?}, {})", self.name, self.size)
    }
}

impl Content for Packed {
    fn size(&self) -> u64 {
        self.size
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        let cursor = self.span.cursor();
        let inner = if self.deflated {
            let capacity = usize::try_from(self.span.size()).unwrap_or(BUFFER).clamp(1, BUFFER);
            Unpacking::Deflated(Box::new(DeflateDecoder::new(BufReader::with_capacity(capacity, cursor))))
        } else {
            Unpacking::Stored(cursor)
        };
        Ok(Box::new(Checked { packed: self, inner, crc: Crc::new(), left: self.size, ended: false }))
    }

    fn span(&self) -> io::Result<Option<Span>> {
        Ok((!self.deflated).then(|| self.span.clone()))
    }

    /// Follows from the packed bytes, which are hashed as they stand: nothing is inflated.
    fn identity(&self) -> io::Result<Digest> {
        let packed = self.span.digest()?;
        if !self.deflated {
            return Ok(packed);
        }
        let key = Key::new("deflated entry 1").field(self.size.to_le_bytes()).field(self.crc.to_le_bytes());
        Ok(key.field(packed.hex()).finish())
    }
}

enum Unpacking {
    Stored(SpanCursor),
    Deflated(Box<DeflateDecoder<BufReader<SpanCursor>>>),
}

/// Passes on what comes out while it is what was declared; the last bytes come only after the checksum was right.
struct Checked<'a> {
    packed: &'a Packed,
    inner: Unpacking,
    crc: Crc,
    left: u64,
    ended: bool,
}

impl Checked<'_> {
    fn refuse(&self, rule: &str) -> io::Error {
        let message = format!("zip entry `{}` is damaged: {rule}", self.packed.name.as_str().escape_debug());
        io::Error::new(io::ErrorKind::InvalidData, message)
    }

    fn pull(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Unpacking::Stored(reader) => reader.read(buffer),
            Unpacking::Deflated(reader) => reader.read(buffer),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        if self.crc.sum() != self.packed.crc {
            return Err(self.refuse("its checksum is not what was declared"));
        }
        if self.pull(&mut [0])? != 0 {
            return Err(self.refuse("it holds more bytes than declared"));
        }
        match &self.inner {
            Unpacking::Deflated(reader) if reader.total_in() != self.packed.span.size() => {
                Err(self.refuse("bytes follow the end of its compressed data"))
            }
            _ => Ok(()),
        }
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let mut n = 0;
        if wanted > 0 {
            n = match self.pull(&mut buffer[..wanted]) {
                Ok(0) => return Err(self.refuse("it holds fewer bytes than declared")),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    return Err(self.refuse("its compressed data is not deflate"));
                }
                result => result?,
            };
            self.crc.update(&buffer[..n]);
            self.left -= n as u64;
        }
        if self.left == 0 && !self.ended {
            self.end()?;
        }
        Ok(n)
    }
}

#[cfg(test)]
pub(crate) mod tests;
