//! A commit's files as a tree, read out of a repository object by object.
//!
//! This is what the commit says and nothing else: no checkout, no attributes, no filters. Names and links are judged as those of a
//! folder on disk are: every name must be one that a tree may hold, and a link keeps its text, which nobody follows.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{self, BufRead, BufReader, Read},
    sync::Arc,
};

use stave_archive::{
    content::{Content, Span},
    limits::Limits,
    spool::{Spool, SpoolError},
    tree::{Access, InvalidPath, MAX_PATH, Node, Tree, TreeError, TreePath},
};

use super::{repository::Repository, run::GitError};

/// The longest line of git's list of files: a path, and some numbers before it.
const LONGEST_LINE: u64 = 64 << 10;

/// Why a commit's files cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A path cannot stand in a tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file is not what an app may hold.
    #[error("`{}` is refused: {rule}", .path.escape_debug())]
    Entry {
        /// Where.
        path: String,
        /// What it breaks.
        rule: String,
    },
    /// There is too much.
    #[error("{0}")]
    TooMuch(String),
    /// What git wrote is not what it should write.
    #[error("the repository is damaged: {0}")]
    Damaged(&'static str),
    /// The disk failed.
    #[error("could not keep its files")]
    Keep(#[source] io::Error),
}

impl From<InvalidPath> for FilesError {
    fn from(invalid: InvalidPath) -> Self {
        Self::Tree(invalid.into())
    }
}

/// What may still be read, over all of a source.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    entries: usize,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, entries: 0, bytes: 0 }
    }

    fn count(&mut self, path: &TreePath, size: u64) -> Result<(), FilesError> {
        let Limits { entries, total_bytes, entry_bytes, .. } = self.limits;
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(size);
        if size > entry_bytes {
            let rule = format!("it holds {size} bytes, more than the limit of {entry_bytes}");
            return Err(FilesError::Entry { path: path.to_string(), rule });
        }
        if self.entries > entries {
            return Err(FilesError::TooMuch(format!("it holds more than {entries} files")));
        }
        if self.bytes > total_bytes {
            return Err(FilesError::TooMuch(format!("its files hold more than {total_bytes} bytes")));
        }
        Ok(())
    }
}

/// What stands at a path of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File { executable: bool },
    Link,
    Module,
}

/// One line of git's list of files.
#[derive(Debug)]
struct Entry {
    path: TreePath,
    kind: Kind,
    object: String,
    size: u64,
}

/// Where another repository's commit stands in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    pub(crate) path: TreePath,
    pub(crate) commit: String,
}

/// The files below `folder`, an object that is a tree or a commit; and the submodules among them, which are empty folders in it.
pub(crate) fn read(
    repository: &Repository<'_>,
    folder: &str,
    budget: &mut Budget,
    spool: &mut Spool,
) -> Result<(Tree, Vec<Module>), FilesError> {
    let list = ["ls-tree", "-r", "-z", "-l", "--full-tree", folder];
    let entries = repository.stream(&list, Vec::new(), |written| entries(written, budget))?;
    let mut wanted = String::new();
    let mut places: HashMap<&str, (usize, u64)> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.kind != Kind::Module) {
        let next = places.len();
        places.entry(&entry.object).or_insert_with(|| {
            // Writing to a text does not fail.
            let _ = writeln!(wanted, "{}", entry.object);
            (next, entry.size)
        });
    }
    let mut sizes = vec![0; places.len()];
    for (place, size) in places.values() {
        sizes[*place] = *size;
    }
    let batch = ["cat-file", "--batch=%(objectname) %(objecttype) %(objectsize)", "--buffer"];
    let objects = wanted.clone();
    let contents = if sizes.is_empty() {
        Vec::new()
    } else {
        repository.stream(&batch, wanted.into_bytes(), |written| contents(written, &objects, &sizes, spool))?
    };
    let (mut tree, mut modules) = (Tree::new(), Vec::new());
    for entry in &entries {
        let content = places.get(entry.object.as_str()).and_then(|(place, _)| contents.get(*place));
        let node = match (entry.kind, content) {
            (Kind::Module, _) => {
                modules.push(Module { path: entry.path.clone(), commit: entry.object.clone() });
                Node::Folder(Access::FOLDER)
            }
            (Kind::File { executable }, Some(content)) => Node::file(Arc::new(content.clone()), executable),
            (Kind::Link, Some(content)) => Node::Link(link(&entry.path, content)?),
            (_, None) => return Err(FilesError::Damaged("a file's contents are missing")),
        };
        tree.insert(entry.path.clone(), node)?;
    }
    Ok((tree, modules))
}

