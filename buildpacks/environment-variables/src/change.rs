//! What a setting `BPE_…` says about a variable.
//!
//! `BPE_NAME` and `BPE_OVERRIDE_NAME` replace, `BPE_DEFAULT_NAME` sets what is not set, `BPE_PREPEND_NAME` and
//! `BPE_APPEND_NAME` join, with `BPE_DELIM_NAME` between. The words are those of environment folders (buildpack spec).

use std::collections::BTreeMap;

use stave_sdk::{Failure, layers::EnvOp};

use crate::PREFIX;

/// What the part after [`PREFIX`] begins with, and what that does. `DELIM_` does nothing by itself.
const ACTIONS: [(&str, EnvOp); 4] = [
    ("APPEND_", EnvOp::Append),
    ("DEFAULT_", EnvOp::Default),
    ("OVERRIDE_", EnvOp::Overwrite),
    ("PREPEND_", EnvOp::Prepend),
];
const DELIMITER: &str = "DELIM_";

/// A wish about one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) op: EnvOp,
    pub(crate) value: String,
    pub(crate) delimiter: Option<String>,
}

/// The wishes in `settings`, and the settings that have no effect.
pub(crate) fn read(settings: &[(String, String)]) -> Result<(Vec<Change>, Vec<String>), Failure> {
    let mut delimiters: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
    let mut changes = Vec::new();
    for (setting, value) in settings {
        let rest = setting.strip_prefix(PREFIX).unwrap_or(setting);
        let action = ACTIONS.into_iter().find_map(|(action, op)| Some((rest.strip_prefix(action)?, op)));
        let delimited = rest.strip_prefix(DELIMITER);
        let (name, op) = action.unwrap_or((delimited.unwrap_or(rest), EnvOp::Overwrite));
        if !is_name(name) {
            return Err(Failure::environment(format!("the setting {} names no variable", setting.escape_debug()))
                .hint(format!("write {PREFIX}NAME, or {PREFIX}APPEND_NAME and the like")));
        }
        if delimited.is_some() && action.is_none() {
            delimiters.insert(name, (value, false));
        } else {
            changes.push(Change { name: name.to_owned(), op, value: value.clone(), delimiter: None });
        }
    }
    for change in changes.iter_mut().filter(|change| matches!(change.op, EnvOp::Append | EnvOp::Prepend)) {
        if let Some((delimiter, used)) = delimiters.get_mut(change.name.as_str()) {
            change.delimiter = Some((*delimiter).to_owned());
            *used = true;
        }
    }
    let idle = delimiters.iter().filter(|(_, (_, used))| !used).map(|(name, _)| format!("{PREFIX}{DELIMITER}{name}"));
    Ok((changes, idle.collect()))
}

/// As the host takes them.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What is done, without the value: it may be a secret.
pub(crate) fn told(change: &Change) -> String {
    let name = &change.name;
    match change.op {
        EnvOp::Default => format!("sets {name} where it is not set"),
        EnvOp::Overwrite => format!("sets {name}"),
        EnvOp::Prepend => format!("prepends to {name}"),
        EnvOp::Append => format!("appends to {name}"),
    }
}

/// What is said of a setting without effect.
pub(crate) fn idle(setting: &str) -> String {
    let name = setting.trim_start_matches(PREFIX).trim_start_matches(DELIMITER);
    format!("{setting} has no effect without {PREFIX}APPEND_{name} or {PREFIX}PREPEND_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(settings: &[(&str, &str)]) -> Result<(Vec<Change>, Vec<String>), Failure> {
        read(&settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn the_name_says_what_is_done() {
        // (setting, variable, what is done)
        let cases = [
            ("BPE_PORT", "PORT", EnvOp::Overwrite),
            ("BPE_OVERRIDE_PORT", "PORT", EnvOp::Overwrite),
            ("BPE_DEFAULT_PORT", "PORT", EnvOp::Default),
            ("BPE_APPEND_JAVA_TOOL_OPTIONS", "JAVA_TOOL_OPTIONS", EnvOp::Append),
            ("BPE_PREPEND_PATH", "PATH", EnvOp::Prepend),
            ("BPE_DEFAULTS", "DEFAULTS", EnvOp::Overwrite),
            ("BPE_APPEND_DELIM_X", "DELIM_X", EnvOp::Append),
            ("BPE__x9", "_x9", EnvOp::Overwrite),
        ];
        for (setting, name, op) in cases {
            let change = Change { name: name.to_owned(), op, value: " v ".to_owned(), delimiter: None };
            assert_eq!(given(&[(setting, " v ")]).unwrap(), (vec![change], vec![]), "{setting}");
        }
        for setting in ["BPE_", "BPE_APPEND_", "BPE_DELIM_", "BPE_9", "BPE_A-B"] {
            assert!(given(&[(setting, "v")]).is_err(), "{setting}");
        }
    }

    #[test]
    fn delimiters_go_with_what_is_joined() {
        let (changes, idle) = given(&[
            ("BPE_APPEND_A", "x"),
            ("BPE_DELIM_A", ":"),
            ("BPE_DELIM_B", ","),
            ("BPE_DELIM_C", ";"),
            ("BPE_OVERRIDE_C", "z"),
            ("BPE_PREPEND_A", "y"),
        ])
        .unwrap();
        let delimiters: Vec<_> = changes.iter().map(|c| (c.name.as_str(), c.op, c.delimiter.as_deref())).collect();
        let expected =
            [("A", EnvOp::Append, Some(":")), ("C", EnvOp::Overwrite, None), ("A", EnvOp::Prepend, Some(":"))];
        assert_eq!(delimiters, expected);
        assert_eq!(idle, ["BPE_DELIM_B", "BPE_DELIM_C"]);
        insta::assert_snapshot!(self::idle(&idle[0]), @"BPE_DELIM_B has no effect without BPE_APPEND_B or BPE_PREPEND_B");
    }

    #[test]
    fn values_are_not_told() {
        let (changes, _) =
            given(&[("BPE_APPEND_A", "s3cret"), ("BPE_DEFAULT_B", "s3cret"), ("BPE_C", "s3cret")]).unwrap();
        let said = changes.iter().map(told).collect::<Vec<_>>().join("; ");
        insta::assert_snapshot!(said, @"appends to A; sets B where it is not set; sets C");
    }
}
