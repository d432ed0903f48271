//! `stave build`: from an app to an image.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use stave_lifecycle::{
    build::{self, BuildError},
    detect::Detection,
    export::{self, ExportError},
    image::Image,
    port::{
        bases::Base,
        buildpack::{Blame, RunError},
        observer::{Event, Level, Observer},
        sink::Sink,
    },
};
use stave_model::target::Platform;
use stave_oci::reference::Reference;

use crate::{
    args::{Build, Output},
    destination, embedded,
    exit::{BUILD, BUILDPACK, EXPORT, Exit, INTERRUPTED, USAGE},
    prepare::{detect_failed, prepare},
    ui::{bytes, seconds},
    workshop::Workshop,
};

/// The result for programs.
#[derive(Serialize)]
struct Report<'a> {
    image: String,
    digest: String,
    platform: &'a Platform,
    size: u64,
    buildpacks: Vec<String>,
    run_image: &'a str,
    destinations: Vec<String>,
}

/// Builds, and says how long each part took.
pub(crate) fn run(workshop: &Workshop, arguments: &Build) -> Result<(), Exit> {
    let started = Instant::now();
    let name = name_of(arguments)?;
    let platform = arguments.source.platform.clone().unwrap_or_else(Platform::of_this_machine);
    let launcher = embedded::launcher(&platform).ok_or_else(|| {
        Exit::new(USAGE, format!("there is no launcher for {platform}")).hint("build for linux/amd64 or linux/arm64")
    })?;
    let sinks = destination::sinks(workshop, &name, &arguments.destination)?;

    let prepared = prepare(workshop, &arguments.source)?;
    let (base, shop) = prepared.open_shop(workshop, platform)?;
    let detection = prepared.detect(&shop).map_err(|error| detect_failed(error, false))?;
    let built = build::build(&shop, &detection, prepared.app.tree).map_err(build_failed)?;
    let ports = export::Ports {
        blobs: workshop.blobs.as_ref(),
        results: &workshop.results,
        observer: workshop.ui.as_ref(),
        cancel: &workshop.cancel,
        launcher,
        launcher_version: env!("CARGO_PKG_VERSION"),
        packing: arguments.compression,
    };
    let image = export::export(&ports, &base, &built).map_err(export_failed)?;
    prepared.app.memory.keep(&workshop.results);
    send(workshop, &image, &sinks)?;
    report(workshop, arguments, &name, &image, &base, &detection, &sinks, started.elapsed());
    Ok(())
}

/// Sends the image everywhere it goes.
pub(crate) fn send(workshop: &Workshop, image: &Image, sinks: &[Arc<dyn Sink>]) -> Result<(), Exit> {
    for sink in sinks {
        let to = sink.describe();
        let stored = sink.put(image, workshop.ui.as_ref(), &workshop.cancel).map_err(|error| {
            Exit::new(EXPORT, anyhow::Error::new(error).context(format!("could not send the image to {to}")))
        })?;
        workshop.ui.observe(Event::Exported { to, digest: stored.digest.to_string() });
    }
    Ok(())
}

/// The image's name: as typed, or the app's.
fn name_of(arguments: &Build) -> Result<Reference, Exit> {
    let text = match &arguments.tag {
        Some(tag) => tag.clone(),
        None => name_of_app(&arguments.source.app).ok_or_else(|| {
            Exit::new(USAGE, "the app's name does not make an image name").hint("give one with --tag NAME")
        })?,
    };
    text.parse().map_err(|error: stave_oci::reference::InvalidReference| Exit::new(USAGE, error))
}

/// The folder's name, or the jar's without its ending, in the characters that image names have.
fn name_of_app(app: &Path) -> Option<String> {
    let real = app.canonicalize().unwrap_or_else(|_| app.to_owned());
    let name = if real.is_dir() { real.file_name() } else { real.file_stem() };
    let lower = name?.to_str()?.to_lowercase();
    let kept: String = lower.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let mut name = String::new();
    for c in kept.trim_matches(['-', '.']).chars() {
        // Separators stand alone in an image name.
        if c.is_ascii_alphanumeric() || name.ends_with(|last: char| last.is_ascii_alphanumeric()) {
            name.push(c);
        }
    }
    Some(name).filter(|name| !name.is_empty())
}

fn build_failed(error: BuildError) -> Exit {
    let code = match &error {
        BuildError::Cancelled => INTERRUPTED,
        BuildError::Buildpack { .. } => BUILDPACK,
        _ => BUILD,
    };
    let failure = match &error {
        BuildError::Buildpack { source: RunError::Refused(failure), .. } => Some((**failure).clone()),
        _ => None,
    };
    let mut exit = Exit::new(code, error);
    let Some(failure) = failure else { return exit };
    if let Some(file) = failure.file {
        exit = exit.detail(failure.line.map_or_else(|| format!("in {file}"), |line| format!("in {file}, line {line}")));
    }
    if let Some(detail) = failure.detail {
        exit = exit.detail(detail);
    }
    if failure.blame == Blame::Buildpack {
        exit = exit.detail("the buildpack says that this is a fault of its own");
    }
    match failure.hint {
        Some(hint) => exit.hint(hint),
        None => exit,
    }
}

fn export_failed(error: ExportError) -> Exit {
    let code = if matches!(error, ExportError::Cancelled) { INTERRUPTED } else { EXPORT };
    Exit::new(code, error)
}

#[expect(clippy::too_many_arguments, reason = "everything that there is to say about a build, said in one place")]
fn report(
    workshop: &Workshop,
    arguments: &Build,
    name: &Reference,
    image: &Image,
    base: &Base,
    detection: &Detection,
    sinks: &[Arc<dyn Sink>],
    took: Duration,
) {
    let size = image.layers.iter().map(|layer| layer.descriptor.size).sum();
    if let Some(peak) = peak_memory() {
        workshop.ui.observe(Event::Note(Level::Debug, format!("peak memory {}", bytes(peak))));
    }
    workshop.ui.say(&format!("built {name} for {} in {} ({})", image.platform, seconds(took), bytes(size)));
    match arguments.output {
        Output::Text => workshop.ui.result(&image.digest().to_string()),
        Output::Json => {
            let result = Report {
                image: name.to_string(),
                digest: image.digest().to_string(),
                platform: &image.platform,
                size,
                buildpacks: detection.plan.members.clone(),
                run_image: &base.reference,
                destinations: sinks.iter().map(|sink| sink.describe()).collect(),
            };
            match serde_json::to_string_pretty(&result) {
                Ok(text) => workshop.ui.result(&text),
                Err(error) => workshop.ui.say(&format!("could not write the result as JSON: {error}")),
            }
        }
    }
}

/// The most memory that this process had at one time, in bytes, where the system tells (Linux: `proc_pid_status(5)`).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_called_like_its_app() {
        for (path, name) in [
            ("/x/spring-webdb.jar", Some("spring-webdb")),
            ("/x/My App--2.0.jar", Some("my-app-2.0")),
            ("/x/__.jar", None),
            ("/x/Über.war", Some("ber")),
        ] {
            assert_eq!(name_of_app(Path::new(path)).as_deref(), name, "{path}");
        }
    }
}
