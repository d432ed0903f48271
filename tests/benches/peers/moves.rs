//! B4 and B8: images that exist already. B4 puts one on a patched base, over a way to the registry with a round trip of 20 ms.
//! B8 publishes one under ten names that share its layers.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    builds::builder,
    corpus::Files,
    creator::Creator,
    gauge::{self, measure},
    support::{env::TestEnv, registry::Registry, tools::tool},
    table::{Beside, Row, Sample, loudly},
    wire::Wire,
    world::{World, base_layout, env, planter, publish},
};

const ROUND_TRIP: Duration = Duration::from_millis(20);
/// How many round trips a rebase is to need: one manifest and one configuration of two images, a configuration and a manifest to
/// write, what can go side by side doing so.
const ROUND_TRIPS: u32 = 4;
const RUNS: usize = 10;
/// How many names share layers.
const NAMES: usize = 10;

pub(crate) fn run(world: &World, wanted: &dyn Fn(&str) -> bool) {
    if wanted("B4") {
        rebase(world);
    }
    if wanted("B8") {
        share(world);
    }
}

/// Two bases that take turns under one name, as a stack that is patched.
struct Stack<'a> {
    registry: &'a Registry,
    layouts: [PathBuf; 2],
    turn: usize,
}

impl Stack<'_> {
    /// The other base takes the name. Answers the names of the last one and of this one.
    fn patch(&mut self) -> [String; 2] {
        let last = self.turn;
        self.turn = 1 - last;
        publish(&self.layouts[self.turn], &self.registry.reference("stacks/run:1"));
        [last, self.turn].map(|number| format!("stacks/run:v{number}"))
    }
}

fn rebase(world: &World) {
    let env = env();
    let registry = Registry::start(&env);
    let wire = Wire::open(registry.port(), ROUND_TRIP);
    let at = |name: &str| format!("{}/{name}", wire.host());
    let mut stack = Stack { registry: &registry, layouts: ["1", "2"].map(|text| base_layout(&env, text)), turn: 0 };
    for (number, layout) in stack.layouts.iter().enumerate() {
        publish(layout, &registry.reference(&format!("stacks/run:v{number}")));
    }
    publish(&stack.layouts[0], &registry.reference("stacks/run:1"));
    env.write("app/readme.txt", "an app");
    builder(&env, &at("stacks/run:1"), &[planter(&env, "app", None)]);
    for who in ["ours", "crane", "rebaser"] {
        let arguments =
            ["build", "app", "--builder", "builder.toml", "--publish", "--tag", &at(&format!("{who}/app:1"))];
        measure(&mut world.stave(&env, &arguments));
    }
    let mut counted = |what: &str, command: &dyn Fn([String; 2]) -> Command| {
        let (mut asked, mut sent) = (0, 0);
        // All begin on the first base.
        if stack.turn == 1 {
            stack.patch();
        }
        let sample = Sample::of(world.runs(RUNS), || {
            let names = stack.patch();
            let before = (requests(&env, &registry), wire.sent());
            let figures = measure(&mut command(names));
            (asked, sent) = (requests(&env, &registry) - before.0, wire.sent() - before.1);
            figures
        });
        world.note(format!("B4, {what}: {asked} requests, {sent} bytes sent."));
        sample
    };
    let ours = counted("Stave", &|_| {
        world.stave(&env, &["rebase", &at("ours/app:1"), "--run-image", &at("stacks/run:1"), "--publish"])
    });
    let mut peers: Vec<Beside> = Vec::new();
    if let Some(there) = world.peers {
        let name = at("crane/app:1");
        let sample = counted("crane", &|[last, this]| {
            let mut crane = gauge::command(&env, there.path("crane"));
            crane.args(["rebase", &name, "--old_base", &at(&last), "--new_base", &at(&this), "--tag", &name]);
            crane
        });
        peers.push(("crane rebase".to_owned(), Ok(sample)));
        let creator = Creator::new(&env, there, "rebaser", &at("stacks/run:1"));
        let sample = counted("rebaser", &|_| creator.rebase(&env, &at("stacks/run:1"), &at("rebaser/app:1")));
        peers.push(("rebaser".to_owned(), Ok(sample)));
    } else {
        peers.push(("crane, rebaser".to_owned(), Err(loudly("B4", "see `cargo xtask peers`"))));
    }
    let what = "B4 rebase over a round trip of 20 ms".to_owned();
    Row { what, ours: Ok(ours), peers, limit: Some(ROUND_TRIP * ROUND_TRIPS) }.print();
}

