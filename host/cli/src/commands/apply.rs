//! `stave apply -f`: resources become what files say, and what follows of it is done.

use serde_json::{Value, json};
use stave_platform::{
    port::Applied,
    reconcile::Scope,
    resource::{manifest::Resource, name::Name},
};

use super::resources::{self, print_document, reading::Text};
use crate::{
    args::{
        Apply,
        platform::{Form, Manifests},
    },
    exit::Exit,
    platform::Desk,
    workshop::Workshop,
};

/// What the long help says more.
pub(crate) const HELP: &str = "\
Kinds: Image, Builder, ClusterBuilder, ClusterStack, ClusterStore, Buildpack and ClusterBuildpack, with the fields of
kpack.io/v1alpha2; under apiVersion stave/v1 an Image has updatePolicy and watch too. All of them are checked before the first
is taken.

    apiVersion: kpack.io/v1alpha2
    kind: Image
    metadata: {name: web, namespace: team-a}
    spec:
      tag: registry.example.com/team-a/web
      builder: {kind: ClusterBuilder, name: default}
      source: {git: {url: https://git.example.com/web, revision: main}}";

/// Does what files say.
pub(crate) fn run(workshop: &Workshop, arguments: &Apply) -> Result<(), Exit> {
    let desk = Desk::open(workshop)?;
    let wished = read(workshop, &arguments.manifests)?;
    let snapshot = desk.snapshot()?;
    wished.iter().try_for_each(|resource| resources::is_allowed(workshop, resource))?;
    let rehearsed = wished.iter().map(|resource| resources::compared(&snapshot, resource));
    let rehearsed = rehearsed.collect::<Result<Vec<Applied>, Exit>>()?;
    let rehearsal = arguments.changing.rehearsal();
    for (resource, rehearsed) in wished.iter().zip(rehearsed) {
        let came_to = if rehearsal.is_dry() { rehearsed } else { desk.apply(resource)? };
        if arguments.printed.form.document().is_none() {
            let (kind, name) = (resource.kind(), &resource.metadata().name);
            workshop.ui.result(&format!("{kind} \"{name}\" {}{}", word(came_to), rehearsal.suffix()));
        }
    }
    print_all(workshop, &wished, arguments.printed.form)?;
    if rehearsal.is_dry() {
        return Ok(());
    }
    settle(&desk, &wished, arguments.changing.waiting.wait)
}

/// All resources of files.
pub(crate) fn read(workshop: &Workshop, manifests: &Manifests) -> Result<Vec<Resource>, Exit> {
    let namespace: Name = resources::namespace(workshop, &manifests.whose);
    let mut all = Vec::new();
    for file in &manifests.files {
        all.extend(Text::read(file)?.resources(&namespace)?);
    }
    Ok(all)
}

/// What applying came to, in a word.
pub(crate) fn word(applied: Applied) -> &'static str {
    match applied {
        Applied::Created => "created",
        Applied::Changed => "configured",
        Applied::Unchanged => "unchanged",
    }
}

/// Prints resources so that `apply -f` reads them again, unless what is printed is for people.
pub(crate) fn print_all(workshop: &Workshop, all: &[Resource], form: Form) -> Result<(), Exit> {
    if let [only] = all {
        return resources::print(workshop, only, form);
    }
    let items: Vec<Value> = all.iter().map(resources::manifest).collect();
    print_document(workshop, &json!({ "apiVersion": "v1", "kind": "List", "items": items }), form)
}

/// Does all that follows, and fails where a resource cannot be what is wished for: the others are done all the same.
pub(crate) fn settle(desk: &Desk<'_>, wished: &[Resource], wait: bool) -> Result<(), Exit> {
    wished.iter().try_for_each(|resource| resources::look_again(desk, resource))?;
    let ids: Vec<_> = wished.iter().map(resources::id).collect();
    desk.settle(&Scope::Builders, &ids, true)?;
    let snapshot = desk.snapshot()?;
    let ready = wished.iter().try_for_each(|resource| resources::is_ready(&snapshot, resource));
    let followed = resources::follow(desk, &ids, wait);
    ready.and(followed)
}
