//! Writes an order out: all groups of buildpacks that it comes to when composites are replaced by what they stand for.
//!
//! The sequence is that of the lifecycle ("Order Resolution" of the buildpack specification): depth first, left to right. A
//! composite is replaced by each of its groups in turn, followed by what follows the composite; an optional one is left
//! out in the end. Of several members with one id the first counts, whatever their versions. Groups are written out
//! one at a time, because there may be very many, and usually one of the first fits.
//!
//! Unlike the lifecycle, names are looked up and circles found before anything is asked, so that an order is right or wrong
//! whatever the app; and the number of groups is limited.

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use super::{Member, Order, Selection};
use crate::{
    id::{BuildpackId, ExecEnv},
    manifest::Manifest,
};

/// The most groups that are written out.
pub const MAX_GROUPS: usize = 1000;
/// The deepest nesting of composites.
pub const MAX_DEPTH: usize = 32;
/// The most that is done to write groups out: members that are looked at, each weighed against those before it.
const MAX_WORK: usize = 5_000_000;

/// Why an order cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// It names what is not there, or not in that version.
    #[error("the order names the buildpack {0}, and the builder has none such")]
    Unknown(String),
    /// A name fits several.
    #[error("the order names the buildpack {0}, and the builder has several such")]
    Ambiguous(String),
    /// A composite stands for itself.
    #[error("the composite {} stands for itself: {}", .0.last().map_or("", String::as_str), .0.join(" > "))]
    Circle(Vec<String>),
    /// Composites in composites in composites.
    #[error("the composite {0} has composites in it more than {MAX_DEPTH} deep")]
    Deep(String),
    /// A composite without groups.
    #[error("the composite {0} has no groups")]
    Empty(String),
}

/// There are more groups than are written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the order comes to more groups than are tried: after {0}, the rest is given up")]
pub struct TooMany(pub usize);

/// A group in which there are only buildpacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flat {
    /// The group of the order that it comes from, counted from 1.
    pub number: usize,
    /// Which groups of composites are in it.
    pub through: Vec<Through>,
    /// Who is asked, in order.
    pub members: Vec<Seat>,
    /// Who is left out before anybody is asked.
    pub left_out: Vec<LeftOut>,
}

/// A place in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The buildpack: a place among the manifests.
    pub buildpack: usize,
    /// Whether the group can do without it.
    pub optional: bool,
}

/// What a group has of a composite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// The composite's name.
    pub composite: Arc<str>,
    /// Which of its groups, counted from 1; none when it is left out.
    pub group: Option<usize>,
}

/// A member that a group does not have after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// As it is called.
    pub name: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

impl fmt::Display for Flat {
    /// `group 2`, or `group 2, acme/java group 1, without acme/node`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}", self.number)?;
        self.through.iter().try_for_each(|through| match through.group {
            Some(group) => write!(f, ", {} group {group}", through.composite),
            None => write!(f, ", without {}", through.composite),
        })
    }
}

/// The groups of an order, one after the other.
#[derive(Debug)]
pub struct Groups {
    /// The order itself, then each composite's.
    orders: Vec<Vec<Vec<Slot>>>,
    ids: Vec<BuildpackId>,
    twice: Arc<str>,
    /// What is still to be written out; the next is the last.
    pending: Vec<Pending>,
    given: usize,
    work: usize,
}

/// A member whose name was looked up.
#[derive(Debug, Clone)]
struct Slot {
    what: What,
    name: Arc<str>,
    optional: bool,
    /// Why it is left out of this run.
    unfit: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A place among the manifests.
    Buildpack(usize),
    /// A place in [`Groups::orders`].
    Composite(usize),
}

/// A group that is half written out.
#[derive(Debug, Clone)]
struct Pending {
    flat: Flat,
    /// Where to go on, the innermost composite last: order, group, member.
    rest: Vec<(usize, usize, usize)>,
}

