//! Builders of a namespace and of all: one wish, two kinds.

use serde_json::{Value, json};
use stave_model::time;
use stave_platform::{
    decide::{BuilderState, status::Status},
    plan::world::BuilderKey,
    port::{
        Failed,
        records::{BuilderRecord, Id, Snapshot, TurnedBack},
    },
    resource::{
        build::Fault,
        builder::{Builder, BuilderKind, BuilderRef, BuilderSpec, BuildpackVersion, Group, Member, StackRef, StoreRef},
        manifest::Resource,
        name::Name,
        order::Entry,
        read::read,
        reference::{Reference, Tag},
    },
    table::{Block, Table, lists, statuses},
};

use super::{Said, called, exists, finish, follow, manifest, not_found, print_document, reading::Text};
use crate::{
    args::{
        builder::{ClusterBuilderWish, OrderChoice},
        platform::Form,
    },
    builder::{self, Named},
    commands::settings,
    exit::{Exit, USAGE, printable},
    pinned,
    platform::{Desk, failed},
    workshop::Workshop,
};

/// What is wished for, whichever kind it is.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Where it is put.
    pub(crate) tag: Option<Tag>,
    /// Its stack.
    pub(crate) stack: Option<Name>,
    /// Its store.
    pub(crate) store: Option<Name>,
    /// Its order.
    pub(crate) order: Option<Vec<Group<Entry>>>,
    /// Whose secrets are used, of a namespace's.
    pub(crate) account: Option<Name>,
}

impl Wish {
    /// What was typed.
    pub(crate) fn of(workshop: &Workshop, typed: &ClusterBuilderWish, account: Option<&Name>) -> Result<Self, Exit> {
        let ClusterBuilderWish { tag, stack, store, order } = typed;
        Ok(Self {
            tag: tag.clone(),
            stack: stack.clone(),
            store: store.clone(),
            order: order_of(workshop, order)?,
            account: account.cloned(),
        })
    }

    /// The builder that it becomes: a new one, or what is said is changed.
    pub(crate) fn applied(self, desk: &Desk<'_>, key: &BuilderKey, old: Option<&Builder>) -> Result<Builder, Exit> {
        let mut builder = match old {
            Some(old) => old.clone(),
            None => new(desk, key)?,
        };
        let spec = &mut builder.spec;
        if let Some(tag) = self.tag {
            spec.tag = Some(tag);
        }
        if let Some(name) = self.stack {
            spec.stack = StackRef { name, ..StackRef::default() };
        }
        if let Some(name) = self.store {
            spec.store = Some(StoreRef { name, ..StoreRef::default() });
        }
        if let Some(order) = self.order {
            spec.order = order;
        }
        if let Some(account) = self.account {
            spec.service_account_name = Some(account.to_string());
        }
        Ok(builder)
    }
}

fn new(desk: &Desk<'_>, key: &BuilderKey) -> Result<Builder, Exit> {
    let (kind, tag) = match &key.namespace {
        None => (BuilderKind::ClusterBuilder, format!("clusterbuilder-{}", key.name)),
        Some(namespace) => (BuilderKind::Builder, format!("builder-{namespace}-{}", key.name)),
    };
    let tag = settings::default_repository(desk)?.map(|repository| below(&repository, &tag)).transpose()?;
    let spec = BuilderSpec {
        tag,
        stack: StackRef::default(),
        lifecycle: None,
        store: None,
        order: Vec::new(),
        additional_labels: std::collections::BTreeMap::new(),
        service_account_name: None,
        service_account_ref: None,
    };
    Ok(Builder { kind, metadata: called(&key.name, key.namespace.as_ref()), spec })
}

/// A tag in the default repository.
fn below(repository: &Reference, tag: &str) -> Result<Tag, Exit> {
    let tag = Reference { tag: Some(tag.to_owned()), digest: None, ..repository.clone() };
    tag.to_string().parse().map_err(|error| Exit::new(USAGE, error))
}

/// The order that was named, if one was.
pub(crate) fn order_of(workshop: &Workshop, choice: &OrderChoice) -> Result<Option<Vec<Group<Entry>>>, Exit> {
    if let Some(file) = &choice.order {
        let text = Text::read(file)?;
        let document = text.document()?;
        // The list alone, as kp has it, or below the word that manifests have.
        let list = document.get("order").unwrap_or(&document);
        let order: Vec<Group<Entry>> = read(list, "order").map_err(|problem| {
            let exit = Exit::new(USAGE, format!("the order in {} is refused: {problem}", printable(text.name())));
            exit.hint("it is a list of groups: `- group:`, and below it `- id: acme/tool` or `- kind: ClusterBuildpack` and `name:`, `version:` and `optional:`")
        })?;
        return Ok(Some(order));
    }
    if let Some(from) = &choice.order_from {
        let named = Named::of(workshop, Some(from));
        let order = match &named {
            Named::Artefact(place, _) => builder::artefact_at(workshop, place, false)?.0.builder.order,
            Named::BuiltIn | Named::File(_) => pinned::make(workshop, &named, &[])?.builder.order,
        };
        let entry = |one: &stave_model::order::Member| {
            Entry::from(Member { id: one.id.clone(), version: one.version.clone(), optional: one.optional })
        };
        let group = |group: &stave_model::order::Group| Group { group: group.group.iter().map(entry).collect() };
        return Ok(Some(order.iter().map(group).collect()));
    }
    let group = || choice.buildpack.iter().cloned().map(Entry::from).collect();
    Ok((!choice.buildpack.is_empty()).then(|| vec![Group { group: group() }]))
}

