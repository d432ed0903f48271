//! What can be typed to see what a buildpack may bring into an image.

use clap::Args;
use stave_model::target::Platform;

use super::Output;

#[derive(Debug, Args)]
pub(crate) struct BuildpackDependencies {
    /// The buildpack: its component; its folder, which is not compiled; a registry reference, NAMESPACE:NAME@VERSION of the
    /// configuration or oci:DIR; or builtin:NAME for one inside this program
    #[arg(value_name = "FILE|DIR|REF")]
    pub(crate) buildpack: String,
    /// Only what is for this platform
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<Platform>,
    /// How to print them
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}
