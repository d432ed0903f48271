//! The store: used by many at once, killed, damaged and tidied, and sound after all of it.

use std::{
    fs::{self, File, OpenOptions},
    path::Path,
    thread,
};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::support::{
    env::{TestEnv, listing},
    filters,
    guests::{self, guest},
    images::checked_here,
    process::{Outcome, Running, run, stave},
    tools::tool,
};

/// How many builds there are at once.
const CROWD: usize = 16;
/// How often they come.
const ROUNDS: usize = 3;
/// Calls by which something in the store changes, and about how many of each a build makes.
const CALLS: [(&str, u64); 5] = [
    ("openat", 150),
    ("mkdir,mkdirat,fchmod", 12),
    ("rename,renameat,renameat2,link,linkat", 12),
    ("fsync,fdatasync", 8),
    ("write,pwrite64", 200),
];

/// Numbers that are the same in each run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A world with an app and a builder.
pub(crate) fn world() -> (TestEnv, [&'static str; 4]) {
    let env = TestEnv::empty();
    let arguments = guests::builder(&env, &guest("hostile"));
    (env, arguments)
}

/// What the program says of the store for programs.
#[track_caller]
pub(crate) fn verified(env: &TestEnv) -> Value {
    serde_json::from_str(&env.run(&["cache", "verify", "--output", "json"]).succeeds().stdout).unwrap()
}

/// The image of a name, everything that it promises being checked.
#[track_caller]
pub(crate) fn exported(env: &TestEnv, name: &str) -> String {
    let folder = env.work().join("out");
    let _ = fs::remove_dir_all(&folder);
    env.run(&["export", name, "--to", "oci:out"]).succeeds();
    checked_here(&folder).digest().to_string()
}

#[test]
fn a_crowd_that_is_killed_leaves_the_store_sound() {
    let (env, build) = world();
    let digest = env.run(&[&build[..], &["--tag", "first"]].concat()).succeeds().result().to_owned();
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let mut killed = 0;
    for round in 0..ROUNDS {
        let mut commands = Vec::new();
        for member in 0..CROWD {
            // Every other one goes to its end.
            let (calls, many) = CALLS[usize::try_from(numbers.below(CALLS.len() as u64)).unwrap()];
            let moment = numbers.below(many) + 1;
            let mut command = if member % 2 == 0 {
                let mut command = env.command(tool("strace").get_program());
                command.args(["--follow-forks", "--quiet=all", "--output=/dev/null", &format!("--trace={calls}")]);
                command.arg(format!("--inject={calls}:signal=SIGKILL:when={moment}")).arg(stave());
                command
            } else {
                env.command(stave())
            };
            // Some find everything there, and some make it anew beside the others.
            let tag = format!("app-{round}-{}", member / 4);
            command.args(build).args(["--tag", &tag, "--env", &format!("BP_HOSTILE=none-{round}")]);
            if member % 3 == 0 {
                command.arg("--clear-cache");
            }
            commands.push((member, command));
        }
        let outcomes: Vec<(usize, Outcome)> = thread::scope(|scope| {
            let started: Vec<_> =
                commands.iter_mut().map(|(member, command)| scope.spawn(move || (*member, run(command)))).collect();
            started.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for (member, outcome) in outcomes {
            match outcome.code {
                None if member % 2 == 0 => killed += 1,
                Some(0) => assert_eq!(outcome.result(), digest, "round {round}, member {member}"),
                _ => panic!("round {round}, member {member}: {}{}", outcome.stdout, outcome.stderr),
            }
        }
        assert_eq!(verified(&env)["damaged"], Value::Array(Vec::new()), "round {round}");
    }
    // How many it takes depends on how calls fall on threads.
    assert!(killed > 0, "nobody was killed");
    // What the dead left is gone with the next ones.
    env.run(&["cache", "gc"]).succeeds();
    assert_eq!(exported(&env, "app-0-0"), digest);
    env.assert_nothing_half_written();
}

/// Lines without the numbers that differ from build to build, and without the columns.
pub(crate) fn counts_hidden(text: &str) -> String {
    let word = |word: &str| if word.parse::<u64>().is_ok() { "[N]".to_owned() } else { word.to_owned() };
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // A size keeps its number: a filter knows it.
        let numbers = words.iter().enumerate().map(|(at, text)| {
            let is_size = words.get(at + 1).is_some_and(|unit| ["B", "kB", "MB", "GB"].contains(unit));
            if is_size { (*text).to_owned() } else { word(text) }
        });
        numbers.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).fold(String::new(), |all, line| all + &line + "\n")
}

/// Takes a kernel lock as another process would.
fn hold(path: &Path, operation: FlockOperation) -> File {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
    flock(&file, operation).unwrap();
    file
}

#[test]
fn who_adds_to_the_ledger_waits_for_its_turn() {
    let (env, build) = world();
    env.run(&build).succeeds();
    let ledger = env.data().join("ledger");
    let held = hold(&ledger.join(".lock"), FlockOperation::LockExclusive);
    // Without news nobody needs it.
    env.run(&build).succeeds();
    for file in listing(&ledger).keys().filter(|name| Path::new(name).extension().is_some_and(|end| end == "json")) {
        fs::remove_file(ledger.join(file)).unwrap();
    }
    let mut running = Running::start(&mut env.stave(&build));
    running.wait_for("waiting for another stave that writes its ledger");
    drop(held);
    assert_eq!(running.end().code, Some(0));
    assert!(listing(&ledger).keys().any(|name| Path::new(name).extension().is_some_and(|end| end == "json")));
}

#[test]
fn nobody_waits_without_saying_so() {
    let (env, build) = world();
    env.run(&build).succeeds();
    let (cache, images) = (env.cache(), env.data().join("images"));
    let locks = [cache.join(".turnstile"), cache.join(".lock"), images.join(".lock")];
    let found = [listing(&cache), listing(&env.data())].into_iter().flatten();
    let found = found.filter(|(path, _)| path.ends_with("lock") || path.ends_with("turnstile")).count();
    assert_eq!(found, locks.len() + 1, "every lock is in this test, but that of the ledger, which is in the next");
    let mut said = Vec::new();
    for (arguments, shared) in [(&build[..], false), (&["cache", "gc"], true), (&["images", "remove", "none"], false)] {
        for lock in &locks {
            let alone = FlockOperation::LockExclusive;
            let held = hold(lock, if shared { FlockOperation::LockShared } else { alone });
            if shared && lock.starts_with(&images) || arguments[0] == "images" && lock.starts_with(&images) {
                // Reading beside a reader, and reading the index, which is one file.
                env.run(arguments);
                continue;
            }
            let mut running = Running::start(&mut env.stave(arguments));
            running.wait_for("waiting for another stave that ");
            drop(held);
            let outcome = running.end();
            assert_eq!(outcome.code, Some(i32::from(arguments[0] == "images")), "{}", outcome.stderr);
            let line = outcome.stderr.lines().find(|line| line.starts_with("waiting")).unwrap();
            said.push(format!("{}: {line}", arguments[..2].join(" ")));
        }
    }
    insta::assert_snapshot!(said.join("\n"), @"
    build app: waiting for another stave that tidies the cache
    build app: waiting for another stave that tidies the cache
    build app: waiting for another stave that works on the image store
    cache gc: waiting for another stave that tidies the cache
    cache gc: waiting for another stave that uses the cache
    images remove: waiting for another stave that tidies the cache
    images remove: waiting for another stave that tidies the cache
    ");
}

#[test]
fn tidying_while_builds_run_takes_nothing_from_them() {
    let (env, build) = world();
    let digest = env.run(&build).succeeds().result().to_owned();
    let tidied = thread::scope(|scope| {
        let builders: Vec<_> = (0..8)
            .map(|number| {
                let (env, build, digest) = (&env, &build, &digest);
                scope.spawn(move || {
                    for round in 0..3 {
                        let tag = format!("app-{number}");
                        let setting = format!("BP_HOSTILE=none-{number}-{round}");
                        let outcome = env.run(&[&build[..], &["--tag", &tag, "--env", &setting]].concat()).succeeds();
                        assert_eq!(outcome.result(), digest);
                    }
                })
            })
            .collect();
        let mut tidied = 0;
        while tidied < 3 || builders.iter().any(|builder| !builder.is_finished()) {
            env.run(&["cache", "gc", "--max-size", "0"]).succeeds();
            tidied += 1;
        }
        for builder in builders {
            builder.join().unwrap();
        }
        tidied
    });
    assert!(tidied >= 3);
    for number in 0..8 {
        assert_eq!(exported(&env, &format!("app-{number}")), digest);
    }
    env.run(&["cache", "verify"]).succeeds();
    env.assert_nothing_half_written();
}

#[test]
fn what_killed_runs_left_and_what_is_too_much_goes() {
    let (env, build) = world();
    let _filters = filters::bind(&env);
    let digest = env.run(&build).succeeds().result().to_owned();
    let leave = |path: &str| {
        fs::create_dir_all(env.cache().join(path).parent().unwrap()).unwrap();
        fs::write(env.cache().join(path), "left").unwrap();
    };
    for path in ["code/.tmpAbCdEf", "scratch/unpacked/file", "blobs/new/x.part"] {
        leave(path);
    }
    let info: Value = serde_json::from_str(&env.run(&["cache", "info", "-o", "json"]).succeeds().stdout).unwrap();
    // Whoever opens the blobs sweeps theirs at once.
    assert_eq!(info["unfinished"], serde_json::json!({ "count": 2, "bytes": 8 }), "{info}");
    assert!(info["shared"]["count"].as_u64().unwrap() >= 1, "{info}");
    let before = listing(&env.cache());
    let dry = env.run(&["cache", "gc", "--max-size", "0", "--dry-run"]).succeeds().stdout;
    assert_eq!(listing(&env.cache()), before);
    insta::assert_snapshot!(counts_hidden(&dry), @"
    would remove leftovers [N] [SIZE]
    would remove blobs [N] [SIZE]
    would remove results [N] [SIZE]
    would remove code [N] [SIZE]
    [SIZE] stay
    ");
    // Without a limit only what is nobody's goes.
    let outcome = env.run(&["cache", "gc"]).succeeds();
    insta::assert_snapshot!(format!("{}{}", outcome.stdout, outcome.stderr), @"
    removed leftovers       2  [SIZE]
    removed blobs           0  [SIZE]
    removed results         0  [SIZE]
    removed code            0  [SIZE]
    [SIZE] stay
    there is no limit for the cache: set `max-size` below `[cache]` in config.toml, or give --max-size
    ");
    let left = listing(&env.cache());
    assert!(
        before
            .keys()
            .filter(|path| !left.contains_key(*path))
            .all(|path| path.contains("tmp") || path.contains("scratch"))
    );
    // What the image is made of stays, and a lock names the rest.
    let names: Vec<String> =
        left.keys().filter_map(|path| path.strip_prefix("blobs/sha256/")).map(|path| path[3..].to_owned()).collect();
    env.write("stave.lock", names.iter().fold(String::new(), |lock, hex| lock + "digest = \"sha256:" + hex + "\"\n"));
    env.run(&["cache", "gc", "--max-size", "0", "--lock", "stave.lock"]).succeeds();
    let blobs = |env: &TestEnv| listing(&env.cache().join("blobs/sha256")).len();
    assert_eq!(blobs(&env), names.len());
    env.run(&["cache", "gc", "--max-size=0"]).succeeds();
    assert!(listing(&env.cache().join("results")).is_empty() && listing(&env.cache().join("code")).is_empty());
    assert!(blobs(&env) >= 1, "the image's layers have a second name here");
    assert_eq!(env.run(&build).succeeds().result(), digest);
    // And by itself, where a limit is configured.
    env.write("config.toml", "cache = { max-size = \"1 kB\" }\n");
    env.run(&[&build[..], &["--config", "config.toml"]].concat()).succeeds();
    assert!(listing(&env.cache().join("code")).is_empty());
    env.write("config.toml", "cache = { max-size = \"large\" }\n");
    let outcome = env.run(&["cache", "gc", "--config", "config.toml"]).ends_with(3);
    insta::assert_snapshot!(outcome.failure(), @r#"
    error: could not understand the configuration config.toml
    caused by: TOML parse error at line 1, column 22
        |
      1 | cache = { max-size = "large" }
        |                      ^^^^^^^
      `large` is not a size: write a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB
    "#);
}

#[test]
fn images_are_removed_by_name() {
    let (env, build) = world();
    let _filters = filters::bind(&env);
    env.run(&[&build[..], &["--tag", "one", "--tag", "two"]].concat()).succeeds();
    insta::assert_snapshot!(env.run(&["images", "remove", "one", "three"]).ends_with(1).failure(), @"
    error: there is no image `three:latest` in the image store
    hint: `stave images` lists what there is
    ");
    insta::assert_snapshot!(env.run(&["images", "remove", "one", "two"]).succeeds().stdout, @"
    removed one:latest (1 image, [SIZE])
    removed two:latest (1 image, [SIZE])
    ");
    assert_eq!(listing(&env.data().join("images/blobs")).len(), 0);
    insta::assert_snapshot!(env.run(&["images"]).succeeds().stderr, @"the image store is empty: build something");
}
