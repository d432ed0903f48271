//! `builder.toml`: a stack, buildpacks, their order, and what each is granted.

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
    /// The base of the images.
    pub stack: StackReference,
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
#[serde(deny_unknown_fields)]
pub struct BuildpackReference {
    /// The component's file, relative to the builder's file.
    pub path: String,
    /// The digest that it must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What it may do; [`Capabilities::usual`] when nothing is said.
    #[serde(default = "Capabilities::usual")]
    pub grants: Capabilities,
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
            [[order]]
            group = [{ id = "acme/java" }, { id = "acme/plain", version = "1.0.0", optional = true }]
            "#,
        )
        .unwrap();
        assert_eq!(builder.stack, StackReference::Path("stack.toml".to_owned()));
        assert!(builder.buildpacks[0].grants.interfaces.contains(&Interface::Artifacts));
        assert_eq!(builder.buildpacks[1].grants, Capabilities::usual());
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
    fn refuses_unknown_keys_and_two_stacks() {
        for text in ["stack = { path = \"a\", name = \"b\" }\nbuildpacks = []", "stak = 1", "buildpacks = []"] {
            assert!(Builder::parse(text).is_err(), "{text}");
        }
    }
}
