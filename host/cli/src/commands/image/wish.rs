//! `image create`, `patch` and `save`: a wish is new, or becomes another one, and what follows of it is done.

use std::collections::BTreeMap;

use stave_platform::{
    port::Applied,
    resource::{
        builder::{BuilderKind, BuilderRef},
        image::{BuildSettings, Cache, Image, ImageSpec, ImageStatus, Metadata, Tagging, Volume, Watch},
        manifest::Resource,
        name::{ImageKey, Name},
        policy::UpdatePolicy,
        reference::{Reference, Tag},
        source::{Blob, Git, Registry, Source},
    },
};

use super::{key, only, record};
use crate::{
    args::{
        image::{ImageCreate, ImagePatch, ImageRemovals, ImageSave, ImageWish},
        platform::{Form, Rehearsal, Uploading},
    },
    commands::{resources, settings},
    exit::{Exit, USAGE},
    platform::{Desk, Show, failed, outcome},
    upload::{Dry, source_repository, upload},
};

/// The branch where none is said.
const MAIN: &str = "main";

/// A wish that is new.
pub(super) fn create(desk: &Desk<'_>, arguments: &ImageCreate) -> Result<(), Exit> {
    let key = key(desk, &arguments.name, &arguments.whose);
    if desk.records().image(&key).map_err(failed)?.is_some() {
        let exit =
            Exit::new(USAGE, format!("image \"{}\" already exists in the namespace {}", key.name, key.namespace));
        return Err(exit.hint("`stave image patch` changes it, `stave image save` does either"));
    }
    desk.workshop.ui.say("Creating Image Resource...");
    let rehearsal = arguments.uploading.rehearsal();
    let destination = arguments.local_path_destination_image.as_ref();
    let source = source(desk, &arguments.wish, &arguments.tag, destination, None, rehearsal)?;
    let source = source.ok_or_else(|| Exit::new(USAGE, "an image needs a source"))?;
    let builder = builder(arguments.builder.as_ref(), arguments.cluster_builder.as_ref()).unwrap_or_default();
    let mut image = new(desk, &key, arguments.tag.clone(), (builder, source))?;
    change(&mut image, &arguments.wish, None)?;
    finish(
        desk,
        image,
        &Said { verb: "created", rehearsal, uploading: arguments.uploading, form: arguments.printed.form },
    )
}

/// Another wish.
pub(super) fn patch(desk: &Desk<'_>, arguments: &ImagePatch) -> Result<(), Exit> {
    let key = key(desk, &arguments.name, &arguments.whose);
    let old = record(desk, &key)?.image;
    desk.workshop.ui.say("Patching Image Resource...");
    let rehearsal = arguments.uploading.rehearsal();
    let builder = builder(arguments.builder.as_ref(), arguments.cluster_builder.as_ref());
    let image = patched(desk, &old, &arguments.wish, &arguments.removals, builder, rehearsal)?;
    finish(
        desk,
        image,
        &Said { verb: "patched", rehearsal, uploading: arguments.uploading, form: arguments.printed.form },
    )
}

/// A wish that is new or another one.
pub(super) fn save(desk: &Desk<'_>, arguments: &ImageSave) -> Result<(), Exit> {
    let key = key(desk, &arguments.name, &arguments.whose);
    let rehearsal = arguments.uploading.rehearsal();
    let said = |verb| Said { verb, rehearsal, uploading: arguments.uploading, form: arguments.printed.form };
    let builder = builder(arguments.builder.as_ref(), arguments.cluster_builder.as_ref());
    let Some(old) = desk.records().image(&key).map_err(failed)? else {
        let tag = arguments.tag.clone().ok_or_else(|| Exit::new(USAGE, "a new image needs --tag"))?;
        desk.workshop.ui.say("Creating Image Resource...");
        let destination = arguments.local_path_destination_image.as_ref();
        let source = source(desk, &arguments.wish, &tag, destination, None, rehearsal)?.ok_or_else(|| {
            Exit::new(USAGE, "a new image needs a source").hint("name it with --git, --blob or --local-path")
        })?;
        let mut image = new(desk, &key, tag, (builder.unwrap_or_default(), source))?;
        change(&mut image, &arguments.wish, Some(&arguments.removals))?;
        return finish(desk, image, &said("created"));
    };
    desk.workshop.ui.say("Patching Image Resource...");
    let mut image = patched(desk, &old.image, &arguments.wish, &arguments.removals, builder, rehearsal)?;
    if let Some(tag) = &arguments.tag {
        image.spec.tag = tag.clone();
    }
    finish(desk, image, &said("patched"))
}

