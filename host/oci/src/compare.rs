//! Two images that should be one: where they begin to differ, in words of what is in them.

use std::{collections::BTreeMap, fmt, io};

use serde_json::Value;
use stave_archive::limits::Limits;
use stave_lifecycle::{
    image::{Image, ImageLayer},
    port::{
        buildpack::visible,
        cancel::Cancel,
        failure::{Fault, PortError},
    },
};
use stave_model::digest::{Digest, Hasher};

use crate::{json, validate};

/// The first difference between an image and another one, `ours`, that should be the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The base.
    Base {
        /// Where the image's base was found.
        theirs: String,
        /// Where ours was found.
        ours: String,
    },
    /// A file in a layer, or the layer as a whole.
    Layer {
        /// Which layer, from 0.
        layer: usize,
        /// What made it, as the image's history has it.
        what: String,
        /// Which file; none where the layers differ in how they are packed into archives.
        path: Option<String>,
        /// What is other about it.
        how: String,
    },
    /// A field of the configuration.
    Config {
        /// Where it is, as a JSON pointer; through labels that are JSON themselves.
        field: String,
        /// What the image says.
        theirs: String,
        /// What ours says.
        ours: String,
    },
    /// Only what the manifest says of the same contents: compression, media types, annotations.
    Manifest(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base { theirs, ours } => {
                write!(f, "the image stands on the base {theirs}, and was built again on {ours}")
            }
            Self::Layer { layer, what, path: Some(path), how } => {
                write!(f, "layer {layer} ({what}): `{}`: {how}", visible(path))
            }
            Self::Layer { layer, what, path: None, how } => write!(f, "layer {layer} ({what}): {how}"),
            Self::Config { field, theirs, ours } => {
                write!(f, "configuration: `{}` is {theirs}, and {ours} when built again", visible(field))
            }
            Self::Manifest(how) => write!(f, "manifest: {how}"),
        }
    }
}

/// Compares an image with one that was built again; none if they are one.
pub fn compare(theirs: &Image, ours: &Image, cancel: &Cancel) -> Result<Option<Difference>, PortError> {
    if theirs.digest() == ours.digest() {
        return Ok(None);
    }
    let configs = [theirs, ours].map(|image| json::value(&image.config).unwrap_or_default());
    let [base, our_base] = configs.each_ref().map(base_of);
    if base.0 != our_base.0 {
        return Ok(Some(Difference::Base { theirs: base.1, ours: our_base.1 }));
    }
    if let Some(difference) = layers(theirs, ours, &configs, cancel)? {
        return Ok(Some(difference));
    }
    let difference = field("", &configs[0], &configs[1]);
    Ok(Some(difference.unwrap_or_else(|| manifest(theirs, ours))))
}

/// The diffID of the base's last layer and where the base was found.
fn base_of(config: &Value) -> (String, String) {
    let label = config.pointer("/config/Labels").and_then(|labels| labels.get(stave_model::image::LIFECYCLE_LABEL));
    let label = label.and_then(Value::as_str).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let part = |name: &str| {
        let text = label.as_ref().and_then(|label| label.pointer(&format!("/runImage/{name}")));
        text.and_then(Value::as_str).unwrap_or("unknown").to_owned()
    };
    (part("topLayer"), cut(&part("reference")))
}

fn layers(
    theirs: &Image,
    ours: &Image,
    configs: &[Value; 2],
    cancel: &Cancel,
) -> Result<Option<Difference>, PortError> {
    let made_by = |config: &Value, layer: usize| {
        let entries = config.get("history").and_then(Value::as_array).into_iter().flatten();
        let mut made = entries.filter(|entry| entry.get("empty_layer") != Some(&Value::Bool(true)));
        let by = made.nth(layer).and_then(|entry| entry.get("created_by")).and_then(Value::as_str);
        cut(by.unwrap_or("its history does not say what"))
    };
    let count = theirs.layers.len().max(ours.layers.len());
    for layer in 0..count {
        cancel.check()?;
        let found = |path, how: &str, config: usize| {
            Ok(Some(Difference::Layer { layer, what: made_by(&configs[config], layer), path, how: how.to_owned() }))
        };
        match (theirs.layers.get(layer), ours.layers.get(layer)) {
            (Some(one), Some(two)) if one.diff_id == two.diff_id => {}
            (Some(one), Some(two)) => {
                let other_maker = made_by(&configs[0], layer) != made_by(&configs[1], layer);
                if other_maker {
                    let how = format!(
                        "the layer of another step, `{}`, stands in its place when built again",
                        made_by(&configs[1], layer)
                    );
                    return found(None, &how, 0);
                }
                let difference = entry(&facts(one, cancel)?, &facts(two, cancel)?);
                let (path, how) = difference
                    .map_or((None, "the same files in another archive".to_owned()), |(path, how)| (Some(path), how));
                return found(path, &how, 0);
            }
            (Some(_), None) => return found(None, "it is not there when built again", 0),
            (None, Some(_)) => return found(None, "it is there only when built again", 1),
            (None, None) => {}
        }
    }
    Ok(None)
}

