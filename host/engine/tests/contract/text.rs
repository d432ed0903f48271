//! The contract's text, as it stands in `wit/`.

use std::{fs, path::PathBuf};

use wit_parser::{FunctionKind, Resolve, WorldId, WorldItem};

/// The folder `wit/`.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit"))
}

/// A version as it is served: the text of its folder, in one.
pub(crate) fn served(version: &str) -> String {
    let files = fs::read_dir(folder().join(format!("v{version}"))).unwrap().map(|entry| entry.unwrap().path());
    let mut texts: Vec<String> = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    texts.sort();
    let package = format!("package stave:buildpack@{version}.0;");
    assert!(texts.iter().all(|text| text.contains(&package)), "a file of v{version} belongs to another package");
    format!("{package}\n{}", texts.join("\n").replace(&package, ""))
}

/// A version as it was released.
pub(crate) fn released(version: &str) -> String {
    fs::read_to_string(folder().join(format!("released/v{version}.wit"))).unwrap()
}

/// Reads a text; answers its world `buildpack`.
pub(crate) fn read(resolve: &mut Resolve, text: &str) -> WorldId {
    let package = resolve.push_source("contract.wit", text).unwrap();
    resolve.packages[package].worlds["buildpack"]
}

/// Every function that a buildpack of a version can import, as `interface.function` or `interface.resource.method`.
pub(crate) fn functions(version: &str) -> Vec<String> {
    let mut resolve = Resolve::default();
    let world = read(&mut resolve, &served(version));
    let mut names = Vec::new();
    for item in resolve.worlds[world].imports.values() {
        let WorldItem::Interface { id, .. } = item else { panic!("an import that is no interface: {item:?}") };
        let interface = &resolve.interfaces[*id];
        for function in interface.functions.values() {
            let name = match function.kind {
                FunctionKind::Freestanding => function.name.clone(),
                FunctionKind::Method(_) => function.name.trim_start_matches("[method]").to_owned(),
                ref other => panic!("a kind of function that the matrix does not know: {other:?}"),
            };
            names.push(format!("{}.{name}", interface.name.as_deref().unwrap()));
        }
    }
    names
}
