//! What buildpacks may say about launch, and how it is joined.

use super::*;

fn process(buildpack: &str, kind: &str, command: &[&str], default: bool) -> Process {
    Process {
        kind: kind.parse().unwrap(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        args: Vec::new(),
        direct: true,
        default,
        working_directory: None,
        exec_env: Vec::new(),
        buildpack: buildpack.parse().unwrap(),
    }
}

fn label(key: &str, value: &str) -> Label {
    Label { key: key.to_owned(), value: value.to_owned() }
}

fn processes(processes: &[Process]) -> Launch {
    Launch { processes: processes.to_vec(), ..Launch::default() }
}

#[test]
fn later_buildpacks_win_and_processes_are_sorted() {
    let first = processes(&[process("a", "web", &["old"], true), process("a", "task", &["t"], false)]);
    let second = processes(&[process("b", "web", &["new"], true), process("b", "admin", &["x"], false)]);
    let (launch, cleared) = aggregate(&[first, second]).unwrap();
    let got: Vec<_> = launch.processes.iter().map(|p| (p.kind.as_str(), p.command[0].as_str())).collect();
    assert_eq!(got, [("admin", "x"), ("task", "t"), ("web", "new")]);
    assert_eq!(launch.default.unwrap().as_str(), "web");
    assert_eq!(cleared, []);
}

#[test]
fn the_default_follows_the_last_that_wants_it() {
    let (web, task) = (|default| process("a", "web", &["x"], default), |default| process("b", "task", &["x"], default));
    // (what each buildpack says, the default in the end, how often it was cleared)
    let cases = [
        (vec![vec![web(false)], vec![task(false)]], None, 0),
        (vec![vec![web(true)], vec![task(false)]], Some("web"), 0),
        (vec![vec![web(true)], vec![task(true)]], Some("task"), 0),
        (vec![vec![web(true)], vec![web(false)]], None, 1),
        (vec![vec![web(true)], vec![web(false), task(true)]], Some("task"), 1),
        (vec![vec![web(true)], vec![web(false)], vec![web(true)]], Some("web"), 1),
    ];
    for (all, default, cleared) in cases {
        let all: Vec<_> = all.iter().map(|list| processes(list)).collect();
        let (launch, warnings) = aggregate(&all).unwrap();
        assert_eq!(launch.default.as_ref().map(ProcessType::as_str), default, "{all:?}");
        assert_eq!(warnings.len(), cleared, "{all:?}");
    }
    let all = [processes(&[web(true)]), processes(&[web(false)])];
    insta::assert_snapshot!(aggregate(&all).unwrap().1[0],
        @"a redefines the process `web`, which is therefore no longer the default");
}

#[test]
fn labels_and_slices_are_collected() {
    let slice = |path: &str| Slice { paths: vec![path.to_owned()] };
    let one = Launch { labels: vec![label("b", "1"), label("a", "1")], slices: vec![slice("z")], ..Launch::default() };
    let two = Launch { labels: vec![label("b", "2"), label("b", "3")], slices: vec![slice("a")], ..Launch::default() };
    let launch = aggregate(&[one, two]).unwrap().0;
    assert_eq!(launch.labels, [label("a", "1"), label("b", "3")]);
    assert_eq!(launch.slices, [slice("z"), slice("a")]);
}

#[test]
fn what_cannot_be_started_is_refused() {
    let refused = |list: &[Process]| aggregate(&[processes(list)]).unwrap_err().to_string();
    insta::assert_snapshot!(refused(&[process("a", "web", &[], false)]), @"the process `web` has no command");
    insta::assert_snapshot!(refused(&[process("a", "web", &[""], false)]), @"the process `web` has no command");
    insta::assert_snapshot!(refused(&[process("a", "web", &["x\ny"], false)]),
        @"the process `web` has control characters in its command");
    insta::assert_snapshot!(refused(&[process("a", "web", &["x", "\u{1b}[2J"], false)]),
        @"the process `web` has control characters in its command");
    insta::assert_snapshot!(refused(&[process("a", "web", &["x"; MAX_WORDS + 1], false)]),
        @"the process `web` has too long a command: at most 512 words and 64 KiB are taken");
    let nowhere = Process { working_directory: Some(String::new()), ..process("a", "web", &["x"], false) };
    insta::assert_snapshot!(refused(&[nowhere]),
        @"the process `web` has a working directory that is empty, too long or holds control characters");
    insta::assert_snapshot!(refused(&[process("a", "web", &["x"], true), process("a", "web", &["y"], false)]),
        @"the process `web` is defined twice");
    insta::assert_snapshot!(refused(&[process("a", "web", &["x"], true), process("a", "task", &["y"], true)]),
        @"`web` and `task` both want to be the default process");
    let many: Vec<_> = (0..=MAX_PROCESSES).map(|n| process("a", &format!("p{n}"), &["x"], false)).collect();
    insta::assert_snapshot!(refused(&many), @"101 processes are wanted; at most 100 are taken");
    let two = [processes(&many[..60]), processes(&many[60..])];
    insta::assert_snapshot!(aggregate(&two).unwrap_err(), @"101 processes are wanted; at most 100 are taken");
    assert!(process("a", "web", &["bash", "-c", "one\n\ttwo"], false).check().is_ok());
    let script = |text| Process { direct: false, ..process("a", "web", &[text], false) };
    assert!(script("one\n\ttwo").check().is_ok() && script("\u{1b}[2J").check().is_err());
}

#[test]
fn processes_are_for_execution_environments() {
    let only = |names: &[&str]| Process {
        exec_env: names.iter().map(|name| (*name).to_owned()).collect(),
        ..process("a", "web", &["x"], false)
    };
    // (what it names, the environment, whether it is there)
    let cases = [
        (&[][..], "production", true),
        (&["*"], "anything", true),
        (&["test"], "test", true),
        (&["test"], "production", false),
        (&["test", "production"], "production", true),
        (&["test", "*"], "production", true),
        (&["test"], "", false),
    ];
    for (names, exec_env, there) in cases {
        assert_eq!(only(names).is_in(exec_env), there, "{names:?} {exec_env}");
    }
    for name in ["", "a/b", "a b", "é", &"x".repeat(65)] {
        assert!(only(&[name]).check().is_err(), "{name}");
    }
    insta::assert_snapshot!(only(&["x"; 33]).check().unwrap_err(), @"the process `web` names execution environments that are none: at most 32 are taken, of visible ASCII without `/`, each of at most 64 bytes");
}

#[test]
fn labels_and_slices_have_limits() {
    let cases = [
        (label("", "x"), false),
        (label("a b", "x"), false),
        (label("é", "x"), false),
        (label(&"x".repeat(MAX_LABEL_KEY + 1), "x"), false),
        (label("io.buildpacks.lifecycle.metadata", "{}"), false),
        (label("x", &"x".repeat(MAX_LABEL_VALUE + 1)), false),
        (label("org.opencontainers.image.title", "a title\nof two lines, é"), true),
    ];
    for (label, allowed) in cases {
        assert_eq!(label.check().is_ok(), allowed, "{}", label.key);
    }
    for (path, allowed) in [("", false), ("/etc", false), ("a/../../b", false), ("a\nb", false), ("..a/[bc]*", true)] {
        assert_eq!(Slice { paths: vec![path.to_owned()] }.check().is_ok(), allowed, "{path:?}");
    }
    let slices = Launch { slices: vec![Slice::default(); MAX_SLICES + 1], ..Launch::default() };
    insta::assert_snapshot!(slices.check().unwrap_err(), @"33 slices are wanted; at most 32 are taken");
    insta::assert_snapshot!(label("io.buildpacks.x", "").check().unwrap_err(),
        @"the label `io.buildpacks.x` has a key that belongs to the platform");
}