/// Publishes to all names but the first; the time of all together, and what the way to the registry saw.
struct Shared<'a> {
    world: &'a World,
    env: &'a TestEnv,
    registry: &'a Registry,
    wire: &'a Wire,
}

impl Shared<'_> {
    fn all(&self, what: &str, mut one: impl FnMut(&str) -> Command) -> Sample {
        let asked = || requests(self.env, self.registry);
        let before = (asked(), self.wire.sent());
        let mut number = 0;
        let sample = Sample::of(NAMES - 1, || {
            number += 1;
            measure(&mut one(&format!("{}/{}-{number}/app:1", self.wire.host(), what.replace(' ', "-"))))
        });
        let names = NAMES - 1;
        let (asked, sent) = (asked() - before.0, self.wire.sent() - before.1);
        self.world.note(format!(
            "B8, {what}: {} requests and {} bytes sent for each further name.",
            asked / names,
            sent / names as u64
        ));
        sample
    }
}

fn share(world: &World) {
    let env = env();
    let registry = Registry::start(&env);
    let wire = Wire::open(registry.port(), Duration::ZERO);
    let at = |name: &str| format!("{}/{name}", wire.host());
    publish(&base_layout(&env, "1"), &registry.reference("stacks/run:1"));
    let mut files = Files::new(13);
    for name in ["runtime", "libraries"] {
        files.mixed(&env.work().join("app/vendor").join(name), world.size(500_000_000, 5_000_000));
    }
    let components = [
        planter(&env, "runtime", Some("BP_PLANT_RUNTIME")),
        planter(&env, "libraries", Some("BP_PLANT_LIBRARIES")),
        planter(&env, "app", None),
    ];
    builder(&env, &at("stacks/run:1"), &components);
    let settings = ["BP_PLANT_RUNTIME=vendor/runtime", "BP_PLANT_LIBRARIES=vendor/libraries"];
    let build = ["build", "app", "--builder", "builder.toml", "-e", settings[0], "-e", settings[1], "--tag", "shared"];
    measure(&mut world.stave(&env, &build));
    let send = |name: &str| world.stave(&env, &["export", "shared", "--tag", name, "--publish"]);
    let first = at("first/app:1");
    measure(&mut send(&first));
    let shared = Shared { world, env: &env, registry: &registry, wire: &wire };
    let ours = shared.all("stave export", send);
    let mut peers: Vec<Beside> = Vec::new();
    if let Some(there) = world.peers {
        let sample = shared.all("crane copy", |name| {
            let mut crane = gauge::command(&env, there.path("crane"));
            crane.args(["copy", &first, name]);
            crane
        });
        peers.push(("crane copy".to_owned(), Ok(sample)));
    } else {
        peers.push(("crane copy".to_owned(), Err(loudly("B8 crane", "see `cargo xtask peers`"))));
    }
    let skopeo = tool("skopeo").get_program().to_owned();
    let sample = shared.all("skopeo copy", |name| {
        let mut command = gauge::command(&env, &skopeo);
        command.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        command.args([format!("docker://{first}"), format!("docker://{name}")]);
        command
    });
    peers.push(("skopeo copy".to_owned(), Ok(sample)));
    let what = "B8 one more name for an image of 1 GB of layers".to_owned();
    Row { what, ours: Ok(ours), peers, limit: Some(exchanges(&env, &first)) }.print();
}

/// How many requests a registry has answered, as its log has them.
fn requests(env: &TestEnv, registry: &Registry) -> usize {
    let log = env.root().join(format!("registry-{}/log", registry.port()));
    fs::read_to_string(log).unwrap().lines().filter(|line| line.contains(" /v2/")).count()
}

/// The time of what has to come one after the other on this machine: a program starts, and asks four times.
fn exchanges(env: &TestEnv, image: &str) -> Duration {
    let (host, rest) = image.split_once('/').unwrap();
    let manifest = format!("/v2/{}/manifests/1", rest.trim_end_matches(":1"));
    let started = Instant::now();
    for _ in 0..ROUND_TRIPS {
        crate::machine::asking(host, &manifest);
    }
    started.elapsed() + crate::machine::starting(env)
}
