//! The whole flow through the crate's public door: a folder, two buildpacks of a few lines, an image. What comes out is
//! looked at as other tools do: as JSON and as tars.

#![expect(clippy::unwrap_used, reason = "clippy knows tests by their attribute, and not what they call")]

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use stave_archive::{content::Span, layer::Packing};
use stave_lifecycle::{
    app,
    build::build,
    detect::{Lineup, detect},
    export::{Ports, export},
    image::{Image, ImageLayer},
    memory::Memory,
    port::{
        artifacts::ArtifactSource,
        bases::Base,
        blobs::{Blobs, NewBlob, Results},
        buildpack::{Buildpack, Report, RunError, Verdict},
        cancel::Cancel,
        failure::{Fault, PortError},
        ledger::Unwritten,
        observer::{Observer, Silent},
    },
    workbench::{Limits, Shop, Workbench},
};
use stave_model::{
    capability::Capabilities,
    dependency::{Artifact, Dependency},
    digest::Digest,
    env::{EnvChange, EnvOp, EnvScope},
    id::ExecEnv,
    launch::{Launch, Process},
    layer::Usage,
    manifest::Manifest,
    order::{Group, Member},
    plan::{Alternative, Requirement},
    target::{Platform, Target},
};

fn span(bytes: &[u8]) -> Span {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Span::whole(file).unwrap()
}

/// Keeps blobs and results, and sells nothing.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<BTreeMap<Digest, Vec<u8>>>>);

struct Blob(Store, Vec<u8>);

impl Write for Blob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewBlob for Blob {
    fn keep(self: Box<Self>, digest: &Digest) -> Result<Span, PortError> {
        let kept = span(&self.1);
        self.0.put(digest, &self.1);
        Ok(kept)
    }
}

impl Blobs for Store {
    fn get(&self, digest: &Digest) -> Result<Option<Span>, PortError> {
        Ok(Results::get(self, digest).map(|bytes| span(&bytes)))
    }

    fn discard(&self, digest: &Digest) -> Result<(), PortError> {
        self.0.lock().unwrap().remove(digest);
        Ok(())
    }

    fn create(&self) -> Result<Box<dyn NewBlob>, PortError> {
        Ok(Box::new(Blob(self.clone(), Vec::new())))
    }
}

impl Results for Store {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(key).cloned()
    }

    fn put(&self, key: &Digest, value: &[u8]) {
        self.0.lock().unwrap().insert(*key, value.to_vec());
    }
}

impl ArtifactSource for Store {
    fn fetch(&self, _: &Dependency, _: &Artifact, _: &dyn Observer, _: &Cancel) -> Result<Span, PortError> {
        Err(PortError::new(Fault::Network, "could not fetch anything"))
    }
}

/// A buildpack: its manifest, and what it does in detect and in build.
struct Fake {
    manifest: Manifest,
    detect: fn(&Workbench) -> Result<Verdict, RunError>,
    build: fn(&Workbench, &[Requirement]) -> Result<Report, RunError>,
}

impl Buildpack for Fake {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn digest(&self) -> Digest {
        Digest::of(self.manifest.title().as_bytes())
    }

    fn grants(&self) -> &Capabilities {
        &self.manifest.asks
    }

    fn detect(&self, bench: &Arc<Workbench>) -> Result<Verdict, RunError> {
        (self.detect)(bench)
    }

    fn build(&self, bench: &Arc<Workbench>, requirements: &[Requirement]) -> Result<Report, RunError> {
        (self.build)(bench, requirements)
    }
}

fn failed(error: PortError) -> RunError {
    RunError::Host(Box::new(error))
}

fn manifest(id: &str) -> Manifest {
    let text = format!("contract = \"0.1\"\n[buildpack]\nid = \"{id}\"\nversion = \"1.0.0\"\n");
    let mut manifest = Manifest::parse(&text).unwrap();
    manifest.asks = Capabilities::usual();
    manifest
}

/// Brings an interpreter, if somebody requires one.
fn runtime() -> Fake {
    Fake {
        manifest: manifest("acme/runtime"),
        detect: |_| {
            let provides = vec!["interpreter".to_owned()];
            Ok(Verdict::Pass(vec![Alternative { provides, requires: Vec::new() }]))
        },
        build: |bench, requirements| {
            let version = &requirements[0].metadata["version"];
            let layer =
                bench.create_layer("interpreter", Usage { launch: true, ..Usage::default() }).map_err(failed)?;
            bench.layer_write(layer, "bin/run", format!("#!{version}").into_bytes(), true).map_err(failed)?;
            let (name, value) = ("RUN_HOME".parse().unwrap(), bench.layer_path(layer).map_err(failed)?.into_bytes());
            let change = EnvChange { scope: EnvScope::Launch, op: EnvOp::Default, name, value, delimiter: None };
            bench.layer_set_env(layer, change).map_err(failed)?;
            Ok(Report::default())
        },
    }
}

