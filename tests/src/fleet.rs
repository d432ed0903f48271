//! Many images on one stack, which an operator updates while `stave serve` looks after them: how often each is rebased when the
//! server is killed again and again, and who overtakes them.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use stave_platform::{
    port::Records as _,
    resource::build::{Build, Mode, joined},
};
use stave_store::{
    folders::{DATA_VARIABLE, Folder},
    records::DiskRecords,
};

use crate::support::{
    platform::{World, small_run_image},
    process::{Running, stave},
};

/// How many images there are.
const SIZE: usize = 24;
/// How many are built at once.
const MOST: usize = 3;
/// How often the server is killed.
const KILLS: usize = 20;
/// How many builds end before it is.
const FEW: usize = 2;
/// How long something may take that is looked for again and again.
const PATIENCE: Duration = Duration::from_mins(2);

/// The images, each built once on the outdated stack, and their records.
struct Fleet {
    world: World,
    names: Vec<String>,
    records: DiskRecords,
}

impl Fleet {
    fn new() -> Self {
        let world = World::quick();
        world.typed(&format!("config concurrency {MOST}"));
        let names = world.fleet(SIZE);
        let data = Folder::open(world.env.data(), DATA_VARIABLE).unwrap();
        let fleet = Self { records: DiskRecords::open(&data).unwrap(), world, names };
        assert!(fleet.builds().iter().all(|builds| told(builds) == ["1 build CONFIG"]));
        fleet
    }

    /// A server that holds the lease.
    fn serve(&self) -> Running {
        let mut server = Running::start(self.world.env.command(stave()).args(["serve", "--listen", "127.0.0.1:0"]));
        server.wait_for("serving on ");
        server
    }

    /// Gives the stack this run image, and calls `meanwhile` before the command is over. A server does the rest.
    fn update(&self, run_image: &str, meanwhile: impl FnOnce()) {
        let line = format!("clusterstack patch demo-stack --run-image REG/stack/run@{run_image}");
        let patch = Running::start(self.world.env.command(stave()).args(self.world.words(&line)));
        meanwhile();
        let said = patch.end().succeeds();
        assert_eq!(said.stdout, "ClusterStack \"demo-stack\" updated\n");
        assert!(said.stderr.contains("`stave serve` (process "), "{}", said.stderr);
    }

    /// The builds of every image, as they are recorded at one moment: whenever that is, none has a number twice, and not more
    /// run than may.
    fn builds(&self) -> Vec<Vec<Build>> {
        let snapshot = self.records.snapshot().unwrap();
        let builds: Vec<Vec<Build>> = snapshot.images.into_values().map(|record| record.builds).collect();
        assert_eq!(builds.len(), self.names.len());
        for builds in &builds {
            let numbers: BTreeSet<u64> = builds.iter().map(|build| build.number).collect();
            assert_eq!(numbers.len(), builds.len(), "{builds:#?}");
        }
        let running = builds.iter().flatten().filter(|build| build.is_running()).count();
        assert!(running <= MOST, "{running} run at once");
        builds
    }

    /// How many builds are over, but each image's first.
    fn ended(&self) -> usize {
        self.builds().iter().flatten().filter(|build| build.number > 1 && !build.is_running()).count()
    }

    /// Waits until so many are.
    fn until(&self, wanted: usize) {
        let began = Instant::now();
        while self.ended() < wanted {
            assert!(began.elapsed() < PATIENCE, "{} of {wanted} are over: {:#?}", self.ended(), self.builds());
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Builds in words: `2 rebase STACK`. All must have succeeded.
fn told(builds: &[Build]) -> Vec<String> {
    let told = builds.iter().map(|build| {
        assert!(build.made().is_some(), "{build:#?}");
        format!("{} {} {}", build.number, build.mode, joined(&build.changes))
    });
    told.collect()
}

/// Where all are rebased before the server was killed often enough, the stack is updated once more.
#[test]
fn killed_twenty_times_each_image_is_rebased_once() {
    let fleet = Fleet::new();
    let world = &fleet.world;
    let (mut kills, mut in_the_middle, mut updates, mut run_image) = (0, 0, 0, String::new());
    let mut server = fleet.serve();
    while kills < KILLS {
        updates += 1;
        run_image = small_run_image(&world.env, &world.registry, "stave.small", &format!("update-{updates}"));
        fleet.update(&run_image, || {});
        let all = updates * SIZE;
        let mut ended = fleet.ended();
        while ended < all {
            let wanted = if kills < KILLS { (ended + FEW).min(all) } else { all };
            fleet.until(wanted);
            if wanted < all {
                server.signal(Signal::KILL);
                server.end();
                kills += 1;
                in_the_middle += usize::from(fleet.builds().iter().flatten().any(Build::is_running));
                // Nobody writes now, so that nothing that ended is counted for the next server.
                ended = fleet.ended();
                server = fleet.serve();
            } else {
                ended = all;
            }
        }
    }
    server.signal(Signal::INT);
    server.end();
    assert!(in_the_middle > KILLS / 2, "the server was killed while nothing was built, {in_the_middle} times excepted");

    let expected: Vec<String> = (1..=updates + 1)
        .map(|number| format!("{number} {}", if number == 1 { "build CONFIG" } else { "rebase STACK" }))
        .collect();
    for (name, builds) in fleet.names.iter().zip(fleet.builds()) {
        assert_eq!(told(&builds), expected, "{name}");
        let made = builds.last().and_then(Build::made).unwrap();
        assert_eq!(made.run_image.digest().to_string(), run_image, "{name}");
        let digest = world.digest(&world.named(&format!("REG/fleet/{name}")));
        assert_eq!(digest, made.image.digest().to_string(), "{name}");
        // One tag for each build, and the one that was wished for.
        let tags = world.registry.tags(&format!("fleet/{name}"));
        assert_eq!(tags.len(), expected.len() + 1, "{name}: {tags:?}");
    }
    world.env.assert_nothing_half_written();
}

/// Its image is the last one in the line. No rebase comes to an end before what its owner wishes is written down: the registry
/// answers nobody.
#[test]
fn a_change_by_an_owner_overtakes_the_rebases() {
    let fleet = Fleet::new();
    let world = &fleet.world;
    let hasty = fleet.names.last().unwrap();
    let server = fleet.serve();
    fleet.update(&world.new, || {
        fleet.until(1);
        world.registry.hold();
    });
    world.typed(&format!("image patch {hasty} -e GREETING=hello"));
    let before = fleet.ended();
    assert!(before + 2 * MOST < SIZE, "{before} were rebased before anybody could overtake them");
    world.registry.go_on();
    fleet.until(SIZE);
    server.signal(Signal::INT);
    let said = server.end().stderr;

    let builds = fleet.builds();
    let (last, others) = builds.split_last().unwrap();
    assert_eq!(told(last), ["1 build CONFIG", "2 build CONFIG,STACK"]);
    assert!(others.iter().all(|builds| told(builds) == ["1 build CONFIG", "2 rebase STACK"]));
    assert_eq!(last[1].mode, Mode::Build);
    let lines = || said.lines().enumerate();
    let over = lines().find(|(_, line)| line.contains(&format!("{hasty}: build 2 is "))).map(|(at, _)| at).unwrap();
    let later = lines().filter(|(at, line)| *at > over && line.contains(" begins: STACK")).count();
    assert!(later > 0, "all were rebased before:\n{said}");
}
