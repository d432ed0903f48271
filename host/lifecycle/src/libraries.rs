//! The libraries in an app that say who they are: jars of a Spring Boot jar or of a war.
//!
//! A jar's `pom.properties` is what its build tool wrote into it, and the only word that is taken for a Maven coordinate. A
//! jar without one, or with those of several, is known by its file's name, which is a name and no coordinate.

use std::{io, sync::Arc};

use stave_archive::{
    content::Content,
    limits::Limits,
    tree::{Node, Tree, TreePath},
    zip,
};
use stave_model::{
    dependency::PackageUrl,
    digest::Key,
    sbom::{Component, sorted},
};

use crate::{
    app::identity,
    port::{blobs::Results, cancel::Cancel},
};

/// Where libraries lie.
const FOLDERS: [&str; 3] = ["BOOT-INF/lib", "WEB-INF/lib", "WEB-INF/lib-provided"];
/// How many libraries are looked into.
const MAX_LIBRARIES: usize = 4096;
/// The largest `pom.properties` that is read, in bytes; real ones have three lines.
const MAX_POM: u64 = 64 * 1024;
/// The longest name or version that is taken, in bytes.
const MAX_WORD: usize = 200;

/// The libraries of an app. What was found before in the same jars is found again without reading them.
pub(crate) fn of(app: &Tree, results: &dyn Results, cancel: &Cancel) -> io::Result<Vec<Component>> {
    let is_library = |path: &TreePath| {
        let folder = path.parent().is_some_and(|folder| FOLDERS.contains(&folder.as_str()));
        folder && path.name().len() > 4 && path.name().to_ascii_lowercase().ends_with(".jar")
    };
    let jars: Vec<(&TreePath, &Node)> = app
        .iter()
        .filter(|(path, node)| is_library(path) && matches!(node, Node::File(..)))
        .take(MAX_LIBRARIES)
        .collect();
    if jars.is_empty() {
        return Ok(Vec::new());
    }
    let key = Key::new("libraries 1").field(identity(jars.iter().copied(), cancel)?.hex()).finish();
    if let Some(known) = results.get(&key).and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(known);
    }
    let mut found = Vec::new();
    for (path, node) in jars.into_iter().take_while(|_| !cancel.is_set()) {
        if let Node::File(_, content) = node {
            found.push(library(path.name(), content)?);
        }
    }
    let found = sorted(found);
    if !cancel.is_set() {
        results.put(&key, &serde_json::to_vec(&found)?);
    }
    Ok(found)
}

fn library(file: &str, content: &Arc<dyn Content>) -> io::Result<Component> {
    let stem = &file[..file.len() - 4];
    let (group, name, version) = if let Some(known) = coordinate(stem, content)? {
        known
    } else {
        let (name, version) = split(stem);
        (String::new(), name.to_owned(), version.to_owned())
    };
    let purl = Some(()).filter(|()| !group.is_empty() && !version.is_empty()).map(|()| PackageUrl {
        kind: "maven".to_owned(),
        namespace: group.clone(),
        name: name.clone(),
        version: version.clone(),
        qualifiers: std::collections::BTreeMap::new(),
    });
    Ok(Component { group, name, version, purl, licenses: Vec::new(), sha256: Some(content.digest()?) })
}

/// Group, artefact and version, if the jar says them once, or once for a file of this name. A jar that is packed within the
/// app's archive, or that is none, says nothing.
fn coordinate(stem: &str, content: &Arc<dyn Content>) -> io::Result<Option<(String, String, String)>> {
    let Some(span) = content.span()? else { return Ok(None) };
    let Ok(tree) = zip::read(span, &Limits::default()) else { return Ok(None) };
    let mut said = Vec::new();
    for (path, node) in tree.iter() {
        let is_pom = path.as_str().starts_with("META-INF/maven/") && path.name() == "pom.properties";
        if let (true, Node::File(_, pom)) = (is_pom, node) {
            let text = pom.bytes(MAX_POM).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            said.extend(text.and_then(|text| properties(&text)));
        }
    }
    if said.len() > 1 {
        said.retain(|(_, name, version)| stem == format!("{name}-{version}"));
    }
    Ok(if said.len() == 1 { said.pop() } else { None })
}

