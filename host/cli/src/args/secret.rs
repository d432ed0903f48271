//! What can be typed about secrets: logins of registries and git servers. A password is never typed into the command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use stave_platform::resource::name::Name;

use super::platform::{Printed, Whose};

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Keep the login of a registry or a git server
    ///
    /// The password comes from the environment (DOCKER_PASSWORD, REGISTRY_PASSWORD or GIT_PASSWORD), or else the terminal asks
    /// for it. GCR_SERVICE_ACCOUNT_PATH and GIT_SSH_KEY_PATH name files where --gcr and --git-ssh-key have no value.
    Create(SecretCreate),
    /// List the secrets of a service account
    List(SecretList),
    /// Take a secret away
    Delete(SecretDelete),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("for what").required(true).args(["dockerhub", "gcr", "registry", "git_url"])))]
pub(crate) struct SecretCreate {
    /// Its name
    pub(crate) name: Name,
    /// The user of Docker Hub
    #[arg(long, value_name = "USER")]
    pub(crate) dockerhub: Option<String>,
    /// The key of a service account of Google's registry
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    pub(crate) gcr: Option<PathBuf>,
    /// The registry, as host or host:port
    #[arg(long, value_name = "HOST", requires = "registry_user")]
    pub(crate) registry: Option<String>,
    /// The user of the registry
    #[arg(long, value_name = "USER", requires = "registry")]
    pub(crate) registry_user: Option<String>,
    /// The git server, as https://HOST or git@HOST
    #[arg(long, value_name = "URL")]
    pub(crate) git_url: Option<String>,
    /// The private key for git over ssh
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "", requires = "git_url", conflicts_with = "git_user")]
    pub(crate) git_ssh_key: Option<PathBuf>,
    /// The user for git over https
    #[arg(long, value_name = "USER", requires = "git_url")]
    pub(crate) git_user: Option<String>,
    /// The service account whose secret it is: images name it
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) service_account: Name,
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
    /// The service account whose secret it is
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) service_account: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
}
