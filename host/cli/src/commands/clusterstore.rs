//! `stave clusterstore`: the artefacts that builders' buildpacks come from.

use serde_json::{Value, json};
use stave_oci::registry::pull::RegistryImage;
use stave_platform::{
    port::{
        Stocked,
        records::{Id, Snapshot, StoreRecord},
    },
    reconcile::Scope,
    resource::{
        builder::{BuildpackVersion, Member},
        manifest::Resource,
        name::Name,
        reference::Reference,
        stack::{ImageName, Store, StoreSpec},
    },
    table::{Block, lists, statuses},
};

use super::resources::{
    self, Said, called, exists, finish, manifest, not_found,
    packages::{self, ready},
    print_document,
    relocation::buildpack_in_registry,
};
use crate::{
    args::{
        ClusterStoreCommand,
        clusterstack::Refresh,
        clusterstore::{ClusterStoreDelete, ClusterStoreFill, ClusterStoreRemove},
        platform::Form,
    },
    exit::{ANALYZE, Exit, USAGE},
    platform::{Desk, failed, names},
    workshop::Workshop,
};

/// What it is called.
const KIND: &str = "ClusterStore";

/// Does what was typed about stores.
pub(crate) fn run(workshop: &Workshop, command: &ClusterStoreCommand) -> Result<(), Exit> {
    let desk = Desk::open(workshop)?;
    match command {
        ClusterStoreCommand::Create(typed) => {
            if desk.snapshot()?.stores.contains_key(&typed.name) {
                let exit = exists(KIND, "clusterstore", &typed.name);
                return Err(exit.hint("`stave clusterstore add` puts more into it"));
            }
            create(&desk, typed)
        }
        ClusterStoreCommand::Add(typed) => add(&desk, typed),
        ClusterStoreCommand::Save(typed) if desk.snapshot()?.stores.contains_key(&typed.name) => add(&desk, typed),
        ClusterStoreCommand::Save(typed) => create(&desk, typed),
        ClusterStoreCommand::Remove(typed) => remove(&desk, typed),
        ClusterStoreCommand::Delete(typed) => delete(&desk, typed),
        ClusterStoreCommand::List(typed) => list(&desk, typed.printed.form),
        ClusterStoreCommand::Status(typed) => status(&desk, &typed.name, typed.printed.form),
        ClusterStoreCommand::Refresh(typed) => refresh(&desk, typed),
    }
}

fn said(typed: &ClusterStoreFill) -> Said {
    let uploading = typed.uploading;
    Said { form: typed.printed.form, rehearsal: uploading.rehearsal(), wait: uploading.waiting.wait, is_change: false }
}

fn create(desk: &Desk<'_>, typed: &ClusterStoreFill) -> Result<(), Exit> {
    desk.workshop.ui.say("Creating ClusterStore...");
    let mut store = new(&typed.name);
    let said = said(typed);
    fill(desk, &mut store, &typed.buildpackage, said)?;
    finish(desk, &Resource::Store(Box::new(store)), &format!("{KIND} \"{}\" created", typed.name), said)
}

/// An empty one.
pub(crate) fn new(name: &Name) -> Store {
    Store { metadata: called(name, None), spec: StoreSpec { sources: Vec::new(), service_account_ref: None } }
}

fn add(desk: &Desk<'_>, typed: &ClusterStoreFill) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let mut store = record(&snapshot, &typed.name)?.store.clone();
    desk.workshop.ui.say("Adding to ClusterStore...");
    let said = Said { is_change: true, ..said(typed) };
    fill(desk, &mut store, &typed.buildpackage, said)?;
    finish(desk, &Resource::Store(Box::new(store)), &format!("{KIND} \"{}\" updated", typed.name), said)
}

/// Puts sources into a store that are not there, and says of each whether it was.
fn fill(desk: &Desk<'_>, store: &mut Store, texts: &[String], said: Said) -> Result<(), Exit> {
    for text in texts {
        let image = buildpack_in_registry(desk, text, said.rehearsal)?;
        let word = if with(store, image) { "Added Buildpackage" } else { "Buildpackage already exists in the store" };
        desk.workshop.ui.say(&format!("\t{word}"));
    }
    Ok(())
}

