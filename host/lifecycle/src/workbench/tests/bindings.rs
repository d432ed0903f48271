//! Service bindings: who sees which, and that what was read of one does not get out.

use stave_model::{
    env::{EnvChange, EnvOp, EnvScope},
    launch::{Label, Launch},
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

#[test]
fn an_answer_with_a_secret_is_refused() {
    type Act = fn(&Workbench);
    let label = |value: &str| Report {
        launch: Launch { labels: vec![Label { key: "db".to_owned(), value: value.to_owned() }], ..Launch::default() },
        ..Report::default()
    };
    let store = Report { store: [("password".to_owned(), "hunter22".to_owned())].into(), ..Report::default() };
    let env: Act = |bench| {
        bench.create_layer("l", Usage::default()).unwrap();
        let name = "DB".parse().unwrap();
        let value = b"postgres://root:hunter22@db".to_vec();
        let change = EnvChange { scope: EnvScope::Launch, op: EnvOp::Override, name, value, delimiter: None };
        bench.layer_set_env(0, change).unwrap();
    };
    let metadata: Act = |bench| {
        bench.create_layer("l", Usage::default()).unwrap();
        bench.layer_set_metadata(0, vec![("key".to_owned(), "hunter22".to_owned())]).unwrap();
    };
    let nothing: Act = |_| {};
    let answers =
        [(nothing, label("hunter22")), (nothing, store), (env, Report::default()), (metadata, Report::default())];
    let answer = |(act, report): (Act, Report)| {
        let (shop, _) = shop(Artifacts::default());
        let bench = bench(&shop, tree(&[]));
        bench.read_binding("db", "password").unwrap();
        act(&bench);
        told(&bench.discreet_report(report).unwrap_err())
    };
    insta::assert_snapshot!(answers.map(answer).join("\n"), @r"
    its answer breaks the contract: the label `db` holds the value of `password` of the binding `db`, which everybody with the image could read
    its answer breaks the contract: a note for the next build holds the value of `password` of the binding `db`, which everybody with the image could read
    its answer breaks the contract: the environment of the layer `l` holds the value of `password` of the binding `db`, which everybody with the image could read
    its answer breaks the contract: the metadata of the layer `l` holds the value of `password` of the binding `db`, which everybody with the image could read
    ");
    let (shop, _) = shop(Artifacts::default());
    let bench = bench(&shop, tree(&[]));
    bench.read_binding("db", "port").unwrap();
    assert!(bench.discreet_report(label("5432")).is_ok());
}
