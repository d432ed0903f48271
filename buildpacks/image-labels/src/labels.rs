//! Which labels the settings ask for. The keys are those of the OCI image spec, "Pre-Defined Annotation Keys".

use std::collections::BTreeMap;

use stave_sdk::{Failure, words};

use crate::{PAIRS_SETTING, PREFIX};

/// Settings for one label each, without [`PREFIX`], and the labels, without [`NAMESPACE`].
const KNOWN: [(&str, &str); 12] = [
    ("AUTHORS", "authors"),
    ("CREATED", "created"),
    ("DESCRIPTION", "description"),
    ("DOCUMENTATION", "documentation"),
    ("LICENSES", "licenses"),
    ("REF_NAME", "ref.name"),
    ("REVISION", "revision"),
    ("SOURCE", "source"),
    ("TITLE", "title"),
    ("URL", "url"),
    ("VENDOR", "vendor"),
    ("VERSION", "version"),
];
const NAMESPACE: &str = "org.opencontainers.image.";
/// The longest key that is taken, in bytes.
const MAX_KEY: usize = 256;

/// A key and a value.
type Label = (String, String);

/// The labels of settings that are for one label each, and the settings that are for none.
pub(crate) fn of_settings(settings: &[(String, String)]) -> (Vec<Label>, Vec<String>) {
    let (mut labels, mut unknown) = (Vec::new(), Vec::new());
    for (setting, value) in settings {
        match KNOWN.into_iter().find(|(name, _)| setting.strip_prefix(PREFIX) == Some(name)) {
            Some(_) if value.is_empty() => {}
            Some((_, label)) => labels.push((format!("{NAMESPACE}{label}"), value.clone())),
            None => unknown.push(setting.clone()),
        }
    }
    (labels, unknown)
}

/// The labels of a text of pairs, `key=value key='longer value'`.
pub(crate) fn of_pairs(text: &str) -> Result<Vec<Label>, Failure> {
    let broken = |what: String| {
        Failure::environment(format!("{PAIRS_SETTING} {what}"))
            .hint("write `key=value` with spaces between, and quotes around what has spaces")
    };
    let words = words::split(text).map_err(|words::Unclosed(quote)| broken(format!("leaves a `{quote}` open")))?;
    let pair = |word: &String| {
        let shown = || word.chars().take(80).collect::<String>().escape_debug().to_string();
        let (key, value) = word
            .split_once('=')
            .ok_or_else(|| broken(format!("has `{}`, which is no pair of key and value", shown())))?;
        let rule = if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(|b| b.is_ascii_graphic()) {
            "no key: it has 1 to 256 visible ASCII characters"
        } else if key.starts_with("io.buildpacks.") {
            "a key that belongs to the platform"
        } else {
            return Ok((key.to_owned(), value.to_owned()));
        };
        Err(broken(format!("has `{}` with {rule}", shown())))
    };
    words.words.iter().map(pair).collect()
}

/// Both, one label a key; pairs, which name the key, win.
pub(crate) fn join(settings: Vec<Label>, pairs: Vec<Label>) -> Vec<Label> {
    settings.into_iter().chain(pairs).collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// What is said of a setting that no label is for.
pub(crate) fn unknown(setting: &str) -> String {
    let known: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
    let (setting, list) = (setting.escape_debug(), known.join(", "));
    format!("{setting} is for no label: after {PREFIX} comes one of {list}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<Label> {
        list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn settings_are_for_one_label_each() {
        let settings =
            pairs(&[("BP_OCI_TITLE", "a b"), ("BP_OCI_REF_NAME", "v1"), ("BP_OCI_TITEL", "x"), ("BP_OCI_URL", "")]);
        let (labels, unknown) = of_settings(&settings);
        assert_eq!(
            labels,
            pairs(&[("org.opencontainers.image.title", "a b"), ("org.opencontainers.image.ref.name", "v1")])
        );
        assert_eq!(unknown, ["BP_OCI_TITEL"]);
        insta::assert_snapshot!(self::unknown(&unknown[0]), @"BP_OCI_TITEL is for no label: after BP_OCI_ comes one of AUTHORS, CREATED, DESCRIPTION, DOCUMENTATION, LICENSES, REF_NAME, REVISION, SOURCE, TITLE, URL, VENDOR, VERSION");
    }

    #[test]
    fn pairs_are_split_as_a_shell_would() {
        for (text, expected) in [
            ("", &[][..]),
            ("a=b", &[("a", "b")]),
            ("a=b c='d e' f=\"g=h\"", &[("a", "b"), ("c", "d e"), ("f", "g=h")]),
            ("com.acme/x_y-1= ", &[("com.acme/x_y-1", "")]),
        ] {
            assert_eq!(of_pairs(text).unwrap(), pairs(expected), "{text}");
        }
        let refused = |text: &str| of_pairs(text).unwrap_err().summary;
        let said =
            ["a", "=b", "'a b'=c", "é=x", "io.buildpacks.lifecycle.metadata={}", "a='b", "\u{1b}[2J"].map(refused);
        insta::assert_snapshot!(said.join("\n"), @r"
        BP_IMAGE_LABELS has `a`, which is no pair of key and value
        BP_IMAGE_LABELS has `=b` with no key: it has 1 to 256 visible ASCII characters
        BP_IMAGE_LABELS has `a b=c` with no key: it has 1 to 256 visible ASCII characters
        BP_IMAGE_LABELS has `é=x` with no key: it has 1 to 256 visible ASCII characters
        BP_IMAGE_LABELS has `io.buildpacks.lifecycle.metadata={}` with a key that belongs to the platform
        BP_IMAGE_LABELS leaves a `'` open
        BP_IMAGE_LABELS has `\u{1b}[2J`, which is no pair of key and value
        ");
    }

    #[test]
    fn pairs_win() {
        let title = "org.opencontainers.image.title";
        let joined =
            join(pairs(&[(title, "setting"), ("b", "1")]), pairs(&[("a", "2"), (title, "first"), (title, "last")]));
        assert_eq!(joined, pairs(&[("a", "2"), ("b", "1"), (title, "last")]));
    }
}
