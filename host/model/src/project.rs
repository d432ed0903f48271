//! `project.toml`: what an app says about its own build (CNB project descriptor, schemas 0.1, 0.2 and 0.3).
//!
//! The file belongs to the app and may be written for other tools too: what is not known is answered as a list of keys, to be
//! warned of, and what is known but cannot be done is an error that says so.

use serde::Deserialize;
use toml::Table;

use crate::id::{ExecEnv, InvalidName, VariableName};

mod address;
mod within;

pub use address::without_login;
pub use within::LeftOut;

/// The largest descriptor that is read, in bytes.
pub const MAX_PROJECT: usize = 1 << 20;

/// What a descriptor says about a build.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Project {
    /// The schema's version as written; `0.1` where none is.
    pub schema: String,
    /// The app's version, for the image's label.
    pub version: Option<String>,
    /// Where the source can be found, for the image's label; as written, which may be with a login.
    pub source_url: Option<String>,
    /// The builder.
    pub builder: Option<String>,
    /// Patterns, as gitignore has them, of the files that are the app's.
    pub include: Vec<String>,
    /// Patterns of the files that are not. Only one of the two is given.
    pub exclude: Vec<String>,
    /// Settings for the buildpacks, in order.
    pub settings: Vec<Setting>,
    /// The buildpacks instead of the builder's order; empty where the builder's count.
    pub group: Vec<Reference>,
    /// Buildpacks before those.
    pub pre: Vec<Reference>,
    /// Buildpacks after those.
    pub post: Vec<Reference>,
    /// Keys that mean nothing here, such as `io.buildpacks.grup`.
    pub unknown: Vec<String>,
}

/// A buildpack as a descriptor names it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Reference {
    /// Its id.
    pub id: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Where it is.
    pub uri: Option<String>,
    /// A buildpack written into the descriptor itself.
    pub script: Option<toml::Value>,
    /// The execution environments that it is for; every one where the list is empty.
    #[serde(rename = "exec-env")]
    pub exec_env: Vec<ExecEnv>,
}

/// A setting for the buildpacks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Setting {
    /// Its name, which is one of a variable.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The execution environments that it is for; every one where the list is empty.
    #[serde(default, rename = "exec-env")]
    pub exec_env: Vec<ExecEnv>,
}

