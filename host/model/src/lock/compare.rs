//! What changes from one lock to another, and which of it a person has to agree to.
//!
//! An update that wants more than before does not pass by itself: it says why it stops, and it goes on when its id is said.
//! Whatever [`excess`] tells of two sets of capabilities stops it, so a new kind of capability is watched from its first day.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use semver::Version;
use serde::{Serialize, Serializer};

use super::{Lock, LockedBuildpack};
use crate::{
    capability::{Capabilities, Excess, Interface, excess, imports::is_offered},
    dependency::Dependency,
    digest::Digest,
    id::BuildpackId,
    order::Selection,
    policy::trust,
    target::Platform,
};

/// The most characters that are shown of an import that nobody knows.
const MAX_IMPORT: usize = 100;

/// One thing that is different.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// The base for a platform is another one, is new, or is gone.
    Base {
        /// The platform.
        platform: Platform,
        /// The digest that was locked.
        old: Option<Digest>,
        /// The digest now.
        new: Option<Digest>,
    },
    /// Buildpacks are tried in another order.
    Order,
    /// A buildpack is another one, is new, or is gone.
    Buildpack(Box<Update>),
}

/// How a buildpack changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Update {
    /// Its id.
    pub id: BuildpackId,
    /// What was locked; none if it is new.
    pub old: Option<Facts>,
    /// What there is now; none if it is gone.
    pub new: Option<Facts>,
    /// Why a person has to agree.
    pub stops: Vec<Stop>,
    /// What it no longer wants.
    #[serde(serialize_with = "as_texts")]
    pub wants_no_more: Vec<Excess>,
    /// What it is no longer granted.
    #[serde(serialize_with = "as_texts")]
    pub granted_no_more: Vec<Excess>,
    /// What it may bring into an image, as far as that is different.
    pub dependencies: Vec<DependencyChange>,
}

/// What tells two states of a buildpack apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Its version.
    pub version: Version,
    /// The digest of its component.
    pub component: Digest,
    /// The size of its component.
    pub size: u64,
    /// The contract it is written for.
    pub contract: String,
    /// The digest of the manifest that its reference led to.
    pub manifest: Option<Digest>,
    /// Whose signature was checked.
    pub signer: Option<String>,
}

/// A dependency that is new, gone, or another artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DependencyChange {
    /// `id version`.
    pub name: String,
    /// How it changes.
    pub how: How,
    /// SPDX expressions, of the new one where there is one.
    pub licenses: Vec<String>,
}

/// How a dependency changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It was not there.
    Added,
    /// It is gone.
    Removed,
    /// The version is the same, and the artefacts or licences are others.
    Changed,
}

/// Why an update does not pass by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It was not in the lock.
    New,
    /// It wants what it did not want.
    Wants(Excess),
    /// It imports what no buildpack is offered here: an interface of a later contract, or of something else.
    Imports(String),
    /// It is granted what it was not granted.
    Granted(Excess),
    /// It is older than what was locked: somebody turned a name back (N10).
    Older {
        /// The version that was locked.
        old: Version,
        /// The version now.
        new: Version,
    },
    /// A signature that was checked is another one's, or was not found and verified any more.
    Signer {
        /// Whose it was.
        old: String,
        /// Whose it is.
        new: Option<String>,
    },
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("it is new"),
            Self::Wants(excess) => write!(f, "it wants {excess}"),
            Self::Imports(import) => {
                let import: String = import.chars().take(MAX_IMPORT).collect();
                write!(f, "it imports {}, which this version of stave offers to no buildpack", import.escape_debug())
            }
            Self::Granted(excess) => write!(f, "it is granted {excess}"),
            Self::Older { old, new } => write!(f, "its version {new} is older than {old}, which is locked"),
            Self::Signer { old, new: Some(new) } => {
                write!(f, "it is signed by {}, and was by {}", new.escape_debug(), old.escape_debug())
            }
            Self::Signer { old, new: None } => {
                write!(f, "it was signed by {}, and no signature of that was verified now", old.escape_debug())
            }
        }
    }
}

impl Serialize for Stop {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn as_texts<S: Serializer>(list: &[Excess], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(ToString::to_string))
}

