//! Where the entries of a builder's order are found.
//!
//! A bare id is looked for in the builder's store (or in all of them), in all cluster buildpacks, and, for a builder of a
//! namespace, in the buildpacks of that; the highest version is taken. Where several have the same version, a buildpack of the
//! namespace counts more than a cluster buildpack, and that more than a store. What is named by kind and name is taken from
//! there and from nowhere else.

use std::fmt;

use super::world::World;
use crate::resource::{
    builder::{BuilderSpec, BuildpackVersion, Group, Member},
    name::Name,
    order::{Entry, Pick},
    package::{PackageKey, PackageKind},
};

/// What a builder may take buildpacks from.
pub(super) struct Shelves<'a> {
    world: &'a World,
    namespace: Option<&'a Name>,
    stores: Vec<&'a [BuildpackVersion]>,
}

/// The groups of an order with what was found for them.
pub(super) struct Taken {
    /// Each buildpack once.
    pub(super) buildpacks: Vec<BuildpackVersion>,
    /// The groups, with versions.
    pub(super) order: Vec<Group>,
}

impl<'a> Shelves<'a> {
    /// Those of a builder, unless its store is not there. `namespace` is the builder's, if it is of one.
    pub(super) fn of(world: &'a World, namespace: Option<&'a Name>, spec: &BuilderSpec) -> Result<Self, String> {
        let stores = match &spec.store {
            None => world.stores.values().map(Vec::as_slice).collect(),
            Some(store) => {
                let missing = || world.missing("ClusterStore", &store.name);
                vec![world.stores.get(&store.name).ok_or_else(missing)?.as_slice()]
            }
        };
        Ok(Self { world, namespace, stores })
    }

    /// What the entries of an order come to.
    pub(super) fn take(&self, order: &[Group<Entry>]) -> Result<Taken, String> {
        let mut taken = Taken { buildpacks: Vec::new(), order: Vec::new() };
        for group in order {
            let mut members = Vec::new();
            for Entry { pick, optional } in &group.group {
                let one = self.find(pick)?;
                members.push(Member { id: one.id.clone(), version: Some(one.version.clone()), optional: *optional });
                match taken.buildpacks.iter().find(|other| other.title() == one.title()) {
                    Some(same) if same == one => {}
                    // Only groups of an order say which is which, and those by their ids and versions alone.
                    Some(_) => return Err(format!("two different buildpacks of its order are {}", one.title())),
                    None => taken.buildpacks.push(one.clone()),
                }
            }
            taken.order.push(Group { group: members });
        }
        Ok(taken)
    }

    fn find(&self, pick: &Pick) -> Result<&'a BuildpackVersion, String> {
        match pick {
            Pick::Of { kind, name, .. } => self.in_package(*kind, name, pick),
            Pick::Anywhere { .. } => self.anywhere(pick),
        }
    }

    fn in_package(&self, kind: PackageKind, name: &Name, pick: &Pick) -> Result<&'a BuildpackVersion, String> {
        let namespace = match (kind, self.namespace) {
            (PackageKind::ClusterBuildpack, _) => None,
            (PackageKind::Buildpack, Some(namespace)) => Some(namespace.clone()),
            (PackageKind::Buildpack, None) => {
                return Err(format!(
                    "a ClusterBuilder takes no buildpack of a namespace, such as the Buildpack {name}"
                ));
            }
        };
        let key = PackageKey { namespace, name: name.clone() };
        match self.world.packages.get(&key) {
            None => Err(format!("the {key} does not exist")),
            Some(Err(why)) => Err(format!("the {key} is not ready: {why}")),
            Some(Ok(one)) if pick.fits(one) => Ok(one),
            Some(Ok(one)) => Err(format!("the {key} has {}, and not {}", one.title(), Title(pick))),
        }
    }

    fn anywhere(&self, pick: &Pick) -> Result<&'a BuildpackVersion, String> {
        // Of equal versions the last one is taken; those of all come before those of a namespace.
        let packages = self.world.packages.iter().filter(|(key, _)| key.is_seen_by(self.namespace));
        let ready = packages.clone().filter_map(|(_, found)| found.as_ref().ok());
        let all = self.stores.iter().copied().flatten().chain(ready);
        let newest = all.filter(|one| pick.fits(one)).max_by(|a, b| a.version.cmp(&b.version));
        newest.ok_or_else(|| {
            let nobody = match self.namespace {
                Some(_) => "no store, Buildpack or ClusterBuildpack",
                None => "no store or ClusterBuildpack",
            };
            let unseen: Vec<String> =
                packages.filter(|(_, found)| found.is_err()).map(|(key, _)| key.to_string()).collect();
            let unseen = match unseen[..] {
                [] => String::new(),
                _ => format!("; not ready: {}", unseen.join(", ")),
            };
            format!("{nobody} has the buildpack {}{unseen}", Title(pick))
        })
    }
}

/// What an entry means, as messages have it: `acme/java@1.0.0`.
struct Title<'a>(&'a Pick);

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, version) = match self.0 {
            Pick::Anywhere { id, version } => (Some(id), version),
            Pick::Of { id, version, .. } => (id.as_ref(), version),
        };
        match (id, version) {
            (Some(id), Some(version)) => write!(f, "{id}@{version}"),
            (Some(id), None) => write!(f, "{id}"),
            (None, Some(version)) => write!(f, "version {version}"),
            (None, None) => Ok(()),
        }
    }
}
