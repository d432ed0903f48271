//! Service bindings: who sees which, and that what was read of one does not get out.

use stave_model::{
    env::{EnvChange, EnvOp, EnvScope},
    launch::{Label, Launch, Process},
    plan::{Alternative, Requirement},
};

use super::*;
use crate::{
    port::{
        buildpack::{Blame, Failure, Report, RunError, Verdict},
        observer::{Event, Level},
    },
    testing::told,
};

fn bindings_of(kinds: &[&str]) -> Capabilities {
    Capabilities { bindings: kinds.iter().map(|kind| (*kind).to_owned()).collect(), ..everything() }
}

fn bench_of(asks: &[&str], grants: &[&str]) -> Workbench {
    let (shop, _) = shop(Artifacts::default());
    let mut manifest = manifest("acme/tool@1.2.3");
    manifest.asks = bindings_of(asks);
    Workbench::new(&shop, &manifest, &bindings_of(grants), Phase::Build, tree(&[]))
}

#[test]
fn a_buildpack_sees_what_it_asks_for_and_is_granted() {
    let bench = bench_of(&["postgresql"], &["*"]);
    let found = bench.bindings("PostgreSQL").unwrap();
    let keys = ["password", "port"].map(str::to_owned).to_vec();
    let (name, kind, provider) = ("db".to_owned(), "PostgreSQL".to_owned(), Some("acme".to_owned()));
    assert_eq!(found, [Service { name, kind, provider, keys }]);
    assert_eq!(bench.read_binding("db", "password").unwrap(), b"hunter22\n");
    assert_eq!(bench_of(&["npmrc"], &["npmrc"]).bindings("npmrc").unwrap(), []);
    let said = [
        refused(bench.bindings("ca-certificates")),
        refused(bench_of(&["ca-certificates"], &["npm*"]).bindings("ca-certificates")),
        refused(bench.read_binding("roots", "root.pem")),
        refused(bench.read_binding("db", "type")),
        refused(bench.read_binding("no\u{1b}ne", "x")),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    Denied: could not look for bindings of the type `ca-certificates`: the manifest of acme/tool@1.2.3 does not ask for it
      hint: its author adds it to `asks.bindings` in buildpack.toml
    Denied: could not look for bindings of the type `ca-certificates`: acme/tool is not granted it
      hint: whoever trusts acme/tool adds bindings = ["ca-certificates"] to its `grants` in the builder
    NotFound: could not read `root.pem` of the binding `roots`: there is no such entry in a binding of a type that it asks for and is granted
    NotFound: could not read `type` of the binding `db`: there is no such entry in a binding of a type that it asks for and is granted
    NotFound: could not read `x` of the binding `no\u{1b}ne`: there is no such entry in a binding of a type that it asks for and is granted
    "#);
}

#[test]
fn what_was_read_is_hidden_in_messages() {
    let (shop, observer) = shop(Artifacts::default());
    let bench = bench(&shop, tree(&[]));
    bench.log(Level::Info, "before: hunter22");
    bench.read_binding("db", "password").unwrap();
    bench.log(Level::Error, "connecting as root:hunter22@db");
    bench.step("hunter22");
    let said: Vec<String> = observer
        .take()
        .into_iter()
        .map(|event| match event {
            Event::Message { text, .. } | Event::Step { title: text, .. } => text,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(said, ["before: hunter22", "connecting as root:***@db", "***"]);
    let Ok(Verdict::Skip(reason)) = bench.discreet_verdict(Ok(Verdict::Skip("no hunter22".to_owned()))) else {
        panic!("it was a skip");
    };
    assert_eq!(reason, "no ***");
}

#[test]
fn what_was_read_is_hidden_in_failures() {
    let (shop, _) = shop(Artifacts::default());
    let bench = bench(&shop, tree(&[]));
    bench.read_binding("db", "password").unwrap();
    let text = |what: &str| format!("{what} hunter22");
    let failure = Failure {
        blame: Blame::App,
        summary: text("summary"),
        detail: Some(text("detail")),
        hint: Some(text("hint")),
        file: Some(text("file")),
        line: None,
    };
    let RunError::Refused(failure) = bench.discreet(RunError::Refused(Box::new(failure))) else { panic!("refused") };
    assert!(!format!("{failure:?}").contains("hunter22"), "{failure:?}");
    let stopped = RunError::Stopped { reason: text("it panicked:"), source: None };
    assert_eq!(told(&bench.discreet(stopped)), "the sandbox stopped it: it panicked: ***");
}

/// What is said of a build that reads a password and a port, and then does this.
fn leaks(act: impl Fn(&Workbench) -> Report) -> String {
    let (shop, _) = shop(Artifacts::default());
    let mut manifest = manifest("acme/tool@1.2.3");
    manifest.asks = bindings_of(&["postgresql", "ca-certificates"]);
    let app = tree(&[("readme.txt", "hunter22 is in the app itself")]);
    let bench = Workbench::new(&shop, &manifest, &manifest.asks, Phase::Build, app);
    for (name, key) in [("db", "password"), ("db", "port"), ("roots", "root.pem")] {
        bench.read_binding(name, key).unwrap();
    }
    let report = act(&bench);
    bench
        .discreet_report(report)
        .map_err(|error| bench.discreet(error))
        .map_or_else(|error| told(&error), |_| "no leak".to_owned())
}

fn labelled(key: &str, value: &str) -> Report {
    let labels = vec![Label { key: key.to_owned(), value: value.to_owned() }];
    Report { launch: Launch { labels, ..Launch::default() }, ..Report::default() }
}

/// A layer for something, in which this is done.
fn in_layer(usage: Usage, act: impl Fn(&Workbench)) -> String {
    leaks(|bench| {
        bench.create_layer("l", usage).unwrap();
        act(bench);
        Report::default()
    })
}

const LAUNCH: Usage = Usage { build: false, launch: true, cache: false };

/// T1.
#[test]
fn an_answer_with_a_secret_is_refused() {
    let url = b"postgres://root:hunter22@db".to_vec();
    let name: stave_model::id::VariableName = "DB".parse().unwrap();
    let change = EnvChange { scope: EnvScope::Launch, op: EnvOp::Override, name, value: url, delimiter: None };
    let part = Part { name: "db".to_owned(), version: "hunter22".to_owned(), ..Part::default() };
    let process = Process {
        kind: "hunter22".parse().unwrap(),
        command: vec!["serve".to_owned()],
        args: Vec::new(),
        direct: true,
        default: false,
        working_directory: None,
        exec_env: Vec::new(),
        buildpack: "acme/tool".parse().unwrap(),
    };
    let starting =
        Process { kind: "web".parse().unwrap(), args: vec!["--password=hunter22".to_owned()], ..process.clone() };
    let launching = |process: &Process| {
        let launch = Launch { processes: vec![process.clone()], ..Launch::default() };
        Report { launch, ..Report::default() }
    };
    let said = [
        leaks(|_| labelled("db", "hunter22")),
        leaks(|_| labelled("hunter22", "db")),
        leaks(|_| labelled("port", "5432")),
        leaks(|_| launching(&process)),
        leaks(|_| launching(&starting)),
        leaks(|_| Report { store: [("password".to_owned(), "hunter22".to_owned())].into(), ..Report::default() }),
        in_layer(Usage::default(), |bench| bench.layer_set_env(0, change.clone()).unwrap()),
        in_layer(LAUNCH, |bench| bench.layer_set_metadata(0, vec![("key".to_owned(), "hunter22".to_owned())]).unwrap()),
        in_layer(LAUNCH, |bench| bench.layer_add_parts(0, vec![part.clone()]).unwrap()),
        leaks(|bench| {
            bench.create_layer("hunter22", LAUNCH).unwrap();
            Report::default()
        }),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    it would give a secret away: the label `db` holds the value of `password` of the binding `db`, which everybody with the image could read
    it would give a secret away: the name of a label holds the value of `password` of the binding `db`, which everybody with the image could read
    no leak
    it would give a secret away: the type of a process holds the value of `password` of the binding `db`, which everybody with the image could read
    it would give a secret away: the process `web` holds the value of `password` of the binding `db`, which everybody with the image could read
    it would give a secret away: a note for the next build holds the value of `password` of the binding `db`, which everybody with the image could read
    it would give a secret away: the environment of the layer `l` holds the value of `password` of the binding `db`, which the other buildpacks could read
    it would give a secret away: the metadata of the layer `l` holds the value of `password` of the binding `db`, which everybody with the image could read
    it would give a secret away: the bill of materials of the layer `l` holds the value of `password` of the binding `db`, which everybody with the image could read
    it would give a secret away: the name of a layer holds the value of `password` of the binding `db`, which everybody with the image could read
    ");
}

/// T1.
#[test]
fn a_file_with_a_secret_is_refused_where_it_would_be_kept() {
    let write = |bench: &Workbench, text: &str| bench.layer_write(0, "etc/db.conf", text.into(), false).unwrap();
    let cached = Usage { cache: true, ..Usage::default() };
    let for_build = Usage { build: true, ..Usage::default() };
    let certificate = |bench: &Workbench| {
        let text = bench.read_binding("roots", "root.pem").unwrap();
        bench.layer_write(0, "root.pem", text, false).unwrap();
    };
    let said = [
        in_layer(LAUNCH, |bench| write(bench, "password = hunter22\n")),
        in_layer(cached, |bench| write(bench, "hunter22")),
        in_layer(for_build, |bench| write(bench, "hunter22")),
        in_layer(LAUNCH, |bench| {
            write(bench, "hunter22");
            bench.layer_remove(0, &["**/db.conf".to_owned()]).unwrap();
        }),
        in_layer(LAUNCH, |bench| write(bench, "port = 5432")),
        in_layer(LAUNCH, |bench| bench.layer_link(0, "db", "/run/hunter22").unwrap()),
        in_layer(LAUNCH, |bench| bench.layer_write(0, "by/hunter22", Vec::new(), false).unwrap()),
        in_layer(LAUNCH, certificate),
        leaks(|bench| {
            bench.overlay_write("conf/db.conf", b"hunter22".to_vec(), false).unwrap();
            Report::default()
        }),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    it would give a secret away: the file `etc/db.conf` of the layer `l` holds the value of `password` of the binding `db`, which everybody with the image could read
    it would give a secret away: the file `etc/db.conf` of the layer `l` holds the value of `password` of the binding `db`, which every later build of the image could read
    no leak
    no leak
    no leak
    it would give a secret away: the link `db` of the layer `l` holds the value of `password` of the binding `db`, which everybody with the image could read
    it would give a secret away: the name of a file of the layer `l` holds the value of `password` of the binding `db`, which everybody with the image could read
    no leak
    it would give a secret away: the file `conf/db.conf` that it puts into the app holds the value of `password` of the binding `db`, which everybody with the image could read
    ");
}

/// T1.
#[test]
fn what_detect_read_does_not_reach_other_buildpacks() {
    let (shop, _) = shop(Artifacts::default());
    let bench = bench(&shop, tree(&[]));
    bench.read_binding("db", "password").unwrap();
    let passes = |value: &str| {
        let metadata = [("url".to_owned(), value.to_owned())].into();
        let requires = vec![Requirement { name: "db".to_owned(), metadata }];
        bench.discreet_verdict(Ok(Verdict::Pass(vec![Alternative { provides: Vec::new(), requires }])))
    };
    assert!(passes("postgres://db").is_ok());
    insta::assert_snapshot!(told(&passes("postgres://root:hunter22@db").unwrap_err()), @"it would give a secret away: what it says of the requirement `db` holds the value of `password` of the binding `db`, which the other buildpacks could read");
}
