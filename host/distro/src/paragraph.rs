//! Paragraphs of `Field: value` lines, the one text format of Debian's world (`deb-control(5)`, `deb822(5)`).
//!
//! Apt sources, Release files, package indexes and a package's control file are all written in it. The reader is
//! streaming and tolerant of fields that it does not know, but not of a field that stands twice: two readers could
//! then see two different files.

use std::{
    fmt,
    io::{self, BufRead, Read},
    ops::Range,
};

/// The longest line that is accepted, in bytes. The longest in practice (a `Provides`) is about 60 KB.
const MAX_LINE: u64 = 1 << 20;
/// The longest paragraph that is accepted, in bytes. A Release file is one paragraph of about 250 KB.
const MAX_PARAGRAPH: usize = 8 << 20;
/// The most fields in one paragraph.
const MAX_FIELDS: usize = 256;

/// A text that is not made of paragraphs, or that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ParagraphError {
    /// The bytes could not be read.
    #[error("could not read line {line}")]
    Read {
        /// Which line, from 1.
        line: usize,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// A line is neither a field, nor the continuation of one, nor a comment.
    #[error("line {line} is refused: {rule}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// Which rule it breaks.
        rule: &'static str,
    },
}

/// Some fields and their values, in order.
#[derive(Clone, Default)]
pub struct Paragraph {
    text: String,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Paragraph {
    /// The value of a field without the space around it; names are compared without case. The lines of a value that
    /// goes over several are separated by `\n` and still begin with their space.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| self.text[field.clone()].eq_ignore_ascii_case(name));
        found.map(|(_, value)| self.text[value.clone()].trim())
    }

    /// The words of a field, split at white space; none if it is not there.
    pub fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        self.get(name).unwrap_or_default().split_whitespace()
    }

    /// The paragraph as it was written, each line ended by `\n`, without comments.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn take_line(&mut self, line: &str) -> Result<(), &'static str> {
        let start = self.text.len();
        if start + line.len() > MAX_PARAGRAPH {
            return Err("the paragraph is longer than 8 MiB");
        }
        if line.starts_with([' ', '\t']) {
            let (_, value) = self.fields.last_mut().ok_or("it continues a field, but there is none above it")?;
            value.end = start + line.len();
        } else {
            let (name, _) = line.split_once(':').ok_or("it has no colon")?;
            if name.is_empty() || name.bytes().any(|b| !b.is_ascii_graphic()) {
                return Err("its field has no proper name");
            }
            if self.get(name).is_some() {
                return Err("its field stands twice in one paragraph");
            }
            if self.fields.len() == MAX_FIELDS {
                return Err("there are more than 256 fields in one paragraph");
            }
            let colon = start + name.len();
            self.fields.push((start..colon, colon + 1..start + line.len()));
        }
        self.text.push_str(line);
        self.text.push('\n');
        Ok(())
    }
}

impl fmt::Debug for Paragraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.fields.iter().map(|(n, v)| (&self.text[n.clone()], &self.text[v.clone()]))).finish()
    }
}

/// Reads paragraphs one after the other, holding one at a time.
#[derive(Debug)]
pub struct Paragraphs<R> {
    reader: R,
    line: usize,
    ended: bool,
}

impl<R: BufRead> Paragraphs<R> {
    /// Reads from `reader` until its end.
    pub fn new(reader: R) -> Self {
        Self { reader, line: 0, ended: false }
    }

    /// The next line without its end, or none at the end of the text.
    fn read_line(&mut self, buffer: &mut Vec<u8>) -> Result<bool, ParagraphError> {
        buffer.clear();
        self.line += 1;
        let read = self.reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', buffer);
        read.map_err(|source| ParagraphError::Read { line: self.line, source })?;
        if buffer.len() as u64 > MAX_LINE {
            return Err(ParagraphError::Line { line: self.line, rule: "it is longer than 1 MiB" });
        }
        let whole = buffer.last().is_some();
        while buffer.last().is_some_and(|b| b"\r\n".contains(b)) {
            buffer.pop();
        }
        Ok(whole)
    }

