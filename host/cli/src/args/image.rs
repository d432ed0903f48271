//! What can be typed about images that keep themselves up to date.

mod values;

use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Args, Subcommand};
use stave_platform::resource::{
    image::{Service, Variable},
    name::Name,
    quantity::Quantity,
    reference::Tag,
};

use super::platform::{Printed, Uploading, Waiting, Whose};
pub(crate) use values::{Filter, FilterKey, UpdateWindow, Updates, WatchChoice};
use values::{service, variable};

/// What kp calls them too; its `images` lists the image store here.
pub(crate) const ALIASES: [&str; 2] = ["imgs", "img"];

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Wish for an image: this source, built by that builder, put at this tag, from now on
    Create(Box<ImageCreate>),
    /// Change the wish: what is not said stays
    Patch(Box<ImagePatch>),
    /// Wish for an image, or change the wish if it is there
    Save(Box<ImageSave>),
    /// List the images, whether they are up to date, and what they are
    List(ImageList),
    /// Forget an image and its builds; what was pushed stays
    Delete(ImageDelete),
    /// Build an image again
    Trigger(ImageTrigger),
    /// Show what an image is, and its last builds
    Status(ImageNamed),
    /// Say why an image is built, or why it is not: every comparison with both values
    Explain(ImageNamed),
    /// Keep to the builder of a build, whatever becomes of it
    Lock(ImageLock),
    /// Follow the builder again
    Unlock(ImageUnlock),
    /// Make the image again what an earlier build made, until its wish is changed
    Rollback(ImageRollback),
}

/// Where the source is.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(crate) struct ImageSource {
    /// A git repository
    #[arg(long, value_name = "URL")]
    pub(crate) git: Option<String>,
    /// An archive: zip, jar, tar, with or without compression
    #[arg(long, value_name = "URL")]
    pub(crate) blob: Option<String>,
    /// A folder, jar, war or zip of this machine; it is sent to the registry as an image of its own
    #[arg(long, value_name = "PATH")]
    pub(crate) local_path: Option<PathBuf>,
}

/// What can be wished for; for `create`, what is not said has a default; for `patch`, it stays.
#[derive(Debug, Clone, Args)]
pub(crate) struct ImageWish {
    #[command(flatten)]
    pub(crate) source: ImageSource,
    /// The branch, tag or commit [default: main]
    #[arg(long, value_name = "REVISION", conflicts_with_all = ["blob", "local_path"])]
    pub(crate) git_revision: Option<String>,
    /// The folder of the source that is the app
    #[arg(long, value_name = "PATH")]
    pub(crate) sub_path: Option<String>,
    /// Another tag to push to, on the same registry; may be given more than once
    #[arg(long, value_name = "TAG", action = ArgAction::Append)]
    pub(crate) additional_tag: Vec<Tag>,
    /// A setting for the buildpacks; may be given more than once
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable, action = ArgAction::Append)]
    pub(crate) env: Vec<Variable>,
    /// A service binding: the name of a secret, or KIND:APIVERSION:NAME; may be given more than once
    #[arg(short, long, value_name = "NAME", value_parser = service, action = ArgAction::Append)]
    pub(crate) service_binding: Vec<Service>,
    /// How large the volume of the builds' cache is, where builds run on a cluster; on one machine they share the machine's cache
    #[arg(long, value_name = "SIZE")]
    pub(crate) cache_size: Option<Quantity>,
    /// How many successful builds are kept [default: 10]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) success_build_history_limit: Option<u32>,
    /// How many failed builds are kept [default: 10]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) failed_build_history_limit: Option<u32>,
    /// Whose secrets are used [default: `default`]
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: Option<Name>,
    /// Which updates of builders and stacks come by themselves [default: all]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) update_policy: Option<Updates>,
    /// When they come, in UTC, such as `Sat,Sun 22:00-04:00` or `02:00-04:00` [default: at any time]; may be given more than
    /// once, and `always` takes all away
    #[arg(long, value_name = "WHEN", action = ArgAction::Append)]
    pub(crate) update_window: Vec<UpdateWindow>,
    /// How often the source is looked at, in seconds; `off` for only when somebody asks [default: 60]
    #[arg(long, value_name = "SECONDS|off|on")]
    pub(crate) watch: Option<WatchChoice>,
}