/// The kind that a key is of.
fn kind(key: &BuilderKey) -> BuilderKind {
    if key.namespace.is_some() { BuilderKind::Builder } else { BuilderKind::ClusterBuilder }
}

/// What the command about a kind is called.
fn command(key: &BuilderKey) -> &'static str {
    if key.namespace.is_some() { "builder" } else { "clusterbuilder" }
}

/// A builder that has to be there.
pub(crate) fn record<'a>(snapshot: &'a Snapshot, key: &BuilderKey) -> Result<&'a BuilderRecord, Exit> {
    snapshot.builders.get(key).ok_or_else(|| {
        let there = snapshot.builders.keys().filter(|one| one.namespace == key.namespace);
        not_found(&kind(key).to_string(), &key.name, there.map(|one| &one.name))
    })
}

/// A builder that is new.
pub(crate) fn create(desk: &Desk<'_>, key: &BuilderKey, wish: Wish, said: Said) -> Result<(), Exit> {
    if desk.snapshot()?.builders.contains_key(key) {
        return Err(exists(&kind(key).to_string(), command(key), &key.name));
    }
    let builder = wish.applied(desk, key, None)?;
    put(desk, builder, "created", Said { is_change: false, ..said })
}

/// A builder that becomes another one.
pub(crate) fn patch(desk: &Desk<'_>, key: &BuilderKey, wish: Wish, said: Said) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let old = &record(&snapshot, key)?.builder;
    let builder = wish.applied(desk, key, Some(old))?;
    put(desk, builder, "patched", Said { is_change: true, ..said })
}

/// A builder that is new or becomes another one.
pub(crate) fn save(desk: &Desk<'_>, key: &BuilderKey, wish: Wish, said: Said) -> Result<(), Exit> {
    if desk.snapshot()?.builders.contains_key(key) {
        return patch(desk, key, wish, said);
    }
    if wish.order.is_none() {
        let exit = Exit::new(USAGE, format!("a new {} needs an order", kind(key)));
        return Err(exit.hint("say it with --order, --buildpack or --order-from"));
    }
    create(desk, key, wish, said)
}

fn put(desk: &Desk<'_>, builder: Builder, verb: &str, said: Said) -> Result<(), Exit> {
    let line = format!("{} \"{}\" {verb}", builder.kind, builder.metadata.name);
    finish(desk, &Resource::Builder(Box::new(builder)), &line, said)
}

/// Whether a builder is ready.
fn status(record: &BuilderRecord) -> Status {
    match record.state() {
        BuilderState::Ready { .. } => Status::True,
        BuilderState::Missing | BuilderState::NotReady(_) => Status::False,
        BuilderState::Stale => Status::Unknown,
    }
}

/// The resource with what is known of it, for programs.
pub(crate) fn document(record: &BuilderRecord) -> Value {
    let mut document = manifest(&Resource::Builder(Box::new(record.builder.clone())));
    let current = record.turned_back().or_else(|| record.made.revisions.last());
    let revisions = record.made.revisions.iter().map(|one| {
        json!({
            "number": one.number,
            "made": time::rfc3339(one.made),
            "latestImage": one.revision.image,
            "runImage": one.revision.run_image,
            "buildpacks": one.revision.buildpacks.iter().map(BuildpackVersion::title).collect::<Vec<_>>(),
        })
    });
    document["status"] = json!({
        "ready": status(record).as_str(),
        "message": record.made.failure,
        "revision": current.map(|one| one.number),
        "rolledBackTo": record.turned_back().map(|one| one.number),
        "latestImage": current.and_then(|one| one.revision.image.clone()),
        "stack": current.map(|one| json!({ "id": one.revision.stack_id, "runImage": one.revision.run_image })),
        "builderMetadata": current.map(|one| &one.revision.buildpacks),
        "order": current.map(|one| &one.revision.order),
        "revisions": revisions.collect::<Vec<_>>(),
    });
    document
}