    fn read_paragraph(&mut self) -> Result<Option<Paragraph>, ParagraphError> {
        let mut paragraph = Paragraph::default();
        let mut buffer = Vec::new();
        while self.read_line(&mut buffer)? {
            let line = String::from_utf8_lossy(&buffer);
            if line.starts_with('#') {
                continue;
            }
            if line.trim().is_empty() {
                if paragraph.fields.is_empty() {
                    continue;
                }
                return Ok(Some(paragraph));
            }
            paragraph.take_line(&line).map_err(|rule| ParagraphError::Line { line: self.line, rule })?;
        }
        self.ended = true;
        Ok((!paragraph.fields.is_empty()).then_some(paragraph))
    }
}

impl<R: BufRead> Iterator for Paragraphs<R> {
    type Item = Result<Paragraph, ParagraphError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read_paragraph();
        self.ended |= item.is_err();
        item.transpose()
    }
}

/// The only paragraph of a text.
pub fn single(text: &str) -> Result<Paragraph, ParagraphError> {
    let mut paragraphs = Paragraphs::new(text.as_bytes());
    let first = paragraphs.next().transpose()?;
    let rule = match (&first, paragraphs.next().transpose()?) {
        (None, _) => "there is no field",
        (_, Some(_)) => "a second paragraph ends above it",
        (Some(_), None) => return Ok(first.unwrap_or_default()),
    };
    Err(ParagraphError::Line { line: paragraphs.line, rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Paragraph>, String> {
        Paragraphs::new(text.as_bytes()).collect::<Result<_, _>>().map_err(|e: ParagraphError| e.to_string())
    }

    #[test]
    fn fields_go_over_lines_and_comments_do_not_count() {
        let text = "\n# top\nPackage: a\nDepends: b,\n# between\n c\nX-New:\n\n\n\npackage:  z  \r\n";
        let paragraphs = read(text).unwrap();
        assert_eq!(paragraphs.len(), 2);
        assert_eq!(paragraphs[0].get("package"), Some("a"));
        assert_eq!(paragraphs[0].get("Depends"), Some("b,\n c"));
        assert_eq!(paragraphs[0].get("X-New"), Some(""));
        assert_eq!(paragraphs[0].get("Absent"), None);
        assert_eq!(paragraphs[0].as_str(), "Package: a\nDepends: b,\n c\nX-New:\n");
        assert_eq!(paragraphs[1].get("Package"), Some("z"));
        assert_eq!(paragraphs[0].words("Depends").collect::<Vec<_>>(), ["b,", "c"]);
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let long = format!("A: {}", "x".repeat(1 << 20));
        let many: String = (0..257).map(|n| format!("F{n}: x\n")).collect::<Vec<_>>().concat();
        let cases = [
            ("A: 1\na: 2\n", "line 2 is refused: its field stands twice in one paragraph"),
            (" a\n", "line 1 is refused: it continues a field, but there is none above it"),
            ("A: 1\nb\n", "line 2 is refused: it has no colon"),
            ("A b: 1\n", "line 1 is refused: its field has no proper name"),
            (&long, "line 1 is refused: it is longer than 1 MiB"),
            (&many, "line 257 is refused: there are more than 256 fields in one paragraph"),
        ];
        for (text, message) in cases {
            assert_eq!(read(text).unwrap_err(), message);
        }
    }

    #[test]
    fn a_single_paragraph_is_exactly_one() {
        assert_eq!(single("A: 1\n\n").unwrap().get("A"), Some("1"));
        assert_eq!(single("\n").unwrap_err().to_string(), "line 2 is refused: there is no field");
        assert_eq!(
            single("A: 1\n\nB: 2\n").unwrap_err().to_string(),
            "line 4 is refused: a second paragraph ends above it"
        );
    }

    #[test]
    fn nothing_follows_an_error() {
        let mut paragraphs = Paragraphs::new(&b"bad\nA: 1\n"[..]);
        assert!(paragraphs.next().unwrap().is_err());
        assert!(paragraphs.next().is_none());
    }
}
