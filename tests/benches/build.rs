//! How long people wait, beside what this machine can do at best: a table for `host/README.md`.
//!
//! `cargo bench-build` prints it, `cargo bench-build -- fleet` only the rows of a part. Programs and libraries are built for
//! release; what a build fetches is fetched before.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and ends where it cannot go on")]

#[expect(dead_code, reason = "what the tests share is more than a benchmark needs")]
#[path = "../src/support/mod.rs"]
mod support;

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use stave_archive::content::Span;
use stave_engine::{Engine, Limits, compiled::CodeStore};
use stave_lifecycle::{
    app,
    detect::{Lineup, detect},
    memory::Memory,
    port::{
        artifacts::ArtifactSource,
        buildpack::Buildpack,
        cancel::Cancel,
        failure::{Fault, PortError},
        ledger::Unwritten,
        observer::{Observer, Silent},
    },
    workbench::{Limits as BenchLimits, Phase, Shop, Workbench},
};
use stave_model::{
    component::embed,
    dependency::{Artifact, Dependency},
    digest::Digest,
    id::ExecEnv,
    manifest::Manifest,
    order::{Group, Member},
    target::{Platform, Target},
};
use stave_store::{folders::Folder, results::DiskResults};
use support::{
    app::spring_webdb,
    env::TestEnv,
    platform::World,
    process::{cargo, root, run, succeeds, target_folder},
    registry::Registry,
};

