//! What the commands about resources have in common: whose a resource is, how it is printed, what applying it comes to, and
//! that everything it reaches is done before the command ends.

pub(crate) mod builders;
pub(crate) mod packages;
pub(crate) mod reading;
pub(crate) mod relocation;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::{self, BufRead as _, IsTerminal as _, Read as _},
};

use serde_json::Value;
use stave_platform::{
    port::{
        Applied,
        records::{Id, Seen, Snapshot},
    },
    reconcile::Scope,
    resource::{
        Refused,
        build::{Build, Outcome},
        image::Metadata,
        manifest::Resource,
        name::{ImageKey, Name},
    },
};
use stave_store::secrets::DiskSecrets;

use crate::{
    args::{
        Whose,
        platform::{Form, Rehearsal},
    },
    document,
    exit::{BUILD, Exit, GENERAL, USAGE, one_line},
    platform::{Came, Desk, failed, names},
    workshop::Workshop,
};

/// Most characters of what others wrote in a line.
const MAX_LINE: usize = 300;

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1024;

/// What counts where nothing else is said.
pub(crate) fn default_name() -> Name {
    "default".parse().unwrap_or_else(|_| unreachable!("it is a name"))
}

/// The namespace that is meant.
pub(crate) fn namespace(workshop: &Workshop, whose: &Whose) -> Name {
    let said = whose.namespace.as_ref().or(workshop.config.namespace.as_ref());
    said.cloned().unwrap_or_else(default_name)
}

/// What a new resource is called by.
pub(crate) fn called(name: &Name, namespace: Option<&Name>) -> Metadata {
    Metadata {
        name: name.clone(),
        namespace: namespace.cloned(),
        generation: 0,
        labels: std::collections::BTreeMap::new(),
        annotations: std::collections::BTreeMap::new(),
    }
}

/// A resource as a manifest.
pub(crate) fn manifest(resource: &Resource) -> Value {
    resource.manifest()
}

/// Prints a resource, unless what is printed is for people.
pub(crate) fn print(workshop: &Workshop, resource: &Resource, form: Form) -> Result<(), Exit> {
    match form.document() {
        Some(_) => print_document(workshop, &manifest(resource), form),
        None => Ok(()),
    }
}

/// Prints a document for programs.
pub(crate) fn print_document(workshop: &Workshop, document: &Value, form: Form) -> Result<(), Exit> {
    let Some(format) = form.document() else { return Ok(()) };
    workshop.ui.result(&document::write(document, format)?);
    Ok(())
}

/// Prints an image as it is now, unless what is printed is for people.
pub(crate) fn print_image(desk: &Desk<'_>, key: &ImageKey, form: Form) -> Result<(), Exit> {
    if form.document().is_none() {
        return Ok(());
    }
    let found = desk.records().image(key).map_err(failed)?;
    let record = found.ok_or_else(|| Exit::new(USAGE, format!("the image {key} was deleted meanwhile")))?;
    print(desk.workshop, &Resource::Image(Box::new(record.image)), form)
}

/// Refuses a resource that cannot be meant.
pub(crate) fn check(resource: &Resource) -> Result<(), Exit> {
    let problems = resource.problems();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Exit::new(USAGE, Refused { subject: subject(resource), problems }))
}

/// Refuses an image whose bindings are secrets of a service account: its owner would read the platform's own logins.
pub(crate) fn is_allowed(workshop: &Workshop, resource: &Resource) -> Result<(), Exit> {
    let Resource::Image(image) = resource else { return Ok(()) };
    if image.spec.build.services.is_empty() {
        return Ok(());
    }
    let secrets = DiskSecrets::of(&workshop.data).list(Some(&image.key().namespace));
    let secrets = secrets.map_err(|error| Exit::new(GENERAL, error))?;
    let held: BTreeSet<Name> =
        secrets.into_iter().filter(|one| one.service_account.is_some()).map(|one| one.name).collect();
    let problems = image.forbidden_services(&held);
    if problems.is_empty() {
        return Ok(());
    }
    Err(Exit::new(USAGE, Refused { subject: subject(resource), problems }))
}

/// Kind and name, as messages have them.
pub(crate) fn subject(resource: &Resource) -> String {
    let metadata = resource.metadata();
    match &metadata.namespace {
        Some(namespace) => format!("{} `{namespace}/{}`", resource.kind(), metadata.name),
        None => format!("{} `{}`", resource.kind(), metadata.name),
    }
}

/// The resource of the same name that is there.
pub(crate) fn current(snapshot: &Snapshot, resource: &Resource) -> Option<Resource> {
    match resource {
        Resource::Image(image) => {
            snapshot.images.get(&image.key()).map(|record| Resource::Image(Box::new(record.image.clone())))
        }
        Resource::Builder(builder) => {
            let record = snapshot.builders.get(&names::key(builder));
            record.map(|record| Resource::Builder(Box::new(record.builder.clone())))
        }
        Resource::Stack(stack) => {
            let record = snapshot.stacks.get(&stack.metadata.name);
            record.map(|record| Resource::Stack(Box::new(record.stack.clone())))
        }
        Resource::Store(store) => {
            let record = snapshot.stores.get(&store.metadata.name);
            record.map(|record| Resource::Store(Box::new(record.store.clone())))
        }
        Resource::Package(package) => {
            let record = snapshot.packages.get(&package.key());
            record.map(|record| Resource::Package(Box::new(record.package.clone())))
        }
    }
}

