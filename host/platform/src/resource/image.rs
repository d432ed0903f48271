//! The wish: this source, built by that builder, put at this tag, from now on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stave_model::{digest::Digest, id::ProcessType};

use super::{
    Problem,
    builder::{BuilderRef, BuilderRevision, default_name},
    name::{ImageKey, Name},
    policy::UpdatePolicy,
    quantity::Quantity,
    reference::{Pinned, Tag},
    source::Source,
};

/// The longest tag that still has room for `-b<number>.<date>.<time>` in 128 characters.
const MAX_NUMBERED: usize = 100;

/// What every resource is called by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Metadata {
    /// Its name.
    pub name: Name,
    /// Whose it is, where it is somebody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// How often its wish was changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: u64,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An `Image`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// What it is called.
    pub metadata: Metadata,
    /// What is wished for.
    pub spec: ImageSpec,
    /// What is remembered of it beside its builds.
    #[serde(default)]
    pub status: ImageStatus,
}

/// What an image is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageSpec {
    /// Where it is put. It stays.
    pub tag: Tag,
    /// Where it is put as well, on the same registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_tags: Vec<Tag>,
    /// What it is built by.
    #[serde(default)]
    pub builder: BuilderRef,
    /// Whose secrets are used.
    #[serde(default = "default_account")]
    pub service_account_name: String,
    /// What it is built from.
    pub source: Source,
    /// Where layers for the next build are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// How many failed builds are kept.
    #[serde(default = "default_limit")]
    pub failed_build_history_limit: u32,
    /// How many successful builds are kept.
    #[serde(default = "default_limit")]
    pub success_build_history_limit: u32,
    /// Whether each build has a tag of its own.
    #[serde(default)]
    pub image_tagging_strategy: Tagging,
    /// Where the source's `project.toml` is, if not at its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_descriptor_path: Option<String>,
    /// How it is built.
    #[serde(default, skip_serializing_if = "BuildSettings::is_default")]
    pub build: BuildSettings,
    /// What its signature says more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosign: Option<Cosign>,
    /// The process that is started where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_process: Option<ProcessType>,
    /// How often a source that may move is looked at. Ours: kpack looks at git once a minute, and at nothing else.
    #[serde(default, skip_serializing_if = "Watch::is_default")]
    pub watch: Watch,
    /// Which updates come by themselves. Ours: kpack has no such field.
    #[serde(default, skip_serializing_if = "UpdatePolicy::is_default")]
    pub update_policy: UpdatePolicy,
}

fn default_account() -> String {
    "default".to_owned()
}

fn default_limit() -> u32 {
    10
}

/// How often a source that may move (a branch, an archive, an image by its tag) is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watch {
    /// Whether it is looked at by itself. Where it is not, a hand on the trigger and a webhook still have it looked at.
    pub enabled: bool,
    /// How many seconds lie between two looks.
    pub interval: u64,
}

impl Default for Watch {
    fn default() -> Self {
        Self { enabled: true, interval: 60 }
    }
}

impl Watch {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it is time for another look, so many seconds after the last.
    pub fn is_due(&self, age: u64) -> bool {
        self.enabled && age >= self.interval
    }
}

/// Whether each build has a tag of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Tagging {
    /// `b<number>.<date>.<time>`.
    #[default]
    BuildNumber,
    /// None.
    None,
}

/// Where layers for the next build are kept: at most one of these.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// On a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
    /// In a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<CacheTag>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Volume {
    /// How much it holds.
    pub size: Quantity,
    /// Which kind of storage. It stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
}

/// A cache in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheTag {
    /// Where it is.
    pub tag: Tag,
}

/// `spec.build`: how an image is built.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct BuildSettings {
    /// Service bindings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Variables while building, in their sequence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<Variable>,
    /// What a build may use.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Where a build may run, on a cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Value>,
    /// Where a build may run, on a cluster.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Where a build may run, on a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Value>,
    /// How a build is run, on a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// Who places a build, on a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_name: Option<String>,
    /// How long a build may take, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_timeout: Option<u64>,
    /// When the image says that it was made: nothing (a fixed date), `now`, or seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<String>,
}

impl BuildSettings {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// A service binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Service {
    /// A secret, or what knows one.
    pub kind: String,
    /// Its name.
    pub name: Name,
    /// The version of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
}

/// What a build may use: compared by amount.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// At most.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
    /// At least.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
}

impl Resources {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.requests.is_empty()
    }
}

/// What a signature says more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cosign {
    /// Names and values.
    pub annotations: Vec<Variable>,
}

/// What is remembered of an image beside its builds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ImageStatus {
    /// The number of the newest build there ever was. Records may go; a number never comes twice.
    pub build_counter: u64,
    /// What the tag stands for: what the last successful build made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_image: Option<Pinned>,
    /// How often somebody asked for a build by hand.
    pub triggers: u64,
    /// When that was last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggered_at: Option<u64>,
    /// What it is built by whatever becomes of its builder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// That it was turned back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
}

