//! The table of crates in `host/README.md` is what cargo sees: imports run one way, and each outside library that is
//! named there has one door.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use crate::support::process::root;

/// One row of the table.
#[derive(Debug, PartialEq)]
struct Row {
    /// Its place; none for what stands apart.
    order: Option<u32>,
    /// Outside libraries that are for this crate alone, or for it and others whose rows name them too.
    alone: BTreeSet<String>,
}

/// The table `| Order | Crate | What it is | Alone may use |`, by crate.
fn table(text: &str) -> BTreeMap<String, Row> {
    let rows = text.lines().skip_while(|line| !line.starts_with("| Order | Crate |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [order, name, _, alone] = cells[..] else { panic!("not four cells: {line}") };
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let name = quoted(name).into_iter().next().unwrap_or_else(|| panic!("no `crate`: {line}"));
        (name, Row { order: order.parse().ok(), alone: quoted(alone).into_iter().collect() })
    })
    .collect()
}

/// What a crate is built of; what only its tests use does not count.
fn imports(package: &Package) -> impl Iterator<Item = &str> {
    let counted = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    counted.map(|dependency| dependency.name.as_str())
}

/// Everything in which the table and the crates differ.
fn differences(table: &BTreeMap<String, Row>, crates: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for name in table.keys().filter(|name| !crates.contains_key(*name)) {
        found.push(format!("{name} is in the table and not in host/"));
    }
    for (name, imports) in crates {
        let Some(row) = table.get(name) else {
            found.push(format!("{name} is in host/ and not in the table"));
            continue;
        };
        for import in imports {
            let Some(ours) = import.strip_prefix("stave-") else {
                let allowed: Vec<&String> =
                    table.iter().filter(|(_, r)| r.alone.contains(import)).map(|(n, _)| n).collect();
                if !allowed.is_empty() && !allowed.contains(&name) {
                    found.push(format!("{name} uses {import}, which is for {allowed:?} alone"));
                }
                continue;
            };
            let is_above = match (row.order, table.get(ours).and_then(|row| row.order)) {
                (Some(own), Some(other)) => other < own,
                // What stands apart takes the words and nothing else.
                (None, Some(other)) => other == 1,
                (_, None) => false,
            };
            if !is_above {
                found.push(format!("{name} imports {ours}, which does not stand above it"));
            }
        }
    }
    found
}

#[test]
fn imports_run_one_way() {
    let readme = fs::read_to_string(root().join("host/README.md")).unwrap();
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec().unwrap();
    let host = root().join("host");
    let crates: BTreeMap<String, Vec<String>> = metadata
        .packages
        .iter()
        .filter(|package| package.manifest_path.as_std_path().starts_with(&host))
        .map(|package| {
            let folder = package.manifest_path.parent().unwrap().file_name().unwrap().to_owned();
            assert_eq!(package.name.as_str(), format!("stave-{folder}"), "a package is called like its folder");
            (folder, imports(package).map(str::to_owned).collect())
        })
        .collect();
    assert!(crates.len() > 5, "these are not all: {crates:?}");
    assert_eq!(differences(&table(&readme), &crates), Vec::<String>::new());
}

#[test]
fn a_wrong_import_is_found() {
    let table = table(
        "| Order | Crate | What it is | Alone may use |\n|---|---|---|---|\n| 1 | `model` | words | – |\n\
         | 2 | [`engine`](engine) | runs | `wasmtime`, `wasmtime-wasi` |\n| – | `launcher` | starts | – |\n",
    );
    let crates = |imports: &[(&str, &[&str])]| {
        imports.iter().map(|(n, i)| ((*n).to_owned(), i.iter().map(|i| (*i).to_owned()).collect())).collect()
    };
    let good =
        crates(&[("model", &["serde"]), ("engine", &["wasmtime", "stave-model"]), ("launcher", &["stave-model"])]);
    assert_eq!(differences(&table, &good), Vec::<String>::new());
    let bad = crates(&[("model", &["wasmtime", "stave-engine"]), ("launcher", &["stave-engine"]), ("shed", &[])]);
    assert_eq!(
        differences(&table, &bad),
        [
            "engine is in the table and not in host/",
            "launcher imports engine, which does not stand above it",
            "model uses wasmtime, which is for [\"engine\"] alone",
            "model imports engine, which does not stand above it",
            "shed is in host/ and not in the table",
        ]
    );
}
