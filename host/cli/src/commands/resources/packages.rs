//! Buildpacks of a namespace and of all: one wish, two kinds.

use serde_json::{Value, json};
use stave_platform::{
    decide::status::Status,
    port::{
        Stocked,
        records::{Id, PackageRecord, Seen, Snapshot},
    },
    reconcile::Scope,
    resource::{
        manifest::Resource,
        name::Name,
        order::Pick,
        package::{Package, PackageKey, PackageKind, PackageSpec},
        reference::Reference,
    },
    table::{Block, lists, statuses},
};

use super::{Said, called, exists, finish, manifest, not_found, print_document, relocation::buildpack_in_registry};
use crate::{
    args::{clusterstack::Refresh, package::ClusterBuildpackPatch, platform::Form},
    exit::{Exit, USAGE},
    platform::{Desk, failed},
    ui::bytes,
};

/// What a buildpack is to be, whichever kind it is.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Where it is.
    pub(crate) image: Option<String>,
    /// Whose secrets are used to read it, of a namespace's.
    pub(crate) account: Option<Name>,
}

impl Wish {
    /// What was typed.
    pub(crate) fn of(typed: &ClusterBuildpackPatch, account: Option<&Name>) -> Self {
        Self { image: typed.image.image.clone(), account: account.cloned() }
    }
}

/// How a change is told.
pub(crate) fn said(typed: &ClusterBuildpackPatch) -> Said {
    let uploading = typed.uploading;
    Said { form: typed.printed.form, rehearsal: uploading.rehearsal(), wait: uploading.waiting.wait, is_change: false }
}

/// What kp calls one in its lines.
fn title(key: &PackageKey) -> String {
    match key.kind() {
        PackageKind::Buildpack => format!("Buildpack \"{}\"", key.name),
        PackageKind::ClusterBuildpack => format!("Cluster Buildpack \"{}\"", key.name),
    }
}

/// What the command about a kind is called.
fn command(key: &PackageKey) -> &'static str {
    match key.kind() {
        PackageKind::Buildpack => "buildpack",
        PackageKind::ClusterBuildpack => "clusterbuildpack",
    }
}

/// A new one.
pub(crate) fn new(key: &PackageKey, image: Reference) -> Package {
    let spec = PackageSpec { image, service_account_name: None, service_account_ref: None };
    Package { kind: key.kind(), metadata: called(&key.name, key.namespace.as_ref()), spec }
}

/// One that has to be there.
pub(crate) fn record<'a>(snapshot: &'a Snapshot, key: &PackageKey) -> Result<&'a PackageRecord, Exit> {
    snapshot.packages.get(key).ok_or_else(|| {
        let there = snapshot.packages.keys().filter(|one| one.namespace == key.namespace);
        not_found(&key.kind().to_string(), &key.name, there.map(|one| &one.name))
    })
}

/// One that is new.
pub(crate) fn create(desk: &Desk<'_>, key: &PackageKey, wish: Wish, said: Said) -> Result<(), Exit> {
    if desk.snapshot()?.packages.contains_key(key) {
        return Err(exists(&key.kind().to_string(), command(key), &key.name));
    }
    let Some(image) = &wish.image else {
        let exit = Exit::new(USAGE, format!("a new {} needs an image", key.kind()));
        return Err(exit.hint("say it with --image"));
    };
    let package = new(key, buildpack_in_registry(desk, image, said.rehearsal)?);
    put(desk, key, with_account(package, wish.account), "created", Said { is_change: false, ..said })
}

/// One that becomes another one.
pub(crate) fn patch(desk: &Desk<'_>, key: &PackageKey, wish: Wish, said: Said) -> Result<(), Exit> {
    let mut package = record(&desk.snapshot()?, key)?.package.clone();
    if let Some(image) = &wish.image {
        package.spec.image = buildpack_in_registry(desk, image, said.rehearsal)?;
    }
    put(desk, key, with_account(package, wish.account), "patched", Said { is_change: true, ..said })
}

/// One that is new or becomes another one.
pub(crate) fn save(desk: &Desk<'_>, key: &PackageKey, wish: Wish, said: Said) -> Result<(), Exit> {
    if desk.snapshot()?.packages.contains_key(key) {
        return patch(desk, key, wish, said);
    }
    create(desk, key, wish, said)
}

fn with_account(mut package: Package, account: Option<Name>) -> Package {
    if account.is_some() {
        package.spec.service_account_name = account;
    }
    package
}

fn put(desk: &Desk<'_>, key: &PackageKey, package: Package, verb: &str, said: Said) -> Result<(), Exit> {
    finish(desk, &Resource::Package(Box::new(package)), &format!("{} {verb}", title(key)), said)
}

/// Whether something that is looked up is ready.
pub(crate) fn ready<T>(seen: &Seen<T>) -> Status {
    match (&seen.found, &seen.failure) {
        (_, Some(_)) => Status::False,
        (Some(_), None) => Status::True,
        (None, None) => Status::Unknown,
    }
}

/// A buildpack that was found, for programs.
pub(crate) fn stocked(one: &Stocked) -> Value {
    json!({
        "id": one.buildpack.id,
        "version": one.buildpack.version,
        "homepage": one.buildpack.homepage,
        "digest": one.buildpack.digest,
        "storeImage": one.image,
        "size": one.size,
    })
}