/// What a tar says of a path, by name of the property.
type Facts = BTreeMap<String, Vec<(&'static str, String)>>;

fn facts(layer: &ImageLayer, cancel: &Cancel) -> Result<Facts, PortError> {
    let attempt = format!("could not read the layer {}", layer.descriptor.digest);
    read_facts(layer, cancel).map_err(|error| PortError::of_io(attempt, Fault::InvalidInput, error))
}

fn read_facts(layer: &ImageLayer, cancel: &Cancel) -> io::Result<Facts> {
    validate::unpacked(layer, |reader| archive_facts(reader, cancel))
}

fn archive_facts(reader: &mut dyn io::Read, cancel: &Cancel) -> io::Result<Facts> {
    let mut facts = Facts::new();
    for entry in tar::Archive::new(reader).entries()? {
        cancel.check().map_err(io::Error::other)?;
        let mut entry = entry?;
        if facts.len() >= Limits::default().entries {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it has too many entries"));
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).chars().take(4096).collect::<String>();
        let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned()).unwrap_or_default();
        let header = entry.header();
        let mut said = vec![
            ("kind", format!("{:?}", header.entry_type())),
            ("mode", format!("{:o}", header.mode()?)),
            ("owner", format!("{}:{}", header.uid()?, header.gid()?)),
            ("time", header.mtime()?.to_string()),
            ("link", link),
            ("size", entry.size().to_string()),
        ];
        let mut hasher = Writing(Hasher::new());
        io::copy(&mut entry, &mut hasher)?;
        said.push(("digest", hasher.0.finish().short()));
        facts.insert(path, said);
    }
    Ok(facts)
}

struct Writing(Hasher);