/// An image stays with what a builder was at one build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// At which.
    pub build: u64,
    /// What the builder was.
    pub revision: BuilderRevision,
}

/// An image stays with what an earlier build made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Which build's image it is again.
    pub to: u64,
    /// What was wished for then: it ends when that changes.
    pub wish: Digest,
}

impl Image {
    /// Which image it is.
    pub fn key(&self) -> ImageKey {
        ImageKey {
            namespace: self.metadata.namespace.clone().unwrap_or_else(default_name),
            name: self.metadata.name.clone(),
        }
    }

    /// What is wrong with it.
    pub fn problems(&self) -> Vec<Problem> {
        let spec = &self.spec;
        let mut problems = spec.source.problems("spec.source");
        let mut problem = |path: &str, rule: &str| problems.push(Problem::new(path, rule));
        let registry = &spec.tag.reference().registry;
        for (at, tag) in spec.additional_tags.iter().enumerate() {
            if tag.reference().registry != *registry {
                problem(&format!("spec.additionalTags[{at}]"), "it is on the same registry as spec.tag");
            }
        }
        if spec.image_tagging_strategy == Tagging::BuildNumber && spec.tag.tag().len() > MAX_NUMBERED {
            problem(
                "spec.tag",
                "its builds' own tags would be too long: at most 100 characters, or imageTaggingStrategy: None",
            );
        }
        let limits = [
            ("spec.failedBuildHistoryLimit", spec.failed_build_history_limit),
            ("spec.successBuildHistoryLimit", spec.success_build_history_limit),
        ];
        limits.iter().filter(|(_, limit)| *limit == 0).for_each(|(path, _)| problem(path, "it is at least 1"));
        if spec.cache.as_ref().is_some_and(|cache| cache.volume.is_some() && cache.registry.is_some()) {
            problem("spec.cache", "only one of volume and registry can be given");
        }
        if spec.watch.interval == 0 {
            problems.push(Problem::new("spec.watch.interval", "it is at least 1 second"));
        }
        problems.extend(spec.update_policy.problems("spec.updatePolicy"));
        problems.extend(spec.build.problems("spec.build"));
        problems
    }

    /// Which of its bindings are secrets that a service account holds: an app's owner would read the platform's credentials
    /// through them.
    pub fn forbidden_services(&self, held_by_accounts: &BTreeSet<Name>) -> Vec<Problem> {
        let services = self.spec.build.services.iter().enumerate();
        let forbidden = services.filter(|(_, one)| one.kind == "Secret" && held_by_accounts.contains(&one.name));
        let problem = |(at, service): (usize, &Service)| {
            let rule =
                format!("the secret {} belongs to a service account, and buildpacks may not read it", service.name);
            Problem::new(format!("spec.build.services[{at}]"), rule)
        };
        forbidden.map(problem).collect()
    }

    /// Why it cannot become `new` by a change.
    pub fn refusals(&self, new: &Self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.spec.tag != new.spec.tag {
            let rule = format!("it stays {}: another tag is another image", self.spec.tag);
            problems.push(Problem::new("spec.tag", rule));
        }
        let volume = |image: &'_ Self| image.spec.cache.as_ref().and_then(|cache| cache.volume.clone());
        if let (Some(old), Some(new)) = (volume(self), volume(new)) {
            if new.size < old.size {
                problems.push(Problem::new("spec.cache.volume.size", format!("it only grows, and is {}", old.size)));
            }
            if new.storage_class_name != old.storage_class_name {
                problems.push(Problem::new("spec.cache.volume.storageClassName", "it stays"));
            }
        }
        problems
    }
}

impl BuildSettings {
    fn problems(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |at: String, rule: &str| problems.push(Problem::new(format!("{path}.{at}"), rule));
        let mut seen = BTreeSet::new();
        for (at, service) in self.services.iter().enumerate() {
            if service.kind.is_empty() {
                problem(format!("services[{at}].kind"), "it is empty");
            }
            if !seen.insert(&service.name) {
                problem(format!("services[{at}].name"), "another binding has the same name");
            }
        }
        for (at, variable) in self.env.iter().enumerate() {
            if variable.name.is_empty() || variable.name.contains(['=', '\0']) {
                problem(format!("env[{at}].name"), "it is the name of a variable: not empty, and without `=`");
            }
        }
        if self.node_selector.contains_key("kubernetes.io/os") {
            problem("nodeSelector".to_owned(), "the operating system follows from the builder");
        }
        if self.build_timeout == Some(0) {
            problem("buildTimeout".to_owned(), "it is at least 1 second");
        }
        if let Some(time) = &self.creation_time
            && !(time.is_empty() || time == "now" || time.parse::<u64>().is_ok())
        {
            problem("creationTime".to_owned(), "it is empty, `now`, or seconds since 1970");
        }
        problems
    }
}
