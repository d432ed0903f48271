//! Turns what was built into an image: layers in the lifecycle's order, configuration and labels.
//!
//! A layer that was met before is not written again, whichever app it was made for: its blob is kept under the key of its
//! description. Those that are new are written side by side, each in one pass.

mod bill;
mod drafts;
mod layers;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io};

use serde::Serialize;
use stave_archive::{
    glob::GlobError,
    layer::{LayerError, Packing},
    tree::{InvalidPath, TreeError},
};
use stave_model::{
    env::InvalidChange,
    id::{ExecEnv, ProcessType},
    image::{
        self, Addition, BUILD_LABEL, BuildpackLayers, ImageError, LIFECYCLE_LABEL, LayerEntry, LayerSha,
        LifecycleMetadata, NewLayer, PROJECT_LABEL, RunImage, RunImageNames, StackMetadata, Store,
    },
    launch::metadata::{Api, BuildMetadata, InvalidMetadata, Metadata, Participant},
};

use self::layers::Ready;
use crate::{
    build::{Built, Part},
    image::{Image, ImageLayer},
    port::{
        bases::Base,
        blobs::{Blobs, Results},
        cancel::Cancel,
        failure::PortError,
        observer::{Event, Observer, Phase},
    },
    previous::kept::{Kept, KeptContents},
    workbench::DraftLayer,
};

/// The buildpack API whose rules for processes and environment our buildpacks follow, for the launcher.
const BUILDPACK_API: Api = Api { major: 0, minor: 10 };

/// What export needs beside the image's parts.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// Where layers are kept.
    pub blobs: &'a dyn Blobs,
    /// Where it is kept which layers there are.
    pub results: &'a dyn Results,
    /// Who is told.
    pub observer: &'a dyn Observer,
    /// Whether to stop.
    pub cancel: &'a Cancel,
    /// The launcher for the image's platform.
    pub launcher: &'static [u8],
    /// The launcher's version.
    pub launcher_version: &'a str,
    /// How new layers are compressed.
    pub packing: Packing,
}

/// What the person who builds says about the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// The process that starts when none is named, instead of the one that the buildpacks name.
    pub default_process: Option<ProcessType>,
    /// When it was made, in seconds since 1970; a fixed instant when none.
    pub created: Option<u64>,
    /// Where the source comes from, as JSON for [`PROJECT_LABEL`]; nothing when empty.
    pub project: String,
    /// The execution environment that it is for.
    pub exec_env: ExecEnv,
}

