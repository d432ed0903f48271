//! Lists of patterns that say which files of a folder are meant: gitignore's, with exactly git's meaning, and docker's.
//!
//! Written here and not taken from a crate of globs: those choose with `{a,b}`, which gitignore does not, and walk folders
//! themselves, while these lists are held against trees that may never have been folders. A match takes time in the
//! product of the lengths of pattern and path, whatever the pattern is.

use crate::tree::TreePath;

/// The largest list that is read, in bytes.
pub const MAX_LIST: usize = 1 << 20;
/// The most patterns of a list.
pub const MAX_PATTERNS: usize = 10_000;
/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 4096;

/// How a list is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// As git reads `.gitignore` (gitignore(5)): a pattern without a slash matches at any depth, and nothing below a folder
    /// that is matched can be taken back.
    Git,
    /// As docker reads `.dockerignore`: every pattern begins at the root, and the last one that matches a path or a folder
    /// above it decides.
    Docker,
}

/// A list that is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Too long.
    #[error("it has {0} bytes, more than the limit of {MAX_LIST}")]
    TooLarge(usize),
    /// Too many patterns.
    #[error("it has more than {MAX_PATTERNS} patterns")]
    TooMany,
    /// One pattern is too long.
    #[error("its line {0} is longer than {MAX_PATTERN} bytes")]
    LongLine(usize),
}

/// A list of patterns, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    meaning: Meaning,
    patterns: Vec<Pattern>,
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Its line, from 1.
    pub line: usize,
    /// The line as it was written.
    pub text: String,
    takes_back: bool,
    folders_only: bool,
    meaning: Meaning,
    names: Vec<Name>,
}

/// What one name of a path has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// `**`: any number of names.
    Any,
    /// `**` at the end: one name or more.
    AnyBelow,
    /// A name that fits.
    Fits(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// `*`
    Many,
    /// `?`
    One,
    /// This character.
    Is(char),
    /// `[…]`
    Of(Set),
    /// Something that never matches, such as a bracket without its end.
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    others: bool,
    ranges: Vec<(char, char)>,
    classes: Vec<Class>,
}

type Class = fn(&char) -> bool;

