//! `META-INF/MANIFEST.MF`: the main section of a jar's manifest (JAR File Specification, "JAR Manifest").
//!
//! A header is `Name: value`; a line that begins with one space continues the line before it, possibly in the middle of a
//! character, so values are put together as bytes. The main section ends at the first empty line; what follows, mostly
//! digests of signed files, is not looked at.

use std::collections::BTreeMap;

/// Where a jar keeps it, and an exploded jar too.
pub(crate) const PATH: &str = "META-INF/MANIFEST.MF";
/// The largest one that is read, in bytes: signed jars list each of their files.
pub(crate) const MAX_SIZE: u32 = 8 * 1024 * 1024;
/// The most headers that the main section may have.
const MAX_HEADERS: usize = 2000;
/// The longest name of a class, in bytes; Java's own limit is 65,535.
const MAX_CLASS_NAME: usize = 1000;

/// The main section. Names are kept in lower case, since case does not count in them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Manifest {
    headers: BTreeMap<String, String>,
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The line, counted from 1.
    pub(crate) line: u32,
    /// The rule that it breaks.
    pub(crate) rule: &'static str,
}

/// Reads the main section.
pub(crate) fn parse(bytes: &[u8]) -> Result<Manifest, Malformed> {
    let mut raw: Vec<(u32, Vec<u8>)> = Vec::new();
    for (number, line) in (1..).zip(lines(bytes)) {
        let wrong = |rule| Err(Malformed { line: number, rule });
        let full = raw.len() == MAX_HEADERS;
        match (line, raw.last_mut()) {
            ([], _) => break,
            ([b' ', rest @ ..], Some((_, value))) => value.extend_from_slice(rest),
            ([b' ', ..], None) => return wrong("it continues a line that is not there"),
            _ if full => return wrong("there are more than 2000 headers"),
            _ => raw.push((number, line.to_vec())),
        }
    }
    let mut headers = BTreeMap::new();
    for (line, bytes) in raw {
        let wrong = |rule| Malformed { line, rule };
        let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
        let (name, value) = text.split_once(": ").or(text.split_once(':')).ok_or(wrong("it has no colon"))?;
        let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.is_empty() || name.len() > 70 || !name.bytes().all(valid) {
            return Err(wrong("what stands before the colon is not a header's name"));
        }
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    Ok(Manifest { headers })
}

/// Lines without their ends, which are CR LF, LF or CR.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        rest = match tail {
            [b'\r', b'\n', tail @ ..] | [_, tail @ ..] => tail,
            [] => tail,
        };
        Some(line)
    })
}

impl Manifest {
    /// The value of a header without space around it; none if there is none, or if it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.get(&name.to_ascii_lowercase()).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The class that is started; an error holds what stands there instead of a class's name.
    pub(crate) fn main_class(&self) -> Result<Option<&str>, &str> {
        let Some(name) = self.get("Main-Class") else { return Ok(None) };
        // It becomes an argument of `java`, where `-` begins an option and `@` a file of arguments.
        let character = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '$' | '-' | '/');
        let begins_well = name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '$'));
        let whole = name.len() <= MAX_CLASS_NAME && begins_well && name.chars().all(character);
        if whole { Ok(Some(name)) } else { Err(name) }
    }

    /// The Spring Boot version, where the jar is packed as Spring Boot packs programs: classes and libraries apart.
    pub(crate) fn spring_boot(&self) -> Option<&str> {
        self.get("Spring-Boot-Lib").and(self.get("Spring-Boot-Version"))
    }

    /// `Class-Path`: relative paths of more jars and folders, and how many entries were left out because they lead elsewhere.
    pub(crate) fn class_path(&self) -> (Vec<&str>, usize) {
        let entries = self.get("Class-Path").unwrap_or_default().split_ascii_whitespace();
        // `.` is the app's folder, which is there anyway.
        let entries =
            entries.map(|entry| entry.strip_prefix("./").unwrap_or(entry)).filter(|e| !matches!(*e, "." | ""));
        let (kept, left_out): (Vec<&str>, Vec<&str>) = entries.partition(|entry| is_inside(entry));
        (kept, left_out.len())
    }
}