/// Everything that is different, in a sequence that does not depend on chance: bases, order, buildpacks by id.
pub fn changes(old: &Lock, new: &Lock) -> Vec<Change> {
    let mut changes = bases(old, new);
    if order(old) != order(new) {
        changes.push(Change::Order);
    }
    let ids: BTreeSet<&BuildpackId> = old.buildpacks.iter().chain(&new.buildpacks).map(|one| &one.id).collect();
    for id in ids {
        let of = |lock: &'_ Lock| lock.buildpacks.iter().filter(|one| one.id == *id).cloned().collect::<Vec<_>>();
        changes.extend(pairs(of(old), of(new)).into_iter().filter_map(|(old, new)| update(old.as_ref(), new.as_ref())));
        let turned_back = turned_back(old, new, id, &changes);
        changes.extend(turned_back);
    }
    changes
}

/// Of a buildpack in several versions: that an older one is tried now, because the order names it or the newer one is gone (N10).
fn turned_back(old: &Lock, new: &Lock, id: &BuildpackId, told: &[Change]) -> Option<Change> {
    let (old, new) = (tried(old, id)?, tried(new, id)?);
    let is_told = |change: &Change| {
        let is_older = |stop: &Stop| matches!(stop, Stop::Older { .. });
        matches!(change, Change::Buildpack(update) if update.id == *id && update.stops.iter().any(is_older))
    };
    if new.version >= old.version || told.iter().any(is_told) { None } else { update(Some(old), Some(new)) }
}

/// The newest version of a buildpack that is tried.
fn tried<'a>(lock: &'a Lock, id: &BuildpackId) -> Option<&'a LockedBuildpack> {
    let Selection { order, composites, system } = lock.selection();
    let groups = composites.into_iter().flat_map(|composite| composite.order).chain(order);
    let members = groups.flat_map(|group| group.group).chain(system.pre.buildpacks).chain(system.post.buildpacks);
    let named: Vec<Option<Version>> = members.filter(|member| member.id == *id).map(|member| member.version).collect();
    let is_named = |one: &&LockedBuildpack| {
        named.iter().any(|version| version.as_ref().is_none_or(|version| *version == one.version))
    };
    lock.buildpacks.iter().filter(|one| one.id == *id).filter(is_named).max_by(|a, b| a.version.cmp(&b.version))
}

/// The buildpacks that a person has to agree to and has not named, with the reasons.
pub fn unaccepted<'a>(changes: &'a [Change], accepted: &BTreeSet<BuildpackId>) -> Vec<&'a Update> {
    let updates = changes.iter().filter_map(|change| match change {
        Change::Buildpack(update) => Some(&**update),
        Change::Base { .. } | Change::Order => None,
    });
    updates.filter(|update| !update.stops.is_empty() && !accepted.contains(&update.id)).collect()
}

/// Which buildpacks are tried together. The version of one that there is only one of says nothing about the order.
fn order(lock: &Lock) -> Selection {
    let mut selection = lock.selection();
    let only = |id: &BuildpackId| lock.buildpacks.iter().filter(|one| one.id == *id).count() == 1;
    let groups = selection.composites.iter_mut().flat_map(|composite| &mut composite.order).chain(&mut selection.order);
    let members = groups.flat_map(|group| &mut group.group);
    let system = selection.system.pre.buildpacks.iter_mut().chain(&mut selection.system.post.buildpacks);
    for member in members.chain(system).filter(|member| only(&member.id)) {
        member.version = None;
    }
    selection
}

fn bases(old: &Lock, new: &Lock) -> Vec<Change> {
    let of = |lock: &Lock| -> BTreeMap<Platform, Digest> {
        lock.stack.images.iter().map(|image| (image.platform.clone(), image.digest)).collect()
    };
    let (old, new) = (of(old), of(new));
    let platforms: BTreeSet<&Platform> = old.keys().chain(new.keys()).collect();
    let changes = platforms.into_iter().filter_map(|platform| {
        let (old, new) = (old.get(platform).copied(), new.get(platform).copied());
        (old != new).then(|| Change::Base { platform: platform.clone(), old, new })
    });
    changes.collect()
}

/// What became of which, where a builder has several versions of one buildpack: the same versions belong together, then the
/// others in their order.
fn pairs(
    mut old: Vec<LockedBuildpack>,
    mut new: Vec<LockedBuildpack>,
) -> Vec<(Option<LockedBuildpack>, Option<LockedBuildpack>)> {
    let mut pairs = Vec::new();
    let mut at = 0;
    while at < old.len() {
        match new.iter().position(|other| other.version == old[at].version) {
            Some(same) => pairs.push((Some(old.remove(at)), Some(new.remove(same)))),
            None => at += 1,
        }
    }
    old.sort_by(|a, b| a.version.cmp(&b.version));
    new.sort_by(|a, b| a.version.cmp(&b.version));
    let (mut old, mut new) = (old.into_iter(), new.into_iter());
    loop {
        match (old.next(), new.next()) {
            (None, None) => return pairs,
            pair => pairs.push(pair),
        }
    }
}

