//! What can be typed about the stores that buildpacks are looked for in.

use clap::{ArgAction, Args, Subcommand};
use stave_platform::resource::{builder::Member, name::Name};

use super::{
    builder::member,
    clusterstack::Refresh,
    platform::{Changing, Printed, Uploading, Waiting},
};

/// What kp calls them too.
pub(crate) const ALIASES: [&str; 9] =
    ["clusterstores", "clstrcsrs", "clstrcsr", "cstores", "cstore", "cstrs", "cstr", "csrs", "csr"];

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterStoreCommand {
    /// Make a store of buildpacks
    Create(ClusterStoreFill),
    /// Put more buildpacks into a store
    Add(ClusterStoreFill),
    /// Make a store, or put more buildpacks into it if it is there
    Save(ClusterStoreFill),
    /// Take buildpacks out of a store
    Remove(ClusterStoreRemove),
    /// Take a store away
    Delete(ClusterStoreDelete),
    /// List the stores
    List(ClusterStoreList),
    /// Show what is in a store
    Status(ClusterStoreStatus),
    /// Look up again what is in the stores' sources
    Refresh(Refresh),
}

#[derive(Debug, Args)]
pub(crate) struct ClusterStoreFill {
    /// Its name
    pub(crate) name: Name,
    /// A buildpack: a reference in a registry; with a default repository also a component's file. May be given more than once
    #[arg(short, long, value_name = "REF|FILE", required = true, value_delimiter = ',', action = ArgAction::Append)]
    pub(crate) buildpackage: Vec<String>,
    #[command(flatten)]
    pub(crate) uploading: Uploading,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterStoreRemove {
    /// Its name
    pub(crate) name: Name,
    /// A buildpack in the store; may be given more than once
    #[arg(short, long, value_name = "ID@VERSION", required = true, value_delimiter = ',', value_parser = member, action = ArgAction::Append)]
    pub(crate) buildpackage: Vec<Member>,
    #[command(flatten)]
    pub(crate) changing: Changing,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterStoreDelete {
    /// Its name
    pub(crate) name: Name,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterStoreList {
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterStoreStatus {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) printed: Printed,
}
