//! Where it all happens: folders of its own, the program as people install it, the peers, and how much is done.

use std::{
    cell::RefCell,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use stave_lifecycle::port::{cancel::Cancel, observer::Silent, sink::Sink as _};
use stave_model::{component::embed, target::Platform};
use stave_oci::{
    layout::{LayoutFolder, Place},
    testing,
};

use crate::{
    gauge,
    support::{
        env::TestEnv,
        guests,
        peers::Peers,
        process::{cargo, succeeds, target_folder},
        registry::Registry,
        tools::tool,
    },
};

/// What every scenario has.
pub(crate) struct World {
    pub(crate) stave: PathBuf,
    pub(crate) peers: Option<&'static Peers>,
    /// Small inputs and few runs: to see that it works, and for nothing else.
    pub(crate) is_small: bool,
    /// The most runs of anything.
    most_runs: usize,
    /// What is said below the table.
    notes: RefCell<Vec<String>>,
}

impl World {
    /// Builds the program and the peers, so that no compiler runs beside what is measured.
    pub(crate) fn new() -> Self {
        let is_small = std::env::var_os("STAVE_BENCH_SMALL").is_some_and(|value| value != "0");
        let most_runs = std::env::var("STAVE_BENCH_RUNS").map_or(usize::MAX, |number| number.parse().unwrap());
        let stave = std::env::var_os("STAVE_BENCH_PROGRAM").map_or_else(release, PathBuf::from);
        let peers = Peers::here("rows with the lifecycle and crane");
        Self { stave, peers, is_small, most_runs, notes: RefCell::default() }
    }

    /// A number, or the one for small inputs.
    pub(crate) fn size<T>(&self, usual: T, small: T) -> T {
        if self.is_small { small } else { usual }
    }

    /// How often something is run that takes so long in the full benchmark.
    pub(crate) fn runs(&self, usual: usize) -> usize {
        self.size(usual, 2).min(self.most_runs).max(1)
    }

    /// Keeps a sentence for below the table.
    pub(crate) fn note(&self, text: String) {
        self.notes.borrow_mut().push(text);
    }

    /// All such sentences.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.take()
    }

    /// The program, measured.
    pub(crate) fn stave(&self, env: &TestEnv, arguments: &[&str]) -> Command {
        let mut command = gauge::command(env, &self.stave);
        command.args(arguments);
        command
    }
}

/// The program as people install it. The words are those of the aliases, so that nothing is compiled twice.
fn release() -> PathBuf {
    succeeds(cargo().args(["build", "--quiet", "--release", "--workspace", "--bin", "stave", "--bench", "peers"]));
    target_folder().join("release/stave")
}

/// Folders for one scenario. Peers that give up their rights see them too.
pub(crate) fn env() -> TestEnv {
    let env = TestEnv::empty();
    for folder in [env.root().to_owned(), env.work(), env.root().join("tmp")] {
        let mode = if folder.ends_with("tmp") { 0o777 } else { 0o755 };
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    }
    env
}

/// A base image of one small file with this text, as a layout.
pub(crate) fn base_layout(env: &TestEnv, text: &str) -> PathBuf {
    let text = format!("ID=none\nVERSION_ID={text}\n");
    let base = testing::image(&Platform::of_this_machine().arch, vec![testing::layer(&[("etc/os-release", &text)])]);
    let folder = env.root().join(format!("base-{}", base.digest().hex()));
    let sink = LayoutFolder::new(Place { folder: folder.clone(), name: None });
    sink.put(&base, &Silent, &Cancel::new()).unwrap();
    folder
}

/// Puts a layout's image into a registry.
pub(crate) fn publish(layout: &Path, reference: &str) {
    let (from, to) = (format!("oci:{}", layout.display()), format!("docker://{reference}"));
    succeeds(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", &from, &to]));
}

/// A base image of one small file, as `name` in a registry; answers its reference.
pub(crate) fn publish_base(env: &TestEnv, registry: &Registry, name: &str) -> String {
    let reference = registry.reference(name);
    publish(&base_layout(env, "1"), &reference);
    reference
}

/// The guest `planter` under a name of its own, asking for one setting or for none; answers its file's name.
pub(crate) fn planter(env: &TestEnv, name: &str, setting: Option<&str>) -> String {
    let asks = setting.map(|setting| format!("settings = [\"{setting}\"]\n")).unwrap_or_default();
    let manifest = format!(
        "contract = \"0.1\"\n[buildpack]\nid = \"bench/{name}\"\nversion = \"1.0.0\"\n\
         [asks]\ninterfaces = [\"layers\", \"overlay\"]\n{asks}"
    );
    let file = format!("{name}.wasm");
    env.write(&file, embed(&guests::bare("planter"), &manifest).unwrap());
    file
}

/// Throws a folder away, if there is one.
pub(crate) fn forget(folder: &Path) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
}

/// Throws away all that the program keeps between runs, but the code of compiled buildpacks.
pub(crate) fn forget_all_but_code(env: &TestEnv) {
    for entry in fs::read_dir(env.cache()).unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != "code") {
        if entry.file_type().unwrap().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        } else {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    forget(&env.data());
    fs::create_dir(env.data()).unwrap();
}
