//! What can be typed about images that keep themselves up to date.

use std::{path::PathBuf, str::FromStr};

use clap::{ArgAction, ArgGroup, Args, Subcommand, ValueEnum};
use serde_json::json;
use stave_platform::resource::{
    image::{Service, Variable},
    name::Name,
    policy::{Automatic, Window},
    quantity::Quantity,
    reference::Tag,
};

use super::platform::{Printed, Uploading, Waiting, Whose};

/// What kp calls them too; its `images` lists the image store here.
pub(crate) const ALIASES: [&str; 2] = ["imgs", "img"];

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Wish for an image: this source, built by that builder, put at this tag, from now on
    Create(Box<ImageCreate>),
    /// Change the wish: what is not said stays
    Patch(Box<ImagePatch>),
    /// Wish for an image, or change the wish if it is there
    Save(Box<ImageSave>),
    /// List the images, whether they are up to date, and what they are
    List(ImageList),
    /// Forget an image and its builds; what was pushed stays
    Delete(ImageDelete),
    /// Build an image again
    Trigger(ImageTrigger),
    /// Show what an image is, and its last builds
    Status(ImageNamed),
    /// Say why an image is built, or why it is not: every comparison with both values
    Explain(ImageNamed),
    /// Keep to the builder of a build, whatever becomes of it
    Lock(ImageLock),
    /// Follow the builder again
    Unlock(ImageUnlock),
    /// Make the image again what an earlier build made, until its wish is changed
    Rollback(ImageRollback),
}

/// Where the source is.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(crate) struct ImageSource {
    /// A git repository
    #[arg(long, value_name = "URL")]
    pub(crate) git: Option<String>,
    /// An archive: zip, jar, tar, with or without compression
    #[arg(long, value_name = "URL")]
    pub(crate) blob: Option<String>,
    /// A folder, jar, war or zip of this machine; it is sent to the registry as an image of its own
    #[arg(long, value_name = "PATH")]
    pub(crate) local_path: Option<PathBuf>,
}

/// What can be wished for; for `create`, what is not said has a default; for `patch`, it stays.
#[derive(Debug, Clone, Args)]
pub(crate) struct ImageWish {
    #[command(flatten)]
    pub(crate) source: ImageSource,
    /// The branch, tag or commit [default: main]
    #[arg(long, value_name = "REVISION", conflicts_with_all = ["blob", "local_path"])]
    pub(crate) git_revision: Option<String>,
    /// The folder of the source that is the app
    #[arg(long, value_name = "PATH")]
    pub(crate) sub_path: Option<String>,
    /// Another tag to push to, on the same registry; may be given more than once
    #[arg(long, value_name = "TAG", action = ArgAction::Append)]
    pub(crate) additional_tag: Vec<Tag>,
    /// A setting for the buildpacks; may be given more than once
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable, action = ArgAction::Append)]
    pub(crate) env: Vec<Variable>,
    /// A service binding: the name of a secret, or KIND:APIVERSION:NAME; may be given more than once
    #[arg(short, long, value_name = "NAME", value_parser = service, action = ArgAction::Append)]
    pub(crate) service_binding: Vec<Service>,
    /// How large the cache of builds may be [default: 2G]
    #[arg(long, value_name = "SIZE")]
    pub(crate) cache_size: Option<Quantity>,
    /// How many successful builds are kept [default: 10]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) success_build_history_limit: Option<u32>,
    /// How many failed builds are kept [default: 10]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) failed_build_history_limit: Option<u32>,
    /// Whose secrets are used [default: `default`]
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: Option<Name>,
    /// Which updates of builders and stacks come by themselves [default: all]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) update_policy: Option<Updates>,
    /// When they come, in UTC, such as `Sat,Sun 22:00-04:00` or `02:00-04:00` [default: at any time]; may be given more than
    /// once, and `always` takes all away
    #[arg(long, value_name = "WHEN", action = ArgAction::Append)]
    pub(crate) update_window: Vec<UpdateWindow>,
}

