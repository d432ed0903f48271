//! Everything an image promises, checked by reading it: the one judge of images, used by every test that makes one.
//!
//! What holds for any image (digests, sizes, agreement of its documents, archives that can be unpacked safely) is asked of
//! all layers. What holds for images of ours (one instant, no owner names, nothing through a link) is asked of the layers
//! above the base, which the label `io.buildpacks.lifecycle.metadata` tells apart; without that label, of none.

mod labels;
mod layers;
mod root;

use std::fmt;

use serde_json::Value;
use stave_lifecycle::image::Image;

pub(crate) use self::layers::{Hashing, normal, ratio, unpacked, unpacked_within};
use self::root::Root;
use crate::{
    config::Config,
    json,
    manifest::{Document, Manifest},
};

/// One thing that is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The part of the image, such as `manifest` or `layer 3`.
    pub part: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.what)
    }
}

/// Collects problems.
#[derive(Debug, Default)]
struct Findings(Vec<Problem>);

impl Findings {
    /// The most problems that are told of one image.
    const MOST: usize = 100;

    fn add(&mut self, part: impl Into<String>, what: impl Into<String>) {
        if self.0.len() < Self::MOST {
            self.0.push(Problem { part: part.into(), what: what.into() });
        }
    }

    fn expect(&mut self, holds: bool, part: &str, what: impl FnOnce() -> String) {
        if !holds {
            self.add(part, what());
        }
    }
}

/// Reads the whole image and answers with everything that is wrong with it.
pub fn validate(image: &Image) -> Result<(), Vec<Problem>> {
    let mut findings = Findings::default();
    check_manifest(image, &mut findings);
    let config = check_config(image, &mut findings);
    let base = config.as_ref().and_then(|config| labels::base_layers(config, image));
    let mut root = Root::default();
    for (n, layer) in image.layers.iter().enumerate() {
        let is_ours = base.is_some_and(|base| n >= base);
        if let Some(entries) = layers::check(&format!("layer {n}"), layer, is_ours, &mut findings) {
            root.lay(&format!("layer {n}"), entries, is_ours, &mut findings);
        }
    }
    if let Some(config) = &config {
        check_entrypoint(config, &root, &mut findings);
        labels::check(config, image, &mut findings);
    }
    if findings.0.is_empty() { Ok(()) } else { Err(findings.0) }
}

fn check_manifest(image: &Image, findings: &mut Findings) {
    let manifest = match Document::parse(&image.manifest, Some(&image.media_type)) {
        Ok(Document::Manifest(manifest)) => manifest,
        Ok(Document::Index(_)) => return findings.add("manifest", "it is an index"),
        Err(error) => return findings.add("manifest", chain(&error)),
    };
    let Manifest { config, layers, .. } = manifest;
    findings.expect(config == image.config_descriptor(), "manifest", || "it names another configuration".to_owned());
    let there: Vec<_> = image.layers.iter().map(|layer| layer.descriptor.clone()).collect();
    findings.expect(layers == there, "manifest", || "it names other layers".to_owned());
}

/// Checks the configuration against the image; gives it if it can be read at all.
fn check_config(image: &Image, findings: &mut Findings) -> Option<Value> {
    let part = "configuration";
    let facts = match Config::parse(&image.config, image.layers.len()) {
        Ok(facts) => facts,
        Err(error) => {
            findings.add(part, chain(&error));
            return None;
        }
    };
    let diff_ids: Vec<_> = image.layers.iter().map(|layer| layer.diff_id).collect();
    findings.expect(facts.diff_ids == diff_ids, part, || "its diffIDs are not the layers'".to_owned());
    findings.expect(facts.platform == image.platform, part, || {
        format!("it is for {}, the image for {}", facts.platform, image.platform)
    });
    if let Some(history) = facts.history {
        let made = history.iter().filter(|is_empty| !**is_empty).count();
        findings.expect(made == image.layers.len(), part, || {
            format!("its history tells of {made} layers, and there are {}", image.layers.len())
        });
    }
    json::value(&image.config).ok()
}

/// Checks that what starts by default is there and can be run.
fn check_entrypoint(config: &Value, root: &Root, findings: &mut Findings) {
    let entrypoint = config.pointer("/config/Entrypoint/0").and_then(Value::as_str);
    // A bare name is looked up in PATH when the container starts.
    let Some(path) = entrypoint.filter(|path| path.starts_with('/')) else { return };
    if let Err(why) = root.program(path) {
        findings.add("configuration", format!("its entrypoint `{}` {why}", path.escape_debug()));
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
