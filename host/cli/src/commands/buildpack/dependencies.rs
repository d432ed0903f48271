//! `stave buildpack dependencies`: what a buildpack may bring into an image, from where it would be fetched now and why, by
//! which digest and licence. Nothing of it is fetched, and nothing is run.

use std::path::Path;

use serde::Serialize;
use stave_lifecycle::port::blobs::Blobs as _;
use stave_model::{
    dependency::{Artifact, Dependency, PackageUrl, eol::ending},
    digest::Digest,
    manifest::{Manifest, ManifestError},
    target::Platform,
    time::Date,
};
use stave_packages::{
    machine::Machine,
    prospect::{Prospect, prospects},
};

use super::{MAX_LINE, read_component};
use crate::{
    args::{BuildpackDependencies, Output},
    components::{Component, check_version, described, fetch, resolve},
    config::read_capped,
    endings::today,
    exit::{CONTRACT, Exit, GENERAL, REFUSED, USAGE, one_line, printable},
    ui::bytes,
    workshop::Workshop,
};

/// One file that may be brought in, for programs.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    version: String,
    name: &'a str,
    licenses: &'a [String],
    /// The last day on which it is mended.
    eol: Option<Date>,
    /// None where it serves every platform.
    platform: Option<&'a Platform>,
    purl: &'a PackageUrl,
    digest: Digest,
    /// In bytes; not known before it is fetched.
    size: Option<u64>,
    cached: bool,
    /// Where a build would look, in this order; nowhere if `unclear` says why.
    from: Vec<Look>,
    unclear: Option<String>,
}

/// A place, for programs.
#[derive(Serialize)]
struct Look {
    place: String,
    reason: String,
}

pub(crate) fn run(workshop: &Workshop, arguments: &BuildpackDependencies) -> Result<(), Exit> {
    let manifest = manifest_of(workshop, &arguments.buildpack)?;
    let machine = Machine::current();
    let is_wanted = |artifact: &&Artifact| match (&arguments.platform, &artifact.platform) {
        (Some(wanted), Some(own)) => own.serves(wanted),
        _ => true,
    };
    let mut rows = Vec::new();
    for dependency in &manifest.dependencies {
        for artifact in dependency.artifacts.iter().filter(is_wanted) {
            rows.push(row(workshop, &machine, dependency, artifact)?);
        }
    }
    match arguments.output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&rows).map_err(|error| Exit::new(GENERAL, error))?;
            workshop.ui.result(&text);
        }
        Output::Text => workshop.ui.result(&for_people(&manifest, &rows, today())),
    }
    Ok(())
}

/// What the buildpack says of itself, wherever it is. Only a component in a registry has to be fetched for it.
fn manifest_of(workshop: &Workshop, text: &str) -> Result<Manifest, Exit> {
    let path = Path::new(text);
    if path.is_dir() {
        return manifest_in(path);
    }
    let is_file = text.starts_with("builtin:") || path.exists() || path.extension().is_some_and(|end| end == "wasm");
    if is_file {
        return described(&read_component(text)?, text).map(|description| description.manifest);
    }
    let (place, name) = resolve(workshop, text)?;
    let Component { description, .. } = fetch(workshop, &place)?;
    check_version(name.as_ref(), &description)?;
    Ok(description.manifest)
}

/// The manifest of a buildpack that is not compiled yet.
fn manifest_in(folder: &Path) -> Result<Manifest, Exit> {
    let file = folder.join("buildpack.toml");
    let shown = printable(&file.display().to_string());
    let text = read_capped(&file)
        .map_err(|error| Exit::new(USAGE, anyhow::Error::new(error).context(format!("could not read {shown}"))))?;
    Manifest::parse(&text).map_err(|error| {
        let code = if matches!(error, ManifestError::Contract { .. }) { CONTRACT } else { REFUSED };
        Exit::new(code, anyhow::Error::new(error).context(format!("could not understand {shown}")))
    })
}

fn row<'a>(
    workshop: &Workshop,
    machine: &Machine,
    dependency: &'a Dependency,
    artifact: &'a Artifact,
) -> Result<Row<'a>, Exit> {
    let kept = workshop.blobs.get(&artifact.sha256)?;
    let (from, unclear) = match prospects(&workshop.config.registries, machine, &artifact.purl) {
        Ok(places) => (places.into_iter().map(Look::of).collect(), None),
        Err(error) => (Vec::new(), Some(Exit::new(GENERAL, error).summary())),
    };
    Ok(Row {
        id: &dependency.id,
        version: dependency.version.to_string(),
        name: &dependency.name,
        licenses: &dependency.licenses,
        eol: dependency.eol,
        platform: artifact.platform.as_ref(),
        purl: &artifact.purl,
        digest: artifact.sha256,
        size: kept.as_ref().map(stave_archive::content::Content::size),
        cached: kept.is_some(),
        from,
        unclear,
    })
}

impl Look {
    fn of(prospect: Prospect) -> Self {
        Self { place: prospect.place, reason: prospect.reason.to_string() }
    }
}

/// A dependency, then each of its files below it.
fn for_people(manifest: &Manifest, rows: &[Row<'_>], today: Date) -> String {
    let title = manifest.title();
    if rows.is_empty() {
        return format!("{title} brings nothing in that would be fetched");
    }
    let files = if rows.len() == 1 { "one file".to_owned() } else { format!("{} files", rows.len()) };
    let mut lines = vec![format!("{title} may bring in {files}")];
    let mut last = None;
    for row in rows {
        if last != Some((row.id, &row.version)) {
            last = Some((row.id, &row.version));
            lines.extend([String::new(), format!("{} {}  {}", row.id, row.version, row.name)]);
            let licenses = if row.licenses.is_empty() { "not said".to_owned() } else { row.licenses.join(", ") };
            lines.push(format!("  licence  {licenses}"));
            lines.push(format!("  mended   {}", mended(manifest, row, today)));
        }
        let platform = row.platform.map_or_else(|| "any platform".to_owned(), ToString::to_string);
        let kept = match row.size {
            Some(size) => format!("in the cache, {}", bytes(size)),
            None => "not in the cache".to_owned(),
        };
        lines.push(format!("  {platform}  {kept}"));
        lines.push(format!("    package  {}", row.purl));
        lines.push(format!("    digest   {}", row.digest));
        lines.extend(row.from.iter().map(|from| format!("    from     {} ({})", from.place, from.reason)));
        lines.extend(row.unclear.iter().map(|why| format!("    from     not known: {why}")));
    }
    lines.iter().map(|line| one_line(line, MAX_LINE).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Until when, and what is to be said of that today.
fn mended(manifest: &Manifest, row: &Row<'_>, today: Date) -> String {
    let Some(eol) = row.eol else { return "nobody says until when".to_owned() };
    let mut all = manifest.dependencies.iter();
    let dependency = all.find(|dependency| dependency.id == row.id && dependency.version.to_string() == row.version);
    match dependency.and_then(|dependency| ending(dependency, today)) {
        Some(ending) if ending.left < 0 => format!("until {eol}, which is over"),
        Some(ending) => format!("until {eol}, {} days from now", ending.left),
        None => format!("until {eol}"),
    }
}
