//! Manifests: one resource as people write it, in kpack's words.
//!
//! It comes as a JSON value, so that whoever reads YAML or TOML stays outside. What is not known is refused with its path;
//! what a cluster adds by itself (`metadata.uid`, `status`) is passed over.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{
    Problem, Refused,
    builder::{Builder, BuilderKind, BuilderSpec},
    image::{Image, ImageSpec, ImageStatus, Metadata, Watch},
    name::Name,
    package::{Package, PackageKind, PackageSpec},
    read::{read, text},
    stack::{Stack, StackSpec, Store, StoreSpec},
};

/// What is read: kpack's resources, and ours, which are the same with `updatePolicy` and `watch`.
const KPACK: &str = "kpack.io/v1alpha2";
const OURS: &str = "stave/v1";

/// A field, and whether it is said.
type OnlyOurs = (&'static str, fn(&ImageSpec) -> bool);

/// The fields of an image that kpack does not have, and whether they are said.
const ONLY_OURS: [OnlyOurs; 2] = [
    ("spec.updatePolicy", |spec| !spec.update_policy.is_default()),
    ("spec.watch", |spec| spec.watch != Watch::default()),
];

/// What a cluster writes into `metadata` by itself.
const SERVER_OWNED: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// An image.
    Image(Box<Image>),
    /// A builder, of one namespace or of all.
    Builder(Box<Builder>),
    /// A stack.
    Stack(Box<Stack>),
    /// A store.
    Store(Box<Store>),
    /// A buildpack, of one namespace or of all.
    Package(Box<Package>),
}

/// Reads one manifest and checks all that can be checked without asking anybody.
pub fn parse(manifest: &Value) -> Result<Resource, Refused> {
    let subject = subject(manifest);
    resource(manifest).map_err(|problems| Refused { subject, problems })
}

/// Kind and name, as far as they are there.
fn subject(manifest: &Value) -> String {
    let word = |value: Option<&Value>, otherwise: &str| {
        let text = value.and_then(Value::as_str).unwrap_or(otherwise);
        text.chars().take(100).collect::<String>().escape_debug().to_string()
    };
    let kind = word(manifest.get("kind"), "the manifest");
    let metadata = manifest.get("metadata");
    let name = metadata.and_then(|metadata| metadata.get("name"));
    match (name, metadata.and_then(|metadata| metadata.get("namespace"))) {
        (None, _) => kind,
        (name, None) => format!("{kind} `{}`", word(name, "?")),
        (name, namespace) => format!("{kind} `{}/{}`", word(namespace, "?"), word(name, "?")),
    }
}

fn resource(manifest: &Value) -> Result<Resource, Vec<Problem>> {
    let one = |path: &str, rule: String| vec![Problem::new(path, rule)];
    let Some(object) = manifest.as_object() else {
        return Err(one("manifest", "it is an object with apiVersion, kind, metadata and spec".to_owned()));
    };
    let version = text(object, "apiVersion").unwrap_or_default();
    if ![KPACK, OURS].contains(&version) {
        return Err(one("apiVersion", format!("`{}` is not read: write {KPACK} or {OURS}", version.escape_debug())));
    }
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    if let Some(other) = object.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(one(&other.escape_debug().to_string(), "unknown field".to_owned()));
    }
    let resource = match text(object, "kind").unwrap_or_default() {
        "Image" => {
            let (metadata, spec) = parts::<ImageSpec>(object)?;
            Resource::Image(Box::new(Image { metadata, spec, status: ImageStatus::default() }))
        }
        kind @ ("Builder" | "ClusterBuilder") => {
            let kind = if kind == "Builder" { BuilderKind::Builder } else { BuilderKind::ClusterBuilder };
            let (metadata, spec) = parts::<BuilderSpec>(object)?;
            Resource::Builder(Box::new(Builder { kind, metadata, spec }))
        }
        "ClusterStack" => {
            let (metadata, spec) = parts::<StackSpec>(object)?;
            Resource::Stack(Box::new(Stack { metadata, spec }))
        }
        "ClusterStore" => {
            let (metadata, spec) = parts::<StoreSpec>(object)?;
            Resource::Store(Box::new(Store { metadata, spec }))
        }
        kind @ ("Buildpack" | "ClusterBuildpack") => {
            let kind = if kind == "Buildpack" { PackageKind::Buildpack } else { PackageKind::ClusterBuildpack };
            let (metadata, spec) = parts::<PackageSpec>(object)?;
            Resource::Package(Box::new(Package { kind, metadata, spec }))
        }
        "Build" => return Err(one("kind", "builds are made by the platform, not by hand".to_owned())),
        other => {
            let known = "Image, Builder, ClusterBuilder, ClusterStack, ClusterStore, Buildpack and ClusterBuildpack";
            return Err(one("kind", format!("`{}` is not known; {known} are", other.escape_debug())));
        }
    };
    let mut problems = resource.problems();
    if let Resource::Image(image) = &resource
        && version == KPACK
    {
        let said = ONLY_OURS.iter().filter(|(_, is_said)| is_said(&image.spec));
        problems.extend(
            said.map(|(path, _)| Problem::new(*path, format!("kpack does not know it: write apiVersion: {OURS}"))),
        );
    }
    if problems.is_empty() { Ok(resource) } else { Err(problems) }
}

