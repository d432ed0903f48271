//! What buildpacks make one after the other, and what is wrong with it.

use std::sync::Mutex;

use stave_model::{
    digest::Digest,
    launch::{Label, Process, Slice},
    layer::Usage,
    plan::{Entry, Plan, Requirement},
};

use super::*;
use crate::{
    port::{
        buildpack::{Blame, Buildpack, Failure},
        failure::{Fault, PortError},
    },
    testing::{Artifacts, Fake, Memory, shop, shown, told, tree},
};

/// A group of these, with a plan in which `providers` of each name are places in it.
fn group(members: Vec<Fake>, plan: &[(&str, &[usize])]) -> Detection {
    let members: Vec<Arc<dyn Buildpack>> =
        members.into_iter().map(|fake| Arc::new(fake) as Arc<dyn Buildpack>).collect();
    let requires = |name: &str| vec![Requirement { name: name.to_owned(), metadata: BTreeMap::new() }];
    let entry = |(name, providers): &(&str, &[usize])| Entry {
        name: (*name).to_owned(),
        providers: providers.to_vec(),
        requires: requires(name),
    };
    let titles = members.iter().map(|member| member.manifest().title()).collect();
    let plan = Plan { members: titles, entries: plan.iter().map(entry).collect() };
    Detection { members, plan, attempts: Vec::new() }
}

/// A process that claims to be of another buildpack.
fn process(kind: &str, default: bool) -> Process {
    Process {
        kind: kind.parse().unwrap(),
        command: vec!["run".to_owned()],
        args: Vec::new(),
        direct: true,
        default,
        working_directory: None,
        exec_env: Vec::new(),
        buildpack: "not/me".parse().unwrap(),
    }
}

fn launching(title: &str, launch: Launch) -> Fake {
    Fake::new(title).builds(move |_, _| Ok(Report { launch: launch.clone(), ..Report::default() }))
}

fn processes(processes: Vec<Process>) -> Launch {
    Launch { processes, ..Launch::default() }
}

/// Runs a group that must fail.
fn failing(fake: Fake, plan: &[(&str, &[usize])]) -> String {
    let (shop, _) = shop(Artifacts::default());
    told(&build(&shop, &group(vec![fake], plan), tree(&[])).unwrap_err())
}

/// What each member is given, where it leaves these unmet; or the error that ends the build.
fn given(plan: &[(&str, &[usize])], unmet: &[&'static [&'static str]]) -> String {
    let given: Arc<Mutex<Vec<String>>> = Arc::default();
    let member = |(index, unmet): (usize, &&'static [&'static str])| {
        let (given, unmet) = (Arc::clone(&given), *unmet);
        Fake::new(&format!("t/m{index}@1.0.0")).builds(move |_, requirements| {
            let names: Vec<&str> = requirements.iter().map(|requirement| requirement.name.as_str()).collect();
            given.lock().unwrap().push(names.join(" "));
            Ok(Report { unmet: unmet.iter().map(|name| (*name).to_owned()).collect(), ..Report::default() })
        })
    };
    let members = unmet.iter().enumerate().map(member).collect();
    let (shop, _) = shop(Artifacts::default());
    let built = build(&shop, &group(members, plan), tree(&[]));
    let mut said = given.lock().unwrap().join(" | ");
    if let Err(error) = built {
        said.push_str(" ! ");
        said.push_str(&error.to_string());
    }
    said
}

