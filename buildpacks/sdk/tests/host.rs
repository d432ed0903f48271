//! The host for tests, as an author uses it: what a buildpack did is seen, and what it may not do is refused as it would be.

use stave_sdk::{
    Alternative, Blame, Buildpack, Failure, OrFail, Report, Requirement, Verdict, app, artifacts, context,
    layers::{self, Usage},
    log,
    testing::{Host, Message, NoAnswer},
};

const MANIFEST: &str = r#"
contract = "0.1"
[buildpack]
id = "acme/tool"
version = "1.2.3"
[asks]
interfaces = ["layers", "artifacts"]
ecosystems = ["pypi"]
settings = ["BP_TOOL_*"]
[[dependencies]]
id = "tool"
version = "1.0.0"
name = "Tool"
licenses = ["MIT"]
[[dependencies.artifacts]]
purl = "pkg:pypi/tool@1.0.0?file_name=tool.txt"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"#;

/// Does what the setting says.
struct Tool;

impl Buildpack for Tool {
    fn detect() -> Result<Verdict, Failure> {
        context::setting("HOME")?;
        Ok(Verdict::pass())
    }

    fn build(requirements: &[Requirement]) -> Result<Report, Failure> {
        log::step("Tool");
        match context::setting("BP_TOOL_DOES")?.as_deref() {
            Some("panic") => give_up(),
            Some("fetch") => {
                let newest = artifacts::newest("tool")?;
                let layer = layers::create("tool", Usage::LAUNCH)?;
                newest.fetch()?.save(&layer, "bin/tool", true)?;
                layer.launch_env("TOOL", &newest.version)?;
            }
            Some("other") => drop(artifacts::newest("other")?),
            Some("count") => {
                let count: u32 =
                    context::notes()?.get("count").map_or(Ok(0), |n| n.parse()).or_fail("could not count")?;
                return Ok(Report::default().note("count", (count + 1).to_string()));
            }
            Some("unmet") => return Ok(Report::default().unmet("nothing")),
            _ => log::info(&format!("{} on {}", requirements.len(), context::target().platform())),
        }
        Ok(Report::web(["tool"]))
    }
}

fn give_up() {
    panic!("no {}", "cask");
}

fn does(what: &str) -> Host {
    Host::of_manifest(MANIFEST).setting("BP_TOOL_DOES", what)
}

#[test]
fn what_the_manifest_does_not_ask_for_is_denied() {
    let detected = Host::of_manifest(MANIFEST).detect(&Tool);
    let failure = detected.failure().expect("it fails");
    assert_eq!(failure.blame, Blame::Environment);
    assert!(failure.summary.contains("the manifest of acme/tool@1.2.3 does not ask for it"), "{failure:?}");
}

#[test]
fn a_panic_is_a_stop_with_its_place() {
    let built = does("panic").build(&Tool, &[]);
    let Err(NoAnswer::Stopped(reason)) = &built.answer else { panic!("{built}") };
    assert!(reason.starts_with("it panicked at ") && reason.ends_with(": no cask"), "{reason}");
    assert!(reason.contains("host.rs:"), "{reason}");
    assert!(matches!(&built.messages[..], [Message::Step(_), Message::Said(..)]), "{built}");
}

#[test]
fn a_dependency_is_what_the_test_gives() {
    let built = does("fetch").dependency("tool", "1.0.0", "#!/bin/sh\n").build(&Tool, &[]);
    let layer = built.layer("tool");
    assert_eq!((layer.path(), layer.files.paths().as_slice()), ("/layers/acme_tool/tool", ["bin/tool"].as_slice()));
    assert!(layer.files.is_executable("bin/tool") && layer.usage() == Usage::LAUNCH);
    assert_eq!(layer.files.text("bin/tool"), "#!/bin/sh\n");
    let environment = built.environment("web");
    assert_eq!((environment["TOOL"].as_str(), environment["PATH"].as_str()), ("1.0.0", "/layers/acme_tool/tool/bin"));
    insta::assert_snapshot!(built, @r#"
    process web (default): ["tool"]
    layer tool for launch
      env.launch default TOOL=1.0.0
      file bin/tool*
    step: Tool
    "#);
    insta::assert_snapshot!(does("fetch").build(&Tool, &[]), @r#"
    failed (environment): could not fetch tool 1.0.0: this test does not give it
      hint: give it with `.dependency("tool", "1.0.0", file)`
    step: Tool
    "#);
    insta::assert_snapshot!(does("other").build(&Tool, &[]), @"
    failed (buildpack): no version of other is declared for linux/amd64
      hint: declare it in buildpack.toml under `dependencies`, or leave the platform out of `targets`
    step: Tool
    ");
}

#[test]
fn notes_come_from_the_build_before() {
    let built = does("count").note("count", "7").build(&Tool, &[]);
    assert_eq!(built.report().store, [("count".to_owned(), "8".to_owned())]);
    let failure = does("count").note("count", "many").build(&Tool, &[]).failure().cloned().expect("it fails");
    assert_eq!(failure.summary, "could not count: invalid digit found in string");
    assert!(failure.detail.is_some_and(|detail| detail.contains("host.rs:")));
}

#[test]
fn an_answer_beyond_the_contract_is_none() {
    let built = does("unmet").build(&Tool, &[]);
    let Err(NoAnswer::BadAnswer(reason)) = &built.answer else { panic!("{built}") };
    assert_eq!(reason, "acme/tool@1.2.3 says that it leaves `nothing` unmet, which nobody required of it");
}

/// Provides what it requires, and reads what is to be read.
struct Reader;

impl Buildpack for Reader {
    fn detect() -> Result<Verdict, Failure> {
        let version = app::read_properties("tool.properties")?.unwrap_or_default().remove("version");
        let version = version.or_blame_app("tool.properties names no version")?;
        Ok(Verdict::pass_as(Alternative::of(Requirement::new("tool").with("version", version))))
    }

    fn build(requirements: &[Requirement]) -> Result<Report, Failure> {
        let version = requirements.iter().find_map(|r| r.get("version")).or_fail("nobody requires a version")?;
        let port: Option<u16> = app::parse("port.txt", |text| text.trim().parse())?;
        Ok(Report::web(["tool", version, &port.unwrap_or(80).to_string()]))
    }
}

#[test]
fn detection_and_build_follow_each_other() {
    let host = Host::of_manifest(MANIFEST).file("tool.properties", "version: 1.2\n");
    let built = host.clone().file("port.txt", "8080\n").detect_and_build(&Reader);
    assert_eq!(built.report().processes[0].command, ["tool", "1.2", "8080"]);
    assert_eq!(built.app.text("port.txt"), "8080\n");
    let failure = host.file("port.txt", "many").detect_and_build(&Reader).failure().cloned().expect("it fails");
    assert_eq!(failure.summary, "could not understand port.txt: invalid digit found in string");
    assert_eq!(failure.file.as_deref(), Some("port.txt"));
    insta::assert_snapshot!(Host::of_manifest(MANIFEST).detect(&Reader), @"failed (app): tool.properties names no version");
}

#[test]
fn an_app_may_stand_on_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("tool.properties"), "version=3").expect("a file");
    let built = Host::of_manifest(MANIFEST).app(folder.path()).detect_and_build(&Reader);
    assert_eq!(built.report().processes[0].command[1], "3");
}