/// `metadata` and `spec`.
fn parts<S: DeserializeOwned>(object: &Map<String, Value>) -> Result<(Metadata, S), Vec<Problem>> {
    let mut metadata = object.get("metadata").cloned().unwrap_or_default();
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.retain(|key, _| !SERVER_OWNED.contains(&key.as_str()));
    }
    let metadata = read(&metadata, "metadata");
    let empty = Value::Object(Map::new());
    let spec = read(object.get("spec").unwrap_or(&empty), "spec");
    match (metadata, spec) {
        (Ok(metadata), Ok(spec)) => Ok((metadata, spec)),
        (metadata, spec) => Err(metadata.err().into_iter().chain(spec.err()).collect()),
    }
}

impl Resource {
    /// Its kind, as manifests have it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Image(_) => "Image",
            Self::Builder(builder) if builder.kind == BuilderKind::Builder => "Builder",
            Self::Builder(_) => "ClusterBuilder",
            Self::Stack(_) => "ClusterStack",
            Self::Store(_) => "ClusterStore",
            Self::Package(package) if package.kind == PackageKind::Buildpack => "Buildpack",
            Self::Package(_) => "ClusterBuildpack",
        }
    }

    /// What it is called.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Image(image) => &image.metadata,
            Self::Builder(builder) => &builder.metadata,
            Self::Stack(stack) => &stack.metadata,
            Self::Store(store) => &store.metadata,
            Self::Package(package) => &package.metadata,
        }
    }

    /// The namespace that it is of, unless it is of all.
    pub fn set_namespace(&mut self, namespace: Name) {
        match self {
            Self::Image(image) => image.metadata.namespace = Some(namespace),
            Self::Builder(builder) if builder.kind == BuilderKind::Builder => {
                builder.metadata.namespace = Some(namespace);
            }
            Self::Package(package) if package.kind == PackageKind::Buildpack => {
                package.metadata.namespace = Some(namespace);
            }
            Self::Builder(_) | Self::Stack(_) | Self::Store(_) | Self::Package(_) => {}
        }
    }

    /// The manifest that it is read from: kpack's, unless it says what only ours can say. How often it was changed is not a
    /// part of it.
    pub fn manifest(&self) -> Value {
        let metadata = Metadata { generation: 0, ..self.metadata().clone() };
        let spec = match self {
            Self::Image(image) => serde_json::to_value(&image.spec),
            Self::Builder(builder) => serde_json::to_value(&builder.spec),
            Self::Stack(stack) => serde_json::to_value(&stack.spec),
            Self::Store(store) => serde_json::to_value(&store.spec),
            Self::Package(package) => serde_json::to_value(&package.spec),
        };
        let is_ours = matches!(self, Self::Image(image) if ONLY_OURS.iter().any(|(_, is_said)| is_said(&image.spec)));
        json!({
            "apiVersion": if is_ours { OURS } else { KPACK },
            "kind": self.kind(),
            "metadata": metadata,
            "spec": spec.unwrap_or_default(),
        })
    }

    /// What is wrong with it.
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Image(image) => image.problems(),
            Self::Builder(builder) => builder.problems(),
            Self::Stack(stack) => stack.problems(),
            Self::Store(store) => store.problems(),
            Self::Package(package) => package.problems(),
        }
    }
}

#[cfg(test)]
mod tests;
