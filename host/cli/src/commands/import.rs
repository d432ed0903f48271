//! `stave import`: buildpacks, stores, stacks and builders that a dependency descriptor names.

use std::{collections::BTreeSet, fmt::Write as _};

use serde::Deserialize;
use serde_json::Value;
use stave_platform::{
    port::{Applied, records::Snapshot},
    resource::{
        builder::Group,
        manifest::Resource,
        name::Name,
        order::Entry,
        package::Package,
        read::read,
        reference::Reference,
        stack::{ImageName, Stack, StackSpec, Store},
    },
    table::diff,
};

use super::{
    apply, clusterbuilder, clusterbuildpack, clusterstack, clusterstore,
    resources::{self, builders::Wish, called, packages, reading::Text},
    settings,
};
use crate::{
    args::Import,
    exit::{Exit, USAGE, one_line, printable},
    platform::Desk,
    workshop::Workshop,
};

/// What the long help says more.
pub(crate) const HELP: &str = "\
A descriptor of kp.kpack.io (v1, v1alpha3, v1alpha1) is read as it is. Stores grow and lose nothing; the stack and the builder
that it names as default are there as `default` too.
Images are named where they are and not copied, also where there is a default repository: whoever builds must reach them.
Lifecycles are left out, for this program is its own. Importing the same again changes nothing.

    apiVersion: kp.kpack.io/v1
    kind: DependencyDescriptor
    defaultClusterStack: base
    defaultClusterBuilder: base
    clusterBuildpacks:
    - name: node
      image: registry.example.com/buildpacks/node:1.0.0
    clusterStores:
    - name: default
      sources:
      - image: registry.example.com/buildpacks/java:1.0.0
    clusterStacks:
    - name: base
      runImage: {image: registry.example.com/stacks/run:1}
    clusterBuilders:
    - name: base
      clusterStack: base
      clusterStore: default
      order:
      - group:
        - id: acme/java";

/// The versions of descriptors that are read.
const VERSIONS: [&str; 3] = ["kp.kpack.io/v1", "kp.kpack.io/v1alpha3", "kp.kpack.io/v1alpha1"];
/// Most characters of a line of a change.
const MAX_LINE: usize = 300;

