//! Base image + layers + launch → the new image's configuration and labels, as the CNB lifecycle writes them.
//!
//! `pack inspect`, `pack rebase` and every other tool of the field read these labels, so their shape is not ours to improve
//! (platform specification, "Labels"). What the base says and nobody here changes is handed on untouched, known or not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    digest::Digest,
    id::{BuildpackId, ExecEnv, LayerName, ProcessType},
    layer::Usage,
    restore::Stack,
    target::Distro,
    time,
};

pub mod exec_env;

pub use exec_env::{EXEC_ENV_LABEL, EXEC_ENV_VARIABLE, PLATFORM_API_EXEC_ENV};

/// When everything in an image was made, where nobody says: the same instant for all, so that it says nothing (lifecycle's
/// constant).
pub const CREATED: &str = "1980-01-01T00:00:01Z";
/// The platform API whose image shape this is; the launcher and rebasers read it from the environment.
pub const PLATFORM_API: &str = "0.14";
/// Where layers stand in the image.
pub const LAYERS_DIR: &str = "/layers";
/// Where bills of materials stand in the image.
pub const SBOM_DIR: &str = "/layers/sbom";
/// Where the app stands in the image.
pub const APP_DIR: &str = "/workspace";
/// The launcher's place in the image.
pub const LAUNCHER: &str = "/cnb/lifecycle/launcher";
/// The folder with one link to the launcher for each process type.
pub const PROCESS_DIR: &str = "/cnb/process";

/// The label that rebasing and layer reuse live on.
pub const LIFECYCLE_LABEL: &str = "io.buildpacks.lifecycle.metadata";
/// The label that says what was built by whom.
pub const BUILD_LABEL: &str = "io.buildpacks.build.metadata";
/// The label that says where the source came from.
pub const PROJECT_LABEL: &str = "io.buildpacks.project.metadata";

/// A reference to a layer by the digest of its uncompressed tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSha {
    /// The diffID; an empty text where there is no such layer.
    pub sha: String,
}

impl From<Digest> for LayerSha {
    fn from(diff_id: Digest) -> Self {
        Self { sha: diff_id.to_string() }
    }
}

/// The value of [`LIFECYCLE_LABEL`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LifecycleMetadata {
    /// One layer a slice, then the rest.
    pub app: Vec<LayerSha>,
    /// The layer with the bills of materials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<LayerSha>,
    /// Buildpacks and their launch layers, in the order they ran.
    pub buildpacks: Vec<BuildpackLayers>,
    /// The layer with the launcher's `metadata.toml`.
    pub config: LayerSha,
    /// The layer with the launcher.
    pub launcher: LayerSha,
    /// The layer with the process links.
    #[serde(rename = "process-types")]
    pub process_types: LayerSha,
    /// The base.
    #[serde(rename = "runImage")]
    pub run_image: RunImage,
    /// The base again, for old readers.
    pub stack: StackMetadata,
    /// The execution environment, where the image says it.
    #[serde(rename = "exec-env", default, skip_serializing_if = "Option::is_none")]
    pub exec_env: Option<ExecEnv>,
}

/// What one buildpack left in an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildpackLayers {
    /// Its id.
    pub key: BuildpackId,
    /// Its version.
    pub version: String,
    /// Its launch layers by name.
    pub layers: BTreeMap<LayerName, LayerEntry>,
    /// Notes for its next build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Store>,
}

/// A buildpack's notes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// The notes.
    pub metadata: BTreeMap<String, String>,
}

/// One launch layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerEntry {
    /// Its diffID.
    pub sha: String,
    /// The buildpack's metadata of it.
    pub data: BTreeMap<String, String>,
    /// What it is for.
    #[serde(flatten)]
    pub usage: Usage,
}

/// The base as recorded for rebasing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunImage {
    /// The diffID of the base's last layer: everything up to it is replaced when rebasing.
    #[serde(rename = "topLayer")]
    pub top_layer: String,
    /// Where exactly it was found.
    pub reference: String,
    /// The name that people use for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Other names of the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
}

/// The base's names in the old place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StackMetadata {
    /// The names.
    pub run_image: RunImageNames,
}

/// Names of a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunImageNames {
    /// The name that people use for it.
    pub image: String,
    /// Other names of the same.
    #[serde(default)]
    pub mirrors: Vec<String>,
}

/// One layer that is put on the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Who made it, for the image's history.
    pub created_by: String,
}

/// Everything that is put on the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// Layers, bottom first.
    pub layers: Vec<NewLayer>,
    /// Labels; later ones win.
    pub labels: Vec<(String, String)>,
    /// The process that starts when none is named.
    pub default_process: Option<ProcessType>,
    /// What the image says of its execution environment ([`exec_env::to_say`]).
    pub exec_env: Option<ExecEnv>,
    /// When the image was made, in seconds since 1970; [`CREATED`] when none.
    pub created: Option<u64>,
}

