//! Reads a tar (ustar, PAX, GNU, V7) into a tree; the bytes of its files go to a [`Spool`].
//!
//! Strict where readers are known to disagree, because an archive that two programs read differently is how one of them
//! is deceived: a size given twice must be the same twice, an extension must be whole and must belong to an entry, and the end
//! must be marked. Devices, fifos, sparse files and unknown kinds are refused. Extended attributes and times are not kept.

use std::{
    io::{self, BufReader, Read},
    sync::Arc,
};

use crate::{
    header::{BLOCK, Block, Header, kind},
    intake::{ArchiveError, Intake, Links, shown},
    limits::Limits,
    spool::Spool,
    tree::{Access, Tree, TreePath},
};

const BUFFER: usize = 128 * 1024;
/// The longest PAX header or GNU long name that is read, in bytes (what Go's reader allows).
const MAX_EXTENSION: u64 = 1 << 20;
/// How much padding may follow the end, in bytes; tools fill the last record, 10 KiB as a rule.
const MAX_PADDING: usize = 1 << 20;
/// The highest user or group id that is accepted: higher ones turn negative in some runtimes (CVE-2024-40635).
const MAX_ID: u64 = i32::MAX as u64;

/// Reads a whole tar, from its first header to the last byte of `reader`.
///
/// Modes, owners and groups are kept in [`Access`], setuid bits among them: who writes a layer decides what becomes of them.
/// A hard link becomes a file of its own that shares the other's bytes.
pub fn read(reader: impl Read, limits: &Limits, spool: &mut Spool, links: Links) -> Result<Tree, ArchiveError> {
    take_in(reader, Intake::new("tar", limits, links), spool)
}

/// Reads the tar of a layer as [`crate::layer`] and the lifecycle write it: names begin with a `/`, which is the image's root,
/// and links may have any text.
pub(crate) fn read_layer(reader: impl Read, limits: &Limits, spool: &mut Spool) -> Result<Tree, ArchiveError> {
    take_in(reader, Intake::new("layer", limits, Links::AnyText).rooted(), spool)
}

fn take_in(reader: impl Read, intake: Intake<'_>, spool: &mut Spool) -> Result<Tree, ArchiveError> {
    let mut tar = Tar { input: BufReader::with_capacity(BUFFER, reader), intake, spool };
    let mut ahead = Extensions::default();
    while let Some(header) = tar.header()? {
        match header.kind {
            kind::PAX | kind::PAX_GLOBAL | kind::GNU_LONG_NAME | kind::GNU_LONG_LINK => {
                tar.extend(&header, &mut ahead)?;
            }
            _ => tar.entry(header, std::mem::take(&mut ahead))?,
        }
    }
    if ahead.any() {
        return Err(tar.intake.refuse_all("its last header describes an entry that is not there"));
    }
    tar.end()?;
    Ok(tar.intake.finish())
}

/// What extension headers say about the entry after them.
#[derive(Debug, Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    pax: bool,
}

impl Extensions {
    fn any(&self) -> bool {
        self.pax || self.name.is_some() || self.link.is_some()
    }
}

struct Tar<'a, R> {
    input: BufReader<R>,
    intake: Intake<'a>,
    spool: &'a mut Spool,
}

