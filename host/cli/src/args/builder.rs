//! What can be typed about builders: artefacts that are made of a builder.toml once, and builders of a namespace, which the
//! platform makes again when their stack or a buildpack changes.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};
use stave_model::target::Platform;
use stave_platform::resource::{builder::Member, name::Name, reference::Tag};

use super::{
    Output,
    platform::{Changing, Printed, PrintedLong, Waiting, Whose},
};

/// What kp calls them too.
pub(crate) const ALIASES: [&str; 3] = ["builders", "bldrs", "bldr"];
/// What an order of buildpacks is said by.
pub(crate) const ORDER: [&str; 3] = ["order", "buildpack", "order_from"];

#[derive(Debug, Subcommand)]
pub(crate) enum BuilderCommand {
    /// Make an artefact of a builder.toml and keep it under a name; or, with an order, a builder that keeps itself up to date
    ///
    /// `create FILE` makes an artefact of a builder.toml: components and stack by digest. `create NAME` with --order, --buildpack
    /// or --order-from makes a builder of the namespace from what is in the stores: it is made again when its stack or one of its
    /// buildpacks changes, and images that it built follow.
    Create(Box<BuilderCreate>),
    /// Change a builder of the namespace: what is not said stays
    Patch(Box<BuilderPatch>),
    /// Make a builder of the namespace, or change it if it is there
    Save(Box<BuilderPatch>),
    /// Show what a builder's artefact is made of, and what each of its buildpacks is granted
    Inspect(BuilderInspect),
    /// Send a builder's artefact to a registry or a layout
    Publish(BuilderPublish),
    /// List the artefacts that are kept under a name, and the builders of the namespace
    List(BuilderList),
    /// Show what a builder of the namespace is made of, and what it was
    Status(BuilderStatus),
    /// Take artefacts that are kept away
    Remove(BuilderRemove),
    /// Take a builder of the namespace away; images that were built by it stay
    Delete(BuilderDelete),
    /// Make a builder of the namespace again what it was at an earlier revision, until its wish is changed
    Rollback(BuilderRollback),
}

/// The order of buildpacks: one of these.
#[derive(Debug, Clone, Args)]
#[group(id = "order choice", multiple = false)]
pub(crate) struct OrderChoice {
    /// The order of buildpacks: a file of groups, YAML or TOML, or - for standard input; its entries name an `id`, or `kind` and
    /// `name` of a Buildpack or `ClusterBuildpack`
    #[arg(short, long, value_name = "FILE|-")]
    pub(crate) order: Option<PathBuf>,
    /// A buildpack of an order of one group; may be given more than once, or with commas
    #[arg(short, long, value_name = "ID[@VERSION]", value_delimiter = ',', value_parser = member, action = ArgAction::Append)]
    pub(crate) buildpack: Vec<Member>,
    /// Take the order of this builder's artefact: a name, a registry reference, oci:DIR, or `builtin`
    #[arg(long, value_name = "BUILDER")]
    pub(crate) order_from: Option<PathBuf>,
}

impl OrderChoice {
    /// Whether none is given.
    pub(crate) fn is_none(&self) -> bool {
        self.order.is_none() && self.buildpack.is_empty() && self.order_from.is_none()
    }
}

/// What a cluster builder is to be; for `create`, what is not said has a default; for `patch`, it stays.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterBuilderWish {
    /// Where its artefact is put, for others to pull [default: below the default repository, if there is one]
    #[arg(short, long, value_name = "TAG")]
    pub(crate) tag: Option<Tag>,
    /// The stack of its images [default: `default`]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) stack: Option<Name>,
    /// The store that its buildpacks are looked for in, beside buildpacks that are named by themselves [default: all stores]
    #[arg(long, value_name = "NAME")]
    pub(crate) store: Option<Name>,
    #[command(flatten)]
    pub(crate) order: OrderChoice,
}