/// A base image that nothing can be put on.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not JSON, or not an object.
    #[error("the base image's configuration is not a JSON object")]
    Format(#[source] Option<serde_json::Error>),
    /// A member has another type than the OCI image spec gives it.
    #[error("the base image's configuration has no valid `{0}`")]
    Member(&'static str),
}

/// The numeric user and group that own what is added: the base's `CNB_USER_ID` and `CNB_GROUP_ID`, or root when it names none.
pub fn owner(base_config: &[u8]) -> Result<(u32, u32), ImageError> {
    let config = parse(base_config)?;
    let env = env_of(&config)?;
    let number = |name: &str| {
        let value = env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    Ok((number("CNB_USER_ID"), number("CNB_GROUP_ID")))
}

/// The kind of a base, or of the base that an image stands on: an image keeps its base's labels and environment.
pub fn stack(config: &[u8]) -> Result<Stack, ImageError> {
    let owner = owner(config)?;
    let config = parse(config)?;
    let label = |name: &str| config.get("config")?.get("Labels")?.get(name)?.as_str().map(str::to_owned);
    let distro = label("io.buildpacks.base.distro.name")
        .map(|name| Distro { name, version: label("io.buildpacks.base.distro.version").unwrap_or_default() });
    Ok(Stack { distro, owner, ..Stack::default() })
}

/// The new image's configuration as JSON: the base's, with `addition` on top.
pub fn assemble(base_config: &[u8], addition: &Addition) -> Result<Vec<u8>, ImageError> {
    let mut config = parse(base_config)?;
    let env = extend_env(env_of(&config)?, addition.exec_env.as_ref());
    let base_layers = add_diff_ids(&mut config, addition)?;
    let created = addition.created.map_or_else(|| CREATED.to_owned(), time::rfc3339);
    rewrite_history(&mut config, base_layers, addition, &created)?;
    config.insert("created".to_owned(), json!(created));
    let run = object_in(&mut config, "config")?;
    run.insert("Env".to_owned(), json!(env));
    run.insert("WorkingDir".to_owned(), json!(APP_DIR));
    run.insert("Entrypoint".to_owned(), json!([entrypoint(addition.default_process.as_ref())]));
    run.remove("Cmd");
    let labels = object_in(run, "Labels")?;
    // What the base was built for, if it was, says nothing of the app.
    labels.remove(EXEC_ENV_LABEL);
    for (name, value) in &addition.labels {
        labels.insert(name.clone(), json!(value));
    }
    if let Some(exec_env) = &addition.exec_env {
        labels.insert(EXEC_ENV_LABEL.to_owned(), json!(exec_env));
    }
    Ok(Value::Object(config).to_string().into_bytes())
}

/// When an image was made, in seconds since 1970, if its configuration says so as [`assemble`] does.
pub fn created(config: &[u8]) -> Option<u64> {
    time::seconds(parse(config).ok()?.get("created")?.as_str()?)
}

fn entrypoint(default: Option<&ProcessType>) -> String {
    default.map_or_else(|| LAUNCHER.to_owned(), |kind| format!("{PROCESS_DIR}/{kind}"))
}

pub(crate) fn parse(config: &[u8]) -> Result<Map<String, Value>, ImageError> {
    match serde_json::from_slice(config).map_err(|error| ImageError::Format(Some(error)))? {
        Value::Object(members) => Ok(members),
        _ => Err(ImageError::Format(None)),
    }
}

/// The object at `name`, made if it is missing or null.
pub(crate) fn object_in<'a>(
    parent: &'a mut Map<String, Value>,
    name: &'static str,
) -> Result<&'a mut Map<String, Value>, ImageError> {
    let value = parent.entry(name).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut().ok_or(ImageError::Member(name))
}

pub(crate) fn env_of(config: &Map<String, Value>) -> Result<Vec<String>, ImageError> {
    match config.get("config").and_then(|run| run.get("Env")) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(entries)) => entries
            .iter()
            .map(|entry| entry.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or(ImageError::Member("Env")),
        Some(_) => Err(ImageError::Member("Env")),
    }
}