/// What `patch` takes away.
#[derive(Debug, Clone, Args)]
pub(crate) struct ImageRemovals {
    /// Take a setting away; may be given more than once
    #[arg(short, long, value_name = "NAME", action = ArgAction::Append)]
    pub(crate) delete_env: Vec<String>,
    /// Take a service binding away; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = service, action = ArgAction::Append)]
    pub(crate) delete_service_binding: Vec<Service>,
    /// Push no longer to this tag; may be given more than once
    #[arg(long, value_name = "TAG", action = ArgAction::Append)]
    pub(crate) delete_additional_tag: Vec<Tag>,
    /// Push to this tag instead of all the others; may be given more than once
    #[arg(long, value_name = "TAG", conflicts_with_all = ["additional_tag", "delete_additional_tag"], action = ArgAction::Append)]
    pub(crate) replace_additional_tag: Vec<Tag>,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("a source").required(true).args(["git", "blob", "local_path"])))]
pub(crate) struct ImageCreate {
    /// Its name
    pub(crate) name: Name,
    /// Where it is pushed to. It stays
    #[arg(short, long, value_name = "TAG")]
    pub(crate) tag: Tag,
    /// The builder of the namespace to build with [default: the cluster builder `default`]
    #[arg(short, long, value_name = "NAME", conflicts_with = "cluster_builder")]
    pub(crate) builder: Option<Name>,
    /// The cluster builder to build with [default: `default`]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) cluster_builder: Option<Name>,
    /// Where the source of --local-path is sent to [default: the image's repository with `-source` after it]
    #[arg(long, value_name = "TAG", requires = "local_path")]
    pub(crate) local_path_destination_image: Option<Tag>,
    #[command(flatten)]
    pub(crate) wish: ImageWish,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) uploading: Uploading,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImagePatch {
    /// Its name
    pub(crate) name: Name,
    /// The builder of the namespace to build with
    #[arg(long, value_name = "NAME", conflicts_with = "cluster_builder")]
    pub(crate) builder: Option<Name>,
    /// The cluster builder to build with
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster_builder: Option<Name>,
    #[command(flatten)]
    pub(crate) wish: ImageWish,
    #[command(flatten)]
    pub(crate) removals: ImageRemovals,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) uploading: Uploading,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImageSave {
    /// Its name
    pub(crate) name: Name,
    /// Where it is pushed to; needed for a new one. It stays
    #[arg(short, long, value_name = "TAG")]
    pub(crate) tag: Option<Tag>,
    /// The builder of the namespace to build with
    #[arg(short, long, value_name = "NAME", conflicts_with = "cluster_builder")]
    pub(crate) builder: Option<Name>,
    /// The cluster builder to build with [default for a new one: `default`]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) cluster_builder: Option<Name>,
    /// Where the source of --local-path is sent to [default: the image's repository with `-source` after it]
    #[arg(long, value_name = "TAG", requires = "local_path")]
    pub(crate) local_path_destination_image: Option<Tag>,
    #[command(flatten)]
    pub(crate) wish: ImageWish,
    #[command(flatten)]
    pub(crate) removals: ImageRemovals,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) uploading: Uploading,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImageList {
    /// Of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// Only those of which this holds: builder=, clusterbuilder=, latest-reason= or ready=, with commas between values of which
    /// one is enough; given more than once, all of them
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append)]
    pub(crate) filter: Vec<Filter>,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImageDelete {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Args)]
pub(crate) struct ImageTrigger {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

/// One image that is looked at.
#[derive(Debug, Args)]
pub(crate) struct ImageNamed {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImageLock {
    /// Its name
    pub(crate) name: Name,
    /// The build whose builder counts [default: the last that made an image]
    #[arg(short, long, value_name = "NUMBER")]
    pub(crate) build: Option<u64>,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImageUnlock {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImageRollback {
    /// Its name
    pub(crate) name: Name,
    /// The build whose image it is to be again
    #[arg(long, value_name = "NUMBER")]
    pub(crate) to_build: u64,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) printed: Printed,
}
