//! What stands behind the flags of images: windows of updates, filters, variables, bindings.

use std::str::FromStr;

use clap::ValueEnum;
use serde_json::json;
use stave_platform::resource::{
    image::{Service, Variable, Watch},
    name::Name,
    policy::{Automatic, Window},
};

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
        let window: Window = serde_json::from_value(json!({ "days": days, "from": from, "to": to }))
            .map_err(|error| error.to_string())?;
        if window.from == window.to {
            return Err("it ends when it begins".to_owned());
        }
        Ok(Self(Some(window)))
    }
}

/// How often a source is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchChoice {
    /// Not at all, but when somebody asks.
    Off,
    /// As often as before.
    On,
    /// So many seconds after the last time.
    Every(u64),
}

impl WatchChoice {
    /// What is wished for then.
    pub(crate) fn applied(self, watch: Watch) -> Watch {
        match self {
            Self::Off => Watch { enabled: false, ..watch },
            Self::On => Watch { enabled: true, ..watch },
            Self::Every(interval) => Watch { enabled: true, interval },
        }
    }
}

impl FromStr for WatchChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.parse()) {
            ("off", _) => Ok(Self::Off),
            ("on", _) => Ok(Self::On),
            (_, Ok(seconds)) if seconds > 0 => Ok(Self::Every(seconds)),
            _ => Err("write a number of seconds, `off` or `on`".to_owned()),
        }
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
pub(super) fn variable(text: &str) -> Result<Variable, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Variable { name: name.to_owned(), value: value.to_owned() }),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// The name of a secret, or `KIND:APIVERSION:NAME`.
pub(super) fn service(text: &str) -> Result<Service, String> {
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
    fn watching_is_every_so_many_seconds_or_not_at_all() {
        let watch = |text: &str| text.parse::<WatchChoice>().map(|choice| choice.applied(Watch::default()));
        assert_eq!(watch("300"), Ok(Watch { enabled: true, interval: 300 }));
        assert_eq!(watch("off"), Ok(Watch { enabled: false, interval: 60 }));
        assert_eq!(watch("on"), Ok(Watch::default()));
        for text in ["", "0", "-1", "5m", "never"] {
            assert!(watch(text).is_err(), "{text}");
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
