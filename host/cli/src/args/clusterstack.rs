//! What can be typed about the stacks that images stand on.

use clap::{Args, Subcommand};
use stave_platform::resource::name::Name;

use super::platform::{Printed, Uploading, Waiting};

/// What kp calls them too.
pub(crate) const ALIASES: [&str; 9] =
    ["clusterstacks", "clstrcsks", "clstrcsk", "cstacks", "cstack", "cstks", "cstk", "csks", "csk"];

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterStackCommand {
    /// Make a stack of a run image
    Create(ClusterStackCreate),
    /// Give a stack other images: what stands on it is rebased
    #[command(visible_alias = "update")]
    Patch(ClusterStackPatch),
    /// Make a stack, or give it other images if it is there
    Save(ClusterStackPatch),
    /// List the stacks
    List(ClusterStackList),
    /// Show what a stack is
    Status(ClusterStackStatus),
    /// Take a stack away; images that stand on it stay
    Delete(ClusterStackDelete),
    /// Look up again what the stacks' names lead to
    Refresh(Refresh),
}

/// The images of a stack.
#[derive(Debug, Clone, Args)]
pub(crate) struct StackImages {
    /// What images stand on: a reference in a registry; with a default repository also a name in the image store, or oci:DIR
    #[arg(short, long, value_name = "IMAGE")]
    pub(crate) run_image: Option<String>,
    /// What buildpacks of containers run in. Components need none; it is carried for who reads it
    #[arg(short, long, value_name = "IMAGE")]
    pub(crate) build_image: Option<String>,
    /// Which stack it is: images move to another run image of the same one without a build [default: what the run image's label
    /// says]
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
}

#[derive(Debug, Args)]
#[command(mut_arg("run_image", |arg| arg.required(true)))]
pub(crate) struct ClusterStackCreate {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) images: StackImages,
    #[command(flatten)]
    pub(crate) uploading: Uploading,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterStackPatch {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) images: StackImages,
    #[command(flatten)]
    pub(crate) uploading: Uploading,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterStackList {
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterStackStatus {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterStackDelete {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// Looks again, at some or at all.
#[derive(Debug, Args)]
pub(crate) struct Refresh {
    /// Which [default: all]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<Name>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
