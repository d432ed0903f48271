//! Names that were checked once, at the border, and are safe to print, compare and use as a path segment ever after.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::launch::DEFAULT_EXEC_ENV;

/// A name that does not follow its grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid {kind}: {rule}", .text.escape_debug())]
pub struct InvalidName {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName { kind: $kind, text: text.chars().take(100).collect(), rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// Names a buildpack, such as `stave/java` (buildpack spec, `buildpack.toml`: id).
    BuildpackId, "buildpack id",
    "use letters, digits, `.`, `-` and single `/` between parts, at most 128 characters, and none of app, config, generated, sbom",
    |text| {
        text.len() <= 128
            && !["app", "config", "generated", "sbom"].contains(&text.to_ascii_lowercase().as_str())
            && text.split('/').all(|part| plain(part, b".-"))
    }
}

impl BuildpackId {
    /// The id as one path segment, as the lifecycle escapes it: `stave/java` becomes `stave_java`.
    pub fn escaped(&self) -> String {
        self.0.replace('/', "_")
    }
}

name! {
    /// Names a layer of one buildpack. A dot would cut its SBOM's name short and three names are files of the contract.
    LayerName, "layer name",
    "use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store",
    |text| text.len() <= 64 && !["build", "launch", "store"].contains(&text) && plain(text, b"-_")
}

name! {
    /// Names a process type of the image, such as `web`.
    ProcessType, "process type",
    "use letters, digits, `.`, `-` and `_`, at most 64 characters",
    |text| text.len() <= 64 && plain(text, b".-_")
}

name! {
    /// Names an environment variable or a setting.
    VariableName, "variable name",
    "use letters, digits and `_`, not a digit first, at most 128 characters",
    |text| text.len() <= 128 && !text.starts_with(|c: char| c.is_ascii_digit()) && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

name! {
    /// Names a service binding: what its folder is called.
    BindingName, "name of a binding",
    "use letters, digits, `.`, `-` and `_`, at most 253 characters",
    |text| text.len() <= 253 && plain(text, b".-_")
}

name! {
    /// Says what a service binding is for, such as `ca-certificates`.
    BindingType, "type of a binding",
    "use letters, digits, `.`, `-` and `_`, at most 253 characters",
    |text| text.len() <= 253 && plain(text, b".-_")
}

name! {
    /// Names an entry of a service binding: what its file is called.
    BindingKey, "key of a binding",
    "use letters, digits, `.`, `-` and `_`, at most 253 characters",
    |text| text.len() <= 253 && plain(text, b".-_")
}

name! {
    /// Names an execution environment: what an image is for, such as `production` or `test` (buildpack spec, "Execution
    /// Environments"). In a list, `*` is every one.
    ExecEnv, "execution environment",
    "use visible ASCII without `/`, at most 64 characters",
    |text| !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
}

impl Default for ExecEnv {
    /// `production`.
    fn default() -> Self {
        Self(DEFAULT_EXEC_ENV.to_owned())
    }
}

impl ExecEnv {
    /// Why something that is for `only` these execution environments is not for this one; none where it is. A list without
    /// entries, or with `*`, is for every one.
    pub fn unfit(&self, only: &[Self]) -> Option<String> {
        if only.is_empty() || only.iter().any(|name| name == self || name.as_str() == "*") {
            return None;
        }
        let names = only.iter().map(Self::as_str).collect::<Vec<_>>().join(", ");
        let shown: String = names.chars().take(200).collect();
        Some(format!("it is for the execution environment {shown}, and this image is for {self}"))
    }
}

/// Letters, digits and `extra`, not empty, and never only dots, so that it cannot climb out of a folder.
fn plain(text: &str, extra: &[u8]) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
        && text.bytes().any(|b| b != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_field_uses() {
        for id in ["stave/java", "heroku/nodejs", "a", "paketo-buildpacks/spring-boot", "io.example/x"] {
            assert!(id.parse::<BuildpackId>().is_ok(), "{id}");
        }
        assert_eq!("stave/java".parse::<BuildpackId>().unwrap().escaped(), "stave_java");
        assert!("jre".parse::<LayerName>().is_ok() && "web".parse::<ProcessType>().is_ok());
        assert!("BP_JVM_VERSION".parse::<VariableName>().is_ok());
        assert_eq!("production".parse::<ExecEnv>().unwrap(), ExecEnv::default());
    }

    #[test]
    fn a_list_of_execution_environments_says_for_which_something_is() {
        let list = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<ExecEnv>>();
        let test: ExecEnv = "test".parse().unwrap();
        for fits in [&[][..], &["*"], &["test"], &["production", "test"], &["development", "*"]] {
            assert_eq!(test.unfit(&list(fits)), None, "{fits:?}");
        }
        assert_eq!(
            test.unfit(&list(&["production", "Test"])).unwrap(),
            "it is for the execution environment production, Test, and this image is for test"
        );
    }

    #[test]
    fn refuses_what_could_hurt() {
        for id in ["", "..", "../../x", "a//b", "/a", "a/", "a\0b", "é", "App", "a b", &"a".repeat(129)] {
            assert!(id.parse::<BuildpackId>().is_err(), "{id:?}");
        }
        for name in ["", "..", ".", "launch", "launch.toml", "a/b", &"x".repeat(300)] {
            assert!(name.parse::<LayerName>().is_err(), "{name:?}");
        }
        for name in ["", "..", "a/b", "a>b", "a\nb"] {
            assert!(name.parse::<ProcessType>().is_err(), "{name:?}");
        }
        for name in ["", "a b", "a/b", "a\u{1b}", &"a".repeat(65)] {
            assert!(name.parse::<ExecEnv>().is_err(), "{name:?}");
        }
        for name in ["", "A=B", "1A", "A B", "A\n"] {
            assert!(name.parse::<VariableName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn says_what_would_be_valid() {
        let error = "x y\u{1b}[2J".parse::<ProcessType>().unwrap_err();
        assert_eq!(
            error.to_string(),
            r"`x y\u{1b}[2J` is not a valid process type: use letters, digits, `.`, `-` and `_`, at most 64 characters"
        );
    }
}
