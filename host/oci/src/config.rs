//! What an image's configuration must say for the image to be usable (OCI image spec, "Image Configuration").

use serde::Deserialize;
use stave_model::{digest::Digest, target::Platform};

use crate::json::{self, JsonError};

/// The operating system and the architecture of what has none.
pub(crate) const UNKNOWN: &str = "unknown";

/// The parts of a configuration that have to agree with the rest of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What the image is for.
    pub platform: Platform,
    /// Digests of the uncompressed layers, bottom first.
    pub diff_ids: Vec<Digest>,
    /// For each entry of the history whether it made no layer; none if there is no history.
    pub history: Option<Vec<bool>>,
}

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is no JSON, too large, too deep, ambiguous or incomplete.
    #[error("the image's configuration cannot be read")]
    Json(#[source] JsonError),
    /// Its platform is none.
    #[error("the image's configuration names no platform: os `{}`, architecture `{}`", .os.escape_debug(), .architecture.escape_debug())]
    Platform {
        /// The operating system that it says.
        os: String,
        /// The architecture that it says.
        architecture: String,
    },
    /// It does not describe the manifest's layers.
    #[error("the image's configuration names {diff_ids} layers, its manifest {layers}")]
    Layers {
        /// How many it names.
        diff_ids: usize,
        /// How many the manifest names.
        layers: usize,
    },
}

#[derive(Deserialize)]
struct RawConfig {
    architecture: String,
    os: String,
    variant: Option<String>,
    rootfs: RawRootFs,
    history: Option<Vec<RawHistory>>,
}

#[derive(Deserialize)]
struct RawRootFs {
    #[serde(deserialize_with = "digests")]
    diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct RawHistory {
    #[serde(default)]
    empty_layer: bool,
}

/// Docker writes `null` for no layers.
fn digests<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Digest>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Config {
    /// Reads the configuration of an image with that many layers.
    pub fn parse(bytes: &[u8], layers: usize) -> Result<Self, ConfigError> {
        Self::checked(json::parse(bytes).map_err(ConfigError::Json)?, layers)
    }

    /// The same of an image from which nothing is run. It need not say what it is for: then that is not known, in the words in
    /// which indexes say so of what is no image.
    pub fn parse_files(bytes: &[u8], layers: usize) -> Result<Self, ConfigError> {
        let mut raw: RawConfig = json::parse(bytes).map_err(ConfigError::Json)?;
        if raw.os.is_empty() && raw.architecture.is_empty() {
            (raw.os, raw.architecture) = (UNKNOWN.to_owned(), UNKNOWN.to_owned());
        }
        Self::checked(raw, layers)
    }

    fn checked(raw: RawConfig, layers: usize) -> Result<Self, ConfigError> {
        let variant = raw.variant.filter(|text| !text.is_empty()).map(|text| format!("/{text}")).unwrap_or_default();
        let platform = format!("{}/{}{variant}", raw.os, raw.architecture).parse().map_err(|_| {
            let cut = |text: &str| text.chars().take(50).collect();
            ConfigError::Platform { os: cut(&raw.os), architecture: cut(&raw.architecture) }
        })?;
        let diff_ids = raw.rootfs.diff_ids;
        if diff_ids.len() != layers {
            return Err(ConfigError::Layers { diff_ids: diff_ids.len(), layers });
        }
        let history = raw.history.map(|entries| entries.iter().map(|entry| entry.empty_layer).collect());
        Ok(Self { platform, diff_ids, history })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn refusal(text: &str) -> String {
        let error = Config::parse(text.as_bytes(), 1).unwrap_err();
        let mut shown = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            shown = format!("{shown}: {error}");
            cause = error.source();
        }
        shown
    }

    #[test]
    fn reads_what_matters() {
        let digest = Digest::of(b"x");
        let text = format!(
            r#"{{"os":"linux","architecture":"arm64","variant":"v8","rootfs":{{"type":"layers","diff_ids":["{digest}"]}},
                "history":[{{"created_by":"x"}},{{"empty_layer":true}}]}}"#
        );
        let config = Config::parse(text.as_bytes(), 1).unwrap();
        assert_eq!(config.platform.to_string(), "linux/arm64/v8");
        assert_eq!((config.diff_ids, config.history), (vec![digest], Some(vec![false, true])));
        let none = r#"{"os":"linux","architecture":"amd64","variant":"","rootfs":{"diff_ids":null}}"#;
        assert_eq!(Config::parse(none.as_bytes(), 0).unwrap().diff_ids, []);
    }

    #[test]
    fn what_is_not_run_need_not_say_for_what_it_is() {
        let files = |text: &str| Config::parse_files(text.as_bytes(), 0).map(|config| config.platform.to_string());
        let none = r#"{"os":"","architecture":"","rootfs":{"type":"layers","diff_ids":[]}}"#;
        assert!(matches!(Config::parse(none.as_bytes(), 0), Err(ConfigError::Platform { .. })));
        assert_eq!(files(none).unwrap(), "unknown/unknown");
        assert_eq!(files(&none.replace(r#""""#, r#""linux""#)).unwrap(), "linux/linux");
        assert!(files(&none.replacen(r#""""#, r#""linux""#, 1)).is_err(), "half of a platform is none");
        assert!(Config::parse_files(none.as_bytes(), 1).is_err());
    }

    #[test]
    fn refuses_what_does_not_agree() {
        let cases = [
            r#"{"os":"linux","architecture":"amd64"}"#,
            r#"{"os":"linux","architecture":"amd64","rootfs":{}}"#,
            r#"{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":[]}}"#,
            r#"{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["sha256:../x"]}}"#,
            r#"{"os":"","architecture":"\u001b[31m","rootfs":{"diff_ids":[]}}"#,
            r#"{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":[]},"history":-1}"#,
            "null",
        ];
        insta::assert_snapshot!(cases.map(refusal).join("\n"), @r"
        the image's configuration cannot be read: it is not the JSON it should be: missing field `rootfs`
        the image's configuration cannot be read: it is not the JSON it should be: missing field `diff_ids`
        the image's configuration names 0 layers, its manifest 1
        the image's configuration cannot be read: it is not the JSON it should be: `sha256:../x` is not a digest: expected `sha256:` and 64 lower-case hex digits
        the image's configuration names no platform: os ``, architecture `\u{1b}[31m`
        the image's configuration cannot be read: it is not the JSON it should be: invalid type: integer `-1`, expected a sequence
        the image's configuration cannot be read: it is not the JSON it should be: invalid type: null, expected struct RawConfig
        ");
    }
}
