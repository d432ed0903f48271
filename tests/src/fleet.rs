//! A thousand images on one stack, which an operator updates while `stave serve` looks after them: how often each is rebased when
//! the server is killed again and again, and who overtakes them.
//!
//! How long it takes is measured elsewhere: `cargo bench-build -- fleet`.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use stave_platform::{
    port::Records as _,
    resource::{
        build::{Build, joined},
        source::ResolvedSource,
    },
};
use stave_store::{
    folders::{DATA_VARIABLE, Folder},
    records::DiskRecords,
};

use crate::support::{
    container::free_port,
    env::TestEnv,
    platform::World,
    process::{Running, stave, succeeds},
    registry::Registry,
    tools::tool,
};

/// How many images there are.
const SIZE: usize = 1000;
/// How many are built at once.
const MOST: usize = 3;
/// How often the server is killed.
const KILLS: usize = 20;
/// How many builds end before it is.
const FEW: usize = SIZE / (2 * KILLS);
/// How long something may take that is looked for again and again.
const PATIENCE: Duration = Duration::from_mins(2);
/// What a webhook has to know.
const HOOK: &str = "hook";

/// The images, each built once on the outdated stack, and their records.
struct Fleet {
    world: World,
    names: Vec<String>,
    records: DiskRecords,
    port: u16,
}

impl Fleet {
    fn new() -> Self {
        let world = World::quick_of(stave(), TestEnv::empty(), Registry::in_process());
        world.typed(&format!("config concurrency {MOST}"));
        let names = world.fleet(SIZE);
        let data = Folder::open(world.env.data(), DATA_VARIABLE).unwrap();
        let fleet = Self { records: DiskRecords::open(&data).unwrap(), world, names, port: free_port() };
        assert!(fleet.builds().iter().all(|builds| told(builds) == ["1 build CONFIG"]));
        fleet
    }

    /// A server that holds the lease.
    fn serve(&self) -> Running {
        let mut command = self.world.env.command(stave());
        let listen = format!("127.0.0.1:{}", self.port);
        let mut server = Running::start(command.env("STAVE_HOOK_TOKEN", HOOK).args(["serve", "--listen", &listen]));
        server.wait_for("serving on ");
        server
    }

    /// Gives the stack its patched run image. A server does the rest.
    fn update(&self) {
        let said =
            self.world.run(&format!("clusterstack patch demo-stack --run-image REG/stack/run@{}", self.world.new));
        let said = said.succeeds();
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

    /// How many rebases were begun, and how many are over.
    fn rebases(&self) -> (usize, usize) {
        let builds = self.builds();
        let rebases: Vec<&Build> = builds.iter().flatten().filter(|build| joined(&build.changes) == "STACK").collect();
        (rebases.len(), rebases.iter().filter(|build| !build.is_running()).count())
    }

    /// Waits until something is so.
    fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < PATIENCE, "after so long: {:?} of {SIZE} are rebased", self.rebases());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where the source of an image was when somebody looked.
    fn found(&self, image: &str) -> Option<ResolvedSource> {
        let images = self.records.snapshot().unwrap().images;
        images.into_iter().find(|(key, _)| key.name.to_string() == image).unwrap().1.source.found
    }

    /// Says to the server that something happened where the source of this image is, as git hosts do.
    fn tell(&self, image: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let path = format!("/v1/namespaces/default/images/{image}/hook");
        let head =
            format!("POST {path} HTTP/1.0\r\nHost: localhost\r\nX-Stave-Token: {HOOK}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 202 "), "{answer}");
    }
}

/// A repository with the app of an image.
struct Repository<'w> {
    world: &'w World,
    folder: PathBuf,
}

impl<'w> Repository<'w> {
    fn new(world: &'w World) -> Self {
        let folder = world.env.work().join("repository");
        fs::create_dir(&folder).unwrap();
        let repository = Self { world, folder };
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository.commit("web: /bin/app\n");
        repository
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = self.world.env.command(tool("git").get_program());
        git.arg("-C").arg(&self.folder).args(["-c", "user.name=A", "-c", "user.email=a@example.com"]);
        succeeds(git.args(arguments));
    }

