//! What can be typed about builds: `stave build PATH` makes an image at once; `list`, `status`, `logs`, `diff` and `cancel` are
//! about the builds of images that the platform keeps up to date.

use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};
use stave_platform::resource::name::Name;

use super::{
    Build,
    platform::{Printed, Waiting, Whose},
};

/// What kp calls them too.
pub(crate) const ALIASES: [&str; 3] = ["builds", "blds", "bld"];

/// `stave build`: an app, or a word about builds. A folder that is called like such a word is written `./list`.
#[derive(Debug)]
pub(crate) enum BuildCommand {
    /// An app is built.
    App(Box<Build>),
    /// Builds are asked about.
    Records(BuildRecords),
}

// By hand, because all that an app needs is required only where there is one.
impl Args for BuildCommand {
    fn augment_args(command: Command) -> Command {
        let command = BuildRecords::augment_subcommands(Build::augment_args(command));
        command.args_conflicts_with_subcommands(true).subcommand_negates_reqs(true).subcommand_required(false)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for BuildCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        if matches.subcommand_name().is_some() {
            return BuildRecords::from_arg_matches(matches).map(Self::Records);
        }
        Build::from_arg_matches(matches).map(|build| Self::App(Box::new(build)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum BuildRecords {
    /// List builds
    List(BuildList),
    /// Show what a build was made of, why, and what came of it
    Status(BuildStatus),
    /// Print a build's log, and follow it while it runs
    Logs(BuildLogs),
    /// Show what is different between two builds: inputs, layers, packages, size
    Diff(BuildDiff),
    /// Stop a build that runs
    Cancel(BuildCancel),
}

#[derive(Debug, Args)]
pub(crate) struct BuildList {
    /// Only those of this image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: Option<Name>,
    /// Of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct BuildStatus {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: Name,
    /// The build's number [default: the newest]
    #[arg(short, long, value_name = "NUMBER")]
    pub(crate) build: Option<u64>,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct BuildLogs {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: Name,
    /// The build's number [default: the newest]
    #[arg(short, long, value_name = "NUMBER")]
    pub(crate) build: Option<u64>,
    /// Begin every line with when it was written
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    /// Wait for the build if it is due and has not begun
    #[arg(short, long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) whose: Whose,
}

#[derive(Debug, Args)]
pub(crate) struct BuildDiff {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: Name,
    /// The build to begin from [default: the one before the other]
    #[arg(value_name = "OLD")]
    pub(crate) old: Option<u64>,
    /// The build to compare it with [default: the newest that made an image]
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<u64>,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct BuildCancel {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: Name,
    /// The build's number [default: the one that runs]
    #[arg(short, long, value_name = "NUMBER")]
    pub(crate) build: Option<u64>,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
