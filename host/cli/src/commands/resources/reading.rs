//! Reads what people wrote in files, YAML or TOML, into values. It comes from anywhere, so all of it is capped.

use std::{
    io::{self, Read as _},
    path::Path,
};

use serde_json::Value;
use serde_saphyr::Options;
use stave_platform::resource::{
    Refused,
    manifest::{self, Resource},
    name::Name,
};

use crate::{
    config::read_at_most,
    exit::{Exit, USAGE, printable},
};

/// The largest file, in bytes.
const MAX_FILE: u64 = 8 << 20;
/// The most documents of a file.
const MAX_DOCUMENTS: usize = 10_000;
/// How deep a list of lists of resources goes.
const MAX_LISTS: u32 = 4;
/// The most characters that are shown of what could not be read.
const MAX_MESSAGE: usize = 500;
/// What stands for standard input.
const STANDARD_INPUT: &str = "-";

/// A file's text, and what it is called.
pub(crate) struct Text {
    name: String,
    written: String,
    is_toml: Option<bool>,
}

impl Text {
    /// Reads a file, or standard input.
    pub(crate) fn read(path: &Path) -> Result<Self, Exit> {
        if path.as_os_str() == STANDARD_INPUT {
            let mut text = String::new();
            let read = io::stdin().lock().take(MAX_FILE + 1).read_to_string(&mut text);
            let name = "standard input".to_owned();
            return match read {
                Ok(_) if text.len() as u64 > MAX_FILE => Err(too_large(&name)),
                Ok(_) => Ok(Self { name, written: text, is_toml: None }),
                Err(error) => Err(unreadable(&name, error)),
            };
        }
        let name = path.display().to_string();
        let text = read_at_most(path, MAX_FILE).map_err(|error| unreadable(&name, error))?;
        let end = path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
        let is_toml = match end.as_deref() {
            Some("toml") => Some(true),
            Some("yaml" | "yml" | "json") => Some(false),
            _ => None,
        };
        Ok(Self { name, written: text, is_toml })
    }

    /// What it is called, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its documents: those of YAML between `---`, or the one that TOML is.
    pub(crate) fn documents(&self) -> Result<Vec<Value>, Exit> {
        // No YAML that anybody writes is TOML too, but for none at all.
        let is_toml = self
            .is_toml
            .unwrap_or_else(|| toml::from_str::<toml::Table>(&self.written).is_ok_and(|all| !all.is_empty()));
        if is_toml {
            let value = toml::from_str(&self.written).map_err(|error| self.not_understood(&error))?;
            return Ok(vec![value]);
        }
        serde_saphyr::from_multiple_with_options(&self.written, options()).map_err(|error| self.not_understood(&error))
    }

    /// The only document.
    pub(crate) fn document(&self) -> Result<Value, Exit> {
        let mut documents = self.documents()?;
        match documents.len() {
            1 => Ok(documents.remove(0)),
            0 => Err(Exit::new(USAGE, format!("there is nothing in {}", printable(&self.name)))),
            count => Err(Exit::new(
                USAGE,
                format!("there are {count} documents in {}, and one is read", printable(&self.name)),
            )),
        }
    }

    /// The resources in it. Where one is wrong, none is taken.
    pub(crate) fn resources(&self, namespace: &Name) -> Result<Vec<Resource>, Exit> {
        let mut values = Vec::new();
        for document in self.documents()? {
            spread(document, MAX_LISTS, &mut values);
        }
        let count = values.len();
        let mut resources = Vec::new();
        for (at, value) in values.iter().enumerate() {
            let mut resource = manifest::parse(value).map_err(|refused| self.refused(refused, at, count))?;
            if resource.metadata().namespace.is_none() {
                resource.set_namespace(namespace.clone());
            }
            resources.push(resource);
        }
        Ok(resources)
    }

    fn refused(&self, refused: Refused, at: usize, count: usize) -> Exit {
        let exit = Exit::new(USAGE, refused);
        let name = printable(&self.name);
        exit.detail(if count > 1 { format!("in {name}, resource {} of {count}", at + 1) } else { format!("in {name}") })
    }

    fn not_understood(&self, error: &dyn std::fmt::Display) -> Exit {
        let message: String = error.to_string().trim_end().chars().take(MAX_MESSAGE).collect();
        let context = format!("could not understand {}", printable(&self.name));
        Exit::new(USAGE, anyhow::anyhow!(message).context(context))
    }
}

/// Puts the resources of lists beside each other: `kind: List` of YAML, `[[resource]]` of TOML.
fn spread(value: Value, depth: u32, into: &mut Vec<Value>) {
    let items = match &value {
        Value::Object(object)
            if object.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List")) =>
        {
            object.get("items").and_then(Value::as_array)
        }
        Value::Object(object) if object.len() == 1 => object.get("resource").and_then(Value::as_array),
        Value::Array(items) => Some(items),
        _ => None,
    };
    match items.filter(|_| depth > 0) {
        Some(items) => items.iter().for_each(|item| spread(item.clone(), depth - 1, into)),
        None => into.push(value),
    }
}