/// Why no image came of it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A layer could not be written.
    #[error("could not write the layer {what}")]
    Layer {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: LayerError,
    },
    /// The disk is full or failed while a layer was written.
    #[error("could not write the layer {what}")]
    Output {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layer could not be kept.
    #[error("could not keep the layer {what}")]
    Keep {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: PortError,
    },
    /// A file of a layer could not be read.
    #[error("could not read the files of {what}")]
    Read {
        /// Which layer.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layer's environment could not be put beside its files.
    #[error("could not put the environment of {what} into its layer")]
    Environment {
        /// Which layer.
        what: String,
        /// Why.
        #[source]
        source: EnvironmentError,
    },
    /// The files of a remembered layer could not be made again.
    #[error("could not make the files of {what} again")]
    Again {
        /// Which layer.
        what: String,
        /// Why.
        #[source]
        source: PortError,
    },
    /// A slice's pattern is none.
    #[error("could not split the app into slices")]
    Slices(#[source] GlobError),
    /// A path in the image is none.
    #[error("could not place a layer in the image")]
    Place(#[source] InvalidPath),
    /// A process type's link could not be made.
    #[error("could not lay out the launcher")]
    Launcher(#[source] TreeError),
    /// The launcher's metadata could not be written.
    #[error("could not write down the processes")]
    Metadata(#[source] InvalidMetadata),
    /// There is no process of the type that was chosen.
    #[error("there is no process `{chosen}` in the image")]
    NoProcess {
        /// What was chosen.
        chosen: ProcessType,
        /// What there is.
        known: Vec<ProcessType>,
    },
    /// The base's configuration is not one.
    #[error("could not put the layers on the base image")]
    Base(#[source] ImageError),
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// Why a layer's environment could not be written beside its files.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The changes themselves.
    #[error(transparent)]
    Change(#[from] InvalidChange),
    /// A file of the layer is in the way.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// What came of a build.
#[derive(Debug)]
pub struct Exported {
    /// The image.
    pub image: Image,
    /// The layers that are for the next build of the image.
    pub kept: Kept,
}

/// Assembles the image on its base, as the buildpacks say.
pub fn export(ports: &Ports<'_>, base: &Base, built: &Built) -> Result<Image, ExportError> {
    export_as(ports, base, built, &Choices::default()).map(|exported| exported.image)
}

/// The process types there are, if the chosen one is not among them.
fn check_process(built: &Built, choices: &Choices) -> Result<(), ExportError> {
    let mut known = built.launch.processes.iter().map(|process| process.kind.clone());
    match &choices.default_process {
        Some(chosen) if !known.clone().any(|kind| kind == *chosen) => {
            Err(ExportError::NoProcess { chosen: chosen.clone(), known: known.by_ref().collect() })
        }
        _ => Ok(()),
    }
}

/// Assembles the image on its base, as somebody chose.
pub fn export_as(ports: &Ports<'_>, base: &Base, built: &Built, choices: &Choices) -> Result<Exported, ExportError> {
    check_process(built, choices)?;
    ports.observer.observe(Event::Phase(Phase::Export));
    let owner = image::owner(&base.image.config).map_err(ExportError::Base)?;
    let metadata = Metadata { buildpacks: built.parts.iter().map(participant).collect(), launch: built.launch.clone() };
    let mut drafts = drafts::buildpack_drafts(&built.parts, owner, is_launch)?;
    let sbom = bill::draft(ports, built, owner)?.map(|bill| drafts.push(bill)).map(|()| drafts.len() - 1);
    let app_start = drafts.len();
    drafts.extend(drafts::app_drafts(ports, built, owner)?);
    let app_end = drafts.len();
    drafts.push(drafts::launcher_draft(ports.launcher)?);
    drafts.push(drafts::config_draft(&metadata, owner)?);
    if !metadata.launch.processes.is_empty() {
        drafts.push(drafts::process_draft(&metadata)?);
    }
    let image_end = drafts.len();
    drafts.extend(drafts::buildpack_drafts(&built.parts, owner, is_cache_alone)?);
    let mut ready = layers::make_all(ports, &drafts)?;
    let beside = ready.split_off(image_end);
    stop_if_asked(ports)?;
    let kept = kept(base, choices, &built.parts, &ready, &beside)?;
    let sha = |index: usize| ready.get(index).map_or(LayerSha { sha: String::new() }, |r| r.layer.diff_id.into());
    let exec_env = image::exec_env::to_say(&choices.exec_env, &metadata.launch.processes);
    let lifecycle = LifecycleMetadata {
        app: (app_start..app_end).map(sha).collect(),
        sbom: sbom.map(sha),
        buildpacks: buildpack_labels(&built.parts, &ready),
        launcher: sha(app_end),
        config: sha(app_end + 1),
        process_types: sha(app_end + 2),
        run_image: run_image(base),
        stack: StackMetadata { run_image: RunImageNames { image: base.name.clone(), mirrors: Vec::new() } },
        exec_env: exec_env.clone(),
    };
    let mut labels = vec![
        (LIFECYCLE_LABEL.to_owned(), json(&lifecycle)),
        (BUILD_LABEL.to_owned(), json(&BuildMetadata::new(&metadata, ports.launcher_version))),
        (PROJECT_LABEL.to_owned(), if choices.project.is_empty() { "{}" } else { &choices.project }.to_owned()),
    ];
    labels.extend(metadata.launch.labels.iter().map(|label| (label.key.clone(), label.value.clone())));
    let addition = Addition {
        layers: ready.iter().map(|r| NewLayer { diff_id: r.layer.diff_id, created_by: r.created_by.clone() }).collect(),
        labels,
        default_process: choices.default_process.clone().or_else(|| metadata.launch.default.clone()),
        created: choices.created,
        exec_env,
    };
    let config = image::assemble(&base.image.config, &addition).map_err(ExportError::Base)?;
    let layers =
        base.image.layers.iter().map(ImageLayer::in_oci_words).chain(ready.into_iter().map(|r| r.layer)).collect();
    Ok(Exported { image: Image::new(base.image.platform.clone(), config, layers), kept })
}

fn stop_if_asked(ports: &Ports<'_>) -> Result<(), ExportError> {
    if ports.cancel.is_set() { Err(ExportError::Cancelled) } else { Ok(()) }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("maps with text keys, texts and numbers are always JSON")
}

fn participant(part: &Part) -> Participant {
    let about = &part.manifest.buildpack;
    let homepage = Some(about.homepage.clone()).filter(|homepage| !homepage.is_empty());
    Participant { id: about.id.clone(), version: about.version.to_string(), api: BUILDPACK_API, homepage }
}

fn run_image(base: &Base) -> RunImage {
    RunImage {
        top_layer: base.top_layer(),
        reference: base.reference.clone(),
        image: base.name.clone(),
        mirrors: Vec::new(),
    }
}

/// Layers of the image, not those that only serve later builds.
fn launch_layers(part: &Part) -> impl Iterator<Item = &DraftLayer> {
    part.layers.iter().filter(|layer| is_launch(layer))
}

fn is_launch(layer: &DraftLayer) -> bool {
    layer.usage.launch
}

/// Whether a layer is for the next build, and not in the image.
fn is_cache_alone(layer: &DraftLayer) -> bool {
    layer.usage.cache && !layer.usage.launch
}

/// The layers that are for the next build: those of the image that are, and those that are made beside it.
fn kept(
    base: &Base,
    choices: &Choices,
    parts: &[Part],
    image: &[Ready],
    beside: &[Ready],
) -> Result<Kept, ExportError> {
    let (mut image, mut beside) = (image.iter(), beside.iter());
    let mut kept = Kept::default();
    for part in parts {
        for layer in part.layers.iter().filter(|layer| is_launch(layer) || is_cache_alone(layer)) {
            let made = if is_launch(layer) { image.next() } else { beside.next() };
            let Some(Ready { layer: made, .. }) = made.filter(|_| layer.usage.cache) else { continue };
            let contents = KeptContents {
                usage: layer.usage,
                metadata: layer.metadata.clone(),
                contents: layer.contents.clone(),
                diff_id: made.diff_id,
                descriptor: made.descriptor.clone(),
            };
            kept.layers.entry(part.manifest.buildpack.id.clone()).or_default().insert(layer.name.clone(), contents);
        }
    }
    if !kept.layers.is_empty() {
        kept.stack = Some(base.stack().map_err(ExportError::Base)?);
        kept.exec_env = choices.exec_env.clone();
    }
    Ok(kept)
}

fn buildpack_labels(parts: &[Part], ready: &[Ready]) -> Vec<BuildpackLayers> {
    let mut ready = ready.iter();
    let mut labels = Vec::new();
    for part in parts {
        let layers: BTreeMap<_, _> = launch_layers(part)
            .zip(ready.by_ref())
            .map(|(draft, made)| {
                let entry = LayerEntry {
                    sha: made.layer.diff_id.to_string(),
                    data: draft.metadata.clone(),
                    usage: draft.usage,
                };
                (draft.name.clone(), entry)
            })
            .collect();
        labels.push(BuildpackLayers {
            key: part.manifest.buildpack.id.clone(),
            version: part.manifest.buildpack.version.to_string(),
            layers,
            store: Some(part.store.clone()).filter(|store| !store.is_empty()).map(|metadata| Store { metadata }),
        });
    }
    labels
}
