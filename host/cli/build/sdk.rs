//! Packs the SDK and the contract for `stave buildpack new`: the source as it is, its `Cargo.toml` without this workspace.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

/// Where the SDK's bindings find the contract: here, and in a folder that stands alone.
const CONTRACT: [&str; 2] = ["\"../../wit/", "\"wit/"];

/// Writes the files to `out/stave-sdk`, and `out/stave-sdk.rs`, which lists them with their text, sorted by path.
pub(crate) fn pack(root: &Path, out: &Path) {
    let sdk = root.join("buildpacks/sdk");
    let mut files = vec![("Cargo.toml".to_owned(), standing_alone(root, &read(&sdk.join("Cargo.toml"))))];
    let mut contracts = BTreeSet::new();
    for path in below(&sdk.join("src")) {
        let text = read(&path);
        let named = text.split(CONTRACT[0]).skip(1).filter_map(|rest| rest.split_once('"'));
        contracts.extend(named.map(|(version, _)| version.to_owned()));
        let name = relative(&sdk, &path);
        if !name.starts_with(TESTING.1) {
            files.push((name, text.replace(CONTRACT[0], CONTRACT[1])));
        }
    }
    files.push(("README.md".to_owned(), read(&sdk.join("README.md"))));
    assert!(!contracts.is_empty(), "the SDK's bindings name the contract");
    for version in contracts {
        let wit = below(&root.join("wit").join(version));
        files.extend(wit.into_iter().map(|path| (relative(root, &path), read(&path))));
    }
    files.sort();
    let folder = out.join("stave-sdk");
    let mut list = "[\n".to_owned();
    for (name, text) in files {
        let path = folder.join(&name);
        fs::create_dir_all(path.parent().expect("it is below the folder")).expect("the output folder can be written");
        fs::write(&path, text).expect("the output folder can be written");
        list.extend(["(\"", &name, "\", include_str!(r\"", &path.display().to_string(), "\")),\n"]);
    }
    list.push(']');
    fs::write(out.join("stave-sdk.rs"), list).expect("the output folder can be written");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("could not read {}: {error}", path.display()))
}

/// Every file below a folder, in the order of their names.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    entries.sort();
    entries.into_iter().flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

fn relative(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).expect("it is below the folder").to_str().expect("our names are text").to_owned()
}

/// The feature that needs crates of this workspace, and what only it has.
const TESTING: (&str, &str) = ("testing", "src/testing/");

/// A `Cargo.toml` in which everything stands that the workspace says for it. What only its own tests and [`TESTING`] need is
/// left out.
fn standing_alone(root: &Path, own: &str) -> String {
    let workspace: Table = read(&root.join("Cargo.toml")).parse().expect("the workspace's Cargo.toml is TOML");
    let workspace = workspace["workspace"].as_table().expect("it is a workspace");
    let mut own: Table = own.parse().expect("the SDK's Cargo.toml is TOML");
    own.remove("dev-dependencies");
    own.remove("target");
    if let Some(Value::Table(features)) = own.get_mut("features") {
        features.remove(TESTING.0);
    }
    // The code still asks for it, and gets no for an answer.
    let asked = format!(
        "[rust]\nunexpected_cfgs = {{ level = \"warn\", check-cfg = ['cfg(feature, values({:?}))'] }}",
        TESTING.0
    );
    own.insert("lints".to_owned(), Value::Table(asked.parse().expect("it is TOML")));
    for (section, of) in [("package", "package"), ("dependencies", "dependencies")] {
        let Some(Value::Table(section)) = own.get_mut(section) else { continue };
        for (name, value) in section.iter_mut() {
            if value.get("workspace").is_some() {
                *value = joined(&workspace[of][name.as_str()], value);
            }
            assert!(value.get("path").is_none(), "the SDK stands alone, and {name} is a crate of this workspace");
        }
    }
    own.to_string()
}

/// What the workspace says, with what the crate says beside it.
fn joined(workspace: &Value, own: &Value) -> Value {
    let Some(own) = own.as_table().filter(|own| own.len() > 1) else { return workspace.clone() };
    let mut joined = match workspace {
        Value::Table(table) => table.clone(),
        version => Table::from_iter([("version".to_owned(), version.clone())]),
    };
    for (key, value) in own.iter().filter(|(key, _)| *key != "workspace") {
        match (joined.get_mut(key), value) {
            (Some(Value::Array(there)), Value::Array(more)) => there.extend(more.iter().cloned()),
            _ => drop(joined.insert(key.clone(), value.clone())),
        }
    }
    Value::Table(joined)
}
