//! A buildpack that misbehaves, through the program itself: it is stopped, named, and cannot steer the terminal.

use std::{fmt::Write as _, path::PathBuf, process::Command};

use crate::support::{
    env::TestEnv,
    filters,
    guests::{self, guest},
    images::checked_here,
    process::{root, run, succeeds, target_folder},
};

/// Builds with the hostile guest, told to misbehave in one way.
fn misbehave(env: &TestEnv, word: &str) -> crate::support::process::Outcome {
    let setting = format!("BP_HOSTILE={word}");
    let mut arguments = guests::builder(env, &guest("hostile")).to_vec();
    arguments.extend(["--to", "oci:out", "--env", &setting]);
    env.run(&arguments)
}

#[test]
fn a_guest_that_behaves_builds_an_image() {
    let env = TestEnv::empty();
    misbehave(&env, "").succeeds();
    checked_here(&env.work().join("out"));
}

#[test]
fn each_way_of_stopping_names_the_buildpack() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let mut said = String::new();
    for word in
        ["spin", "sleep", "allocate", "recurse", "panic", "abort", "exit", "gigabyte", "million", "bad-name", "denied"]
    {
        let outcome = misbehave(&env, word);
        assert!([20, 21].contains(&outcome.code.unwrap()), "{word}: {}", outcome.stderr);
        assert!(outcome.failure().contains("stave-tests/hostile"), "{word}: {}", outcome.stderr);
        write!(said, "--- {word}: {}\n{}", outcome.code.unwrap(), outcome.failure()).unwrap();
        assert!(!env.work().join("out").exists());
        env.assert_nothing_half_written();
    }
    insta::assert_snapshot!(said, @r"
    --- spin: 21
    error: no buildpack takes this app
      stave-tests/hostile@0.1.0: failed: the sandbox stopped it: it ran for more than 5 seconds
    --- sleep: 21
    error: no buildpack takes this app
      stave-tests/hostile@0.1.0: failed: the sandbox stopped it: it ran for more than 5 seconds
    --- allocate: 21
    error: no buildpack takes this app
      stave-tests/hostile@0.1.0: failed: the sandbox stopped it: it wanted more than 256 MiB of memory
    --- recurse: 21
    error: no buildpack takes this app
      stave-tests/hostile@0.1.0: failed: the sandbox stopped it: it reached outside its memory, as code does whose stack overflows or that has a fault
    --- panic: 21
    error: no buildpack takes this app
      stave-tests/hostile@0.1.0: failed: the sandbox stopped it: it panicked at tests/guests/hostile/src/excess.rs:51: no staves\u{1b}[2J left
    --- abort: 21
    error: no buildpack takes this app
      stave-tests/hostile@0.1.0: failed: the sandbox stopped it: it gave up without a word
    --- exit: 21
    error: no buildpack takes this app
      stave-tests/hostile@0.1.0: failed: the sandbox stopped it: it exited instead of answering
    --- gigabyte: 20
    error: no buildpack takes this app
      stave-tests/hostile@0.1.0: [MANY X]…
    --- million: 21
    error: no buildpack takes this app
      stave-tests/hostile@0.1.0: failed: the sandbox stopped it: it passed more than 32 MiB of data to the host at once
    --- bad-name: 21
    error: no buildpack takes this app
      stave-tests/hostile@0.1.0: failed: its answer breaks the contract: `a\u{1b}[2J` is not a name: it is empty, longer than 256 bytes or holds control characters
    --- denied: 20
    error: no buildpack takes this app
      stave-tests/hostile@0.1.0: Fault::Denied: could not read the setting `HOME`: the manifest of stave-tests/hostile@0.1.0 does not ask for it (its author adds it to `asks.settings` in buildpack.toml)\nFault::Denied: could not use `layers` in detect: it is for build\nFault::Denied: could not use `overlay` in detect: it is for build
    ");
}

/// T4.
#[test]
fn nothing_that_it_says_steers_the_terminal() {
    let env = TestEnv::empty();
    for word in ["escape", "panic", "refuse", "names", "bad-name", "forge"] {
        let outcome = misbehave(&env, word);
        let is_steering = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(!outcome.stderr.contains(is_steering), "{word}: {:?}", outcome.stderr);
        assert!(!outcome.stdout.contains(is_steering), "{word}: {:?}", outcome.stdout);
    }
}

/// T4, T6: what only the host says, what a terminal obeys and what the machines of a pipeline obey stands behind its name, with
/// nothing in it that anybody obeys.
#[test]
fn its_words_pass_for_nobody_elses() {
    let env = TestEnv::empty();
    let outcome = misbehave(&env, "forge").succeeds();
    let of_guest: Vec<&str> =
        outcome.stderr.lines().filter(|line| line.starts_with("[stave-tests/hostile] ")).collect();
    let (detect, build) = of_guest.split_at(of_guest.len() / 2);
    assert_eq!(detect, build);
    insta::assert_snapshot!(detect.join("\n"), @r"
    [stave-tests/hostile] done
    [stave-tests/hostile] built app:latest for linux/amd64 in 1 ms (1 kB)
    [stave-tests/hostile] ===> EXPORT
    [stave-tests/hostile] [stave/java] Java 21
    [stave-tests/hostile] error: it failed
    [stave-tests/hostile] \u{1b}]8;;https://evil.example.com\u{7}here\u{1b}]8;;\u{7} \u{1b}]52;c;aGk=\u{7}\u{9b}31m 10%\u{d}100% \u{202e}gnp.exe
    [stave-tests/hostile] warning: ::set-env name=PATH::/evil
    [stave-tests/hostile] \u{23}#vso[task.setvariable variable=PATH]/evil
    [stave-tests/hostile] \u{23}#[error]evil
    [stave-tests/hostile] • ::stop-commands::evil
    [stave-tests/hostile] built
    [stave-tests/hostile] ===> BUILD
    [stave-tests/hostile] \u{3a}:error::evil
    ");
    let others = outcome.stderr.lines().filter(|line| !line.starts_with("[stave-tests/hostile] "));
    let others: Vec<&str> = others.filter(|line| line.contains("evil") || line.contains("1 kB")).collect();
    assert_eq!(others, [""; 0], "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("\n===> ").count(), 3, "{}", outcome.stderr);
}

/// T5.
#[test]
fn its_words_stand_behind_its_name() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let outcome = misbehave(&env, "flood");
    let of_guest: Vec<&str> = outcome.stderr.lines().filter(|line| line.contains("xxxxxxxx")).collect();
    assert!(!of_guest.is_empty(), "{}", outcome.stderr);
    for line in &of_guest {
        assert!(line.starts_with("[stave-tests/hostile] "), "{line}");
    }
    let total: usize = of_guest.iter().map(|line| line.len()).sum();
    assert!(total < 8 << 20, "{total} bytes of ten million came through");
    let cut: Vec<&str> = of_guest.into_iter().filter(|line| line.trim_end_matches('x').len() == line.len()).collect();
    insta::assert_snapshot!(cut.join("\n"), @"[stave-tests/hostile] [MANY X]… (it has said too much: further messages are left out)");
}

#[test]
fn a_buildpack_is_built_from_its_source_and_says_what_it_could_do() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let folder = root().join("tests/guests/hostile").display().to_string();
    let mut command = env.stave(&["buildpack", "build", &folder, "--into", "made.wasm"]);
    // The very compiler that built this test, by its path: rustup stands behind the names on the PATH, and in a world
    // without the machine's settings it may install another one, or update what is there.
    let compiler = PathBuf::from(succeeds(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root())));
    let programs = compiler.join("bin");
    assert!(programs.join("rustc").is_file(), "{} has no compiler", compiler.display());
    let path = std::env::join_paths([programs.clone(), "/usr/bin".into(), "/bin".into()]).unwrap();
    command.env("PATH", path).env("CARGO", programs.join("cargo")).env("RUSTC", programs.join("rustc"));
    // Sources of dependencies were fetched for the test itself.
    let cargo_home =
        std::env::var_os("CARGO_HOME").map_or_else(|| std::env::home_dir().unwrap().join(".cargo"), PathBuf::from);
    command.env("CARGO_HOME", cargo_home).env("CARGO_NET_OFFLINE", "true");
    run(command.env("CARGO_TARGET_DIR", target_folder().join("embedded"))).succeeds();
    let about = env.run(&["buildpack", "inspect", "made.wasm"]).succeeds().stdout;
    insta::assert_snapshot!(about, @"
    stave-tests/hostile@0.1.0  Hostile
      Misbehaves as the setting BP_HOSTILE says.
      contract  0.1
      digest    sha256:[HEX]
      size      [SIZE]

    It can, by what it imports:
      app        read the app's source
      context    read the target and the settings it asks for
      log        write messages
      layers     add layers to the image
      overlay    add and leave out app files in the image

    It asks, in its manifest:
      interfaces  layers, overlay
      ecosystems  none
      settings    BP_HOSTILE
    ");
}

