//! An image's configuration → what `pack inspect` tells of it, in the same fields.
//!
//! Images of others are read too: a label that is missing, broken, or holds more than is known here leaves its fields empty
//! and is no error. Lists without entries are null, as `pack` writes them. One thing is told that `pack` keeps to itself: where
//! the base was found, also if the launcher is older than 0.5.0 (which is a number of the lifecycle's launcher, not of ours).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::image::{BUILD_LABEL, ImageError, LIFECYCLE_LABEL, PROCESS_DIR, env_of, parse};

/// What there is to say of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Info {
    /// The stack's id; empty where there is none.
    pub stack: String,
    /// Whether it may be rebased.
    pub rebasable: bool,
    /// The base as it was found.
    pub base_image: BaseImage,
    /// Names of the base.
    pub run_images: Option<Vec<RunImage>>,
    /// What built it.
    pub buildpacks: Option<Vec<Builder>>,
    /// What extended its base.
    pub extensions: Option<Vec<Builder>>,
    /// What can be started in it, the default first.
    pub processes: Option<Vec<Process>>,
}

/// The base as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BaseImage {
    /// The diffID of its last layer.
    pub top_layer: String,
    /// Where exactly it was.
    pub reference: String,
}

/// A name of the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunImage {
    /// The name.
    pub name: String,
}

/// A buildpack or an extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Builder {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Where to read about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub homepage: String,
}

/// A process type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its name.
    pub r#type: String,
    /// `bash` where a shell reads the command, else empty.
    pub shell: String,
    /// The program.
    pub command: String,
    /// Whether it starts when none is named.
    pub default: bool,
    /// What the program is given.
    pub args: Option<Vec<String>>,
    /// Where it starts.
    #[serde(rename = "working-dir")]
    pub working_dir: String,
    /// The execution environments that have it, where not every one does. `pack` keeps that to itself.
    #[serde(rename = "exec-env", skip_serializing_if = "Vec::is_empty")]
    pub exec_env: Vec<String>,
}

/// Reads what an image's configuration and labels say.
pub fn info(config: &[u8]) -> Result<Info, ImageError> {
    let config = parse(config)?;
    let (lifecycle, build) = (label(&config, LIFECYCLE_LABEL), label(&config, BUILD_LABEL));
    let base = |name: &str| text(lifecycle.pointer("/runImage").and_then(|run| run.get(name)));
    Ok(Info {
        stack: plain_label(&config, "io.buildpacks.stack.id").unwrap_or_default().to_owned(),
        rebasable: plain_label(&config, "io.buildpacks.rebasable").is_none_or(|value| value.trim() == "true"),
        base_image: BaseImage { top_layer: base("topLayer"), reference: base("reference") },
        run_images: some(run_images(&lifecycle)),
        buildpacks: some(builders(build.get("buildpacks"))),
        extensions: some(builders(build.get("extensions"))),
        processes: some(processes(&config, &build)),
    })
}

/// The names of each buildpack's launch layers, by the buildpack's id.
pub fn layers(config: &[u8]) -> BTreeMap<String, Vec<String>> {
    let Ok(config) = parse(config) else { return BTreeMap::new() };
    let lifecycle = label(&config, LIFECYCLE_LABEL);
    let buildpacks = lifecycle.get("buildpacks").and_then(Value::as_array).into_iter().flatten();
    let named = buildpacks.map(|buildpack| {
        let layers = buildpack.get("layers").and_then(Value::as_object);
        (text(buildpack.get("key")), layers.map(|all| all.keys().cloned().collect()).unwrap_or_default())
    });
    named.collect()
}

fn plain_label<'a>(config: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    config.get("config")?.get("Labels")?.get(name)?.as_str()
}

fn label(config: &Map<String, Value>, name: &str) -> Value {
    plain_label(config, name).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

/// Texts of a list, or the one text that stands in its place.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) if !one.is_empty() => vec![one.clone()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn run_images(lifecycle: &Value) -> Vec<RunImage> {
    let of = |pointer: &str| {
        let run = lifecycle.pointer(pointer)?;
        let image = text(run.get("image"));
        (!image.is_empty()).then(|| [vec![image], texts(run.get("mirrors"))].concat())
    };
    let names = of("/runImage").or_else(|| of("/stack/runImage")).unwrap_or_default();
    names.into_iter().map(|name| RunImage { name }).collect()
}

fn builders(value: Option<&Value>) -> Vec<Builder> {
    let all = value.and_then(Value::as_array).into_iter().flatten();
    let builder = |one: &Value| Builder {
        id: text(one.get("id")),
        version: text(one.get("version")),
        homepage: text(one.get("homepage")),
    };
    all.map(builder).collect()
}

fn processes(config: &Map<String, Value>, build: &Value) -> Vec<Process> {
    let run = config.get("config");
    let default = default_process(config);
    let folder = text(run.and_then(|run| run.get("WorkingDir")));
    let all = build.get("processes").and_then(Value::as_array).into_iter().flatten();
    let mut processes: Vec<Process> = all
        .map(|one| {
            let mut command = texts(one.get("command"));
            let rest = if command.is_empty() { Vec::new() } else { command.split_off(1) };
            let working_dir = Some(text(one.get("working-dir"))).filter(|own| !own.is_empty());
            let direct = one.get("direct").and_then(Value::as_bool).unwrap_or(false);
            let kind = text(one.get("type"));
            Process {
                default: default.as_ref() == Some(&kind),
                r#type: kind,
                shell: if direct { String::new() } else { "bash".to_owned() },
                command: command.pop().unwrap_or_default(),
                args: some([rest, texts(one.get("args"))].concat()),
                working_dir: working_dir.unwrap_or_else(|| folder.clone()),
                exec_env: texts(one.get("exec-env")),
            }
        })
        .collect();
    // The sort keeps the order among the others.
    processes.sort_by_key(|process| !process.default);
    processes
}