impl Groups {
    /// Looks up every name of `selection` among `manifests` and its composites, for a run in `exec_env`.
    pub fn new(selection: &Selection, manifests: &[&Manifest], exec_env: &ExecEnv) -> Result<Self, OrderError> {
        let lookup = Lookup { selection, manifests, exec_env };
        let with_system = with_system(selection);
        let mut orders = vec![lookup.order(&with_system)?];
        for composite in &selection.composites {
            if composite.order.is_empty() {
                return Err(OrderError::Empty(composite.title()));
            }
            orders.push(lookup.order(&composite.order)?);
        }
        check_nesting(&orders, selection)?;
        let begin = |number: usize| Pending {
            flat: Flat { number: number + 1, ..Flat::default() },
            rest: vec![(0, number, 0)],
        };
        let pending = (0..orders[0].len()).rev().map(begin).collect();
        let ids = manifests.iter().map(|manifest| manifest.buildpack.id.clone()).collect();
        let twice = "the group has one of this id already".into();
        Ok(Self { orders, ids, twice, pending, given: 0, work: 0 })
    }

    /// Goes on with a half-written group until it is whole, or until it parts into several.
    fn go_on(&mut self, mut at: Pending) -> Option<Flat> {
        loop {
            let Some((order, group, member)) = at.rest.last_mut() else { return Some(at.flat) };
            let Some(slot) = self.orders[*order][*group].get(*member) else {
                at.rest.pop();
                continue;
            };
            *member += 1;
            self.work = self.work.saturating_add(1 + at.flat.members.len());
            if self.work > MAX_WORK {
                return None;
            }
            let left_out = |reason: &Arc<str>| LeftOut { name: slot.name.clone(), reason: reason.clone() };
            match slot.what {
                What::Buildpack(place) if self.has(&at.flat, place) => at.flat.left_out.push(left_out(&self.twice)),
                _ if slot.unfit.is_some() => at.flat.left_out.extend(slot.unfit.as_ref().map(left_out)),
                What::Buildpack(place) => {
                    at.flat.members.push(Seat { buildpack: place, optional: slot.optional });
                }
                What::Composite(composite) => {
                    let (name, optional) = (slot.name.clone(), slot.optional);
                    self.part(&at, composite, &name, optional);
                    return None;
                }
            }
        }
    }

    /// Whether the group has one with the id of this buildpack.
    fn has(&self, flat: &Flat, place: usize) -> bool {
        flat.members.iter().any(|seat| self.ids[seat.buildpack] == self.ids[place])
    }

    /// One group for each of the composite's, and one without it.
    fn part(&mut self, at: &Pending, composite: usize, name: &Arc<str>, optional: bool) {
        let mut branch = |group: Option<usize>| {
            let mut branch = at.clone();
            branch.flat.through.push(Through { composite: name.clone(), group: group.map(|group| group + 1) });
            branch.rest.extend(group.map(|group| (composite, group, 0)));
            self.work = self.work.saturating_add(branch.flat.members.len() + branch.flat.left_out.len());
            self.pending.push(branch);
        };
        if optional {
            branch(None);
        }
        let groups = self.orders[composite].len();
        (0..groups).rev().for_each(|group| branch(Some(group)));
    }
}

impl Iterator for Groups {
    type Item = Result<Flat, TooMany>;

    /// The next group. After [`TooMany`] there is none.
    fn next(&mut self) -> Option<Self::Item> {
        while let Some(pending) = self.pending.pop() {
            if self.given < MAX_GROUPS
                && let Some(flat) = self.go_on(pending)
            {
                self.given += 1;
                return Some(Ok(flat));
            }
            if self.given == MAX_GROUPS || self.work > MAX_WORK {
                self.pending.clear();
                return Some(Err(TooMany(self.given)));
            }
        }
        None
    }
}

