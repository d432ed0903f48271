//! What can be typed about locks.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};
use stave_model::{id::BuildpackId, target::Platform};

use super::Output;

/// `stave lock`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_long_help = crate::commands::lock::HELP)]
pub(crate) struct Lock {
    #[command(subcommand)]
    pub(crate) command: Option<LockCommand>,
    #[command(flatten)]
    pub(crate) what: Locking,
}

/// What is locked, and where that is written.
#[derive(Debug, Clone, Args)]
pub(crate) struct Locking {
    /// The builder to lock, as for `build` [default: the lock's own, else the configuration's, else the built-in one]
    #[arg(long, value_name = "FILE|REF")]
    pub(crate) builder: Option<PathBuf>,
    /// The platforms to lock, with commas between them [default: those of the lock, else Linux on this machine's
    /// architecture]
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',', action = ArgAction::Append)]
    pub(crate) platform: Vec<Platform>,
    /// The lock
    #[arg(long, value_name = "FILE", default_value = stave_model::lock::FILE)]
    pub(crate) lock_file: PathBuf,
    /// Take an update of this buildpack that wants more than before; may be given more than once
    #[arg(long, value_name = "ID", action = ArgAction::Append)]
    pub(crate) accept: Vec<BuildpackId>,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Look for what is newer, show what changes, and write it; what wants more than before waits until it is accepted
    Update(LockUpdate),
    /// Show what changes from one lock to another, or to what the builder gives now; nothing is written
    Diff(LockDiff),
}

#[derive(Debug, Args)]
pub(crate) struct LockUpdate {
    /// The buildpacks to update [default: all, and the base]
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<BuildpackId>,
    #[command(flatten)]
    pub(crate) what: Locking,
}

#[derive(Debug, Args)]
pub(crate) struct LockDiff {
    /// The lock to begin from [default: stave.lock]
    #[arg(value_name = "OLD")]
    pub(crate) old: Option<PathBuf>,
    /// The lock to compare it with [default: what the builder gives now]
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<PathBuf>,
    /// The builder that is looked at [default: the one that OLD names]
    #[arg(long, value_name = "FILE|REF", conflicts_with = "new")]
    pub(crate) builder: Option<PathBuf>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}
