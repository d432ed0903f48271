//! Ports in memory and a buildpack of a few lines, so that the flow is tested without disk, network or wasm.

mod memory;

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use stave_archive::{
    content::{Bytes, Span},
    tree::{Access, Node, Tree},
};
use stave_model::{
    binding::{Binding, Bindings},
    capability::{Capabilities, Interface},
    dependency::{Artifact, Dependency},
    digest::Digest,
    id::ExecEnv,
    manifest::Manifest,
    plan::Requirement,
    policy::record::Record,
    target::{Platform, Target},
};

use crate::{
    port::{
        artifacts::ArtifactSource,
        buildpack::{Buildpack, Report, RunError, Verdict},
        cancel::Cancel,
        failure::{Fault, PortError},
        ledger::{Ledger, Unwritten},
        observer::{Event, Observer},
    },
    workbench::{Limits, Phase, Shop, Workbench},
};

pub(crate) use self::memory::Memory;

/// Bytes as a file that has no name any more.
pub(crate) fn span(bytes: &[u8]) -> Span {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Span::whole(file).unwrap()
}

/// A tree: `path` and text; a path that ends in `/` is a folder, a text that starts with `-> ` a link, with `#!` a program.
pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::new();
    for (path, text) in files {
        let node = match text.strip_prefix("-> ") {
            _ if path.ends_with('/') => Node::Folder(Access::FOLDER),
            Some(destination) => Node::Link(destination.to_owned()),
            None => Node::file(Arc::new(Bytes::new(text.as_bytes())), text.starts_with("#!")),
        };
        tree.insert(path.parse().unwrap(), node).unwrap();
    }
    tree
}

