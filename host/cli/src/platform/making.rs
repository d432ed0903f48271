//! A build of the platform: the source as it was found, the builder as it was, and what came of them pushed to every tag.
//!
//! An app's own words about its builder and its buildpacks are not followed here, as kpack does not follow them: which
//! buildpacks run on a platform is its operator's to say.

use std::sync::Arc;

use stave_lifecycle::{
    build,
    export::{self, Choices, Exported},
    port::{
        observer::{Event, Observer as _},
        sink::Sink as _,
    },
};
use stave_model::{digest::Digest, target::Platform};
use stave_oci::{component::Place, layout, registry::push::RegistryTag};
use stave_platform::{
    port::Work,
    resource::{
        build::{Build, Change, Made, Mode, Reason, joined},
        builder::{BuilderRevision, BuildpackVersion},
        reference::Pinned,
        source::Found,
    },
    table::diff,
};

use super::{
    Desk,
    getting::{self, Keys},
    names,
};
use crate::{
    args::{CreationTime, Source},
    builder::{self, Named, PLATFORMS},
    commands::build::{build_failed, created, export_failed},
    embedded, endings,
    exit::{EXPORT, Exit, REFUSED, USAGE},
    prepare::{Given, Prepared, detect_failed, prepare_given},
    previous::{Search, kept_under},
    workshop::Workshop,
};

/// Says why the build is made, as kpack's first step does.
pub(super) fn prepare(workshop: &Workshop, work: &Work) {
    let Build { changes, mode, number, image, .. } = &work.build;
    let ui = &workshop.ui;
    ui.step(match mode {
        Mode::Build => "PREPARE",
        Mode::Rebase => "REBASE",
        Mode::Rollback => "ROLLBACK",
    });
    // A rollback is begun by who asks for it, and done by who holds the lease.
    if work.resumed > 0 && *mode != Mode::Rollback {
        ui.say("The platform was stopped in the middle of this build, which now begins again");
    }
    ui.say(&format!("Build {number} of {image}"));
    ui.say(&format!("Build reason(s): {}", joined(changes)));
    for change in changes {
        tell_change(workshop, change);
    }
}

fn tell_change(workshop: &Workshop, change: &Change) {
    // What somebody asked for has no two sides to it.
    if change.reason == Reason::Trigger {
        return;
    }
    workshop.ui.say(&format!("{}:", change.reason));
    for line in diff::lines(change) {
        workshop.ui.say(&crate::exit::one_line(&line.to_string(), 1000));
    }
}

/// Builds, and pushes to every tag.
pub(super) fn make(desk: &Desk<'_>, workshop: &Workshop, keys: &Keys, work: &Work) -> Result<Made, Exit> {
    let Work { image, build, .. } = work;
    let (tree, sub_path) = getting::tree(workshop, keys, &build.inputs.source)?;
    let revision = &build.inputs.revision;
    let source = arguments(build);
    let given = Given {
        tree,
        sub_path,
        descriptor: image.spec.project_descriptor_path.clone(),
        builder: named(workshop, revision)?,
        bindings: desk.bindings(image)?,
        label: label(&build.inputs.source.at),
    };
    let prepared = prepare_given(workshop, &source, given)?;
    let settings = &image.spec.build;
    let time = settings.creation_time.as_deref().filter(|time| !time.is_empty());
    let time: Option<CreationTime> =
        time.map(str::parse).transpose().map_err(|error: String| Exit::new(USAGE, error))?;
    let choices = Choices {
        default_process: image.spec.default_process.clone(),
        created: created(time, None)?,
        project: prepared.label.clone(),
        exec_env: source.exec_env(),
    };
    let platform = Platform::of_this_machine();
    let name = names::of_tag(&image.spec.tag)?;
    let Finished { image: made, kept, buildpacks } = build_for(workshop, work, &prepared, &platform, &choices)?;
    let mut digest = made.digest();
    for tag in &build.tags {
        let sink =
            RegistryTag::new(workshop.registries(), names::of_tag(tag)?).map_err(|error| Exit::new(USAGE, error))?;
        let stored = sink.with_bills().put(&made, workshop.ui.as_ref(), &workshop.cancel).map_err(|error| {
            Exit::new(EXPORT, anyhow::Error::new(error).context(format!("could not send the image to {tag}")))
        })?;
        digest = stored.digest;
        workshop.ui.observe(Event::Exported { to: tag.to_string(), digest: digest.to_string() });
    }
    kept.keep(&workshop.results, &kept_under(workshop, &name), &platform);
    Ok(Made {
        image: Pinned::new(image.spec.tag.reference(), digest),
        buildpacks,
        run_image: revision.run_image.clone(),
        stack_id: revision.stack_id.clone(),
        lifecycle: revision.lifecycle.clone(),
    })
}