/// What applying a resource would come to; it is refused where it would be.
pub(crate) fn would_apply(desk: &Desk<'_>, resource: &Resource) -> Result<Applied, Exit> {
    compared(&desk.snapshot()?, resource)
}

/// The same, beside what is remembered.
pub(crate) fn compared(snapshot: &Snapshot, resource: &Resource) -> Result<Applied, Exit> {
    let Some(old) = current(snapshot, resource) else { return Ok(Applied::Created) };
    if let (Resource::Image(old), Resource::Image(new)) = (&old, resource) {
        let problems = old.refusals(new);
        if !problems.is_empty() {
            return Err(Exit::new(USAGE, Refused { subject: subject(resource), problems }));
        }
    }
    Ok(if manifest(&old) == manifest(resource) { Applied::Unchanged } else { Applied::Changed })
}

/// A resource that was asked for by name and is not there.
pub(crate) fn not_found<'a>(kind: &str, name: &Name, there: impl Iterator<Item = &'a Name>) -> Exit {
    let exit = Exit::new(USAGE, format!("{kind} \"{name}\" not found"));
    let there: Vec<&str> = there.map(Name::as_str).collect();
    match there[..] {
        [] => exit.hint(format!("there is no {kind} yet")),
        _ => exit.hint(format!("there are: {}", one_line(&there.join(", "), MAX_LINE))),
    }
}

/// A resource that was to be made and is there.
pub(crate) fn exists(kind: &str, command: &str, name: &Name) -> Exit {
    let exit = Exit::new(USAGE, format!("{kind} \"{name}\" already exists"));
    exit.hint(format!("`stave {command} patch` changes it, `stave {command} save` does either"))
}

/// How a change is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    /// What is printed.
    pub(crate) form: Form,
    /// Whether it is done.
    pub(crate) rehearsal: Rehearsal,
    /// Whether a server is waited for.
    pub(crate) wait: bool,
    /// Whether nothing new is worth a word: for what changes a resource that is there.
    pub(crate) is_change: bool,
}

/// Takes a wish down, tells the result, and does all that follows of it.
pub(crate) fn finish(desk: &Desk<'_>, resource: &Resource, line: &str, said: Said) -> Result<(), Exit> {
    check(resource)?;
    let applied = if said.rehearsal.is_dry() { would_apply(desk, resource)? } else { desk.change(resource)? };
    let (is_dry, changed) = (said.rehearsal.is_dry(), [id(resource)]);
    if !is_dry {
        look_again(desk, resource)?;
        // Whether it is any good is told before it is said to be done.
        desk.settle(&Scope::Builders, &changed, true)?;
    }
    print(desk.workshop, resource, said.form)?;
    if !is_dry {
        is_ready(&desk.snapshot()?, resource)?;
    }
    if said.form.document().is_none() {
        let unchanged = if said.is_change && applied == Applied::Unchanged { " (no change)" } else { "" };
        desk.workshop.ui.result(&format!("{line}{}{unchanged}", said.rehearsal.suffix()));
    }
    // Also where nothing changed: whoever types it again wants to have done what somebody was stopped in.
    if is_dry { Ok(()) } else { follow(desk, &changed, said.wait) }
}

/// Does all that follows of a change of these, and tells what came of it.
pub(crate) fn follow(desk: &Desk<'_>, changed: &[Id], wait: bool) -> Result<(), Exit> {
    told(desk, &desk.settle(&Scope::All, changed, wait)?)
}

/// What a resource is known by.
pub(crate) fn id(resource: &Resource) -> Id {
    match resource {
        Resource::Image(image) => Id::Image(image.key()),
        Resource::Builder(builder) => Id::Builder(names::key(builder)),
        Resource::Stack(stack) => Id::Stack(stack.metadata.name.clone()),
        Resource::Store(store) => Id::Store(store.metadata.name.clone()),
        Resource::Package(package) => Id::Package(package.key()),
    }
}

/// A stack, a store or a buildpack that could not be looked up is looked up again for whoever wishes for it, also for the same.
pub(crate) fn look_again(desk: &Desk<'_>, resource: &Resource) -> Result<(), Exit> {
    match resource {
        Resource::Image(_) | Resource::Builder(_) => Ok(()),
        Resource::Stack(stack) => {
            let amended = desk.records().amend_stack(&stack.metadata.name, &mut |record| {
                record.seen = seen_again(&record.seen, record.seen.failure.is_some());
                Ok(())
            });
            amended.map(drop).map_err(failed)
        }
        Resource::Store(store) => {
            let amended = desk.records().amend_store(&store.metadata.name, &mut |record| {
                record.seen = seen_again(&record.seen, record.seen.failure.is_some());
                Ok(())
            });
            amended.map(drop).map_err(failed)
        }
        Resource::Package(package) => {
            let amended = desk.records().amend_package(&package.key(), &mut |record| {
                record.seen = seen_again(&record.seen, record.seen.failure.is_some());
                Ok(())
            });
            amended.map(drop).map_err(failed)
        }
    }
}

