//! What is remembered, what makes a buildpack run again, and what is never kept.

mod builds;
mod ledger;

use std::sync::atomic::{AtomicUsize, Ordering};

use stave_model::{capability::Capabilities, target::Platform};

use super::*;
use crate::{
    port::failure::Fault,
    testing::{self, Artifacts, Fake, Recorder, span, zip},
};

/// What a run finds.
#[derive(Clone)]
struct World {
    app: Tree,
    settings: Vec<(&'static str, &'static str)>,
    arch: &'static str,
    exec_env: &'static str,
}

impl World {
    fn of(files: &[(&str, &str)]) -> Self {
        Self { app: testing::tree(files), settings: Vec::new(), arch: "amd64", exec_env: "production" }
    }

    fn set(mut self, name: &'static str, value: &'static str) -> Self {
        self.settings.push((name, value));
        self
    }

    fn with_zip(mut self, path: &str, entries: &[(&str, &str)]) -> Self {
        let node = stave_archive::tree::Node::file(Arc::new(span(&zip(entries))), false);
        self.app.insert(path.parse().unwrap(), node).unwrap();
        self
    }
}

/// Several runs that share what they remember.
struct Runs {
    results: testing::Memory,
    observer: Arc<Recorder>,
    shop: Shop,
}

impl Runs {
    fn new(artifacts: Artifacts) -> Self {
        let (mut shop, observer) = testing::shop(artifacts);
        let results = testing::Memory::default();
        shop.memory = Memory::of(Arc::new(results.clone()));
        Self { results, observer, shop }
    }

    fn enter(&mut self, world: &World) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.shop.settings = Arc::new(world.settings.iter().map(own).collect());
        self.shop.target.platform = Platform::linux(world.arch);
        self.shop.exec_env = world.exec_env.parse().unwrap();
    }

    fn detect(&mut self, fake: &Fake, world: &World) -> Result<Verdict, RunError> {
        self.enter(world);
        detect(&self.shop, fake, &world.app)
    }

    /// How the last answer came to be.
    fn recall(&self) -> String {
        let mut recalls = self.observer.take().into_iter().filter_map(|event| match event {
            Event::Recalled { recall, .. } => Some(recall),
            _ => None,
        });
        match recalls.next_back().expect("it is always said") {
            Recall::Remembered => "remembered".to_owned(),
            Recall::Ran(cause) => format!("ran: {cause}"),
        }
    }
}

/// A buildpack that asks and passes.
fn asking(ask: fn(&Workbench)) -> Fake {
    Fake::new("t/asks@1.0.0").detects(move |bench| {
        ask(bench);
        Ok(Verdict::Pass(Vec::new()))
    })
}

/// How the answer in `after` comes to be once it was given in `before`.
fn then(ask: fn(&Workbench), before: &World, after: &World) -> String {
    let (mut runs, fake) = (Runs::new(Artifacts::default()), asking(ask));
    runs.detect(&fake, before).unwrap();
    assert_eq!(runs.recall(), "ran: first time");
    runs.detect(&fake, after).unwrap();
    let recall = runs.recall();
    let ran = if recall == "remembered" { 1 } else { 2 };
    assert_eq!(fake.asked.load(Ordering::Relaxed), ran, "{recall}");
    recall
}

fn globs(patterns: &[&str]) -> Vec<String> {
    patterns.iter().map(|pattern| (*pattern).to_owned()).collect()
}

#[test]
fn a_file_that_was_read() {
    let read: fn(&Workbench) = |bench| drop(bench.read("a", 9));
    let one = World::of(&[("a", "1"), ("b", "1")]);
    for (after, expected) in [
        (one.clone(), "remembered"),
        (World::of(&[("a", "1"), ("b", "2"), ("c", "3")]), "remembered"),
        (World::of(&[("a", "2"), ("b", "1")]), "ran: `a` changed"),
        (World::of(&[("b", "1")]), "ran: `a` was removed"),
        (World::of(&[("a/x", "1")]), "ran: `a` changed"),
        (World::of(&[("a", "0123456789")]), "ran: `a` changed"),
        (World::of(&[("a", "-> b"), ("b", "1")]), "remembered"),
        (World::of(&[("a", "-> b"), ("b", "2")]), "ran: `a` changed"),
    ] {
        assert_eq!(then(read, &one, &after), expected);
    }
    let none = World::of(&[("b", "1")]);
    assert_eq!(then(read, &none, &World::of(&[("b", "2")])), "remembered");
    assert_eq!(then(read, &none, &one), "ran: `a` was added");
    let long = World::of(&[("a", "0123456789")]);
    assert_eq!(then(read, &long, &World::of(&[("a", "9876543210")])), "remembered", "it was told the size alone");
    assert_eq!(then(read, &long, &World::of(&[("a", "01234567890")])), "ran: `a` changed");
    assert_eq!(then(read, &long, &one), "ran: `a` changed");
}

