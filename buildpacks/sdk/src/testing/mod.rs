//! A host for tests: a buildpack runs natively, in the test's own process, and its answers and effects are looked at.
//!
//! This needs the feature `testing`, in `[dev-dependencies]`:
//!
//! ```toml
//! [dev-dependencies]
//! stave-sdk = { path = "…", features = ["testing"] }
//! ```
//!
//! Behind [`Host`] is no imitation: the SDK's functions call the workbench of the real host, with every check of phase, grant
//! and limit, and only what surrounds it is given by the test: the app's files, settings, bindings, and the bytes of
//! dependencies. What differs from a component is the sandbox. A native buildpack can see the machine's files, clock and
//! environment, and what it prints goes to the test's output and not to the log: whoever uses these is found out by
//! `stave buildpack test`, which runs the component. A panic ends the same way in both, as [`NoAnswer::Stopped`]; time and
//! memory are not limited here.
//!
//! ```
//! # use stave_sdk::{Buildpack, Failure, Process, Report, Requirement, Verdict, app};
//! # struct Hello;
//! # impl Buildpack for Hello {
//! #     fn detect() -> Result<Verdict, Failure> {
//! #         Ok(match app::read_text("hello.txt", 100)? {
//! #             Some(_) => Verdict::pass(),
//! #             None => Verdict::skip("no hello.txt"),
//! #         })
//! #     }
//! #     fn build(_: &[Requirement]) -> Result<Report, Failure> {
//! #         Ok(Report { processes: vec![Process::new("web", ["cat", "hello.txt"])], ..Report::default() })
//! #     }
//! # }
//! use stave_sdk::testing::Host;
//!
//! // `Host::new()` takes the crate's own buildpack.toml.
//! let host = Host::of_manifest(
//!     "contract = \"0.1\"\n[buildpack]\nid = \"acme/hello\"\nversion = \"0.1.0\"\n[asks]\ninterfaces = [\"app\"]\n",
//! );
//! assert_eq!(host.detect(&Hello).skipped(), Some("no hello.txt"));
//!
//! let host = host.file("hello.txt", "hi");
//! assert!(host.detect(&Hello).passes());
//! let built = host.build(&Hello, &[]);
//! assert_eq!(built.report().processes[0].command, ["cat", "hello.txt"]);
//! ```

pub(crate) mod backend;
pub(crate) mod convert;
mod native;
mod outcome;
mod ports;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use stave_archive::{
    content::Bytes,
    limits::Limits as ArchiveLimits,
    tree::{Node, Tree, TreePath},
};
use stave_lifecycle::{
    app, build, memory,
    port::{buildpack::Buildpack as Runnable, cancel::Cancel, ledger::Unwritten},
    previous::Previous,
    workbench::{Limits, Shop},
};
use stave_model::{
    binding::{self, Bindings},
    id::ExecEnv,
    image::LAYERS_DIR,
    manifest::Manifest,
    plan::{self, Candidate, Effort},
    target::{Distro, Platform, Target},
};

pub use self::outcome::{Built, Detected, Files, Layer, Message, NoAnswer};
use self::{
    native::Native,
    ports::{Given, Listener},
};
use crate::{Buildpack, Requirement, Verdict};

/// A host around one buildpack, put together by a test. It asks for what its manifest asks for, and is granted all of it.
///
/// A method that is given something impossible, such as a path that no app can have, ends the test with the reason.
#[derive(Debug, Clone)]
pub struct Host {
    manifest: Manifest,
    app: Tree,
    settings: BTreeMap<String, String>,
    bindings: Bindings,
    target: Target,
    exec_env: ExecEnv,
    given: Given,
    notes: BTreeMap<String, String>,
}

impl Host {
    /// A host with an empty app, for the buildpack of the crate that is tested: cargo says where its `buildpack.toml` is.
    #[track_caller]
    pub fn new() -> Self {
        let folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let folder = folder.unwrap_or_else(|| panic!("no CARGO_MANIFEST_DIR: the test is not run by cargo"));
        let file = folder.join("buildpack.toml");
        let text = std::fs::read_to_string(&file);
        Self::of_manifest(&text.unwrap_or_else(|error| panic!("could not read {}: {error}", file.display())))
    }

