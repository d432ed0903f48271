//! `stave build diff`: what is different between two builds: what they were made from, layers, packages, size.
//!
//! Inputs are in the records; layers and packages are asked of the images themselves, by their digests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde::Serialize;
use serde_json::Value;
use stave_lifecycle::{
    image::Image,
    port::{
        failure::PortError,
        observer::{Event, Level, Observer as _},
    },
};
use stave_model::{
    sbom::{self as bill, Format},
    target::Platform,
};
use stave_oci::sbom;
use stave_platform::{
    resource::build::{Build, Change, Reason},
    table::diff::{self, Line},
};

use super::{build_of, document, found};
use crate::{
    args::records::BuildDiff,
    document as documents,
    exit::{ANALYZE, Exit, USAGE, one_line},
    found::Found,
    platform::{Desk, names},
    ui::bytes,
    workshop::Workshop,
};

/// The longest line, in characters.
const MAX_LINE: usize = 400;
/// The most packages that are shown one by one.
const MAX_PACKAGES: usize = 200;

/// What is different.
#[derive(Debug, Serialize)]
struct Difference {
    old: u64,
    new: u64,
    inputs: Vec<String>,
    layers: Option<Layers>,
    packages: Option<Packages>,
}

/// Layers by digest.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Layers {
    kept: usize,
    gone: Vec<String>,
    come: Vec<String>,
    old_size: u64,
    new_size: u64,
}

/// Packages, as their package URLs name them.
#[derive(Debug, Serialize)]
struct Packages {
    same: usize,
    gone: Vec<String>,
    come: Vec<String>,
    changed: Vec<[String; 3]>,
}

pub(super) fn run(desk: &Desk<'_>, arguments: &BuildDiff) -> Result<(), Exit> {
    let (_, record) = found(desk, &arguments.image, &arguments.whose)?;
    let newest = record.builds.iter().rev().find(|build| build.made().is_some()).map(|build| build.number);
    let new = build_of(&record, arguments.new.or(newest))?;
    let before = || record.builds.iter().rev().find(|build| build.number < new.number && build.made().is_some());
    let old = match arguments.old {
        Some(number) => build_of(&record, Some(number))?,
        None => before().ok_or_else(|| Exit::new(USAGE, format!("there is no build before build {}", new.number)))?,
    };
    let difference = difference(desk, old, new)?;
    let text = match arguments.printed.form.document() {
        Some(format) => documents::write(&difference, format)?,
        None => shown(&difference),
    };
    desk.workshop.ui.result(text.trim_end());
    Ok(())
}

fn difference(desk: &Desk<'_>, old: &Build, new: &Build) -> Result<Difference, Exit> {
    let (mut layers, mut packages) = (None, None);
    if let (Some(a), Some(b)) = (old.made(), new.made()) {
        let platform = Platform::of_this_machine();
        let image = |pinned| Found::in_registry(desk.workshop, names::of_pinned(pinned)?).image(&platform);
        let (a, b) = (image(&a.image)?, image(&b.image)?);
        layers = Some(layers_of(&a, &b));
        packages = packages_between(&packages_of(desk.workshop, &a)?, &packages_of(desk.workshop, &b)?);
    }
    Ok(Difference { old: old.number, new: new.number, inputs: inputs(old, new)?, layers, packages })
}

/// What they were made from, as lines that went and came.
fn inputs(old: &Build, new: &Build) -> Result<Vec<String>, Exit> {
    let of = |build: &Build| -> Result<Value, Exit> {
        let document = document(build)?;
        Ok(document.get("inputs").cloned().unwrap_or_default())
    };
    let change = Change { reason: Reason::Config, old: of(old)?, new: of(new)? };
    let lines = diff::lines(&change).into_iter().filter(|line| !matches!(line, Line::Same(_)));
    Ok(lines.map(|line| line.to_string()).collect())
}