/// Requires the interpreter for an app that has a `main.script`, and starts it.
fn script() -> Fake {
    Fake {
        manifest: manifest("acme/script"),
        detect: |bench| {
            let found = bench.find(&["main.script".to_owned()], 1).map_err(failed)?;
            if found.is_empty() {
                return Ok(Verdict::Skip("there is no main.script".to_owned()));
            }
            let version = bench.setting("BP_RUN_VERSION").map_err(failed)?.unwrap_or_default();
            let metadata = [("version".to_owned(), version)].into();
            let requires = vec![Requirement { name: "interpreter".to_owned(), metadata }];
            Ok(Verdict::Pass(vec![Alternative { provides: Vec::new(), requires }]))
        },
        build: |bench, _| {
            bench.overlay_remove(&["*.md".to_owned()]).map_err(failed)?;
            let process = Process {
                kind: "web".parse().unwrap(),
                command: vec!["run".to_owned()],
                args: vec!["main.script".to_owned()],
                direct: true,
                default: true,
                working_directory: None,
                exec_env: Vec::new(),
                buildpack: bench.buildpack().clone(),
            };
            Ok(Report { launch: Launch { processes: vec![process], ..Launch::default() }, ..Report::default() })
        },
    }
}

fn base() -> Base {
    let config =
        json!({ "os": "linux", "architecture": "arm64", "config": { "Env": ["CNB_USER_ID=7", "CNB_GROUP_ID=8"] } });
    let image = Image::new(Platform::linux("arm64"), config.to_string().into_bytes(), Vec::new());
    Base { image, name: "tiny".to_owned(), reference: "tiny@1".to_owned() }
}

/// From the folder to the image, with what `store` knows.
fn make(folder: &std::path::Path, store: &Store) -> Image {
    let shop = Shop {
        target: Target { platform: Platform::linux("arm64"), distro: None },
        exec_env: ExecEnv::default(),
        settings: Arc::new([("BP_RUN_VERSION".to_owned(), "21".to_owned())].into()),
        bindings: Arc::default(),
        artifacts: Arc::new(store.clone()),
        observer: Arc::new(Silent),
        ledger: Arc::new(Unwritten),
        cancel: Cancel::new(),
        scratch: std::env::temp_dir(),
        limits: Limits::default(),
        memory: Memory::of(Arc::new(store.clone())),
        previous: Arc::default(),
    };
    let buildpacks: [Arc<dyn Buildpack>; 2] = [Arc::new(script()), Arc::new(runtime())];
    let member = |id: &str| Member { id: id.parse().unwrap(), version: None, optional: false, exec_env: vec![] };
    let selection = vec![Group { group: vec![member("acme/runtime"), member("acme/script")] }].into();
    let app = app::open(folder, &app::selection::Selection::default(), &shop.limits.archive, None).unwrap();
    let lineup = Lineup { buildpacks: &buildpacks, selection: &selection, exec_env: &ExecEnv::default() };
    let detection = detect(&shop, &lineup, &app.tree).unwrap();
    let built = build(&shop, &detection, app.tree).unwrap();
    let ports = Ports {
        blobs: store,
        results: store,
        observer: &Silent,
        cancel: &shop.cancel,
        launcher: b"launcher",
        launcher_version: "0.1.0",
        packing: Packing::GZIP,
    };
    export(&ports, &base(), &built).unwrap()
}

/// Path and text of every file in a layer.
fn files(layer: &ImageLayer) -> BTreeMap<String, String> {
    let packed = layer.content.bytes(1 << 20).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), text);
        }
    }
    files
}

#[test]
fn a_folder_becomes_an_image() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("main.script", "print"), ("README.md", "# Read me")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let store = Store::default();
    let image = make(folder.path(), &store);

    let config: Value = serde_json::from_slice(&image.config).unwrap();
    assert_eq!(config["architecture"], "arm64");
    assert_eq!(config["config"]["Entrypoint"], json!(["/cnb/process/web"]));
    assert_eq!(config["config"]["WorkingDir"], "/workspace");
    let diff_ids: Vec<String> = image.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    assert_eq!(config["rootfs"]["diff_ids"], json!(diff_ids));

    let label =
        |name: &str| -> Value { serde_json::from_str(config["config"]["Labels"][name].as_str().unwrap()).unwrap() };
    let lifecycle = label("io.buildpacks.lifecycle.metadata");
    assert_eq!(lifecycle["buildpacks"][0]["key"], "acme/runtime");
    assert_eq!(lifecycle["buildpacks"][0]["layers"]["interpreter"]["sha"], diff_ids[0]);
    assert_eq!(lifecycle["app"], json!([{ "sha": diff_ids[1] }]));
    assert_eq!(lifecycle["launcher"]["sha"], diff_ids[2]);
    assert_eq!(lifecycle["config"]["sha"], diff_ids[3]);
    assert_eq!(lifecycle["process-types"]["sha"], diff_ids[4]);
    assert_eq!(label("io.buildpacks.build.metadata")["processes"][0]["command"], json!(["run"]));

    let interpreter = files(&image.layers[0]);
    assert_eq!(interpreter["/layers/acme_runtime/interpreter/bin/run"], "#!21");
    assert_eq!(
        interpreter["/layers/acme_runtime/interpreter/env.launch/RUN_HOME.default"],
        "/layers/acme_runtime/interpreter"
    );
    assert_eq!(files(&image.layers[1]), [("/workspace/main.script".to_owned(), "print".to_owned())].into());
    assert!(files(&image.layers[3])["/layers/config/metadata.toml"].contains("command = [\"run\"]"));

    // Once more, with what was kept and with nothing: the same image. Another readme changes nothing, another script does.
    fs::write(folder.path().join("README.md"), "# Read this").unwrap();
    assert_eq!(make(folder.path(), &store).digest(), image.digest());
    assert_eq!(make(folder.path(), &Store::default()).digest(), image.digest());
    fs::write(folder.path().join("main.script"), "print more").unwrap();
    assert_ne!(make(folder.path(), &store).digest(), image.digest());
}