/// A descriptor. Fields have the names of all versions: the older ones had shorter words for the same.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Descriptor {
    #[serde(rename = "apiVersion")]
    _version: Value,
    #[serde(default, rename = "kind")]
    _kind: Value,
    #[serde(default, rename = "metadata")]
    _metadata: Value,
    #[serde(default, rename = "defaultClusterLifecycle")]
    _default_cluster_lifecycle: Option<Name>,
    #[serde(default, alias = "defaultStack")]
    default_cluster_stack: Option<Name>,
    #[serde(default)]
    default_cluster_builder: Option<Name>,
    #[serde(default)]
    lifecycle: Option<ImageName>,
    #[serde(default)]
    cluster_lifecycles: Vec<DescribedPackage>,
    #[serde(default)]
    cluster_buildpacks: Vec<DescribedPackage>,
    #[serde(default, alias = "stores")]
    cluster_stores: Vec<DescribedStore>,
    #[serde(default, alias = "stacks")]
    cluster_stacks: Vec<DescribedStack>,
    #[serde(default)]
    cluster_builders: Vec<DescribedBuilder>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedPackage {
    name: Name,
    image: Reference,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedStore {
    name: Name,
    sources: Vec<ImageName>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DescribedStack {
    name: Name,
    #[serde(default)]
    build_image: Option<ImageName>,
    run_image: ImageName,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DescribedBuilder {
    name: Name,
    #[serde(alias = "stack")]
    cluster_stack: Name,
    #[serde(default, alias = "store")]
    cluster_store: Option<Name>,
    #[serde(default, rename = "clusterLifecycle")]
    _cluster_lifecycle: Option<Name>,
    order: Vec<Group<Entry>>,
}

/// Takes over what a descriptor names.
pub(crate) fn run(workshop: &Workshop, arguments: &Import) -> Result<(), Exit> {
    let desk = Desk::open(workshop)?;
    let descriptor = descriptor(&Text::read(&arguments.filename)?)?;
    let snapshot = desk.snapshot()?;
    let rehearsal = arguments.uploading.rehearsal();
    let wished = resources_of(&desk, &snapshot, &descriptor)?;
    for resource in &wished {
        resources::check(resource)?;
    }
    if arguments.show_changes && !is_confirmed(workshop, &snapshot, &wished, arguments.force)? {
        workshop.ui.result("Nothing is imported");
        return Ok(());
    }
    tell_what_is_left_out(&desk, &descriptor)?;
    let mut is_changed = false;
    for resource in &wished {
        workshop.ui.say(&format!("Importing {} '{}'...", resource.kind(), resource.metadata().name));
        let applied =
            if rehearsal.is_dry() { resources::compared(&snapshot, resource)? } else { desk.apply(resource)? };
        is_changed |= applied != Applied::Unchanged;
    }
    apply::print_all(workshop, &wished, arguments.printed.form)?;
    if !rehearsal.is_dry() {
        apply::settle(&desk, &wished, arguments.uploading.waiting.wait)?;
    }
    if arguments.printed.form.document().is_none() {
        let unchanged = if is_changed { "" } else { " (no change)" };
        workshop.ui.result(&format!("Imported resources{}{unchanged}", rehearsal.suffix()));
    }
    Ok(())
}

fn descriptor(text: &Text) -> Result<Descriptor, Exit> {
    let document = text.document()?;
    let version = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if !VERSIONS.contains(&version) {
        let (name, said) = (printable(text.name()), one_line(version, 100));
        let exit = Exit::new(USAGE, format!("could not import {name}: its apiVersion is `{said}`"));
        return Err(exit.hint(format!("{} are read", VERSIONS.join(", "))));
    }
    read(&document, "descriptor").map_err(|problem| {
        Exit::new(USAGE, format!("the dependency descriptor in {} is refused: {problem}", printable(text.name())))
    })
}

/// All that it comes to, in the order in which one needs the other.
fn resources_of(desk: &Desk<'_>, snapshot: &Snapshot, descriptor: &Descriptor) -> Result<Vec<Resource>, Exit> {
    let mut all = Vec::new();
    for package in &descriptor.cluster_buildpacks {
        all.push(Resource::Package(Box::new(package_of(snapshot, package))));
    }
    for store in stores(snapshot, descriptor) {
        all.push(Resource::Store(Box::new(store)));
    }
    let described =
        with_default(&descriptor.cluster_stacks, descriptor.default_cluster_stack.as_ref(), |one| &mut one.name)
            .ok_or_else(|| no_default("defaultClusterStack", descriptor.default_cluster_stack.as_ref()))?;
    for stack in &described {
        all.push(Resource::Stack(Box::new(stack_of(desk, snapshot, stack)?)));
    }
    let default = descriptor.default_cluster_builder.as_ref();
    let described = with_default(&descriptor.cluster_builders, default, |one| &mut one.name)
        .ok_or_else(|| no_default("defaultClusterBuilder", default))?;
    for builder in described {
        let key = clusterbuilder::key(&builder.name);
        let old = snapshot.builders.get(&key).map(|record| &record.builder);
        let wish = Wish {
            tag: None,
            stack: Some(builder.cluster_stack),
            store: builder.cluster_store,
            order: Some(builder.order),
            account: None,
        };
        all.push(Resource::Builder(Box::new(wish.applied(desk, &key, old)?)));
    }
    Ok(all)
}

/// What is described, and the one that is named as default once more as `default`; none where there is no such one.
fn with_default<T: Clone>(all: &[T], default: Option<&Name>, name: fn(&mut T) -> &mut Name) -> Option<Vec<T>> {
    let mut all = all.to_vec();
    let Some(default) = default.filter(|one| **one != resources::default_name()) else { return Some(all) };
    let mut clone = all.iter_mut().find_map(|one| (name(one) == default).then(|| one.clone()))?;
    *name(&mut clone) = resources::default_name();
    all.retain_mut(|one| *name(one) != resources::default_name());
    all.push(clone);
    Some(all)
}

fn no_default(field: &str, name: Option<&Name>) -> Exit {
    let name = name.map(Name::as_str).unwrap_or_default();
    Exit::new(USAGE, format!("the dependency descriptor names {name} as {field} and does not describe it"))
}

/// Stores with what they have and what is new.
fn stores(snapshot: &Snapshot, descriptor: &Descriptor) -> Vec<Store> {
    let mut all: Vec<Store> = Vec::new();
    let described = descriptor.cluster_stores.iter();
    let described = described.flat_map(|store| store.sources.iter().map(|source| (&store.name, &source.image)));
    for (name, image) in described {
        let at = all.iter().position(|store| store.metadata.name == *name).unwrap_or_else(|| {
            let there = snapshot.stores.get(name).map(|record| record.store.clone());
            all.push(there.unwrap_or_else(|| clusterstore::new(name)));
            all.len() - 1
        });
        clusterstore::with(&mut all[at], image.clone());
    }
    all
}

/// A cluster buildpack with another image, or a new one.
fn package_of(snapshot: &Snapshot, described: &DescribedPackage) -> Package {
    let key = clusterbuildpack::key(&described.name);
    let mut package = match snapshot.packages.get(&key) {
        Some(record) => record.package.clone(),
        None => packages::new(&key, described.image.clone()),
    };
    package.spec.image.clone_from(&described.image);
    package
}

fn stack_of(desk: &Desk<'_>, snapshot: &Snapshot, described: &DescribedStack) -> Result<Stack, Exit> {
    let DescribedStack { name, build_image, run_image } = described;
    let old = snapshot.stacks.get(name).map(|record| &record.stack);
    // An image that is known said once which stack it is of.
    let known = snapshot.stacks.values().map(|record| &record.stack.spec).find(|spec| spec.run_image == *run_image);
    let id = match known {
        Some(spec) => spec.id.clone(),
        None => {
            clusterstack::labelled_in_registry(desk.workshop, &run_image.image)?.unwrap_or_else(|| name.to_string())
        }
    };
    let spec = StackSpec {
        id,
        build_image: build_image.clone(),
        run_image: run_image.clone(),
        service_account_ref: old.and_then(|old| old.spec.service_account_ref.clone()),
    };
    Ok(Stack { metadata: old.map_or_else(|| called(name, None), |old| old.metadata.clone()), spec })
}

/// Shows what changes, and asks; nobody is asked where nothing changes.
fn is_confirmed(workshop: &Workshop, snapshot: &Snapshot, wished: &[Resource], force: bool) -> Result<bool, Exit> {
    let text = changes(snapshot, wished);
    workshop.ui.say(if text.is_empty() { "No Changes" } else { text.trim_end() });
    if text.is_empty() || force {
        return Ok(true);
    }
    resources::is_wanted(workshop, "Confirm with y: ", "--force imports without asking")
}

/// What changes, resource by resource.
fn changes(snapshot: &Snapshot, wished: &[Resource]) -> String {
    let mut text = String::new();
    for resource in wished {
        let old = resources::current(snapshot, resource).map_or(Value::Null, |old| old.manifest());
        let new = resource.manifest();
        if old == new {
            continue;
        }
        let _ = writeln!(text, "{} '{}'", resource.kind(), resource.metadata().name);
        for line in diff::between(&old, &new) {
            let _ = writeln!(text, "  {}", one_line(&line.to_string(), MAX_LINE));
        }
        text.push('\n');
    }
    text
}

/// What is not done, in so many words.
fn tell_what_is_left_out(desk: &Desk<'_>, descriptor: &Descriptor) -> Result<(), Exit> {
    let ui = &desk.workshop.ui;
    let named = descriptor.cluster_lifecycles.iter().map(|one| format!("ClusterLifecycle '{}'", one.name));
    let one = descriptor.lifecycle.iter().map(|_| "the lifecycle".to_owned());
    let lifecycles: BTreeSet<String> = named.chain(one).collect();
    for lifecycle in lifecycles {
        ui.say(&format!("{lifecycle} is left out: this program is its own lifecycle"));
    }
    if let Some(repository) = settings::default_repository(desk)? {
        ui.say(&format!("Images stay where they are: nothing is copied to {}", repository.name()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(value: &Value) -> Result<Descriptor, String> {
        read(value, "descriptor").map_err(|problem| problem.to_string())
    }

    #[test]
    fn older_descriptors_have_other_words_for_the_same() {
        let image = serde_json::json!({ "image": "registry.example.com/a:1" });
        let order = serde_json::json!([{ "group": [{ "id": "acme/java" }] }]);
        let descriptor = read_one(&serde_json::json!({
            "apiVersion": "kp.kpack.io/v1alpha1", "kind": "DependencyDescriptor", "defaultStack": "a",
            "stores": [{ "name": "s", "sources": [image] }],
            "stacks": [{ "name": "a", "buildImage": image, "runImage": image }],
            "clusterBuilders": [{ "name": "b", "stack": "a", "store": "s", "order": order }],
        }))
        .unwrap();
        assert_eq!(descriptor.default_cluster_stack.unwrap().as_str(), "a");
        assert_eq!((descriptor.cluster_stores.len(), descriptor.cluster_stacks.len()), (1, 1));
        assert_eq!(descriptor.cluster_builders[0].cluster_store.as_ref().unwrap().as_str(), "s");
        let wrong =
            serde_json::json!({ "apiVersion": "kp.kpack.io/v1", "clusterStores": [{ "name": "s", "source": [] }] });
        insta::assert_snapshot!(read_one(&wrong).unwrap_err(), @"descriptor.clusterStores[0].source: unknown field `source`, expected `name` or `sources`");
    }

    #[test]
    fn what_is_named_as_default_is_there_twice() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let names = |all: &[&str], default: Option<&str>| {
            let all: Vec<Name> = all.iter().map(|one| name(one)).collect();
            let all = with_default(&all, default.map(name).as_ref(), |one| one)?;
            Some(all.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(names(&["a", "b"], Some("a")).unwrap(), ["a", "b", "default"]);
        assert_eq!(names(&["default", "b"], Some("b")).unwrap(), ["b", "default"]);
        assert_eq!(names(&["default"], Some("default")).unwrap(), ["default"]);
        assert_eq!(names(&["a"], None).unwrap(), ["a"]);
        assert_eq!(names(&["a"], Some("c")), None);
    }
}