/// Why a descriptor is not followed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// It is too long to be one.
    #[error("it has {0} bytes, more than the limit of {MAX_PROJECT}")]
    TooLarge(usize),
    /// It is not TOML, or a key has a value of another kind.
    #[error("it does not follow the format of project.toml")]
    Format(#[source] Box<toml::de::Error>),
    /// A schema that is not known.
    #[error("its schema-version is `{}`; 0.1, 0.2 and 0.3 are known", .0.escape_debug())]
    Schema(String),
    /// Both ways to choose files.
    #[error("it has both `include` and `exclude`; only one of them can be followed")]
    IncludeAndExclude,
    /// A setting's name is none.
    #[error("a setting has no name that can be used")]
    Setting(#[source] InvalidName),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[derive(Default)]
struct About {
    schema_version: Option<String>,
    version: Option<String>,
    source_url: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Build {
    include: Vec<String>,
    exclude: Vec<String>,
    builder: Option<String>,
    buildpacks: Vec<Reference>,
    env: Vec<Setting>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Buildpacks {
    include: Vec<String>,
    exclude: Vec<String>,
    builder: Option<String>,
    group: Vec<Reference>,
    pre: Group,
    post: Group,
    build: Settings,
    /// The older place of `build.env`.
    env: OldSettings,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Group {
    group: Vec<Reference>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Settings {
    env: Vec<Setting>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OldSettings {
    build: Vec<Setting>,
}

/// Keys that have a meaning in schema 0.1, with those below them after a dot; `*` stands for whatever is written there.
const KEYS_1: [&str; 18] = [
    "_.schema-version",
    "project.id",
    "project.name",
    "project.version",
    "project.authors",
    "project.documentation-url",
    "project.source-url",
    "project.licenses.type",
    "project.licenses.uri",
    "build.include",
    "build.exclude",
    "build.builder",
    "build.buildpacks.id",
    "build.buildpacks.version",
    "build.buildpacks.uri",
    "build.buildpacks.script.*",
    "build.env.name",
    "build.env.value",
];

/// The same for 0.2 and 0.3. What is below `io` and not of buildpacks is another tool's.
const KEYS_2: [&str; 24] = [
    "_.schema-version",
    "_.id",
    "_.name",
    "_.version",
    "_.authors",
    "_.documentation-url",
    "_.source-url",
    "_.licenses.type",
    "_.licenses.uri",
    "_.metadata.*",
    "io.buildpacks.builder",
    "io.buildpacks.include",
    "io.buildpacks.exclude",
    "io.buildpacks.group.*",
    "io.buildpacks.pre.group.*",
    "io.buildpacks.post.group.*",
    "io.buildpacks.build.env.name",
    "io.buildpacks.build.env.value",
    "io.buildpacks.env.build.name",
    "io.buildpacks.env.build.value",
    "io.buildpacks.build.env.exec-env",
    "io.buildpacks.env.build.exec-env",
    "com.*",
    "org.*",
];

impl Project {
    /// Reads a descriptor.
    pub fn parse(text: &str) -> Result<Self, ProjectError> {
        if text.len() > MAX_PROJECT {
            return Err(ProjectError::TooLarge(text.len()));
        }
        let table: Table = toml::from_str(text).map_err(format)?;
        let head: About = part(&table, &["_"])?;
        let schema = head.schema_version.clone().unwrap_or_else(|| "0.1".to_owned());
        let mut project = match schema.as_str() {
            "0.1" => Self::first(&table)?,
            "0.2" | "0.3" => Self::second(&table, head)?,
            _ => return Err(ProjectError::Schema(schema.chars().take(40).collect())),
        };
        if !project.include.is_empty() && !project.exclude.is_empty() {
            return Err(ProjectError::IncludeAndExclude);
        }
        for setting in &project.settings {
            setting.name.parse::<VariableName>().map_err(ProjectError::Setting)?;
        }
        let known: &[&str] = if schema == "0.1" { &KEYS_1 } else { &KEYS_2 };
        unknown_keys("", &table, known, &mut project.unknown);
        project.unknown.sort();
        Ok(Self { schema, ..project })
    }

    /// What the image's label says of the source: version and address without its login, where the descriptor has them; else
    /// nothing (CNB platform specification, `project-metadata.toml`).
    pub fn label(&self) -> String {
        if self.version.is_none() && self.source_url.is_none() {
            return String::new();
        }
        let mut source = serde_json::json!({ "type": "project" });
        if let Some(version) = &self.version {
            source["version"] = serde_json::json!({ "declared": version });
        }
        if let Some(url) = &self.source_url {
            source["metadata"] = serde_json::json!({ "url": without_login(url) });
        }
        serde_json::json!({ "source": source }).to_string()
    }

    fn first(table: &Table) -> Result<Self, ProjectError> {
        let about: About = part(table, &["project"])?;
        let mut build: Build = part(table, &["build"])?;
        // This schema does not know execution environments: the key is one of those that mean nothing.
        build.env.iter_mut().for_each(|setting| setting.exec_env.clear());
        build.buildpacks.iter_mut().for_each(|reference| reference.exec_env.clear());
        Ok(Self {
            version: about.version,
            source_url: about.source_url,
            builder: build.builder,
            include: build.include,
            exclude: build.exclude,
            settings: build.env,
            group: build.buildpacks,
            ..Self::default()
        })
    }

    fn second(table: &Table, about: About) -> Result<Self, ProjectError> {
        let buildpacks: Buildpacks = part(table, &["io", "buildpacks"])?;
        Ok(Self {
            version: about.version,
            source_url: about.source_url,
            builder: buildpacks.builder,
            include: buildpacks.include,
            exclude: buildpacks.exclude,
            settings: [buildpacks.env.build, buildpacks.build.env].concat(),
            group: buildpacks.group,
            pre: buildpacks.pre.group,
            post: buildpacks.post.group,
            ..Self::default()
        })
    }
}

fn format(error: toml::de::Error) -> ProjectError {
    ProjectError::Format(Box::new(error))
}

/// The table at a path; an empty one where there is none.
fn part<T: for<'de> Deserialize<'de> + Default>(table: &Table, path: &[&str]) -> Result<T, ProjectError> {
    let mut value = table.get(path[0]);
    for name in &path[1..] {
        value = value.and_then(|value| value.get(name));
    }
    value.map_or_else(|| Ok(T::default()), |value| value.clone().try_into().map_err(format))
}

/// Adds the keys of a table that no entry of `known` speaks of.
fn unknown_keys(at: &str, table: &Table, known: &[&str], unknown: &mut Vec<String>) {
    for (key, value) in table {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        let is_open = known.iter().any(|entry| {
            entry.strip_suffix(".*").is_some_and(|start| path == start || path.starts_with(&format!("{start}.")))
        });
        if is_open || known.contains(&path.as_str()) || unknown.contains(&path) {
            continue;
        }
        if !known.iter().any(|entry| entry.starts_with(&format!("{path}."))) {
            unknown.push(path);
            continue;
        }
        let tables: Vec<&Table> = match value {
            toml::Value::Table(table) => vec![table],
            toml::Value::Array(items) => items.iter().filter_map(toml::Value::as_table).collect(),
            _ => Vec::new(),
        };
        for table in tables {
            unknown_keys(&path, table, known, unknown);
        }
    }
}

#[cfg(test)]
mod tests;