/// What `patch` takes away.
#[derive(Debug, Clone, Args)]
pub(crate) struct ImageRemovals {
    /// Take a setting away; may be given more than once
    #[arg(short, long, value_name = "NAME", action = ArgAction::Append)]
    pub(crate) delete_env: Vec<String>,
    /// Take a service binding away; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = service, action = ArgAction::Append)]
    pub(crate) delete_service_binding: Vec<Service>,
    /// Push no longer to this tag; may be given more than once
    #[arg(long, value_name = "TAG", action = ArgAction::Append)]
    pub(crate) delete_additional_tag: Vec<Tag>,
    /// Push to this tag instead of all the others; may be given more than once
    #[arg(long, value_name = "TAG", conflicts_with_all = ["additional_tag", "delete_additional_tag"], action = ArgAction::Append)]
    pub(crate) replace_additional_tag: Vec<Tag>,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("a source").required(true).args(["git", "blob", "local_path"])))]
pub(crate) struct ImageCreate {
    /// Its name
    pub(crate) name: Name,
    /// Where it is pushed to. It stays
    #[arg(short, long, value_name = "TAG")]
    pub(crate) tag: Tag,
    /// The builder of the namespace to build with [default: the cluster builder `default`]
    #[arg(short, long, value_name = "NAME", conflicts_with = "cluster_builder")]
    pub(crate) builder: Option<Name>,
    /// The cluster builder to build with [default: `default`]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) cluster_builder: Option<Name>,
    /// Where the source of --local-path is sent to [default: the image's repository with `-source` after it]
    #[arg(long, value_name = "TAG", requires = "local_path")]
    pub(crate) local_path_destination_image: Option<Tag>,
    #[command(flatten)]
    pub(crate) wish: ImageWish,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) uploading: Uploading,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImagePatch {
    /// Its name
    pub(crate) name: Name,
    /// The builder of the namespace to build with
    #[arg(long, value_name = "NAME", conflicts_with = "cluster_builder")]
    pub(crate) builder: Option<Name>,
    /// The cluster builder to build with
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster_builder: Option<Name>,
    #[command(flatten)]
    pub(crate) wish: ImageWish,
    #[command(flatten)]
    pub(crate) removals: ImageRemovals,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) uploading: Uploading,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImageSave {
    /// Its name
    pub(crate) name: Name,
    /// Where it is pushed to; needed for a new one. It stays
    #[arg(short, long, value_name = "TAG")]
    pub(crate) tag: Option<Tag>,
    /// The builder of the namespace to build with
    #[arg(short, long, value_name = "NAME", conflicts_with = "cluster_builder")]
    pub(crate) builder: Option<Name>,
    /// The cluster builder to build with [default for a new one: `default`]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) cluster_builder: Option<Name>,
    /// Where the source of --local-path is sent to [default: the image's repository with `-source` after it]
    #[arg(long, value_name = "TAG", requires = "local_path")]
    pub(crate) local_path_destination_image: Option<Tag>,
    #[command(flatten)]
    pub(crate) wish: ImageWish,
    #[command(flatten)]
    pub(crate) removals: ImageRemovals,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) uploading: Uploading,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImageList {
    /// Of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// Only those of which this holds: builder=, clusterbuilder=, latest-reason= or ready=, with commas between values of which
    /// one is enough; given more than once, all of them
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append)]
    pub(crate) filter: Vec<Filter>,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImageDelete {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Args)]
pub(crate) struct ImageTrigger {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

/// One image that is looked at.
#[derive(Debug, Args)]
pub(crate) struct ImageNamed {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImageLock {
    /// Its name
    pub(crate) name: Name,
    /// The build whose builder counts [default: the last that made an image]
    #[arg(short, long, value_name = "NUMBER")]
    pub(crate) build: Option<u64>,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImageUnlock {
    /// Its name
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

#[derive(Debug, Args)]
pub(crate) struct ImageRollback {
    /// Its name
    pub(crate) name: Name,
    /// The build whose image it is to be again
    #[arg(long, value_name = "NUMBER")]
    pub(crate) to_build: u64,
    #[command(flatten)]
    pub(crate) whose: Whose,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) printed: Printed,
}

/// Which updates come by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Updates {
    /// All
    All,
    /// Only those of the stack, which need no build
    #[value(alias = "stackOnly")]
    StackOnly,
    /// None
    None,
}

impl From<Updates> for Automatic {
    fn from(updates: Updates) -> Self {
        match updates {
            Updates::All => Self::All,
            Updates::StackOnly => Self::StackOnly,
            Updates::None => Self::None,
        }
    }
}

/// When updates come; always, where it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpdateWindow(pub(crate) Option<Window>);

impl FromStr for UpdateWindow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "always" {
            return Ok(Self(None));
        }
        let (days, times) = text.trim().rsplit_once(' ').unwrap_or(("", text));
        let (from, to) = times.split_once('-').ok_or("write HH:MM-HH:MM, and days such as `Sat,Sun ` before it")?;
        let days: Vec<&str> = days.split([',', ' ']).filter(|day| !day.is_empty()).collect();
        let window: Window =
            serde_json::from_value(json!({ "days": days, "from": from, "to": to })).map_err(|error| error.to_string())?;
        if window.from == window.to {
            return Err("it ends when it begins".to_owned());
        }
        Ok(Self(Some(window)))
    }
}