fn layers_of(old: &Image, new: &Image) -> Layers {
    let digests = |image: &Image| -> BTreeSet<String> {
        image.layers.iter().map(|layer| layer.descriptor.digest.to_string()).collect()
    };
    let size = |image: &Image| image.layers.iter().map(|layer| layer.descriptor.size).sum();
    let (a, b) = (digests(old), digests(new));
    Layers {
        kept: a.intersection(&b).count(),
        gone: a.difference(&b).cloned().collect(),
        come: b.difference(&a).cloned().collect(),
        old_size: size(old),
        new_size: size(new),
    }
}

/// An image's packages with their versions, as its bills of materials name them: those of its base and of its app.
fn packages_of(workshop: &Workshop, image: &Image) -> Result<BTreeMap<String, String>, Exit> {
    let mut warn = |error: &PortError| workshop.ui.observe(Event::Note(Level::Warning, error.sentence()));
    let bills = sbom::of(image, Some(&workshop.results), &workshop.cancel, &mut warn)?;
    let mut found = BTreeMap::new();
    for (path, bill) in &bills {
        if !path.ends_with(Format::CycloneDx.file_name()) {
            continue;
        }
        for component in bill::read(bill).map_err(|error| Exit::new(ANALYZE, error))? {
            found.insert(component.name, component.version);
        }
    }
    Ok(found)
}

/// Packages by name, each with its version; none where neither image says which it has.
fn packages_between(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Option<Packages> {
    if old.is_empty() && new.is_empty() {
        return None;
    }
    let titled = |(name, version): (&String, &String)| format!("{name}@{version}");
    let gone = old.iter().filter(|(name, _)| !new.contains_key(*name)).map(titled).collect();
    let come = new.iter().filter(|(name, _)| !old.contains_key(*name)).map(titled).collect();
    let both = old.iter().filter_map(|(name, version)| Some((name, version, new.get(name)?)));
    let changed: Vec<[String; 3]> = both
        .clone()
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| [name.clone(), old.clone(), new.clone()])
        .collect();
    let same = both.count() - changed.len();
    Some(Packages { same, gone, come, changed })
}

fn shown(difference: &Difference) -> String {
    let mut text = format!("build {} → build {}\n\n", difference.old, difference.new);
    let mut section = |title: &str, lines: &[String]| {
        let _ = writeln!(text, "{title}");
        for line in lines {
            let _ = writeln!(text, "  {}", one_line(line, MAX_LINE));
        }
        text.push('\n');
    };
    section(if difference.inputs.is_empty() { "inputs: the same" } else { "inputs" }, &difference.inputs);
    if let Some(layers) = &difference.layers {
        let mut lines = vec![format!("{} are the same", layers.kept)];
        lines.extend(layers.gone.iter().map(|digest| format!("- {digest}")));
        lines.extend(layers.come.iter().map(|digest| format!("+ {digest}")));
        section("layers", &lines);
        section("size", &[format!("{} → {}", bytes(layers.old_size), bytes(layers.new_size))]);
    }
    if let Some(packages) = &difference.packages {
        let mut lines = vec![format!("{} are the same", packages.same)];
        lines.extend(packages.gone.iter().map(|title| format!("- {title}")));
        lines.extend(packages.come.iter().map(|title| format!("+ {title}")));
        lines.extend(packages.changed.iter().map(|[name, old, new]| format!("  {name} {old} → {new}")));
        if lines.len() > MAX_PACKAGES {
            let more = lines.len() - MAX_PACKAGES;
            lines.truncate(MAX_PACKAGES);
            lines.push(format!("and {more} more (-o json has all)"));
        }
        section("packages", &lines);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn packages_go_come_and_change() {
        let of = |all: &[(&str, &str)]| -> BTreeMap<String, String> {
            all.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
        };
        let (old, new) = (of(&[("a", "1"), ("b", "1"), ("c", "1")]), of(&[("a", "1"), ("b", "2"), ("d", "1")]));
        let found = packages_between(&old, &new).unwrap();
        assert_eq!(
            serde_json::to_value(&found).unwrap(),
            json!({
                "same": 1, "gone": ["c@1"], "come": ["d@1"], "changed": [["b", "1", "2"]],
            })
        );
        assert!(packages_between(&of(&[]), &of(&[])).is_none());
    }
}
