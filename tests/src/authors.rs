//! What the authors of buildpacks do works: begin one, test it on fixtures, ask it about an app, and again when a file changes.
//! The page that tells them how is followed literally.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;
use stave_model::component::embed;

use crate::support::{
    author::Workplace,
    container::free_port,
    env::{TestEnv, listing},
    guests::{bare, guest, manifest},
    process::{Running, root, run},
    registry::Registry,
};

/// The part of the page that is followed.
fn page() -> String {
    let page = fs::read_to_string(root().join("buildpacks/README.md")).unwrap();
    let part = page.split("## Write one in fifteen minutes").nth(1).expect("the page has the section");
    part.split("\n## ").next().unwrap().to_owned()
}

/// The fenced blocks of a language of a page, as one script.
fn script(page: &str, language: &str) -> String {
    let mut script = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.strip_prefix("```") == Some(language) {
            lines.by_ref().take_while(|line| *line != "```").for_each(|line| script.extend([line, "\n"]));
        }
    }
    script
}

#[test]
fn the_page_for_authors_can_be_followed_literally() {
    let (env, place) = (TestEnv::warm(), Workplace::enter());
    // What a reader types who has a registry: its name, and a place in it.
    let registry = Registry::start(&env);
    let outcome = run(place.bash(&env, &script(&page(), "sh")).env("REGISTRY", registry.reference("you"))).succeeds();
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    for promise in [
        "2 fixtures: 2 as expected",
        "acme/motd@0.1.0 takes the app",
        "new     says-good-morning",
        "updated says-good-morning",
        "3 fixtures: 3 as expected",
        "test result: ok. 1 passed",
        "image motd-app:latest in the image store",
        "image motd-locked:latest in the image store",
    ] {
        assert!(said.contains(promise), "it does not say `{promise}`:\n{said}");
    }
    assert_eq!(said.matches("3 fixtures: 3 as expected").count(), 2, "one of them is what was pulled:\n{said}");
    assert_eq!(registry.tags("you/motd"), ["0.1.0"]);
    let images = env.run(&["images", "-o", "json"]).succeeds();
    assert!(images.stdout.contains("motd-app") && images.stdout.contains("motd-locked"), "{}", images.stdout);
    let lock = fs::read_to_string(place.table().join("stave.lock")).unwrap();
    let reference = registry.reference("you/motd:0.1.0");
    assert!(lock.contains("id = \"acme/motd\"") && lock.contains(&format!("reference = \"{reference}\"")), "{lock}");
}

/// What a reader types who has no registry, in another terminal; the port alone is one that is free here.
#[test]
fn the_line_of_the_page_that_runs_a_registry_runs_one() {
    let env = TestEnv::empty();
    let line = script(&page(), "bash");
    assert_eq!(line.matches("localhost:5000").count(), 1, "{line}");
    let host = format!("localhost:{}", free_port());
    let mut bash = env.command("bash");
    bash.args(["-c", &format!("exec {}", line.replace("localhost:5000", &host))]);
    let mut registry = Running::start(&mut bash);
    registry.wait_for("listening on");
    let reference = format!("{host}/you/motd:0.1.0");
    env.write("motd.wasm", guest("bound"));
    env.run(&["buildpack", "publish", "motd.wasm", &reference]).succeeds();
    env.run(&["buildpack", "pull", &reference, "--into", "pulled.wasm"]).succeeds();
    assert!(fs::read(env.work().join("pulled.wasm")).unwrap() == guest("bound"));
}

