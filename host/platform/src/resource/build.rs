//! The record of one attempt: all its inputs, by digest where there are digests, why it was made, and what came of it.
//!
//! What a record says never changes once the build is over: the next decision, a plan and a question of years later all read
//! the same.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stave_model::digest::{Digest, Key};

use super::{
    builder::{BuilderRef, BuilderRevision, BuildpackVersion},
    image::{Resources, Service, Variable},
    name::ImageKey,
    reference::{Pinned, Tag},
    source::{Found, ResolvedSource},
};

/// Why a build is made, in the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Reason {
    /// Somebody asked for it.
    Trigger,
    /// The source is at another commit.
    Commit,
    /// The image's settings, or where its source is.
    Config,
    /// A buildpack that took part is gone from the builder, or another one.
    Buildpack,
    /// The run image.
    Stack,
    /// The lifecycle.
    Lifecycle,
    /// The image was turned back to an earlier build's. Ours: kpack has no such reason.
    Rollback,
}

impl Reason {
    /// The six that a decision compares.
    pub const COMPARED: [Self; 6] =
        [Self::Trigger, Self::Commit, Self::Config, Self::Buildpack, Self::Stack, Self::Lifecycle];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "TRIGGER",
            Self::Commit => "COMMIT",
            Self::Config => "CONFIG",
            Self::Buildpack => "BUILDPACK",
            Self::Stack => "STACK",
            Self::Lifecycle => "LIFECYCLE",
            Self::Rollback => "ROLLBACK",
        }
    }

    /// Whether it comes from who runs the platform, and not from who owns the image.
    pub fn is_operators(self) -> bool {
        matches!(self, Self::Buildpack | Self::Stack | Self::Lifecycle)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One reason, with what was and what is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Which.
    pub reason: Reason,
    /// What was.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub old: Value,
    /// What is.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub new: Value,
}

/// The reasons as kpack writes them: `COMMIT,CONFIG`.
pub fn joined(changes: &[Change]) -> String {
    changes.iter().map(|change| change.reason.as_str()).collect::<Vec<_>>().join(",")
}

/// How an image came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Buildpacks ran.
    Build,
    /// The last image was put on another base.
    Rebase,
    /// An earlier image has the tag again.
    Rollback,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Build => "build",
            Self::Rebase => "rebase",
            Self::Rollback => "rollback",
        })
    }
}

/// Everything that a build depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Inputs {
    /// Which builder; not compared, only what it came to is.
    pub builder: BuilderRef,
    /// What the builder came to.
    pub revision: BuilderRevision,
    /// The source.
    pub source: ResolvedSource,
    /// Variables, in their sequence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<Variable>,
    /// What a build may use.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Service bindings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
}

impl Inputs {
    /// Settings and the source's place: what CONFIG is about, as people are shown it.
    pub fn config(&self) -> Value {
        let mut config = json!({ "source": self.source.place() });
        if !self.env.is_empty() {
            config["env"] = json!(self.env);
        }
        if !self.resources.is_empty() {
            config["resources"] = json!(self.resources);
        }
        if !self.services.is_empty() {
            config["services"] = json!(self.services);
        }
        config
    }

    /// Whether another build had the same settings and source, whatever its commit.
    pub fn is_configured_like(&self, other: &Self) -> bool {
        self.env == other.env
            && self.resources == other.resources
            && self.services == other.services
            && self.source.is_placed_like(&other.source)
    }

    /// What was wished for, without what operators choose: two of the same are the same wish.
    pub fn wish(&self) -> Digest {
        self.wish_key("stave wish 1").finish()
    }

    /// Two builds of the same would do the same: by it, what failed is known again.
    pub fn fingerprint(&self) -> Digest {
        let revision = &self.revision;
        let mut buildpacks: Vec<String> = revision.buildpacks.iter().map(known_as).collect();
        buildpacks.sort();
        let order = revision.order.iter().map(|group| {
            let members = group.group.iter().map(|member| format!("{} {}", member.title(), member.optional));
            members.collect::<Vec<_>>().join("\n")
        });
        self.wish_key("stave inputs 1")
            .list(&buildpacks)
            .list(order)
            .field(revision.run_image.digest().bytes())
            .field(&revision.stack_id)
            .field(&revision.lifecycle)
            .finish()
    }

