//! A real component that misbehaves in every way that was thought of. Each time it is stopped with a reason that a person
//! understands, and the host goes on.

mod listed;
#[path = "../support/mod.rs"]
mod support;

use std::{error::Error, fmt::Write, sync::Arc, thread, time::Duration};

use stave_engine::Limits;
use stave_lifecycle::{
    image::Image,
    port::{
        buildpack::{RunError, Verdict},
        observer::Level,
    },
    previous::Previous,
};
use stave_model::{digest::Digest, target::Platform};

use support::{Place, goes_on, hostile, strict, strict_hostile};

/// What became of a call, in words.
fn told<T: std::fmt::Debug>(answer: Result<T, RunError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => error.to_string(),
    }
}

/// W1, W2, W11.
#[test]
fn what_goes_over_a_limit_is_stopped_with_the_reason() {
    // Only those that never end by themselves are stopped by the clock; the others need their time on a busy machine.
    let patient = hostile(Limits { detect: Duration::from_mins(10), ..strict() });
    let mut reasons = String::new();
    for word in
        ["spin", "sleep", "allocate", "recurse", "descend", "send", "gigabyte", "million", "panic", "abort", "exit"]
    {
        let loaded = if ["spin", "sleep"].contains(&word) { strict_hostile() } else { &patient };
        // One that is not stopped never comes back, and so this test would not end.
        let error = Place::new().detect(loaded, word).expect_err(word);
        assert!(matches!(error, RunError::Stopped { .. }), "{word}: {error:?}");
        writeln!(reasons, "{word}: {error}").unwrap();
        goes_on(loaded);
    }
    insta::with_settings!({ filters => [(r"excess\.rs:\d+", "excess.rs:LINE")] }, {
    insta::assert_snapshot!(reasons, @r#"
    spin: the sandbox stopped it: it ran for more than 300 milliseconds
    sleep: the sandbox stopped it: it ran for more than 300 milliseconds
    allocate: the sandbox stopped it: it wanted more than 64 MiB of memory
    recurse: the sandbox stopped it: it reached outside its memory, as code does whose stack overflows or that has a fault
    descend: the sandbox stopped it: its stack overflowed
    send: the sandbox stopped it: it passed more than 4 MiB of data to the host at once
    gigabyte: the sandbox stopped it: it passed more than 4 MiB of data to the host at once
    million: the sandbox stopped it: it passed more than 4 MiB of data to the host at once
    panic: the sandbox stopped it: it panicked at tests/guests/hostile/src/excess.rs:LINE: no staves\u{1b}[2J left
    abort: the sandbox stopped it: it gave up without a word
    exit: the sandbox stopped it: it exited instead of answering
    "#);
    });
}

#[test]
fn a_crash_comes_with_what_its_author_needs() {
    let error = Place::new().detect(strict_hostile(), "panic").unwrap_err();
    let crash = error.source().expect("a source").to_string();
    assert!(crash.contains("wasm backtrace"), "{crash}");
    assert!(!crash.contains('\u{1b}'), "{crash}");
}

/// W2.
#[test]
fn handles_and_layers_are_limited() {
    let few = hostile(Limits { handles: 20, ..Limits::default() });
    let usual = hostile(Limits::default());
    let all = [
        told(Place::new().detect(&few, "handles")),
        told(Place::new().detect(&usual, "handles")),
        told(Place::new().build(&usual, "layers")),
    ];
    goes_on(&few);
    insta::assert_snapshot!(all.join("\n"), @r#"
    the sandbox stopped it: it held more than 20 things of the host at one time
    Skip("256 opened, then: could not open the archive `a.zip` of the app: at most 256 are opened")
    64 begun, then: could not begin the layer `l64`: a buildpack has at most 64 layers
    "#);
}

/// T5.
#[test]
fn a_flood_of_words_is_cut() {
    let loaded = hostile(Limits::default());
    for word in ["flood", "print"] {
        let place = Place::new();
        place.detect(&loaded, word).unwrap();
        let said: Vec<String> =
            [Level::Info, Level::Warning].into_iter().flat_map(|l| place.notes.messages(l)).collect();
        let bytes: usize = said.iter().map(String::len).sum();
        assert!((99_000..110_000).contains(&bytes), "{word}: {bytes} bytes");
        assert!(said.iter().all(|line| line.len() < 9000), "{word}: a line is too long");
        assert!(said.iter().any(|line| line.contains("it has said too much")), "{word}: nobody was told");
    }
    goes_on(&loaded);
}

/// W6, W14, W15.
#[test]
fn what_is_not_allowed_is_answered_not_trapped() {
    let loaded = hostile(Limits::default());
    let all = [
        told(Place::new().detect(&loaded, "denied")).replace("\\n", "\n"),
        Place::new().build(&loaded, "names").unwrap_err().to_string().replace("\\n", "\n"),
    ];
    insta::assert_snapshot!(all.join("\n\n"), @r#"
    Skip("Fault::Denied: could not read the setting `HOME`: the manifest of stave-tests/hostile@0.1.0 does not ask for it (its author adds it to `asks.settings` in buildpack.toml)
    Fault::Denied: could not use `layers` in detect: it is for build
    Fault::Denied: could not use `overlay` in detect: it is for build")

    Fault::InvalidInput: could not begin the layer `../x`: `../x` is not a valid layer name: use letters, digits, `-` and `_`, at most 64 characters, and none of build, launch, store
    Fault::InvalidInput: could not begin the layer `good`: it was begun before
    Fault::InvalidInput: could not use a path: path `../x` is refused: it holds `.` or `..`
    Fault::InvalidInput: could not use a path: path `/x` is refused: it is absolute
    Fault::InvalidInput: could not use a path: path `a\u{1b}[2J\0` is refused: it holds a backslash or a NUL
    Fault::InvalidInput: could not link `x` to `../../x` in a layer: a relative link stays inside its layer, an absolute one has no empty names, `.` or `..`
    Fault::InvalidInput: could not set a variable in a layer: `A=B` is not a valid variable name: use letters, digits and `_`, not a digit first, at most 128 characters
    Fault::InvalidInput: could not set a variable in a layer: `../x` is not a valid process type: use letters, digits, `.`, `-` and `_`, at most 64 characters
    "#);
}

/// W13, W16, W17.
#[test]
fn answers_that_break_the_contract_are_refused() {
    let loaded = hostile(Limits::default());
    let mut all = String::new();
    for word in ["alternatives", "no-name", "bad-name", "provides", "requires"] {
        let error = Place::new().detect(&loaded, word).expect_err(word);
        assert!(matches!(error, RunError::BadAnswer(_)), "{word}: {error:?}");
        writeln!(all, "{word}: {error}").unwrap();
    }
    for word in ["bad-process", "no-command", "escape", "defaults", "processes", "label", "slice", "store", "unmet"] {
        let error = Place::new().build(&loaded, word).expect_err(word);
        assert!(matches!(error, RunError::BadAnswer(_)), "{word}: {error:?}");
        writeln!(all, "{word}: {error}").unwrap();
    }
    insta::assert_snapshot!(all, @r#"
    alternatives: its answer breaks the contract: 33 alternatives, where at most 32 are taken
    no-name: its answer breaks the contract: `` is not a name: it is empty, longer than 256 bytes or holds control characters
    bad-name: its answer breaks the contract: `a\u{1b}[2J` is not a name: it is empty, longer than 256 bytes or holds control characters
    provides: its answer breaks the contract: 101 names it provides, where at most 100 are taken
    requires: its answer breaks the contract: the requirement `jre` says twice what `version` is
    bad-process: its answer breaks the contract: `../web` is not a valid process type: use letters, digits, `.`, `-` and `_`, at most 64 characters
    no-command: its answer breaks the contract: the process `web` has no command
    escape: its answer breaks the contract: the process `web` has control characters in its command
    defaults: its answer breaks the contract: `a` and `b` both want to be the default process
    processes: its answer breaks the contract: 10000 processes, where at most 100 are taken
    label: its answer breaks the contract: the label `io.buildpacks.lifecycle.metadata` has a key that belongs to the platform
    slice: its answer breaks the contract: the slice pattern `../*` leads outside the app
    store: its answer breaks the contract: its store has 100001 bytes of notes, where at most 65536 are taken
    unmet: its answer breaks the contract: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is not a name: it is empty, longer than 256 bytes or holds control characters
    "#);
}

#[test]
fn words_of_a_buildpack_are_passed_on_cut_and_shown_plain() {
    let loaded = hostile(Limits::default());
    let skipped = Place::new().detect(&loaded, "escape").unwrap();
    assert_eq!(skipped, Verdict::Skip("\u{1b}[2J\u{1b}]0;owned\u{7}nothing\r\nhere".to_owned()), "as it was said");
    let error = Place::new().detect(&loaded, "refuse").unwrap_err();
    assert_eq!(error.to_string(), "\\u{1b}[2Jnothing to see");
    let RunError::Refused(failure) = error else { panic!("{error:?}") };
    assert!(failure.detail.unwrap().len() < 21_000);
    assert_eq!((failure.hint.as_deref(), failure.line), (Some("go away"), Some(7)));
}

/// W6, W18.
#[test]
fn the_world_is_the_same_at_any_time() {
    let loaded = hostile(Limits::default());
    let Verdict::Skip(first) = Place::new().detect(&loaded, "world").unwrap() else { panic!("it passed") };
    let again = hostile(strict());
    assert_eq!(Place::new().detect(&again, "world").unwrap(), Verdict::Skip(first.clone()));
    // The order follows from the component's digest, and so from its compiler.
    let shown = first.lines().filter(|line| !line.starts_with("random order")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(shown, @r#"
    time: Ok(315532801s)
    since: 1ms
    arguments: []
    environment: []
    folder: Ok("/")
    file: Err(NotFound)
    list: Err(NotFound)
    input: Ok("")
    "#);
}

#[test]
fn a_buildpack_is_told_what_its_last_build_left() {
    let mut place = Place::new();
    let mut build = |previous: Option<&str>| {
        place.previous = Arc::new(previous.map(|label| Previous::of_image(&labelled(label))).unwrap_or_default());
        let report = place.build(strict_hostile(), "count").unwrap();
        report.store["builds"].clone()
    };
    assert_eq!(build(None), "1");
    let label = r#"{"app":[],"config":{"sha":""},"launcher":{"sha":""},"process-types":{"sha":""},"runImage":
        {"topLayer":"","reference":""},"stack":{"runImage":{"image":""}},"buildpacks":[{"key":"stave-tests/hostile","version":"1.0.0",
        "store":{"metadata":{"builds":"7"}},"layers":{"counted":{"sha":"SHA","data":{"build":"7"},"build":false,"launch":true,
        "cache":false}}}]}"#;
    assert_eq!(build(Some(&label.replace("SHA", &Digest::of(b"x").to_string()).replace('\n', ""))), "8");
    let said = place.notes.messages(Level::Info);
    assert_eq!(said, [r"build 1, after []", r#"build 8, after [("build", "7")]"#]);
}

/// An image with this label of the lifecycle.
fn labelled(label: &str) -> Image {
    let config = format!(r#"{{"config":{{"Labels":{{"io.buildpacks.lifecycle.metadata":{label:?}}}}}}}"#);
    Image::new(Platform::linux("amd64"), config.into_bytes(), Vec::new())
}

/// W12.
#[test]
fn a_request_to_stop_is_obeyed_at_once() {
    let loaded = hostile(Limits::default());
    for word in ["spin", "sleep"] {
        let place = Place::new();
        let cancel = place.cancel.clone();
        thread::scope(|scope| {
            let call = scope.spawn(|| place.build(&loaded, word));
            cancel.set();
            // After ten minutes it would be stopped for another reason.
            assert!(matches!(call.join().unwrap(), Err(RunError::Cancelled)), "{word}");
        });
    }
    goes_on(&loaded);
}

#[test]
fn many_run_beside_each_other_on_one_engine() {
    let loaded = hostile(Limits::default());
    let words = ["", "panic", "", "descend", "", "abort", "", "exit"];
    thread::scope(|scope| {
        let calls = words.map(|word| (word, scope.spawn(|| Place::new().build(&loaded, word))));
        for (word, call) in calls {
            assert_eq!(call.join().unwrap().is_ok(), word.is_empty(), "{word}");
        }
    });
}