/// The text of a link, whatever it is.
fn link(path: &TreePath, content: &Span) -> Result<String, FilesError> {
    let refused = |rule: &str| FilesError::Entry { path: path.to_string(), rule: rule.to_owned() };
    if content.size() == 0 || content.size() > MAX_PATH as u64 {
        return Err(refused("it is a link whose text is empty, or longer than 4095 bytes"));
    }
    let text = content.bytes(MAX_PATH as u64).map_err(FilesError::Keep)?;
    let text = String::from_utf8(text).ok().filter(|text| !text.contains('\0'));
    text.ok_or_else(|| refused("it is a link whose text is not UTF-8, or holds a NUL"))
}

/// Reads git's list: mode, kind, object and size, and behind a tab the path.
fn entries(written: &mut dyn Read, budget: &mut Budget) -> Result<Vec<Entry>, FilesError> {
    let mut lines = BufReader::with_capacity(64 << 10, written);
    let (mut found, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        (&mut lines).take(LONGEST_LINE).read_until(0, &mut line).map_err(GitError::Read)?;
        match line.pop() {
            None => return Ok(found),
            Some(0) => {
                let entry = entry(&line)?;
                budget.count(&entry.path, entry.size)?;
                found.push(entry);
            }
            Some(_) => return Err(FilesError::Damaged("its list of files ends within a line")),
        }
    }
}

fn entry(line: &[u8]) -> Result<Entry, FilesError> {
    let tab = line.iter().position(|byte| *byte == b'\t').ok_or(FilesError::Damaged("a file has no path"))?;
    let (head, path) = (String::from_utf8_lossy(&line[..tab]), &line[tab + 1..]);
    let shown = || String::from_utf8_lossy(path).chars().take(200).collect::<String>();
    let refused = |rule: String| FilesError::Entry { path: shown(), rule };
    let text = str::from_utf8(path).map_err(|_| refused("its name is not UTF-8".to_owned()))?;
    let words: Vec<&str> = head.split_ascii_whitespace().collect();
    let [mode, _, object, size] = words[..] else { return Err(FilesError::Damaged("a file is described otherwise")) };
    let kind = match mode {
        // The last one is what git wrote long ago, and reads as the first.
        "100644" | "100664" => Kind::File { executable: false },
        "100755" => Kind::File { executable: true },
        "120000" => Kind::Link,
        "160000" => Kind::Module,
        other => return Err(refused(format!("its mode {} is not known", other.escape_debug()))),
    };
    let size = if kind == Kind::Module { Some(0) } else { size.parse().ok() };
    let size = size.ok_or(FilesError::Damaged("a file has no size, so it is missing"))?;
    Ok(Entry { path: text.parse()?, kind, object: object.to_owned(), size })
}