/// What images are chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterKey {
    /// Their builder's name.
    Builder,
    /// Their cluster builder's name.
    ClusterBuilder,
    /// A reason of their newest build.
    LatestReason,
    /// Whether they are ready.
    Ready,
}

/// One condition of `image list`: one of the values is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    /// What is compared.
    pub(crate) key: FilterKey,
    /// In lower case.
    pub(crate) values: Vec<String>,
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = "it begins with builder=, clusterbuilder=, latest-reason= or ready=";
        let (key, values) = text.split_once('=').ok_or(known)?;
        let key = match key.trim().to_ascii_lowercase().as_str() {
            "builder" => FilterKey::Builder,
            "clusterbuilder" => FilterKey::ClusterBuilder,
            "latest-reason" => FilterKey::LatestReason,
            "ready" => FilterKey::Ready,
            _ => return Err(known.to_owned()),
        };
        let values = values.split(',').map(|value| value.trim().to_lowercase()).filter(|value| !value.is_empty());
        let values: Vec<String> = values.collect();
        if values.is_empty() { Err("there is no value after `=`".to_owned()) } else { Ok(Self { key, values }) }
    }
}

/// `NAME=VALUE`.
fn variable(text: &str) -> Result<Variable, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Variable { name: name.to_owned(), value: value.to_owned() }),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// The name of a secret, or `KIND:APIVERSION:NAME`.
fn service(text: &str) -> Result<Service, String> {
    let name = |text: &str| text.parse::<Name>().map_err(|error| error.to_string());
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [only] => Ok(Service { kind: "Secret".to_owned(), name: name(only)?, api_version: Some("v1".to_owned()) }),
        [kind, version, last] if !kind.is_empty() && !version.is_empty() => {
            Ok(Service { kind: kind.to_owned(), name: name(last)?, api_version: Some(version.to_owned()) })
        }
        _ => Err("write the name of a secret, or KIND:APIVERSION:NAME".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_typed_as_people_say_them() {
        let window = |text: &str| text.parse::<UpdateWindow>().map(|window| serde_json::to_string(&window.0).unwrap());
        assert_eq!(window("02:00-04:00").unwrap(), r#"{"from":"02:00","to":"04:00"}"#);
        assert_eq!(window("Sat,Sun 22:00-04:00").unwrap(), r#"{"days":["Sat","Sun"],"from":"22:00","to":"04:00"}"#);
        assert_eq!(window("always").unwrap(), "null");
        for text in ["", "Sat", "Sat 2:00-3:00", "Someday 02:00-03:00", "02:00-02:00", "25:00-03:00"] {
            assert!(window(text).is_err(), "{text}");
        }
    }

    #[test]
    fn filters_take_no_notice_of_case() {
        let filter = |text: &str| text.parse::<Filter>();
        let both = Filter { key: FilterKey::LatestReason, values: vec!["commit".to_owned(), "stack".to_owned()] };
        assert_eq!(filter("Latest-Reason=COMMIT, Stack"), Ok(both));
        for text in ["", "ready", "ready=", "name=x", "=x"] {
            assert!(filter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_binding_is_a_secret_where_nothing_else_is_said() {
        let typed = |text: &str| service(text).map(|one| (one.kind, one.api_version.unwrap(), one.name.to_string()));
        assert_eq!(typed("db").unwrap(), ("Secret".to_owned(), "v1".to_owned(), "db".to_owned()));
        assert_eq!(typed("Db:x/v2:a").unwrap(), ("Db".to_owned(), "x/v2".to_owned(), "a".to_owned()));
        for text in ["", "a:b", ":v1:a", "Secret::a", "Secret:v1:A", "a:b:c:d"] {
            assert!(typed(text).is_err(), "{text}");
        }
        assert_eq!(variable("A=b=c").unwrap(), Variable { name: "A".to_owned(), value: "b=c".to_owned() });
        assert!(variable("A").is_err() && variable("=b").is_err());
    }
}
