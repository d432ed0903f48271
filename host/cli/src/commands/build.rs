//! `stave build`: from an app to an image.

use std::{
    collections::BTreeMap,
    path::Path,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use stave_archive::layer::Packing;
use stave_lifecycle::{
    build::{self, BuildError},
    detect::Detection,
    export::{self, Choices, ExportError, Exported},
    image::{Image, Index},
    port::{
        bases::Base,
        blobs::Results,
        buildpack::{Blame, RunError},
        observer::{Event, Level, Observer},
        sink::Sink,
    },
    previous::{Previous, kept::Kept},
};
use stave_model::{digest::Digest, id::ProcessType, target::Platform};
use stave_oci::reference::{InvalidReference, Reference};

use crate::{
    args::{Build, CreationTime, Output, Recipe, Source},
    destination, embedded, endings,
    exit::{BUILD, BUILDPACK, EXPORT, Exit, INTERRUPTED, USAGE, printable},
    prepare::{Prepared, detect_failed, prepare},
    previous::{Search, kept_under},
    ui::{bytes, seconds},
    whole::write_out,
    workshop::Workshop,
};

/// The variable that says when things are made, in builds that are to be the same everywhere.
pub(crate) const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// The result for programs.
#[derive(Serialize)]
struct Report<'a> {
    image: String,
    /// All names, the first among them.
    names: Vec<String>,
    /// Of the manifest, or of the index of several platforms.
    digest: String,
    /// Where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a Platform>,
    /// Where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<PlatformReport<'a>>,
    size: u64,
    buildpacks: Vec<String>,
    run_image: &'a str,
    destinations: Vec<String>,
}

#[derive(Serialize)]
struct PlatformReport<'a> {
    platform: &'a Platform,
    digest: String,
    size: u64,
}

/// How an app is built for one platform.
pub(crate) struct How {
    /// How new layers are compressed.
    pub(crate) packing: Packing,
    /// Whether results of earlier builds are not to be used.
    pub(crate) clear_cache: bool,
    /// What the previous build of the image left.
    pub(crate) previous: Previous,
}

/// What was built for one platform.
pub(crate) struct Finished {
    pub(crate) image: Image,
    kept: Kept,
    pub(crate) base: Base,
    detection: Detection,
}

/// Builds, and says how long each part took.
pub(crate) fn run(workshop: &Workshop, arguments: &Build) -> Result<(), Exit> {
    let started = Instant::now();
    let names = names_of(arguments)?;
    let Recipe { source, compression, default_process, creation_time, previous_image } = arguments.recipe.clone();
    let platforms = platforms(&source.platform)?;
    let sinks = destination::sinks(workshop, &names, &arguments.destination)?;
    destination::check_platforms(&sinks, &platforms)?;
    // Results of earlier builds are also what is known of the app's files, and what buildpacks answered.
    let paranoid = source.paranoid || arguments.clear_cache;
    let no_memory = source.no_memory || arguments.clear_cache;
    let source = Source { no_memory, paranoid, ..source };
    let created = created(creation_time, std::env::var(EPOCH_VARIABLE).ok().as_deref())?;

    let search = match &previous_image {
        Some(text) => Search::named(workshop, text)?,
        None => Search::replaced(workshop, &arguments.destination, &names[0]),
    };
    let prepared = prepare(workshop, &source)?;
    let choices = Choices { default_process, created, project: prepared.label.clone(), exec_env: source.exec_env() };
    let mut finished = Vec::new();
    for platform in &platforms {
        if platforms.len() > 1 {
            workshop.ui.say(&format!("for {platform}:"));
        }
        let previous = search.previous(workshop, &names[0], platform, arguments.clear_cache)?.within(&choices.exec_env);
        let how = How { packing: compression.unwrap_or_default(), clear_cache: arguments.clear_cache, previous };
        finished.push(build_for(workshop, how, &prepared, platform, &choices)?);
    }
    prepared.app.keep(&workshop.results);
    let images: Vec<Image> = finished.iter().map(|one| one.image.clone()).collect();
    send_all(workshop, &images, &sinks)?;
    // Under the platform that was asked for, which is what the next build looks for: the base may name a variant besides.
    for (platform, Finished { kept, .. }) in platforms.iter().zip(&finished) {
        kept.keep(&workshop.results, &kept_under(workshop, &names[0]), platform);
    }
    if let Some(file) = &arguments.report {
        write_report(file, &names, &images)?;
    }
    report(workshop, arguments, &names, &finished, &sinks, started.elapsed());
    Ok(())
}

