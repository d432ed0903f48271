//! What can be typed. Doc comments here are the help texts.

mod author;
pub(crate) mod builder;
mod bundle;
pub(crate) mod cache;
pub(crate) mod clusterbuilder;
pub(crate) mod clusterstack;
pub(crate) mod clusterstore;
mod dependencies;
pub(crate) mod image;
mod lock;
pub(crate) mod package;
pub(crate) mod platform;
mod policy;
mod publish;
mod recipe;
pub(crate) mod records;
pub(crate) mod secret;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use stave_model::target::Platform;

pub(crate) use author::{BuildpackDetect, BuildpackNew, BuildpackTest, Language};
pub(crate) use builder::{BuilderCommand, BuilderCreate, BuilderInspect, BuilderList, BuilderPublish, BuilderRemove};
pub(crate) use bundle::{BundleCommand, BundleCreate, BundleImport, Dependencies};
pub(crate) use cache::{CacheCommand, ImagesCommand};
pub(crate) use clusterbuilder::ClusterBuilderCommand;
pub(crate) use clusterstack::ClusterStackCommand;
pub(crate) use clusterstore::ClusterStoreCommand;
pub(crate) use dependencies::BuildpackDependencies;
pub(crate) use image::ImageCommand;
pub(crate) use lock::{Lock, LockCommand, LockDiff, LockUpdate, Locking};
pub(crate) use package::ClusterBuildpackCommand;
pub(crate) use platform::{Apply, Import, PlanCommand, Serve, SettingsCommand, Whose};
pub(crate) use policy::{PolicyCommand, PolicyExplain};
pub(crate) use publish::{BuildpackPublish, BuildpackPull, BuildpackSign};
pub(crate) use recipe::{CreationTime, Recipe, Source};
pub(crate) use records::BuildCommand;
pub(crate) use secret::SecretCommand;

/// Builds container images from apps, with buildpacks that run in a WebAssembly sandbox. No Dockerfile, no daemon, no root.
#[derive(Debug, Parser)]
#[command(name = "stave", version, propagate_version = true, after_long_help = crate::exit::HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Global {
    /// Say only what goes wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more: why each decision was made
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Use no colours
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Fetch nothing: use what is in the cache, and say what is missing
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// Read this configuration instead of the one in the user's configuration folder
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Follow this policy instead of the configuration's: whose signature is needed, and what a buildpack may do by digest or
    /// signer
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Trust these certificate authorities of registries too: a PEM file
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub(crate) registry_ca_cert_path: Option<PathBuf>,
    /// Certificates of registries are always verified; this is here so that command lines of other tools can say so
    #[arg(long, global = true, value_name = "true", hide = true, num_args = 0..=1, default_missing_value = "true", value_parser = verified)]
    pub(crate) registry_verify_certs: Option<bool>,
}

