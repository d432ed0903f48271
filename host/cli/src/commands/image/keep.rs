//! `image trigger`, `lock`, `unlock` and `rollback`: what an image is held to, beside its wish.

use stave_platform::{
    decide::{SourceState, Verdict},
    history,
    port::Failed,
    reconcile::decision,
    resource::{
        build::{Build, Fault, Outcome},
        name::ImageKey,
    },
};

use super::{key, only, record};
use crate::{
    args::image::{ImageLock, ImageRollback, ImageTrigger, ImageUnlock},
    commands::resources,
    exit::{Exit, USAGE},
    platform::{Came, Desk, Show, failed, now, outcome},
};

/// Somebody wants a build.
pub(super) fn trigger(desk: &Desk<'_>, arguments: &ImageTrigger) -> Result<(), Exit> {
    let key = key(desk, &arguments.name, &arguments.whose);
    if record(desk, &key)?.builds.is_empty() {
        return Err(Exit::new(USAGE, "no builds found").hint("the first build of an image needs no trigger"));
    }
    let at = now();
    let amended = desk.records().amend_image(&key, &mut |record| {
        record.image.status.triggers += 1;
        record.image.status.triggered_at = Some(at);
        // Whoever asks wants the newest source too.
        record.source.looked = 0;
        Ok(())
    });
    let record = amended.map_err(failed)?.ok_or_else(|| Exit::new(USAGE, "the image was deleted meanwhile"))?;
    let number = record.image.status.build_counter + 1;
    if arguments.printed.form.document().is_none() {
        let line = format!("Triggered build for Image Resource \"{}\" with Build Number {number}", key.name);
        desk.workshop.ui.result(&line);
    }
    follow(desk, &key, arguments.waiting.wait)?;
    resources::print_image(desk, &key, arguments.printed.form)
}

/// Keeps to the builder of a build.
pub(super) fn lock(desk: &Desk<'_>, arguments: &ImageLock) -> Result<(), Exit> {
    let key = key(desk, &arguments.name, &arguments.whose);
    let found = record(desk, &key)?;
    let newest = || found.builds.iter().rev().find(|build| build.made().is_some()).map(|build| build.number);
    let number = arguments.build.or_else(newest).ok_or_else(|| {
        Exit::new(
            USAGE,
            format!("the image {} has no build that made an image, and there is nothing to lock", key.name),
        )
    })?;
    change(desk, &key, |record| {
        record.image.status.lock = Some(history::lock(&record.image, &record.builds, number)?);
        for build in &mut record.builds {
            build.pinned = build.number == number;
        }
        Ok(())
    })?;
    if arguments.printed.form.document().is_none() {
        desk.workshop.ui.result(&format!("Image Resource \"{}\" locked to the builder of build {number}", key.name));
    }
    follow(desk, &key, arguments.waiting.wait)?;
    resources::print_image(desk, &key, arguments.printed.form)
}

/// Follows the builder again.
pub(super) fn unlock(desk: &Desk<'_>, arguments: &ImageUnlock) -> Result<(), Exit> {
    let key = key(desk, &arguments.name, &arguments.whose);
    let was = record(desk, &key)?.image.status.lock.is_some();
    change(desk, &key, |record| {
        if let Some(lock) = record.image.status.lock.take() {
            record.builds.iter_mut().filter(|build| build.number == lock.build).for_each(|build| build.pinned = false);
        }
        Ok(())
    })?;
    if arguments.printed.form.document().is_none() {
        let unchanged = if was { "" } else { " (no change)" };
        desk.workshop.ui.result(&format!("Image Resource \"{}\" unlocked{unchanged}", key.name));
    }
    follow(desk, &key, arguments.waiting.wait)?;
    resources::print_image(desk, &key, arguments.printed.form)
}

/// Makes the image again what an earlier build made. The record of it says that it runs, and who holds the lease does it: so
/// that no build takes the tags meanwhile.
pub(super) fn rollback(desk: &Desk<'_>, arguments: &ImageRollback) -> Result<(), Exit> {
    let key = key(desk, &arguments.name, &arguments.whose);
    let found = record(desk, &key)?;
    let SourceState::Ready(source) = found.source_state() else {
        return Err(Exit::new(USAGE, format!("where the source of the image {} is now is not known", key.name)));
    };
    let (to, at, mut number) = (arguments.to_build, now(), 0);
    change(desk, &key, |record| {
        let turned = history::turn_back(&record.image, &record.builds, to, &source, at)?;
        let build = Build { outcome: Outcome::Running, finished: None, ..turned.build };
        number = build.number;
        record.image.status.build_counter = record.image.status.build_counter.max(number);
        record.image.status.rollback = Some(turned.rollback);
        record.builds.push(build);
        Ok(())
    })?;
    follow(desk, &key, arguments.waiting.wait)?;
    if arguments.printed.form.document().is_none() {
        let is_there = record(desk, &key)?.builds.iter().any(|build| build.number == number && build.made().is_some());
        let what = if is_there { "is" } else { "is going to be" };
        desk.workshop
            .ui
            .result(&format!("Image Resource \"{}\" {what} what build {to} made: build {number}", key.name));
    }
    resources::print_image(desk, &key, arguments.printed.form)
}

/// Changes what is remembered of an image.
fn change(
    desk: &Desk<'_>,
    key: &ImageKey,
    mut amend: impl FnMut(&mut stave_platform::port::records::ImageRecord) -> Result<(), history::Refusal>,
) -> Result<(), Exit> {
    let mut refused = None;
    let amended = desk.records().amend_image(key, &mut |record| {
        amend(record).map_err(|refusal| {
            let text = refusal.to_string();
            refused = Some(refusal);
            Failed::new(Fault::Refused, text)
        })
    });
    match (amended, refused) {
        (_, Some(refusal)) => Err(Exit::new(USAGE, refusal)),
        (Err(error), None) => Err(failed(error)),
        (Ok(None), None) => Err(Exit::new(USAGE, "the image was deleted meanwhile")),
        (Ok(Some(_)), None) => Ok(()),
    }
}

/// Does what follows of a change.
fn follow(desk: &Desk<'_>, key: &ImageKey, wait: bool) -> Result<(), Exit> {
    let scope = only(key);
    let settled = desk.settle_showing(&scope, wait, Show::Logs)?;
    tell_why_not(desk, key, &settled)?;
    outcome(&settled, &scope)
}

/// Says why nothing was built, where nothing was.
pub(super) fn tell_why_not(desk: &Desk<'_>, key: &ImageKey, came: &Came) -> Result<(), Exit> {
    if came.is_left || came.ended.iter().any(|build| build.image == *key) {
        return Ok(());
    }
    let snapshot = desk.snapshot()?;
    let Some(record) = snapshot.images.get(key) else { return Ok(()) };
    let decision = decision(&snapshot, record, &desk.rules()?, now());
    match decision.verdict {
        Verdict::Unknown(_) | Verdict::Held(_) => {
            desk.workshop.ui.say(&format!("Nothing is built: {}", decision.line()));
        }
        Verdict::Start(_) | Verdict::UpToDate { .. } | Verdict::Running { .. } => {}
    }
    Ok(())
}