#[test]
fn a_path_that_was_looked_at() {
    let stat: fn(&Workbench) = |bench| drop(bench.stat("a"));
    let one = World::of(&[("a", "1")]);
    for (after, expected) in [
        (World::of(&[("a", "2"), ("b", "2")]), "remembered"),
        (World::of(&[("a", "22")]), "ran: `a` changed"),
        (World::of(&[("a/b", "1")]), "ran: `a` changed"),
        (World::of(&[]), "ran: `a` was removed"),
    ] {
        assert_eq!(then(stat, &one, &after), expected);
    }
    assert_eq!(then(stat, &World::of(&[("a", "#!")]), &World::of(&[("a", "22")])), "ran: `a` changed");
    assert_eq!(then(stat, &World::of(&[]), &one), "ran: `a` was added");
    assert_eq!(then(stat, &World::of(&[]), &World::of(&[("b", "1")])), "remembered");
}

#[test]
fn patterns_that_matched_or_did_not() {
    let find: fn(&Workbench) = |bench| drop(bench.find(&globs(&["*.jar", "lib/*"]), 2));
    let one = World::of(&[("a.jar", "1"), ("b.txt", "1")]);
    let changed = "ran: what matches `*.jar`, `lib/*` changed";
    for (after, expected) in [
        (World::of(&[("a.jar", "2"), ("b.txt", "22"), ("c", "")]), "remembered"),
        (World::of(&[("a.jar", "11"), ("b.txt", "1")]), changed),
        (World::of(&[("a.jar", "1"), ("c.jar", "1")]), changed),
        (World::of(&[("b.txt", "1")]), changed),
        (World::of(&[("a.jar/x", "1")]), changed),
    ] {
        assert_eq!(then(find, &one, &after), expected);
    }
    let none = World::of(&[("b.txt", "1")]);
    assert_eq!(then(find, &none, &World::of(&[("b.txt", "2")])), "remembered");
    assert_eq!(then(find, &none, &World::of(&[("lib/x", "")])), changed);
    let two = World::of(&[("a.jar", "1"), ("b.jar", "1")]);
    assert_eq!(
        then(find, &two, &World::of(&[("a.jar", "1"), ("b.jar", "1"), ("c.jar", "1")])),
        "remembered",
        "two are told"
    );
    let digest: fn(&Workbench) = |bench| drop(bench.digest(&globs(&["src/**"])));
    let source = World::of(&[("src/a", "1"), ("b", "1")]);
    assert_eq!(then(digest, &source, &World::of(&[("src/a", "1"), ("b", "2")])), "remembered");
    assert_eq!(
        then(digest, &source, &World::of(&[("src/a", "2"), ("b", "1")])),
        "ran: the content of `src/**` changed"
    );
    assert_eq!(then(digest, &World::of(&[]), &source), "ran: the content of `src/**` changed");
}