    fn wish_key(&self, format: &str) -> Key {
        let amounts = |amounts: &std::collections::BTreeMap<String, super::quantity::Quantity>| {
            amounts.iter().flat_map(|(name, amount)| [name.clone(), amount.canonical()]).collect::<Vec<_>>()
        };
        let services = self.services.iter().flat_map(|service| {
            let version = service.api_version.as_deref().unwrap_or_default();
            [service.kind.clone(), service.name.to_string(), version.to_owned()]
        });
        let source = match &self.source.at {
            Found::Git(git) => vec![
                "git".to_owned(),
                git.url.clone(),
                git.tree.clone().unwrap_or_else(|| git.revision.clone()),
                git.initialize_submodules.to_string(),
            ],
            Found::Blob(blob) => {
                let digest = blob.digest.map(|digest| digest.to_string()).unwrap_or_default();
                vec!["blob".to_owned(), blob.url.clone(), blob.strip_components.to_string(), digest]
            }
            Found::Registry(found) => vec!["registry".to_owned(), found.image.digest().to_string()],
        };
        Key::new(format)
            .list(source)
            .field(self.source.sub_path.as_deref().unwrap_or_default())
            .list(self.env.iter().flat_map(|variable| [&variable.name, &variable.value]))
            .list(amounts(&self.resources.limits))
            .list(amounts(&self.resources.requests))
            .list(services)
    }
}

/// A buildpack by all that is known of it.
fn known_as(buildpack: &BuildpackVersion) -> String {
    match buildpack.digest {
        Some(digest) => format!("{}@{} ({digest})", buildpack.id, buildpack.version),
        None => buildpack.title(),
    }
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Build {
    /// Whose.
    pub image: ImageKey,
    /// Which, counted from 1.
    pub number: u64,
    /// The generation of the image that it was made for.
    #[serde(default)]
    pub generation: u64,
    /// How.
    pub mode: Mode,
    /// Why.
    pub changes: Vec<Change>,
    /// Where it is put.
    #[serde(default)]
    pub tags: Vec<Tag>,
    /// What it was made from.
    pub inputs: Inputs,
    /// The last build before it that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub based_on: Option<u64>,
    /// Which attempt with the same inputs it is, counted from 1.
    pub attempt: u32,
    /// How often somebody had asked for a build when it was made.
    #[serde(default)]
    pub triggers: u64,
    /// When it began.
    pub started: u64,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<u64>,
    /// What came of it.
    pub outcome: Outcome,
    /// The digest of its log, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Digest>,
    /// That it is kept whatever the limits say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}

/// What came of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Nothing yet.
    Running,
    /// An image.
    Succeeded(Box<Made>),
    /// Nothing, and why.
    Failed(Failure),
    /// Nothing, because somebody stopped it.
    Cancelled,
    /// Nothing, because a newer source came.
    Superseded,
}

/// What a build made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Made {
    /// The image.
    pub image: Pinned,
    /// The buildpacks that took part.
    pub buildpacks: Vec<BuildpackVersion>,
    /// What the image stands on.
    pub run_image: Pinned,
    /// Which stack that is.
    pub stack_id: String,
    /// The version of the lifecycle that made its layers.
    pub lifecycle: String,
}

/// Why there is no image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Whose fault it is.
    pub fault: Fault,
    /// What happened.
    pub message: String,
    /// The last line of its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_line: Option<String>,
}

/// Whose fault a failure is: what is nobody's is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The app's.
    App,
    /// A buildpack's.
    Buildpack,
    /// Something is not allowed, or not there.
    Refused,
    /// It took too long.
    Timeout,
    /// A registry or a network was out of order.
    Transient,
    /// The machine stopped in the middle.
    Interrupted,
}

impl Fault {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "App",
            Self::Buildpack => "Buildpack",
            Self::Refused => "Refused",
            Self::Timeout => "Timeout",
            Self::Transient => "Transient",
            Self::Interrupted => "Interrupted",
        }
    }

    /// Whether the same again may come out otherwise.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Transient | Self::Interrupted)
    }
}

impl Build {
    /// Whether it goes on.
    pub fn is_running(&self) -> bool {
        self.outcome == Outcome::Running
    }

    /// What it made, if it made something.
    pub fn made(&self) -> Option<&Made> {
        match &self.outcome {
            Outcome::Succeeded(made) => Some(made),
            _ => None,
        }
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}
