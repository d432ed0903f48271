//! Reads a Debian package (`deb(5)`): an `ar` of a version, a control archive and a data archive.

use std::io::Read;

use crate::{
    compression::{Compression, decoder},
    content::{Content, Span},
    intake::{ArchiveError, Links},
    limits::Limits,
    spool::Spool,
    tar,
    tree::Tree,
};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: u64 = 60;
/// How many members are looked at; a package has three, and rarely one or two more for other tools.
const MAX_MEMBERS: usize = 16;
/// The most that a control archive may unpack to: descriptions, scripts and lists of checksums.
const CONTROL_BYTES: u64 = 256 << 20;

/// What a package holds.
#[derive(Debug, Clone)]
pub struct Deb {
    /// `control`, `md5sums`, scripts. The scripts are data here: nothing runs them.
    pub control: Tree,
    /// What is installed, relative to the root. Links keep their text, absolute or not.
    pub data: Tree,
}

/// Reads both trees; file contents go to `spool`.
pub fn read(source: &Span, limits: &Limits, spool: &mut Spool) -> Result<Deb, ArchiveError> {
    let mut members = Members { source, at: MAGIC.len() as u64, seen: 0 };
    if members.bytes::<8>(0)? != *MAGIC {
        return Err(refuse("it does not start as an ar archive"));
    }
    let (name, version) = members.next()?.ok_or_else(|| refuse("it is empty"))?;
    if name != "debian-binary" || !version.bytes(64).is_ok_and(|text| text.starts_with(b"2.")) {
        return Err(refuse("its first member is not `debian-binary` with version 2"));
    }
    let control = members.wanted("control.tar")?;
    let data = members.wanted("data.tar")?;
    while let Some((name, _)) = members.next()? {
        if !name.starts_with('_') {
            return Err(refuse(format!("it has another member `{}`", name.escape_debug())));
        }
    }
    let few = Limits { total_bytes: limits.total_bytes.min(CONTROL_BYTES), ..*limits };
    Ok(Deb { control: unpack(&control, &few, spool)?, data: unpack(&data, limits, spool)? })
}

/// The kind of compression is taken from the bytes: the member's name says no more.
fn unpack(member: &Span, limits: &Limits, spool: &mut Spool) -> Result<Tree, ArchiveError> {
    let unreadable = |source| ArchiveError::Read { format: "deb", source };
    let mut head = [0; 6];
    let n = member.read_at(&mut head, 0).map_err(unreadable)?;
    let stream = decoder(Compression::sniff(&head[..n]), member.cursor(), limits).map_err(unreadable)?;
    tar::read(stream, limits, spool, Links::AnyText)
}

struct Members<'a> {
    source: &'a Span,
    at: u64,
    seen: usize,
}

impl Members<'_> {
    /// The next member's name and bytes.
    fn next(&mut self) -> Result<Option<(String, Span)>, ArchiveError> {
        if self.at >= self.source.size() {
            return Ok(None);
        }
        self.seen += 1;
        if self.seen > MAX_MEMBERS {
            return Err(refuse("it has more than 16 members"));
        }
        let header = self.bytes::<60>(self.at)?;
        let text = str::from_utf8(&header).map_err(|_| refuse("a member's header is not text"))?;
        let field = |from: usize, to: usize| text.get(from..to).map_or("", str::trim_end);
        if field(58, 60) != "`" {
            return Err(refuse("a member's header is damaged"));
        }
        let name = field(0, 16).trim_end_matches('/').to_owned();
        let digits = field(48, 58);
        let size = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
        let size: u64 = size.ok_or_else(|| refuse("a member's size is not a number"))?;
        let span = self.source.part(self.at + HEADER, size).ok_or_else(|| refuse("it ends within a member"))?;
        self.at += HEADER + size + size % 2;
        Ok(Some((name, span)))
    }

    /// The next member that is not for other tools (those start with `_`), which must have this name and any ending.
    fn wanted(&mut self, stem: &str) -> Result<Span, ArchiveError> {
        loop {
            match self.next()? {
                Some((name, span)) if name == stem || name.starts_with(&format!("{stem}.")) => return Ok(span),
                Some((name, _)) if name.starts_with('_') => {}
                _ => return Err(refuse(format!("its member `{stem}` is missing or out of place"))),
            }
        }
    }

    fn bytes<const N: usize>(&self, at: u64) -> Result<[u8; N], ArchiveError> {
        let part = self.source.part(at, N as u64).ok_or_else(|| refuse("it ends within a header"))?;
        let mut bytes = [0; N];
        part.cursor().read_exact(&mut bytes).map_err(|source| ArchiveError::Read { format: "deb", source })?;
        Ok(bytes)
    }
}

fn refuse(rule: impl Into<std::borrow::Cow<'static, str>>) -> ArchiveError {
    ArchiveError::Archive { format: "deb", rule: rule.into() }
}