impl<R: Read> Tar<'_, R> {
    /// The next header, or none at the first of the two zero blocks that mark the end.
    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let mut block: Block = [0; BLOCK];
        self.fill(&mut block)?;
        if block == [0; BLOCK] {
            return Ok(None);
        }
        Header::parse(&block).map(Some).map_err(|rule| self.intake.refuse(name_in(&block), rule))
    }

    fn entry(&mut self, header: Header, ahead: Extensions) -> Result<(), ArchiveError> {
        let name = ahead.name.unwrap_or(header.name);
        let link = ahead.link.unwrap_or(header.link);
        if ahead.size.is_some_and(|size| size != header.size) {
            return Err(self.intake.refuse(&name, "its size is given twice and differs"));
        }
        let (uid, gid) = (ahead.uid.unwrap_or(header.uid), ahead.gid.unwrap_or(header.gid));
        let id = |id: u64| u32::try_from(id).ok().filter(|_| id <= MAX_ID);
        let (Some(uid), Some(gid)) = (id(uid), id(gid)) else {
            return Err(self.intake.refuse(&name, "its owner or group is above 2147483647"));
        };
        // Some writers keep the file's type above the permission bits.
        let mode = u32::try_from(header.mode & 0o7777).unwrap_or(0);
        let access = Access { mode, uid, gid };
        let path = self.intake.name(&name)?;
        let is_folder = header.kind == kind::FOLDER || (header.kind == kind::OLD_FILE && name.ends_with(b"/"));
        match header.kind {
            _ if is_folder => self.bare(&name, header.size).and_then(|()| self.intake.folder(path, access)),
            kind::FILE | kind::OLD_FILE | kind::CONTIGUOUS if name.ends_with(b"/") => {
                Err(self.intake.refuse(&name, "it is a file with the name of a folder"))
            }
            kind::FILE | kind::OLD_FILE | kind::CONTIGUOUS => self.file(path, access, header.size),
            kind::LINK => self.bare(&name, header.size).and_then(|()| self.intake.link(path, &link)),
            kind::HARD_LINK => {
                self.bare(&name, header.size)?;
                let target = self.target(&name, &link)?;
                self.intake.hard_link(path, &target)
            }
            b'3' | b'4' | b'6' => Err(self.intake.refuse(&name, "it is a device or a fifo")),
            b'S' => Err(self.intake.refuse(&name, "it is a sparse file")),
            other => {
                let rule = format!("its type `{}` is not known", char::from(other).escape_default());
                Err(self.intake.refuse(&name, rule))
            }
        }
    }

    fn file(&mut self, path: TreePath, access: Access, size: u64) -> Result<(), ArchiveError> {
        self.intake.size(&path, size)?;
        let span = self.spool.keep(&mut self.input, size);
        let span = span.map_err(|error| self.intake.spool_error(path.as_str().as_bytes(), error))?;
        self.pad(size)?;
        self.intake.file(path, access, Arc::new(span))
    }

    /// Refuses contents where there should be none: readers disagree on whether to skip them.
    fn bare(&self, name: &[u8], size: u64) -> Result<(), ArchiveError> {
        if size == 0 { Ok(()) } else { Err(self.intake.refuse(name, "it is a folder or link that declares contents")) }
    }

    fn target(&self, name: &[u8], link: &[u8]) -> Result<TreePath, ArchiveError> {
        let text = str::from_utf8(link).ok().map(|text| text.strip_prefix("./").unwrap_or(text));
        let path = text.and_then(|text| text.parse().ok());
        path.ok_or_else(|| self.intake.refuse(name, format!("it is a hard link to `{}`", shown(link).escape_debug())))
    }

    /// Reads an extension header's contents.
    fn extend(&mut self, header: &Header, ahead: &mut Extensions) -> Result<(), ArchiveError> {
        if header.size > MAX_EXTENSION {
            let rule = format!("its extended header holds {} bytes, more than {MAX_EXTENSION}", header.size);
            return Err(self.intake.refuse(&header.name, rule));
        }
        let mut bytes = vec![0; usize::try_from(header.size).unwrap_or(0)];
        self.fill(&mut bytes)?;
        self.pad(header.size)?;
        let twice = match header.kind {
            kind::GNU_LONG_NAME => ahead.name.replace(without_nul(bytes)).is_some(),
            kind::GNU_LONG_LINK => ahead.link.replace(without_nul(bytes)).is_some(),
            kind::PAX_GLOBAL => return self.check_global(&header.name, &bytes),
            _ => {
                let twice = std::mem::replace(&mut ahead.pax, true);
                self.records(&header.name, &bytes, ahead)?;
                twice
            }
        };
        if twice {
            Err(self.intake.refuse(&header.name, "it describes an entry that is described already"))
        } else {
            Ok(())
        }
    }

    fn records(&self, name: &[u8], bytes: &[u8], ahead: &mut Extensions) -> Result<(), ArchiveError> {
        let damaged = || self.intake.refuse(name, "its extended header is damaged");
        let mut rest = bytes;
        while !rest.is_empty() {
            let (key, value, after) = record(rest).ok_or_else(damaged)?;
            rest = after;
            let number = || decimal(value).ok_or_else(damaged);
            let twice = match key {
                b"path" if !value.is_empty() => ahead.name.replace(value.to_vec()).is_some(),
                b"linkpath" if !value.is_empty() => ahead.link.replace(value.to_vec()).is_some(),
                b"size" => ahead.size.replace(number()?).is_some(),
                b"uid" => ahead.uid.replace(number()?).is_some(),
                b"gid" => ahead.gid.replace(number()?).is_some(),
                b"path" | b"linkpath" => return Err(damaged()),
                _ if key.starts_with(b"GNU.sparse.") => return Err(self.intake.refuse(name, "it is a sparse file")),
                // Times, owner names, attributes, comments: nothing that a tree keeps.
                _ => false,
            };
            if twice {
                return Err(self.intake.refuse(name, "its extended header says one thing twice"));
            }
        }
        Ok(())
    }

    /// A global header may carry a comment, as git writes; it may not change what entries are.
    fn check_global(&self, name: &[u8], bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut found = Extensions::default();
        self.records(name, bytes, &mut found)?;
        let Extensions { name: path, link, size, uid, gid, .. } = found;
        if path.is_some() || link.is_some() || size.or(uid).or(gid).is_some() {
            return Err(self.intake.refuse(name, "it is a global header that changes all entries"));
        }
        Ok(())
    }

    /// After the first zero block: another one, and nothing but zeros to the end.
    fn end(&mut self) -> Result<(), ArchiveError> {
        let mut block: Block = [0; BLOCK];
        self.fill(&mut block)?;
        let mut padding = 0;
        let mut read = BLOCK;
        loop {
            if block[..read].iter().any(|b| *b != 0) {
                return Err(self.intake.refuse_all("bytes follow its end"));
            }
            padding += read;
            if padding > MAX_PADDING {
                return Err(self.intake.refuse_all("more than 1 MiB of zeros follows its end"));
            }
            read = match self.input.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(source) => return Err(ArchiveError::Read { format: "tar", source }),
            };
        }
    }

    fn pad(&mut self, size: u64) -> Result<(), ArchiveError> {
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        if over == 0 { Ok(()) } else { self.fill(&mut [0; BLOCK][over..]) }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ArchiveError> {
        self.input.read_exact(buffer).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof if source.get_ref().is_none() => {
                self.intake.refuse_all("it ends before its end is marked")
            }
            _ => ArchiveError::Read { format: "tar", source },
        })
    }
}

fn name_in(block: &Block) -> &[u8] {
    block[..100].split(|b| *b == 0).next().unwrap_or(b"")
}

fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let text = str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    text.parse().ok()
}

/// Splits the first PAX record, `LENGTH KEY=VALUE\n`, off `bytes`: key, value, rest.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(8).position(|b| *b == b' ')?;
    let len = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let body = bytes.get(space + 1..len)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|b| *b == b'=').filter(|at| *at > 0)?;
    Some((&body[..equals], &body[equals + 1..], &bytes[len..]))
}

#[cfg(test)]
pub(crate) mod tests;