fn new(desk: &Desk<'_>, key: &ImageKey, tag: Tag, (builder, source): (BuilderRef, Source)) -> Result<Image, Exit> {
    let account = settings::default_account(desk, &key.namespace)?;
    Ok(Image {
        metadata: Metadata {
            name: key.name.clone(),
            namespace: Some(key.namespace.clone()),
            generation: 0,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        },
        spec: ImageSpec {
            tag,
            additional_tags: Vec::new(),
            builder,
            service_account_name: account.unwrap_or_else(|| "default".to_owned()),
            source,
            cache: None,
            failed_build_history_limit: 10,
            success_build_history_limit: 10,
            image_tagging_strategy: Tagging::default(),
            project_descriptor_path: None,
            build: BuildSettings::default(),
            cosign: None,
            default_process: None,
            watch: Watch::default(),
            update_policy: UpdatePolicy::default(),
        },
        status: ImageStatus::default(),
    })
}

fn patched(
    desk: &Desk<'_>,
    old: &Image,
    wish: &ImageWish,
    removals: &ImageRemovals,
    builder: Option<BuilderRef>,
    rehearsal: Rehearsal,
) -> Result<Image, Exit> {
    let mut image = old.clone();
    if let Some(builder) = builder {
        image.spec.builder = builder;
    }
    if let Some(source) = source(desk, wish, &old.spec.tag, None, Some(&old.spec.source), rehearsal)? {
        image.spec.source = source;
    }
    change(&mut image, wish, Some(removals))?;
    Ok(image)
}

/// The builder that was named.
fn builder(of_namespace: Option<&Name>, of_all: Option<&Name>) -> Option<BuilderRef> {
    let of = |kind, name: &Name| BuilderRef { kind, name: name.clone() };
    of_namespace
        .map(|name| of(BuilderKind::Builder, name))
        .or_else(|| of_all.map(|name| of(BuilderKind::ClusterBuilder, name)))
}

/// The source that was named, or what of the old one was changed; none if nothing was said of it.
fn source(
    desk: &Desk<'_>,
    wish: &ImageWish,
    tag: &Tag,
    destination: Option<&Tag>,
    old: Option<&Source>,
    rehearsal: Rehearsal,
) -> Result<Option<Source>, Exit> {
    let given = &wish.source;
    let mut source = if let Some(url) = &given.git {
        let revision = wish.git_revision.clone().unwrap_or_else(|| MAIN.to_owned());
        let initialize_submodules = old.and_then(|old| old.git.as_ref()).is_some_and(|git| git.initialize_submodules);
        Source { git: Some(Git { url: url.clone(), revision, initialize_submodules }), ..Source::default() }
    } else if let Some(url) = &given.blob {
        let old = old.and_then(|old| old.blob.as_ref());
        let (auth, strip_components) = old.map_or((None, 0), |old| (old.auth, old.strip_components));
        Source { blob: Some(Blob { url: url.clone(), auth, strip_components }), ..Source::default() }
    } else if let Some(path) = &given.local_path {
        let to = destination.map_or_else(|| source_repository(tag), |tag| Reference { ..tag.reference().clone() });
        let dry = if rehearsal.uploads() { Dry::No } else { Dry::Run };
        let uploaded = upload(desk.workshop, path, &to, dry)?;
        let image = uploaded.reference.reference().clone();
        Source { registry: Some(Registry { image, image_pull_secrets: Vec::new() }), ..Source::default() }
    } else if wish.git_revision.is_some() || wish.sub_path.is_some() {
        old.cloned().unwrap_or_default()
    } else {
        return Ok(None);
    };
    if given.git.is_none()
        && let Some(revision) = &wish.git_revision
    {
        let git = source.git.as_mut();
        let git = git.ok_or_else(|| Exit::new(USAGE, "--git-revision is for a source in git, and this one is not"))?;
        git.revision.clone_from(revision);
    }
    source.sub_path = match &wish.sub_path {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(path.clone()),
        None => old.and_then(|old| old.sub_path.clone()),
    };
    Ok(Some(source))
}