impl List {
    /// Reads a list, one pattern a line.
    pub fn parse(text: &str, meaning: Meaning) -> Result<Self, ListError> {
        if text.len() > MAX_LIST {
            return Err(ListError::TooLarge(text.len()));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (index, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.len() > MAX_PATTERN {
                return Err(ListError::LongLine(index + 1));
            }
            let pattern = match meaning {
                Meaning::Git => git_pattern(line, index + 1),
                Meaning::Docker => docker_pattern(line, index + 1),
            };
            patterns.extend(pattern);
            if patterns.len() > MAX_PATTERNS {
                return Err(ListError::TooMany);
            }
        }
        Ok(Self { meaning, patterns })
    }

    /// Whether no pattern takes back what another one matched: then what is below a matched folder is matched too.
    pub fn is_final(&self) -> bool {
        self.meaning == Meaning::Git || !self.patterns.iter().any(|pattern| pattern.takes_back)
    }

    /// The pattern because of which `path` is in what the list names, if it is.
    pub fn names(&self, path: &TreePath, is_folder: bool) -> Option<&Pattern> {
        match self.meaning {
            Meaning::Git => git_names(&[(TreePath::root(), self)], path, is_folder).map(|(_, pattern)| pattern),
            Meaning::Docker => {
                let all: Vec<&str> = path.as_str().split('/').collect();
                let matches = |pattern: &&Pattern| {
                    (1..=all.len()).any(|n| pattern.matches(&all[..n], n < all.len() || is_folder))
                };
                self.patterns.iter().rev().find(matches).filter(|pattern| !pattern.takes_back)
            }
        }
    }
}

/// The pattern because of which git would ignore `path`, with the folder whose list it is in. `lists` are git's, each with the
/// folder that it stands in; those of deeper folders go before those above them.
pub fn git_names<'a>(
    lists: &[(TreePath, &'a List)],
    path: &TreePath,
    is_folder: bool,
) -> Option<(TreePath, &'a Pattern)> {
    let depth = path.as_str().split('/').count();
    let all: Vec<&str> = path.as_str().split('/').collect();
    for n in 1..=depth {
        // A folder that is ignored is never looked into, so nothing below it can be taken back.
        let is_folder = n < depth || is_folder;
        let within = |(folder, _): &&(TreePath, &List)| path.is_within(folder) && names_of(folder) < n;
        let mut above: Vec<&(TreePath, &List)> = lists.iter().filter(within).collect();
        above.sort_by_key(|(folder, _)| std::cmp::Reverse(names_of(folder)));
        let found = above.into_iter().find_map(|(folder, list)| {
            let below = &all[names_of(folder)..n];
            let pattern = list.patterns.iter().rev().find(|pattern| pattern.matches(below, is_folder))?;
            Some((folder.clone(), pattern))
        });
        if let Some((folder, pattern)) = found
            && !pattern.takes_back
        {
            return Some((folder, pattern));
        }
    }
    None
}

/// How many names a path has.
fn names_of(path: &TreePath) -> usize {
    if path.as_str().is_empty() { 0 } else { path.as_str().split('/').count() }
}

impl Pattern {
    fn matches(&self, path: &[&str], is_folder: bool) -> bool {
        (!self.folders_only || is_folder) && fits(self.meaning, &self.names, path)
    }
}

/// A line of a gitignore (gitignore(5), "Pattern format").
fn git_pattern(line: &str, number: usize) -> Option<Pattern> {
    let written = line;
    if line.starts_with('#') {
        return None;
    }
    let (takes_back, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
    let line = without_trailing_space(line);
    let (folders_only, line) = line.strip_suffix('/').map_or((false, line), |rest| (true, rest));
    let anchored = line.contains('/');
    let line = line.strip_prefix('/').unwrap_or(line);
    if line.is_empty() {
        return None;
    }
    let mut names = names_in(Meaning::Git, line);
    if !anchored && names != [Name::Any] {
        names.insert(0, Name::Any);
    }
    Some(Pattern { line: number, text: written.to_owned(), takes_back, folders_only, meaning: Meaning::Git, names })
}

/// A line of a dockerignore: cleaned like a path, held against the whole path.
fn docker_pattern(line: &str, number: usize) -> Option<Pattern> {
    if line.starts_with('#') {
        return None;
    }
    let written = line.trim();
    let (takes_back, line) = written.strip_prefix('!').map_or((false, written), |rest| (true, rest.trim()));
    let mut cleaned: Vec<&str> = Vec::new();
    for name in line.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(cleaned.pop()),
            name => cleaned.push(name),
        }
    }
    // `.` alone would leave nothing: docker passes over it too.
    if cleaned.is_empty() {
        return None;
    }
    let meaning = Meaning::Docker;
    let names = names_in(meaning, &cleaned.join("/"));
    Some(Pattern { line: number, text: written.to_owned(), takes_back, folders_only: false, meaning, names })
}

/// Spaces at the end do not count, unless a backslash is before them.
fn without_trailing_space(line: &str) -> &str {
    let mut end = line.len();
    while line[..end].ends_with(' ') {
        let before = line[..end - 1].bytes().rev().take_while(|byte| *byte == b'\\').count();
        if before % 2 == 1 {
            break;
        }
        end -= 1;
    }
    &line[..end]
}

fn names_in(meaning: Meaning, pattern: &str) -> Vec<Name> {
    // A slash in brackets cuts too, and leaves both sides without a bracket's other half.
    let texts: Vec<&str> = pattern.split('/').collect();
    let last = texts.len() - 1;
    let mut names = Vec::new();
    for (index, text) in texts.into_iter().enumerate() {
        match text {
            "**" if index == last && index > 0 => names.push(Name::AnyBelow),
            // Two beside each other mean no more than one.
            "**" if names.last() == Some(&Name::Any) => {}
            "**" => names.push(Name::Any),
            text => names.push(Name::Fits(pieces(&units(meaning, text)))),
        }
    }
    names
}

/// What `?` stands for: git counts bytes, docker characters.
fn units(meaning: Meaning, text: &str) -> String {
    match meaning {
        Meaning::Git => text.bytes().map(char::from).collect(),
        Meaning::Docker => text.to_owned(),
    }
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        pieces.push(match c {
            '*' if pieces.last() == Some(&Piece::Many) => continue,
            '*' => Piece::Many,
            '?' => Piece::One,
            '\\' => rest.next().map_or(Piece::Never, Piece::Is),
            '[' => match set(rest.as_str()) {
                Some((set, after)) => {
                    rest = after.chars();
                    Piece::Of(set)
                }
                None => return vec![Piece::Never],
            },
            c => Piece::Is(c),
        });
    }
    pieces
}

