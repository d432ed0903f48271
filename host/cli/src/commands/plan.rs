//! `stave plan`: what a change would do, before it is made. Everything is looked up as it would be, and the question is the one
//! that is asked when it is made.

use std::fmt::Write as _;

use serde_json::{Value, json};
use stave_platform::{
    decide::explain::sentence,
    plan::{
        self, Plan,
        world::{BuilderKey, Change, StackState, Unresolved},
    },
    port::{
        Outside as _,
        records::{Snapshot, StoreRecord},
    },
    resource::{
        builder::BuildpackVersion,
        manifest::Resource,
        name::ImageKey,
        package::Package,
        reference::{Pinned, Reference},
        stack::{Stack, Store},
    },
    table::lists,
};

use super::{
    apply, clusterbuilder, clusterbuildpack, clusterstack, clusterstore,
    resources::{
        self, Said,
        builders::{self, Wish},
        packages, print_document,
        relocation::{buildpack_in_registry, is_here, version_of_file},
    },
};
use crate::{
    args::{
        PlanCommand,
        platform::{Form, PlanPackage, PlanStack, PlanStore, Rehearsal},
    },
    exit::{Exit, USAGE},
    platform::{Desk, Show, failed, now},
    workshop::Workshop,
};

/// Says what a change would do.
pub(crate) fn run(workshop: &Workshop, command: &PlanCommand) -> Result<(), Exit> {
    let desk = Desk::open(workshop)?;
    let snapshot = desk.snapshot()?;
    let (change, form) = match command {
        PlanCommand::Stack(typed) => (of_stack(&desk, &snapshot, typed)?, typed.printed.form),
        PlanCommand::Store(typed) => (of_store(&desk, &snapshot, typed)?, typed.printed.form),
        PlanCommand::Package(typed) => (of_package(&desk, &snapshot, typed)?, typed.printed.form),
        PlanCommand::ClusterBuilder(typed) => {
            let wish = Wish::of(workshop, &typed.wish, None)?;
            (of_builder(&desk, &snapshot, clusterbuilder::key(&typed.name), wish)?, typed.printed.form)
        }
        PlanCommand::Builder(typed) => {
            let wish = Wish::of(workshop, &typed.wish.wish, typed.wish.service_account.as_ref())?;
            let namespace = Some(resources::namespace(workshop, &typed.whose));
            let key = BuilderKey { namespace, name: typed.name.clone() };
            (of_builder(&desk, &snapshot, key, wish)?, typed.printed.form)
        }
        PlanCommand::Apply(typed) => {
            (of_resources(&desk, &snapshot, apply::read(workshop, &typed.manifests)?)?, typed.printed.form)
        }
    };
    let world = snapshot.world(desk.lifecycle());
    let plan =
        plan::plan(&world, &change, &desk.rules()?, now()).map_err(|error: Unresolved| Exit::new(USAGE, error))?;
    show(workshop, &plan, form)
}

fn of_stack(desk: &Desk<'_>, snapshot: &Snapshot, typed: &PlanStack) -> Result<Change, Exit> {
    let mut stack = clusterstack::record(snapshot, &typed.name)?.stack.clone();
    let said = Said { form: typed.printed.form, rehearsal: Rehearsal::Dry, wait: false, is_change: true };
    let is_here = clusterstack::change(desk, &mut stack, &typed.images, said)?;
    match &stack.spec.run_image.image {
        // It is sent when the change is made, and has this digest then.
        Reference { digest: Some(digest), .. } if is_here => {
            let run_image = Pinned::new(&stack.spec.run_image.image, *digest);
            Ok(Change::Stack(typed.name.clone(), StackState { id: stack.spec.id, run_image }))
        }
        _ => looked_up(desk, &stack),
    }
}

/// What a stack's names lead to now.
fn looked_up(desk: &Desk<'_>, stack: &Stack) -> Result<Change, Exit> {
    let state = desk.hands(Show::Nothing).stack(stack).map_err(failed)?;
    Ok(Change::Stack(stack.metadata.name.clone(), state))
}

fn of_builder(desk: &Desk<'_>, snapshot: &Snapshot, key: BuilderKey, wish: Wish) -> Result<Change, Exit> {
    let old = &builders::record(snapshot, &key)?.builder;
    let builder = wish.applied(desk, &key, Some(old))?;
    resources::check(&Resource::Builder(Box::new(builder.clone())))?;
    Ok(Change::Builder(key, Box::new(builder.spec)))
}

fn of_store(desk: &Desk<'_>, snapshot: &Snapshot, typed: &PlanStore) -> Result<Change, Exit> {
    let record = clusterstore::record(snapshot, &typed.name)?;
    let mut all = held(record);
    let mut more = clusterstore::new(&typed.name);
    for text in &typed.buildpackage {
        if is_here(text) {
            all.push(version_of_file(text)?);
        } else {
            clusterstore::with(&mut more, buildpack_in_registry(desk, text, Rehearsal::Dry)?);
        }
    }
    all.extend(in_sources(desk, &more)?);
    Ok(Change::Store(typed.name.clone(), each_once(all)))
}