/// How many buildpacks are in a large group.
const GROUP: usize = 50;
/// How many images stand on one stack, unless `STAVE_BENCH_IMAGES` says so.
const FLEET: usize = 1000;
/// Bytes that the machine's own speed is measured with.
const SAMPLE: usize = 256 << 20;

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` are not asked to wait for minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    // First, so that no compiler runs beside what is measured.
    let stave = std::env::var_os("STAVE_BENCH_PROGRAM").map_or_else(release, PathBuf::from);
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |part: &str| asked.is_empty() || asked.iter().any(|one| one == part);
    println!("| What | Median | Worst | Runs |\n|---|---|---|---|");
    // A part alone asks for nothing that the others need.
    let env = OnceCell::new();
    let env = || env.get_or_init(TestEnv::warm);
    let parts: [(&str, &dyn Fn()); 5] = [
        ("machine", &|| machine(env())),
        ("component", &|| component(env())),
        ("group", &|| group(env())),
        ("builds", &|| builds(env(), &stave)),
        ("fleet", &|| fleet(&stave)),
    ];
    for (_, measure) in parts.iter().filter(|(part, _)| is_wanted(part)) {
        measure();
    }
}

fn row(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("| {what} | {} | {} | {} |", shown(median), shown(worst), times.len());
}

fn shown(time: Duration) -> String {
    let micros = time.as_micros();
    if micros < 10_000 {
        format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
    } else {
        format!("{} ms", micros / 1000)
    }
}

fn timed<T>(count: usize, mut work: impl FnMut() -> T) -> Vec<Duration> {
    let once = |_| {
        let started = Instant::now();
        std::hint::black_box(work());
        started.elapsed()
    };
    (0..count).map(once).collect()
}

/// What bounds every build: hashing, compressing and copying on one core.
fn machine(env: &TestEnv) {
    let jar = fs::read(spring_webdb()).unwrap();
    let sample: Vec<u8> = jar.iter().copied().cycle().take(SAMPLE).collect();
    let speed = |what: &str, times: &mut Vec<Duration>| {
        times.sort_unstable();
        let micros = times[times.len() / 2].as_micros().max(1);
        row(&format!("this machine: {what} of 256 MiB ({} MB/s)", SAMPLE as u128 / micros), times);
    };
    speed("SHA-256", &mut timed(5, || Digest::of(&sample)));
    speed(
        "gzip level 1",
        &mut timed(3, || {
            let mut gzip = GzEncoder::new(io::sink(), Compression::new(1));
            gzip.write_all(&sample).unwrap();
            gzip.finish().unwrap();
        }),
    );
    let from = env.write("sample", &sample);
    let to = env.work().join("copy");
    speed(
        "copying a file",
        &mut timed(5, || {
            let mut copy = File::create(&to).unwrap();
            // Read and written, as a layer is; the file system is not asked to share blocks.
            copy.write_all(&fs::read(&from).unwrap()).unwrap();
            copy.sync_data().unwrap();
        }),
    );
}

/// The component of the Java buildpack, as it is inside the program.
fn java() -> Vec<u8> {
    let wasm = fs::read(target_folder().join("embedded/wasm32-wasip2/embedded/stave_java.wasm")).unwrap();
    embed(&wasm, &fs::read_to_string(root().join("buildpacks/java/buildpack.toml")).unwrap()).unwrap()
}

/// Has nothing: detect fetches nothing.
struct Nowhere;

impl ArtifactSource for Nowhere {
    fn fetch(&self, _: &Dependency, _: &Artifact, _: &dyn Observer, _: &Cancel) -> Result<Span, PortError> {
        Err(PortError::new(Fault::Network, "there is nothing here"))
    }
}

fn shop(env: &TestEnv, memory: Memory) -> Shop {
    Shop {
        target: Target { platform: Platform::of_this_machine(), distro: None },
        exec_env: ExecEnv::default(),
        settings: Arc::new(BTreeMap::new()),
        bindings: Arc::default(),
        artifacts: Arc::new(Nowhere),
        observer: Arc::new(Silent),
        ledger: Arc::new(Unwritten),
        cancel: Cancel::new(),
        scratch: env.root().join("tmp"),
        limits: BenchLimits::default(),
        memory,
        previous: Arc::default(),
    }
}

/// A group of many buildpacks: the Procfile buildpack under as many names, each a component of its own.
fn group(env: &TestEnv) {
    let wasm = fs::read(target_folder().join("embedded/wasm32-wasip2/embedded/stave_procfile.wasm")).unwrap();
    let manifest = fs::read_to_string(root().join("buildpacks/procfile/buildpack.toml")).unwrap();
    let components: Vec<Vec<u8>> = (0..GROUP)
        .map(|n| {
            embed(&wasm, &manifest.replace("id = \"stave/procfile\"", &format!("id = \"stave/procfile-{n}\""))).unwrap()
        })
        .collect();
    let code = env.root().join("code-group");
    fs::create_dir_all(&code).unwrap();
    let load = || {
        let engine = Engine::new(Limits::default(), Some(CodeStore::open(&code).unwrap())).unwrap();
        let load = |component: &Vec<u8>| {
            let asks = Manifest::parse(stave_model::component::manifest(component).unwrap()).unwrap().asks;
            Arc::new(engine.load(component, None, &asks).unwrap()) as Arc<dyn Buildpack>
        };
        components.iter().map(load).collect::<Vec<_>>()
    };
    row(&format!("{GROUP} components loaded one by one, first time"), &mut timed(1, load));
    row(&format!("{GROUP} components loaded one by one, code kept"), &mut timed(10, load));
    let buildpacks = load();
    env.write("procfile-app/Procfile", b"web: sleep 1\n");
    let selection = app::selection::Selection::default();
    let app = app::open(&env.work().join("procfile-app"), &selection, &BenchLimits::default().archive, None).unwrap();
    let member = |buildpack: &Arc<dyn Buildpack>| {
        let about = &buildpack.manifest().buildpack;
        Member { id: about.id.clone(), version: None, optional: false, exec_env: Vec::new() }
    };
    let selection = vec![Group { group: buildpacks.iter().map(member).collect() }].into();
    let exec_env = ExecEnv::default();
    let lineup = Lineup { buildpacks: &buildpacks, selection: &selection, exec_env: &exec_env };
    let results = Folder::open(env.root().join("group-results"), "XDG_CACHE_HOME").unwrap();
    let remembering = Memory::of(Arc::new(DiskResults::open(&results).unwrap()));
    for (what, memory) in [("asked", Memory::none()), ("remembered", remembering)] {
        let shop = shop(env, memory);
        let ask = || assert_eq!(detect(&shop, &lineup, &app.tree).unwrap().members.len(), GROUP);
        ask();
        row(&format!("detect over {GROUP} components, {what}"), &mut timed(50, ask));
    }
}

fn component(env: &TestEnv) {
    let component = java();
    let asks = Manifest::parse(stave_model::component::manifest(&component).unwrap()).unwrap().asks;
    let load = |folder: &str| {
        let code = env.root().join(folder);
        fs::create_dir_all(&code).unwrap();
        let engine = Engine::new(Limits::default(), Some(CodeStore::open(&code).unwrap())).unwrap();
        let started = Instant::now();
        let loaded = engine.load(&component, None, &asks).unwrap();
        loaded.prepare().unwrap();
        (started.elapsed(), loaded)
    };
    row("component load, first time", &mut (0..5).map(|n| load(&format!("code-{n}")).0).collect::<Vec<_>>());
    row("component load, code kept", &mut (0..50).map(|_| load("code-0").0).collect::<Vec<_>>());
    let (_, loaded) = load("code-0");
    let shop = shop(env, Memory::none());
    let app = app::open(spring_webdb(), &app::selection::Selection::default(), &shop.limits.archive, None).unwrap();
    let detect = || {
        let bench = Workbench::new(&shop, loaded.manifest(), loaded.grants(), Phase::Detect, app.tree.clone());
        loaded.detect(&Arc::new(bench)).unwrap()
    };
    row("detect, spring-webdb", &mut timed(50, detect));
}

/// The program as people install it. The words are those of the aliases, so that nothing is compiled twice.
fn release() -> PathBuf {
    succeeds(cargo().args(["build", "--quiet", "--release", "--workspace", "--bin", "stave", "--bench", "build"]));
    target_folder().join("release/stave")
}

fn builds(env: &TestEnv, stave: &Path) {
    let jar = spring_webdb();
    let build = || {
        let mut command = env.command(stave);
        command.args(["build", "--verbose", "--tag", "bench"]).arg(jar);
        let said = run(&mut command).succeeds().stderr;
        said.lines().find_map(|line| line.strip_prefix("peak memory ")).unwrap_or("unknown").to_owned()
    };
    let mut first = Vec::new();
    for _ in 0..5 {
        // All but what was fetched: blobs of layers stay, and are written again because nobody knows what they are.
        env.forget_results();
        first.extend(timed(1, build));
    }
    row("first build of spring-webdb, downloads kept", &mut first);
    env.forget_results();
    let of_first = build();
    row("rebuild with nothing changed", &mut timed(10, build));
    println!("\npeak memory: {of_first} for a first build, {} for a rebuild", build());
}

/// Many images on one stack: the stack gets another run image, and all of them are rebased, by the command that says so itself.
/// They are built before, from one source by a buildpack that reads a Procfile. The registry is on the same cores: one in this
/// process, whose work is little, and Debian's.
fn fleet(stave: &Path) {
    let size = std::env::var("STAVE_BENCH_IMAGES").map_or(FLEET, |number| number.parse().unwrap());
    fleet_of(
        size,
        "a registry in one process with the benchmark",
        &World::quick_of(stave, TestEnv::empty(), Registry::in_process()),
    );
    let env = TestEnv::empty();
    let registry = Registry::start(&env);
    fleet_of(size, "Debian's registry", &World::quick_of(stave, env, registry));
}

fn fleet_of(size: usize, registry: &str, world: &World) {
    let made = || world.fleet(size);
    row(&format!("{size} images of one small source wished for, built; {registry}"), &mut timed(1, made));
    let mut times = Vec::new();
    // There, back, and there again.
    for (at, run_image) in [&world.new, &world.old, &world.new].into_iter().enumerate() {
        let patch = format!("clusterstack patch demo-stack --run-image REG/stack/run@{run_image}");
        times.extend(timed(1, || world.typed(&patch)));
        let builds = world.document("build list");
        let is_on_it = |build: &&serde_json::Value| {
            build["number"] == at + 2
                && build["mode"] == "rebase"
                && build["outcome"]["succeeded"]["runImage"].as_str().is_some_and(|image| image.ends_with(run_image))
        };
        assert_eq!(builds.as_array().unwrap().iter().filter(is_on_it).count(), size, "not all were rebased");
    }
    row(&format!("{size} images on one stack, its run image patched: all rebased; {registry}"), &mut times);
}