/// `groupId`, `artifactId` and `version` of a `pom.properties`, if all three are there and plain.
fn properties(text: &str) -> Option<(String, String, String)> {
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.trim().split_once('='));
        let value = lines.find(|(key, _)| key.trim() == name)?.1.trim();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
        (!value.is_empty() && value.len() <= MAX_WORD && value.bytes().all(plain)).then(|| value.to_owned())
    };
    Some((value("groupId")?, value("artifactId")?, value("version")?))
}

/// Name and version of a file's name: the version follows the last `-` that a digit follows.
fn split(stem: &str) -> (&str, &str) {
    let digit = |at: usize| stem[at + 1..].starts_with(|next: char| next.is_ascii_digit());
    let dash = stem.match_indices('-').map(|(at, _)| at).rfind(|at| *at > 0 && digit(*at));
    dash.map_or((stem, ""), |at| (&stem[..at], &stem[at + 1..]))
}

#[cfg(test)]
mod tests {
    use stave_model::digest::Digest;

    use super::*;
    use crate::testing::{Memory, span, zip};

    fn pom(group: &str, name: &str, version: &str) -> String {
        format!("#Created by a tool\nversion={version}\ngroupId = {group}\r\nartifactId={name}\n")
    }

    #[test]
    fn a_jar_is_what_its_pom_says_or_what_it_is_called() {
        let core = pom("org.example", "core", "1.2.3");
        let other = pom("org.other", "other", "9");
        let at = |name: &str| format!("META-INF/maven/g/{name}/pom.properties");
        let one = zip(&[(&at("core"), &core), ("a.class", "x")]);
        let shaded = zip(&[(&at("core"), &core), (&at("other"), &other)]);
        let hostile = zip(&[(&at("x"), "groupId=a b\nartifactId=x\nversion=1")]);
        let jar =
            |path: &str, bytes: &[u8]| (path.parse::<TreePath>().unwrap(), Node::file(Arc::new(span(bytes)), false));
        let mut app = Tree::new();
        for (path, node) in [
            jar("BOOT-INF/lib/renamed.jar", &one),
            jar("BOOT-INF/lib/core-1.2.3.jar", &shaded),
            jar("BOOT-INF/lib/bundle-4.jar", &shaded),
            jar("WEB-INF/lib/log4j-1.2-api-2.20.0-jre.jar", &zip(&[])),
            jar("WEB-INF/lib/no-version.JAR", b"no zip"),
            jar("BOOT-INF/lib/hostile-1.jar", &hostile),
            jar("BOOT-INF/lib/deep/er.jar", &one),
            jar("BOOT-INF/lib/readme.txt", b"x"),
            jar("other.jar", &one),
        ] {
            app.insert(path, node).unwrap();
        }
        let memory = Memory::default();
        let found = of(&app, &memory, &Cancel::new()).unwrap();
        let line = |one: &Component| {
            let purl = one.purl.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{}|{}|{}|{purl}", one.group, one.name, one.version)
        };
        insta::assert_snapshot!(found.iter().map(line).collect::<Vec<_>>().join("\n"), @"
        |bundle|4|
        |hostile|1|
        |log4j-1.2-api|2.20.0-jre|
        |no-version||
        org.example|core|1.2.3|pkg:maven/org.example/core@1.2.3
        org.example|core|1.2.3|pkg:maven/org.example/core@1.2.3
        ");
        let bundle = found.iter().find(|one| one.name == "bundle").unwrap();
        assert_eq!(bundle.sha256, Some(Digest::of(&shaded)));
        assert_eq!(of(&app, &memory, &Cancel::new()).unwrap(), found);
        assert_eq!(of(&Tree::new(), &memory, &Cancel::new()).unwrap(), []);
    }
}
