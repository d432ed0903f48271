//! The image of a stack: its configuration, with the labels and the environment that the CNB specifications ask for.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stave_model::digest::Digest;

use crate::definition::Definition;

/// Where programs are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a layer of a stack is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The digest of its tar.
    pub diff_id: Digest,
    /// What it holds, for the image's history.
    pub holds: &'static str,
}

/// The configuration of an image (OCI image spec, "Image Configuration") of these layers, bottom first.
///
/// `distro` is the distribution's name and version as its own `os-release` has them; `created` is an RFC 3339 time.
pub fn config(
    definition: &Definition,
    architecture: &str,
    distro: Option<&(String, String)>,
    parts: &[Part],
    created: &str,
) -> Vec<u8> {
    let history =
        |part: &Part| json!({ "created": created, "created_by": format!("stave stack create: {}", part.holds) });
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {
            "User": format!("{}:{}", definition.user.uid, definition.user.gid),
            "Env": env(definition),
            "Labels": labels(definition, distro),
        },
        "rootfs": { "type": "layers", "diff_ids": parts.iter().map(|part| part.diff_id).collect::<Vec<_>>() },
        "history": parts.iter().map(history).collect::<Vec<_>>(),
    });
    config.to_string().into_bytes()
}

/// The user's numbers are there for the lifecycle, which gives its layers to that user (platform specification, "Build
/// image"); everything else is the definition's.
fn env(definition: &Definition) -> Vec<String> {
    let mut env = BTreeMap::from([("PATH", PATH)]);
    env.extend(definition.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let (uid, gid) = (definition.user.uid.to_string(), definition.user.gid.to_string());
    env.extend([
        ("CNB_USER_ID", uid.as_str()),
        ("CNB_GROUP_ID", gid.as_str()),
        ("CNB_STACK_ID", definition.id.as_str()),
    ]);
    env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn labels(definition: &Definition, distro: Option<&(String, String)>) -> Map<String, Value> {
    let mut labels: Map<String, Value> =
        definition.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut set = |name: &str, value: &str| {
        if !value.is_empty() {
            labels.insert(format!("io.buildpacks.{name}"), json!(value));
        }
    };
    set("base.id", &definition.id);
    set("stack.id", &definition.id);
    set("base.description", &definition.description);
    set("base.homepage", &definition.homepage);
    set("base.maintainer", &definition.maintainer);
    set("rebasable", "true");
    if let Some((name, version)) = distro {
        set("base.distro.name", name);
        set("base.distro.version", version);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_says_what_it_is() {
        let text = "id = 'x.tiny'\ndistribution = 'debian'\nsuite = 'bookworm'\npackages = ['libc6']\ndescription = 'A base.'\n\
            [env]\nLANG = 'C.UTF-8'\n[labels]\n'org.example' = 'y'\n[user]\nuid = 1234\ngid = 567\n";
        let parts = [Part { diff_id: Digest::of(b""), holds: "packages" }];
        let distro = ("debian".to_owned(), "12".to_owned());
        let definition = Definition::parse(text).unwrap();
        let config = config(&definition, "arm64", Some(&distro), &parts, "1980-01-01T00:00:01Z");
        let value: Value = serde_json::from_slice(&config).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap(), @r#"
        {
          "architecture": "arm64",
          "config": {
            "Env": [
              "CNB_GROUP_ID=567",
              "CNB_STACK_ID=x.tiny",
              "CNB_USER_ID=1234",
              "LANG=C.UTF-8",
              "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            ],
            "Labels": {
              "io.buildpacks.base.description": "A base.",
              "io.buildpacks.base.distro.name": "debian",
              "io.buildpacks.base.distro.version": "12",
              "io.buildpacks.base.id": "x.tiny",
              "io.buildpacks.rebasable": "true",
              "io.buildpacks.stack.id": "x.tiny",
              "org.example": "y"
            },
            "User": "1234:567"
          },
          "created": "1980-01-01T00:00:01Z",
          "history": [
            {
              "created": "1980-01-01T00:00:01Z",
              "created_by": "stave stack create: packages"
            }
          ],
          "os": "linux",
          "rootfs": {
            "diff_ids": [
              "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            ],
            "type": "layers"
          }
        }
        "#);
    }
}
