//! What operators name and somebody has to look up: stacks, stores, buildpacks. There is one look for all of them.

use std::collections::BTreeMap;

use super::floor::Floor;
use crate::{
    plan::world::StackState,
    port::{
        Failed, Outside, Records, Stocked,
        records::{Amend, PackageRecord, Seen, Snapshot, StackRecord, StoreRecord},
    },
    resource::{name::Name, package::PackageKey},
};

/// A record of something that is looked up.
pub(super) trait LookedUp: Clone {
    /// What it is known by.
    type Key: Ord + Clone;
    /// What is found.
    type Found: Clone;

    /// All that are known.
    fn all(known: &mut Snapshot) -> &mut BTreeMap<Self::Key, Self>;
    /// What it is called: `ClusterStack default`.
    fn title(key: &Self::Key) -> String;
    /// How often its wish was changed.
    fn generation(&self) -> u64;
    /// Whether the same is wished for.
    fn is_wished_alike(&self, other: &Self) -> bool;
    /// What was seen of it.
    fn seen(&mut self) -> &mut Seen<Self::Found>;
    /// Looks.
    fn look(&self, outside: &dyn Outside) -> Result<Self::Found, Failed>;
    /// Changes what is remembered of it.
    fn amend(records: &dyn Records, key: &Self::Key, amend: Amend<'_, Self>) -> Result<Option<Self>, Failed>;
}

macro_rules! looked_up {
    ($record:ident by $key:ty: $wish:ident, $found:ty, $all:ident, $amend:ident, $title:path) => {
        impl LookedUp for $record {
            type Key = $key;
            type Found = $found;

            fn all(known: &mut Snapshot) -> &mut BTreeMap<$key, Self> {
                &mut known.$all
            }

            fn title(key: &$key) -> String {
                $title(key)
            }

            fn generation(&self) -> u64 {
                self.$wish.metadata.generation
            }

            fn is_wished_alike(&self, other: &Self) -> bool {
                self.$wish.spec == other.$wish.spec
            }

            fn seen(&mut self) -> &mut Seen<$found> {
                &mut self.seen
            }

            fn look(&self, outside: &dyn Outside) -> Result<$found, Failed> {
                outside.$wish(&self.$wish)
            }

            fn amend(records: &dyn Records, key: &$key, amend: Amend<'_, Self>) -> Result<Option<Self>, Failed> {
                records.$amend(key, amend)
            }
        }
    };
}

looked_up!(StackRecord by Name: stack, StackState, stacks, amend_stack, stack_title);
looked_up!(StoreRecord by Name: store, Vec<Stocked>, stores, amend_store, store_title);
looked_up!(PackageRecord by PackageKey: package, Stocked, packages, amend_package, PackageKey::to_string);

fn stack_title(name: &Name) -> String {
    format!("ClusterStack {name}")
}

fn store_title(name: &Name) -> String {
    format!("ClusterStore {name}")
}

impl Floor<'_> {
    /// All of a kind that were not looked up since their wishes changed, and whose turn it is.
    pub(super) fn look_up<R: LookedUp>(&mut self) -> Result<(), Failed> {
        let mut stale = Vec::new();
        for (key, record) in R::all(&mut self.known) {
            if record.seen().generation != record.generation() {
                stale.push((key.clone(), record.clone()));
            }
        }
        for (key, wished) in stale {
            let (what, generation) = (R::title(&key), wished.generation());
            if !self.is_due(&what, generation) {
                continue;
            }
            let (found, failure, is_over) = match wished.look(self.on.outside) {
                Ok(found) => {
                    self.relief(&what);
                    (Some(found), None, true)
                }
                Err(error) => (None, Some(error.sentence()), !self.trouble(&what, generation, &error)),
            };
            let amended = R::amend(self.on.records, &key, &mut |record| {
                if record.is_wished_alike(&wished) {
                    let seen = record.seen();
                    if is_over {
                        seen.generation = generation;
                    }
                    seen.failure.clone_from(&failure);
                    if found.is_some() {
                        seen.found.clone_from(&found);
                    }
                }
                Ok(())
            })?;
            R::all(&mut self.known).extend(amended.map(|record| (key, record)));
        }
        Ok(())
    }

    /// The titles of all of a kind.
    pub(super) fn titles<R: LookedUp>(&mut self) -> Vec<String> {
        R::all(&mut self.known).keys().map(R::title).collect()
    }
}