/// Entries with the places of their providers, what each member leaves unmet, and what each is given (buildpack specification,
/// "Unmet Buildpack Plan Entries").
#[test]
fn what_is_left_unmet_goes_to_the_next_provider() {
    type Case = (&'static [(&'static str, &'static [usize])], &'static [&'static [&'static str]], &'static str);
    const CASES: &[Case] = &[
        (&[], &[&[], &[]], " | "),
        (&[("jre", &[0])], &[&[], &[]], "jre | "),
        (&[("jre", &[1])], &[&[], &[]], " | jre"),
        // Whoever comes first meets it, and the next is not asked.
        (&[("jre", &[0, 1])], &[&[], &[]], "jre | "),
        (&[("jre", &[0, 1])], &[&["jre"], &[]], "jre | jre"),
        (&[("jre", &[0, 2])], &[&["jre"], &[], &[]], "jre |  | jre"),
        (&[("jre", &[0, 1, 2])], &[&["jre"], &["jre"], &[]], "jre | jre | jre"),
        (&[("jre", &[0, 1, 2])], &[&["jre"], &[], &[]], "jre | jre | "),
        // The last one may leave it to nobody.
        (&[("jre", &[0])], &[&["jre"]], "jre"),
        // Some are left and others are met.
        (
            &[("jdk", &[0, 1, 2]), ("jre", &[0, 1, 2]), ("none", &[2])],
            &[&["jre"], &[], &["none"]],
            "jdk jre | jre | none",
        ),
        (&[("jdk", &[0, 1]), ("jre", &[0, 1])], &[&["jre", "jdk"], &[]], "jdk jre | jdk jre"),
        (&[("jre", &[0, 1])], &[&["jre", "jre"], &[]], "jre | jre"),
        // Nobody leaves what it was not asked for: another's, one that is met, one that there is not.
        (
            &[("jre", &[1])],
            &[&["jre"], &[]],
            " ! t/m0@1.0.0 says that it leaves `jre` unmet, which nobody required of it",
        ),
        (
            &[("jre", &[0, 1])],
            &[&[], &["jre"]],
            "jre |  ! t/m1@1.0.0 says that it leaves `jre` unmet, which nobody required of it",
        ),
        (
            &[("jre", &[0])],
            &[&["JRE"]],
            "jre ! t/m0@1.0.0 says that it leaves `JRE` unmet, which nobody required of it",
        ),
    ];
    for (plan, unmet, expected) in CASES {
        assert_eq!(given(plan, unmet), *expected, "{plan:?} {unmet:?}");
    }
}

#[test]
fn later_buildpacks_see_the_app_as_changed() {
    let first = Fake::new("t/first@1.0.0").builds(|bench, _| {
        bench.overlay_write("added", b"1".to_vec(), false).unwrap();
        bench.overlay_remove(&["source".to_owned()]).unwrap();
        Ok(Report::default())
    });
    let second = Fake::new("t/second@1.0.0").builds(|bench, _| {
        assert_eq!(bench.read("added", 9).unwrap(), b"1");
        assert!(bench.stat("source").unwrap().is_none());
        bench.overlay_write("added", b"2".to_vec(), false).unwrap();
        Ok(Report::default())
    });
    let (shop, _) = shop(Artifacts::default());
    let app = tree(&[("source", "x"), ("kept", "y")]);
    let built = build(&shop, &group(vec![first, second], &[]), app.clone()).unwrap();
    assert_eq!(shown(&built.app), "added = 2\nkept = y");
    assert_eq!(shown(&app), "kept = y\nsource = x", "the source itself stays");
}

#[test]
fn layers_for_nothing_are_left_out_and_named() {
    let fake = Fake::new("t/a@1.0.0").builds(|bench, _| {
        for (name, [build, launch, cache]) in [
            ("z", [false, true, false]),
            ("none", [false; 3]),
            ("b", [true, false, false]),
            ("c", [false, false, true]),
        ] {
            bench.create_layer(name, Usage { build, launch, cache }).unwrap();
        }
        Ok(Report { store: [("k".to_owned(), "v".to_owned())].into(), ..Report::default() })
    });
    let (shop, observer) = shop(Artifacts::default());
    let built = build(&shop, &group(vec![fake], &[]), tree(&[])).unwrap();
    let names: Vec<String> = built.parts[0].layers.iter().map(|layer| layer.name.to_string()).collect();
    assert_eq!(names, ["b", "c", "z"]);
    assert_eq!(built.parts[0].store["k"], "v");
    let left_out = observer.take().into_iter().find_map(|event| match event {
        Event::LeftOut { buildpack, layer, reason } => Some(format!("{buildpack}:{layer}: {reason}")),
        _ => None,
    });
    assert_eq!(left_out.unwrap(), "t/a:none: it is for neither build, launch nor cache");
}

