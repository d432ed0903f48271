//! `stave image`: wishes for images, and what came of them.

mod keep;
mod wish;

use serde_json::{Value, json};
use stave_platform::{
    decide::{
        Decision, Question,
        explain::explain,
        status::{Condition, conditions},
    },
    port::records::{Id, ImageRecord, Snapshot},
    reconcile::{Scope, builder_state, decision},
    resource::{
        build::joined,
        builder::BuilderKind,
        manifest::Resource,
        name::{ImageKey, Name},
    },
    table::{lists, statuses},
};

use crate::{
    args::{
        image::{Filter, FilterKey, ImageCommand, ImageDelete, ImageList, ImageNamed},
        platform::Whose,
    },
    commands::{records, resources},
    document,
    exit::{Exit, USAGE},
    platform::{Desk, failed, is_overtaken, now},
    workshop::Workshop,
};

/// Does what was typed about images.
pub(crate) fn run(workshop: &Workshop, command: &ImageCommand) -> Result<(), Exit> {
    let desk = Desk::open(workshop)?;
    match command {
        ImageCommand::Create(arguments) => wish::create(&desk, arguments),
        ImageCommand::Patch(arguments) => until_nobody_is_faster(&desk, || wish::patch(&desk, arguments)),
        ImageCommand::Save(arguments) => until_nobody_is_faster(&desk, || wish::save(&desk, arguments)),
        ImageCommand::List(arguments) => list(&desk, arguments),
        ImageCommand::Delete(arguments) => delete(&desk, arguments),
        ImageCommand::Trigger(arguments) => keep::trigger(&desk, arguments),
        ImageCommand::Status(arguments) => status(&desk, arguments),
        ImageCommand::Explain(arguments) => explained(&desk, arguments),
        ImageCommand::Lock(arguments) => keep::lock(&desk, arguments),
        ImageCommand::Unlock(arguments) => keep::unlock(&desk, arguments),
        ImageCommand::Rollback(arguments) => keep::rollback(&desk, arguments),
    }
}

/// Changes an image, and again from the start if somebody else did meanwhile: what they changed stays.
fn until_nobody_is_faster(desk: &Desk<'_>, change: impl Fn() -> Result<(), Exit>) -> Result<(), Exit> {
    loop {
        match change() {
            Err(exit) if is_overtaken(&exit) => {
                desk.workshop.ui.say("it was changed meanwhile: changing what it is now");
            }
            came => return came,
        }
        desk.workshop.cancel.check()?;
    }
}

/// Which image is meant.
pub(crate) fn key(desk: &Desk<'_>, name: &Name, whose: &Whose) -> ImageKey {
    ImageKey { namespace: resources::namespace(desk.workshop, whose), name: name.clone() }
}

/// The scope of one image.
pub(crate) fn only(key: &ImageKey) -> Scope {
    Scope::Images([key.clone()].into())
}

/// An image that has to be there.
pub(crate) fn record(desk: &Desk<'_>, key: &ImageKey) -> Result<ImageRecord, Exit> {
    let found = desk.records().image(key).map_err(failed)?;
    found.ok_or_else(|| {
        let exit = Exit::new(USAGE, format!("image \"{}\" not found in the namespace {}", key.name, key.namespace));
        exit.hint("`stave image list -A` lists all there are")
    })
}

/// An image with all that is decided about it now.
struct Looked<'a> {
    record: &'a ImageRecord,
    decision: Decision,
    conditions: Vec<Condition>,
}

impl<'a> Looked<'a> {
    fn at(desk: &Desk<'_>, snapshot: &Snapshot, record: &'a ImageRecord) -> Result<Self, Exit> {
        let (rules, now) = (desk.rules()?, now());
        let decision = decision(snapshot, record, &rules, now);
        let (builder, source) = (builder_state(snapshot, record), record.source_state());
        let question = Question {
            image: &record.image,
            builds: &record.builds,
            builder: &builder,
            source: &source,
            retry: rules.retry,
            now,
        };
        let conditions = conditions(&question, &decision);
        Ok(Self { record, decision, conditions })
    }

    fn ready(&self) -> &Condition {
        // `Ready` is always first.
        &self.conditions[0]
    }

    /// The resource with what is known of it, for programs.
    fn document(&self) -> Value {
        let status = &self.record.image.status;
        let mut document = resources::manifest(&Resource::Image(Box::new(self.record.image.clone())));
        let latest = self.record.builds.last();
        document["status"] = json!({
            "conditions": self.conditions,
            "latestImage": status.latest_image,
            "buildCounter": status.build_counter,
            "latestBuildReason": latest.map(|build| joined(&build.changes)),
            "locked": status.lock.as_ref().map(|lock| lock.build),
            "rolledBackTo": status.rollback.as_ref().map(|rollback| rollback.to),
        });
        document
    }

