//! What can be typed about the builders of all namespaces.

use clap::{ArgGroup, Args, Subcommand};
use stave_platform::resource::name::Name;

use super::{
    builder::{ClusterBuilderWish, ORDER},
    platform::{Changing, Printed, PrintedLong, Waiting},
};

/// What kp calls them too.
pub(crate) const ALIASES: [&str; 7] = ["clusterbuilders", "clstrbldrs", "clstrbldr", "cbldrs", "cbldr", "cbs", "cb"];

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterBuilderCommand {
    /// Make a builder: buildpacks in an order, on a stack
    Create(Box<ClusterBuilderCreate>),
    /// Change a builder: what is not said stays
    Patch(Box<ClusterBuilderPatch>),
    /// Make a builder, or change it if it is there
    Save(Box<ClusterBuilderPatch>),
    /// List the builders
    List(ClusterBuilderList),
    /// Show what a builder is made of, and what it was
    Status(ClusterBuilderStatus),
    /// Take a builder away; images that were built by it stay
    Delete(ClusterBuilderDelete),
    /// Make a builder again what it was at an earlier revision, until its wish is changed
    Rollback(ClusterBuilderRollback),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("an order").required(true).args(ORDER)))]
pub(crate) struct ClusterBuilderCreate {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) wish: ClusterBuilderWish,
    #[command(flatten)]
    pub(crate) changing: Changing,
    #[command(flatten)]
    pub(crate) printed: PrintedLong,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterBuilderPatch {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) wish: ClusterBuilderWish,
    #[command(flatten)]
    pub(crate) changing: Changing,
    #[command(flatten)]
    pub(crate) printed: PrintedLong,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterBuilderList {
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterBuilderStatus {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterBuilderDelete {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterBuilderRollback {
    /// Its name
    pub(crate) name: Name,
    /// The revision, as `status` shows it
    #[arg(long, value_name = "NUMBER")]
    pub(crate) to: u64,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
