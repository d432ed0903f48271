//! The files that Python's `configparser` and npm read: sections, keys, values that go on in indented lines.

use std::collections::BTreeMap;

/// Values by section and key; keys in lower case, sections as they stand. What stands before any section has the
/// section `""`.
pub type Ini = BTreeMap<(String, String), String>;

/// Reads the text. Later values replace earlier ones; lines that are nothing are passed over, as the tools warn of them.
pub fn parse(text: &str) -> Ini {
    let mut values = Ini::new();
    let mut section = String::new();
    let mut last: Option<(String, String)> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t']) && last.is_some() {
            if let Some(value) = last.as_ref().and_then(|key| values.get_mut(key)) {
                value.push('\n');
                value.push_str(trimmed);
            }
        } else if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.trim().clone_into(&mut section);
            last = None;
        } else if let Some((key, value)) = split(trimmed) {
            let key = (section.clone(), key.trim_end().to_ascii_lowercase());
            values.insert(key.clone(), value.trim().to_owned());
            last = Some(key);
        }
    }
    values
}

/// Splits at the first `=`, or else the first `:` with a space after it: npm's keys may hold colons.
fn split(line: &str) -> Option<(&str, &str)> {
    line.split_once('=').or_else(|| line.split_once(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_tools_read() {
        let ini = parse(
            "registry = https://a.example.com\n//a.example.com/:_authToken=x=y\n[global]\n; no\n# no\nIndex-URL: https://b.example.com\n\
             find-links =\n    /one\n    /two\nnothing\n[ install ]\nx=1\nx=2\n",
        );
        let value = |section: &str, key: &str| ini.get(&(section.to_owned(), key.to_owned())).map(String::as_str);
        assert_eq!(value("", "registry"), Some("https://a.example.com"));
        assert_eq!(value("", "//a.example.com/:_authtoken"), Some("x=y"));
        assert_eq!(value("global", "index-url"), Some("https://b.example.com"));
        assert_eq!(value("global", "find-links"), Some("\n/one\n/two"));
        assert_eq!((value("install", "x"), ini.len()), (Some("2"), 5));
    }
}
