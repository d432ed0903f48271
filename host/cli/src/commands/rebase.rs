//! `stave rebase`: an image on another base. Only configurations and manifests move where the layers are.

use serde::Serialize;
use stave_lifecycle::{
    image::Image,
    port::{
        bases::Base,
        failure::PortError,
        observer::{Event, Level, Observer},
    },
    rebase::{Rebased, rebase},
};
use stave_model::{
    digest::Digest,
    rebase::{Build, candidates, named_base},
    target::Platform,
};
use stave_oci::{
    index::Swaps,
    layout::LayoutFolder,
    reference::Reference,
    registry::{pull::Every, push::RegistryTag},
};

use super::build::send;
use crate::{
    args::{Output, Rebase},
    destination,
    exit::{ANALYZE, EXPORT, Exit, GENERAL, REBASE, USAGE, printable},
    found::Found,
    workshop::Workshop,
};

/// What the long help adds.
pub(crate) const HELP: &str = "\
The layers of the old base are exchanged for those of the new one; the app's stay. A base is accepted if the image names
it as its base, or if it is another tag or digest of the same repository; --force takes others. A base for another
platform is never taken. The environment stays the image's, as the platform specification has it, the PATH of the old base
among it: what a build on the new base would set otherwise, add or not set is said, and only a build does it. SBOMs within
the image stay; in a registry they are attached to the rebased image too.";

/// One platform of the image, for programs.
#[derive(Serialize)]
struct About {
    platform: String,
    digest: String,
    previous_digest: String,
    changed: bool,
    base: String,
    base_reference: String,
    previous_base_reference: Option<String>,
    accepted_because: String,
    overruled: Vec<String>,
    env_kept: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    image: &'a str,
    digest: String,
    dry_run: bool,
    platforms: Vec<About>,
}

/// An image before and after.
struct Turn {
    old: Image,
    base: Base,
    new: Rebased,
}

/// All platforms of an image, and what lists them where that is a document of its own.
struct Source {
    images: Vec<Image>,
    every: Option<Every>,
}

pub(crate) fn run(workshop: &Workshop, arguments: &Rebase) -> Result<(), Exit> {
    let found = locate(workshop, arguments)?;
    let stays = arguments.tag.is_none() && arguments.destination.to.is_empty();
    if matches!(found, Found::Registry(..)) && stays && !arguments.destination.publish && !arguments.dry_run {
        let exit = Exit::new(USAGE, format!("{} is in a registry", printable(&arguments.image)));
        return Err(exit.hint("add --publish to replace it there, --to to put the rebased one elsewhere, or --dry-run"));
    }
    if matches!(found, Found::Layout(..)) && arguments.destination.publish && arguments.tag.is_none() {
        let exit = Exit::new(USAGE, "an image in a layout has no name in a registry");
        return Err(exit.hint("give it one with --tag REGISTRY/NAME"));
    }
    let source = source(workshop, &found)?;
    let turns = turns(workshop, arguments, &found, source.images)?;
    for turn in &turns {
        tell(workshop, turn);
    }
    let index = source.every.as_ref().and_then(|every| every.index.as_ref()).map(|(_, bytes)| Digest::of(bytes));
    let digest = if arguments.dry_run {
        workshop.ui.say("nothing was changed: --dry-run");
        digest_of(&turns, None)?
    } else if stays && turns.iter().all(|turn| turn.old.digest() == turn.new.image.digest()) {
        digest_of(&turns, index)?
    } else {
        write(workshop, arguments, &found, &turns, source.every.as_ref())?
    };
    report(workshop, arguments, &turns, digest)
}

/// With `--publish`, a name with a registry means the image there.
fn locate(workshop: &Workshop, arguments: &Rebase) -> Result<Found, Exit> {
    if arguments.destination.publish && !arguments.image.starts_with("oci:") {
        let reference: Reference = arguments.image.parse().map_err(|error| Exit::new(USAGE, error))?;
        if reference.registry.is_some() {
            return Ok(Found::in_registry(workshop, reference));
        }
    }
    Found::locate(workshop, &arguments.image)
}

fn source(workshop: &Workshop, found: &Found) -> Result<Source, Exit> {
    let failed = |error: PortError| Exit::new(ANALYZE, error);
    let images = match found {
        Found::Store(_, _, platforms) if platforms.is_empty() => vec![found.image(&Platform::of_this_machine())?],
        Found::Store(_, _, platforms) => platforms.iter().map(|one| found.image(one)).collect::<Result<_, _>>()?,
        Found::Layout(layout, _) => layout.images().map_err(failed)?,
        Found::Registry(image, _) => {
            let mut every = image.every().map_err(failed)?;
            return Ok(Source { images: std::mem::take(&mut every.images), every: Some(every) });
        }
    };
    workshop.cancel.check()?;
    Ok(Source { images, every: None })
}