/// Reads what git says of each object, in the order in which they were asked for.
fn contents(written: &mut dyn Read, objects: &str, sizes: &[u64], spool: &mut Spool) -> Result<Vec<Span>, FilesError> {
    let mut reader = BufReader::with_capacity(64 << 10, written);
    let mut found = Vec::with_capacity(sizes.len());
    for (object, size) in objects.lines().zip(sizes) {
        let mut head = Vec::new();
        (&mut reader).take(256).read_until(b'\n', &mut head).map_err(GitError::Read)?;
        if head != format!("{object} blob {size}\n").as_bytes() {
            return Err(FilesError::Damaged("a file is missing, or another one than its folder says"));
        }
        let span = spool.keep(&mut reader, *size).map_err(|error| match error {
            SpoolError::Short => FilesError::Damaged("a file ends before its end"),
            SpoolError::Read(source) => GitError::Read(source).into(),
            SpoolError::Write(source) => FilesError::Keep(source),
        })?;
        let mut end = [0];
        reader.read_exact(&mut end).map_err(GitError::Read)?;
        if end != *b"\n" {
            return Err(FilesError::Damaged("a file goes on behind its end"));
        }
        found.push(span);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn listed(lines: &[&[u8]], limits: Limits) -> String {
        let text: Vec<u8> = lines.iter().flat_map(|line| [line, &b"\0"[..]].concat()).collect();
        match entries(&mut &text[..], &mut Budget::new(limits)) {
            Ok(entries) => format!("{entries:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_and_modes_that_no_tree_holds_are_refused() {
        let line = |mode: &str, size: &str, path: &[u8]| {
            [format!("{mode} blob {OBJECT} {size:>7}\t").as_bytes(), path].concat()
        };
        let one = |mode: &str, size: &str, path: &[u8]| listed(&[&line(mode, size, path)], Limits::default());
        let small = Limits { entries: 2, total_bytes: 10, entry_bytes: 8, ratio: 200 };
        let file = line("100644", "6", b"a");
        insta::assert_snapshot!([
            one("100644", "3", b"../x"),
            one("100644", "3", b"a\\b"),
            one("100644", "3", b"caf\xe9"),
            one("100644", "3", b"/etc/passwd"),
            one("040000", "-", b"folder"),
            one("100644", "-", b"missing"),
            one("100644", "99999999999", b"huge"),
            listed(&[&file, &file], small),
            listed(&[&line("160000", "-", b"a"), &line("160000", "-", b"b"), &line("160000", "-", b"c")], small),
            listed(&[b"nonsense"], small),
            entries(&mut &file[..], &mut Budget::new(small)).unwrap_err().to_string(),
        ].join("\n"), @r"
        path `../x` is refused: it holds `.` or `..`
        path `a\\b` is refused: it holds a backslash or a NUL
        `caf�` is refused: its name is not UTF-8
        path `/etc/passwd` is refused: it is absolute
        `folder` is refused: its mode 040000 is not known
        the repository is damaged: a file has no size, so it is missing
        `huge` is refused: it holds 99999999999 bytes, more than the limit of 4294967296
        its files hold more than 10 bytes
        it holds more than 2 files
        the repository is damaged: a file has no path
        the repository is damaged: its list of files ends within a line
        ");
    }

    #[test]
    fn contents_are_those_that_were_asked_for() {
        let mut spool = Spool::new_in(&std::env::temp_dir()).unwrap();
        let mut read = |text: &str| {
            let found = contents(&mut text.as_bytes(), &format!("{OBJECT}\n"), &[3], &mut spool);
            found.map_or_else(|error| error.to_string(), |spans| String::from_utf8(spans[0].bytes(9).unwrap()).unwrap())
        };
        assert_eq!(read(&format!("{OBJECT} blob 3\nabc\n")), "abc");
        insta::assert_snapshot!([
            read(&format!("{OBJECT} missing\n")),
            read(&format!("{OBJECT} tree 3\nabc\n")),
            read(&format!("{OBJECT} blob 4\nabcd\n")),
            read(&format!("{OBJECT} blob 3\nab")),
            read(&format!("{OBJECT} blob 3\nabcd\n")),
        ].join("\n"), @r"
        the repository is damaged: a file is missing, or another one than its folder says
        the repository is damaged: a file is missing, or another one than its folder says
        the repository is damaged: a file is missing, or another one than its folder says
        the repository is damaged: a file ends before its end
        the repository is damaged: a file goes on behind its end
        ");
    }
}