#[test]
fn an_archive_that_was_opened() {
    let open: fn(&Workbench) = |bench| {
        let Ok(archive) = bench.open_archive("a.zip") else { return };
        drop(bench.archive_read(archive, "in", 9));
        drop(bench.archive_find(archive, &globs(&["x/*"]), 9));
    };
    let one = World::of(&[]).with_zip("a.zip", &[("in", "1"), ("x/y", "1"), ("z", "1")]);
    for (entries, expected) in [
        (&[("in", "1"), ("x/y", "1"), ("z", "1")][..], "remembered"),
        (&[("in", "1"), ("x/y", "2"), ("z", "22")], "remembered"),
        (&[("in", "2"), ("x/y", "1")], "ran: `in` in `a.zip` changed"),
        (&[("x/y", "1")], "ran: `in` in `a.zip` was removed"),
        (&[("in", "1")], "ran: what matches `x/*` in `a.zip` changed"),
    ] {
        assert_eq!(then(open, &one, &World::of(&[]).with_zip("a.zip", entries)), expected);
    }
    assert_eq!(then(open, &one, &World::of(&[])), "ran: `a.zip` was removed");
    assert_eq!(then(open, &World::of(&[]), &one), "ran: `a.zip` was added");
    assert_eq!(then(open, &one, &World::of(&[("a.zip", "PK damaged")])), "ran: `a.zip` changed");
    let elsewhere = World::of(&[("a.zip", "-> b.zip")]).with_zip("b.zip", &[("in", "1"), ("x/y", "1"), ("z", "1")]);
    assert_eq!(then(open, &one, &elsewhere), "remembered");
}

#[test]
fn a_setting_that_was_read() {
    let setting: fn(&Workbench) = |bench| drop(bench.setting("BP_A"));
    let none = World::of(&[]);
    let set = |value| World::of(&[]).set("BP_A", value);
    for (before, after, expected) in [
        (none.clone(), set("1").set("BP_B", "1"), "ran: setting BP_A was set"),
        (none.clone(), none.clone().set("BP_B", "1"), "remembered"),
        (set("1"), set("1").set("BP_B", "1"), "remembered"),
        (set("1"), set("2"), "ran: setting BP_A changed"),
        (set("1"), none.clone(), "ran: setting BP_A is no longer set"),
        (set(""), none.clone(), "ran: setting BP_A is no longer set"),
    ] {
        assert_eq!(then(setting, &before, &after), expected);
    }
    let list: fn(&Workbench) = |bench| drop(bench.settings("BP_"));
    for (before, after, expected) in [
        (set("1"), set("1").set("BZ", "1"), "remembered"),
        (set("1"), set("1").set("BP_B", "1"), "ran: settings BP_* changed"),
        (set("1"), set("2"), "ran: settings BP_* changed"),
        (none.clone(), none.clone().set("BZ", "1"), "remembered"),
    ] {
        assert_eq!(then(list, &before, &after), expected);
    }
    let denied: fn(&Workbench) = |bench| assert_eq!(bench.setting("SECRET").unwrap_err().fault, Fault::Denied);
    assert_eq!(then(denied, &none, &none.clone().set("SECRET", "x")), "remembered", "it is not told either way");
}

#[test]
fn service_bindings_that_were_looked_for_and_secrets_that_were_read() {
    let list: fn(&Workbench) = |bench| assert_eq!(bench.bindings("postgresql").unwrap().len(), 1);
    assert_eq!(then(list, &World::of(&[]), &World::of(&[])), "remembered");
    let (mut runs, fake) = (Runs::new(Artifacts::default()), asking(|bench| drop(bench.bindings("postgresql"))));
    runs.detect(&fake, &World::of(&[])).unwrap();
    runs.shop.bindings = Arc::default();
    runs.detect(&fake, &World::of(&[])).unwrap();
    assert_eq!(runs.recall(), "ran: the bindings of the type `postgresql` changed");
    let (mut runs, fake) = (Runs::new(Artifacts::default()), asking(|bench| drop(bench.read_binding("db", "none"))));
    for expected in ["ran: first time", "remembered"] {
        runs.detect(&fake, &World::of(&[])).unwrap();
        assert_eq!(runs.recall(), expected, "there is no such entry");
    }
    let (mut runs, fake) =
        (Runs::new(Artifacts::default()), asking(|bench| drop(bench.read_binding("db", "password"))));
    runs.detect(&fake, &World::of(&[])).unwrap();
    runs.observer.take();
    runs.detect(&fake, &World::of(&[])).unwrap();
    assert_eq!(runs.recall(), "ran: it reads secrets, of which nothing is remembered");
}

#[test]
fn the_target() {
    let arm = World { arch: "arm64", ..World::of(&[]) };
    assert_eq!(then(|bench| drop(bench.target().clone()), &World::of(&[]), &arm), "ran: the target changed");
    assert_eq!(then(|_| {}, &World::of(&[]), &arm), "remembered");
}

