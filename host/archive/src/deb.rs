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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compression::tests::{KINDS, compress},
        format::{self, Format},
        tar::tests::{end, file, header, member},
        tree::Node,
        zip::tests::span,
    };

    fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for (name, bytes) in members {
            out.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).bytes());
            out.extend_from_slice(bytes);
            if bytes.len() % 2 == 1 {
                out.push(b'\n');
            }
        }
        out
    }

    fn unpack(bytes: &[u8]) -> Result<Deb, ArchiveError> {
        read(&span(bytes), &Limits::default(), &mut Spool::new_in(&std::env::temp_dir()).unwrap())
    }

    fn control() -> Vec<u8> {
        end(&[file("./control", b"Package: x\n")])
    }

    #[test]
    fn a_package_is_read_whatever_compresses_its_members() {
        let link = crate::header::Header { link: b"/etc/x".to_vec(), ..header("./usr/share/x/conf", b'2', 0) };
        let data = end(&[member(&link, b""), file("./usr/bin/x", b"program")]);
        for kind in KINDS {
            let (control, data) = (compress(kind, &control()), compress(kind, &data));
            let bytes = ar(&[
                ("debian-binary", b"2.0\n"),
                ("_ours", b"odd"),
                ("control.tar.x/", &control),
                ("data.tar", &data),
            ]);
            let deb = unpack(&bytes).unwrap();
            let Some(Node::File(_, content)) = deb.control.get("control") else { panic!("no control file") };
            assert_eq!(content.bytes(100).unwrap(), b"Package: x\n");
            assert!(matches!(deb.data.get("usr/share/x/conf"), Some(Node::Link(text)) if text == "/etc/x"));
            assert_eq!(Format::of("x_1.0_all.deb", &span(&bytes)).unwrap(), Format::Deb);
            let mut spool = Spool::new_in(&std::env::temp_dir()).unwrap();
            let tree = format::unpack(span(&bytes), Format::Deb, &Limits::default(), &mut spool).unwrap();
            assert_eq!(tree.len(), deb.data.len());
        }
    }

    #[test]
    fn other_packages_are_refused() {
        let (version, control) = (("debian-binary", &b"2.0\n"[..]), control());
        let evil = end(&[file("./../../etc/passwd", b"")]);
        let mut cut = ar(&[version, ("control.tar", &control)]);
        cut.truncate(cut.len() - 600);
        let mut sizeless = ar(&[version]);
        sizeless[8 + 48..8 + 58].copy_from_slice(b"-4        ");
        let cases = [
            b"PK".to_vec(),
            MAGIC.to_vec(),
            ar(&[("control.tar", &control)]),
            ar(&[("debian-binary", b"3.0\n")]),
            ar(&[version, ("data.tar", &control), ("control.tar", &control)]),
            ar(&[version, ("control.tar", &control)]),
            ar(&[version, ("control.tar", &control), ("data.tar", &control), ("data.tar", &control)]),
            ar(&[version, ("control.tar", &control), ("data.tar", &evil)]),
            ar(&[version, ("_a", b"x"), ("control.tar", b"xx"), ("data.tar", &control)]),
            ar(&[vec![version], vec![("_a", &b""[..]); 20]].concat()),
            cut,
            sizeless,
        ];
        let messages: Vec<String> = cases.iter().map(|bytes| unpack(bytes).unwrap_err().to_string()).collect();
        insta::assert_snapshot!(messages.join("\n"), @r"
        deb archive is refused: it ends within a header
        deb archive is refused: it is empty
        deb archive is refused: its first member is not `debian-binary` with version 2
        deb archive is refused: its first member is not `debian-binary` with version 2
        deb archive is refused: its member `control.tar` is missing or out of place
        deb archive is refused: its member `data.tar` is missing or out of place
        deb archive is refused: it has another member `data.tar`
        path `../../etc/passwd` is refused: it holds `.` or `..`
        tar archive is refused: it ends before its end is marked
        deb archive is refused: it has more than 16 members
        deb archive is refused: it ends within a member
        deb archive is refused: a member's size is not a number
        ");
    }
}