/// Decides for every platform before anything is written.
fn turns(workshop: &Workshop, arguments: &Rebase, found: &Found, images: Vec<Image>) -> Result<Vec<Turn>, Exit> {
    let Some(first) = images.first() else {
        return Err(Exit::new(ANALYZE, format!("there is no image in {}", printable(&arguments.image))));
    };
    let names = match &arguments.run_image {
        Some(name) => vec![name.clone()],
        None => names_of(found, first)?,
    };
    let (new, _) = readable(workshop, &names, &first.platform)?;
    let mut turns = Vec::new();
    for old in images {
        let base = new.base(&old.platform)?;
        let new = rebase(&old, &base, arguments.force).map_err(|refusal| {
            let can_be_forced = refusal.can_be_forced();
            let context =
                format!("could not put {} for {} on {}", printable(&arguments.image), old.platform, base.name);
            let exit = Exit::new(REBASE, anyhow::Error::new(refusal).context(context));
            if can_be_forced { exit.hint("--force does it nevertheless; building again is the safe way") } else { exit }
        })?;
        turns.push(Turn { old, base, new });
    }
    Ok(turns)
}

/// What the image names as its base, the nearest first.
fn names_of(found: &Found, image: &Image) -> Result<Vec<String>, Exit> {
    let registry = match found {
        Found::Registry(_, reference) => reference.registry.as_ref().map(ToString::to_string),
        _ => None,
    };
    let names = candidates(&image.config, registry.as_deref()).map_err(|refusal| Exit::new(REBASE, refusal))?;
    if names.is_empty() {
        return Err(Exit::new(REBASE, "the image does not name its base").hint("name one with --run-image"));
    }
    Ok(names)
}

/// The first of these that can be read.
fn readable(workshop: &Workshop, names: &[String], platform: &Platform) -> Result<(Found, Base), Exit> {
    let mut first = None;
    for name in names {
        match Found::locate(workshop, name).and_then(|found| found.base(platform).map(|base| (found, base))) {
            Ok(found) => return Ok(found),
            Err(exit) => first = first.or(Some(exit)),
        }
        workshop.cancel.check()?;
    }
    let exit = first.unwrap_or_else(|| Exit::new(REBASE, "no base is named"));
    Err(exit.hint("--run-image names another base"))
}

fn tell(workshop: &Workshop, turn: &Turn) {
    let Turn { old, base, new } = turn;
    let platform = &old.platform;
    let note = |level, text: String| workshop.ui.observe(Event::Note(level, text));
    if old.digest() == new.image.digest() {
        return note(Level::Info, format!("{platform}: is on {} already", base.name));
    }
    note(Level::Info, format!("{platform}: on {} ({}): {}", base.name, base.image.digest().short(), new.decision.rule));
    for refusal in &new.decision.overruled {
        note(Level::Warning, format!("{platform}: by force, although {refusal}"));
    }
    for build in [Build::Change, Build::Add, Build::Drop] {
        let names = new.decision.env_kept.iter().filter(|kept| kept.build == build).map(|kept| kept.name.as_str());
        let names: Vec<&str> = names.collect();
        if !names.is_empty() {
            let names = names.join(", ");
            note(Level::Info, format!("{platform}: the environment stays the image's, where a build {build} {names}"));
        }
    }
}

/// The image's name afterwards: an index's digest, or the one image's; of several without an index the first one's.
fn digest_of(turns: &[Turn], index: Option<Digest>) -> Result<Digest, Exit> {
    let first = turns.first().map(|turn| turn.new.image.digest());
    index.or(first).ok_or_else(|| Exit::new(GENERAL, "there was nothing to rebase"))
}