#[test]
fn the_execution_environment() {
    let test = World { exec_env: "test", ..World::of(&[]) };
    let ask: fn(&Workbench) = |bench| drop(bench.exec_env().clone());
    assert_eq!(then(ask, &World::of(&[]), &test), "ran: the execution environment changed");
    assert_eq!(then(ask, &test, &test), "remembered");
    assert_eq!(then(|_| {}, &World::of(&[]), &test), "remembered");
}

#[test]
fn the_first_difference_in_the_order_of_asking_is_told() {
    let ask: fn(&Workbench) = |bench| {
        drop(bench.read("b", 9));
        drop(bench.read("a", 9));
    };
    let after = World::of(&[("a", "2"), ("b", "2")]);
    assert_eq!(then(ask, &World::of(&[("a", "1"), ("b", "1")]), &after), "ran: `b` changed");
}

#[test]
fn an_app_may_go_back_and_forth() {
    let (mut runs, fake) = (Runs::new(Artifacts::default()), asking(|bench| drop(bench.read("a", 9))));
    let world = |text| World::of(&[("a", text)]);
    for text in ["1", "2", "1", "2", "3", "4", "1", "2"] {
        runs.detect(&fake, &world(text)).unwrap();
    }
    assert_eq!(fake.asked.load(Ordering::Relaxed), 4);
    runs.observer.take();
    runs.detect(&fake, &world("5")).unwrap();
    assert_eq!(runs.recall(), "ran: `a` changed");
    runs.detect(&fake, &world("1")).unwrap();
    assert_eq!(runs.recall(), "ran: `a` changed", "four are kept, the newest");
}

#[test]
fn other_rules_are_another_question() {
    let mut runs = Runs::new(Artifacts::default());
    let world = World::of(&[]);
    let fake = || Fake::new("t/asks@1.0.0");
    runs.detect(&fake(), &world).unwrap();
    assert_eq!(runs.recall(), "ran: first time");
    let (mut granted_less, mut asking_less) = (fake(), fake());
    granted_less.grants = Capabilities::usual();
    asking_less.manifest.asks = Capabilities::usual();
    for other in [granted_less, asking_less, Fake::new("t/asks@1.0.1")] {
        runs.detect(&other, &world).unwrap();
        assert_eq!(runs.recall(), "ran: first time");
    }
    runs.shop.limits.read_bytes -= 1;
    runs.detect(&fake(), &world).unwrap();
    assert_eq!(runs.recall(), "ran: first time");
    runs.shop.limits.read_bytes += 1;
    runs.detect(&fake(), &world).unwrap();
    assert_eq!(runs.recall(), "remembered");
}

#[test]
fn everything_runs_if_the_user_wants_it() {
    let (mut runs, fake) = (Runs::new(Artifacts::default()), asking(|_| {}));
    let world = World::of(&[]);
    runs.detect(&fake, &world).unwrap();
    runs.shop.memory = runs.shop.memory.clone().ignored();
    runs.detect(&fake, &world).unwrap();
    assert_eq!(runs.recall(), "ran: --no-memory");
    assert_eq!(fake.asked.load(Ordering::Relaxed), 2);
}

#[test]
fn a_skip_is_remembered_and_a_failure_is_not() {
    let (mut runs, world) = (Runs::new(Artifacts::default()), World::of(&[]));
    let skips = Fake::new("t/skips@1.0.0").detects(|_| Ok(Verdict::Skip("no".to_owned())));
    let fails = Fake::new("t/fails@1.0.0").detects(|_| Err(RunError::BadAnswer("x".to_owned())));
    for _ in 0..2 {
        assert_eq!(runs.detect(&skips, &world).unwrap(), Verdict::Skip("no".to_owned()));
        runs.detect(&fails, &world).unwrap_err();
        assert_eq!(runs.recall(), "ran: first time", "of the one that fails");
    }
    assert_eq!((skips.asked.load(Ordering::Relaxed), fails.asked.load(Ordering::Relaxed)), (1, 2));
}

/// Content that cannot be read at times.
#[derive(Debug)]
struct Fickle(Arc<AtomicUsize>);

impl stave_archive::content::Content for Fickle {
    fn size(&self) -> u64 {
        1
    }

    fn open(&self) -> std::io::Result<Box<dyn std::io::Read + Send + '_>> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(Box::new(&b"1"[..])),
            _ => Err(std::io::Error::other("the disk is broken")),
        }
    }
}