#[test]
fn a_new_buildpack_is_whole_or_not_there() {
    let env = TestEnv::empty();
    env.run(&["buildpack", "new", "acme/motd"]).succeeds();
    let files = listing(&env.work());
    assert!(files.contains_key("motd/src/lib.rs") && files.contains_key("motd/stave-sdk/wit/v0.1/app.wit"));
    let mut said = env.run(&["buildpack", "new", "acme/motd"]).ends_with(3).failure().to_owned();
    said.push_str(env.run(&["buildpack", "new", "acme/../etc"]).ends_with(3).stderr.lines().next().unwrap());
    insta::assert_snapshot!(said, @r"
    error: motd is there already, and not an empty folder
    hint: name another folder with --into DIR
    error: invalid value 'acme/../etc' for '<ID>': `acme/../etc` is not a valid buildpack id: use letters, digits, `.`, `-` and single `/` between parts, at most 128 characters, and none of app, config, generated, sbom
    ");
    assert_eq!(listing(&env.work()), files, "what was refused left something");
    env.assert_nothing_half_written();
}

/// A buildpack that reads a binding, with a fixture for each of its moods.
fn bound(env: &TestEnv) {
    env.write("bound.wasm", guest("bound"));
    for mood in ["plain", "label", "crash", "fail"] {
        env.write(&format!("bound/fixtures/{mood}/app/readme.txt"), "an app");
        env.write(&format!("bound/fixtures/{mood}/bindings/hello/type"), "greeting");
        env.write(&format!("bound/fixtures/{mood}/bindings/hello/word"), "open-sesame");
        env.write(&format!("bound/fixtures/{mood}/fixture.toml"), format!("[settings]\nBP_TELL = \"{mood}\"\n"));
    }
    env.write("bound/fixtures/unbound/app/readme.txt", "an app");
}

const TEST: [&str; 5] = ["buildpack", "test", "bound", "--component", "bound.wasm"];

#[test]
fn fixtures_show_all_that_comes_of_a_buildpack() {
    let env = TestEnv::empty();
    bound(&env);
    let outcome = env.run(&TEST).ends_with(112);
    assert!(outcome.stdout.ends_with("5 fixtures: 5 without an expected.toml\n"), "{}", outcome.stdout);
    insta::assert_snapshot!(outcome.failure(), @r"
    error: 5 of 5 fixtures are not as expected
    hint: if it is right now, `stave buildpack test --update` writes it down
    ");
    env.run(&[&TEST[..], &["--update"]].concat()).succeeds();
    let outcome = env.run(&TEST).succeeds();
    insta::assert_snapshot!(outcome.stdout, @r"
    ok      crash
    ok      fail
    ok      label
    ok      plain
    ok      unbound
    5 fixtures: 5 as expected
    ");
    let all = ["plain", "crash", "fail", "label", "unbound"].map(|name| {
        let path = env.work().join(format!("bound/fixtures/{name}/expected.toml"));
        format!("--- {name}\n{}", fs::read_to_string(path).unwrap())
    });
    insta::assert_snapshot!(all.join("\n"), @r#"
    --- plain
    [detect]
    verdict = "pass"
    messages = ["info: heard *** in detect"]

    [build]
    messages = ["info: heard *** in build"]

    [[build.processes]]
    type = "web"
    command = ["serve"]
    default = true

    [build.layers.words]
    for = ["build"]

    [build.layers.words.files]
    "word.txt" = "file: open-sesame"

    --- crash
    [detect]
    verdict = "pass"
    messages = ["info: heard *** in detect"]

    [failure]
    summary = "the sandbox stopped it: it panicked at tests/guests/bound/src/lib.rs:28: no use for ***"
    messages = [
        "info: heard *** in build",
        "error: the buildpack panicked at tests/guests/bound/src/lib.rs:28: no use for ***",
    ]

    --- fail
    [detect]
    verdict = "pass"
    messages = ["info: heard *** in detect"]

    [failure]
    summary = "no use for ***"
    blame = "app"
    messages = ["info: heard *** in build"]

    --- label
    [detect]
    verdict = "pass"
    messages = ["info: heard *** in detect"]

    [failure]
    summary = "it would give a secret away: the label `word` holds the value of `word` of the binding `hello`, which everybody with the image could read"
    messages = ["info: heard *** in build"]

    --- unbound
    [detect]
    verdict = "skip"
    reason = "no binding of the type greeting has a word"
    "#);
}

#[test]
fn what_is_not_as_expected_is_shown_line_by_line() {
    let env = TestEnv::empty();
    bound(&env);
    env.run(&[&TEST[..], &["--update", "--filter", "pl"]].concat()).succeeds();
    let file = "bound/fixtures/plain/expected.toml";
    let text = fs::read_to_string(env.work().join(file)).unwrap();
    env.write(file, format!("# the same with a comment\n{text}"));
    let one = [&TEST[..], &["--filter", "pl"]].concat();
    env.run(&one).succeeds();
    env.write(file, text.replace("serve", "run\\u0007"));
    let outcome = env.run(&one).ends_with(112);
    insta::assert_snapshot!(outcome.stdout, @r#"
    differs plain
            …
             [[build.processes]]
             type = "web"
            -command = ["run\u0007"]
            +command = ["serve"]
             default = true

    one fixture: 1 not as expected
    "#);
    let said = |arguments: &[&str], code| {
        let outcome = env.run(arguments).ends_with(code);
        outcome.failure().lines().next().unwrap_or_default().to_owned()
    };
    env.write(file, "detect = 1");
    let mut all = vec![said(&one, 3), said(&[&TEST[..], &["--filter", "none\u{7}"]].concat(), 3)];
    env.write("bound/fixtures/plain/fixture.toml", "[setting]\n");
    all.push(said(&one, 3));
    env.write("bound/fixtures/plain/fixture.toml", "");
    fs::remove_dir_all(env.work().join("bound/fixtures/plain/app")).unwrap();
    all.push(said(&one, 32));
    insta::assert_snapshot!(all.join("\n"), @r"
    error: could not read what is expected in bound/fixtures/plain/expected.toml
    error: there is no fixture whose name contains `none\u{7}` in bound/fixtures
    error: could not read the fixture bound/fixtures/plain/fixture.toml
    error: no app at `bound/fixtures/plain/app`: there is no such file or folder
    ");
    env.assert_nothing_half_written();
}

#[test]
fn neighbours_complete_the_plan() {
    let env = TestEnv::empty();
    env.write("choosy.wasm", guest("choosy"));
    env.write("choosy/fixtures/a/app/readme.txt", "an app");
    let test = ["buildpack", "test", "choosy", "--component", "choosy.wasm", "--update"];
    let detected = |fixture: &str| {
        env.write(
            "choosy/fixtures/a/fixture.toml",
            format!("settings = {{ BP_CHOOSY_A = \"+tool -jre\" }}\n{fixture}"),
        );
        env.run(&test).succeeds();
        fs::read_to_string(env.work().join("choosy/fixtures/a/expected.toml")).unwrap()
    };
    let all = [
        detected(""),
        detected("[plan]\nprovides = [\"jre\"]\n"),
        detected("[plan]\nprovides = [\"jre\"]\nrequires = [{ name = \"tool\", metadata = { version = \"2\" } }]\n"),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    [detect]
    verdict = "misfit"
    reason = "stave-tests/choosy@0.1.0 requires `jre`, which no buildpack up to it provides; stave-tests/choosy@0.1.0 provides `tool`, which no buildpack from it on requires"

    [[detect.ways]]
    provides = ["tool"]

    [[detect.ways.requires]]
    name = "jre"

    [detect.ways.requires.metadata]
    version = "1"

    [detect]
    verdict = "misfit"
    reason = "stave-tests/choosy@0.1.0 provides `tool`, which no buildpack from it on requires"

    [[detect.ways]]
    provides = ["tool"]

    [[detect.ways.requires]]
    name = "jre"

    [detect.ways.requires.metadata]
    version = "1"

    [detect]
    verdict = "pass"

    [[detect.ways]]
    provides = ["tool"]

    [[detect.ways.requires]]
    name = "jre"

    [detect.ways.requires.metadata]
    version = "1"

    [build]
    "#);
}

#[test]
fn detection_alone_says_what_was_looked_at() {
    let env = TestEnv::empty();
    env.write("bound.wasm", guest("bound"));
    env.write("choosy.wasm", guest("choosy"));
    env.write("app/readme.txt", "an app");
    env.write("db/type", "greeting");
    env.write("db/word", "ahoy");
    let ask = |buildpack: &str, more: &[&str], code| {
        let outcome = env.run(&[&["buildpack", "detect", "app", "--buildpack", buildpack], more].concat());
        let outcome = outcome.ends_with(code);
        format!("{}{}", outcome.stdout, outcome.failure())
    };
    let all = [
        ask("bound.wasm", &["--binding", "db"], 0),
        ask("bound.wasm", &[], 100),
        ask("choosy.wasm", &["-e", "BP_CHOOSY_A=+tool -jre/-jre"], 0),
        ask("choosy.wasm", &["-e", "BP_CHOOSY_A=broken: no main class"], 21),
        ask("builtin:procfile", &[], 100),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    stave-tests/bound@0.1.0 looked at
      bindings of type `greeting`   there
      entry `word` of binding `db`  secret
    stave-tests/bound@0.1.0 takes the app

    stave-tests/bound@0.1.0 looked at
      bindings of type `greeting`  not there
    error: stave-tests/bound@0.1.0 does not take the app: no binding of the type greeting has a word

    stave-tests/choosy@0.1.0 looked at
      setting BP_CHOOSY_A  there
    stave-tests/choosy@0.1.0 takes the app
      either
      provides tool
      requires jre (version = 1)
      or
      requires jre (version = 1)

    stave-tests/choosy@0.1.0 looked at
      setting BP_CHOOSY_A  there
    error: stave-tests/choosy@0.1.0 failed while it looked at the app
    caused by: no main class

    stave/procfile@0.1.0 looked at
      read `Procfile`                      not there
      setting BP_PROCFILE_DEFAULT_PROCESS  not there
    error: stave/procfile@0.1.0 does not take the app: no Procfile that names a process, and no BP_PROCFILE_DEFAULT_PROCESS
    "#);
    let json = ask("bound.wasm", &["--binding", "db", "-o", "json"], 0);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["verdict"], &json["looked_at"][0]["answer"]), (&"pass".into(), &"there".into()));
    assert!(!json.to_string().contains("ahoy"), "the value of a binding is a secret");
}

#[test]
fn what_is_used_and_not_asked_for_is_refused_and_what_is_never_used_is_said() {
    let env = TestEnv::empty();
    let (bare, manifest) = (bare("bound"), manifest("bound"));
    env.write("silent.wasm", embed(&bare, &manifest.replace("\"layers\", ", "")).unwrap());
    let greedy = manifest.replace("\"layers\", ", "\"layers\", \"overlay\", \"artifacts\", ");
    env.write("greedy.wasm", embed(&bare, &greedy.replace("[asks]", "[asks]\necosystems = [\"pypi\"]")).unwrap());
    let silent = env.run(&["buildpack", "inspect", "silent.wasm"]).ends_with(13);
    assert!(silent.stdout.starts_with("stave-tests/bound@0.1.0"), "{}", silent.stdout);
    let greedy = env.run(&["buildpack", "inspect", "greedy.wasm"]).succeeds().stdout;
    let never = greedy.split_once("\n\nIt asks for these").expect("it is said").1;
    insta::assert_snapshot!(format!("{}It asks for these{never}", silent.failure()), @r#"
    error: could not load the buildpack silent.wasm
    caused by: stave-tests/bound@0.1.0 imports stave:buildpack/layers (add layers to the image), which its manifest does not ask for
    hint: its author adds interfaces = ["layers"] to `asks` in its buildpack.toml
    It asks for these and could never use them:
      interfaces = ["artifacts"]
      interfaces = ["overlay"]
      ecosystems = ["pypi"]
    "#);
    let json = env.run(&["buildpack", "inspect", "greedy.wasm", "-o", "json"]).succeeds().stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["unused"][0], "interfaces = [\"artifacts\"]");
}

#[test]
fn a_change_of_a_file_is_tested_until_ctrl_c() {
    let env = TestEnv::empty();
    bound(&env);
    env.run(&[&TEST[..], &["--update"]].concat()).succeeds();
    // One change, which no look can see half of.
    let change = |word: &str| {
        env.write("word", word);
        std::fs::rename(env.work().join("word"), env.work().join("bound/fixtures/plain/bindings/hello/word")).unwrap();
    };
    let mut running = Running::start(&mut env.stave(&[&TEST[..], &["--watch", "--filter", "plain"]].concat()));
    running.wait_for("waiting for a change");
    change("good morning");
    running.wait_for("error: the fixture is not as expected");
    running.wait_for("waiting for a change");
    change("open-sesame");
    running.wait_for("tested stave-tests/bound@0.1.0");
    running.wait_for("waiting for a change");
    running.signal(Signal::INT);
    let outcome = running.end().succeeds();
    assert_eq!(outcome.stdout.matches("one fixture: 1 as expected").count(), 2, "{}", outcome.stdout);
}
