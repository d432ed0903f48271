//! A builder with a digest for every name: what the artefact of a builder carries as its configuration.
//!
//! It says what the builder is made of and what each part may do. The bytes of the components are layers of the same
//! artefact; the stack's images are listed beside it, or named where they are.

use std::collections::BTreeSet;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{
    capability::Capabilities,
    digest::Digest,
    id::BuildpackId,
    order::{Composite, Order, Selection, System},
    target::Platform,
};

/// The version of this format.
pub const FORMAT: u32 = 1;
/// The most buildpacks of a builder.
pub const MAX_BUILDPACKS: usize = 256;
/// The most bytes of a builder's components together.
pub const MAX_COMPONENTS: u64 = 1 << 30;
/// The most platforms of a stack.
const MAX_PLATFORMS: usize = 32;

/// A whole builder, by digests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PinnedBuilder {
    /// The version of the format: [`FORMAT`].
    pub format: u32,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The base of the images.
    pub stack: PinnedStack,
    /// The buildpacks, in the builder's sequence.
    pub buildpacks: Vec<PinnedBuildpack>,
    /// Which of them are tried together. Never left to be guessed.
    pub order: Order,
    /// Orders with a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub composites: Vec<Composite>,
    /// Buildpacks that every group of the order has.
    #[serde(default, skip_serializing_if = "System::is_empty")]
    pub system: System,
}

/// The stack, an image a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PinnedStack {
    /// What it was called where the builder was created.
    pub name: String,
    /// The repository that the images stay in; they travel with the builder where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The images.
    pub images: Vec<PinnedImage>,
}

/// One image of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedImage {
    /// What it is for.
    pub platform: Platform,
    /// Its manifest's digest.
    pub digest: Digest,
}

/// A buildpack, with what it is granted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedBuildpack {
    /// Its id.
    pub id: BuildpackId,
    /// Its version.
    pub version: Version,
    /// The component's digest.
    pub digest: Digest,
    /// The component's size in bytes.
    pub size: u64,
    /// Where it was taken from, by the digest of the artefact there, if not from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What it may do.
    pub grants: Capabilities,
}

/// Why a document is not a builder's.
#[derive(Debug, thiserror::Error)]
pub enum PinnedError {
    /// It is of another shape.
    #[error("it does not follow the format of builders")]
    Format(#[source] serde_json::Error),
    /// It is of a later version.
    #[error("it is written in format {0}, and this version of stave reads {FORMAT}")]
    Version(u64),
    /// It breaks a rule.
    #[error("{0}")]
    Rule(&'static str),
}

impl PinnedBuilder {
    /// Reads a builder; whoever calls has capped the document.
    pub fn read(document: serde_json::Value) -> Result<Self, PinnedError> {
        match document.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format != u64::from(FORMAT) => return Err(PinnedError::Version(format)),
            _ => {}
        }
        let builder: Self = serde_json::from_value(document).map_err(PinnedError::Format)?;
        builder.check().map_err(PinnedError::Rule)?;
        Ok(builder)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.buildpacks.len() > MAX_BUILDPACKS {
            return Err("it has more than 256 buildpacks");
        }
        let sizes = self.buildpacks.iter().map(|buildpack| buildpack.size);
        if sizes.fold(0, u64::saturating_add) > MAX_COMPONENTS {
            return Err("its components have more than 1 GiB together");
        }
        let mut titles = BTreeSet::new();
        if !self.buildpacks.iter().all(|buildpack| titles.insert((&buildpack.id, &buildpack.version))) {
            return Err("it has a buildpack twice in one version");
        }
        if self.stack.images.is_empty() || self.stack.images.len() > MAX_PLATFORMS {
            return Err("its stack has no image, or more than 32");
        }
        let mut platforms = BTreeSet::new();
        if !self.stack.images.iter().all(|image| platforms.insert(&image.platform)) {
            return Err("its stack has two images for one platform");
        }
        Ok(())
    }

    /// The bytes of the artefact's configuration. Equal builders give equal bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names, numbers and digests are always JSON")
    }

    /// Which buildpacks are tried together.
    pub fn selection(&self) -> Selection {
        Selection { order: self.order.clone(), composites: self.composites.clone(), system: self.system.clone() }
    }
}

impl PinnedBuildpack {
    /// `id@version`.
    pub fn title(&self) -> String {
        format!("{}@{}", self.id, self.version)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> serde_json::Value {
        json!({
            "format": 1,
            "stack": { "name": "base", "images": [{ "platform": "linux/amd64", "digest": Digest::of(b"base") }] },
            "buildpacks": [{
                "id": "acme/tool", "version": "1.0.0", "digest": Digest::of(b"tool"), "size": 4,
                "grants": { "interfaces": ["layers"], "ecosystems": [], "settings": ["BP_*"] },
            }],
            "order": [{ "group": [{ "id": "acme/tool", "version": "1.0.0", "optional": false }] }],
        })
    }

    #[test]
    fn what_is_written_is_read_again() {
        let builder = PinnedBuilder::read(document()).unwrap();
        assert_eq!(builder.buildpacks[0].title(), "acme/tool@1.0.0");
        let again = PinnedBuilder::read(serde_json::from_slice(&builder.to_json()).unwrap()).unwrap();
        assert_eq!((again.to_json(), &again), (builder.to_json(), &builder));
    }

    #[test]
    fn says_why_it_refuses() {
        let refused = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut document = document();
            change(&mut document);
            PinnedBuilder::read(document).unwrap_err().to_string()
        };
        let twice = |document: &mut serde_json::Value, list: &str| {
            let list = document.pointer_mut(list).unwrap().as_array_mut().unwrap();
            list.push(list[0].clone());
        };
        let all = [
            refused(&|document| document["format"] = json!(7)),
            refused(&|document| document["root"] = json!(true)),
            refused(&|document| twice(document, "/buildpacks")),
            refused(&|document| document["buildpacks"][0]["size"] = json!(MAX_COMPONENTS + 1)),
            refused(&|document| twice(document, "/stack/images")),
            refused(&|document| document["stack"]["images"] = json!([])),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
        it is written in format 7, and this version of stave reads 1
        it does not follow the format of builders
        it has a buildpack twice in one version
        its components have more than 1 GiB together
        its stack has two images for one platform
        its stack has no image, or more than 32
        ");
    }
}