#[test]
fn what_was_said_when_something_could_not_be_read_is_not_kept() {
    let broken = Arc::new(AtomicUsize::new(1));
    let mut world = World::of(&[]).with_zip("torn.zip", &[]);
    let fickle = stave_archive::tree::Node::file(Arc::new(Fickle(Arc::clone(&broken))), false);
    world.app.insert("a".parse().unwrap(), fickle).unwrap();
    let damaged = stave_archive::tree::Node::file(Arc::new(span(b"PK\x03\x04")), false);
    world.app.replace("torn.zip".parse().unwrap(), damaged).unwrap();
    let reads: [fn(&Workbench); 3] = [
        |bench| assert!(bench.read("a", 9).is_err()),
        |bench| assert!(bench.digest(&globs(&["a"])).is_err()),
        |bench| assert_eq!(bench.open_archive("torn.zip").unwrap_err().fault, Fault::Integrity),
    ];
    for read in reads {
        let (mut runs, fake) = (Runs::new(Artifacts::default()), asking(read));
        for expected in ["ran: first time", "ran: something could not be read or fetched the last time"] {
            runs.detect(&fake, &world).unwrap();
            assert_eq!(runs.recall(), expected);
        }
    }
    // The other way round: what was read then cannot be read now.
    broken.store(0, Ordering::Relaxed);
    let (mut runs, fake) = (Runs::new(Artifacts::default()), asking(|bench| drop(bench.read("a", 9))));
    runs.detect(&fake, &world).unwrap();
    broken.store(1, Ordering::Relaxed);
    runs.detect(&fake, &world).unwrap();
    assert_eq!(runs.recall(), "ran: `a` changed");
    runs.observer.take();
    broken.store(0, Ordering::Relaxed);
    runs.detect(&fake, &world).unwrap();
    assert_eq!(runs.recall(), "remembered", "what the failing run said was not kept in its place");
}

#[test]
fn what_was_said_is_said_again_in_its_order() {
    let fake = Fake::new("t/says@1.0.0").detects(|bench| {
        bench.step("looking");
        bench.log(crate::port::observer::Level::Warning, "odd\n");
        Ok(Verdict::Skip("no".to_owned()))
    });
    let (mut runs, world) = (Runs::new(Artifacts::default()), World::of(&[]));
    runs.detect(&fake, &world).unwrap();
    let first = runs.observer.take();
    runs.detect(&fake, &world).unwrap();
    let second = runs.observer.take();
    assert_eq!((first.len(), &first[1..]), (3, &second[1..]));
    assert!(matches!(&second[0], Event::Recalled { recall: Recall::Remembered, phase: FlowPhase::Detect, .. }));
}

#[test]
fn what_is_too_long_is_not_kept() {
    let much: [fn(&Workbench); 2] = [
        |bench| (0..60_000).for_each(|_| drop(bench.stat("a"))),
        |bench| bench.log(crate::port::observer::Level::Debug, &"x".repeat((1 << 20) - 1).repeat(2)),
    ];
    for much in much {
        let (mut runs, fake) = (Runs::new(Artifacts::default()), asking(much));
        runs.shop.limits.log_bytes = 8 << 20;
        for expected in ["ran: first time", "ran: it does more than is remembered"] {
            runs.detect(&fake, &World::of(&[])).unwrap();
            assert_eq!(runs.recall(), expected);
        }
    }
}

#[test]
fn nonsense_in_the_store_is_a_miss() {
    let (mut runs, fake) = (Runs::new(Artifacts::default()), asking(|_| {}));
    runs.detect(&fake, &World::of(&[])).unwrap();
    runs.results.garble();
    runs.observer.take();
    runs.detect(&fake, &World::of(&[])).unwrap();
    assert_eq!(runs.recall(), "ran: first time");
}

#[test]
fn nothing_is_kept_of_a_run_that_was_stopped() {
    let mut runs = Runs::new(Artifacts::default());
    let cancel = runs.shop.cancel.clone();
    let fake = Fake::new("t/stops@1.0.0").detects(move |_| {
        cancel.set();
        Ok(Verdict::Pass(Vec::new()))
    });
    runs.detect(&fake, &World::of(&[])).unwrap();
    assert_eq!(runs.results.results(), 0);
}
