//! Images: what is in them, what is kept, and what is left behind when it goes wrong.

use std::{collections::BTreeMap, io::Read};

use serde_json::{Value, json};
use stave_archive::{
    content::{Bytes, Content},
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
    image::{Descriptor, LAYER_GZIP},
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
    Built { parts, app: work.app, launch }
}

fn simple() -> Built {
    built(tree(&[("app.jar", "jar"), ("lib/a.jar", "a"), ("run.sh", "#!sh"), ("link", "-> app.jar")]))
}

struct Yard {
    memory: Memory,
    observer: Recorder,
    cancel: Cancel,
}

impl Yard {
    fn new() -> Self {
        Self { memory: Memory::default(), observer: Recorder::default(), cancel: Cancel::new() }
    }

    fn export(&self, built: &Built) -> Result<Image, ExportError> {
        let ports = Ports {
            blobs: &self.memory,
            results: &self.memory,
            observer: &self.observer,
            cancel: &self.cancel,
            launcher: LAUNCHER,
            launcher_version: "0.1.0",
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

#[test]
fn layers_stand_in_the_lifecycle_s_order() {
    let yard = Yard::new();
    let image = yard.export(&simple()).unwrap();
    let history = config(&image)["history"].clone();
    let by: Vec<&str> = history.as_array().unwrap().iter().map(|e| e["created_by"].as_str().unwrap()).collect();
    insta::assert_snapshot!(by.join("\n"), @r#"
    base
    Layer: 'cds', Created by buildpack: acme/tool@1.2.3
    Layer: 'jre', Created by buildpack: acme/tool@1.2.3
    Application Layer
    Buildpacks Application Launcher
    Buildpacks Launcher Config
    Buildpacks Process Types
    "#);
    let shown: Vec<String> = image.layers[1..].iter().map(|layer| entries(layer).join("\n")).collect();
    insta::assert_snapshot!(shown.join("\n\n"), @r#"
    755 1001:1000 /layers
    755 1001:1000 /layers/acme_tool
    755 1001:1000 /layers/acme_tool/cds
    755 1001:1000 /layers/acme_tool/cds/bin
    755 1001:1000 /layers/acme_tool/cds/bin/run = #!cds

    755 1001:1000 /layers
    755 1001:1000 /layers/acme_tool
    755 1001:1000 /layers/acme_tool/jre
    755 1001:1000 /layers/acme_tool/jre/bin
    755 1001:1000 /layers/acme_tool/jre/bin/run = #!jre
    755 1001:1000 /layers/acme_tool/jre/env.launch
    644 1001:1000 /layers/acme_tool/jre/env.launch/JAVA_TOOL_OPTIONS.append = -Xss1m
    644 1001:1000 /layers/acme_tool/jre/env.launch/JAVA_TOOL_OPTIONS.delim =  

    755 1001:1000 /workspace
    644 1001:1000 /workspace/app.jar = jar
    755 1001:1000 /workspace/lib
    644 1001:1000 /workspace/lib/a.jar = a
    777 1001:1000 /workspace/link -> app.jar
    755 1001:1000 /workspace/run.sh = #!sh

    755 0:0 /cnb
    755 0:0 /cnb/lifecycle
    755 0:0 /cnb/lifecycle/launcher = launcher for this platform

    755 1001:1000 /layers
    755 1001:1000 /layers/config
    644 1001:1000 /layers/config/metadata.toml = buildpack-default-process-type = \"web\"\n\n[[buildpacks]]\nid = \"acme/tool\"\nversion = \"1.2.3\"\napi = \"0.10\"\n\n[[buildpacks]]\nid = \"acme/last\"\nversion = \"0.1.0\"\napi = \"0.10\"\n\n[[labels]]\nkey = \"org.example.a\"\nvalue = \"1\"\n\n[[processes]]\ntype = \"task\"\ncommand = [\"java\"]\nargs = [\"-jar\", \"app.jar\"]\ndirect = true\nbuildpack-id = \"acme/tool\"\n\n[[processes]]\ntype = \"web\"\ncommand = [\"java\"]\nargs = [\"-jar\", \"app.jar\"]\ndirect = true\nbuildpack-id = \"acme/tool\"\n

    755 0:0 /cnb
    755 0:0 /cnb/process
    777 0:0 /cnb/process/task -> /cnb/lifecycle/launcher
    777 0:0 /cnb/process/web -> /cnb/lifecycle/launcher
    "#);
}

#[test]
fn the_configuration_and_the_labels_are_the_lifecycle_s() {
    let image = Yard::new().export(&simple()).unwrap();
    let mut value = config(&image);
    let labels = value["config"]["Labels"].as_object_mut().unwrap();
    for name in [LIFECYCLE_LABEL, BUILD_LABEL] {
        labels[name] = json!("{…}");
    }
    insta::assert_snapshot!(by_place(&image, serde_json::to_string_pretty(&value).unwrap()), @r#"
    {
      "architecture": "amd64",
      "config": {
        "Entrypoint": [
          "/cnb/process/web"
        ],
        "Env": [
          "PATH=/cnb/process:/cnb/lifecycle:/bin",
          "CNB_USER_ID=1001",
          "CNB_GROUP_ID=1000",
          "CNB_LAYERS_DIR=/layers",
          "CNB_APP_DIR=/workspace",
          "CNB_PLATFORM_API=0.14",
          "CNB_DEPRECATION_MODE=quiet"
        ],
        "Labels": {
          "io.buildpacks.base.distro.name": "debian",
          "io.buildpacks.build.metadata": "{…}",
          "io.buildpacks.lifecycle.metadata": "{…}",
          "io.buildpacks.project.metadata": "{}",
          "org.example.a": "1"
        },
        "User": "1001:1000",
        "WorkingDir": "/workspace"
      },
      "created": "1980-01-01T00:00:01Z",
      "history": [
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "base"
        },
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "Layer: 'cds', Created by buildpack: acme/tool@1.2.3"
        },
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "Layer: 'jre', Created by buildpack: acme/tool@1.2.3"
        },
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "Application Layer"
        },
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "Buildpacks Application Launcher"
        },
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "Buildpacks Launcher Config"
        },
        {
          "created": "1980-01-01T00:00:01Z",
          "created_by": "Buildpacks Process Types"
        }
      ],
      "os": "linux",
      "rootfs": {
        "diff_ids": [
          "<layer 0>",
          "<layer 1>",
          "<layer 2>",
          "<layer 3>",
          "<layer 4>",
          "<layer 5>",
          "<layer 6>"
        ],
        "type": "layers"
      }
    }
    "#);
    insta::assert_snapshot!(label(&image, LIFECYCLE_LABEL), @r#"
    {
      "app": [
        {
          "sha": "<layer 3>"
        }
      ],
      "buildpacks": [
        {
          "key": "acme/tool",
          "layers": {
            "cds": {
              "build": false,
              "cache": true,
              "data": {},
              "launch": true,
              "sha": "<layer 1>"
            },
            "jre": {
              "build": false,
              "cache": false,
              "data": {
                "version": "21"
              },
              "launch": true,
              "sha": "<layer 2>"
            }
          },
          "store": {
            "metadata": {
              "seen": "yes"
            }
          },
          "version": "1.2.3"
        },
        {
          "key": "acme/last",
          "layers": {},
          "version": "0.1.0"
        }
      ],
      "config": {
        "sha": "<layer 5>"
      },
      "launcher": {
        "sha": "<layer 4>"
      },
      "process-types": {
        "sha": "<layer 6>"
      },
      "runImage": {
        "image": "stave/tiny",
        "reference": "stave/tiny@sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f",
        "topLayer": "<layer 0>"
      },
      "stack": {
        "runImage": {
          "image": "stave/tiny",
          "mirrors": []
        }
      }
    }
    "#);
    insta::assert_snapshot!(label(&image, BUILD_LABEL), @r#"
    {
      "buildpack-default-process-type": "web",
      "buildpacks": [
        {
          "id": "acme/tool",
          "version": "1.2.3"
        },
        {
          "id": "acme/last",
          "version": "0.1.0"
        }
      ],
      "launcher": {
        "version": "0.1.0"
      },
      "processes": [
        {
          "args": [
            "-jar",
            "app.jar"
          ],
          "buildpackID": "acme/tool",
          "command": [
            "java"
          ],
          "direct": true,
          "type": "task"
        },
        {
          "args": [
            "-jar",
            "app.jar"
          ],
          "buildpackID": "acme/tool",
          "command": [
            "java"
          ],
          "direct": true,
          "type": "web"
        }
      ]
    }
    "#);
    let manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
    assert_eq!(manifest["config"]["digest"], json!(Digest::of(&image.config)));
    let digests: Vec<Value> = image.layers.iter().map(|layer| json!(layer.descriptor.digest)).collect();
    assert_eq!(manifest["layers"].as_array().unwrap().iter().map(|l| l["digest"].clone()).collect::<Vec<_>>(), digests);
}

#[test]
fn without_processes_there_is_no_layer_for_them() {
    let mut built = simple();
    built.launch.processes.clear();
    built.launch.default = None;
    let image = Yard::new().export(&built).unwrap();
    let lifecycle: Value = serde_json::from_str(&label(&image, LIFECYCLE_LABEL)).unwrap();
    assert_eq!(lifecycle["process-types"], json!({ "sha": "" }));
    assert_eq!(config(&image)["config"]["Entrypoint"], json!(["/cnb/lifecycle/launcher"]));
    assert_eq!(image.layers.len(), 1 + 2 + 1 + 2, "base, buildpack, app, launcher and config");
}

#[test]
fn slices_are_layers_and_an_empty_one_is_too() {
    let mut built = simple();
    let slice = |path: &str| Slice { paths: vec![path.to_owned()] };
    built.launch.slices = vec![slice("lib/"), slice("nothing")];
    let image = Yard::new().export(&built).unwrap();
    let lifecycle: Value = serde_json::from_str(&label(&image, LIFECYCLE_LABEL)).unwrap();
    assert_eq!(lifecycle["app"], json!([{ "sha": "<layer 3>" }, { "sha": "<layer 4>" }, { "sha": "<layer 5>" }]));
    let paths = |place: usize| entries(&image.layers[place]).join(", ");
    insta::assert_snapshot!([paths(3), paths(4), paths(5)].join("\n"), @r#"
    755 1001:1000 /workspace, 755 1001:1000 /workspace/lib, 644 1001:1000 /workspace/lib/a.jar = a
    755 1001:1000 /workspace
    755 1001:1000 /workspace, 644 1001:1000 /workspace/app.jar = jar, 777 1001:1000 /workspace/link -> app.jar, 755 1001:1000 /workspace/run.sh = #!sh
    "#);
}

#[test]
fn nothing_is_written_twice() {
    let yard = Yard::new();
    let first = yard.export(&simple()).unwrap();
    let made = yard.made();
    let names: Vec<&str> = made.keys().map(String::as_str).collect();
    let all = ["acme/tool:cds", "acme/tool:jre", "app", "launcher", "launcher config", "process types"];
    assert_eq!(names, all);
    assert!(made.values().all(|how| *how == Made::Written));
    let (written, results) = (yard.memory.written(), yard.memory.results());
    let second = yard.export(&simple()).unwrap();
    assert!(yard.made().values().all(|how| *how == Made::Kept));
    assert_eq!((yard.memory.written(), yard.memory.results()), (written, results));
    assert_eq!(first.digest(), second.digest());
    // One file changed: its layer is written, and no other.
    yard.export(&built(tree(&[("app.jar", "new")]))).unwrap();
    let made = yard.made();
    assert_eq!(
        made.iter().filter(|(_, how)| **how == Made::Written).map(|(w, _)| w.as_str()).collect::<Vec<_>>(),
        ["app"]
    );
}

#[test]
fn a_changed_environment_is_another_layer() {
    let yard = Yard::new();
    yard.export(&simple()).unwrap();
    yard.made();
    let mut other = simple();
    let jre = other.parts[0].layers.iter_mut().find(|layer| layer.name.as_str() == "jre").unwrap();
    jre.env = vec![change("JAVA_TOOL_OPTIONS", "-Xss2m")];
    yard.export(&other).unwrap();
    let made = yard.made();
    assert_eq!((made["acme/tool:jre"], made["acme/tool:cds"]), (Made::Written, Made::Kept));
}

#[test]
fn a_lost_blob_is_written_again() {
    let yard = Yard::new();
    let first = yard.export(&simple()).unwrap();
    yard.made();
    yard.memory.lose(&first.layers[1].descriptor.digest);
    let second = yard.export(&simple()).unwrap();
    assert_eq!(first.digest(), second.digest());
    let made = yard.made();
    assert_eq!(made["acme/tool:cds"], Made::Written);
    assert_eq!(made.values().filter(|how| **how == Made::Written).count(), 1);
}

#[test]
fn a_result_that_is_nonsense_is_a_miss() {
    let yard = Yard::new();
    let first = yard.export(&simple()).unwrap();
    yard.memory.garble();
    yard.made();
    assert_eq!(yard.export(&simple()).unwrap().digest(), first.digest());
    assert!(yard.made().values().all(|how| *how == Made::Written));
}

#[test]
fn the_same_app_elsewhere_is_the_same_image() {
    use std::{
        fs,
        os::unix::fs::PermissionsExt,
        time::{Duration, SystemTime},
    };

    let files = [("app.jar", "jar"), ("lib/a.jar", "a"), ("bin/run", "#!sh")];
    let image = |mode: u32, program: u32, age: u64, order: &[(&str, &str)]| {
        let (_root, path) = folder(order);
        for (name, _) in order {
            let mode = if *name == "bin/run" { program } else { mode };
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode)).unwrap();
            let file = fs::File::options().append(true).open(path.join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        let app = crate::app::open(&path, &Limits::default().archive).unwrap();
        Yard::new().export(&built(app.tree)).unwrap().digest()
    };
    let one = image(0o644, 0o755, 0, &files);
    let reversed: Vec<_> = files.iter().rev().copied().collect();
    assert_eq!(one, image(0o600, 0o700, 1_000_000, &reversed));
    assert_ne!(one, image(0o644, 0o644, 0, &files), "whether a program can be run is not the umask's matter");
}

#[test]
fn a_full_disk_leaves_no_half_layer() {
    let yard = Yard::new();
    yard.memory.fill_up();
    let error = yard.export(&simple()).unwrap_err();
    let said = told(&error);
    let what = said.lines().next().unwrap().trim_start_matches("could not write the layer ").to_owned();
    insta::assert_snapshot!(said.replace(&what, "WHAT"), @r#"
    could not write the layer WHAT
      caused by: could not write a blob
      caused by: no storage space
      hint: make room on the disk
    "#);
    assert_eq!((yard.memory.digests().len(), yard.memory.results()), (0, 0));
}

#[test]
fn a_request_to_stop_keeps_nothing_unfinished() {
    let yard = Yard::new();
    yard.cancel.set();
    assert!(matches!(yard.export(&simple()), Err(ExportError::Cancelled)));
    assert_eq!((yard.memory.digests().len(), yard.memory.results()), (0, 0));
    // In the middle of a layer: its content sets the flag when it is opened.
    let yard = Yard::new();
    let mut app = Tree::new();
    let stops = Stops { cancel: yard.cancel.clone(), size: 4 << 20 };
    app.insert("big".parse().unwrap(), Node::file(std::sync::Arc::new(stops), false)).unwrap();
    let mut built = simple();
    built.app = app;
    assert!(matches!(yard.export(&built), Err(ExportError::Cancelled)));
    assert!(!yard.made().contains_key("app"));
    // What was finished before may stay: each blob has its result.
    assert_eq!(yard.memory.digests().len(), yard.memory.results());
    // Everything is kept already, and still nothing is made of it.
    let yard = Yard::new();
    yard.export(&simple()).unwrap();
    yard.cancel.set();
    assert!(matches!(yard.export(&simple()), Err(ExportError::Cancelled)));
}

/// Content during which somebody asks to stop.
#[derive(Debug)]
struct Stops {
    cancel: Cancel,
    size: u64,
}

impl Content for Stops {
    fn size(&self) -> u64 {
        self.size
    }

    fn open(&self) -> std::io::Result<Box<dyn Read + Send + '_>> {
        self.cancel.set();
        Ok(Box::new(std::io::repeat(b'x').take(self.size)))
    }

    fn identity(&self) -> std::io::Result<Digest> {
        Ok(Digest::of(b"big"))
    }
}

/// Content that changed after it was indexed.
#[derive(Debug)]
struct Shrunk;

impl Content for Shrunk {
    fn size(&self) -> u64 {
        9
    }

    fn open(&self) -> std::io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(&b"short"[..]))
    }

    fn identity(&self) -> std::io::Result<Digest> {
        Ok(Digest::of(b"nine byte"))
    }
}

#[test]
fn says_which_layer_is_wrong_and_why() {
    let yard = Yard::new();
    let mut changed = simple();
    changed.app.insert("f".parse().unwrap(), Node::file(std::sync::Arc::new(Shrunk), false)).unwrap();
    let changed = told(&yard.export(&changed).unwrap_err());
    let whiteout = told(&yard.export(&built(tree(&[(".wh.app.jar", "")]))).unwrap_err());
    let mut environment = simple();
    let jre = environment.parts[0].layers.iter_mut().find(|layer| layer.name.as_str() == "jre").unwrap();
    jre.tree = tree(&[("env.launch/JAVA_TOOL_OPTIONS.append", "x")]);
    let environment = told(&yard.export(&environment).unwrap_err());
    let mut slices = simple();
    slices.launch.slices = vec![Slice { paths: vec!["[".to_owned()] }];
    let slices = told(&yard.export(&slices).unwrap_err());
    insta::assert_snapshot!([changed, whiteout, environment, slices].join("\n"), @"");
}

#[test]
fn a_base_of_docker_s_words_is_said_in_oci_s() {
    let mut base = base();
    base.image.layers[0].descriptor.media_type = DOCKER_LAYERS[0].0.to_owned();
    let yard = Yard::new();
    let ports = Ports {
        blobs: &yard.memory,
        results: &yard.memory,
        observer: &yard.observer,
        cancel: &yard.cancel,
        launcher: LAUNCHER,
        launcher_version: "0.1.0",
    };
    let image = export(&ports, &base, &simple()).unwrap();
    assert_eq!(image.layers[0].descriptor.media_type, LAYER_GZIP);
    base.image.config = b"[]".to_vec();
    insta::assert_snapshot!(told(&export(&ports, &base, &simple()).unwrap_err()), @r#"
    could not put the layers on the base image
      caused by: the base image's configuration is not a JSON object
    "#);
}