/// The platforms that were asked for, each once; this machine's where none is.
fn platforms(asked: &[Platform]) -> Result<Vec<Platform>, Exit> {
    let mut platforms: Vec<Platform> = Vec::new();
    for platform in asked {
        if embedded::launcher(platform).is_none() {
            let exit = Exit::new(USAGE, format!("there is no launcher for {platform}"));
            return Err(exit.hint("build for linux/amd64 or linux/arm64"));
        }
        if !platforms.contains(platform) {
            platforms.push(platform.clone());
        }
    }
    if platforms.is_empty() {
        let here = Platform::of_this_machine();
        return if embedded::launcher(&here).is_some() { Ok(vec![here]) } else { self::platforms(&[here]) };
    }
    Ok(platforms)
}

/// When the image is made, if somebody says so. The flag goes before `SOURCE_DATE_EPOCH` (reproducible-builds.org).
pub(crate) fn created(time: Option<CreationTime>, epoch: Option<&str>) -> Result<Option<u64>, Exit> {
    let time = match (time, epoch.filter(|epoch| !epoch.is_empty())) {
        (Some(time), _) => time,
        (None, Some(epoch)) => {
            CreationTime::from_str(epoch).ok().filter(|time| *time != CreationTime::Now).ok_or_else(|| {
                let message = format!("{EPOCH_VARIABLE} is `{}`, which is no instant", printable(epoch));
                Exit::new(USAGE, message).hint("set it to seconds since 1970, up to the year 9999, or unset it")
            })?
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(match time {
        CreationTime::At(seconds) => seconds,
        CreationTime::Now => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    }))
}

/// Builds for one platform.
pub(crate) fn build_for(
    workshop: &Workshop,
    How { packing, clear_cache, previous }: How,
    prepared: &Prepared<'_>,
    platform: &Platform,
    choices: &Choices,
) -> Result<Finished, Exit> {
    let (base, mut shop) = prepared.open_shop(workshop, platform.clone())?;
    shop.previous = Arc::new(previous.for_base(&base));
    let detection = prepared.detect(&shop).map_err(|error| detect_failed(error, false))?;
    let built = build::build(&shop, &detection, prepared.app.tree.clone()).map_err(build_failed)?;
    endings::tell(&built, endings::today(), workshop.ui.as_ref());
    let forgetful = Forgetful(&workshop.results);
    let ports = export::Ports {
        blobs: workshop.blobs.as_ref(),
        results: if clear_cache { &forgetful } else { &workshop.results },
        observer: workshop.ui.as_ref(),
        cancel: &workshop.cancel,
        launcher: embedded::launcher(platform).unwrap_or_default(),
        launcher_version: env!("CARGO_PKG_VERSION"),
        packing,
    };
    let Exported { image, kept } = export::export_as(&ports, &base, &built, choices).map_err(export_failed)?;
    Ok(Finished { image, kept, base, detection })
}

/// Results that remember nothing of earlier runs, and keep what this one makes.
struct Forgetful<'a>(&'a dyn Results);

impl Results for Forgetful<'_> {
    fn get(&self, _key: &Digest) -> Option<Vec<u8>> {
        None
    }

    fn put(&self, key: &Digest, value: &[u8]) {
        self.0.put(key, value);
    }
}

/// Sends images of one or several platforms everywhere they go.
fn send_all(workshop: &Workshop, images: &[Image], sinks: &[Arc<dyn Sink>]) -> Result<(), Exit> {
    if let [image] = images {
        return send(workshop, image, sinks);
    }
    for sink in sinks {
        let to = sink.describe();
        let stored = sink.put_platforms(images, workshop.ui.as_ref(), &workshop.cancel).map_err(|error| {
            Exit::new(EXPORT, anyhow::Error::new(error).context(format!("could not send the images to {to}")))
        })?;
        workshop.ui.observe(Event::Exported { to, digest: stored.digest.to_string() });
    }
    Ok(())
}

