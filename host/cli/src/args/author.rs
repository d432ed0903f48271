//! What the authors of buildpacks type: `stave buildpack new`, `test` and `detect`.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use stave_model::{
    id::{BuildpackId, ExecEnv},
    target::Platform,
};

use super::Output;

/// A language that buildpacks can be begun in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Language {
    /// Rust
    #[default]
    Rust,
    /// JavaScript, with a small engine inside the component
    #[value(alias = "javascript")]
    Js,
}

#[derive(Debug, Args)]
pub(crate) struct BuildpackNew {
    /// The buildpack's id, such as acme/motd
    #[arg(value_name = "ID")]
    pub(crate) id: BuildpackId,
    /// The language it is written in
    #[arg(long, value_enum, default_value_t)]
    pub(crate) lang: Language,
    /// The folder to make, or an empty one [default: the last part of the id, in the current folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) into: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildpackTest {
    /// The buildpack's folder, with its fixtures/
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Test this component, and compile nothing
    #[arg(long, value_name = "FILE")]
    pub(crate) component: Option<PathBuf>,
    /// Only fixtures whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Write what comes of each fixture to its expected.toml, and compare nothing
    #[arg(long)]
    pub(crate) update: bool,
    /// Again whenever a file of the buildpack changes, until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BuildpackDetect {
    /// The app: its folder, or a jar
    #[arg(value_name = "PATH|JAR")]
    pub(crate) app: PathBuf,
    /// The buildpack: its folder, which is compiled; its component; or builtin:NAME for one inside this program
    #[arg(long, value_name = "DIR|FILE", default_value = ".")]
    pub(crate) buildpack: String,
    /// A setting for it; without a value it is taken from the environment
    #[arg(short, long, value_name = "NAME[=VALUE]", action = ArgAction::Append)]
    pub(crate) env: Vec<String>,
    /// A file of such settings, a line each, as docker has them; --env goes before it
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub(crate) env_file: Vec<PathBuf>,
    /// A service binding for it: a folder with a file `type` and a file for each entry
    #[arg(long, value_name = "DIR", action = ArgAction::Append)]
    pub(crate) binding: Vec<PathBuf>,
    /// A folder of service bindings, one in each of its folders
    #[arg(long, value_name = "DIR", action = ArgAction::Append)]
    pub(crate) bindings: Vec<PathBuf>,
    /// The platform of the image [default: Linux on this machine's architecture]
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<Platform>,
    /// The execution environment of the image [default: production]
    #[arg(long, value_name = "NAME")]
    pub(crate) exec_env: Option<ExecEnv>,
    /// Again whenever a file of the buildpack or the app changes, until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}