/// The order with the system buildpacks in each of its groups that does not name them itself.
fn with_system(selection: &Selection) -> Order {
    let mut order = selection.order.clone();
    if selection.system.is_empty() {
        return order;
    }
    for group in &mut order {
        let own = group.group.clone();
        let is_new = |member: &&Member| !own.iter().any(|other| other.id == member.id);
        let pre = selection.system.pre.buildpacks.iter().filter(is_new).cloned();
        let post = selection.system.post.buildpacks.iter().filter(is_new).cloned();
        group.group = pre.chain(own.iter().cloned()).chain(post).collect();
    }
    order
}

/// What names are looked up in.
struct Lookup<'a> {
    selection: &'a Selection,
    manifests: &'a [&'a Manifest],
    exec_env: &'a ExecEnv,
}

impl Lookup<'_> {
    fn order(&self, order: &Order) -> Result<Vec<Vec<Slot>>, OrderError> {
        let group = |group: &super::Group| group.group.iter().map(|member| self.slot(member)).collect();
        order.iter().map(group).collect()
    }

    fn slot(&self, member: &Member) -> Result<Slot, OrderError> {
        let what = self.find(member)?;
        let unfit = self.exec_env.unfit(&member.exec_env);
        let (name, unfit) = match what {
            What::Buildpack(place) => {
                let manifest = self.manifests[place];
                (manifest.title(), unfit.or_else(|| self.exec_env.unfit(&manifest.buildpack.exec_env)))
            }
            What::Composite(_) => (member.title(), unfit),
        };
        Ok(Slot { what, name: name.into(), optional: member.optional, unfit: unfit.map(Arc::from) })
    }

    fn find(&self, member: &Member) -> Result<What, OrderError> {
        let buildpacks = self.manifests.iter().enumerate().filter_map(|(place, manifest)| {
            let about = &manifest.buildpack;
            member.names(&about.id, Some(&about.version)).then_some(What::Buildpack(place))
        });
        let composites = self.selection.composites.iter().enumerate().filter_map(|(place, composite)| {
            member.names(&composite.id, composite.version.as_ref()).then_some(What::Composite(place + 1))
        });
        let mut found = buildpacks.chain(composites);
        match (found.next(), found.next()) {
            (Some(what), None) => Ok(what),
            (Some(_), Some(_)) => Err(OrderError::Ambiguous(member.title())),
            (None, _) => Err(OrderError::Unknown(member.title())),
        }
    }
}

/// Fails where a composite stands for itself, or where they are nested too deep.
fn check_nesting(orders: &[Vec<Vec<Slot>>], selection: &Selection) -> Result<(), OrderError> {
    let inner = |order: &Vec<Vec<Slot>>| {
        let mut inner: Vec<usize> = Vec::new();
        for slot in order.iter().flatten() {
            if let What::Composite(place) = slot.what
                && !inner.contains(&place)
            {
                inner.push(place);
            }
        }
        inner
    };
    let inner: Vec<Vec<usize>> = orders.iter().map(inner).collect();
    let name = |place: usize| selection.composites[place - 1].title();
    // How deep each one goes: known when everything in it is known.
    let mut depths: Vec<Option<usize>> = vec![None; orders.len()];
    for start in 1..orders.len() {
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((place, next)) = path.last_mut() {
            let place = *place;
            match inner[place].get(*next).copied() {
                _ if depths[place].is_some() => drop(path.pop()),
                None => {
                    let deepest = inner[place].iter().filter_map(|inner| depths[*inner]).max();
                    let depth = deepest.map_or(1, |deepest| deepest + 1);
                    if depth > MAX_DEPTH {
                        return Err(OrderError::Deep(name(place)));
                    }
                    depths[place] = Some(depth);
                    path.pop();
                }
                Some(inside) => {
                    *next += 1;
                    if let Some(from) = path.iter().position(|(on_path, _)| *on_path == inside) {
                        let circle = path[from..].iter().map(|(place, _)| *place).chain([inside]);
                        return Err(OrderError::Circle(circle.map(name).collect()));
                    }
                    path.push((inside, 0));
                }
            }
        }
    }
    Ok(())
}
