//! One document in the formats that programs read: JSON, YAML, TOML. What is the same in one is the same in all.

use serde::Serialize;
use serde_json::Value;

use crate::exit::{Exit, GENERAL};

/// A format for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON.
    Json,
    /// YAML 1.2, with every text in quotes.
    Yaml,
    /// TOML, in which what is null is left out.
    Toml,
}

/// Writes `document`, without a line end after it.
pub(crate) fn write(document: &impl Serialize, format: Format) -> Result<String, Exit> {
    let failed = |error: &dyn std::fmt::Display| Exit::new(GENERAL, format!("could not write the result: {error}"));
    match format {
        Format::Json => serde_json::to_string_pretty(document).map_err(|error| failed(&error)),
        Format::Yaml => {
            let value = serde_json::to_value(document).map_err(|error| failed(&error))?;
            let mut text = String::new();
            yaml(&value, 0, &mut text);
            Ok(text.trim_start_matches('\n').to_owned())
        }
        Format::Toml => {
            let value = serde_json::to_value(document).map_err(|error| failed(&error))?;
            let text = toml::to_string_pretty(&without_nulls(value)).map_err(|error| failed(&error))?;
            Ok(text.trim_end().to_owned())
        }
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(members.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// Writes a value after its key or dash: scalars on the same line, the rest below, indented by `depth` levels. A text is
/// written as in JSON, which YAML reads as the same text.
fn yaml(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                text.extend(["\n", &indent, &key(name), ":"]);
                yaml(value, depth + 1, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                text.extend(["\n", &indent, "-"]);
                let mut below = String::new();
                yaml(item, depth + 1, &mut below);
                // The first member stands beside its dash.
                match below.strip_prefix(&format!("\n{indent}  ")) {
                    Some(first) => text.extend([" ", first]),
                    None => text.push_str(&below),
                }
            }
        }
        scalar => text.extend([" ", &scalar.to_string()]),
    }
}

/// A key as it is where that is a plain word, else in quotes.
fn key(name: &str) -> String {
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "null"];
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let is_word = WORDS.contains(&name.to_ascii_lowercase().as_str()) || name.eq_ignore_ascii_case("false");
    if starts && plain && !is_word { name.to_owned() } else { Value::from(name).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_document_three_times() {
        let document = json!({
            "name": "a: \"b\"\n\u{1b}[0m", "none": null, "empty": [], "nothing": {}, "yes": true, "n/a": 1,
            "list": [{ "id": "x", "args": ["-a", "1"] }, { "id": "y" }], "deep": { "er": [[1, 2], []] },
        });
        let shown = [Format::Yaml, Format::Toml].map(|format| write(&document, format).unwrap());
        insta::assert_snapshot!(shown.join("\n---\n"), @r#"
        deep:
          er:
            - - 1
              - 2
            - []
        empty: []
        list:
          - args:
              - "-a"
              - "1"
            id: "x"
          - id: "y"
        "n/a": 1
        name: "a: \"b\"\n\u001b[0m"
        none: null
        nothing: {}
        "yes": true
        ---
        empty = []
        "n/a" = 1
        name = """
        a: "b"
        \u001B[0m"""
        yes = true

        [deep]
        er = [
            [
            1,
            2,
        ],
            [],
        ]

        [[list]]
        args = [
            "-a",
            "1",
        ]
        id = "x"

        [[list]]
        id = "y"

        [nothing]
        "#);
        let back: Value = serde_json::from_str(&write(&document, Format::Json).unwrap()).unwrap();
        assert_eq!(back, document);
        let back: Value = toml::from_str(&shown[1]).unwrap();
        assert_eq!(back, without_nulls(document));
    }
}
