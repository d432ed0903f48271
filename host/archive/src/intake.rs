//! What every archive reader does with an entry: judges its name, its link and its size, and puts it into the tree.
//!
//! The readers differ in how they find entries; what is refused is decided here once, so that no format is the soft one.

use std::{borrow::Cow, collections::HashSet, io, sync::Arc};

use crate::{
    content::Content,
    limits::Limits,
    spool::SpoolError,
    tree::{Access, MAX_PATH, Node, Tree, TreeError, TreePath, link_stays_inside},
};

/// What the text of a symbolic link may be. No link is ever followed by a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Relative and never above the root of its tree: for all that is unpacked into a layer.
    Inside,
    /// Any text: for a distribution's packages, whose tree becomes the root of an image.
    AnyText,
}

/// Why an archive was not read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// An entry's path or link is not one that a tree may hold.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An entry breaks a rule.
    #[error("{format} entry `{}` is refused: {rule}", .name.escape_debug())]
    Entry {
        /// The archive's format.
        format: &'static str,
        /// The entry's name, as far as it is text, cut to 200 characters.
        name: String,
        /// What it breaks, as the end of a sentence.
        rule: Cow<'static, str>,
    },
    /// The archive as a whole breaks a rule of its format.
    #[error("{format} archive is refused: {rule}")]
    Archive {
        /// The archive's format.
        format: &'static str,
        /// What it breaks, as the end of a sentence.
        rule: Cow<'static, str>,
    },
    /// The archive cannot be read or decompressed.
    #[error("cannot read the {format} archive")]
    Read {
        /// The archive's format.
        format: &'static str,
        /// What the system, or the decompressor, said.
        #[source]
        source: io::Error,
    },
    /// What was unpacked cannot be kept.
    #[error("cannot write to the temporary file for unpacked files")]
    Spool(#[source] io::Error),
    /// The bytes are of no format that can be unpacked.
    #[error("`{}` is not a zip, jar, wheel, tar or deb archive", .0.escape_debug())]
    Unknown(String),
}

/// A tree under construction from entries that may be hostile.
#[derive(Debug)]
pub(crate) struct Intake<'a> {
    format: &'static str,
    limits: &'a Limits,
    links: Links,
    rooted: bool,
    tree: Tree,
    named_folders: HashSet<TreePath>,
    entries: usize,
    bytes: u64,
}

impl<'a> Intake<'a> {
    pub(crate) fn new(format: &'static str, limits: &'a Limits, links: Links) -> Self {
        let (tree, named_folders) = (Tree::new(), HashSet::new());
        Self { format, limits, links, rooted: false, tree, named_folders, entries: 0, bytes: 0 }
    }

    /// The same, where names may begin with one `/`, which is the root of the tree.
    pub(crate) fn rooted(self) -> Self {
        Self { rooted: true, ..self }
    }

    /// An error that names an entry.
    pub(crate) fn refuse(&self, name: &[u8], rule: impl Into<Cow<'static, str>>) -> ArchiveError {
        ArchiveError::Entry { format: self.format, name: shown(name), rule: rule.into() }
    }

    /// An error about the whole archive.
    pub(crate) fn refuse_all(&self, rule: impl Into<Cow<'static, str>>) -> ArchiveError {
        ArchiveError::Archive { format: self.format, rule: rule.into() }
    }

