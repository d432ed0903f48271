//! Images that keep themselves up to date: what is wanted, whether a build is needed and why, which goes first, what is kept.
//!
//! An *image* maps a source to a tag in a registry. It is built again when its source, its settings or a buildpack that it used
//! changes, and put on another base when only its stack did. Everything here is a function of what it is given: no file, no
//! network, no clock. Who calls it observes, acts and writes down; so one machine and a cluster decide alike, and a plan of
//! what an update will do is the decision itself, asked beforehand.
//!
//! The words are the field's: names of resources and fields, the six reasons and their order are those of kpack.
//!
//! ```text
//!  manifest ─► resource ─► decide (says why) ─► queue ─► build or rebase ─► build record ─► history
//!                             ▲                                                 │
//!                             └── plan: the same question of another world      └─► table: what people see
//! ```
//!
//! | Module | Holds |
//! |---|---|
//! | [`resource`] | image, builder, stack, store and build record; manifests, with the path of what is wrong |
//! | [`decide`] | whether a build is needed, which kind, and why or why not |
//! | [`plan`] | which images an operator's change reaches, in which order, for how long |
//! | [`queue`] | which build starts next, and which stops |
//! | [`reconcile`] | from wishes to images, by the decisions above, through [`port`] |
//! | [`port`] | what is needed of the world: records, and somebody who looks and does |
//! | [`history`] | which records go, what a build is tagged, locks and rollbacks |
//! | [`table`] | tables and status blocks, laid out as people and scripts know them |

pub mod decide;
pub mod history;
pub mod plan;
pub mod port;
pub mod queue;
pub mod reconcile;
pub mod resource;
pub mod table;
#[cfg(test)]
mod testing;
