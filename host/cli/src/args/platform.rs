//! What the commands of the platform have in common: how it is printed, whose it is, whether anything is changed. And its few
//! commands that are about everything: `apply`, `import`, `plan`, `config`, `serve`.
//!
//! Names, flags and short forms are those of `kp` where it has them, so that who knows it types what they always typed. `-o`
//! is the order of a builder there, so commands about builders have `--output` alone.

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, Args, Subcommand, ValueEnum};
use stave_platform::resource::name::Name;

use super::{
    builder::{BuilderWish, ClusterBuilderWish},
    clusterstack::StackImages,
};
use crate::document::Format;

/// How something is printed: for people, or as one document for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Form {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// The same as YAML
    Yaml,
}

impl Form {
    /// The format of the document, unless it is for people.
    pub(crate) fn document(self) -> Option<Format> {
        match self {
            Self::Text => None,
            Self::Json => Some(Format::Json),
            Self::Yaml => Some(Format::Yaml),
        }
    }
}

/// `-o`, `--output`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Printed {
    /// How to print it
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub(crate) form: Form,
}

/// `--output`, where `-o` is something else.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct PrintedLong {
    /// How to print it
    #[arg(long = "output", value_enum, default_value_t)]
    pub(crate) form: Form,
}

/// `-n`, `--namespace`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Whose {
    /// The namespace [default: that of the configuration, or else `default`]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<Name>,
}

/// Whether what is asked for is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rehearsal {
    /// It is done.
    No,
    /// Nothing is changed and nothing is sent.
    Dry,
    /// Images are sent, and nothing is changed.
    DryWithUpload,
}

impl Rehearsal {
    /// Whether nothing is to be changed.
    pub(crate) fn is_dry(self) -> bool {
        self != Self::No
    }

    /// Whether images are sent.
    pub(crate) fn uploads(self) -> bool {
        self != Self::Dry
    }

    /// What the line that tells the result ends with.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Dry => " (dry run)",
            Self::DryWithUpload => " (dry run with image upload)",
        }
    }
}

/// `-w`, `--wait`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Waiting {
    /// Wait until all that follows is done, where `stave serve` does it; without one it is done before this ends
    #[arg(short, long)]
    pub(crate) wait: bool,
}

/// What changes resources and sends no image.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Changing {
    /// Say what would be changed, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

impl Changing {
    /// Whether it is done.
    pub(crate) fn rehearsal(self) -> Rehearsal {
        if self.dry_run { Rehearsal::Dry } else { Rehearsal::No }
    }
}

/// What changes resources and may send images.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Uploading {
    /// Say what would be changed and sent, and do neither; digests are computed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Send images, and change nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) dry_run_with_image_upload: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

impl Uploading {
    /// Whether it is done.
    pub(crate) fn rehearsal(self) -> Rehearsal {
        match (self.dry_run, self.dry_run_with_image_upload) {
            (true, _) => Rehearsal::Dry,
            (false, true) => Rehearsal::DryWithUpload,
            (false, false) => Rehearsal::No,
        }
    }
}

/// `-f`, once or more.
#[derive(Debug, Clone, Args)]
pub(crate) struct Manifests {
    /// A file of resources, or - for standard input: YAML, also several documents or a `kind: List`; or TOML, also several as
    /// `[[resource]]`. May be given more than once
    #[arg(short = 'f', long = "filename", alias = "file", value_name = "FILE|-", required = true, action = ArgAction::Append)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) whose: Whose,
}

/// `stave apply`.
#[derive(Debug, Args)]
#[command(after_long_help = crate::commands::apply::HELP)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    #[command(flatten)]
    pub(crate) changing: Changing,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

/// `stave import`.
#[derive(Debug, Args)]
#[command(after_long_help = crate::commands::import::HELP)]
pub(crate) struct Import {
    /// The dependency descriptor, or - for standard input: YAML of `kp.kpack.io`, or TOML of the same fields
    #[arg(short, long, value_name = "FILE|-")]
    pub(crate) filename: PathBuf,
    /// Show what changes, and ask
    #[arg(long)]
    pub(crate) show_changes: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) uploading: Uploading,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

/// `stave plan`.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Of another run image of a stack
    #[command(name = "clusterstack", aliases = super::clusterstack::ALIASES)]
    Stack(PlanStack),
    /// Of another order, stack or store of a cluster builder
    #[command(name = "clusterbuilder", aliases = super::clusterbuilder::ALIASES)]
    ClusterBuilder(PlanClusterBuilder),
    /// Of another order, stack or store of a namespace's builder
    #[command(aliases = super::builder::ALIASES)]
    Builder(PlanBuilder),
    /// Of more buildpacks in a store
    #[command(name = "clusterstore", aliases = super::clusterstore::ALIASES)]
    Store(PlanStore),
    /// Of another version of a cluster buildpack, or of a new one
    #[command(name = "clusterbuildpack", aliases = super::package::CLUSTER_ALIASES)]
    Package(PlanPackage),
    /// Of resources in files
    Apply(PlanApply),
}

