//! What can be typed to publish buildpacks, to sign them and to pull them.

use std::path::PathBuf;

use clap::Args;

use super::Output;

#[derive(Debug, Args)]
pub(crate) struct BuildpackPublish {
    /// The component; or the folder of a buildpack, which is built first; or `builtin:java`
    #[arg(value_name = "FILE|DIR")]
    pub(crate) component: String,
    /// Where it goes: a registry reference, NAMESPACE:NAME@VERSION of the configuration, oci:DIR, or oci:DIR:NAME
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Sign it with this private key, as cosign does; `COSIGN_PASSWORD` has its password, or the terminal asks for it
    #[arg(long, value_name = "KEY")]
    pub(crate) sign: Option<PathBuf>,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct BuildpackSign {
    /// Where it is: a registry reference, NAMESPACE:NAME@VERSION of the configuration, oci:DIR, or oci:DIR:NAME; also a builder
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// The private key, as `cosign generate-key-pair` makes it, or an unencrypted one; `COSIGN_PASSWORD` has its password, or the
    /// terminal asks for it
    #[arg(long, value_name = "KEY")]
    pub(crate) key: PathBuf,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct BuildpackPull {
    /// Where it is: a registry reference, NAMESPACE:NAME@VERSION of the configuration, oci:DIR, or oci:DIR:NAME
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// The file to write [default: NAME.wasm in the current folder, after the last part of the id]
    #[arg(long, value_name = "FILE")]
    pub(crate) into: Option<PathBuf>,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}
