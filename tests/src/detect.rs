//! `stave detect`, and what a build says of detection: with one component under many names, each told by a setting what to
//! answer.

use std::{fmt::Write as _, sync::Arc};

use serde_json::{Value, json};
use stave_archive::content::Bytes;
use stave_lifecycle::{
    image::{Descriptor, ImageLayer, LAYER},
    port::{cancel::Cancel, observer::Silent, sink::Sink as _},
};
use stave_model::{component::embed, digest::Digest, target::Platform};
use stave_oci::{
    layout::{LayoutFolder, Place},
    testing,
};

use crate::support::{env::TestEnv, filters, guests, images::small_base, process::Outcome};

/// Buildpacks `t/a`, `t/b` …, each with lines of its own in the manifest; a small base, and an app.
fn world(buildpacks: &[(&str, &str)], order: &str) -> TestEnv {
    let env = TestEnv::empty();
    small_base(&env);
    env.write("app/readme.txt", "an app");
    let mut builder = "stack = { path = \"base\" }\n".to_owned();
    let wasm = guests::bare("choosy");
    for (name, lines) in buildpacks {
        let asks = format!("[asks]\nsettings = [\"BP_CHOOSY_{}\"]\n", name.to_uppercase());
        let head = format!("contract = \"0.1\"\n[buildpack]\nid = \"t/{name}\"\nversion = \"1.0.0\"\n");
        env.write(&format!("{name}.wasm"), embed(&wasm, &format!("{head}{lines}\n{asks}")).unwrap());
        writeln!(builder, "[[buildpacks]]\npath = \"{name}.wasm\"").unwrap();
    }
    env.write("builder.toml", builder + order);
    env
}

/// Detects with what each buildpack is to answer: `A=+x -y`.
fn detect(env: &TestEnv, more: &[&str], answers: &[&str]) -> Outcome {
    let answers: Vec<String> = answers.iter().map(|answer| format!("BP_CHOOSY_{answer}")).collect();
    let mut arguments = vec!["detect", "app", "--builder", "builder.toml"];
    arguments.extend(more);
    for answer in &answers {
        arguments.extend(["-e", answer]);
    }
    let outcome = env.run(&arguments);
    assert!(!outcome.stdout.contains('\u{1b}') && !outcome.stderr.contains('\u{1b}'), "{outcome:?}");
    env.assert_nothing_half_written();
    outcome
}

const NESTED: &str = r#"
[[order]]
group = [{ id = "t/jvm" }, { id = "t/d", optional = true }]
[[order]]
group = [{ id = "t/e" }]

[[composites]]
id = "t/jvm"
order = [{ group = [{ id = "t/a" }] }, { group = [{ id = "t/b" }, { id = "t/c", optional = true }] }]
"#;

fn nested() -> TestEnv {
    world(&[("a", ""), ("b", ""), ("c", ""), ("d", ""), ("e", "exec-env = [\"test\"]")], NESTED)
}