/// Sets the launcher's variables in place where they are there, at the end where they are not. A base's execution environment
/// is not the app's.
fn extend_env(mut env: Vec<String>, said: Option<&ExecEnv>) -> Vec<String> {
    let api = if said.is_some() { PLATFORM_API_EXEC_ENV } else { PLATFORM_API };
    let exec_env = exec_env::variable(said);
    if exec_env.is_none() {
        env.retain(|entry| entry.split_once('=').is_none_or(|(name, _)| name != EXEC_ENV_VARIABLE));
    }
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or("").to_owned();
    let path = [PROCESS_DIR, "/cnb/lifecycle", path.as_str()].join(":");
    let usual = [
        ("CNB_LAYERS_DIR", LAYERS_DIR),
        ("CNB_APP_DIR", APP_DIR),
        ("CNB_PLATFORM_API", api),
        ("CNB_DEPRECATION_MODE", "quiet"),
        ("PATH", path.trim_end_matches(':')),
    ];
    for (name, value) in usual.into_iter().chain(exec_env.map(|exec_env| (EXEC_ENV_VARIABLE, exec_env.as_str()))) {
        let entry = format!("{name}={value}");
        match env.iter_mut().find(|old| old.split_once('=').is_some_and(|(old, _)| old == name)) {
            Some(old) => *old = entry,
            None => env.push(entry),
        }
    }
    env
}

/// Adds the diffIDs; answers how many the base has.
fn add_diff_ids(config: &mut Map<String, Value>, addition: &Addition) -> Result<usize, ImageError> {
    let rootfs = object_in(config, "rootfs")?;
    rootfs.insert("type".to_owned(), json!("layers"));
    let ids = rootfs.entry("diff_ids").or_insert(json!([])).as_array_mut().ok_or(ImageError::Member("diff_ids"))?;
    let base = ids.len();
    ids.extend(addition.layers.iter().map(|layer| json!(layer.diff_id)));
    Ok(base)
}

