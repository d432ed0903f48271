//! What the buildpack does, natively: no WebAssembly, no container.

use stave_minimal_buildpack::Minimal;
use stave_sdk::testing::Host;

#[test]
fn an_app_without_the_file_is_not_for_it() {
    assert_eq!(Host::new().detect(&Minimal).skipped(), Some("no start.json"));
}

#[test]
fn the_file_says_what_starts() {
    let host = Host::new().file("start.json", r#"{ "command": ["./serve"], "env": { "PORT": "8080" } }"#);
    let built = host.detect_and_build(&Minimal);
    assert_eq!(built.report().processes[0].command, ["./serve"]);
    assert_eq!(built.environment("web")["PORT"], "8080");
}

#[test]
fn a_file_that_cannot_be_understood_is_the_apps_failure() {
    let host = Host::new().file("start.json", "{ \"command\": [\"./serve\"],\n  \"env\": 7 }");
    let built = host.build(&Minimal, &[]);
    let failure = built.failure().expect("it fails");
    assert_eq!((failure.file.as_deref(), failure.line), (Some("start.json"), Some(2)));
}
