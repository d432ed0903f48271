//! What can be typed about the operator's policy.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Show what a buildpack asks for, is granted and has used, who grants or withholds each, and what would change it
    Explain(PolicyExplain),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyExplain {
    /// A component's file (FILE.wasm), a registry reference, oci:DIR, `builtin:java`, or an id of the builder's, with @VERSION
    /// or without
    #[arg(value_name = "BUILDPACK")]
    pub(crate) buildpack: String,
    /// The builder whose grants count: a builder.toml, a name, a registry reference, oci:DIR, or `builtin` [default: the
    /// configuration's, else the built-in one]
    #[arg(long, value_name = "FILE|REF")]
    pub(crate) builder: Option<PathBuf>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}