/// `report.toml` as the lifecycle writes it (platform specification): names, digest and size of the manifest; for several
/// platforms, of their index.
fn write_report(file: &Path, names: &[Reference], images: &[Image]) -> Result<(), Exit> {
    #[derive(Serialize)]
    struct ReportFile {
        image: ImageReport,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct ImageReport {
        tags: Vec<String>,
        digest: String,
        manifest_size: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        image_id: Option<String>,
    }
    let (digest, size, id) = match images {
        [image] => (image.digest(), image.manifest.len() as u64, Some(image.config_descriptor().digest.to_string())),
        images => {
            let index = Index::of(images).descriptor();
            (index.digest, index.size, None)
        }
    };
    let tags = names.iter().map(ToString::to_string).collect();
    let image = ImageReport { tags, digest: digest.to_string(), manifest_size: size, image_id: id };
    let failed = |error: anyhow::Error| {
        Exit::new(
            EXPORT,
            error.context(format!("could not write the report {}", printable(&file.display().to_string()))),
        )
    };
    let text = toml::to_string(&ReportFile { image }).map_err(|error| failed(error.into()))?;
    write_out(file, text.as_bytes()).map_err(|error| failed(error.into()))
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

/// The image's names: as typed, or the app's.
fn names_of(arguments: &Build) -> Result<Vec<Reference>, Exit> {
    let mut texts = arguments.tag.clone();
    if texts.is_empty() {
        texts.push(name_of_app(&arguments.recipe.source.app).ok_or_else(|| {
            Exit::new(USAGE, "the app's name does not make an image name").hint("give one with --tag NAME")
        })?);
    }
    let parse = |text: &String| text.parse().map_err(|error: InvalidReference| Exit::new(USAGE, error));
    let mut names: Vec<Reference> = Vec::new();
    for name in texts.iter().map(parse) {
        let name = name?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
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

pub(crate) fn build_failed(error: BuildError) -> Exit {
    let code = match &error {
        BuildError::Cancelled => INTERRUPTED,
        BuildError::Buildpack { .. } => BUILDPACK,
        _ => BUILD,
    };
    let failure = match &error {
        BuildError::Buildpack { source: RunError::Refused(failure), .. } => Some((**failure).clone()),
        _ => None,
    };
    let is_leak = matches!(&error, BuildError::Buildpack { source: RunError::Leak { .. }, .. });
    let mut exit = Exit::new(code, error);
    if is_leak {
        return exit.hint("this is a fault of the buildpack, and whoever makes it should know");
    }
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

pub(crate) fn export_failed(error: ExportError) -> Exit {
    let code = if matches!(error, ExportError::Cancelled) { INTERRUPTED } else { EXPORT };
    let hint = match &error {
        ExportError::NoProcess { known, .. } if known.is_empty() => Some("no buildpack made any".to_owned()),
        ExportError::NoProcess { known, .. } => {
            let known: Vec<&str> = known.iter().map(ProcessType::as_str).collect();
            Some(format!("there is {}", known.join(", ")))
        }
        _ => None,
    };
    let exit = Exit::new(code, error);
    match hint {
        Some(hint) => exit.hint(hint),
        None => exit,
    }
}

/// The bytes of an image's layers, or of several images', each layer once.
fn size_of(images: &[&Image]) -> u64 {
    let layers = images.iter().flat_map(|image| &image.layers);
    let layers: BTreeMap<Digest, u64> = layers.map(|layer| (layer.descriptor.digest, layer.descriptor.size)).collect();
    layers.values().sum()
}

fn report(
    workshop: &Workshop,
    arguments: &Build,
    names: &[Reference],
    finished: &[Finished],
    sinks: &[Arc<dyn Sink>],
    took: Duration,
) {
    let [first, ..] = finished else { return };
    if let Some(peak) = peak_memory() {
        workshop.ui.observe(Event::Note(Level::Debug, format!("peak memory {}", bytes(peak))));
    }
    let images: Vec<&Image> = finished.iter().map(|one| &one.image).collect();
    let (name, size) = (&names[0], size_of(&images));
    let platforms: Vec<String> = images.iter().map(|image| image.platform.to_string()).collect();
    let digest = match finished {
        [one] => one.image.digest(),
        many => Index::of(&many.iter().map(|one| one.image.clone()).collect::<Vec<_>>()).descriptor().digest,
    };
    let platforms = platforms.join(" and ");
    workshop.ui.say(&format!("built {name} for {platforms} in {} ({})", seconds(took), bytes(size)));
    match arguments.output {
        Output::Text => workshop.ui.result(&digest.to_string()),
        Output::Json => {
            let several = if images.len() > 1 { &images[..] } else { &[] };
            let platforms = several.iter().map(|image| PlatformReport {
                platform: &image.platform,
                digest: image.digest().to_string(),
                size: size_of(&[image]),
            });
            let result = Report {
                image: name.to_string(),
                names: names.iter().map(ToString::to_string).collect(),
                digest: digest.to_string(),
                platform: if images.len() == 1 { Some(&first.image.platform) } else { None },
                platforms: platforms.collect(),
                size,
                buildpacks: first.detection.plan.members.clone(),
                run_image: &first.base.reference,
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