/// Puts a source into a store; answers whether it was not there.
pub(crate) fn with(store: &mut Store, image: Reference) -> bool {
    let is_new = !store.spec.sources.iter().any(|source| source.image == image);
    if is_new {
        store.spec.sources.push(ImageName { image });
    }
    is_new
}

fn remove(desk: &Desk<'_>, typed: &ClusterStoreRemove) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let record = record(&snapshot, &typed.name)?;
    let mut store = record.store.clone();
    let stock = record.seen.found.as_deref().unwrap_or_default();
    let ui = &desk.workshop.ui;
    ui.say("Removing Buildpackages...");
    for wanted in &typed.buildpackage {
        let stocked = stocked(stock, wanted, &typed.name)?;
        let source = source_of(desk, &store, stocked)?;
        ui.say(&format!("Removing buildpackage {}", stocked.buildpack.title()));
        store.spec.sources.retain(|one| one.image != source);
    }
    if store.spec.sources.is_empty() {
        let exit = Exit::new(USAGE, format!("nothing would be left of the {KIND} \"{}\"", typed.name));
        return Err(exit.hint(format!("`stave clusterstore delete {}` takes it away", typed.name)));
    }
    let changing = typed.changing;
    let said = Said {
        form: typed.printed.form,
        rehearsal: changing.rehearsal(),
        wait: changing.waiting.wait,
        is_change: true,
    };
    finish(desk, &Resource::Store(Box::new(store)), &format!("{KIND} \"{}\" updated", typed.name), said)
}

/// The one that is meant: by its version too, unless there is one alone.
fn stocked<'a>(stock: &'a [Stocked], wanted: &Member, store: &Name) -> Result<&'a Stocked, Exit> {
    let is_version = |one: &&Stocked| wanted.version.as_ref().is_none_or(|version| *version == one.buildpack.version);
    let fits: Vec<&Stocked> = stock.iter().filter(|one| one.buildpack.id == wanted.id).filter(is_version).collect();
    let titles = |all: &[&Stocked]| all.iter().map(|one| one.buildpack.title()).collect::<Vec<_>>().join(", ");
    match fits[..] {
        [one] => Ok(one),
        [] => {
            let exit =
                Exit::new(USAGE, format!("buildpackage {} does not exist in the {KIND} \"{store}\"", wanted.title()));
            Err(exit.hint(format!("it has {}", titles(&stock.iter().collect::<Vec<_>>()))))
        }
        _ => {
            let exit = Exit::new(USAGE, format!("the {KIND} \"{store}\" has {} more than once", wanted.id));
            Err(exit.hint(format!("name one of {}", titles(&fits))))
        }
    }
}

/// The source that led to an artefact: of several tags of its repository, the one that leads there now.
fn source_of(desk: &Desk<'_>, store: &Store, stocked: &Stocked) -> Result<Reference, Exit> {
    let (name, digest) = (stocked.image.reference().name(), stocked.image.digest());
    let mut fits: Vec<&Reference> = Vec::new();
    for source in &store.spec.sources {
        if source.image.name() == name && source.image.digest.is_none_or(|one| one == digest) {
            fits.push(&source.image);
        }
    }
    if let [one] = fits[..] {
        return Ok(one.clone());
    }
    for reference in &fits {
        if reference.digest == Some(digest) || leads_to(desk, reference)? == digest {
            return Ok((*reference).clone());
        }
    }
    let exit = Exit::new(ANALYZE, format!("no source of the {KIND} leads to {} any more", stocked.buildpack.title()));
    Err(exit.hint(format!("`stave clusterstore refresh {}` looks at its sources again", store.metadata.name)))
}

fn leads_to(desk: &Desk<'_>, reference: &Reference) -> Result<stave_model::digest::Digest, Exit> {
    let workshop = desk.workshop;
    let (blobs, ui, cancel) = (workshop.blobs.clone(), workshop.ui.clone(), workshop.cancel.clone());
    let image = RegistryImage::new(workshop.registries(), names::parse(&reference.to_string())?, blobs, ui, cancel);
    image.digest().map_err(|error| Exit::new(ANALYZE, error))
}

/// A store that has to be there.
pub(crate) fn record<'a>(snapshot: &'a Snapshot, name: &Name) -> Result<&'a StoreRecord, Exit> {
    snapshot.stores.get(name).ok_or_else(|| not_found(KIND, name, snapshot.stores.keys()))
}