/// What was built, before it is sent.
struct Finished {
    image: stave_lifecycle::image::Image,
    kept: stave_lifecycle::previous::kept::Kept,
    buildpacks: Vec<BuildpackVersion>,
}

fn build_for(
    workshop: &Workshop,
    work: &Work,
    prepared: &Prepared<'_>,
    platform: &Platform,
    choices: &Choices,
) -> Result<Finished, Exit> {
    let (base, mut shop) = prepared.open_shop(workshop, platform.clone())?;
    let name = names::of_tag(&work.image.spec.tag)?;
    let search = if let Some(made) = work.based_on.as_ref().and_then(Build::made) {
        Search::in_registry(workshop, &names::of_pinned(&made.image)?)
    } else {
        workshop.ui.say("There is no previous image");
        Search::none()
    };
    let previous = search.previous(workshop, &name, platform, false)?.within(&choices.exec_env);
    let detection = prepared.detect(&shop).map_err(|error| detect_failed(error, false))?;
    workshop.ui.step("RESTORE");
    workshop.ui.say(&restored(work));
    shop.previous = Arc::new(previous.for_base(&base));
    let built = build::build(&shop, &detection, prepared.app.tree.clone()).map_err(build_failed)?;
    endings::tell(&built, endings::today(), workshop.ui.as_ref());
    let ports = export::Ports {
        blobs: workshop.blobs.as_ref(),
        results: &workshop.results,
        observer: workshop.ui.as_ref(),
        cancel: &workshop.cancel,
        launcher: embedded::launcher(platform).unwrap_or_default(),
        launcher_version: env!("CARGO_PKG_VERSION"),
        packing: stave_archive::layer::Packing::default(),
    };
    let Exported { image, kept } = export::export_as(&ports, &base, &built, choices).map_err(export_failed)?;
    let buildpacks = took_part(&work.build.inputs.revision, &detection.plan.members);
    Ok(Finished { image, kept, buildpacks })
}

/// What the buildpacks find of the build before this one.
fn restored(work: &Work) -> String {
    match work.based_on.as_ref().and_then(|before| Some((before.number, before.made()?))) {
        Some((number, made)) => format!("Layers and notes of build {number} ({})", made.image.digest().short()),
        None => "Nothing is there to restore".to_owned(),
    }
}

/// The builder's buildpacks among those that took part.
fn took_part(revision: &BuilderRevision, members: &[String]) -> Vec<BuildpackVersion> {
    let known = |title: &String| revision.buildpacks.iter().find(|one| one.title() == *title).cloned();
    members.iter().filter_map(known).collect()
}

/// The builder's artefact as it was kept when it was made.
fn named(workshop: &Workshop, revision: &BuilderRevision) -> Result<Named, Exit> {
    let gone = || {
        let exit = Exit::new(REFUSED, "the builder that this build was decided for is not kept any more");
        exit.hint("`stave clusterbuilder status` says what it is now; `stave image trigger` builds with that")
    };
    let artefact: Digest = revision.artefact.ok_or_else(gone)?;
    let place = layout::Place { folder: builder::kept_folder(workshop), name: None };
    let names = layout::Layout::open(place.clone())?.names()?;
    let found = names.into_iter().find(|(name, digest)| *digest == artefact && name.starts_with(PLATFORMS));
    let (name, _) = found.ok_or_else(gone)?;
    let place = Place::Layout { place: layout::Place { name: Some(name.clone()), ..place }, digest: Some(artefact) };
    Ok(Named::Artefact(place, name))
}

/// What an image's settings are as if they were typed.
fn arguments(build: &Build) -> Source {
    let env = build.inputs.env.iter().map(|variable| format!("{}={}", variable.name, variable.value));
    Source { env: env.collect(), ..Source::plain() }
}

/// Where the source comes from, for the image's label (platform specification, `project-metadata.toml`).
fn label(found: &Found) -> String {
    let source = match found {
        Found::Git(git) => serde_json::json!({
            "type": "git",
            "version": { "commit": git.revision },
            "metadata": { "repository": git.url, "revision": git.revision },
        }),
        Found::Blob(blob) => serde_json::json!({
            "type": "blob",
            "version": { "sha256": blob.digest.map(|digest| digest.hex()) },
            "metadata": { "url": without_query(&blob.url) },
        }),
        Found::Registry(found) => serde_json::json!({
            "type": "registry",
            "version": { "digest": found.image.digest().to_string() },
            "metadata": { "image": found.image.to_string() },
        }),
    };
    serde_json::json!({ "source": source }).to_string()
}

/// An address without what follows `?`, which may be a signature that lets everybody in.
pub(super) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