    /// The same for a buildpack with this `buildpack.toml`.
    #[track_caller]
    pub fn of_manifest(text: &str) -> Self {
        let manifest = Manifest::parse(text);
        Self {
            manifest: manifest.unwrap_or_else(|error| panic!("the manifest is not one: {}", chain(&error))),
            app: Tree::new(),
            settings: BTreeMap::new(),
            bindings: Bindings::new(),
            target: Target { platform: Platform::linux("amd64"), distro: None },
            exec_env: ExecEnv::default(),
            given: Given::default(),
            notes: BTreeMap::new(),
        }
    }

    /// Gives the app a file.
    #[track_caller]
    #[must_use]
    pub fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        self.put(path, Node::file(Arc::new(Bytes::new(contents.as_ref())), false))
    }

    /// Gives the app a file that can be run.
    #[track_caller]
    #[must_use]
    pub fn program(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        self.put(path, Node::file(Arc::new(Bytes::new(contents.as_ref())), true))
    }

    /// Gives the app a symbolic link.
    #[track_caller]
    #[must_use]
    pub fn link(self, path: &str, destination: &str) -> Self {
        self.put(path, Node::Link(destination.to_owned()))
    }

    #[track_caller]
    fn put(mut self, path: &str, node: Node) -> Self {
        let at: TreePath = path.parse().unwrap_or_else(|error| panic!("`{path}` is no path of an app: {error}"));
        let put = self.app.replace(at, node);
        put.unwrap_or_else(|error| panic!("could not put `{path}` into the app: {error}"));
        self
    }

    /// Takes a folder, a jar or a zip of the disk as the app, as `stave build` does. What was given before is replaced.
    #[track_caller]
    #[must_use]
    pub fn app(mut self, path: impl AsRef<Path>) -> Self {
        let opened = app::open(path.as_ref(), &app::selection::Selection::default(), &ArchiveLimits::default(), None);
        self.app = opened.unwrap_or_else(|error| panic!("{}", chain(&error))).tree;
        self
    }

    /// Gives a setting, as `-e NAME=VALUE` does.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Builds for a platform, such as `linux/arm64`, and not for `linux/amd64`.
    #[track_caller]
    #[must_use]
    pub fn platform(mut self, platform: &str) -> Self {
        self.target.platform = platform.parse().unwrap_or_else(|error| panic!("{error}"));
        self
    }

    /// Builds for a base of this distribution, by `ID` and `VERSION_ID` of its os-release.
    #[must_use]
    pub fn distro(mut self, name: &str, version: &str) -> Self {
        self.target.distro = Some(Distro { name: name.to_owned(), version: version.to_owned() });
        self
    }

    /// Builds for this execution environment, such as `test`, and not for `production`.
    #[track_caller]
    #[must_use]
    pub fn exec_env(mut self, name: &str) -> Self {
        self.exec_env = name.parse().unwrap_or_else(|error| panic!("{error}"));
        self
    }

    /// Hands over a service binding of the type `kind`.
    #[track_caller]
    #[must_use]
    pub fn binding(mut self, name: &str, kind: &str, entries: &[(&str, &str)]) -> Self {
        let mut files: BTreeMap<String, Vec<u8>> =
            entries.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        files.insert("type".to_owned(), kind.as_bytes().to_vec());
        let made = binding::Binding::new(name, files);
        let made = made.unwrap_or_else(|error| panic!("`{name}` is no binding: {error}"));
        self.bindings.insert(made.name.clone(), made);
        self
    }

    /// Says what the file of a declared dependency is, whatever SHA-256 the manifest has: nothing is fetched in a test, and a
    /// dependency that is not given cannot be.
    #[track_caller]
    #[must_use]
    pub fn dependency(mut self, id: &str, version: &str, file: impl Into<Vec<u8>>) -> Self {
        let mut declared = self.manifest.dependencies.iter();
        let is_declared = declared.any(|other| other.id == id && other.version.to_string() == version);
        assert!(is_declared, "the manifest of {} declares no dependency {id} {version}", self.manifest.title());
        self.given.add(id, version, file.into());
        self
    }

    /// Lets there have been a build before that ended with this note, beside those given already.
    #[must_use]
    pub fn note(mut self, name: &str, value: &str) -> Self {
        self.notes.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Asks the buildpack whether it takes part.
    pub fn detect<B: Buildpack>(&self, _: &B) -> Detected {
        self.detect_as(&Native::<B>::new(&self.manifest))
    }

    /// Lets the buildpack work. `plan` are the entries of the resolved plan that it provides.
    pub fn build<B: Buildpack>(&self, _: &B, plan: &[Requirement]) -> Built {
        self.build_as(&Native::<B>::new(&self.manifest), plan)
    }

    /// Detects, resolves the plan as if no other buildpack were there, and builds. A buildpack that does not pass, or whose plan
    /// has nobody else's help, ends the test with the reason.
    #[track_caller]
    pub fn detect_and_build<B: Buildpack>(&self, buildpack: &B) -> Built {
        let detected = self.detect(buildpack);
        assert!(detected.passes(), "it does not pass detection, but {detected}");
        self.build(buildpack, &self.plan(&detected))
    }

    /// The requirements that a buildpack which passed is given where no other buildpack is there.
    #[track_caller]
    pub fn plan(&self, detected: &Detected) -> Vec<Requirement> {
        let Ok(Verdict::Pass(ways)) = &detected.answer else { panic!("it does not pass detection, but {detected}") };
        let way = |way: &crate::Alternative| plan::Alternative {
            provides: way.provides.clone(),
            requires: way.requires.iter().map(convert::requirement).collect(),
        };
        let (who, alternatives) = (self.manifest.title(), ways.iter().map(way).collect());
        let resolved = plan::resolve(&[Candidate { who, optional: false, alternatives }], &mut Effort::default());
        let misfits = resolved.trials.iter().flat_map(|trial| &trial.misfits).map(ToString::to_string);
        let misfits: Vec<String> = misfits.collect();
        let plan = resolved.plan.unwrap_or_else(|| panic!("its plan does not hold alone: {}", misfits.join("; ")));
        plan.requirements_for(0, &[]).into_iter().map(convert::requirement_back).collect()
    }

    /// The same as [`Host::detect`] for whatever the lifecycle can run, such as a component that the engine loaded.
    pub fn detect_as(&self, buildpack: &dyn Runnable) -> Detected {
        let listener = Arc::new(Listener::default());
        let answer = memory::detect(&self.shop(&listener), buildpack, &self.app);
        let answer = answer.map(convert::verdict_back).map_err(NoAnswer::of);
        Detected { answer, messages: listener.heard() }
    }

    /// The same as [`Host::build`] for whatever the lifecycle can run, such as a component that the engine loaded.
    pub fn build_as(&self, buildpack: &dyn Runnable, plan: &[Requirement]) -> Built {
        let listener = Arc::new(Listener::default());
        let plan: Vec<plan::Requirement> = plan.iter().map(convert::requirement).collect();
        let done = build::one(&self.shop(&listener), buildpack, &plan, Arc::new(self.app.clone()));
        let messages = listener.heard();
        match done {
            Err(error) => {
                let answer = Err(NoAnswer::of_build(error));
                Built { answer, layers: Vec::new(), app: Files::default(), messages }
            }
            Ok(build::One { report, layers, app }) => {
                let folder = format!("{LAYERS_DIR}/{}", self.manifest.buildpack.id.escaped());
                let layers = layers.into_iter().map(|draft| Layer::new(draft, &folder)).collect();
                let (answer, app) = (Ok(convert::report_back(report)), Files(Arc::unwrap_or_clone(app)));
                Built { answer, layers, app, messages }
            }
        }
    }

    fn shop(&self, listener: &Arc<Listener>) -> Shop {
        Shop {
            target: self.target.clone(),
            exec_env: self.exec_env.clone(),
            settings: Arc::new(self.settings.clone()),
            bindings: Arc::new(self.bindings.clone()),
            artifacts: Arc::new(self.given.clone()),
            observer: Arc::clone(listener) as _,
            ledger: Arc::new(Unwritten),
            cancel: Cancel::new(),
            scratch: std::env::temp_dir(),
            limits: Limits::default(),
            memory: memory::Memory::none(),
            previous: Arc::new(Previous::of_notes(self.manifest.buildpack.id.clone(), self.notes.clone())),
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