    fn fits(&self, filters: &[Filter]) -> bool {
        let spec = &self.record.image.spec;
        filters.iter().all(|filter| {
            let has = |text: &str| filter.values.iter().any(|value| value.eq_ignore_ascii_case(text));
            match filter.key {
                FilterKey::Builder => spec.builder.kind == BuilderKind::Builder && has(spec.builder.name.as_str()),
                FilterKey::ClusterBuilder => {
                    spec.builder.kind == BuilderKind::ClusterBuilder && has(spec.builder.name.as_str())
                }
                FilterKey::LatestReason => {
                    let latest = self.record.builds.last();
                    latest.is_some_and(|build| build.changes.iter().any(|change| has(change.reason.as_str())))
                }
                FilterKey::Ready => has(self.ready().status.as_str()),
            }
        })
    }
}

fn list(desk: &Desk<'_>, arguments: &ImageList) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let namespace = resources::namespace(desk.workshop, &arguments.whose);
    let records = snapshot.images.iter().filter(|(key, _)| arguments.all_namespaces || key.namespace == namespace);
    let looked = records.map(|(_, record)| Looked::at(desk, &snapshot, record)).collect::<Result<Vec<_>, _>>()?;
    let looked: Vec<Looked<'_>> = looked.into_iter().filter(|one| one.fits(&arguments.filter)).collect();
    if let Some(format) = arguments.printed.form.document() {
        let all: Vec<Value> = looked.iter().map(Looked::document).collect();
        desk.workshop.ui.result(&document::write(&all, format)?);
        return Ok(());
    }
    if looked.is_empty() {
        return Err(Exit::new(USAGE, "no image resources found"));
    }
    let rows: Vec<lists::ImageRow<'_>> = looked
        .iter()
        .map(|one| lists::ImageRow { image: &one.record.image, builds: &one.record.builds, ready: one.ready() })
        .collect();
    desk.workshop.ui.result(lists::images(&rows).trim_end_matches('\n'));
    Ok(())
}

fn status(desk: &Desk<'_>, arguments: &ImageNamed) -> Result<(), Exit> {
    let key = key(desk, &arguments.name, &arguments.whose);
    let record = record(desk, &key)?;
    let snapshot = desk.snapshot()?;
    let looked = Looked::at(desk, &snapshot, &record)?;
    let text = match arguments.printed.form.document() {
        Some(format) => document::write(&looked.document(), format)?,
        None => statuses::image(&record.image, &record.builds, looked.ready()),
    };
    desk.workshop.ui.result(text.trim_end_matches('\n'));
    Ok(())
}

fn explained(desk: &Desk<'_>, arguments: &ImageNamed) -> Result<(), Exit> {
    let key = key(desk, &arguments.name, &arguments.whose);
    let record = record(desk, &key)?;
    let snapshot = desk.snapshot()?;
    let looked = Looked::at(desk, &snapshot, &record)?;
    let text = match arguments.printed.form.document() {
        None => explain(&record.image, &looked.decision),
        Some(format) => {
            let comparisons = looked.decision.comparisons.iter().map(|comparison| {
                json!({
                    "reason": comparison.reason,
                    "differs": comparison.differs(),
                    "old": comparison.old,
                    "new": comparison.new,
                })
            });
            let document = json!({
                "image": key.to_string(),
                "verdict": looked.decision.line(),
                "comparedWith": looked.decision.compared_with,
                "comparisons": comparisons.collect::<Vec<_>>(),
                "conditions": looked.conditions,
            });
            document::write(&document, format)?
        }
    };
    desk.workshop.ui.result(text.trim_end_matches('\n'));
    Ok(())
}

fn delete(desk: &Desk<'_>, arguments: &ImageDelete) -> Result<(), Exit> {
    let key = key(desk, &arguments.name, &arguments.whose);
    let running = record(desk, &key)?.running().map(|build| build.number);
    if let Some(number) = running.filter(|_| arguments.waiting.wait) {
        // As long as it is there, its record says when its build is over.
        records::stop(desk, &key, number)?;
        records::wait_for_end(desk, &key, number, true)?;
    }
    desk.records().remove(&Id::Image(key.clone())).map_err(failed)?;
    desk.logs().remove(&key)?;
    desk.workshop.ui.result(&format!("Image Resource \"{}\" deleted", key.name));
    Ok(())
}
