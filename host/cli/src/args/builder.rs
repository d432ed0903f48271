//! What can be typed about builders.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};
use stave_model::target::Platform;

use super::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum BuilderCommand {
    /// Make an artefact of a builder.toml: components and stack by digest, and keep it under a name
    Create(BuilderCreate),
    /// Show what a builder is made of, and what each of its buildpacks is granted
    Inspect(BuilderInspect),
    /// Send a builder to a registry or a layout
    Publish(BuilderPublish),
    /// List the builders that are kept under a name
    List(BuilderList),
    /// Take builders that are kept away
    Remove(BuilderRemove),
}

#[derive(Debug, Args)]
pub(crate) struct BuilderList {
    /// How to print them
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct BuilderRemove {
    /// Their names
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct BuilderCreate {
    /// The builder.toml
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The name to keep it under [default: the file's, without its ending]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) tag: Option<String>,
    /// The platforms whose bases it has, with commas between them [default: all that the stack has]
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',', action = ArgAction::Append)]
    pub(crate) platform: Vec<Platform>,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct BuilderInspect {
    /// A builder.toml, a name that `create` gave, a registry reference, oci:DIR, or `builtin`
    #[arg(value_name = "BUILDER")]
    pub(crate) builder: PathBuf,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct BuilderPublish {
    /// A name that `create` gave, a builder.toml, or another builder to copy
    #[arg(value_name = "BUILDER")]
    pub(crate) builder: PathBuf,
    /// Where it goes: a registry reference, or oci:DIR [default: the builder's name, if that says a registry]
    #[arg(value_name = "REF|oci:DIR")]
    pub(crate) to: Option<String>,
    /// Sign it with this private key, as cosign does; `COSIGN_PASSWORD` has its password, or the terminal asks for it
    #[arg(long, value_name = "KEY")]
    pub(crate) sign: Option<PathBuf>,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}
