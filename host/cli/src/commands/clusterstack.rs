//! `stave clusterstack`: the images that builders' images stand on.

use serde_json::{Value, json};
use stave_model::target::Platform;
use stave_platform::{
    decide::status::Status,
    port::records::{Id, Snapshot, StackRecord},
    resource::{
        manifest::Resource,
        name::Name,
        reference::Reference,
        stack::{ImageName, Stack, StackSpec},
    },
    table::{lists, statuses},
};

use super::resources::{
    self, Said, called, exists, finish, manifest, not_found, print_document,
    relocation::{Moved, image_in_registry},
};
use crate::{
    args::{
        ClusterStackCommand,
        clusterstack::{ClusterStackDelete, ClusterStackPatch, Refresh, StackImages},
        platform::{Form, Uploading},
    },
    exit::{Exit, USAGE, printable},
    found::Found,
    platform::{Desk, failed, names},
    workshop::Workshop,
};

/// What it is called.
const KIND: &str = "ClusterStack";

/// Does what was typed about stacks.
pub(crate) fn run(workshop: &Workshop, command: &ClusterStackCommand) -> Result<(), Exit> {
    let desk = Desk::open(workshop)?;
    match command {
        ClusterStackCommand::Create(typed) => {
            if desk.snapshot()?.stacks.contains_key(&typed.name) {
                return Err(exists(KIND, "clusterstack", &typed.name));
            }
            create(&desk, &typed.name, &typed.images, said(typed.uploading, typed.printed.form))
        }
        ClusterStackCommand::Patch(typed) => patch(&desk, typed),
        ClusterStackCommand::Save(typed) if desk.snapshot()?.stacks.contains_key(&typed.name) => patch(&desk, typed),
        ClusterStackCommand::Save(typed) => {
            create(&desk, &typed.name, &typed.images, said(typed.uploading, typed.printed.form))
        }
        ClusterStackCommand::List(typed) => list(&desk, typed.printed.form),
        ClusterStackCommand::Status(typed) => status(&desk, &typed.name, typed.printed.form),
        ClusterStackCommand::Delete(typed) => delete(&desk, typed),
        ClusterStackCommand::Refresh(typed) => refresh(&desk, typed),
    }
}

fn said(uploading: Uploading, form: Form) -> Said {
    Said { form, rehearsal: uploading.rehearsal(), wait: uploading.waiting.wait, is_change: false }
}

fn create(desk: &Desk<'_>, name: &Name, images: &StackImages, said: Said) -> Result<(), Exit> {
    desk.workshop.ui.say("Creating ClusterStack...");
    let run_image = images.run_image.as_deref().ok_or_else(|| Exit::new(USAGE, "a new stack needs --run-image"))?;
    let run_image = image(desk, run_image, said)?;
    let id = match &images.id {
        Some(id) => id.clone(),
        None => labelled(desk.workshop, &run_image)?.unwrap_or_else(|| name.to_string()),
    };
    let spec = StackSpec {
        id,
        build_image: images.build_image.as_deref().map(|build| image(desk, build, said)).transpose()?.map(name_of),
        run_image: name_of(run_image),
        service_account_ref: None,
    };
    let stack = Resource::Stack(Box::new(Stack { metadata: called(name, None), spec }));
    finish(desk, &stack, &format!("{KIND} \"{name}\" created"), said)
}

fn patch(desk: &Desk<'_>, typed: &ClusterStackPatch) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let mut stack = record(&snapshot, &typed.name)?.stack.clone();
    desk.workshop.ui.say("Updating ClusterStack...");
    let said = Said { is_change: true, ..said(typed.uploading, typed.printed.form) };
    change(desk, &mut stack, &typed.images, said)?;
    finish(desk, &Resource::Stack(Box::new(stack)), &format!("{KIND} \"{}\" updated", typed.name), said)
}

/// What is said is changed; another run image says itself which stack it is. Answers whether that is on this machine only.
pub(crate) fn change(desk: &Desk<'_>, stack: &mut Stack, images: &StackImages, said: Said) -> Result<bool, Exit> {
    let mut is_here = false;
    if let Some(run_image) = &images.run_image {
        let moved = image(desk, run_image, said)?;
        is_here = moved.config.is_some();
        if images.id.is_none()
            && let Some(id) = labelled(desk.workshop, &moved)?
        {
            stack.spec.id = id;
        }
        stack.spec.run_image = name_of(moved);
    }
    if let Some(build_image) = &images.build_image {
        stack.spec.build_image = Some(name_of(image(desk, build_image, said)?));
    }
    if let Some(id) = &images.id {
        stack.spec.id.clone_from(id);
    }
    Ok(is_here)
}

fn image(desk: &Desk<'_>, text: &str, said: Said) -> Result<Moved, Exit> {
    image_in_registry(desk, text, said.rehearsal)
}

/// As a stack names it.
fn name_of(moved: Moved) -> ImageName {
    ImageName { image: moved.reference }
}

/// The stack that an image says it is of, in its label or its environment (platform specification, "Stacks").
fn labelled(workshop: &Workshop, image: &Moved) -> Result<Option<String>, Exit> {
    match &image.config {
        Some(config) => Ok(stack_id(config)),
        None => labelled_in_registry(workshop, &image.reference),
    }
}

/// The same of an image in a registry.
pub(crate) fn labelled_in_registry(workshop: &Workshop, reference: &Reference) -> Result<Option<String>, Exit> {
    let found = Found::in_registry(workshop, names::parse(&reference.to_string())?);
    Ok(stack_id(&found.image(&Platform::of_this_machine())?.config))
}

