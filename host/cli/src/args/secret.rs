//! What can be typed about secrets: logins of registries and git servers. A password is never typed into the command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use stave_platform::resource::name::Name;

use super::platform::{Printed, Whose};

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Keep the login of a registry, a git server or a server of archives, or a service binding
    ///
    /// The password comes from the environment (`DOCKER_PASSWORD`, `REGISTRY_PASSWORD`, `GIT_PASSWORD` or `BLOB_PASSWORD`), or else
    /// the terminal asks for it. `GCR_SERVICE_ACCOUNT_PATH` and `GIT_SSH_KEY_PATH` name files where --gcr and --git-ssh-key have
    /// no value.
    Create(Box<SecretCreate>),
    /// List the secrets of a namespace
    List(SecretList),
    /// Take a secret away
    Delete(SecretDelete),
}

#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("for what").required(true).multiple(true)
        .args(["dockerhub", "gcr", "registry", "git_url", "blob_url", "service_binding"])),
    group(ArgGroup::new("registry login").args(["dockerhub", "gcr", "registry_user"])),
    group(ArgGroup::new("git login").args(["git_ssh_key", "git_user"])),
)]
pub(crate) struct SecretCreate {
    /// Its name
    pub(crate) name: Name,
    /// The registry, as host or host:port
    #[arg(long, value_name = "HOST", requires = "registry login", conflicts_with_all = ["git_url", "blob_url", "service_binding"])]
    pub(crate) registry: Option<String>,
    /// The user of the registry
    #[arg(long, value_name = "USER", requires = "registry")]
    pub(crate) registry_user: Option<String>,
    /// The user of Docker's registry, whose host --registry names
    #[arg(long, value_name = "USER")]
    pub(crate) dockerhub: Option<String>,
    /// The key of a service account of Google's registry, whose host --registry names
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    pub(crate) gcr: Option<PathBuf>,
    /// The git server, as `https://HOST` or `git@HOST`
    #[arg(long, value_name = "URL", requires = "git login", conflicts_with_all = ["blob_url", "service_binding"])]
    pub(crate) git_url: Option<String>,
    /// The private key for git over ssh
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "", requires = "git_url")]
    pub(crate) git_ssh_key: Option<PathBuf>,
    /// The keys of git servers that are believed, as ssh has them in a file `known_hosts`
    #[arg(long, value_name = "FILE", requires = "git_ssh_key")]
    pub(crate) git_known_hosts: Option<PathBuf>,
    /// The user for git over https
    #[arg(long, value_name = "USER", requires = "git_url")]
    pub(crate) git_user: Option<String>,
    /// The server of archives, as `https://HOST`
    #[arg(long, value_name = "URL", requires = "blob_user", conflicts_with = "service_binding")]
    pub(crate) blob_url: Option<String>,
    /// The user of the server of archives
    #[arg(long, value_name = "USER", requires = "blob_url")]
    pub(crate) blob_user: Option<String>,
    /// A service binding for images' builds: a folder with a file `type` and a file for each entry
    #[arg(long, value_name = "DIR", conflicts_with = "service_account")]
    pub(crate) service_binding: Option<PathBuf>,
    /// The service account that holds it: images name it [default: `default`]
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: Option<Name>,
    #[command(flatten)]
    pub(crate) whose: Whose,
    /// Say what would be kept, without the password, and keep nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct SecretList {
    /// Only those of this service account [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: Option<Name>,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct SecretDelete {
    /// Its name
    pub(crate) name: Name,
    /// The service account that holds it [default: whichever does]
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: Option<Name>,
    #[command(flatten)]
    pub(crate) whose: Whose,
}