/// What was found, to be looked up again if `is_wanted`; why it was not, is then known anew.
pub(crate) fn seen_again<T: Clone>(seen: &Seen<T>, is_wanted: bool) -> Seen<T> {
    if is_wanted { Seen { generation: 0, found: seen.found.clone(), failure: None } } else { seen.clone() }
}

/// Fails where a resource cannot be what is wished for.
pub(crate) fn is_ready(snapshot: &Snapshot, resource: &Resource) -> Result<(), Exit> {
    let failure = match resource {
        Resource::Image(_) => None,
        Resource::Builder(builder) => {
            snapshot.builders.get(&names::key(builder)).and_then(|record| record.made.failure.clone())
        }
        Resource::Stack(stack) => {
            snapshot.stacks.get(&stack.metadata.name).and_then(|record| record.seen.failure.clone())
        }
        Resource::Store(store) => {
            snapshot.stores.get(&store.metadata.name).and_then(|record| record.seen.failure.clone())
        }
        Resource::Package(package) => {
            snapshot.packages.get(&package.key()).and_then(|record| record.seen.failure.clone())
        }
    };
    match failure {
        None => Ok(()),
        Some(why) => {
            let exit = Exit::new(GENERAL, format!("the {} is not ready", subject(resource)));
            Err(exit
                .detail(why)
                .hint("it is kept as it is wished for; once the cause is gone, save or refresh it again"))
        }
    }
}

/// Says what came of builds, and fails if one of them did.
pub(crate) fn told(desk: &Desk<'_>, came: &Came) -> Result<(), Exit> {
    let ended = &came.ended;
    if ended.is_empty() {
        return Ok(());
    }
    let bad: Vec<_> = ended.iter().filter(|build| build.failure().is_some()).collect();
    desk.workshop.ui.say(&tally(ended));
    if bad.is_empty() {
        return Ok(());
    }
    let mut exit = Exit::new(BUILD, format!("{} of {} builds failed", bad.len(), ended.len()));
    for build in bad {
        let why = build.failure().map(|failure| failure.message.as_str()).unwrap_or_default();
        exit = exit.detail(format!("{}, build {}: {}", build.image, build.number, one_line(why, MAX_LINE)));
    }
    Err(exit.hint("`stave build logs` shows what a build said"))
}

/// How many builds came to what.
fn tally(ended: &[Build]) -> String {
    let count = |is_meant: fn(&Build) -> bool| ended.iter().filter(|build| is_meant(build)).count();
    let mut text = format!("{} of {} builds made an image", count(|build| build.made().is_some()), ended.len());
    let others = [
        (count(|build| build.outcome == Outcome::Cancelled), "stopped"),
        (count(|build| build.outcome == Outcome::Superseded), "gave way to a newer one"),
    ];
    for (number, what) in others.into_iter().filter(|(number, _)| *number > 0) {
        let _ = write!(text, ", {number} {what}");
    }
    text
}

/// Asks for a yes: at the terminal, or of what is piped in. Nobody is asked twice, and who says nothing has said no to nothing:
/// that is an error, with `otherwise` as what to do.
pub(crate) fn is_wanted(workshop: &Workshop, question: &str, otherwise: &str) -> Result<bool, Exit> {
    let answer = workshop.pausing(|| match workshop.ui.ask(question) {
        None if !io::stdin().is_terminal() => {
            let mut answer = String::new();
            let read = io::stdin().lock().take(MAX_ANSWER).read_line(&mut answer);
            read.ok().filter(|read| *read > 0).map(|_| answer.trim().to_owned())
        }
        answer => answer,
    })?;
    let answer =
        answer.ok_or_else(|| Exit::new(USAGE, "nobody could be asked whether this is wanted").hint(otherwise))?;
    Ok(["y", "yes"].contains(&answer.to_ascii_lowercase().as_str()))
}

/// Forgets a resource; whoever wants to wait sees all that follows done.
pub(crate) fn remove(desk: &Desk<'_>, id: &Id, line: &str, wait: bool) -> Result<(), Exit> {
    desk.records().remove(id).map_err(failed)?;
    desk.workshop.ui.result(line);
    if wait { follow(desk, std::slice::from_ref(id), true) } else { Ok(()) }
}

/// The images that are built by builders that are chosen, told to whoever takes such a builder away.
pub(crate) fn warn_of_users(desk: &Desk<'_>, what: &str, users: &[String]) {
    if users.is_empty() {
        return;
    }
    let shown = one_line(&users.join(", "), MAX_LINE);
    desk.workshop.ui.say(&format!("warning: {what} is used by {shown}: they stay as they are, and are not updated"));
}
