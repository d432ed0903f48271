//! B6 and B9: one large layer. An app of a gigabyte (mixed files; files that do not compress; 200,000 tiny ones) becomes the one
//! layer of its image, published, and as a layout. B9 looks at the memory that this takes, up to ten of them.

use std::path::Path;

use crate::{
    builds::{builder, size_of},
    corpus::{self, Files},
    creator::Creator,
    gauge::{self, Figures, measure},
    machine,
    support::{
        env::TestEnv,
        process::{run as run_quietly, succeeds},
        registry::Registry,
        tools::tool,
    },
    table::{Beside, Row, Sample, loudly},
    world::{World, base_layout, env, forget, forget_all_but_code, planter, publish_base},
};

const RUNS: usize = 3;
/// How often the lifecycle packs more than a gigabyte, which takes it minutes.
const LONG_RUNS: usize = 1;
const LARGE: usize = 1_000_000_000;
const TINY: usize = 200_000;

pub(crate) fn run(world: &World, wanted: &dyn Fn(&str) -> bool) {
    if wanted("B6") {
        let large = world.size(LARGE, 10_000_000);
        Scene::new(world, "mixed files", |app| Files::new(17).mixed(app, large)).rows();
        Scene::new(world, "files that do not compress", |app| Files::new(19).random(app, large)).rows();
        let tiny = world.size(TINY, 2000);
        Scene::new(world, "200,000 tiny files", |app| corpus::tiny(app, tiny)).rows();
    }
    if wanted("B9") {
        for (bytes, files) in [(LARGE as u64, 1), (10_000_000_000, 1)] {
            let bytes = world.size(bytes, bytes / 50);
            let what = format!("{}.{} GB of zeros", bytes / 1_000_000_000, bytes / 100_000_000 % 10);
            Scene::new(world, &what, |app| corpus::sparse(app, bytes, files)).memory();
        }
    }
}

/// One app and where it goes.
struct Scene<'a> {
    world: &'a World,
    env: TestEnv,
    registry: Registry,
    base: String,
    what: String,
}

impl<'a> Scene<'a> {
    fn new(world: &'a World, what: &str, fill: impl Fn(&Path)) -> Self {
        let env = env();
        let registry = Registry::start(&env);
        let base = publish_base(&env, &registry, "stacks/run:1");
        fill(&env.work().join("app"));
        builder(&env, &base, &[planter(&env, "app", None)]);
        // Compiles the buildpack, which is not what is measured.
        measure(&mut world.stave(&env, &["detect", "app", "--builder", "builder.toml", "--quiet"]));
        // What was written is on the disk before anything is measured.
        succeeds(&mut tool("sync"));
        Self { world, env, registry, base, what: what.to_owned() }
    }

    fn ours(&self, more: &[&str]) -> Figures {
        forget_all_but_code(&self.env);
        let arguments = ["build", "app", "--builder", "builder.toml", "--quiet"];
        measure(&mut self.world.stave(&self.env, &[&arguments[..], more].concat()))
    }

    fn published(&self, form: &str) -> Sample {
        let mut number = 0;
        Sample::of(self.world.runs(RUNS), || {
            number += 1;
            let name = self.registry.reference(&format!("{}-{number}/app:1", form.replace(':', "-")));
            self.ours(&["--compression", form, "--tag", &name, "--publish"])
        })
    }

    fn in_layout(&self, form: &str) -> Sample {
        Sample::of(self.world.runs(RUNS), || {
            forget(&self.env.work().join("out"));
            self.ours(&["--compression", form, "--to", "oci:out"])
        })
    }

    fn rows(&self) {
        let app = self.env.work().join("app");
        let limit = Some(machine::looking(&app) + machine::packing(self.bytes(), &[&app]));
        let row = |how: &str, ours, peers| {
            Row { what: format!("B6 {}, {how}", self.what), ours: Ok(ours), peers, limit }.print();
        };
        row("gzip, published", self.published("gzip:1"), vec![self.exporter(RUNS), self.crane()]);
        row("gzip, as a layout", self.in_layout("gzip:1"), vec![self.umoci()]);
        row("zstd, published", self.published("zstd:1"), vec![]);
    }

    fn bytes(&self) -> u64 {
        size_of(&self.env.work().join("app"))
    }

    fn memory(&self) {
        let what = format!("B9 {}, published", self.what);
        let runs = if self.bytes() > LARGE as u64 { LONG_RUNS } else { RUNS };
        let limit = Some(machine::packing(self.bytes(), &[&self.env.work().join("app")]));
        Row { what, ours: Ok(self.published("gzip:1")), peers: vec![self.exporter(runs)], limit }.print();
    }

    /// As the phase that comes after the build.
    fn exporter(&self, runs: usize) -> Beside {
        let Some(peers) = self.world.peers else {
            return ("exporter".to_owned(), Err(loudly("exporter", "see `cargo xtask peers`")));
        };
        let creator = Creator::new(&self.env, peers, "exporter", &self.base);
        let app = self.env.work().join("app");
        let mut number = 0;
        let sample = Sample::of(self.world.runs(runs), || {
            number += 1;
            creator.fresh(&app);
            measure(&mut creator.export(&self.env, &self.registry.reference(&format!("exporter-{number}/app:1"))))
        });
        forget(&creator.app());
        ("exporter".to_owned(), Ok(sample))
    }

    /// It takes an archive, so tar makes one beside it.
    fn crane(&self) -> Beside {
        let name = "tar \\| crane append".to_owned();
        let Some(peers) = self.world.peers else { return (name, Err(loudly("crane", "see `cargo xtask peers`"))) };
        let mut number = 0;
        let sample = Sample::of(self.world.runs(RUNS), || {
            number += 1;
            let mut command = gauge::command(&self.env, "/bin/sh");
            command.args(["-c", "tar -C app -cf - . | \"$1\" append -f - -b \"$2\" -t \"$3\""]).arg("sh");
            command.arg(peers.path("crane")).arg(&self.base);
            measure(command.arg(self.registry.reference(&format!("crane-{number}/app:1"))))
        });
        (name, Ok(sample))
    }

    /// It puts a folder into an image of a layout.
    fn umoci(&self) -> Beside {
        let (layout, base) = (self.env.work().join("umoci"), base_layout(&self.env, "1"));
        let program = tool("umoci").get_program().to_owned();
        let sample = Sample::of(self.world.runs(RUNS), || {
            forget(&layout);
            let (from, to) = (format!("oci:{}", base.display()), format!("oci:{}:base", layout.display()));
            succeeds(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &to]));
            let mut command = gauge::command(&self.env, &program);
            command.args(["insert", "--image", "umoci:base", "--tag", "app"]);
            if !rustix::process::getuid().is_root() {
                command.arg("--rootless");
            }
            measure(command.args(["app", "/workspace"]))
        });
        forget(&layout);
        (versioned("umoci"), Ok(sample))
    }
}

/// A tool that the distribution brings is of the version that it has.
fn versioned(name: &str) -> String {
    let said = run_quietly(tool(name).arg("--version")).stdout;
    said.split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .map_or_else(|| name.to_owned(), |version| format!("{name} {}", version.split('+').next().unwrap_or(version)))
}