#[test]
fn says_who_builds_and_what_they_provide() {
    let env = nested();
    let _filters = filters::bind(&env);
    let outcome = detect(&env, &[], &["A=no: no jar", "B=+jre -jre", "C=-jre", "D=+jdk"]).succeeds();
    insta::assert_snapshot!(outcome.stdout, @"
    group
      t/b@1.0.0
      t/c@1.0.0
    plan
      `jre`: provided by t/b@1.0.0; required by t/b@1.0.0 (version=1), t/c@1.0.0 (version=1)
    ");
    // Which base it is follows from how layers are compressed.
    let stderr: Vec<&str> = outcome.stderr.lines().filter(|line| !line.starts_with("base ")).collect();
    insta::assert_snapshot!(stderr.join("\n"), @"
    ===> ANALYZE
    ===> DETECT
    t/b@1.0.0
    t/c@1.0.0
    ");
    let outcome = detect(&env, &["-q"], &[]).succeeds();
    insta::assert_snapshot!(outcome.stdout, @"
    group
      t/a@1.0.0
      t/d@1.0.0
    plan
      nothing is provided or required
    ");
    assert_eq!(outcome.stderr, "");
}

#[test]
fn explains_all_that_was_tried() {
    let env = nested();
    let _filters = filters::bind(&env);
    let answers = ["A=no: no jar", "B=+jre/+jdk -jdk", "C=-jre", "D=broken: out of \u{1b}[2Jorder"];
    let outcome = detect(&env, &["--explain"], &answers).succeeds();
    insta::assert_snapshot!(outcome.stdout, @r"
    group 1, t/jvm group 1: not taken: t/a@1.0.0 is needed, and did not pass
      t/a@1.0.0: no jar
      t/d@1.0.0 (optional): failed: out of \u{1b}[2Jorder
    group 1, t/jvm group 2: taken: everybody who is needed passed, and what is provided and required fits
      t/b@1.0.0: passed
        way 1: provides `jre`
        way 2: provides `jdk`; requires `jdk` (version=1)
      t/c@1.0.0 (optional): passed
        requires `jre` (version=1)
      t/d@1.0.0 (optional): failed: out of \u{1b}[2Jorder

    group
      t/b@1.0.0
      t/c@1.0.0
    plan
      `jre`: provided by t/b@1.0.0; required by t/c@1.0.0 (version=1)
    ");
    let answers = ["A=no: no jar", "B=-jre", "C=no: nothing", "D=broken: out of order"];
    let outcome = detect(&env, &["--explain"], &answers).ends_with(21);
    insta::assert_snapshot!(outcome.stdout, @"
    group 1, t/jvm group 1: not taken: t/a@1.0.0 is needed, and did not pass
      t/a@1.0.0: no jar
      t/d@1.0.0 (optional): failed: out of order
    group 1, t/jvm group 2: not taken: t/b@1.0.0 requires `jre`, which no buildpack up to it provides
      t/b@1.0.0: passed
        requires `jre` (version=1)
      t/c@1.0.0 (optional): nothing
      t/d@1.0.0 (optional): failed: out of order
    group 2: not taken: nobody is left to build
      t/e@1.0.0: left out: it is for the execution environment test, and this image is for production
    ");
    insta::assert_snapshot!(outcome.failure(), @"
    error: no buildpack takes this app
      t/a@1.0.0: no jar
      t/d@1.0.0: failed: out of order
      t/b@1.0.0: passed
      t/c@1.0.0: nothing
      t/e@1.0.0: it is for the execution environment test, and this image is for production
      group 1, t/jvm group 1: t/a@1.0.0 is needed, and did not pass
      group 1, t/jvm group 2: t/b@1.0.0 requires `jre`, which no buildpack up to it provides
      group 2: nobody is left to build
    ");
}

#[test]
fn says_why_nobody_builds_without_being_asked() {
    let env = nested();
    let _filters = filters::bind(&env);
    let outcome = detect(&env, &[], &["A=no: no jar", "B=-jre", "D=no: nothing to debug"]).ends_with(20);
    assert_eq!(outcome.stdout, "");
    insta::assert_snapshot!(outcome.failure(), @"
    error: no buildpack takes this app
      t/a@1.0.0: no jar
      t/d@1.0.0: nothing to debug
      t/b@1.0.0: passed
      t/c@1.0.0: passed
      t/e@1.0.0: it is for the execution environment test, and this image is for production
      group 1, t/jvm group 1: t/a@1.0.0 is needed, and did not pass
      group 1, t/jvm group 2: t/b@1.0.0 requires `jre`, which no buildpack up to it provides
      group 2: nobody is left to build
    hint: `stave detect --explain` says all that was tried in each group
    ");
    let mut arguments = vec!["build", "app", "--builder", "builder.toml"];
    for answer in ["BP_CHOOSY_A=no: no jar", "BP_CHOOSY_B=-jre", "BP_CHOOSY_D=no: nothing to debug"] {
        arguments.extend(["-e", answer]);
    }
    let build = env.run(&arguments);
    assert_eq!(build.ends_with(20).failure(), outcome.failure());
}

#[test]
fn a_verbose_build_says_why() {
    let env = nested();
    let _filters = filters::bind(&env);
    let arguments =
        ["build", "app", "--builder", "builder.toml", "--to", "oci:out", "-v", "-e", "BP_CHOOSY_A=no: no jar"];
    let said = env.run(&arguments).stderr;
    let detect = said.split("===> ").find(|phase| phase.starts_with("DETECT")).unwrap();
    // Whether somebody was asked or remembered is told as it happens, by several threads.
    let detect: Vec<&str> = detect.lines().filter(|line| !line.contains(" detect: ran: ")).collect();
    insta::assert_snapshot!(detect.join("\n"), @"
    DETECT
    t/a@1.0.0: no jar
    t/d@1.0.0: passed
    group 1, t/jvm group 1: t/a@1.0.0 is needed, and did not pass
    t/b@1.0.0: passed
    t/c@1.0.0: passed
    group 1, t/jvm group 2: everybody who is needed passed, and what is provided and required fits
    t/b@1.0.0
    t/c@1.0.0
    t/d@1.0.0
    ");
}

#[test]
fn is_for_programs_too() {
    let env = nested();
    let parsed = |outcome: Outcome| -> Value { serde_json::from_str(&outcome.stdout).unwrap() };
    let answers = ["A=no: no jar", "B=+jre/+jdk -jdk"];
    let found = parsed(detect(&env, &["-o", "json"], &answers).succeeds());
    let plan = json!([{ "name": "jdk", "providers": ["t/b@1.0.0"], "requires": [{ "by": "t/b@1.0.0", "metadata": { "version": "1" } }] }]);
    assert_eq!(found, json!({ "group": ["t/b@1.0.0", "t/c@1.0.0", "t/d@1.0.0"], "plan": plan }));

    let found = parsed(detect(&env, &["-o", "json", "--explain"], &answers).succeeds());
    let tried = found["tried"].as_array().unwrap();
    assert_eq!(tried.len(), 2);
    assert_eq!(tried[0]["members"][0]["reason"], "no jar");
    assert_eq!((&tried[1]["group"], &tried[1]["taken"]), (&json!("group 1, t/jvm group 2"), &json!(true)));
    assert_eq!(tried[1]["combinations"][0]["ways"], json!({ "t/b@1.0.0": 1 }));
    assert_eq!(
        tried[1]["combinations"][0]["misfits"],
        json!([{ "buildpack": "t/b@1.0.0", "kind": "unused", "name": "jre" }])
    );

    let nobody = parsed(detect(&env, &["-o", "json"], &["A=no: no jar", "B=broken: why"]).ends_with(21));
    assert_eq!(nobody, json!({ "group": [], "plan": [] }));
}

#[test]
fn targets_and_execution_environments_decide() {
    let distro = "[[targets]]\nos = \"linux\"\ndistros = [{ name = \"debian\", version = \"12\" }]";
    let arch = "[[targets]]\nplatform = \"linux/s390x\"";
    let order = "[[order]]\ngroup = [{ id = \"t/a\" }]\n[[order]]\ngroup = [{ id = \"t/b\" }, { id = \"t/c\" }]\n";
    let env = world(&[("a", distro), ("b", arch), ("c", "exec-env = [\"test\"]")], order);
    let _filters = filters::bind(&env);
    let said = detect(&env, &[], &[]).ends_with(20);
    let here = Platform::of_this_machine().to_string();
    insta::assert_snapshot!(said.failure().replace(&here, "[HERE]"), @"
    error: no buildpack takes this app
      t/a@1.0.0: on [HERE] it builds for debian 12, and the base is none
      t/b@1.0.0: it builds for linux/s390x, not for [HERE]
    hint: `stave detect --explain` says all that was tried in each group
    ");
    let order = "[[order]]\ngroup = [{ id = \"t/a\" }, { id = \"t/b\", exec-env = [\"test\"] }]\n";
    let env = world(&[("a", "exec-env = [\"production\", \"test\"]"), ("b", "")], order);
    let group = |exec_env: &str| -> Value {
        let outcome = detect(&env, &["-o", "json", "--exec-env", exec_env], &[]).succeeds();
        serde_json::from_str::<Value>(&outcome.stdout).unwrap()["group"].clone()
    };
    assert_eq!(group("production"), json!(["t/a@1.0.0"]));
    assert_eq!(group("test"), json!(["t/a@1.0.0", "t/b@1.0.0"]));
}

#[test]
fn system_buildpacks_are_added() {
    let order = "[[order]]\ngroup = [{ id = \"t/a\" }]\n[system.pre]\nbuildpacks = [{ id = \"t/b\" }]\n\
                 [system.post]\nbuildpacks = [{ id = \"t/c\", optional = true }]\n";
    let env = world(&[("a", ""), ("b", ""), ("c", "")], order);
    let group = |answers: &[&str]| -> Value {
        let outcome = detect(&env, &["-o", "json"], answers).succeeds();
        serde_json::from_str::<Value>(&outcome.stdout).unwrap()["group"].clone()
    };
    assert_eq!(group(&[]), json!(["t/b@1.0.0", "t/a@1.0.0", "t/c@1.0.0"]));
    assert_eq!(group(&["C=no: not here"]), json!(["t/b@1.0.0", "t/a@1.0.0"]));
}

#[test]
fn orders_that_are_not_right() {
    let circle = "[[order]]\ngroup = [{ id = \"t/x\" }]\n[[composites]]\nid = \"t/x\"\norder = [{ group = [{ id = \"t/x\" }] }]\n";
    let env = world(&[("a", "")], circle);
    let _filters = filters::bind(&env);
    insta::assert_snapshot!(detect(&env, &[], &[]).ends_with(22).failure(), @"error: the composite t/x stands for itself: t/x > t/x");
    let members = ["{ id = \"t/x\" }"; 7].join(", ");
    let flood = format!(
        "[[order]]\ngroup = [{members}, {{ id = \"t/a\" }}]\n[[composites]]\nid = \"t/x\"\norder = [{}]\n",
        ["{ group = [] }"; 4].join(", ")
    );
    let env = world(&[("a", "")], &flood);
    let said = detect(&env, &[], &["A=+jre"]).ends_with(22);
    let lines: Vec<&str> = said.failure().lines().collect();
    insta::assert_snapshot!([lines[0], lines[1], lines[2], lines[lines.len() - 2], lines[lines.len() - 1]].join("\n"), @"
    error: no group that was tried takes this app
    caused by: the order comes to more groups than are tried: after 1000, the rest is given up
      t/a@1.0.0: passed
      and 980 more groups
    hint: `stave detect --explain` says all that was tried in each group
    ");
}

#[test]
fn fifty_buildpacks_are_asked() {
    let order: Vec<String> = (0..50).map(|n| format!("{{ id = \"t/p{n}\" }}")).collect();
    let order = format!("[[order]]\ngroup = [{}]\n", order.join(", "));
    let names: Vec<String> = (0..50).map(|n| format!("p{n}")).collect();
    let buildpacks: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let env = world(&buildpacks, &order);
    let outcome = detect(&env, &["-o", "json"], &[]).succeeds();
    let found: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(found["group"].as_array().unwrap().len(), 50);
}

/// A base is there to be stood on: where nobody can tell what it is, buildpacks that do not ask still pass.
#[test]
fn a_base_without_labels_that_cannot_be_read_is_of_no_known_distribution() {
    let env = world(&[("a", "")], "");
    let odd = vec![b'x'; 2048];
    let (digest, content) = (Digest::of(&odd), Arc::new(Bytes::new(odd)));
    let descriptor = Descriptor { media_type: LAYER.to_owned(), digest, size: 2048 };
    let layer = ImageLayer { descriptor, diff_id: digest, content, origin: None };
    let sink = LayoutFolder::new(Place { folder: env.work().join("odd"), name: None });
    sink.put(&testing::image(&Platform::of_this_machine().arch, vec![layer]), &Silent, &Cancel::new()).unwrap();
    let said = detect(&env, &["--run-image", "oci:odd"], &[]).succeeds().stderr;
    let said: Vec<&str> = said.lines().filter(|line| line.contains("distribution")).collect();
    let said = said.join("\n");
    insta::assert_snapshot!(said, @"warning: could not find out the distribution of the base oci:odd, which has no label of it: numeric field was not a number: xxxxxxxx when getting cksum for xxxxxxxxxxxxxxxx");
}

#[test]
fn the_distribution_of_a_base_without_labels_is_in_its_files() {
    let targets = "[[targets]]\nos = \"linux\"\n[[targets.distros]]\nname = \"toy\"\nversion = \"1.2\"\n";
    let env = world(&[("a", targets)], "");
    let arch = Platform::of_this_machine().arch;
    let layers = vec![
        testing::layer(&[("usr/lib/os-release", "NAME=\"Toy\"\nID=toy\nVERSION_ID=\"1.2\"\n")]),
        testing::layer(&[("etc/motd", "welcome")]),
    ];
    let sink = LayoutFolder::new(Place { folder: env.work().join("toy"), name: None });
    sink.put(&testing::image(&arch, layers), &Silent, &Cancel::new()).unwrap();
    let _filters = filters::bind(&env);
    let refused = detect(&env, &["--verbose"], &[]).ends_with(20);
    let taken = detect(&env, &["--verbose", "--run-image", "oci:toy"], &[]).succeeds();
    let again = detect(&env, &["--verbose", "--run-image", "oci:toy"], &[]).succeeds();
    let about = |line: &&str| line.contains("files") || line.contains("t/a") || line.contains("toy 1.2");
    let said = [refused.stderr, taken.stderr, again.stderr];
    let said = said.map(|stderr| {
        stderr.lines().filter(about).filter(|line| !line.starts_with("base ")).collect::<Vec<_>>().join("\n")
    });
    let here = Platform::of_this_machine().to_string();
    insta::assert_snapshot!(said.join("\n---\n").replace(&here, "[HERE]"), @"
    the base's files say that it is none
    t/a@1.0.0: on [HERE] it builds for toy 1.2, and the base is none
    group 1: t/a@1.0.0 is needed, and did not pass
      t/a@1.0.0: on [HERE] it builds for toy 1.2, and the base is none
    ---
    the base's files say that it is toy 1.2
    t/a@1.0.0 detect: ran: first time
    t/a@1.0.0: passed
    t/a@1.0.0
    ---
    t/a@1.0.0 detect: remembered
    t/a@1.0.0: passed
    t/a@1.0.0
    ");
}
