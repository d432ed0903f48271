//! What the tests with real guests share: the guests, built once a run, and a bench for them to work at.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]
#![expect(clippy::unwrap_used, reason = "only tests are here")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use stave_archive::{
    content::{Bytes, Span},
    tree::{Node, Tree},
};
use stave_engine::{Engine, Limits, Loaded};
use stave_lifecycle::{
    memory::Memory,
    port::{
        artifacts::ArtifactSource,
        buildpack::{Buildpack as _, Report, RunError, Verdict},
        cancel::Cancel,
        failure::{Fault, PortError},
        ledger::Unwritten,
        observer::{Event, Level, Observer},
    },
    previous::Previous,
    workbench::{Limits as BenchLimits, Phase, Shop, Workbench},
};
use stave_model::{
    capability::Capabilities,
    component::embed,
    dependency::{Artifact, Dependency},
    id::ExecEnv,
    target::{Platform, Target},
};

/// A guest of `tests/guests` with its manifest inside.
///
/// All guests are built by one nested cargo, once a test program, for `wasm32-wasip2` in the profile `embedded`. It has a
/// target folder of its own, `target/embedded`, so that it neither waits for the outer cargo nor throws its work away.
pub fn guest(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(build_guests);
    let wasm = std::fs::read(folder.join(format!("stave_{}.wasm", name.replace('-', "_")))).unwrap();
    embed(&wasm, &manifest(name)).unwrap()
}

/// The manifest of a guest.
pub fn manifest(name: &str) -> String {
    std::fs::read_to_string(root().join("tests/guests").join(name).join("buildpack.toml")).unwrap()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn build_guests() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let folder = target.join("embedded");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).env("CARGO_TARGET_DIR", &folder);
    // What the outer build was told about this machine says nothing about WebAssembly.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo.args(["build", "--quiet", "--target", "wasm32-wasip2", "--profile", "embedded"]);
    cargo.args([
        "-p",
        "stave-bound",
        "-p",
        "stave-caller",
        "-p",
        "stave-caller-next",
        "-p",
        "stave-hostile",
        "-p",
        "stave-sockets",
        "-p",
        "stave-starter",
    ]);
    assert!(cargo.status().unwrap().success(), "the guests do not build");
    folder.join("wasm32-wasip2/embedded")
}

/// Limits with which a test does not wait long for a guest to be stopped in detect.
pub fn strict() -> Limits {
    Limits { detect: Duration::from_millis(300), memory_bytes: 64 << 20, call_bytes: 4 << 20, ..Limits::default() }
}

/// Remembers what happened.
#[derive(Default)]
pub struct Notes(Mutex<Vec<Event>>);

impl Observer for Notes {
    fn observe(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Notes {
    /// Messages of a level, in order.
    pub fn messages(&self, level: Level) -> Vec<String> {
        let events = self.0.lock().unwrap();
        let texts = events.iter().filter_map(|event| match event {
            Event::Message { level: found, text, .. } if *found == level => Some(text.clone()),
            _ => None,
        });
        texts.collect()
    }
}

/// Has nothing.
struct Nowhere;

impl ArtifactSource for Nowhere {
    fn fetch(&self, _: &Dependency, _: &Artifact, _: &dyn Observer, _: &Cancel) -> Result<Span, PortError> {
        Err(PortError::new(Fault::Network, "fetch something in a test"))
    }
}

/// A place to call a loaded guest from.
pub struct Place {
    pub notes: Arc<Notes>,
    pub cancel: Cancel,
    pub previous: Arc<Previous>,
}

impl Place {
    pub fn new() -> Self {
        Self { notes: Arc::new(Notes::default()), cancel: Cancel::new(), previous: Arc::default() }
    }

    /// A bench where the user set `BP_HOSTILE` to `word`.
    pub fn bench(&self, loaded: &Loaded, phase: Phase, word: &str) -> Arc<Workbench> {
        let shop = Shop {
            target: Target { platform: Platform::linux("amd64"), distro: None },
            exec_env: ExecEnv::default(),
            settings: Arc::new(BTreeMap::from([("BP_HOSTILE".to_owned(), word.to_owned())])),
            bindings: Arc::default(),
            artifacts: Arc::new(Nowhere),
            observer: Arc::clone(&self.notes) as Arc<dyn Observer>,
            ledger: Arc::new(Unwritten),
            cancel: self.cancel.clone(),
            scratch: std::env::temp_dir(),
            limits: BenchLimits { log_bytes: 100_000, ..BenchLimits::default() },
            memory: Memory::none(),
            previous: Arc::clone(&self.previous),
        };
        let mut app = Tree::new();
        let zip = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
        app.insert("a.zip".parse().unwrap(), Node::file(Arc::new(Bytes::new(zip)), false)).unwrap();
        Arc::new(Workbench::new(&shop, loaded.manifest(), loaded.grants(), phase, app))
    }

    pub fn detect(&self, loaded: &Loaded, word: &str) -> Result<Verdict, RunError> {
        loaded.detect(&self.bench(loaded, Phase::Detect, word))
    }

    pub fn build(&self, loaded: &Loaded, word: &str) -> Result<Report, RunError> {
        loaded.build(&self.bench(loaded, Phase::Build, word), &[])
    }
}

/// The hostile guest on an engine with these limits. Its code is kept in the target folder between tests.
pub fn hostile(limits: Limits) -> Loaded {
    let engine = Engine::new(limits, None).unwrap();
    engine.load(&guest("hostile"), None, &Capabilities::usual()).unwrap()
}

/// The hostile guest under [`strict`] limits: one engine for all tests, as in a process of its own.
pub fn strict_hostile() -> &'static Loaded {
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    LOADED.get_or_init(|| hostile(strict()))
}

/// After whatever a guest did, the same engine runs it as if nothing had been.
pub fn goes_on(loaded: &Loaded) {
    // Calls run beside each other in tests, so this one may have to wait for its turn at a processor.
    let answer = Place::new().build(loaded, "").expect("a well-behaved call after a hostile one");
    assert_eq!(answer.launch.processes.len(), 1);
}