    /// Counts an entry and checks its name. A leading `./` is dropped; the root itself is the empty path.
    pub(crate) fn name(&mut self, raw: &[u8]) -> Result<TreePath, ArchiveError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(self.refuse_all(format!("it holds more than {} entries", self.limits.entries)));
        }
        let text = str::from_utf8(raw).map_err(|_| self.refuse(raw, "its name is not UTF-8"))?;
        let mut rest = text.strip_prefix('/').filter(|below| self.rooted && !below.is_empty()).unwrap_or(text);
        while let Some(below) = rest.strip_prefix("./") {
            rest = below;
        }
        if rest == "." || (rest.is_empty() && !text.is_empty()) {
            return Ok(TreePath::root());
        }
        rest.parse().map_err(|invalid| TreeError::Path(invalid).into())
    }

    /// Checks a file's size before a byte of it is read, and counts it.
    pub(crate) fn size(&mut self, path: &TreePath, size: u64) -> Result<(), ArchiveError> {
        let Limits { entry_bytes, total_bytes, .. } = *self.limits;
        if size > entry_bytes {
            let rule = format!("it holds {size} bytes, more than the limit of {entry_bytes}");
            return Err(self.refuse(path.as_str().as_bytes(), rule));
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > total_bytes {
            return Err(self.refuse_all(format!("its files hold more than {total_bytes} bytes")));
        }
        Ok(())
    }

    /// Puts a folder. The root's own entry is accepted and says nothing.
    pub(crate) fn folder(&mut self, path: TreePath, access: Access) -> Result<(), ArchiveError> {
        if !self.named_folders.insert(path.clone()) {
            return Err(TreeError::Occupied(path.as_str().to_owned()).into());
        }
        if path != TreePath::root() {
            self.tree.insert(path, Node::Folder(access))?;
        }
        Ok(())
    }

    /// Puts a file whose size was checked.
    pub(crate) fn file(
        &mut self,
        path: TreePath,
        access: Access,
        content: Arc<dyn Content>,
    ) -> Result<(), ArchiveError> {
        Ok(self.tree.insert(path, Node::File(access, content))?)
    }

    /// Puts a symbolic link if its text keeps the rule.
    pub(crate) fn link(&mut self, path: TreePath, text: &[u8]) -> Result<(), ArchiveError> {
        let name = path.as_str().as_bytes();
        let text = str::from_utf8(text).map_err(|_| self.refuse(name, "the text of its link is not UTF-8"))?;
        let fits = match self.links {
            Links::Inside => link_stays_inside(&path, text),
            Links::AnyText => !text.is_empty() && text.len() <= MAX_PATH && !text.contains('\0'),
        };
        if !fits {
            return Err(TreeError::LinkOutside(shown(name), shown(text.as_bytes())).into());
        }
        Ok(self.tree.insert(path, Node::Link(text.to_owned()))?)
    }

    /// Puts another name of a file or link that was put before; both share their bytes.
    pub(crate) fn hard_link(&mut self, path: TreePath, target: &TreePath) -> Result<(), ArchiveError> {
        match self.tree.get(target.as_str()).cloned() {
            Some(file @ Node::File(..)) => Ok(self.tree.insert(path, file)?),
            Some(Node::Link(text)) => self.link(path, text.as_bytes()),
            Some(Node::Folder(_)) => Err(self.refuse(path.as_str().as_bytes(), "it is a hard link to a folder")),
            None => {
                let rule = "it is a hard link to a file that is not in the archive before it";
                Err(self.refuse(path.as_str().as_bytes(), rule))
            }
        }
    }

    /// [`Limits::is_bomb`].
    pub(crate) fn is_bomb(&self, packed: u64, unpacked: u64) -> bool {
        self.limits.is_bomb(packed, unpacked)
    }

    /// How many bytes all files hold so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The finished tree.
    pub(crate) fn finish(self) -> Tree {
        self.tree
    }

    /// Says which side of a copy into the spool failed.
    pub(crate) fn spool_error(&self, name: &[u8], error: SpoolError) -> ArchiveError {
        match error {
            SpoolError::Short => self.refuse(name, "the archive ends within it"),
            SpoolError::Read(source) => ArchiveError::Read { format: self.format, source },
            SpoolError::Write(source) => ArchiveError::Spool(source),
        }
    }
}

/// A name from an archive as text for a message, cut to 200 characters.
pub(crate) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(1000)]).chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(raw: &[&[u8]]) -> Vec<String> {
        let limits = Limits { entries: 100, ..Limits::default() };
        let mut intake = Intake::new("test", &limits, Links::Inside);
        raw.iter().map(|raw| intake.name(raw).map_or_else(|e| e.to_string(), |path| path.to_string())).collect()
    }

    #[test]
    fn names_are_read_as_tools_write_them() {
        assert_eq!(names(&[b"a/b", b"./a", b"././a/b/", b".", b"./"]), ["a/b", "a", "a/b", "", ""]);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        insta::assert_snapshot!(names(&[
            b"../x", b"a/../../x", b"/etc/passwd", b"/.", b"C:/x", b"\\\\host\\share", b"a\\..\\b", b"", b"a//b", b"./../x",
            b"caf\xe9", b"a\0b", b"\x1b[31m/../red",
        ]).join("\n"), @r"
        path `../x` is refused: it holds `.` or `..`
        path `a/../../x` is refused: it holds `.` or `..`
        path `/etc/passwd` is refused: it is absolute
        path `/.` is refused: it is absolute
        path `C:/x` is refused: it starts with a drive letter
        path `\\\\host\\share` is refused: it holds a backslash or a NUL
        path `a\\..\\b` is refused: it holds a backslash or a NUL
        path `` is refused: it holds an empty name
        path `a//b` is refused: it holds an empty name
        path `../x` is refused: it holds `.` or `..`
        test entry `caf�` is refused: its name is not UTF-8
        path `a\0b` is refused: it holds a backslash or a NUL
        path `\u{1b}[31m/../red` is refused: it holds `.` or `..`
        ");
    }

    #[test]
    fn sizes_are_counted_before_reading() {
        let limits = Limits { entries: 2, total_bytes: 10, entry_bytes: 8, ratio: 200 };
        let mut intake = Intake::new("test", &limits, Links::Inside);
        let path = intake.name(b"big").unwrap();
        insta::assert_snapshot!(intake.size(&path, u64::MAX).unwrap_err(), @"test entry `big` is refused: it holds 18446744073709551615 bytes, more than the limit of 8");
        intake.size(&path, 8).unwrap();
        insta::assert_snapshot!(intake.size(&path, 3).unwrap_err(), @"test archive is refused: its files hold more than 10 bytes");
        intake.name(b"two").unwrap();
        insta::assert_snapshot!(intake.name(b"three").unwrap_err(), @"test archive is refused: it holds more than 2 entries");
    }
}