    fn commit(&self, procfile: &str) {
        fs::write(self.folder.join("Procfile"), procfile).unwrap();
        self.git(&["add", "Procfile"]);
        self.git(&["commit", "--quiet", "--message", "Say what to start"]);
    }

    fn url(&self) -> String {
        format!("file://{}", self.folder.display())
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

/// The last image in the line is one with a commit. While the registry answers nobody, so that no slot gets free, the server is told
/// of it; then the server is killed, twenty times, while it goes through the others.
#[test]
fn a_commit_overtakes_a_thousand_rebases_and_killed_twenty_times_each_is_done_once() {
    let fleet = Fleet::new();
    let world = &fleet.world;
    let (hasty, others) = fleet.names.split_last().unwrap();
    let repository = Repository::new(world);
    world.typed(&format!("image patch {hasty} --git {} --git-revision main", repository.url()));
    let old = fleet.found(hasty);

    let mut server = fleet.serve();
    fleet.update();
    fleet.until(|fleet| fleet.rebases().1 > 0);
    world.registry.hold();
    repository.commit("web: /bin/app --hello\n");
    fleet.tell(hasty);
    fleet.until(|fleet| fleet.found(hasty) != old);
    let (begun, _) = fleet.rebases();
    assert!(begun < SIZE / 2, "{begun} were rebased before anybody could overtake them");
    world.registry.go_on();
    fleet.until(|fleet| fleet.builds().last().unwrap().get(2).is_some_and(|build| !build.is_running()));

    let (mut ended, mut in_the_middle) = (fleet.rebases().1, 0);
    let mut said = None;
    for _ in 0..KILLS {
        fleet.until(|fleet| fleet.rebases().1 >= (ended + FEW).min(others.len()));
        server.signal(Signal::KILL);
        let first = server.end().stderr;
        said.get_or_insert(first);
        // Nobody writes now.
        in_the_middle += usize::from(fleet.builds().iter().flatten().any(Build::is_running));
        ended = fleet.rebases().1;
        server = fleet.serve();
    }
    assert!(fleet.rebases().1 < others.len(), "all were rebased before the server was killed often enough");
    fleet.until(|fleet| fleet.rebases().1 == others.len() && !fleet.builds().iter().flatten().any(Build::is_running));
    server.signal(Signal::INT);
    server.end().succeeds();
    assert!(in_the_middle > KILLS / 2, "the server was killed while nothing was built, {in_the_middle} times excepted");

    assert_overtakes(&said.unwrap(), hasty, begun);
    fleet.assert_done_once();
}

/// What began, in the order of the server's lines: the build of the commit took the first slot that got free, if not one before.
fn assert_overtakes(said: &str, hasty: &str, begun: usize) {
    let begins: Vec<&str> = said.lines().filter(|line| line.contains(" begins: ")).collect();
    let at = begins.iter().position(|line| line.contains(&format!("{hasty}: build 3 begins: COMMIT")));
    let at = at.unwrap_or_else(|| panic!("the commit is not built:\n{said}"));
    assert!(at <= begun, "{at} began before the commit, of which {begun} had when it was known");
    assert!(begins.len() > at + 1, "all were rebased before:\n{said}");
}

impl Fleet {
    /// Every image has its builds, no more, and the registry what they made.
    fn assert_done_once(&self) {
        let world = &self.world;
        for (name, builds) in self.names.iter().zip(self.builds()) {
            let is_hasty = Some(name) == self.names.last();
            let expected: &[&str] = if is_hasty {
                &["1 build CONFIG", "2 build CONFIG", "3 build COMMIT,STACK"]
            } else {
                &["1 build CONFIG", "2 rebase STACK"]
            };
            assert_eq!(told(&builds), expected, "{name}");
            let made = builds.last().and_then(Build::made).unwrap();
            assert_eq!(made.run_image.digest().to_string(), world.new, "{name}");
            let repository = format!("fleet/{name}");
            assert_eq!(world.registry.tagged(&repository, "latest"), made.image.digest().to_string(), "{name}");
            // One tag for each build, and the one that was wished for.
            let tags = world.registry.tags(&repository);
            assert_eq!(tags.len(), expected.len() + 1, "{name}: {tags:?}");
        }
        world.env.assert_nothing_half_written();
    }
}
