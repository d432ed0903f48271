//! Lets the buildpacks of a group do their work, one after the other, and joins what they say.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use stave_archive::tree::Tree;
use stave_model::{
    dependency::Dependency,
    id::BuildpackId,
    launch::{self, Aggregate, InvalidLaunch, Launch},
    manifest::Manifest,
    plan::Requirement,
};

use crate::{
    detect::Detection,
    memory,
    port::{
        buildpack::{Buildpack, Report, RunError},
        observer::{Event, Level, Phase as FlowPhase},
    },
    slices,
    workbench::{DraftLayer, Shop},
};

/// What all buildpacks together made.
#[derive(Debug, Clone)]
pub struct Built {
    /// Each buildpack's part, in order.
    pub parts: Vec<Part>,
    /// The app with all changes laid over it.
    pub app: Tree,
    /// Processes, labels and slices.
    pub launch: Aggregate,
}

/// What one buildpack made.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its layers, sorted by name.
    pub layers: Vec<DraftLayer>,
    /// Its notes for the next build.
    pub store: BTreeMap<String, String>,
}

impl Part {
    /// The declared dependencies of which something is in its layers, in the manifest's order; also where the layers are
    /// remembered, or those of an earlier build.
    pub fn brought_in(&self) -> impl Iterator<Item = &Dependency> {
        self.manifest.dependencies.iter().filter(|dependency| {
            let mut components = self.layers.iter().flat_map(|layer| &layer.contents);
            components.any(|component| {
                dependency.artifacts.iter().any(|artifact| {
                    component.sha256 == Some(artifact.sha256) || component.purl.as_ref() == Some(&artifact.purl)
                })
            })
        })
    }
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A buildpack did not finish.
    #[error("{buildpack} could not build the app")]
    Buildpack {
        /// Which, as id@version.
        buildpack: String,
        /// Why.
        #[source]
        source: RunError,
    },
    /// A buildpack leaves something unmet that it was not asked for.
    #[error("{buildpack} says that it leaves `{}` unmet, which nobody required of it", name.escape_debug())]
    Unmet {
        /// Which, as id@version.
        buildpack: String,
        /// The name.
        name: String,
    },
    /// What the buildpacks say about launch is too much together.
    #[error("could not join what the buildpacks say about launch")]
    Launch(#[source] InvalidLaunch),
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// Runs each member of the group with the requirements that it provides.
pub fn build(shop: &Shop, detection: &Detection, app: Tree) -> Result<Built, BuildError> {
    shop.observer.observe(Event::Phase(FlowPhase::Build));
    let mut app = Arc::new(app);
    let mut met: Vec<String> = Vec::new();
    let mut parts = Vec::new();
    let mut launches: Vec<Launch> = Vec::new();
    for (index, buildpack) in detection.members.iter().enumerate() {
        shop.cancel.check().map_err(|_| BuildError::Cancelled)?;
        let manifest = buildpack.manifest();
        let title = manifest.title();
        let requirements = detection.plan.requirements_for(index, &met);
        shop.observer.observe(Event::Building { buildpack: title.clone() });
        let started = Instant::now();
        let One { report, layers, app: changed } = one(shop, buildpack.as_ref(), &requirements, app)?;
        met.extend(requirements.into_iter().map(|r| r.name).filter(|name| !report.unmet.contains(name)));
        shop.observer.observe(Event::Built { buildpack: title, took: started.elapsed() });
        app = changed;
        launches.push(report.launch);
        parts.push(Part { manifest: manifest.clone(), layers, store: report.store });
    }
    shop.cancel.check().map_err(|_| BuildError::Cancelled)?;
    let (launch, cleared) = launch::aggregate(&launches).map_err(BuildError::Launch)?;
    for warning in cleared {
        shop.observer.observe(Event::Note(Level::Warning, warning.to_string()));
    }
    Ok(Built { parts, app: Arc::unwrap_or_clone(app), launch })
}

/// What one buildpack made of the app.
#[derive(Debug)]
pub struct One {
    /// What it says.
    pub report: Report,
    /// Its layers that are for something, sorted by name.
    pub layers: Vec<DraftLayer>,
    /// The app with its changes laid over it.
    pub app: Arc<Tree>,
}

/// Lets one buildpack do its work, by itself; `requirements` are those that it provides.
pub fn one(
    shop: &Shop,
    buildpack: &dyn Buildpack,
    requirements: &[Requirement],
    app: Arc<Tree>,
) -> Result<One, BuildError> {
    let manifest = buildpack.manifest();
    let failed = |source| match source {
        RunError::Cancelled => BuildError::Cancelled,
        source => BuildError::Buildpack { buildpack: manifest.title(), source },
    };
    let done = memory::build(shop, buildpack, requirements, app, |report| checked(report, manifest));
    let done = done.map_err(failed)?;
    for name in &done.report.unmet {
        if !requirements.iter().any(|requirement| requirement.name == *name) {
            let name = name.chars().take(200).collect();
            return Err(BuildError::Unmet { buildpack: manifest.title(), name });
        }
    }
    done.keep();
    let layers = used(shop, &manifest.buildpack.id, done.work.layers);
    Ok(One { report: done.report, layers, app: done.work.app })
}

/// The report, if an image can carry it. Whoever ran the buildpack, its processes are its own.
fn checked(mut report: Report, manifest: &Manifest) -> Result<Report, RunError> {
    for process in &mut report.launch.processes {
        process.buildpack = manifest.buildpack.id.clone();
    }
    report.launch.check().map_err(|error| RunError::BadAnswer(error.to_string()))?;
    slices::check(&report.launch.slices).map_err(|error| RunError::BadAnswer(error.to_string()))?;
    Ok(report)
}

/// The layers that are for something; the others are said to be left out.
fn used(shop: &Shop, buildpack: &BuildpackId, layers: Vec<DraftLayer>) -> Vec<DraftLayer> {
    let (used, unused): (Vec<_>, Vec<_>) =
        layers.into_iter().partition(|layer| layer.usage.build || layer.usage.launch || layer.usage.cache);
    for layer in unused {
        let reason = "it is for neither build, launch nor cache".to_owned();
        shop.observer.observe(Event::LeftOut { buildpack: buildpack.clone(), layer: layer.name, reason });
    }
    used
}
