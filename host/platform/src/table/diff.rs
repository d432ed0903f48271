//! What a reason changed, line by line, as `kp build status` shows it: values as YAML, lines that went and came.

use serde_json::Value;

use crate::resource::{build::Change, plain};

/// Most lines of a value that are compared: one who writes more is shown its beginning.
const MAX_LINES: usize = 400;
/// Most characters of a line.
const MAX_LINE: usize = 300;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// It is there before and after.
    Same(String),
    /// It is gone.
    Old(String),
    /// It is new.
    New(String),
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Same(text) => write!(f, "  {text}"),
            Self::Old(text) => write!(f, "- {text}"),
            Self::New(text) => write!(f, "+ {text}"),
        }
    }
}

/// What a reason changed.
pub fn lines(change: &Change) -> Vec<Line> {
    diff(&yaml(&change.old), &yaml(&change.new))
}

/// What is different between two documents.
pub fn between(old: &Value, new: &Value) -> Vec<Line> {
    diff(&yaml(old), &yaml(new))
}

/// A value in lines of YAML.
fn yaml(value: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    match value {
        Value::Null => {}
        Value::Array(_) | Value::Object(_) => nested(value, "", &mut lines),
        plain => lines.push(scalar(plain)),
    }
    lines.truncate(MAX_LINES);
    lines.into_iter().map(|line| plain(&line, MAX_LINE)).collect()
}

fn nested(value: &Value, indent: &str, lines: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        lines.push(format!("{indent}{key}:"));
                        nested(value, &format!("{indent}  "), lines);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        lines.push(format!("{indent}{key}:"));
                        nested(value, indent, lines);
                    }
                    plain => lines.push(format!("{indent}{key}: {}", scalar(plain))),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let start = lines.len();
                match item {
                    Value::Object(inner) if !inner.is_empty() => nested(item, &format!("{indent}  "), lines),
                    plain => lines.push(format!("{indent}  {}", scalar(plain))),
                }
                // The first line of an entry has its mark where the others have spaces.
                if let Some(first) = lines.get_mut(start) {
                    first.replace_range(indent.len()..indent.len() + 2, "- ");
                }
            }
        }
        plain => lines.push(format!("{indent}{}", scalar(plain))),
    }
}

/// A plain value; text that YAML would take for something else is quoted.
fn scalar(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let is_word = |c: char| c.is_alphanumeric() || "-_./:@+ =".contains(c);
    let is_plain = text.starts_with(|c: char| c.is_alphanumeric() || c == '/')
        && !text.ends_with([' ', ':'])
        && text.chars().all(is_word)
        && !text.contains(": ")
        && text.parse::<f64>().is_err()
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.clone() } else { Value::String(text.clone()).to_string() }
}

/// Lines that went and came, by the longest common part.
fn diff(old: &[String], new: &[String]) -> Vec<Line> {
    // common[i][j]: how many lines the tails from i and j have in common.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] =
                if old[i] == new[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Same(old[i].clone()));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || i < old.len() && common[i + 1][j] >= common[i][j + 1] {
            lines.push(Line::Old(old[i].clone()));
            i += 1;
        } else {
            lines.push(Line::New(new[j].clone()));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::build::Reason;

    fn told(old: Value, new: Value) -> String {
        let change = Change { reason: Reason::Config, old, new };
        lines(&change).iter().map(|line| line.to_string() + "\n").collect()
    }

    #[test]
    fn settings_are_compared_line_by_line() {
        let old = json!({
            "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "b" }],
            "resources": { "limits": { "cpu": "500m" } },
            "source": { "git": { "url": "https://git.example.com/a" }, "subPath": "app" },
        });
        let new = json!({
            "env": [{ "name": "C", "value": "c\u{1b}[2J" }, { "name": "B", "value": "b" }],
            "resources": { "limits": { "cpu": "1" } },
            "source": { "blob": { "url": "https://files.example.com/a.jar" } },
        });
        insta::assert_snapshot!(told(old, new), @r#"
          env:
        - - name: A
        -   value: "1"
        + - name: C
        +   value: "c\u001b[2J"
          - name: B
            value: b
          resources:
            limits:
        -     cpu: 500m
        +     cpu: "1"
          source:
        -   git:
        -     url: https://git.example.com/a
        -   subPath: app
        +   blob:
        +     url: https://files.example.com/a.jar
        "#);
    }

    #[test]
    fn plain_values_are_lines() {
        assert_eq!(told("old".into(), "new".into()), "- old\n+ new\n");
        assert_eq!(told(Value::Null, "asked for".into()), "+ asked for\n");
        assert_eq!(told(json!([{ "id": "a/b", "version": "1.0.0" }]), json!([])), "- - id: a/b\n-   version: 1.0.0\n");
        assert_eq!(told(json!(["a", "b"]), json!(["b"])), "- - a\n  - b\n");
    }
}
