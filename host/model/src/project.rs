//! `project.toml`: what an app says about its own build (CNB project descriptor, schemas 0.1, 0.2 and 0.3).
//!
//! The file belongs to the app and may be written for other tools too: what is not known is answered as a list of keys, to be
//! warned of, and what is known but cannot be done is an error that says so.

use serde::Deserialize;
use toml::Table;

use crate::id::{InvalidName, VariableName};

/// The largest descriptor that is read, in bytes.
pub const MAX_PROJECT: usize = 1 << 20;
/// Where an app's processes run, for settings that are for some surroundings only.
const EXECUTION: &str = "production";

/// What a descriptor says about a build.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Project {
    /// The schema's version as written; `0.1` where none is.
    pub schema: String,
    /// The app's version, for the image's label.
    pub version: Option<String>,
    /// Where the source can be found, for the image's label.
    pub source_url: Option<String>,
    /// The builder.
    pub builder: Option<String>,
    /// Patterns, as gitignore has them, of the files that are the app's.
    pub include: Vec<String>,
    /// Patterns of the files that are not. Only one of the two is given.
    pub exclude: Vec<String>,
    /// Settings for the buildpacks, in order.
    pub settings: Vec<(String, String)>,
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

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Setting {
    name: String,
    value: String,
    #[serde(default)]
    exec_env: Vec<String>,
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
        for (name, _) in &project.settings {
            name.parse::<VariableName>().map_err(ProjectError::Setting)?;
        }
        let known: &[&str] = if schema == "0.1" { &KEYS_1 } else { &KEYS_2 };
        unknown_keys("", &table, known, &mut project.unknown);
        project.unknown.sort();
        Ok(Self { schema, ..project })
    }

    /// What the image's label says of the source: version and address, where the descriptor has them; else nothing (CNB
    /// platform specification, `project-metadata.toml`).
    pub fn label(&self) -> String {
        if self.version.is_none() && self.source_url.is_none() {
            return String::new();
        }
        let mut source = serde_json::json!({ "type": "project" });
        if let Some(version) = &self.version {
            source["version"] = serde_json::json!({ "declared": version });
        }
        if let Some(url) = &self.source_url {
            source["metadata"] = serde_json::json!({ "url": url });
        }
        serde_json::json!({ "source": source }).to_string()
    }

    fn first(table: &Table) -> Result<Self, ProjectError> {
        let about: About = part(table, &["project"])?;
        let build: Build = part(table, &["build"])?;
        Ok(Self {
            version: about.version,
            source_url: about.source_url,
            builder: build.builder,
            include: build.include,
            exclude: build.exclude,
            settings: build.env.into_iter().map(|setting| (setting.name, setting.value)).collect(),
            group: build.buildpacks,
            ..Self::default()
        })
    }

    fn second(table: &Table, about: About) -> Result<Self, ProjectError> {
        let buildpacks: Buildpacks = part(table, &["io", "buildpacks"])?;
        let is_for_us = |setting: &Setting| {
            setting.exec_env.is_empty() || setting.exec_env.iter().any(|e| e == "*" || e == EXECUTION)
        };
        let settings = buildpacks.env.build.into_iter().chain(buildpacks.build.env).filter(is_for_us);
        Ok(Self {
            version: about.version,
            source_url: about.source_url,
            builder: buildpacks.builder,
            include: buildpacks.include,
            exclude: buildpacks.exclude,
            settings: settings.map(|setting| (setting.name, setting.value)).collect(),
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
mod tests {
    use super::*;

    #[test]
    fn reads_schema_1() {
        let project = Project::parse(
            r#"
            [project]
            id = "io.example.app"
            name = "App"
            version = "1.2.3"
            source-url = "https://git.example.com/app"
            [[project.licenses]]
            type = "Apache-2.0"
            [build]
            exclude = ["*.md", "/docs/"]
            builder = "builder.toml"
            [[build.buildpacks]]
            id = "acme/tool"
            version = "1.0.0"
            [[build.env]]
            name = "BP_A"
            value = "1"
            "#,
        )
        .unwrap();
        assert_eq!((project.schema.as_str(), project.builder.as_deref()), ("0.1", Some("builder.toml")));
        assert_eq!((project.version.as_deref(), project.exclude.len()), (Some("1.2.3"), 2));
        assert_eq!(project.settings, [("BP_A".to_owned(), "1".to_owned())]);
        assert_eq!(project.group[0].id.as_deref(), Some("acme/tool"));
        assert_eq!(project.unknown, [""; 0]);
        let label = r#"{"source":{"metadata":{"url":"https://git.example.com/app"},"type":"project","version":{"declared":"1.2.3"}}}"#;
        assert_eq!((project.label().as_str(), Project::default().label().as_str()), (label, ""));
    }

    #[test]
    fn reads_schemas_2_and_3() {
        let text = r#"
            [_]
            schema-version = "0.3"
            id = "io.example.app"
            version = "2"
            [_.metadata]
            anything = { goes = "here" }
            [io.buildpacks]
            include = ["src/"]
            [[io.buildpacks.group]]
            uri = "builtin:java"
            [[io.buildpacks.pre.group]]
            id = "acme/first"
            [[io.buildpacks.post.group]]
            id = "acme/last"
            [io.buildpacks.post.group.script]
            api = "0.10"
            inline = "true"
            [[io.buildpacks.build.env]]
            name = "BP_A"
            value = "1"
            [[io.buildpacks.build.env]]
            name = "BP_TEST"
            value = "1"
            exec-env = ["test"]
            [[io.buildpacks.build.env]]
            name = "BP_BOTH"
            value = "1"
            exec-env = ["test", "production"]
            [[io.buildpacks.env.build]]
            name = "BP_OLD"
            value = "1"
            [com.example.tool]
            theirs = true
        "#;
        let project = Project::parse(text).unwrap();
        let settings: Vec<&str> = project.settings.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(settings, ["BP_OLD", "BP_A", "BP_BOTH"]);
        assert_eq!(
            (project.pre[0].id.as_deref(), project.post[0].id.as_deref()),
            (Some("acme/first"), Some("acme/last"))
        );
        assert!(project.post[0].script.is_some() && project.group[0].uri.as_deref() == Some("builtin:java"));
        assert_eq!(project.unknown, [""; 0]);
        assert_eq!(Project::parse(&text.replace("\"0.3\"", "\"0.2\"")).unwrap().include, ["src/"]);
    }

    #[test]
    fn names_the_keys_that_it_does_not_know() {
        let text = r#"
            other = 1
            [_]
            schema-version = "0.2"
            licence = "x"
            [io.buildpacks]
            exlude = ["a"]
            [[io.buildpacks.build.env]]
            name = "A"
            value = "1"
            suffix = "x"
            [io.example]
            a = 1
        "#;
        let unknown = Project::parse(text).unwrap().unknown;
        assert_eq!(
            unknown,
            ["_.licence", "io.buildpacks.build.env.suffix", "io.buildpacks.exlude", "io.example", "other"]
        );
        assert_eq!(Project::parse("[build]\nexlude = []").unwrap().unknown, ["build.exlude"]);
    }

    #[test]
    fn says_why_it_cannot_be_followed() {
        let refused = |text: &str| {
            let error = Project::parse(text).unwrap_err();
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{error}{}", cause.trim_end())
        };
        let said = [
            refused("[_]\nschema-version = \"0.9\""),
            refused("[_]\nschema-version = \"a\\u001b[2J\""),
            refused("[build]\ninclude = [\"a\"]\nexclude = [\"b\"]"),
            refused("[[build.env]]\nname = \"A B\"\nvalue = \"\""),
            refused("[build]\ninclude = 1"),
            refused(&"#".repeat(MAX_PROJECT + 1)),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        its schema-version is `0.9`; 0.1, 0.2 and 0.3 are known
        its schema-version is `a\u{1b}[2J`; 0.1, 0.2 and 0.3 are known
        it has both `include` and `exclude`; only one of them can be followed
        a setting has no name that can be used: `A B` is not a valid variable name: use letters, digits and `_`, not a digit first, at most 128 characters
        it does not follow the format of project.toml: invalid type: integer `1`, expected a sequence
        in `include`
        it has 1048577 bytes, more than the limit of 1048576
        ");
    }
}
