//! What can be typed about bundles.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};
use stave_model::{bundle::Selector, target::Platform};

use super::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Write one file that has a builder in it, its stack, its buildpacks, and the files that they depend on
    Create(BundleCreate),
    /// Take such a file in, and keep its builder, for builds without a network
    Import(BundleImport),
}

#[derive(Debug, Args)]
#[command(after_long_help = crate::commands::bundle::CREATE_HELP)]
pub(crate) struct BundleCreate {
    /// The file to write
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The builder, as for `build` [default: the lock's, else the configuration's, else the built-in one]
    #[arg(long, value_name = "FILE|REF")]
    pub(crate) builder: Option<PathBuf>,
    /// Take nothing but what this lock names by digest
    #[arg(long, value_name = "FILE")]
    pub(crate) lock: Option<PathBuf>,
    /// The name that the builder has in the bundle [default: its own]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) tag: Option<String>,
    /// The platforms that are built for there, with commas between them [default: all that the builder has a base for]
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',', action = ArgAction::Append)]
    pub(crate) platform: Vec<Platform>,
    /// Which files that its buildpacks depend on go along
    #[arg(long, value_enum, default_value_t)]
    pub(crate) dependencies: Dependencies,
    /// Of these files, take only those of this dependency, such as `jre@21.0.8`, or `jre` for all its versions; may be given more
    /// than once
    #[arg(long, value_name = "ID[@VERSION]", action = ArgAction::Append, conflicts_with = "dependencies")]
    pub(crate) dependency: Vec<Selector>,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Dependencies {
    /// All that a build for one of the platforms could ask for
    #[default]
    All,
    /// None: they come from somewhere else
    None,
}

#[derive(Debug, Args)]
#[command(after_long_help = crate::commands::bundle::IMPORT_HELP)]
pub(crate) struct BundleImport {
    /// The bundle
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Keep its builder under this name [default: the one that it has in the bundle]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) tag: Option<String>,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}
