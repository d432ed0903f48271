//! All that is typed and that an image's bytes depend on. What builds and what verifies take it as one, so that nothing can be
//! typed for one of them alone.

use std::{path::PathBuf, str::FromStr};

use clap::{ArgAction, Args};
use stave_archive::layer::Packing;
use stave_model::{
    id::{ExecEnv, ProcessType},
    target::Platform,
    time,
};

/// What an app is and what its buildpacks are told: enough to detect.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Source {
    /// The app: its folder, or a jar (which is built as if it were unpacked)
    #[arg(value_name = "PATH|JAR")]
    pub(crate) app: PathBuf,
    /// The project.toml to follow [default: the app's own, if it has one]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) descriptor: Option<PathBuf>,
    /// Only files that this pattern names, as in a .gitignore, are the app's; may be given more than once
    #[arg(long, value_name = "PATTERN", action = ArgAction::Append)]
    pub(crate) include: Vec<String>,
    /// Files that this pattern names, as in a .gitignore, are not the app's; may be given more than once
    #[arg(long, value_name = "PATTERN", action = ArgAction::Append)]
    pub(crate) exclude: Vec<String>,
    /// A file of such patterns instead of the app's .dockerignore
    #[arg(long, value_name = "FILE")]
    pub(crate) ignore_file: Option<PathBuf>,
    /// Leave out too what the app's .gitignore files name, which are often the compiled files
    #[arg(long)]
    pub(crate) gitignore: bool,
    /// The builder to build with: a builder.toml, a name, a registry reference, oci:DIR, or `builtin` [default: the
    /// project.toml's, else with --locked the lock's, else the configuration's, else the built-in one]
    #[arg(long, value_name = "FILE|REF")]
    pub(crate) builder: Option<PathBuf>,
    /// Take nothing but what the lock names: the builder's parts, what they are granted, the base
    #[arg(long)]
    pub(crate) locked: bool,
    /// The lock that --locked means
    #[arg(long, value_name = "FILE", requires = "locked", default_value = stave_model::lock::FILE)]
    pub(crate) lock_file: PathBuf,
    /// A base image instead of the builder's stack: a registry reference, or oci:DIR
    #[arg(long, value_name = "REF|oci:DIR")]
    pub(crate) run_image: Option<String>,
    /// Run every buildpack, also where nothing has changed of what it read the last time
    #[arg(long)]
    pub(crate) no_memory: bool,
    /// A setting for the buildpacks; without a value it is taken from the environment
    #[arg(short, long, value_name = "NAME[=VALUE]", action = ArgAction::Append)]
    pub(crate) env: Vec<String>,
    /// A file of such settings, a line each, as docker has them; --env goes before it
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub(crate) env_file: Vec<PathBuf>,
    /// A service binding for the buildpacks: a folder with a file `type` and a file for each entry
    #[arg(long, value_name = "DIR", action = ArgAction::Append)]
    pub(crate) binding: Vec<PathBuf>,
    /// A folder of service bindings, one in each of its folders
    #[arg(long, value_name = "DIR", action = ArgAction::Append)]
    pub(crate) bindings: Vec<PathBuf>,
    /// The platforms to build for, with commas between them [default: Linux on this machine's architecture]
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',', action = ArgAction::Append)]
    pub(crate) platform: Vec<Platform>,
    /// The execution environment that the image is for: buildpacks that are for others alone are left out [default:
    /// production; to verify, what the image says]
    #[arg(long, value_name = "NAME")]
    pub(crate) exec_env: Option<ExecEnv>,
    /// Read every file of the app, also where its size, times and inode say that it is the one that was read before
    #[arg(long)]
    pub(crate) paranoid: bool,
}

impl Source {
    /// What is built where nothing is typed: no folder, and no word about it.
    pub(crate) fn plain() -> Self {
        Self {
            app: PathBuf::new(),
            descriptor: None,
            include: Vec::new(),
            exclude: Vec::new(),
            ignore_file: None,
            gitignore: false,
            builder: None,
            locked: false,
            lock_file: PathBuf::new(),
            run_image: None,
            no_memory: false,
            env: Vec::new(),
            env_file: Vec::new(),
            binding: Vec::new(),
            bindings: Vec::new(),
            platform: Vec::new(),
            exec_env: None,
            paranoid: false,
        }
    }

    /// The execution environment: production where nobody names one.
    pub(crate) fn exec_env(&self) -> ExecEnv {
        self.exec_env.clone().unwrap_or_default()
    }
}

/// All of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Recipe {
    #[command(flatten)]
    pub(crate) source: Source,
    /// How to compress new layers: gzip or zstd, with :LEVEL for another than the usual one [default: gzip; to verify, what the
    /// image has]
    ///
    /// Everything reads gzip. Zstd is smaller and quicker; Docker reads it from version 23 on. What is in a layer, and by what
    /// its digest is known in the image's configuration, does not depend on it.
    #[arg(long, value_name = "gzip|zstd[:LEVEL]")]
    pub(crate) compression: Option<Packing>,
    /// The process that starts when none is named, instead of the buildpacks' choice
    #[arg(short = 'D', long, value_name = "TYPE")]
    pub(crate) default_process: Option<ProcessType>,
    /// When the image was made: seconds since 1970, or `now` [default: that of `SOURCE_DATE_EPOCH`, else a fixed
    /// one; to verify, what the image says]
    #[arg(long, value_name = "SECONDS|now")]
    pub(crate) creation_time: Option<CreationTime>,
    /// The image whose layers and notes buildpacks get back [default: for a build, the one that it replaces; else none]
    ///
    /// A name in the image store, a registry reference, or oci:DIR.
    #[arg(long, value_name = "NAME|REF|oci:DIR")]
    pub(crate) previous_image: Option<String>,
}

/// An instant that an image can be made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CreationTime {
    /// Seconds since 1970.
    At(u64),
    /// When it is built. The same app then gives another image each time.
    Now,
}

impl FromStr for CreationTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "now" {
            return Ok(Self::Now);
        }
        match text.parse() {
            Ok(seconds) if seconds <= time::LAST => Ok(Self::At(seconds)),
            _ => Err("expected seconds since 1970, up to the year 9999, or `now`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_four_digits_of_a_year() {
        assert_eq!("0".parse(), Ok(CreationTime::At(0)));
        assert_eq!("now".parse(), Ok(CreationTime::Now));
        assert_eq!("253402300799".parse(), Ok(CreationTime::At(253_402_300_799)));
        for text in ["", "253402300800", "-1", "2026-01-01", "Now"] {
            assert!(text.parse::<CreationTime>().is_err(), "{text}");
        }
    }
}