/// How YAML is read: as 1.2 has it, without a document that grows beyond what was written.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2_000_000,
            max_nodes: 1_000_000,
            max_documents: MAX_DOCUMENTS,
            max_depth: 64,
            max_aliases: 1000,
            max_anchors: 1000,
            max_recorded_anchor_events: 100_000,
            max_recorded_anchor_bytes: 1 << 20,
            max_total_scalar_bytes: 8 << 20,
            max_merge_keys: 1000,
        },
        emit_comments: false,
        strict_booleans: true,
        with_snippet: false,
    }
}

fn unreadable(name: &str, error: io::Error) -> Exit {
    Exit::new(USAGE, anyhow::Error::new(error).context(format!("could not read {}", printable(name))))
}

fn too_large(name: &str) -> Exit {
    Exit::new(USAGE, format!("could not read {name}: it is larger than {MAX_FILE} bytes"))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn text(text: &str) -> Text {
        Text { name: "it".to_owned(), written: text.to_owned(), is_toml: None }
    }

    fn resources(written: &str) -> Result<Vec<String>, String> {
        let read = text(written).resources(&"team-a".parse().unwrap());
        let shown = |one: &Resource| {
            let metadata = one.metadata();
            let namespace = metadata.namespace.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
            format!("{} {namespace}{}", one.kind(), metadata.name)
        };
        read.map(|read| read.iter().map(shown).collect()).map_err(|exit| exit.render())
    }

    const STACK: &str = "apiVersion: kpack.io/v1alpha2\nkind: ClusterStack\nmetadata: {name: base}\n\
                         spec: {id: base, runImage: {image: 'registry.example.com/run:1'}}\n";
    const IMAGE: &str = "apiVersion: stave/v1\nkind: Image\nmetadata: {name: web}\nspec:\n  tag: registry.example.com/web\n  \
                         source: {git: {url: 'https://git.example.com/web', revision: main}}\n";

    #[test]
    fn several_resources_are_in_one_file() {
        let two = ["ClusterStack base", "Image team-a/web"];
        assert_eq!(resources(&format!("{STACK}---\n{IMAGE}---\n")).unwrap(), two);
        let indented = |text: &str| text.replace('\n', "\n    ");
        let list = format!("apiVersion: v1\nkind: List\nitems:\n  - {}\n  - {}", indented(STACK), indented(IMAGE));
        assert_eq!(resources(&list).unwrap(), two);
        let toml = r#"
            [[resource]]
            apiVersion = "kpack.io/v1alpha2"
            kind = "ClusterStack"
            metadata.name = "base"
            spec = { id = "base", runImage.image = "registry.example.com/run:1" }
            [[resource]]
            apiVersion = "stave/v1"
            kind = "Image"
            metadata = { name = "web", namespace = "team-b" }
            spec.tag = "registry.example.com/web"
            spec.source.registry.image = "registry.example.com/source:1"
        "#;
        assert_eq!(resources(toml).unwrap(), ["ClusterStack base", "Image team-b/web"]);
        assert_eq!(resources("").unwrap(), [""; 0]);
        let json = r#"{"apiVersion":"kpack.io/v1alpha2","kind":"ClusterStore","metadata":{"name":"a"},"spec":{"sources":[{"image":"a/b"}]}}"#;
        assert_eq!(resources(json).unwrap(), ["ClusterStore a"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        insta::assert_snapshot!(resources(&format!("{STACK}---\n{}", IMAGE.replace("revision", "revison"))).unwrap_err(), @"
        error: Image `web` is refused: spec.source.git.revison: unknown field `revison`, expected one of `url`, `revision`, `initializeSubmodules`
          in it, resource 2 of 2
        ");
        for wrong in ["a: [", "a: b\na: c", "kind = 'x\n", "- 1\n- 2", "just words", "*unknown"] {
            assert!(resources(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_document_cannot_grow_beyond_what_was_written() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for at in 1..12 {
            let before = format!("*a{}, ", at - 1).repeat(9);
            writeln!(bomb, "a{at}: &a{at} [{before}*a{}]", at - 1).unwrap();
        }
        assert!(text(&bomb).documents().is_err());
        assert!(text(&format!("{}{}", "[".repeat(500), "]".repeat(500))).documents().is_err());
        assert!(text(&"--- a\n".repeat(MAX_DOCUMENTS + 1)).documents().is_err());
    }

    #[test]
    fn words_are_words() {
        let read = text("[no, yes, off, true, 1, 1.5, ~, 'x']").document().unwrap();
        assert_eq!(read, serde_json::json!(["no", "yes", "off", true, 1, 1.5, null, "x"]));
    }
}