#[derive(Debug, Args)]
pub(crate) struct PlanStack {
    /// The stack
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) images: StackImages,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct PlanClusterBuilder {
    /// The cluster builder
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) wish: ClusterBuilderWish,
    #[command(flatten)]
    pub(crate) printed: PrintedLong,
}

#[derive(Debug, Args)]
pub(crate) struct PlanBuilder {
    /// The builder
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) wish: BuilderWish,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: PrintedLong,
}

#[derive(Debug, Args)]
pub(crate) struct PlanStore {
    /// The store
    pub(crate) name: Name,
    /// The buildpack to add: a reference in a registry; may be given more than once
    #[arg(short, long, value_name = "REF", required = true, action = ArgAction::Append)]
    pub(crate) buildpackage: Vec<String>,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct PlanPackage {
    /// The cluster buildpack
    pub(crate) name: Name,
    /// Where it is to be: a reference in a registry, or a component's file
    #[arg(short, long, value_name = "REF|FILE")]
    pub(crate) image: String,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct PlanApply {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

/// `stave config`.
#[derive(Debug, Subcommand)]
pub(crate) enum SettingsCommand {
    /// Where builders without a tag of their own are put, and stacks and buildpacks that are in no registry: print or set it
    #[command(aliases = ["cr", "canonical-repository"])]
    DefaultRepository(Setting),
    /// Whose secrets are used where nothing else is said: print or set it
    #[command(aliases = ["csa"])]
    DefaultServiceAccount(SettingOfAccount),
    /// How many builds run at once: print or set it
    Concurrency(SettingOfNumber),
    /// How many builds of one namespace run at once: print or set it
    NamespaceConcurrency(SettingOfNumber),
    /// Whether a build that runs is stopped when its source is no longer the newest: print or set it
    StopOutdated(SettingOfSwitch),
    /// The hosts in private networks from which sources are taken for others than this user: print or set them
    PrivateSources(SettingOfHosts),
}

#[derive(Debug, Args)]
pub(crate) struct Setting {
    /// What to set it to [default: it is printed]
    #[arg(value_name = "REPOSITORY")]
    pub(crate) value: Option<String>,
    /// Set it to nothing
    #[arg(long, conflicts_with = "value")]
    pub(crate) unset: bool,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct SettingOfAccount {
    /// What to set it to [default: it is printed]
    #[arg(value_name = "NAME")]
    pub(crate) value: Option<Name>,
    /// The namespace that the service account is of
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) service_account_namespace: Name,
    /// Set it to nothing
    #[arg(long, conflicts_with = "value")]
    pub(crate) unset: bool,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct SettingOfNumber {
    /// What to set it to [default: it is printed]
    #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) value: Option<u32>,
    /// Set it to nothing: there is a default
    #[arg(long, conflicts_with = "value")]
    pub(crate) unset: bool,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct SettingOfSwitch {
    /// What to set it to [default: it is printed]
    #[arg(value_name = "SWITCH")]
    pub(crate) value: Option<Switch>,
    /// Set it to nothing: it is off
    #[arg(long, conflicts_with = "value")]
    pub(crate) unset: bool,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct SettingOfHosts {
    /// What to set it to: hosts without a port, as git.example.com or 10.0.0.7 [default: it is printed]
    #[arg(value_name = "HOST", value_parser = host)]
    pub(crate) value: Vec<String>,
    /// Set it to nothing: there are none
    #[arg(long, conflicts_with = "value")]
    pub(crate) unset: bool,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

/// A host's name or address, as URLs have it.
fn host(text: &str) -> Result<String, String> {
    let bracketed = if text.contains(':') && !text.starts_with('[') { format!("[{text}]") } else { text.to_owned() };
    match url::Host::parse(bracketed.trim_end_matches('.')) {
        Ok(host) => Ok(host.to_string()),
        Err(_) => {
            Err("it is not a host alone: write git.example.com or 10.0.0.7, without a scheme, a port or a path"
                .to_owned())
        }
    }
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// It is done.
    On,
    /// It is not.
    Off,
}

impl Switch {
    /// As it is typed and kept.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// `stave serve`.
#[derive(Debug, Args)]
#[command(after_long_help = crate::commands::serve::HELP)]
pub(crate) struct Serve {
    /// Where the API, health and metrics are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8377")]
    pub(crate) listen: SocketAddr,
    /// A namespace in which the developers' token may change images; can be given several times [default: all]
    #[arg(long = "developers-namespace", value_name = "NAME")]
    pub(crate) developers_namespaces: Vec<Name>,
}