fn update(old: Option<&LockedBuildpack>, new: Option<&LockedBuildpack>) -> Option<Change> {
    let id = old.or(new)?.id.clone();
    if old == new {
        return None;
    }
    let nothing = Capabilities::default();
    let (old_wants, new_wants) = (old.map(wants).unwrap_or_default(), new.map(wants).unwrap_or_default());
    let grants = |one: Option<&LockedBuildpack>| one.map_or(nothing.clone(), |one| one.grants.clone().with_always());
    let (old_grants, new_grants) = (grants(old), grants(new));
    let is_there_still = new.is_some();
    let no_more = |new: &Capabilities, old: &Capabilities| if is_there_still { excess(old, new) } else { Vec::new() };
    Some(Change::Buildpack(Box::new(Update {
        id,
        stops: stops(old, new),
        wants_no_more: no_more(&new_wants, &old_wants),
        granted_no_more: no_more(&new_grants, &old_grants),
        dependencies: dependencies(
            old.map(|one| &one.dependencies[..]).unwrap_or_default(),
            new.map(|one| &one.dependencies[..]).unwrap_or_default(),
        ),
        old: old.map(facts),
        new: new.map(facts),
    })))
}

/// Why an update does not pass by itself; one that is gone always does.
fn stops(old: Option<&LockedBuildpack>, new: Option<&LockedBuildpack>) -> Vec<Stop> {
    let Some(new) = new else { return Vec::new() };
    let Some(old) = old else {
        let wants = excess(&wants(new), &Capabilities::default().with_always());
        let strange = new.imports.iter().filter(|import| !is_offered(import)).cloned().map(Stop::Imports);
        return [Stop::New].into_iter().chain(wants.into_iter().map(Stop::Wants)).chain(strange).collect();
    };
    let mut stops = Vec::new();
    if new.version < old.version {
        stops.push(Stop::Older { old: old.version.clone(), new: new.version.clone() });
    }
    // One more signature than before is nothing to agree to.
    if let Some(signer) = &old.signer
        && !trust::names(signer).is_subset(&trust::names(new.signer.as_deref().unwrap_or_default()))
    {
        stops.push(Stop::Signer { old: signer.clone(), new: new.signer.clone() });
    }
    // What it asked for and did not import it could not use: both are compared, each with its own past.
    let asked = excess(&new.asks.clone().with_always(), &old.asks.clone().with_always());
    let imported: Vec<Excess> = new
        .imported()
        .difference(&old.imported())
        .filter(|i| !Interface::ALWAYS.contains(i))
        .map(|i| Excess::Interface(*i))
        .collect();
    stops.extend(asked.iter().cloned().map(Stop::Wants));
    stops.extend(imported.into_iter().filter(|import| !asked.contains(import)).map(Stop::Wants));
    let strange = new.imports.difference(&old.imports).filter(|import| !is_offered(import));
    stops.extend(strange.cloned().map(Stop::Imports));
    let granted = excess(&new.grants.clone().with_always(), &old.grants.clone().with_always());
    stops.extend(granted.into_iter().map(Stop::Granted));
    stops
}

fn wants(buildpack: &LockedBuildpack) -> Capabilities {
    buildpack.wants().with_always()
}

fn facts(buildpack: &LockedBuildpack) -> Facts {
    let LockedBuildpack { version, component, size, contract, manifest, signer, .. } = buildpack.clone();
    Facts { version, component, size, contract, manifest, signer }
}

fn dependencies(old: &[Dependency], new: &[Dependency]) -> Vec<DependencyChange> {
    fn by_name(list: &[Dependency]) -> BTreeMap<(&str, &Version), &Dependency> {
        list.iter().map(|one| ((one.id.as_str(), &one.version), one)).collect()
    }
    let (old, new) = (by_name(old), by_name(new));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    let changes = names.into_iter().filter_map(|name| {
        let (old, new) = (old.get(&name).copied(), new.get(&name).copied());
        let how = match (old, new) {
            (None, _) => How::Added,
            (_, None) => How::Removed,
            (Some(old), Some(new)) if old.artifacts == new.artifacts && old.licenses == new.licenses => return None,
            _ => How::Changed,
        };
        let licenses = new.or(old).map(|one| one.licenses.clone()).unwrap_or_default();
        Some(DependencyChange { name: format!("{} {}", name.0, name.1), how, licenses })
    });
    changes.collect()
}