/// The process that starts by default: named by the entrypoint, in images of before platform API 0.4 by a variable.
fn default_process(config: &Map<String, Value>) -> Option<String> {
    let entrypoint = config.get("config").and_then(|run| run.get("Entrypoint"));
    let first = texts(entrypoint).into_iter().next().unwrap_or_default();
    if let Some(kind) = first.strip_prefix(PROCESS_DIR).and_then(|rest| rest.strip_prefix('/')) {
        return Some(kind.to_owned());
    }
    let env = env_of(config).ok()?;
    let value = |name: &str| env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
    let is_old = matches!(value("CNB_PLATFORM_API"), None | Some("0.1" | "0.2" | "0.3"));
    is_old.then(|| value("CNB_PROCESS_TYPE").unwrap_or("web").to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(config: &Value) -> String {
        serde_json::to_string_pretty(&info(config.to_string().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn says_what_pack_says() {
        let build = json!({
            "processes": [
                { "type": "task", "command": ["python", "-m", "task"], "args": ["x"], "direct": true, "working-dir": "/w",
                  "exec-env": ["test"] },
                { "type": "web", "command": "run me", "args": null, "direct": false },
            ],
            "buildpacks": [{ "id": "a/b", "version": "1", "homepage": "https://example.com" }, { "id": "c", "version": "2" }],
            "extensions": null, "launcher": { "version": "0.21.0" },
        });
        let lifecycle = json!({
            "buildpacks": [{ "key": "a/b", "layers": { "l": { "data": { "deep": [1] } } } }],
            "runImage": { "topLayer": "sha256:1", "reference": "run@sha256:2", "image": "run", "mirrors": ["m/run"] },
        });
        let config = json!({ "config": {
            "Entrypoint": ["/cnb/process/web"], "WorkingDir": "/workspace", "Env": ["CNB_PLATFORM_API=0.12"],
            "Labels": { "io.buildpacks.stack.id": "s", "io.buildpacks.rebasable": "false",
                BUILD_LABEL: build.to_string(), LIFECYCLE_LABEL: lifecycle.to_string() },
        } });
        insta::assert_snapshot!(shown(&config), @r#"
        {
          "stack": "s",
          "rebasable": false,
          "base_image": {
            "top_layer": "sha256:1",
            "reference": "run@sha256:2"
          },
          "run_images": [
            {
              "name": "run"
            },
            {
              "name": "m/run"
            }
          ],
          "buildpacks": [
            {
              "id": "a/b",
              "version": "1",
              "homepage": "https://example.com"
            },
            {
              "id": "c",
              "version": "2"
            }
          ],
          "extensions": null,
          "processes": [
            {
              "type": "web",
              "shell": "bash",
              "command": "run me",
              "default": true,
              "args": null,
              "working-dir": "/workspace"
            },
            {
              "type": "task",
              "shell": "",
              "command": "python",
              "default": false,
              "args": [
                "-m",
                "task",
                "x"
              ],
              "working-dir": "/w",
              "exec-env": [
                "test"
              ]
            }
          ]
        }
        "#);
        assert_eq!(layers(config.to_string().as_bytes())["a/b"], ["l"]);
    }

    #[test]
    fn what_is_missing_or_broken_is_empty() {
        let nothing = shown(&json!({}));
        insta::assert_snapshot!(nothing, @r#"
        {
          "stack": "",
          "rebasable": true,
          "base_image": {
            "top_layer": "",
            "reference": ""
          },
          "run_images": null,
          "buildpacks": null,
          "extensions": null,
          "processes": null
        }
        "#);
        let broken =
            json!({ "config": { "Labels": { BUILD_LABEL: "{", LIFECYCLE_LABEL: "[1]" }, "Entrypoint": "sh" } });
        assert_eq!(shown(&broken), nothing);
        let odd = json!({ "processes": [{ "command": [] }, 7], "buildpacks": { "id": 1 } });
        let odd = json!({ "config": { "Labels": { BUILD_LABEL: odd.to_string() } } });
        assert_eq!(info(odd.to_string().as_bytes()).unwrap().processes.unwrap().len(), 2);
        assert!(info(b"[]").is_err());
    }

    #[test]
    fn the_default_of_an_old_image_is_in_its_environment() {
        let default = |env: &[&str], entrypoint: &str| {
            let config = json!({ "config": { "Env": env, "Entrypoint": [entrypoint] } });
            default_process(config.as_object().unwrap())
        };
        assert_eq!(default(&["CNB_PROCESS_TYPE=task"], "/cnb/lifecycle/launcher").as_deref(), Some("task"));
        assert_eq!(default(&["CNB_PLATFORM_API=0.12", "CNB_PROCESS_TYPE=task"], "/cnb/lifecycle/launcher"), None);
        assert_eq!(default(&[], "/cnb/process/x").as_deref(), Some("x"));
    }
}