/// The same in words.
pub(crate) fn described(one: &Stocked) -> String {
    let homepage = one.buildpack.homepage.as_deref().unwrap_or_default();
    let block = Block::new().with("Buildpackage", one.buildpack.title()).with("Image", one.image.to_string());
    block.with("Homepage", homepage).with("Size", bytes(one.size)).render()
}

fn document(record: &PackageRecord) -> Value {
    let mut document = manifest(&Resource::Package(Box::new(record.package.clone())));
    document["status"] = json!({
        "ready": ready(&record.seen).as_str(),
        "message": record.seen.failure,
        "buildpacks": record.seen.found.iter().map(stocked).collect::<Vec<_>>(),
    });
    document
}

/// Lists those of a namespace, or of all.
pub(crate) fn list(desk: &Desk<'_>, namespace: Option<&Name>, form: Form) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let there = || snapshot.packages.iter().filter(|(key, _)| key.namespace.as_ref() == namespace);
    if form.document().is_some() {
        return print_document(desk.workshop, &there().map(|(_, record)| document(record)).collect(), form);
    }
    if there().next().is_none() {
        let what = if namespace.is_some() { "buildpacks" } else { "cluster buildpacks" };
        return Err(Exit::new(USAGE, format!("no {what} found")));
    }
    let row = |(key, record): (&PackageKey, &PackageRecord)| {
        (key.name.to_string(), ready(&record.seen), record.package.spec.image.to_string())
    };
    let rows: Vec<(String, Status, String)> = there().map(row).collect();
    let rows = rows.iter().map(|(name, ready, image)| (name.as_str(), *ready, image.clone()));
    desk.workshop.ui.result(lists::packages(rows).trim_end_matches('\n'));
    Ok(())
}

/// Shows what one is.
pub(crate) fn show(desk: &Desk<'_>, key: &PackageKey, form: Form) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let record = record(&snapshot, key)?;
    if form.document().is_some() {
        return print_document(desk.workshop, &document(record), form);
    }
    let found = match (&record.seen.found, &record.seen.failure) {
        (_, Some(why)) => Err(Some(why.as_str())),
        (Some(found), None) => Ok(&found.buildpack),
        (None, None) => Err(None),
    };
    let mut text = statuses::package(&record.package.spec.image.to_string(), found);
    if desk.workshop.ui.is_verbose() {
        text.extend(record.seen.found.iter().map(described));
    }
    desk.workshop.ui.result(text.trim_end_matches('\n'));
    Ok(())
}

/// Takes one away.
pub(crate) fn delete(desk: &Desk<'_>, key: &PackageKey, wait: bool) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    record(&snapshot, key)?;
    let what = title(key);
    super::warn_of_users(desk, &what, &users(&snapshot, key));
    super::remove(desk, &Id::Package(key.clone()), &format!("{what} deleted"), wait)
}

/// The builders whose orders name it.
fn users(snapshot: &Snapshot, key: &PackageKey) -> Vec<String> {
    let is_meant =
        |pick: &Pick| matches!(pick, Pick::Of { kind, name, .. } if *kind == key.kind() && *name == key.name);
    let builders = snapshot.builders.iter().filter(|(builder, record)| {
        let mut entries = record.builder.spec.order.iter().flat_map(|group| &group.group);
        key.is_seen_by(builder.namespace.as_ref()) && entries.any(|entry| is_meant(&entry.pick))
    });
    builders.map(|(_, one)| format!("{} {}", one.builder.kind, one.builder.metadata.name)).collect()
}

/// Looks again what the names of some lead to, or of all of a namespace.
pub(crate) fn refresh(desk: &Desk<'_>, namespace: Option<&Name>, typed: &Refresh) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let key = |name: &Name| PackageKey { namespace: namespace.cloned(), name: name.clone() };
    for name in &typed.names {
        record(&snapshot, &key(name))?;
    }
    let is_meant = |key: &&PackageKey| {
        key.namespace.as_ref() == namespace && (typed.names.is_empty() || typed.names.contains(&key.name))
    };
    let all: Vec<&PackageKey> = snapshot.packages.keys().filter(is_meant).collect();
    for key in &all {
        let amended = desk.records().amend_package(key, &mut |record| {
            record.seen = super::seen_again(&record.seen, true);
            Ok(())
        });
        amended.map_err(failed)?;
    }
    let ids: Vec<Id> = all.iter().map(|key| Id::Package((*key).clone())).collect();
    desk.settle(&Scope::Builders, &ids, true)?;
    let after = desk.snapshot()?;
    for key in &all {
        let found = |snapshot: &Snapshot| snapshot.packages.get(*key).and_then(|record| record.seen.found.clone());
        let moved = if found(&snapshot) == found(&after) { " (no change)" } else { "" };
        desk.workshop.ui.result(&format!("{} refreshed{moved}", title(key)));
    }
    let bad = all.iter().filter_map(|key| after.packages.get(*key)).find(|record| record.seen.failure.is_some());
    if let Some(record) = bad {
        super::is_ready(&after, &Resource::Package(Box::new(record.package.clone())))?;
    }
    super::follow(desk, &ids, typed.waiting.wait)
}
