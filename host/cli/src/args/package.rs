//! What can be typed about buildpacks that builders take: one artefact each, of a namespace or of all.

use clap::{Args, Subcommand};
use stave_platform::resource::name::Name;

use super::{
    clusterstack::Refresh,
    platform::{Printed, Uploading, Waiting, Whose},
};

/// What kp calls those of a namespace too.
pub(crate) const ALIASES: [&str; 3] = ["buildpacks", "bps", "bp"];
/// What it calls those of all.
pub(crate) const CLUSTER_ALIASES: [&str; 5] = ["clusterbuildpacks", "clstrbps", "clstrbp", "cbps", "cbp"];

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterBuildpackCommand {
    /// Name a buildpack's artefact, for the builders of all namespaces
    Create(ClusterBuildpackCreate),
    /// Name another artefact: builders that take it are made again, and images that used it follow
    Patch(ClusterBuildpackPatch),
    /// Name a buildpack's artefact, or another one if it is there
    Save(ClusterBuildpackPatch),
    /// List the buildpacks
    List(ClusterBuildpackList),
    /// Show what a buildpack's artefact is
    Status(ClusterBuildpackStatus),
    /// Take a buildpack away; images that were built with it stay
    Delete(ClusterBuildpackDelete),
    /// Look up again what the buildpacks' names lead to
    Refresh(Refresh),
}

/// Where a buildpack is.
#[derive(Debug, Clone, Args)]
pub(crate) struct PackageImage {
    /// Where it is: a reference in a registry; with a default repository also a component's file
    #[arg(short, long, value_name = "REF|FILE")]
    pub(crate) image: Option<String>,
}

#[derive(Debug, Args)]
#[command(mut_arg("image", |arg| arg.required(true)))]
pub(crate) struct ClusterBuildpackCreate {
    #[command(flatten)]
    pub(crate) typed: ClusterBuildpackPatch,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterBuildpackPatch {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) image: PackageImage,
    #[command(flatten)]
    pub(crate) uploading: Uploading,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterBuildpackList {
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterBuildpackStatus {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterBuildpackDelete {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Args)]
#[command(mut_arg("image", |arg| arg.required(true)))]
pub(crate) struct BuildpackCreate {
    #[command(flatten)]
    pub(crate) typed: BuildpackPatch,
}

#[derive(Debug, Args)]
pub(crate) struct BuildpackPatch {
    #[command(flatten)]
    pub(crate) wish: ClusterBuildpackPatch,
    /// Whose secrets are used to read it [default: `default`]
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: Option<Name>,
    #[command(flatten)]
    pub(crate) whose: Whose,
}

#[derive(Debug, Args)]
pub(crate) struct BuildpackList {
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct BuildpackStatus {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct BuildpackDelete {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Args)]
pub(crate) struct BuildpackRefresh {
    #[command(flatten)]
    pub(crate) refresh: Refresh,
    #[command(flatten)]
    pub(crate) whose: Whose,
}