#[test]
fn processes_are_joined_and_belong_to_their_buildpack() {
    let a = launching("t/a@1.0.0", processes(vec![process("web", true), process("task", false)]));
    let b = launching("t/b@1.0.0", processes(vec![process("web", false)]));
    let (shop, observer) = shop(Artifacts::default());
    let built = build(&shop, &group(vec![a, b], &[]), tree(&[])).unwrap();
    let of = |process: &Process| format!("{} of {}", process.kind, process.buildpack);
    assert_eq!(built.launch.processes.iter().map(of).collect::<Vec<_>>(), ["task of t/a", "web of t/b"]);
    assert_eq!(built.launch.default, None);
    let notes: Vec<String> = observer
        .take()
        .into_iter()
        .filter_map(|event| match event {
            Event::Note(Level::Warning, text) => Some(text),
            _ => None,
        })
        .collect();
    insta::assert_snapshot!(notes.join("\n"), @"t/b redefines the process `web`, which is therefore no longer the default");
}

#[test]
fn tells_who_builds_and_when() {
    let (shop, observer) = shop(Artifacts::default());
    build(&shop, &group(vec![Fake::new("t/a@1.0.0"), Fake::new("t/b@2.0.0")], &[]), tree(&[])).unwrap();
    let told: Vec<String> = observer
        .take()
        .into_iter()
        .map(|event| match event {
            Event::Phase(phase) => format!("{phase:?}"),
            Event::Building { buildpack } => format!("building {buildpack}"),
            Event::Built { buildpack, .. } => format!("built {buildpack}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["Build", "building t/a@1.0.0", "built t/a@1.0.0", "building t/b@2.0.0", "built t/b@2.0.0"]);
}

#[test]
fn says_whose_failure_it_is() {
    let error = |make: fn() -> RunError| failing(Fake::new("t/a@1.0.0").builds(move |_, _| Err(make())), &[]);
    let refused = || {
        let failure = Failure {
            blame: Blame::App,
            summary: "the jar's manifest names no\nmain class".to_owned(),
            detail: None,
            hint: Some("add one".to_owned()),
            file: None,
            line: None,
        };
        RunError::Refused(Box::new(failure))
    };
    let host = || {
        let port = PortError::new(Fault::Io, "could not make a thread").hint("close something");
        RunError::Host(Box::new(port.caused_by(std::io::Error::other("no more"))))
    };
    let slices =
        |pattern: &str| Launch { slices: vec![Slice { paths: vec![pattern.to_owned()] }], ..Launch::default() };
    let label = Label { key: "io.buildpacks.x".to_owned(), value: String::new() };
    let unmet = |_: &crate::workbench::Workbench, _: &[Requirement]| {
        Ok(Report { unmet: vec!["x\n".repeat(200)], ..Report::default() })
    };
    let said = [
        error(refused),
        error(host),
        error(|| RunError::Stopped { reason: "it ran for more than 5 seconds".to_owned(), source: None }),
        failing(launching("t/a@1.0.0", processes(vec![process("web", true), process("task", true)])), &[]),
        failing(launching("t/a@1.0.0", slices("../x")), &[]),
        failing(launching("t/a@1.0.0", slices("a[")), &[]),
        failing(launching("t/a@1.0.0", Launch { labels: vec![label], ..Launch::default() }), &[]),
        failing(Fake::new("t/a@1.0.0").builds(unmet), &[("jre", &[0])]).replace(&"x\\n".repeat(99), "…"),
        error(|| RunError::Cancelled),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    t/a@1.0.0 could not build the app
      caused by: the jar's manifest names no\nmain class
    t/a@1.0.0 could not build the app
      caused by: the host failed while running it
      caused by: could not make a thread
      caused by: no more
      hint: close something
    t/a@1.0.0 could not build the app
      caused by: the sandbox stopped it: it ran for more than 5 seconds
    t/a@1.0.0 could not build the app
      caused by: its answer breaks the contract: `web` and `task` both want to be the default process
    t/a@1.0.0 could not build the app
      caused by: its answer breaks the contract: the slice pattern `../x` leads outside the app
    t/a@1.0.0 could not build the app
      caused by: its answer breaks the contract: pattern `a[` cannot be understood
    t/a@1.0.0 could not build the app
      caused by: its answer breaks the contract: the label `io.buildpacks.x` has a key that belongs to the platform
    t/a@1.0.0 says that it leaves `…x\n` unmet, which nobody required of it
    stopped on request
    "#);
}

#[test]
fn together_they_may_be_too_much() {
    let many = |from: usize| Launch {
        slices: (from..from + 20).map(|n| Slice { paths: vec![n.to_string()] }).collect(),
        ..Launch::default()
    };
    let members = vec![launching("t/a@1.0.0", many(0)), launching("t/b@1.0.0", many(20))];
    let (shop, _) = shop(Artifacts::default());
    insta::assert_snapshot!(told(&build(&shop, &group(members, &[]), tree(&[])).unwrap_err()), @r#"
    could not join what the buildpacks say about launch
      caused by: 40 slices are wanted; at most 32 are taken
    "#);
}

#[test]
fn a_request_to_stop_ends_it_between_buildpacks() {
    let (shop, _) = shop(Artifacts::default());
    let stops = shop.cancel.clone();
    let first = Fake::new("t/a@1.0.0").builds(move |_, _| {
        stops.set();
        Ok(Report::default())
    });
    let never = Fake::new("t/b@1.0.0").builds(|_, _| panic!("it builds although somebody asked to stop"));
    let result = build(&shop, &group(vec![first, never], &[]), tree(&[]));
    assert!(matches!(result, Err(BuildError::Cancelled)));
}

/// What is said of a dependency's end of life hangs on this: the clock has no say in what is remembered, and a step that is
/// remembered says the same.
#[test]
fn what_was_brought_in_is_known_of_remembered_steps_too() {
    let file: &[u8] = b"a runtime";
    let dependency = |version: &str, sha256: Digest| {
        let artifact = format!("purl = \"pkg:pypi/jre@{version}?file_name=jre.bin\"\nsha256 = \"{}\"\n", sha256.hex());
        let head = format!("[[dependencies]]\nid = \"jre\"\nname = \"JRE\"\nversion = \"{version}\"\n");
        format!("{head}eol = \"2027-09-30\"\n[[dependencies.artifacts]]\n{artifact}")
    };
    let text =
        "contract = \"0.1\"\n[buildpack]\nid = \"acme/tool\"\nversion = \"1.2.3\"\n[asks]\necosystems = [\"pypi\"]\n";
    let text = [text, &dependency("17.0.1", Digest::of(b"other")), &dependency("21.0.1", Digest::of(file))].concat();
    let (mut shop, _) = shop(Artifacts::of(&[file]));
    shop.memory = memory::Memory::of(Arc::new(Memory::default()));
    let runs: Arc<Mutex<usize>> = Arc::default();
    let brought_in = || {
        let runs = Arc::clone(&runs);
        let mut fake = Fake::new("acme/tool@1.2.3").builds(move |bench, _| {
            *runs.lock().unwrap() += 1;
            let layer = bench.create_layer("jre", Usage { launch: true, ..Usage::default() }).unwrap();
            let artifact = bench.fetch("jre", "21.0.1").unwrap();
            bench.artifact_save(artifact, layer, "jre.bin", false).unwrap();
            Ok(Report::default())
        });
        fake.manifest = Manifest::parse(&text).unwrap();
        let built = build(&shop, &group(vec![fake], &[]), tree(&[])).unwrap();
        let said = built.parts[0].brought_in().map(|dependency| format!("{} {:?}", dependency.version, dependency.eol));
        said.collect::<Vec<_>>().join("\n")
    };
    let first = brought_in();
    assert!(first.starts_with("21.0.1 Some("), "{first}");
    assert_eq!((brought_in(), *runs.lock().unwrap()), (first, 1));
}
