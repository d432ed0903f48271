//! A rebase of the platform: the last image on the builder's run image, pushed to every tag. No buildpack runs, no source is
//! read, and no layer moves where the registry has them all.

use std::collections::BTreeSet;

use stave_lifecycle::{
    image::Image,
    port::{
        bases::Base,
        observer::{Event, Observer as _},
    },
    rebase::{Rebased, rebase as put_on},
};
use stave_model::{digest::Digest, rebase::Refusal};
use stave_oci::{
    index::Swaps,
    registry::{pull::Every, pull::RegistryImage, push::RegistryTag},
};
use stave_platform::{
    port::Work,
    resource::{
        build::{Build, Made},
        reference::{Pinned, Tag},
    },
};

use super::names;
use crate::{
    exit::{ANALYZE, EXPORT, Exit, REBASE, USAGE},
    found::Found,
    workshop::Workshop,
};

/// Puts the last image on another base.
pub(super) fn rebase(workshop: &Workshop, work: &Work) -> Result<Made, Exit> {
    let nothing = || Exit::new(REBASE, "there is no image to put on another base");
    let before = work.based_on.as_ref().and_then(Build::made).ok_or_else(nothing)?;
    let revision = &work.build.inputs.revision;
    let every = every(workshop, &before.image)?;
    let found = Found::in_registry(workshop, names::of_pinned(&revision.run_image)?);
    let mut swaps = Swaps::default();
    let mut images = Vec::new();
    for old in &every.images {
        let base = found.base(&old.platform)?;
        let new = on(old, &base)?;
        for overruled in &new.decision.overruled {
            workshop.ui.say(&format!("{}: although {overruled}", old.platform));
        }
        workshop.ui.say(&format!("{}: on {}", old.platform, base.reference));
        swaps.add(old.digest(), new.image.clone());
        images.push(new.image);
    }
    let digest = publish(workshop, &work.build.tags, &every, &images, &swaps)?;
    Ok(Made {
        image: Pinned::new(work.image.spec.tag.reference(), digest),
        run_image: revision.run_image.clone(),
        stack_id: revision.stack_id.clone(),
        ..before.clone()
    })
}

/// All platforms of an image in its registry.
fn every(workshop: &Workshop, image: &Pinned) -> Result<Every, Exit> {
    let (blobs, ui, cancel) = (workshop.blobs.clone(), workshop.ui.clone(), workshop.cancel.clone());
    let image = RegistryImage::new(workshop.registries(), names::of_pinned(image)?, blobs, ui, cancel);
    image.every().map_err(|error| Exit::new(ANALYZE, error))
}

/// Stacks with one id may be in different repositories: that the base has another name is what the operator said. Everything
/// else that stands against it stays an error.
fn on(old: &Image, base: &Base) -> Result<Rebased, Exit> {
    let refused = |refusal: Refusal| {
        let context = format!("could not put the image for {} on {}", old.platform, base.name);
        let exit = Exit::new(REBASE, anyhow::Error::new(refusal).context(context));
        exit.hint("`stave image trigger` builds it anew, on the new base")
    };
    match put_on(old, base, false) {
        Err(Refusal::Name { .. }) => put_on(old, base, true).map_err(refused),
        done => done.map_err(refused),
    }
}

fn publish(workshop: &Workshop, tags: &[Tag], every: &Every, images: &[Image], swaps: &Swaps) -> Result<Digest, Exit> {
    let failed = |tag: &Tag, error: anyhow::Error| Exit::new(EXPORT, error.context(format!("could not publish {tag}")));
    let (mut digest, mut done) = (None, BTreeSet::new());
    for tag in tags {
        let rewritten = every.rewritten(swaps).map_err(|error| failed(tag, error.into()))?;
        let media_type = every.index.as_ref().map(|(media_type, _)| media_type.as_str());
        let sink = RegistryTag::new(workshop.registries(), names::of_tag(tag)?);
        let sink = sink.map_err(|error| Exit::new(USAGE, error))?.with_bills();
        let index = media_type.zip(rewritten.as_ref());
        let stored = if done.insert(tag.reference().name()) {
            sink.replace(images, index, workshop.ui.as_ref(), &workshop.cancel)
        } else {
            sink.name_again(images, index, workshop.ui.as_ref(), &workshop.cancel)
        };
        let stored = stored.map_err(|error| failed(tag, error.into()))?;
        workshop.ui.observe(Event::Exported { to: tag.to_string(), digest: stored.digest.to_string() });
        digest = Some(stored.digest);
    }
    digest.ok_or_else(|| Exit::new(EXPORT, "the build has no tag"))
}

/// Gives the tags to the image of an earlier build again.
pub(super) fn turn_back(workshop: &Workshop, work: &Work) -> Result<Made, Exit> {
    let nothing = || Exit::new(REBASE, "the build that the image is turned back to is not kept any more");
    let earlier = work.based_on.as_ref().and_then(Build::made).ok_or_else(nothing)?;
    put_again(workshop, &earlier.image, &work.build.tags)?;
    Ok(earlier.clone())
}

/// Puts an image that is in its registry at tags again.
fn put_again(workshop: &Workshop, image: &Pinned, tags: &[Tag]) -> Result<(), Exit> {
    let every = every(workshop, image)?;
    let digest = publish(workshop, tags, &every, &every.images, &Swaps::default())?;
    if digest == image.digest() {
        return Ok(());
    }
    Err(Exit::new(EXPORT, format!("{image} came out as {digest} when it was put at its tag again")))
}
