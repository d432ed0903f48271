//! `builder.toml`: a stack, buildpacks, their order, and what each is granted. [`pinned`] is the same with digests for names.

pub mod pinned;

use serde::{Deserialize, Serialize};

use crate::{
    capability::Capabilities,
    digest::Digest,
    order::{Composite, Order, Selection, System},
};

/// A whole `builder.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Builder {
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The base of the images; the stack inside the program where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackReference>,
    /// The buildpacks that the order may name.
    pub buildpacks: Vec<BuildpackReference>,
    /// The order; every buildpack in one group, in the sequence above, when none is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Order,
    /// Orders with a name, which members of the order and of each other may stand for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub composites: Vec<Composite>,
    /// Buildpacks that every group of the order has.
    #[serde(default, skip_serializing_if = "System::is_empty")]
    pub system: System,
}

/// Where the base comes from: exactly one of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum StackReference {
    /// A `stack.toml` to compose, or an OCI layout, relative to the builder's file.
    Path(String),
    /// A stack in the image store, by the name that `stave stack create` gave it.
    Name(String),
    /// An image in a registry.
    RunImage(String),
}

/// One of `[[buildpacks]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawReference", into = "RawReference")]
pub struct BuildpackReference {
    /// Where the component is.
    pub place: Place,
    /// The digest that the component must have.
    pub digest: Option<Digest>,
    /// What it may do; [`Capabilities::usual`] when nothing is said.
    pub grants: Capabilities,
}

/// Where a component is: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `path`: a file, relative to the builder's file; or `builtin:NAME`.
    Path(String),
    /// `reference`: an artefact in a registry, or in a layout (`oci:DIR`).
    Reference(String),
}

impl Place {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Path(text) | Self::Reference(text) => text,
        }
    }
}

/// The keys of `[[buildpacks]]`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(default = "Capabilities::usual")]
    grants: Capabilities,
}

/// A buildpack of a builder that is in no place, or in two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a buildpack has either a `path` or a `reference`")]
pub struct InvalidPlace;

impl TryFrom<RawReference> for BuildpackReference {
    type Error = InvalidPlace;

    fn try_from(raw: RawReference) -> Result<Self, Self::Error> {
        let RawReference { path, reference, digest, grants } = raw;
        let place = match (path, reference) {
            (Some(path), None) => Place::Path(path),
            (None, Some(reference)) => Place::Reference(reference),
            _ => return Err(InvalidPlace),
        };
        Ok(Self { place, digest, grants })
    }
}

impl From<BuildpackReference> for RawReference {
    fn from(BuildpackReference { place, digest, grants }: BuildpackReference) -> Self {
        let (path, reference) = match place {
            Place::Path(path) => (Some(path), None),
            Place::Reference(reference) => (None, Some(reference)),
        };
        Self { path, reference, digest, grants }
    }
}

/// Why a text is not a builder.
#[derive(Debug, thiserror::Error)]
#[error("the builder does not follow the format of builder.toml")]
pub struct BuilderError(#[source] Box<toml::de::Error>);

impl Builder {
    /// Reads a builder.
    pub fn parse(text: &str) -> Result<Self, BuilderError> {
        toml::from_str(text).map_err(|error| BuilderError(Box::new(error)))
    }

    /// Which buildpacks are tried together: `order` where none is given.
    pub fn selection(&self, order: impl FnOnce() -> Order) -> Selection {
        Selection {
            order: if self.order.is_empty() { order() } else { self.order.clone() },
            composites: self.composites.clone(),
            system: self.system.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Interface;

    #[test]
    fn reads_a_builder() {
        let builder = Builder::parse(
            r#"
            stack = { path = "stack.toml" }
            [[buildpacks]]
            path = "java.wasm"
            grants = { interfaces = ["app", "log", "layers", "artifacts"], ecosystems = ["pypi"] }
            [[buildpacks]]
            path = "plain.wasm"
            [[buildpacks]]
            reference = "registry.example.com/acme/labels:1.0.0"
            [[order]]
            group = [{ id = "acme/java" }, { id = "acme/plain", version = "1.0.0", optional = true }]
            "#,
        )
        .unwrap();
        assert_eq!(builder.stack, Some(StackReference::Path("stack.toml".to_owned())));
        assert!(builder.buildpacks[0].grants.interfaces.contains(&Interface::Artifacts));
        assert_eq!(builder.buildpacks[1].grants, Capabilities::usual());
        assert_eq!(builder.buildpacks[1].place, Place::Path("plain.wasm".to_owned()));
        let reference = Place::Reference("registry.example.com/acme/labels:1.0.0".to_owned());
        assert_eq!(builder.buildpacks[2].place, reference);
        assert!(builder.order[0].group[1].optional);
    }

    #[test]
    fn reads_composites_and_system_buildpacks() {
        let text = r#"
            stack = { path = "stack.toml" }
            buildpacks = []
            [[order]]
            group = [{ id = "acme/jvm", version = "1.0.0" }, { id = "acme/debug", exec-env = ["test"] }]
            [[composites]]
            id = "acme/jvm"
            version = "1.0.0"
            order = [{ group = [{ id = "acme/java" }] }, { group = [{ id = "acme/native", optional = true }] }]
            [system.pre]
            buildpacks = [{ id = "acme/ca", optional = true }]
            [[system.post.buildpacks]]
            id = "acme/labels"
            "#;
        let builder = Builder::parse(text).unwrap();
        let selection = builder.selection(Vec::new);
        assert_eq!(selection.order[0].group[1].exec_env, ["test".parse().unwrap()]);
        assert_eq!(selection.composites[0].title(), "acme/jvm@1.0.0");
        assert!(selection.composites[0].order[1].group[0].optional);
        assert_eq!(selection.system.pre.buildpacks[0].title(), "acme/ca");
        assert_eq!(selection.system.post.buildpacks[0].title(), "acme/labels");
        assert_eq!(Builder::parse(&toml::to_string(&builder).unwrap()).unwrap(), builder);
    }

    #[test]
    fn a_buildpack_is_in_one_place() {
        let message = |keys: &str| {
            let text = format!("stack = {{ path = \"a\" }}\n[[buildpacks]]\n{keys}\n");
            std::error::Error::source(&Builder::parse(&text).unwrap_err()).unwrap().to_string()
        };
        for keys in ["", "path = \"a\"\nreference = \"b\""] {
            assert!(message(keys).contains("a buildpack has either a `path` or a `reference`"), "{}", message(keys));
        }
        assert!(message("uri = \"a\"").contains("unknown field `uri`"));
    }

    #[test]
    fn refuses_unknown_keys_and_two_stacks() {
        for text in ["stack = { path = \"a\", name = \"b\" }\nbuildpacks = []", "stak = 1\nbuildpacks = []", ""] {
            assert!(Builder::parse(text).is_err(), "{text}");
        }
        assert_eq!(Builder::parse("buildpacks = []").unwrap().stack, None, "the program has one");
    }
}
