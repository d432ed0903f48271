//! What a repository's list of references says of a revision: a branch, a tag, a commit, or nothing.
//!
//! The rules are kpack's: a revision that is the short name of a branch or a tag is that, and anything that looks like a whole
//! commit is one, which is never looked for again. Unlike there, what is neither is an error at once, and not when somebody builds it.

/// What a revision is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// A reference of another kind, by its full name.
    Reference,
    /// A commit, which is what it is for ever.
    Commit,
}

/// How many names that look alike are told.
const MOST_ALIKE: usize = 3;
/// Names longer than this look like nothing.
const LONGEST_NAME: usize = 100;

/// One line of the list.
#[derive(Debug)]
struct Line<'a> {
    object: &'a str,
    name: &'a str,
}

/// A repository's references.
#[derive(Debug)]
pub(crate) struct Refs<'a>(Vec<Line<'a>>);

impl<'a> Refs<'a> {
    /// Reads what `git ls-remote` prints. Lines that are none are passed over: a name that is not UTF-8 is nobody's wish.
    pub(crate) fn parse(text: &'a [u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n').filter_map(|line| {
            let (object, name) = str::from_utf8(line).ok()?.split_once('\t')?;
            is_object(object).then_some(Line { object, name })
        });
        Self(lines.collect())
    }

    fn object(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|line| line.name == name).map(|line| line.object)
    }

    /// The commit that a revision is at, and what kind of name it is. Where a branch and a tag have one name it is the branch.
    pub(crate) fn find(&self, revision: &str) -> Option<(Kind, String)> {
        let full = |prefix: &str| format!("{prefix}{revision}");
        for (name, kind) in
            [(full(""), kind_of(revision)), (full("refs/heads/"), Kind::Branch), (full("refs/tags/"), Kind::Tag)]
        {
            if let Some(object) = self.object(&name) {
                // Only a tag that is an object of its own has such a line: the commit that it is about.
                let peeled = self.object(&format!("{name}^{{}}"));
                return Some((kind, peeled.unwrap_or(object).to_owned()));
            }
        }
        is_object(revision).then(|| (Kind::Commit, revision.to_ascii_lowercase()))
    }

    /// Branches and tags that somebody could have meant, the likeliest first.
    pub(crate) fn alike(&self, revision: &str) -> Vec<&'a str> {
        let short = |name: &'a str| name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
        let names = self.0.iter().filter_map(|line| short(line.name)).filter(|name| !name.ends_with("^{}"));
        let mut near: Vec<(usize, &str)> = names
            .filter(|name| name.len() <= LONGEST_NAME)
            .filter_map(|name| Some((distance(revision, name)?, name)))
            .collect();
        near.sort_unstable();
        near.dedup();
        near.into_iter().take(MOST_ALIKE).map(|(_, name)| name).collect()
    }

    /// Whether there is none at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn kind_of(full_name: &str) -> Kind {
    match full_name {
        name if name.starts_with("refs/heads/") => Kind::Branch,
        name if name.starts_with("refs/tags/") => Kind::Tag,
        _ => Kind::Reference,
    }
}

/// Whether a text is all digits of an object's hash, of either kind that git has.
pub(crate) fn is_object(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// How far a name is from what was asked for: none if nobody would take one for the other.
fn distance(asked: &str, name: &str) -> Option<usize> {
    let (asked, lower) = (asked.to_lowercase(), name.to_lowercase());
    if asked.len() > LONGEST_NAME || asked.is_empty() {
        return None;
    }
    if asked == lower || matches!((&*asked, &*lower), ("main" | "trunk" | "master", "main" | "trunk" | "master")) {
        return Some(0);
    }
    if asked.len() > 2 && (lower.ends_with(&format!("/{asked}")) || asked.ends_with(&format!("/{lower}"))) {
        return Some(1);
    }
    let letters = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.sort_unstable();
        bytes
    };
    if asked.len() > 2 && letters(&asked) == letters(&lower) {
        return Some(1);
    }
    let edits = edits(asked.as_bytes(), lower.as_bytes());
    let most = (asked.len().max(lower.len()) / 3).min(3);
    (edits <= most).then_some(edits + 1)
}

/// How many bytes must be put in, left out, or changed to make one of the other.
fn edits(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, byte) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn list(lines: &[(&str, &str)]) -> Vec<u8> {
        lines.iter().flat_map(|(object, name)| format!("{object}\t{name}\n").into_bytes()).collect()
    }

    #[test]
    fn a_revision_is_found_as_kpack_finds_it() {
        let text = list(&[
            (A, "HEAD"),
            (A, "refs/heads/main"),
            (B, "refs/heads/feature/main"),
            (B, "refs/heads/both"),
            (B, "refs/pull/7/head"),
            (A, "refs/tags/both"),
            (B, "refs/tags/light"),
            (B, "refs/tags/v1"),
            (A, "refs/tags/v1^{}"),
        ]);
        let refs = Refs::parse(&text);
        let find = |revision: &str| refs.find(revision);
        let found = |kind, object: &str| Some((kind, object.to_owned()));
        assert_eq!(find("main"), found(Kind::Branch, A));
        assert_eq!(find("feature/main"), found(Kind::Branch, B));
        assert_eq!(find("both"), found(Kind::Branch, B));
        assert_eq!(find("refs/tags/both"), found(Kind::Tag, A));
        assert_eq!(find("light"), found(Kind::Tag, B));
        assert_eq!(find("v1"), found(Kind::Tag, A), "the commit, not the tag");
        assert_eq!(find("refs/heads/main"), found(Kind::Branch, A));
        assert_eq!(find("refs/pull/7/head"), found(Kind::Reference, B));
        assert_eq!(find("HEAD"), found(Kind::Reference, A));
        assert_eq!(find(&"C".repeat(40)), found(Kind::Commit, &"c".repeat(40)));
        for none in ["mai", "heads/main", "7", "aaaaaaa", "v1^{}x", ""] {
            assert_eq!(find(none), None, "{none}");
        }
    }

    #[test]
    fn who_mistyped_is_told_what_there_is() {
        let names =
            ["refs/heads/main", "refs/heads/feature/login", "refs/heads/v1.0", "refs/tags/v1.1", "refs/tags/V2"];
        let text = list(&names.map(|name| (A, name)));
        let refs = Refs::parse(&text);
        assert_eq!(refs.alike("mian"), ["main"]);
        assert_eq!(refs.alike("master"), ["main"]);
        assert_eq!(refs.alike("login"), ["feature/login"]);
        assert_eq!(refs.alike("origin/main"), ["main"]);
        assert_eq!(refs.alike("v2"), ["V2"]);
        assert_eq!(refs.alike("v1.2"), ["v1.0", "v1.1"]);
        assert_eq!(refs.alike("release"), [""; 0]);
    }

    #[test]
    fn lines_that_are_none_are_passed_over() {
        let text = [&b"warning: x\n\xff\trefs/heads/x\nabc\trefs/heads/short\n"[..], &list(&[(A, "refs/heads/main")])]
            .concat();
        assert_eq!(Refs::parse(&text).0.len(), 1);
        assert!(Refs::parse(b"").is_empty());
    }
}
