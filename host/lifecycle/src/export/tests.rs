//! Images: what is in them, what is kept, and what is left behind when it goes wrong.

mod bill;
mod failing;
mod keeping;
mod shape;

use std::{collections::BTreeMap, io::Read};

use serde_json::{Value, json};
use stave_archive::{
    content::{Bytes, Content},
    layer::Packing,
    tree::{Node, Tree},
};
use stave_model::{
    digest::Digest,
    env::{EnvChange, EnvOp, EnvScope},
    launch::{Aggregate, Label, Process, Slice},
    layer::Usage,
    target::Platform,
};

use super::*;
use crate::{
    image::{Descriptor, LAYER_GZIP, LAYER_ZSTD},
    port::observer::Made,
    testing::{Artifacts, Memory, Recorder, bench, folder, manifest, shop, told, tree},
    workbench::Limits,
};

const LAUNCHER: &[u8] = b"launcher for this platform";

/// A run image of one layer for user 1001 and group 1000.
fn base() -> Base {
    let layer = Digest::of(b"base");
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Env": ["PATH=/bin", "CNB_USER_ID=1001", "CNB_GROUP_ID=1000"], "User": "1001:1000",
                    "Labels": { "io.buildpacks.base.distro.name": "debian" } },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
        "history": [{ "created_by": "base" }]
    });
    let descriptor = Descriptor { media_type: LAYER_GZIP.to_owned(), digest: layer, size: 4 };
    let layer =
        ImageLayer { descriptor, diff_id: layer, content: std::sync::Arc::new(Bytes::new(*b"base")), origin: None };
    Base {
        image: Image::new(Platform::linux("amd64"), config.to_string().into_bytes(), vec![layer]),
        name: "stave/tiny".to_owned(),
        reference: format!("stave/tiny@{}", Digest::of(b"manifest")),
    }
}

fn process(kind: &str) -> Process {
    Process {
        kind: kind.parse().unwrap(),
        command: vec!["java".to_owned()],
        args: vec!["-jar".to_owned(), "app.jar".to_owned()],
        direct: true,
        default: kind == "web",
        working_directory: None,
        exec_env: Vec::new(),
        buildpack: "acme/tool".parse().unwrap(),
    }
}

fn change(name: &str, value: &str) -> EnvChange {
    let (name, value) = (name.parse().unwrap(), value.as_bytes().to_vec());
    EnvChange { scope: EnvScope::Launch, op: EnvOp::Append, name, value, delimiter: Some(" ".to_owned()) }
}

/// What `acme/tool` and `acme/last` built of `app`: two launch layers and one that is only for builds.
fn built(app: Tree) -> Built {
    let (shop, _) = shop(Artifacts::default());
    let work = bench(&shop, app);
    for (name, launch) in [("jre", true), ("cds", true), ("jdk", false)] {
        let usage = Usage { build: !launch, launch, cache: name == "cds" };
        let layer = work.create_layer(name, usage).unwrap();
        work.layer_write(layer, "bin/run", format!("#!{name}").into_bytes(), true).unwrap();
    }
    work.layer_set_env(0, change("JAVA_TOOL_OPTIONS", "-Xss1m")).unwrap();
    work.layer_set_metadata(0, vec![("version".to_owned(), "21".to_owned())]).unwrap();
    let work = work.clear();
    let part = |title: &str, layers, store: &[(&str, &str)]| Part {
        manifest: manifest(title),
        layers,
        store: store.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    let launch = Aggregate {
        processes: vec![process("task"), process("web")],
        default: Some("web".parse().unwrap()),
        labels: vec![Label { key: "org.example.a".to_owned(), value: "1".to_owned() }],
        slices: Vec::new(),
    };
    let parts =
        vec![part("acme/tool@1.2.3", work.layers, &[("seen", "yes")]), part("acme/last@0.1.0", Vec::new(), &[])];
    Built { parts, app: std::sync::Arc::unwrap_or_clone(work.app), launch }
}

fn simple() -> Built {
    built(tree(&[("app.jar", "jar"), ("lib/a.jar", "a"), ("run.sh", "#!sh"), ("link", "-> app.jar")]))
}

struct Yard {
    memory: Memory,
    packing: Packing,
    observer: Recorder,
    cancel: Cancel,
}

impl Yard {
    fn new() -> Self {
        Self { memory: Memory::default(), packing: Packing::GZIP, observer: Recorder::default(), cancel: Cancel::new() }
    }

    fn export(&self, built: &Built) -> Result<Image, ExportError> {
        let ports = Ports {
            blobs: &self.memory,
            results: &self.memory,
            observer: &self.observer,
            cancel: &self.cancel,
            launcher: LAUNCHER,
            launcher_version: "0.1.0",
            packing: self.packing,
        };
        export(&ports, &base(), built)
    }

    /// What was said of each layer, by its name.
    fn made(&self) -> BTreeMap<String, Made> {
        let layer = |event| match event {
            Event::Layer { what, how, size } => {
                assert!(size > 0);
                Some((what, how))
            }
            _ => None,
        };
        self.observer.take().into_iter().filter_map(layer).collect()
    }
}

/// The entries of a layer as `mode uid:gid path`, with what they hold.
fn entries(layer: &ImageLayer) -> Vec<String> {
    let packed = layer.content.bytes(1 << 20).unwrap();
    assert_eq!(Digest::of(&packed), layer.descriptor.digest);
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    assert_eq!(Digest::of(&bytes), layer.diff_id);
    let mut archive = tar::Archive::new(&bytes[..]);
    let line = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let header = entry.header();
        let (mode, uid, gid) = (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap());
        let link = header.link_name().unwrap().map(|link| format!(" -> {}", link.display())).unwrap_or_default();
        let text = if text.is_empty() { text } else { format!(" = {}", text.escape_debug()) };
        format!("{mode:o} {uid}:{gid} {}{link}{text}", String::from_utf8_lossy(&entry.path_bytes()))
    };
    archive.entries().unwrap().map(line).collect()
}

fn config(image: &Image) -> Value {
    serde_json::from_slice(&image.config).unwrap()
}

/// A label that is JSON, its digests replaced by the layer's place in the image.
fn label(image: &Image, name: &str) -> String {
    let config = config(image);
    let value: Value = serde_json::from_str(config["config"]["Labels"][name].as_str().unwrap()).unwrap();
    by_place(image, serde_json::to_string_pretty(&value).unwrap())
}

fn by_place(image: &Image, mut text: String) -> String {
    for (place, layer) in image.layers.iter().enumerate() {
        text = text.replace(&layer.diff_id.to_string(), &format!("<layer {place}>"));
    }
    text
}