fn stock(record: &StoreRecord) -> Vec<&Stocked> {
    let mut stock: Vec<&Stocked> = record.seen.found.iter().flatten().collect();
    stock.sort_by(|a, b| a.buildpack.cmp(&b.buildpack));
    stock
}

fn document(record: &StoreRecord) -> Value {
    let mut document = manifest(&Resource::Store(Box::new(record.store.clone())));
    document["status"] = json!({
        "ready": ready(&record.seen).as_str(),
        "message": record.seen.failure,
        "buildpacks": stock(record).into_iter().map(packages::stocked).collect::<Vec<_>>(),
    });
    document
}

fn list(desk: &Desk<'_>, form: Form) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    if form.document().is_some() {
        return print_document(desk.workshop, &snapshot.stores.values().map(document).collect(), form);
    }
    if snapshot.stores.is_empty() {
        return Err(Exit::new(USAGE, "no clusterstores found"));
    }
    let rows = snapshot.stores.iter().map(|(name, record)| (name.as_str(), ready(&record.seen)));
    desk.workshop.ui.result(lists::stores(rows).trim_end_matches('\n'));
    Ok(())
}

fn status(desk: &Desk<'_>, name: &Name, form: Form) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let record = record(&snapshot, name)?;
    if form.document().is_some() {
        return print_document(desk.workshop, &document(record), form);
    }
    let stock = stock(record);
    let buildpacks: Vec<BuildpackVersion> = stock.iter().map(|one| one.buildpack.clone()).collect();
    let mut text = statuses::store(ready(&record.seen), &buildpacks);
    if let Some(why) = &record.seen.failure {
        text.push_str(&Block::new().with("Message", why).render());
    }
    if desk.workshop.ui.is_verbose() {
        text.extend(stock.into_iter().map(packages::described));
    }
    desk.workshop.ui.result(text.trim_end_matches('\n'));
    Ok(())
}

fn delete(desk: &Desk<'_>, typed: &ClusterStoreDelete) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    record(&snapshot, &typed.name)?;
    let what = format!("{KIND} \"{}\"", typed.name);
    let builders = snapshot
        .builders
        .values()
        .filter(|one| one.builder.spec.store.as_ref().is_none_or(|store| store.name == typed.name));
    let users: Vec<String> =
        builders.map(|one| format!("{} {}", one.builder.kind, one.builder.metadata.name)).collect();
    resources::warn_of_users(desk, &what, &users);
    if !typed.force {
        let question = "Please confirm store deletion by typing 'y': ";
        if !resources::is_wanted(desk.workshop, question, "--force deletes it without asking")? {
            desk.workshop.ui.result(&format!("{what} not deleted"));
            return Ok(());
        }
    }
    resources::remove(desk, &Id::Store(typed.name.clone()), &format!("{what} deleted"), typed.waiting.wait)
}

fn refresh(desk: &Desk<'_>, typed: &Refresh) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    for name in &typed.names {
        record(&snapshot, name)?;
    }
    let named = |name: &&Name| typed.names.is_empty() || typed.names.contains(name);
    let all: Vec<&Name> = snapshot.stores.keys().filter(named).collect();
    for name in &all {
        desk.records()
            .amend_store(name, &mut |record| {
                record.seen = resources::seen_again(&record.seen, true);
                Ok(())
            })
            .map_err(failed)?;
    }
    let ids: Vec<Id> = all.iter().map(|name| Id::Store((*name).clone())).collect();
    desk.settle(&Scope::Builders, &ids, true)?;
    let after = desk.snapshot()?;
    for name in &all {
        let found = |snapshot: &Snapshot| snapshot.stores.get(*name).and_then(|record| record.seen.found.clone());
        let moved = if found(&snapshot) == found(&after) { " (no change)" } else { "" };
        desk.workshop.ui.result(&format!("{KIND} \"{name}\" refreshed{moved}"));
    }
    let bad = all.iter().filter_map(|name| after.stores.get(*name)).find(|record| record.seen.failure.is_some());
    if let Some(record) = bad {
        resources::is_ready(&after, &Resource::Store(Box::new(record.store.clone())))?;
    }
    resources::follow(desk, &ids, typed.waiting.wait)
}