/// Changes what was said, and takes away what was to be.
fn change(image: &mut Image, wish: &ImageWish, removals: Option<&ImageRemovals>) -> Result<(), Exit> {
    let spec = &mut image.spec;
    if let Some(removals) = removals {
        remove(spec, removals)?;
    }
    for tag in &wish.additional_tag {
        if !spec.additional_tags.contains(tag) {
            spec.additional_tags.push(tag.clone());
        }
    }
    for variable in &wish.env {
        match spec.build.env.iter_mut().find(|old| old.name == variable.name) {
            Some(old) => old.value.clone_from(&variable.value),
            None => spec.build.env.push(variable.clone()),
        }
    }
    for service in &wish.service_binding {
        if !spec.build.services.iter().any(|old| old.name == service.name && old.kind == service.kind) {
            spec.build.services.push(service.clone());
        }
    }
    if let Some(size) = &wish.cache_size {
        let class = spec.cache.as_ref().and_then(|cache| cache.volume.as_ref()?.storage_class_name.clone());
        spec.cache =
            Some(Cache { volume: Some(Volume { size: size.clone(), storage_class_name: class }), registry: None });
    }
    if let Some(limit) = wish.success_build_history_limit {
        spec.success_build_history_limit = limit;
    }
    if let Some(limit) = wish.failed_build_history_limit {
        spec.failed_build_history_limit = limit;
    }
    if let Some(account) = &wish.service_account {
        spec.service_account_name = account.to_string();
    }
    if let Some(updates) = wish.update_policy {
        spec.update_policy.automatic = updates.into();
    }
    if let Some(watch) = wish.watch {
        spec.watch = watch.applied(spec.watch);
    }
    if !wish.update_window.is_empty() {
        spec.update_policy.windows = wish.update_window.iter().filter_map(|window| window.0.clone()).collect();
    }
    Ok(())
}

fn remove(spec: &mut ImageSpec, removals: &ImageRemovals) -> Result<(), Exit> {
    for name in &removals.delete_env {
        let before = spec.build.env.len();
        spec.build.env.retain(|variable| variable.name != *name);
        if spec.build.env.len() == before {
            let shown = crate::exit::printable(name);
            return Err(Exit::new(USAGE, format!("the image has no setting `{shown}` to take away")));
        }
    }
    for service in &removals.delete_service_binding {
        let before = spec.build.services.len();
        spec.build.services.retain(|old| old.name != service.name || old.kind != service.kind);
        if spec.build.services.len() == before {
            return Err(Exit::new(USAGE, format!("the image has no service binding {} to take away", service.name)));
        }
    }
    for tag in &removals.delete_additional_tag {
        let before = spec.additional_tags.len();
        spec.additional_tags.retain(|old| old != tag);
        if spec.additional_tags.len() == before {
            return Err(Exit::new(USAGE, format!("the image has no additional tag {tag} to take away")));
        }
    }
    if !removals.replace_additional_tag.is_empty() {
        spec.additional_tags.clone_from(&removals.replace_additional_tag);
    }
    Ok(())
}

/// What was said, and how it is told.
struct Said {
    verb: &'static str,
    rehearsal: Rehearsal,
    uploading: Uploading,
    form: Form,
}

/// Takes the wish down, prints the result, and does what follows.
fn finish(desk: &Desk<'_>, image: Image, said: &Said) -> Result<(), Exit> {
    let key = image.key();
    let resource = Resource::Image(Box::new(image));
    resources::check(&resource)?;
    resources::is_allowed(desk.workshop, &resource)?;
    let applied =
        if said.rehearsal.is_dry() { resources::would_apply(desk, &resource)? } else { desk.change(&resource)? };
    resources::print(desk.workshop, &resource, said.form)?;
    let unchanged = if applied == Applied::Unchanged && said.verb == "patched" { " (no change)" } else { "" };
    if said.form.document().is_none() {
        let line = format!("Image Resource \"{}\" {}{}{unchanged}", key.name, said.verb, said.rehearsal.suffix());
        desk.workshop.ui.result(&line);
    }
    if said.rehearsal.is_dry() {
        return Ok(());
    }
    // Also where nothing changed: whoever types it again wants to have done what somebody was stopped in.
    let scope = only(&key);
    let settled = desk.settle_showing(&scope, said.uploading.waiting.wait, Show::Logs)?;
    super::keep::tell_why_not(desk, &key, &settled)?;
    outcome(&settled, &scope)
}