/// A tree as lines, for a look at all of it; folders only where they are empty.
pub(crate) fn shown(tree: &Tree) -> String {
    let has_children = |folder: &str| tree.iter().any(|(path, _)| path.parent().is_some_and(|p| p.as_str() == folder));
    let line = |(path, node): (&stave_archive::tree::TreePath, &Node)| match node {
        Node::Folder(_) if has_children(path.as_str()) => None,
        Node::Folder(_) => Some(format!("{path}/")),
        Node::Link(text) => Some(format!("{path} -> {text}")),
        Node::File(access, content) => {
            let bytes = content.bytes(1 << 20).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            let star = if access.mode & 0o111 == 0 { "" } else { "*" };
            Some(format!("{path}{star} = {text}"))
        }
    };
    tree.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

/// A zip whose entries are stored; a name that ends in `/` is a folder.
pub(crate) fn zip(entries: &[(&str, &str)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let short = |n: usize| u16::try_from(n).unwrap().to_le_bytes();
    let long = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    for (name, text) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(text.as_bytes());
        let sizes = [crc.sum().to_le_bytes(), long(text.len()), long(text.len())].concat();
        let offset = out.len();
        out.extend([&b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0"[..], &sizes, &short(name.len()), b"\0\0"].concat());
        out.extend([name.as_bytes(), text.as_bytes()].concat());
        directory.extend([&b"PK\x01\x02\x0a\0\x0a\0\0\0\0\0\0\0\0\0"[..], &sizes, &short(name.len())].concat());
        directory.extend([&[0; 12][..], &long(offset), name.as_bytes()].concat());
    }
    let count = short(entries.len());
    let end = [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &long(directory.len()), &long(out.len()), b"\0\0"].concat();
    [out, directory, end].concat()
}

/// A gzipped tar; see [`tree`] for what texts mean.
pub(crate) fn tar_gz(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, text) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(if text.starts_with("#!") { 0o755 } else { 0o600 });
        if let Some(destination) = text.strip_prefix("-> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, path, destination).unwrap();
        } else {
            header.set_size(text.len() as u64);
            builder.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// Remembers what happened.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<Event>>);

impl Recorder {
    /// What happened so far; afterwards it is forgotten.
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Recorder {
    fn observe(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// Artefacts by their digest.
#[derive(Default)]
pub(crate) struct Artifacts(BTreeMap<Digest, Vec<u8>>);

impl Artifacts {
    pub(crate) fn of(files: &[&[u8]]) -> Self {
        Self(files.iter().map(|file| (Digest::of(file), file.to_vec())).collect())
    }
}

impl ArtifactSource for Artifacts {
    fn fetch(
        &self,
        dependency: &Dependency,
        artifact: &Artifact,
        _observer: &dyn Observer,
        _cancel: &Cancel,
    ) -> Result<Span, PortError> {
        let attempt = format!("could not fetch {} {}", dependency.id, dependency.version);
        let file = self.0.get(&artifact.sha256);
        let file = file.ok_or_else(|| PortError::new(Fault::Integrity, format!("{attempt}: it has another digest")))?;
        Ok(span(file))
    }
}

/// Keeps what is entered.
#[derive(Default)]
pub(crate) struct Book(Mutex<BTreeMap<Digest, Record>>);

impl Book {
    /// What was entered of a component, once.
    pub(crate) fn take(&self, component: &Digest) -> Record {
        self.0.lock().unwrap().remove(component).unwrap_or_default()
    }
}

impl Ledger for Book {
    fn enter(&self, component: &Digest, record: &Record) {
        self.0.lock().unwrap().entry(*component).or_default().merge(record);
    }
}

/// A database with a password, and a certificate.
fn bindings() -> Bindings {
    let binding = |name: &str, files: &[(&str, &str)]| {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), text.as_bytes().to_vec())).collect();
        let binding = Binding::new(name, files).unwrap();
        (binding.name.clone(), binding)
    };
    Bindings::from([
        binding("db", &[("type", "PostgreSQL"), ("provider", "acme"), ("port", "5432"), ("password", "hunter22\n")]),
        binding(
            "roots",
            &[
                ("type", "ca-certificates"),
                ("root.pem", "-----BEGIN CERTIFICATE-----\nabcdefghij\n-----END CERTIFICATE-----\n"),
            ],
        ),
    ])
}

/// A shop with `settings` and bindings that sells `artifacts`, and who is told.
pub(crate) fn shop(artifacts: Artifacts) -> (Shop, Arc<Recorder>) {
    let observer = Arc::new(Recorder::default());
    let settings = [("BP_VERSION", "21"), ("BP_OTHER", "x"), ("SECRET", "y")];
    let shop = Shop {
        target: Target { platform: Platform::linux("amd64"), distro: None },
        exec_env: ExecEnv::default(),
        settings: Arc::new(settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()),
        bindings: Arc::new(bindings()),
        artifacts: Arc::new(artifacts),
        observer: observer.clone(),
        ledger: Arc::new(Unwritten),
        cancel: Cancel::new(),
        scratch: std::env::temp_dir(),
        limits: Limits::default(),
        memory: crate::memory::Memory::none(),
        previous: Arc::default(),
    };
    (shop, observer)
}

/// Every interface, packages of `pypi`, settings that start with `BP_`, and bindings of databases.
pub(crate) fn everything() -> Capabilities {
    Capabilities {
        interfaces: Interface::ALL.into(),
        ecosystems: ["pypi".to_owned()].into(),
        settings: ["BP_*".to_owned()].into(),
        bindings: ["postgresql".to_owned()].into(),
        hosts: ["*.example.com".to_owned()].into(),
    }
}

/// The manifest of `id@version`, which asks for [`everything`].
pub(crate) fn manifest(title: &str) -> Manifest {
    let (id, version) = title.split_once('@').unwrap();
    let text = format!("contract = \"0.1\"\n[buildpack]\nid = {id:?}\nversion = {version:?}\n");
    Manifest { asks: everything(), ..Manifest::parse(&text).unwrap() }
}

/// A bench of `acme/tool@1.2.3` in build, with `app` and every grant.
pub(crate) fn bench(shop: &Shop, app: Tree) -> Workbench {
    Workbench::new(shop, &manifest("acme/tool@1.2.3"), &everything(), Phase::Build, app)
}

/// An error with its causes and its hint, as people read it.
pub(crate) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str("\n  caused by: ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if let Some(hint) = PortError::within(error).and_then(|error| error.hint.as_deref()) {
        text.push_str("\n  hint: ");
        text.push_str(hint);
    }
    text
}

/// The error of a call to a bench: its fault, and the rest as [`told`].
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, PortError>) -> String {
    let error = answer.unwrap_err();
    format!("{:?}: {}", error.fault, told(&error))
}

type Detect = Box<dyn Fn(&Workbench) -> Result<Verdict, RunError> + Send + Sync>;
type Build = Box<dyn Fn(&Workbench, &[Requirement]) -> Result<Report, RunError> + Send + Sync>;

/// A buildpack in Rust.
pub(crate) struct Fake {
    pub(crate) manifest: Manifest,
    pub(crate) asked: AtomicUsize,
    detect: Detect,
    build: Build,
    pub(crate) grants: Capabilities,
}

impl Fake {
    /// `id@version`: passes, and builds nothing.
    pub(crate) fn new(title: &str) -> Self {
        Self {
            manifest: manifest(title),
            asked: AtomicUsize::new(0),
            detect: Box::new(|_| Ok(Verdict::Pass(Vec::new()))),
            build: Box::new(|_, _| Ok(Report::default())),
            grants: everything(),
        }
    }

    pub(crate) fn detects(
        mut self,
        detect: impl Fn(&Workbench) -> Result<Verdict, RunError> + Send + Sync + 'static,
    ) -> Self {
        self.detect = Box::new(detect);
        self
    }

    pub(crate) fn builds(
        mut self,
        build: impl Fn(&Workbench, &[Requirement]) -> Result<Report, RunError> + Send + Sync + 'static,
    ) -> Self {
        self.build = Box::new(build);
        self
    }
}

impl Buildpack for Fake {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn digest(&self) -> Digest {
        Digest::of(self.manifest.title().as_bytes())
    }

    fn grants(&self) -> &Capabilities {
        &self.grants
    }

    fn detect(&self, bench: &Arc<Workbench>) -> Result<Verdict, RunError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        (self.detect)(bench)
    }

    fn build(&self, bench: &Arc<Workbench>, requirements: &[Requirement]) -> Result<Report, RunError> {
        (self.build)(bench, requirements)
    }
}

/// A folder on disk with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }
    let path = root.path().to_owned();
    (root, path)
}