/// Of one that is there, or of a new one.
fn of_package(desk: &Desk<'_>, snapshot: &Snapshot, typed: &PlanPackage) -> Result<Change, Exit> {
    let key = clusterbuildpack::key(&typed.name);
    if is_here(&typed.image) {
        return Ok(Change::Package(key, version_of_file(&typed.image)?));
    }
    let image = buildpack_in_registry(desk, &typed.image, Rehearsal::Dry)?;
    let mut package = match snapshot.packages.get(&key) {
        Some(record) => record.package.clone(),
        None => packages::new(&key, image.clone()),
    };
    package.spec.image = image;
    in_artefact(desk, &package)
}

/// What is in a buildpack's artefact now.
fn in_artefact(desk: &Desk<'_>, package: &Package) -> Result<Change, Exit> {
    let stocked = desk.hands(Show::Nothing).package(package).map_err(failed)?;
    Ok(Change::Package(package.key(), stocked.buildpack))
}

/// What is in a store, as it was found.
fn held(record: &StoreRecord) -> Vec<BuildpackVersion> {
    record.seen.found.iter().flatten().map(|one| one.buildpack.clone()).collect()
}

/// What is in a store's sources now.
fn in_sources(desk: &Desk<'_>, store: &Store) -> Result<Vec<BuildpackVersion>, Exit> {
    let stock = desk.hands(Show::Nothing).store(store).map_err(failed)?;
    Ok(stock.into_iter().map(|one| one.buildpack).collect())
}

fn each_once(all: Vec<BuildpackVersion>) -> Vec<BuildpackVersion> {
    let mut once: Vec<BuildpackVersion> = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

/// What resources of files come to. What has to be looked up is, where it is not what is wished for already.
fn of_resources(desk: &Desk<'_>, snapshot: &Snapshot, wished: Vec<Resource>) -> Result<Change, Exit> {
    let (mut changes, mut rest) = (Vec::new(), Vec::new());
    for resource in wished {
        // What cannot be applied is refused here too.
        resources::compared(snapshot, &resource)?;
        match resource {
            Resource::Stack(stack) if is_known_stack(snapshot, &stack) => {}
            Resource::Stack(stack) => changes.push(looked_up(desk, &stack)?),
            Resource::Store(store) if is_known_store(snapshot, &store) => {}
            Resource::Store(store) => {
                let all = in_sources(desk, &store)?;
                changes.push(Change::Store(store.metadata.name.clone(), all));
            }
            Resource::Package(package) if is_known_package(snapshot, &package) => {}
            Resource::Package(package) => changes.push(in_artefact(desk, &package)?),
            resource => rest.push(resource),
        }
    }
    changes.push(Change::Manifests(rest));
    Ok(Change::Several(changes))
}

fn is_known_stack(snapshot: &Snapshot, stack: &Stack) -> bool {
    let known = snapshot.stacks.get(&stack.metadata.name);
    known.is_some_and(|record| record.stack.spec == stack.spec && record.seen.found.is_some())
}

fn is_known_store(snapshot: &Snapshot, store: &Store) -> bool {
    let known = snapshot.stores.get(&store.metadata.name);
    known.is_some_and(|record| record.store.spec == store.spec && record.seen.found.is_some())
}

fn is_known_package(snapshot: &Snapshot, package: &Package) -> bool {
    let known = snapshot.packages.get(&package.key());
    known.is_some_and(|record| record.package.spec == package.spec && record.seen.found.is_some())
}

fn show(workshop: &Workshop, plan: &Plan, form: Form) -> Result<(), Exit> {
    if form.document().is_some() {
        return print_document(workshop, &document(plan), form);
    }
    let mut text = String::new();
    if workshop.ui.is_verbose() {
        for row in &plan.rows {
            let why: Vec<String> = row.changes.iter().map(sentence).collect();
            let _ = writeln!(text, "{}: {}", row.image, why.join("; "));
        }
        text.push('\n');
    }
    text.push_str(&lists::plan(plan));
    workshop.ui.result(text.trim_matches('\n'));
    Ok(())
}

fn document(plan: &Plan) -> Value {
    let named = |key: &ImageKey| json!({ "namespace": key.namespace, "image": key.name });
    let with = |key: &ImageKey, more: Value| {
        let mut entry = named(key);
        if let (Some(entry), Value::Object(more)) = (entry.as_object_mut(), more) {
            entry.extend(more);
        }
        entry
    };
    let rows = plan.rows.iter().map(|row| {
        let more = json!({
            "reasons": row.changes.iter().map(|change| change.reason.to_string()).collect::<Vec<_>>(),
            "why": row.changes.iter().map(sentence).collect::<Vec<_>>(),
            "how": row.mode.to_string(),
            "dueAlready": row.is_due_already,
            "seconds": row.seconds,
        });
        with(&row.image, more)
    });
    let held = plan.held.iter().map(|(key, held)| with(key, json!({ "why": held.line() })));
    let unknown = plan.unknown.iter().map(|(key, why)| with(key, json!({ "why": why })));
    json!({
        "builds": rows.collect::<Vec<_>>(),
        "held": held.collect::<Vec<_>>(),
        "unknown": unknown.collect::<Vec<_>>(),
        "untouched": plan.untouched,
        "seconds": plan.seconds,
    })
}
