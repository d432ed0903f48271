//! Killed at every step: the next run succeeds by itself, comes to the same end, and finds nothing corrupt.
//!
//! A step is a call to the system by which something changes outside the program: a file is made, named, written, marked, settled
//! or removed, a line is printed, a registry is sent something or waited for (`support/calls.rs`). For each command a run
//! is killed as it enters the first of these calls, another one as it enters the second, and so on, until one ends before: no call
//! is left out by choice. Where several threads work, they take turns in another order each time: one run of the test may miss a
//! call that the next one meets. So each trial names the parts of its work, and one more run is killed in the first call of each.
//! A step that is added to the program is killed in by itself, without a door for tests.
//!
//! After each kill:
//! * every file that the person sees is the one from before or the one from after, or is marked as unfinished by its name;
//! * every file that is called by a digest has it;
//! * the same command succeeds, with the same result and the same files as if nothing had happened, and nothing unfinished is left;
//! * `stave cache verify` finds nothing damaged.
//!
//! A failure says which call of which command it was, and the last line that the program had said by then.
//! `cargo test -p stave-tests --test all killed:: -- --nocapture` prints how many calls of which kind each command makes.

mod build;
mod cache;
mod images;
mod parts;
mod platform;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use serde_json::Value;
use stave_model::digest::Digest;

use crate::support::{
    env::{TestEnv, listing},
    killer::{Kind, Moment, run_until},
    process::{Outcome, stave, succeeds},
};

/// The folders of a world that are as they were before each run.
const FOLDERS: [&str; 5] = ["home", "cache", "data", "tmp", "work"];
/// In what is typed: a name that no run had before.
const NAME: &str = "NAME";
/// The name of the run that nobody kills. All names are as long.
const FIRST: &str = "name-0000";

/// A command, in a world that is made ready for it.
struct Trial<'t> {
    env: &'t TestEnv,
    /// What is typed after `stave`.
    line: String,
    /// Parts of the work, each by what stands in the calls by which it is done, or in the title that the program has said by then.
    parts: &'t [&'t str],
    /// What is there before, for a run of this name, beside what the world has.
    before: &'t dyn Fn(&str),
    /// What is done after a kill, instead of the same command.
    again: Option<&'t dyn Fn(&str) -> Outcome>,
    /// What is looked at after that.
    after: &'t dyn Fn(&str, &Outcome),
}