/// Whether a path is relative and stays where it begins, and holds nothing with a meaning of its own in a class path.
pub(crate) fn is_inside(path: &str) -> bool {
    let plain = |c: char| !c.is_control() && !matches!(c, ':' | '\\');
    !path.is_empty()
        && !path.starts_with('/')
        && path.chars().all(plain)
        && path.trim_end_matches('/').split('/').all(|name| !matches!(name, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn reads_headers_with_each_kind_of_line_end() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["Manifest-Version: 1.0", "Main-Class: a.B", "", "Name: x", "Main-Class: c.D", ""].join(end);
            let read = manifest(&text);
            assert_eq!(read.get("main-CLASS"), Some("a.B"), "{end:?}");
            assert_eq!(read.get("Name"), None, "{end:?}");
        }
    }

    #[test]
    fn puts_continued_lines_together_even_within_a_character() {
        let mut bytes = b"Implementation-Title: K\xc3\n \xbcfer".to_vec();
        bytes.extend_from_slice(b"\r\n ei\r\n");
        assert_eq!(parse(&bytes).unwrap().get("Implementation-Title"), Some("Küferei"));
    }

    #[test]
    fn says_which_line_is_wrong() {
        let many = "A: 1\n".repeat(MAX_HEADERS + 1);
        let cases: [(&[u8], u32, &str); 6] = [
            (b" x\n", 1, "it continues a line that is not there"),
            (b"A: 1\nrubbish\n", 2, "it has no colon"),
            (b"A: 1\n: x\n", 2, "what stands before the colon is not a header's name"),
            (b"A B: 1\n", 1, "what stands before the colon is not a header's name"),
            (b"A: 1\n  \nB: \xff\n", 3, "it is not UTF-8"),
            (many.as_bytes(), 2001, "there are more than 2000 headers"),
        ];
        for (bytes, line, rule) in cases {
            assert_eq!(parse(bytes), Err(Malformed { line, rule }));
        }
    }

    #[test]
    fn an_empty_manifest_has_nothing() {
        for text in ["", "\n", "\nMain-Class: a.B\n", "Main-Class:\n", "Main-Class:  \n"] {
            assert_eq!(manifest(text).main_class(), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn a_main_class_is_the_name_of_a_class() {
        for name in ["Main", "a.b.C", "a.Outer$Inner", "_x.Y", "é.Ä", "a/b/C"] {
            assert_eq!(manifest(&format!("Main-Class: {name}\n")).main_class(), Ok(Some(name)));
        }
        let long = "a".repeat(MAX_CLASS_NAME + 1);
        for name in ["-version", "@file", "a b", "a;b", "a\u{1b}[m", "1x", long.as_str()] {
            assert_eq!(manifest(&format!("Main-Class: {name}\n")).main_class(), Err(name));
        }
    }

    #[test]
    fn a_class_path_stays_within_the_app() {
        let read = manifest("Class-Path: . lib/a.jar ../b.jar /c.jar file:/d.jar lib/ lib//e.jar ./f.jar\n");
        assert_eq!(read.class_path(), (vec!["lib/a.jar", "lib/", "f.jar"], 4));
        assert_eq!(Manifest::default().class_path(), (vec![], 0));
    }

    #[test]
    fn spring_boot_is_known_by_its_layout() {
        let packed = "Spring-Boot-Version: 3.5.16\nSpring-Boot-Lib: BOOT-INF/lib/\n";
        assert_eq!(manifest(packed).spring_boot(), Some("3.5.16"));
        assert_eq!(manifest("Spring-Boot-Version: 3.5.16\n").spring_boot(), None, "as `tools extract` leaves it");
    }
}