impl io::Write for Writing {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.update(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first path, in order, of which two archives say different things.
fn entry(theirs: &Facts, ours: &Facts) -> Option<(String, String)> {
    let mut paths: Vec<&String> = theirs.keys().chain(ours.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().find_map(|path| match (theirs.get(path), ours.get(path)) {
        (Some(one), Some(two)) => {
            let other = one.iter().zip(two).find(|(one, two)| one != two);
            let how = |((what, one), (_, two)): (&(&str, String), &(&str, String))| {
                format!("its {what} is {}, and {} when built again", cut(one), cut(two))
            };
            other.map(|pair| (path.clone(), how(pair)))
        }
        (Some(_), None) => Some((path.clone(), "it is not there when built again".to_owned())),
        (None, _) => Some((path.clone(), "it is there only when built again".to_owned())),
    })
}

/// The first field, in order, in which two documents differ.
fn field(at: &str, theirs: &Value, ours: &Value) -> Option<Difference> {
    let inner = |value: &Value| {
        let text = value.as_str().filter(|text| text.starts_with('{'))?;
        serde_json::from_str::<Value>(text).ok()
    };
    match (theirs, ours) {
        (one, two) if one == two => None,
        (Value::Object(one), Value::Object(two)) => {
            let mut names: Vec<&String> = one.keys().chain(two.keys()).collect();
            names.sort_unstable();
            let none = Value::Null;
            names.into_iter().find_map(|name| {
                let [one, two] = [one, two].map(|members| members.get(name).unwrap_or(&none));
                field(&format!("{at}/{name}"), one, two)
            })
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            one.iter().zip(two).enumerate().find_map(|(n, (one, two))| field(&format!("{at}/{n}"), one, two))
        }
        (one, two) => {
            let deeper = inner(one).zip(inner(two)).and_then(|(one, two)| field(at, &one, &two));
            let shown = |value: &Value| {
                if value.is_null() { "missing".to_owned() } else { value.to_string().chars().take(120).collect() }
            };
            Some(deeper.unwrap_or_else(|| Difference::Config {
                field: at.to_owned(),
                theirs: shown(one),
                ours: shown(two),
            }))
        }
    }
}

fn manifest(theirs: &Image, ours: &Image) -> Difference {
    let packed =
        theirs.layers.iter().zip(&ours.layers).position(|(one, two)| one.descriptor.digest != two.descriptor.digest);
    Difference::Manifest(match packed {
        Some(layer) => format!("layer {layer} has the same contents, compressed in another way"),
        None if Digest::of(&theirs.config) != Digest::of(&ours.config) => {
            "the configuration says the same in another order".to_owned()
        }
        None => "media types or annotations are others".to_owned(),
    })
}

fn cut(text: &str) -> String {
    visible(&text.chars().take(120).collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{image, layer};

    fn told(theirs: &Image, ours: &Image) -> String {
        compare(theirs, ours, &Cancel::new())
            .unwrap()
            .map_or("the same".to_owned(), |difference| difference.to_string())
    }

    #[test]
    fn the_first_difference_is_named() {
        let one = |files: &[(&str, &str)]| image("amd64", vec![layer(&[("etc/a", "1")]), layer(files)]);
        let good = one(&[("b", "1"), ("c", "1")]);
        let with = |change: &dyn Fn(&mut Value)| {
            let mut config: Value = serde_json::from_slice(&good.config).unwrap();
            change(&mut config);
            Image::new(good.platform.clone(), config.to_string().into_bytes(), good.layers.clone())
        };
        let label = |text: &str| {
            let text = text.to_owned();
            with(&move |config| config["config"] = json!({ "Labels": { "l": text } }))
        };
        let mut packed = good.layers.clone();
        packed[1].descriptor.size += 1;
        packed[1].descriptor.digest = Digest::of(b"another compression");
        let cases = [
            ("same", &good, one(&[("b", "1"), ("c", "1")])),
            ("contents", &good, one(&[("b", "1"), ("c", "2")])),
            ("size", &good, one(&[("b", "1"), ("c", "22")])),
            ("missing", &good, one(&[("b", "1")])),
            ("more", &good, one(&[("a", ""), ("b", "1"), ("c", "1")])),
            ("fewer layers", &good, image("amd64", vec![layer(&[("etc/a", "1")])])),
            ("more layers", &good, image("amd64", [good.layers.clone(), vec![layer(&[("x", "")])]].concat())),
            ("field", &good, with(&|config| config["config"]["User"] = json!("0"))),
            ("label", &label(r#"{"a":{"b":[1]}}"#), label(r#"{"a":{"b":[2]}}"#)),
            ("text", &label("x\u{1b}"), label("y")),
            ("order", &label(r#"{"a":1,"b":2}"#), label(r#"{"b":2,"a":1}"#)),
            ("packing", &good, Image::new(good.platform.clone(), good.config.clone(), packed)),
        ];
        let lines = cases.map(|(what, theirs, ours)| format!("{what}: {}", told(theirs, &ours)));
        insta::assert_snapshot!(lines.join("\n"), @r#"
        same: the same
        contents: layer 1 (its history does not say what): `/c`: its digest is 6b86b273ff34, and d4735e3a265e when built again
        size: layer 1 (its history does not say what): `/c`: its size is 1, and 2 when built again
        missing: layer 1 (its history does not say what): `/c`: it is not there when built again
        more: layer 1 (its history does not say what): `/a`: it is there only when built again
        fewer layers: layer 1 (its history does not say what): it is not there when built again
        more layers: layer 2 (its history does not say what): it is there only when built again
        field: configuration: `/config/User` is missing, and "0" when built again
        label: configuration: `/config/Labels/l/a/b/0` is 1, and 2 when built again
        text: configuration: `/config/Labels/l` is "x\u001b", and "y" when built again
        order: configuration: `/config/Labels/l` is "{\"a\":1,\"b\":2}", and "{\"b\":2,\"a\":1}" when built again
        packing: manifest: layer 1 has the same contents, compressed in another way
        "#);
    }
}