/// Builders as a table.
pub(crate) fn table<'a>(records: impl Iterator<Item = &'a BuilderRecord>) -> String {
    lists::builders(records.map(|record| {
        let current = record.turned_back().or_else(|| record.made.revisions.last());
        (record.builder.metadata.name.as_str(), status(record), current.map(|one| &one.revision))
    }))
}

/// Builders of a namespace, or of all.
pub(crate) fn of<'a>(
    snapshot: &'a Snapshot,
    namespace: Option<&'a Name>,
) -> impl Iterator<Item = &'a BuilderRecord> + Clone {
    let all = snapshot.builders.iter();
    all.filter(move |(key, _)| key.namespace.as_ref() == namespace).map(|(_, record)| record)
}

/// Lists builders of all namespaces.
pub(crate) fn list(desk: &Desk<'_>, form: Form) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let there = of(&snapshot, None);
    if form.document().is_some() {
        return print_document(desk.workshop, &there.map(document).collect(), form);
    }
    if there.clone().next().is_none() {
        return Err(Exit::new(USAGE, "no clusterbuilders found"));
    }
    desk.workshop.ui.result(table(there).trim_end_matches('\n'));
    Ok(())
}

/// Shows what a builder is.
pub(crate) fn show(desk: &Desk<'_>, key: &BuilderKey, form: Form) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    let record = record(&snapshot, key)?;
    if form.document().is_some() {
        return print_document(desk.workshop, &document(record), form);
    }
    let current = record.turned_back().or_else(|| record.made.revisions.last());
    let why = record.made.failure.as_deref().unwrap_or("nobody has looked at it yet");
    let mut text = statuses::builder(&record.builder.spec, current.map(|one| &one.revision).ok_or(why));
    if let BuilderState::Ready { behind: Some(why), .. } = record.state() {
        text.push_str(&Block::new().with("Up To Date", format!("No - {why}")).render());
    }
    if current.is_some() {
        let mut revisions = Table::new(&["REVISION", "MADE", "IN USE", "RUN IMAGE"]);
        for one in &record.made.revisions {
            let is_current = current.is_some_and(|current| current.number == one.number);
            revisions.row([
                one.number.to_string(),
                time::rfc3339(one.made),
                if is_current { "yes".to_owned() } else { String::new() },
                one.revision.run_image.to_string(),
            ]);
        }
        text.push_str(&revisions.render());
    }
    desk.workshop.ui.result(text.trim_end_matches('\n'));
    Ok(())
}

/// Takes a builder away.
pub(crate) fn delete(desk: &Desk<'_>, key: &BuilderKey, wait: bool) -> Result<(), Exit> {
    let snapshot = desk.snapshot()?;
    record(&snapshot, key)?;
    let names = |builder: &BuilderRef, namespace: &Name| BuilderKey::of(builder, namespace) == *key;
    let images = snapshot.images.iter().filter(|(image, one)| names(&one.image.spec.builder, &image.namespace));
    let users: Vec<String> = images.map(|(image, _)| image.to_string()).collect();
    let what = format!("{} \"{}\"", kind(key), key.name);
    super::warn_of_users(desk, &what, &users);
    super::remove(desk, &Id::Builder(key.clone()), &format!("{what} deleted"), wait)
}

/// Makes a builder again what it was; to its newest revision, it follows its stack and its stores again.
pub(crate) fn roll_back(desk: &Desk<'_>, key: &BuilderKey, to: u64, wait: bool) -> Result<(), Exit> {
    record(&desk.snapshot()?, key)?;
    let mut told = None;
    let amended = desk.records().amend_builder(key, &mut |record| {
        let numbers: Vec<u64> = record.made.revisions.iter().map(|one| one.number).collect();
        if !numbers.contains(&to) {
            let there: Vec<String> = numbers.iter().map(u64::to_string).collect();
            let there =
                if there.is_empty() { "it has none yet".to_owned() } else { format!("it has {}", there.join(", ")) };
            return Err(Failed::new(Fault::Refused, format!("there is no revision {to} of {}: {there}", key.name)));
        }
        let before = record.turned_back().map(|one| one.number);
        let is_newest = numbers.last() == Some(&to);
        let generation = record.builder.metadata.generation;
        record.made.rollback = (!is_newest).then_some(TurnedBack { to, generation });
        told = Some((is_newest, before == record.turned_back().map(|one| one.number)));
        Ok(())
    });
    amended.map_err(failed)?;
    let what = format!("{} \"{}\"", kind(key), key.name);
    let (is_newest, is_same) = told.unwrap_or_default();
    let unchanged = if is_same { " (no change)" } else { "" };
    let follows = if is_newest { ", and follows its stack and stores" } else { "" };
    desk.workshop.ui.result(&format!("{what} is revision {to}{follows}{unchanged}"));
    follow(desk, &[Id::Builder(key.clone())], wait)
}
