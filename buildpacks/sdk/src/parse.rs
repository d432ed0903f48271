//! Files of the app in the formats that apps are described in. A text that cannot be understood is the app's failure, with file
//! and line.

use std::{collections::BTreeMap, fmt::Display};

use crate::Failure;

/// The failure of a text that is not what it should be.
pub(crate) fn misunderstood(path: &str, why: impl Display, line: Option<usize>) -> Failure {
    let failure = Failure::app(format!("could not understand {path}: {why}")).file(path);
    match line.and_then(|line| u32::try_from(line).ok()) {
        Some(line) => failure.line(line),
        None => failure,
    }
}

#[cfg(feature = "json")]
pub(crate) fn json<T: serde::de::DeserializeOwned>(path: &str, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let line = error.line();
        let said = error.to_string();
        let place = format!(" at line {line} column {}", error.column());
        misunderstood(path, said.strip_suffix(&place).unwrap_or(&said), (line > 0).then_some(line))
    })
}

#[cfg(feature = "toml")]
pub(crate) fn toml<T: serde::de::DeserializeOwned>(path: &str, text: &str) -> Result<T, Failure> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        misunderstood(path, error.message(), line)
    })
}

/// Java's properties (`java.util.Properties.load`): the last of several equal keys counts.
pub(crate) fn properties(path: &str, text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut found = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut whole = line.to_owned();
        // An odd number of backslashes at the end: the line goes on, without the space at the next one's begin.
        while !(whole.len() - whole.trim_end_matches('\\').len()).is_multiple_of(2) {
            whole.pop();
            let Some((_, next)) = lines.next() else { break };
            whole.push_str(next.trim_start());
        }
        let (key, value) = split(&whole);
        let plain =
            |text| unescape(text).ok_or_else(|| misunderstood(path, "an escape \\u is broken", Some(number + 1)));
        found.insert(plain(key)?, plain(value)?);
    }
    Ok(found)
}

/// Key and value: the key ends at the first `=`, `:` or space that no backslash precedes.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (c == '=' || c == ':' || c.is_whitespace());
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start();
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start())
}

/// None where the four digits of a `\u` are not there, or stand for no character by themselves or with the next.
fn unescape(text: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('u')) => {
                let digits: String = chars.by_ref().take(4).collect();
                let unit = u16::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4)?;
                units.push(unit);
                continue;
            }
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('t')) => '\t',
            ('\\', Some('f')) => '\u{c}',
            ('\\', None) => continue,
            ('\\', Some(other)) | (other, _) => other,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_what_java_makes_of_them() {
        let text = "# a comment\n! another\n\nplain = value\ncolon: value: more\nspace value\nempty\n  \
                    lead=  x \nlong = one, \\\n    two\npath=c\\:\\\\temp\nkey\\ with\\=all = \\u00e9\\t\\ud83d\\ude00\nplain=last";
        let found = properties("a.properties", text).unwrap();
        let found: Vec<(&str, &str)> = found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            found,
            [
                ("colon", "value: more"),
                ("empty", ""),
                ("key with=all", "é\t😀"),
                ("lead", "x "),
                ("long", "one, two"),
                ("path", "c:\\temp"),
                ("plain", "last"),
                ("space", "value"),
            ]
        );
    }

    #[test]
    fn what_cannot_be_understood_has_a_place() {
        let failures = [
            properties("a.properties", "a=b\nc=\\u12").unwrap_err(),
            #[cfg(feature = "json")]
            json::<BTreeMap<String, u8>>("a.json", "{\n  \"a\": true\n}").unwrap_err(),
            #[cfg(feature = "toml")]
            toml::<BTreeMap<String, u8>>("a.toml", "a = 1\nb = \"x\"\n").unwrap_err(),
        ];
        let said = failures.map(|f| format!("{:?} {}:{} {}", f.blame, f.file.unwrap(), f.line.unwrap(), f.summary));
        insta::assert_snapshot!(said.join("\n"), @r#"
        Blame::App a.properties:2 could not understand a.properties: an escape \u is broken
        Blame::App a.json:2 could not understand a.json: invalid type: boolean `true`, expected u8
        Blame::App a.toml:2 could not understand a.toml: invalid type: string "x", expected u8
        "#);
    }
}