/// What a builder of a namespace is to be.
#[derive(Debug, Clone, Args)]
pub(crate) struct BuilderWish {
    #[command(flatten)]
    pub(crate) wish: ClusterBuilderWish,
    /// Whose secrets are used [default: `default`]
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: Option<Name>,
}

/// `id` or `id@version`.
pub(super) fn member(text: &str) -> Result<Member, String> {
    let (id, version) = match text.split_once('@') {
        Some((id, version)) => (id, Some(version)),
        None => (text, None),
    };
    let version =
        version.map(|version| version.parse().map_err(|error| format!("its version: {error}"))).transpose()?;
    Ok(Member { id: id.parse().map_err(|error| format!("{error}"))?, version, optional: false })
}

#[derive(Debug, Args)]
pub(crate) struct BuilderPatch {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) wish: BuilderWish,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) changing: Changing,
    #[command(flatten)]
    pub(crate) printed: PrintedLong,
}

#[derive(Debug, Args)]
pub(crate) struct BuilderList {
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct BuilderStatus {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct BuilderDelete {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Args)]
pub(crate) struct BuilderRollback {
    /// Its name
    pub(crate) name: Name,
    /// The revision, as `status` shows it
    #[arg(long, value_name = "NUMBER")]
    pub(crate) to: u64,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Args)]
pub(crate) struct BuilderRemove {
    /// Their names
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
#[command(override_usage = "stave builder create [OPTIONS] <FILE>\n       stave builder create [OPTIONS] <NAME> \
                      <--order <FILE|->|--buildpack <ID[@VERSION]>|--order-from <BUILDER>>")]
pub(crate) struct BuilderCreate {
    /// The builder.toml; or, with an order, the name of a builder of the namespace
    #[arg(value_name = "FILE|NAME")]
    pub(crate) what: PathBuf,
    /// The name to keep the artefact under [default: the file's, without its ending]; of a builder of the namespace, where its
    /// artefact is put, for others to pull
    #[arg(short, long, value_name = "NAME")]
    pub(crate) tag: Option<String>,
    /// The platforms whose bases the artefact has, with commas between them [default: all that the stack has]
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',', action = ArgAction::Append, conflicts_with_all = ORDER)]
    pub(crate) platform: Vec<Platform>,
    #[command(flatten)]
    pub(crate) order: OrderChoice,
    /// The stack of its images [default: `default`]
    #[arg(short, long, value_name = "NAME", requires = "order choice", help_heading = NAMESPACED)]
    pub(crate) stack: Option<Name>,
    /// The store that its buildpacks are looked for in [default: all stores]
    #[arg(long, value_name = "NAME", requires = "order choice", help_heading = NAMESPACED)]
    pub(crate) store: Option<Name>,
    /// Whose secrets are used [default: `default`]
    #[arg(long, value_name = "NAME", requires = "order choice", help_heading = NAMESPACED)]
    pub(crate) service_account: Option<Name>,
    /// The namespace [default: that of the configuration, or else `default`]
    #[arg(short, long, value_name = "NAME", requires = "order choice", help_heading = NAMESPACED)]
    pub(crate) namespace: Option<Name>,
    /// Say what would be changed, and change nothing
    #[arg(long, requires = "order choice", help_heading = NAMESPACED)]
    pub(crate) dry_run: bool,
    /// Wait until all that follows is done, where `stave serve` does it; without one it is done before this ends
    #[arg(short, long, requires = "order choice", help_heading = NAMESPACED)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) printed: PrintedLong,
}

/// What is only for a builder of a namespace.
const NAMESPACED: &str = "Of a builder with an order";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buildpack_is_named_with_its_version_or_without() {
        let typed = |text: &str| member(text).map(|one| one.title());
        assert_eq!(typed("acme/tool"), Ok("acme/tool".to_owned()));
        assert_eq!(typed("acme/tool@1.2.3"), Ok("acme/tool@1.2.3".to_owned()));
        for text in ["", "@1.0.0", "acme/tool@", "acme/tool@1", "A B"] {
            assert!(typed(text).is_err(), "{text}");
        }
    }
}