/// One entry a layer, all of the same instant; blank ones if the base's history does not fit its layers (as the lifecycle does).
fn rewrite_history(
    config: &mut Map<String, Value>,
    base_layers: usize,
    addition: &Addition,
    created: &str,
) -> Result<(), ImageError> {
    let history = config.entry("history").or_insert(json!([]));
    let entries = history.as_array_mut().ok_or(ImageError::Member("history"))?;
    entries.retain(|entry| entry.get("empty_layer") != Some(&Value::Bool(true)));
    if entries.len() != base_layers {
        *entries = vec![json!({}); base_layers];
    }
    entries.extend(addition.layers.iter().map(|layer| json!({ "created_by": layer.created_by })));
    for entry in entries {
        entry.as_object_mut().ok_or(ImageError::Member("history"))?.insert("created".to_owned(), json!(created));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addition() -> Addition {
        Addition {
            layers: vec![NewLayer { diff_id: Digest::of(b"new"), created_by: "Application Layer".to_owned() }],
            labels: vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())],
            default_process: Some("web".parse().unwrap()),
            created: None,
            exec_env: None,
        }
    }

    #[test]
    fn puts_layers_labels_and_launch_on_the_base() {
        let base = json!({
            "architecture": "arm64", "os": "linux", "variant": "v8", "created": "2026-01-01T00:00:00Z",
            "config": { "Env": ["PATH=/usr/bin", "CNB_USER_ID=1001", "CNB_GROUP_ID=1000"], "User": "1002:1000",
                        "Cmd": ["sh"], "Labels": { "io.buildpacks.base.id": "x" }, "StopSignal": "SIGINT" },
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(b"base")] },
            "history": [{ "created_by": "base" }, { "created_by": "env", "empty_layer": true }],
            "x-unknown": 7
        });
        let base = base.to_string();
        assert_eq!(owner(base.as_bytes()).unwrap(), (1001, 1000));
        let config: Value = serde_json::from_slice(&assemble(base.as_bytes(), &addition()).unwrap()).unwrap();
        assert_eq!(config["created"], CREATED);
        assert_eq!(config["variant"], "v8");
        assert_eq!(config["x-unknown"], 7, "what nobody here knows is handed on");
        assert_eq!(config["config"]["User"], "1002:1000");
        assert_eq!(config["config"]["StopSignal"], "SIGINT");
        assert_eq!(config["config"]["Entrypoint"], json!(["/cnb/process/web"]));
        assert_eq!(config["config"].get("Cmd"), None);
        assert_eq!(config["config"]["WorkingDir"], "/workspace");
        assert_eq!(config["config"]["Labels"], json!({ "io.buildpacks.base.id": "x", "a": "2" }));
        assert_eq!(config["config"]["Env"][0], "PATH=/cnb/process:/cnb/lifecycle:/usr/bin");
        assert_eq!(config["rootfs"]["diff_ids"], json!([Digest::of(b"base"), Digest::of(b"new")]));
        assert_eq!(
            config["history"],
            json!([{ "created": CREATED, "created_by": "base" }, { "created": CREATED, "created_by": "Application Layer" }])
        );
    }

    #[test]
    fn an_instant_that_somebody_names_is_everywhere() {
        let base = json!({ "created": "2026-01-01T00:00:00Z", "rootfs": { "diff_ids": [Digest::of(b"base")] },
                           "history": [{ "created_by": "base", "created": "2026-01-01T00:00:00Z" }] });
        let addition = Addition { created: Some(1_735_689_599), ..addition() };
        let config: Value = serde_json::from_slice(&assemble(base.to_string().as_bytes(), &addition).unwrap()).unwrap();
        let all = [&config["created"], &config["history"][0]["created"], &config["history"][1]["created"]];
        assert_eq!(all, ["2024-12-31T23:59:59Z"; 3]);
        assert_eq!(created(config.to_string().as_bytes()), addition.created);
        assert_eq!((created(b"{}"), created(br#"{"created":"now"}"#)), (None, None));
    }

    #[test]
    fn a_base_that_says_little_will_do() {
        let config: Value = serde_json::from_slice(&assemble(b"{}", &addition()).unwrap()).unwrap();
        assert_eq!(config["config"]["Env"][0], "CNB_LAYERS_DIR=/layers");
        assert_eq!(config["config"]["Env"][4], "PATH=/cnb/process:/cnb/lifecycle");
        assert_eq!(owner(b"{}").unwrap(), (0, 0));
    }

    #[test]
    fn a_base_and_an_image_upon_it_are_of_one_kind() {
        let base = json!({ "config": { "Env": ["CNB_USER_ID=1001", "CNB_GROUP_ID=1000"], "Labels": {
            "io.buildpacks.base.distro.name": "debian", "io.buildpacks.base.distro.version": "12" } } });
        let image = assemble(base.to_string().as_bytes(), &addition()).unwrap();
        let distro = Some(Distro { name: "debian".to_owned(), version: "12".to_owned() });
        assert_eq!(stack(&image).unwrap(), Stack { distro, owner: (1001, 1000), ..Stack::default() });
        assert_eq!(stack(base.to_string().as_bytes()).unwrap(), stack(&image).unwrap());
        assert_eq!(stack(b"{}").unwrap(), Stack::default());
    }

    #[test]
    fn execution_environments_take_a_newer_platform_api() {
        let base = json!({ "config": { "Env": ["CNB_EXEC_ENV=base", "A=1"], "Labels": { EXEC_ENV_LABEL: "base" } } });
        let usual = ["A=1", "CNB_LAYERS_DIR=/layers", "CNB_APP_DIR=/workspace"];
        for (said, api, label, first) in [
            (None, "0.14", Value::Null, None),
            (Some("production"), "0.15", json!("production"), None),
            (Some("test"), "0.15", json!("test"), Some("CNB_EXEC_ENV=test")),
        ] {
            let addition = Addition { exec_env: said.map(|name| name.parse().unwrap()), ..addition() };
            let config = assemble(base.to_string().as_bytes(), &addition).unwrap();
            let config: Value = serde_json::from_slice(&config).unwrap();
            assert_eq!(config["config"]["Labels"][EXEC_ENV_LABEL], label);
            let env = config["config"]["Env"].as_array().unwrap().iter().map(|entry| entry.as_str().unwrap());
            let api = format!("CNB_PLATFORM_API={api}");
            let rest = [&api, "CNB_DEPRECATION_MODE=quiet", "PATH=/cnb/process:/cnb/lifecycle"];
            let all: Vec<&str> = first.into_iter().chain(usual).chain(rest).collect();
            assert_eq!(env.collect::<Vec<_>>(), all);
            // Where the base says nothing of it, it is the last.
            let config = assemble(b"{}", &addition).unwrap();
            assert_eq!(
                first.is_some(),
                String::from_utf8(config).unwrap().contains(r#"lifecycle","CNB_EXEC_ENV=test"]"#)
            );
        }
    }

    #[test]
    fn a_base_that_is_wrong_is_an_error() {
        for (base, message) in [
            ("", "the base image's configuration is not a JSON object"),
            ("[]", "the base image's configuration is not a JSON object"),
            (r#"{"config":[]}"#, "the base image's configuration has no valid `config`"),
            (r#"{"config":{"Env":[1]}}"#, "the base image's configuration has no valid `Env`"),
            (r#"{"rootfs":{"diff_ids":1}}"#, "the base image's configuration has no valid `diff_ids`"),
            (r#"{"history":{}}"#, "the base image's configuration has no valid `history`"),
        ] {
            assert_eq!(assemble(base.as_bytes(), &addition()).unwrap_err().to_string(), message);
        }
    }
}