/// T1: nothing of it is in an image, and nothing half-made is left.
#[test]
fn a_service_binding_reaches_its_buildpack_and_nobody_else() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let mut arguments = guests::builder(&env, &guest("bound")).to_vec();
    let grants =
        "grants = { interfaces = [\"layers\", \"bindings\"], settings = [\"BP_*\"], bindings = [\"greeting\"] }\n";
    let builder = std::fs::read_to_string(env.work().join("builder.toml")).unwrap() + grants;
    env.write("builder.toml", builder);
    env.write("bindings/one/type", "greeting");
    env.write("bindings/one/word", "open-sesame\n");
    arguments.extend(["--to", "oci:out"]);
    let mut said = format!("--- no binding\n{}", env.run(&arguments).ends_with(20).failure());
    arguments.extend(["--bindings", "bindings", "--verbose"]);
    let built = env.run(&arguments).succeeds();
    assert!(!built.stderr.contains("sesame"), "{}", built.stderr);
    assert_eq!(built.stderr.matches("[stave-tests/bound] heard *** in").count(), 2, "{}", built.stderr);
    checked_here(&env.work().join("out"));
    std::fs::remove_dir_all(env.work().join("out")).unwrap();
    for tell in ["label", "file", "crash", "fail"] {
        let setting = format!("BP_TELL={tell}");
        let outcome = env.run(&[&arguments[..], &["--env", &setting]].concat()).ends_with(51);
        assert!(!outcome.stderr.contains("sesame"), "{}", outcome.stderr);
        assert!(!env.work().join("out").exists());
        env.assert_nothing_half_written();
        let is_trace = |line: &&str| line.starts_with("  ") || line.ends_with("wasm backtrace:");
        let failure: Vec<&str> = outcome.failure().lines().filter(|line| !is_trace(line)).collect();
        write!(said, "--- {tell}\n{}\n", failure.join("\n")).unwrap();
    }
    insta::assert_snapshot!(said, @r"
    --- no binding
    error: no buildpack takes this app
      stave-tests/bound@0.1.0: no binding of the type greeting has a word
    --- label
    error: stave-tests/bound@0.1.0 could not build the app
    caused by: it would give a secret away: the label `word` holds the value of `word` of the binding `one`, which everybody with the image could read
    hint: this is a fault of the buildpack, and whoever makes it should know
    --- file
    error: stave-tests/bound@0.1.0 could not build the app
    caused by: it would give a secret away: the file `word.txt` of the layer `words` holds the value of `word` of the binding `one`, which everybody with the image could read
    hint: this is a fault of the buildpack, and whoever makes it should know
    --- crash
    error: stave-tests/bound@0.1.0 could not build the app
    caused by: the sandbox stopped it: it panicked at tests/guests/bound/src/lib.rs:28: no use for ***
    --- fail
    error: stave-tests/bound@0.1.0 could not build the app
    caused by: no use for ***
    ");
}