/// `true`; anything else would be no verification.
fn verified(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        _ => Err("certificates are always verified: trust their authority with --registry-ca-cert-path, or name the registry \
                  in `insecure-registries` of the configuration"
            .to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build an image from an app: a folder, or a jar; or look at the builds of images that keep themselves up to date
    #[command(aliases = records::ALIASES)]
    Build(BuildCommand),
    /// Find the buildpacks that an app would be built with, and say why; nothing is built
    Detect(Detect),
    /// Compose stacks: the base images that apps are put on
    #[command(subcommand)]
    Stack(StackCommand),
    /// Make, test, publish and inspect buildpacks; and name those that builders of a namespace take
    #[command(subcommand, aliases = package::ALIASES)]
    Buildpack(BuildpackCommand),
    /// Make builders that others can use: a stack, buildpacks and what each may do, by digest
    #[command(subcommand, aliases = builder::ALIASES)]
    Builder(BuilderCommand),
    /// Wish for images that keep themselves up to date with their source, their builder and their stack
    #[command(subcommand, aliases = image::ALIASES)]
    Image(ImageCommand),
    /// Make builders of all namespaces, which are made again when their stack or a buildpack changes
    #[command(subcommand, name = "clusterbuilder", aliases = clusterbuilder::ALIASES)]
    ClusterBuilder(ClusterBuilderCommand),
    /// Name the images that builders' images stand on
    #[command(subcommand, name = "clusterstack", aliases = clusterstack::ALIASES)]
    ClusterStack(ClusterStackCommand),
    /// Name the artefacts that builders' buildpacks come from
    #[command(subcommand, name = "clusterstore", aliases = clusterstore::ALIASES)]
    ClusterStore(ClusterStoreCommand),
    /// Name buildpacks that builders take, each by itself
    #[command(subcommand, name = "clusterbuildpack", aliases = package::CLUSTER_ALIASES)]
    ClusterBuildpack(ClusterBuildpackCommand),
    /// Keep logins of registries and git servers
    #[command(subcommand, alias = "secrets")]
    Secret(SecretCommand),
    /// Print or set what counts for the whole platform
    #[command(subcommand, alias = "cfg")]
    Config(SettingsCommand),
    /// Take over buildpacks, stores, stacks and builders that a dependency descriptor names
    Import(Import),
    /// Make resources what files say, and do what follows
    Apply(Apply),
    /// Say what a change would do: which images, why, rebuilt or rebased, in which order, for how long
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Keep all images up to date until stopped, and serve an API
    Serve(Serve),
    /// Carry a builder and all that it needs into a place without a network, as one file
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Write every input of a build by digest, and show what an update changes
    Lock(Lock),
    /// Show what buildpacks may do under the operator's policy, and what they did
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// List the images in the image store, and remove some
    Images(Images),
    /// Show what an image is made of
    Inspect(Inspect),
    /// Put an image on another base, without building it again
    Rebase(Rebase),
    /// Take out what is known of an image's contents
    #[command(subcommand)]
    Sbom(SbomCommand),
    /// Build an image's source again and compare
    Verify(Verify),
    /// Send an image from the image store somewhere else
    Export(Export),
    /// Look after the cache: what it holds, whether it is sound, and what of it goes
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum DocumentFormat {
    /// For people
    #[default]
    #[value(alias = "human-readable")]
    Text,
    /// For programs: the fields of `pack inspect`, and more
    Json,
    /// The same as YAML
    Yaml,
    /// The same as TOML
    Toml,
}

#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The image's name [default: the app's name]; given more than once, further names of the same image
    #[arg(short, long, value_name = "NAME", action = ArgAction::Append)]
    pub(crate) tag: Vec<String>,
    #[command(flatten)]
    pub(crate) recipe: Recipe,
    /// Use no result of earlier builds, and keep those of this one instead
    #[arg(long)]
    pub(crate) clear_cache: bool,
    /// Write a report.toml with names and digest of the image
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) destination: Destination,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Detect {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Say all that was tried: every group, what every buildpack said, every combination of what they offer
    #[arg(long)]
    pub(crate) explain: bool,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Destination {
    /// Where the image goes; may be given more than once [default: the image store; to rebase, where the image is; to export,
    /// none]
    ///
    /// oci:DIR writes an OCI layout, docker-archive:FILE a file for `docker load`, docker loads into a running daemon,
    /// store keeps it in the image store. In a layout and in the store, images that a name has for other platforms stay;
    /// in a registry, what is pushed last is all that the name leads to.
    #[arg(long, value_name = "WHERE", action = ArgAction::Append)]
    pub(crate) to: Vec<String>,
    /// Push the image to the registry that its name begins with
    #[arg(long)]
    pub(crate) publish: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StackCommand {
    /// Compose a stack from a distribution's signed packages and keep it in the image store
    Create(StackCreate),
}

#[derive(Debug, Args)]
pub(crate) struct StackCreate {
    /// The stack.toml
    #[arg(value_name = "FILE")]
    pub(crate) definition: PathBuf,
    /// The name to keep it under [default: the stack's id]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) tag: Option<String>,
    /// Compose only for this platform; may be given more than once [default: all that the definition names]
    #[arg(long, value_name = "OS/ARCH", action = ArgAction::Append)]
    pub(crate) platform: Vec<Platform>,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BuildpackCommand {
    /// Make a folder with a buildpack that builds, tests and runs as it stands
    New(BuildpackNew),
    /// Build a buildpack, in Rust or JavaScript, to a component that carries its manifest
    Build(BuildpackBuild),
    /// Run a buildpack on the apps in its fixtures/, and compare what comes of each with what is expected
    Test(BuildpackTest),
    /// Ask one buildpack whether it takes an app, and show what it looked at
    Detect(BuildpackDetect),
    /// Show what a buildpack is, what it asks for, and what it could ever do
    Inspect(BuildpackInspect),
    /// Show what a buildpack may bring into an image: from where, by which digest and licence; nothing is fetched
    Dependencies(BuildpackDependencies),
    /// Put a buildpack into a registry, for others to pull
    Publish(BuildpackPublish),
    /// Sign a buildpack or builder that is published already
    Sign(BuildpackSign),
    /// Get a buildpack out of a registry, and see what it asks for
    Pull(BuildpackPull),
    /// Name a buildpack's artefact, for the builders of the namespace
    Create(package::BuildpackCreate),
    /// Name another artefact: builders that take it are made again, and images that used it follow
    Patch(package::BuildpackPatch),
    /// Name a buildpack's artefact, or another one if it is there
    Save(package::BuildpackPatch),
    /// List the buildpacks of the namespace
    List(package::BuildpackList),
    /// Show what the artefact of a buildpack of the namespace is
    Status(package::BuildpackStatus),
    /// Take a buildpack of the namespace away; images that were built with it stay
    Delete(package::BuildpackDelete),
    /// Look up again what the names of the namespace's buildpacks lead to
    Refresh(package::BuildpackRefresh),
}

#[derive(Debug, Args)]
pub(crate) struct BuildpackBuild {
    /// The buildpack's folder, with buildpack.toml and either Cargo.toml or package.json
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The file to write [default: NAME.wasm in the current folder, after the last part of the id]
    #[arg(long, value_name = "FILE")]
    pub(crate) into: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildpackInspect {
    /// The component; or `builtin:java` for one that is inside this program
    #[arg(value_name = "FILE")]
    pub(crate) component: String,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Images {
    #[command(subcommand)]
    pub(crate) command: Option<ImagesCommand>,
    /// How to print them
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A name in the image store, a registry reference, or oci:DIR
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// Which platform of it [default: Linux on this machine's architecture]
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<Platform>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: DocumentFormat,
}

#[derive(Debug, Args)]
#[command(after_long_help = crate::commands::rebase::HELP)]
pub(crate) struct Rebase {
    /// A name in the image store, a registry reference, or oci:DIR; all its platforms are rebased
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// The new base: a name in the image store, a registry reference, or oci:DIR [default: what the image names as its base]
    #[arg(long, value_name = "NAME|REF|oci:DIR")]
    pub(crate) run_image: Option<String>,
    /// Take a base of another repository or distribution, and an image that says it must not be rebased
    #[arg(long)]
    pub(crate) force: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Another name for the rebased image [default: it replaces the image where that is]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) tag: Option<String>,
    #[command(flatten)]
    pub(crate) destination: Destination,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SbomCommand {
    /// Write an image's SBOMs (CycloneDX, SPDX) as files; of images that other buildpack tools built, too
    Download(SbomDownload),
}

#[derive(Debug, Args)]
pub(crate) struct SbomDownload {
    /// A name in the image store, a registry reference, or oci:DIR
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// The folder to write into; files get the paths that they have in the image
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) output_dir: PathBuf,
    /// Which platform of it [default: Linux on this machine's architecture]
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<Platform>,
}

#[derive(Debug, Args)]
#[command(after_long_help = crate::commands::verify::HELP)]
pub(crate) struct Verify {
    /// A name in the image store, a registry reference, or oci:DIR
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    #[command(flatten)]
    pub(crate) recipe: Recipe,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The image's name in the image store
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// The name it gets where it goes [default: the same]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) tag: Option<String>,
    /// Which platform of it [default: Linux on this machine's architecture]
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<Platform>,
    #[command(flatten)]
    pub(crate) destination: Destination,
}

#[cfg(test)]
mod tests;