/// Where runs of a trial come to.
struct End {
    result: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl<'t> Trial<'t> {
    fn new(env: &'t TestEnv, line: &str, parts: &'t [&'t str]) -> Self {
        Self { env, line: line.to_owned(), parts, before: &|_| {}, again: None, after: &|_, _| {} }
    }

    fn words(&self, name: &str) -> Vec<String> {
        self.line.split_whitespace().map(|word| word.replace(NAME, name)).collect()
    }

    fn run(&self, name: &str) -> Outcome {
        let words = self.words(name);
        self.env.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Kills in every call, and in the first of each part of the work, each time in the world as it is now.
    fn kill_at_every_step(&self) {
        let before = Kept::of(self.env);
        let earlier = files(&self.env.work());
        (self.before)(FIRST);
        let whole = self.run(FIRST).succeeds();
        let end = self.end(FIRST, &whole);
        (self.after)(FIRST, &whole);

        let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
        let in_parts = self.parts.iter().map(|part| Moment::First(part));
        for (number, moment) in in_parts.chain((1..).map(Moment::Nth)).enumerate() {
            before.bring_back(self.env);
            let name = format!("name-{:04}", number + 1);
            (self.before)(&name);
            let run = run_until(self.env, stave(), &self.words(&name), moment);
            let Some(call) = &run.killed_in else {
                assert_eq!(run.outcome.code, Some(0), "`{}`: {}", self.line, run.outcome.stderr);
                assert!(matches!(moment, Moment::Nth(_)), "`{}` does not do what is {moment:?}", self.line);
                break;
            };
            let _told = When(format!("killed in call {moment:?} ({call}), having said: {}", run.last_line()));
            self.look(&name, &earlier, &end);
            *kinds.entry(call.kind).or_default() += 1;
        }
        println!("`{}`: killed {} times: {kinds:?}", self.line, kinds.values().sum::<usize>());
    }

    /// Looks at what a killed run left, and at what becomes of it.
    fn look(&self, name: &str, earlier: &BTreeMap<String, Vec<u8>>, end: &End) {
        self.assert_called_rightly();
        for (path, bytes) in files(&self.env.work()) {
            let plain = without(name, &bytes);
            let is_whole = [earlier, &end.files].iter().any(|known| known.get(&path) == Some(&plain));
            assert!(is_whole || is_unfinished(&path), "{path} is half-written");
        }
        let next = self.again.map_or_else(|| self.run(name), |again| again(name)).succeeds();
        let now = self.end(name, &next);
        if self.again.is_none() {
            assert_eq!(now.result, end.result);
        }
        let names = |end: &End| end.files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&now), names(end));
        let other = now.files.iter().find(|(path, bytes)| end.files[*path] != **bytes);
        assert_eq!(other.map(|(path, _)| path), None, "it is another file than without a kill");
        self.env.assert_nothing_half_written();
        let verified = self.env.run(&["cache", "verify", "--output", "json"]).succeeds();
        let verified: Value = serde_json::from_str(&verified.stdout).unwrap();
        assert_eq!(verified["damaged"], Value::Array(Vec::new()));
        (self.after)(name, &next);
    }

    /// Every file that is called by a digest has it.
    fn assert_called_rightly(&self) {
        for path in self.env.files().keys().filter(|path| path.contains("/sha256/")) {
            let name = path.rsplit('/').next().unwrap();
            if !is_unfinished(path) {
                assert_eq!(Digest::of(&fs::read(self.env.root().join(path)).unwrap()).hex(), name, "{path}");
            }
        }
    }

    fn end(&self, name: &str, outcome: &Outcome) -> End {
        let files = files(&self.env.work()).into_iter().map(|(path, bytes)| (path, without(name, &bytes))).collect();
        End { result: outcome.result().replace(name, FIRST), files }
    }
}

/// The bytes of a file as the first run would have written them.
fn without(name: &str, bytes: &[u8]) -> Vec<u8> {
    let (mut plain, name) = (bytes.to_owned(), name.as_bytes());
    for at in 0..(bytes.len() + 1).saturating_sub(name.len()) {
        if bytes[at] == name[0] && bytes[at..].starts_with(name) {
            plain[at..at + name.len()].copy_from_slice(FIRST.as_bytes());
        }
    }
    plain
}

/// Whether a file, or a folder that it is in, is marked as not finished.
fn is_unfinished(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with(".stave-") && part.ends_with(".partial"))
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    listing(folder).into_keys().map(|path| (path.clone(), fs::read(folder.join(path)).unwrap_or_default())).collect()
}

/// Says when something was so, if a test fails before this is dropped.
struct When(String);

impl Drop for When {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("{}", self.0);
        }
    }
}

/// A world's folders as they were once.
struct Kept {
    folder: TestEnv,
}

impl Kept {
    fn of(env: &TestEnv) -> Self {
        let folder = TestEnv::empty();
        copy(env.root(), folder.root());
        Self { folder }
    }

    fn bring_back(&self, env: &TestEnv) {
        copy(self.folder.root(), env.root());
    }
}

/// Makes the folders of one world those of the other, with all times.
fn copy(from: &Path, to: &Path) {
    for folder in FOLDERS {
        let _ = fs::remove_dir_all(to.join(folder));
    }
    let folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| from.join(folder)).collect();
    succeeds(Command::new("cp").args(["-a", "--reflink=auto"]).args(folders).arg(to));
}