fn stack_id(config: &[u8]) -> Option<String> {
    let config: Value = serde_json::from_slice(config).ok()?;
    let label = config.pointer("/config/Labels/io.buildpacks.stack.id").and_then(Value::as_str);
    let env = config.pointer("/config/Env").and_then(Value::as_array).and_then(|env| {
        env.iter().filter_map(Value::as_str).find_map(|variable| variable.strip_prefix("CNB_STACK_ID="))
    });
    let is_good = |id: &&str| !id.is_empty() && id.len() <= 255 && !id.chars().any(char::is_control);
    label.filter(is_good).or(env.filter(is_good)).map(str::to_owned)
}

/// A stack that has to be there.
pub(crate) fn record<'a>(snapshot: &'a Snapshot, name: &Name) -> Result<&'a StackRecord, Exit> {
    snapshot.stacks.get(name).ok_or_else(|| not_found(KIND, name, snapshot.stacks.keys()))
}

fn ready(record: &StackRecord) -> Status {
    match (&record.seen.found, &record.seen.failure) {
        (_, Some(_)) => Status::False,
        (Some(_), None) => Status::True,
        (None, None) => Status::Unknown,
    }
}

fn document(record: &StackRecord) -> Value {
    let mut document = manifest(&Resource::Stack(Box::new(record.stack.clone())));
    document["status"] = json!({
        "ready": ready(record).as_str(),
        "message": record.seen.failure,
        "id": record.seen.found.as_ref().map(|found| &found.id),
        "runImage": record.seen.found.as_ref().map(|found| json!({ "latestImage": found.run_image })),
    });
    document
}

fn list(desk: &Desk<'_>, form: Form) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    if form.document().is_some() {
        return print_document(desk.workshop, &snapshot.stacks.values().map(document).collect(), form);
    }
    if snapshot.stacks.is_empty() {
        return Err(Exit::new(USAGE, "no clusterstacks found"));
    }
    let rows =
        snapshot.stacks.iter().map(|(name, record)| (name.as_str(), ready(record), record.stack.spec.id.as_str()));
    desk.workshop.ui.result(lists::stacks(rows).trim_end_matches('\n'));
    Ok(())
}

fn status(desk: &Desk<'_>, name: &Name, form: Form) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let record = record(&snapshot, name)?;
    if form.document().is_some() {
        return print_document(desk.workshop, &document(record), form);
    }
    let state = match (&record.seen.failure, &record.seen.found) {
        (Some(why), _) => Err(why.as_str()),
        (None, Some(found)) => Ok(found),
        (None, None) => Err("nobody has looked at it yet"),
    };
    let build_image = record.stack.spec.build_image.as_ref().map(|name| name.image.to_string());
    desk.workshop.ui.result(statuses::stack(state, build_image.as_deref()).trim_end_matches('\n'));
    Ok(())
}

fn delete(desk: &Desk<'_>, typed: &ClusterStackDelete) -> Result<(), Exit> {
    let name = &typed.name;
    let snapshot = desk.snapshot()?;
    record(&snapshot, name)?;
    let builders = snapshot.builders.values().filter(|one| one.builder.spec.stack.name == *name);
    let users: Vec<String> =
        builders.map(|one| format!("{} {}", one.builder.kind, one.builder.metadata.name)).collect();
    let what = format!("{KIND} \"{name}\"");
    resources::warn_of_users(desk, &what, &users);
    resources::remove(desk, &Id::Stack(name.clone()), &format!("{what} deleted"), typed.waiting.wait)
}

fn refresh(desk: &Desk<'_>, typed: &Refresh) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    for name in &typed.names {
        record(&snapshot, name)?;
    }
    let named = |name: &&Name| typed.names.is_empty() || typed.names.contains(name);
    let all: Vec<&Name> = snapshot.stacks.keys().filter(named).collect();
    for name in &all {
        desk.records()
            .amend_stack(name, &mut |record| {
                record.seen = resources::seen_again(&record.seen, true);
                Ok(())
            })
            .map_err(failed)?;
    }
    let ids: Vec<Id> = all.iter().map(|name| Id::Stack((*name).clone())).collect();
    desk.settle(&stave_platform::reconcile::Scope::Builders, &ids, true)?;
    let after = desk.snapshot()?;
    for name in &all {
        let found = |snapshot: &Snapshot| snapshot.stacks.get(*name).and_then(|record| record.seen.found.clone());
        let moved = if found(&snapshot) == found(&after) { " (no change)" } else { "" };
        desk.workshop.ui.result(&format!("{KIND} \"{}\" refreshed{moved}", printable(name.as_str())));
    }
    let bad = all.iter().filter_map(|name| after.stacks.get(*name)).find(|record| record.seen.failure.is_some());
    if let Some(record) = bad {
        resources::is_ready(&after, &Resource::Stack(Box::new(record.stack.clone())))?;
    }
    resources::follow(desk, &ids, typed.waiting.wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_says_which_stack_it_is_of() {
        let id = |config: Value| stack_id(config.to_string().as_bytes());
        let both = json!({ "config": { "Labels": { "io.buildpacks.stack.id": "a" }, "Env": ["CNB_STACK_ID=b"] } });
        assert_eq!(id(both), Some("a".to_owned()));
        let env =
            json!({ "config": { "Labels": { "io.buildpacks.stack.id": "" }, "Env": ["PATH=/", "CNB_STACK_ID=b"] } });
        assert_eq!(id(env), Some("b".to_owned()));
        assert_eq!(id(json!({ "config": { "Env": ["CNB_STACK_ID=\u{1b}"] } })), None);
        assert_eq!((id(json!({})), stack_id(b"no")), (None, None));
    }
}