fn write(
    workshop: &Workshop,
    arguments: &Rebase,
    found: &Found,
    turns: &[Turn],
    every: Option<&Every>,
) -> Result<Digest, Exit> {
    let mut swaps = Swaps::default();
    for turn in turns {
        swaps.add(turn.old.digest(), turn.new.image.clone());
    }
    let parse = |text: &str| text.parse::<Reference>().map_err(|error| Exit::new(USAGE, error));
    let tag = arguments.tag.as_deref().map(parse).transpose()?;
    let failed = |error: PortError| Exit::new(EXPORT, error);
    let mut written = None;
    match found {
        Found::Registry(_, reference) if arguments.destination.publish => {
            let target = tag.clone().unwrap_or_else(|| reference.clone());
            written = Some(publish(workshop, &target, turns, &swaps, every)?);
        }
        Found::Layout(_, place) if tag.is_none() && arguments.destination.to.is_empty() => {
            let folder = LayoutFolder::new(place.clone());
            folder.replace(&swaps, workshop.ui.as_ref(), &workshop.cancel).map_err(failed)?;
            for turn in turns {
                exported(workshop, place.to_string(), turn.new.image.digest());
            }
        }
        _ => {}
    }
    let elsewhere = !arguments.destination.to.is_empty()
        || matches!(found, Found::Store(..))
        || (tag.is_some() && written.is_none());
    if elsewhere {
        let name = match (&tag, found) {
            (Some(tag), _) => tag.clone(),
            (None, Found::Store(_, name, _)) => parse(name)?,
            (None, Found::Registry(_, reference)) => Reference { digest: None, ..reference.clone() },
            (None, Found::Layout(..)) => parse("rebased")?,
        };
        let mut destination = arguments.destination.clone();
        destination.publish &= written.is_none();
        let alone = destination.to.iter().any(|to| to.starts_with("docker"));
        if alone && turns.len() > 1 {
            return Err(Exit::new(
                USAGE,
                "a docker archive and a daemon take an image for one platform, and this is for several",
            ));
        }
        let sinks = destination::sinks(workshop, std::slice::from_ref(&name), &destination)?;
        for turn in turns {
            send(workshop, &turn.new.image, &sinks)?;
        }
    }
    digest_of(turns, written)
}

fn publish(
    workshop: &Workshop,
    target: &Reference,
    turns: &[Turn],
    swaps: &Swaps,
    every: Option<&Every>,
) -> Result<Digest, Exit> {
    let context = |error: anyhow::Error| Exit::new(EXPORT, error.context(format!("could not publish {target}")));
    if let Some(digest) = target.digest {
        let exit = Exit::new(USAGE, format!("a rebased image has another digest than {}", digest.short()));
        return Err(exit.hint("name a tag for it with --tag"));
    }
    let rewritten = every.map(|every| every.rewritten(swaps)).transpose().map_err(|error| context(error.into()))?;
    let media_type = every.and_then(|every| every.index.as_ref()).map(|(media_type, _)| media_type.as_str());
    let index = media_type.zip(rewritten.as_ref().and_then(Option::as_ref));
    let images: Vec<Image> = turns.iter().map(|turn| turn.new.image.clone()).collect();
    let sink = RegistryTag::new(workshop.registries(), target.clone()).map_err(|error| Exit::new(USAGE, error))?;
    let sink = sink.with_bills();
    let stored = sink.replace(&images, index, workshop.ui.as_ref(), &workshop.cancel);
    let stored = stored.map_err(|error| context(error.into()))?;
    exported(workshop, target.to_string(), stored.digest);
    Ok(stored.digest)
}

fn exported(workshop: &Workshop, to: String, digest: Digest) {
    workshop.ui.observe(Event::Exported { to, digest: digest.to_string() });
}

fn report(workshop: &Workshop, arguments: &Rebase, turns: &[Turn], digest: Digest) -> Result<(), Exit> {
    if arguments.output == Output::Text {
        workshop.ui.result(&digest.to_string());
        return Ok(());
    }
    let about = turns.iter().map(|Turn { old, base, new }| About {
        platform: new.image.platform.to_string(),
        digest: new.image.digest().to_string(),
        previous_digest: old.digest().to_string(),
        changed: old.digest() != new.image.digest(),
        base: base.name.clone(),
        base_reference: base.reference.clone(),
        previous_base_reference: named_base(&old.config).map(|base| base.reference),
        accepted_because: new.decision.rule.to_string(),
        overruled: new.decision.overruled.iter().map(ToString::to_string).collect(),
        env_kept: new.decision.env_kept.iter().map(|kept| kept.name.clone()).collect(),
    });
    let report = Report {
        image: &arguments.image,
        digest: digest.to_string(),
        dry_run: arguments.dry_run,
        platforms: about.collect(),
    };
    workshop.ui.result(&serde_json::to_string_pretty(&report).map_err(|error| Exit::new(GENERAL, error))?);
    Ok(())
}