/// What stands in brackets, and what comes after them.
fn set(text: &str) -> Option<(Set, &str)> {
    let (others, text) = text.strip_prefix(['!', '^']).map_or((false, text), |rest| (true, rest));
    let mut set = Set { others, ranges: Vec::new(), classes: Vec::new() };
    let mut rest = text.chars();
    let mut is_first = true;
    loop {
        let c = rest.next()?;
        if c == ']' && !is_first {
            return Some((set, rest.as_str()));
        }
        is_first = false;
        if c == '[' && rest.as_str().starts_with(':') {
            let (name, after) = rest.as_str()[1..].split_once(":]")?;
            set.classes.push(class(name)?);
            rest = after.chars();
            continue;
        }
        let from = if c == '\\' { rest.next()? } else { c };
        let mut ahead = rest.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) if to != ']' => {
                rest = ahead;
                if to == '\\' { rest.next()? } else { to }
            }
            _ => from,
        };
        set.ranges.push((from, to));
    }
}

fn class(name: &str) -> Option<Class> {
    Some(match name {
        "alnum" => char::is_ascii_alphanumeric,
        "alpha" => char::is_ascii_alphabetic,
        "blank" => |c| matches!(c, ' ' | '\t'),
        "cntrl" => char::is_ascii_control,
        "digit" => char::is_ascii_digit,
        "graph" => char::is_ascii_graphic,
        "lower" => char::is_ascii_lowercase,
        "print" => |c| matches!(c, ' '..='~'),
        "punct" => char::is_ascii_punctuation,
        "space" => char::is_ascii_whitespace,
        "upper" => char::is_ascii_uppercase,
        "xdigit" => char::is_ascii_hexdigit,
        _ => return None,
    })
}

impl Set {
    fn holds(&self, c: char) -> bool {
        let is_in =
            self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) || self.classes.iter().any(|is| is(&c));
        is_in != self.others
    }
}

/// Whether the names of a path fit. Only the last `**` is ever tried again: whatever an earlier one could take, it can too.
fn fits(meaning: Meaning, names: &[Name], path: &[&str]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    loop {
        let step = match names.get(at) {
            Some(Name::AnyBelow) => return here < path.len(),
            Some(Name::Any) => {
                again = Some((at, here));
                at += 1;
                continue;
            }
            Some(Name::Fits(pieces)) => path.get(here).is_some_and(|name| name_fits(pieces, &units(meaning, name))),
            None if here == path.len() => return true,
            None => false,
        };
        if step {
            (at, here) = (at + 1, here + 1);
            continue;
        }
        let Some((any, from)) = again.filter(|(_, from)| *from < path.len()) else { return false };
        again = Some((any, from + 1));
        (at, here) = (any + 1, from + 1);
    }
}

/// Whether one name fits. Only the last `*` is ever tried again.
fn name_fits(pieces: &[Piece], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut here) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    loop {
        let step = match (pieces.get(at), name.get(here)) {
            (Some(Piece::Many), _) => {
                again = Some((at, here));
                at += 1;
                continue;
            }
            (None, None) => return true,
            (Some(Piece::One), Some(_)) => true,
            (Some(Piece::Is(c)), Some(is)) => c == is,
            (Some(Piece::Of(set)), Some(is)) => set.holds(*is),
            _ => false,
        };
        if step {
            (at, here) = (at + 1, here + 1);
            continue;
        }
        let Some((many, from)) = again.filter(|(_, from)| *from < name.len()) else { return false };
        again = Some((many, from + 1));
        (at, here) = (many + 1, from + 1);
    }
}

#[cfg(test)]
mod tests;
