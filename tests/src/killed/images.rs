//! What is done with images that are there: another base, their bills, another place, an end.

use std::{path::PathBuf, process::Command};

use stave_lifecycle::port::{cancel::Cancel, observer::Silent, sink::Sink as _};
use stave_model::target::Platform;
use stave_oci::{
    layout::{LayoutFolder, Place},
    testing,
};

use super::Trial;
use crate::support::{
    env::TestEnv,
    guests::{self, guest},
    images::{checked_here, named_base},
    process::succeeds,
    registry::Registry,
    tools::tool,
};

/// A world with an image on the first of two bases, as `tiny` in the image store and in the layout `out`.
fn world() -> TestEnv {
    let env = TestEnv::empty();
    let build = guests::builder(&env, &guest("hostile"));
    named_base(&env, "bases", Some("1"));
    named_base(&env, "bases", Some("2"));
    let to = ["--run-image", "oci:bases:1", "--tag", "tiny", "--to", "store", "--to", "oci:out:tiny"];
    env.run(&[&build[..], &to].concat()).succeeds();
    env
}

#[test]
fn a_rebase_in_the_image_store() {
    let env = world();
    Trial::new(&env, "rebase tiny --run-image oci:bases:2", &["Name data/images/"]).kill_at_every_step();
}

#[test]
fn a_rebase_in_a_layout() {
    let env = world();
    let trial = Trial {
        after: &|_, outcome| {
            assert_eq!(checked_here(&env.work().join("out")).digest().to_string(), outcome.result());
        },
        ..Trial::new(&env, "rebase oci:out:tiny --run-image oci:bases:2", &["Name work/out/index.json"])
    };
    trial.kill_at_every_step();
}

#[test]
fn a_rebase_in_a_registry() {
    let env = world();
    let registry = Registry::start(&env);
    for version in ["1", "2"] {
        copy(&env, &format!("oci:bases:{version}"), &registry.reference(&format!("run:{version}")));
    }
    let build = "build app --builder builder.toml --publish --run-image";
    let words = format!("{build} {} --tag {}", registry.reference("run:1"), registry.reference("apps/first:1"));
    env.run(&words.split(' ').collect::<Vec<_>>()).succeeds();
    let repositories = registry.repositories().join("apps");
    let line =
        format!("rebase {}:1 --run-image {} --publish", registry.reference("apps/NAME"), registry.reference("run:2"));
    let parts = ["Send PUT /v2/apps/"];
    let trial = Trial {
        before: &|name| {
            let copied: [PathBuf; 2] = ["first", name].map(|name| repositories.join(name));
            succeeds(Command::new("cp").arg("-r").args(copied));
        },
        after: &|name, outcome| {
            let mut inspect = tool("skopeo");
            inspect.args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"]);
            let reference = registry.reference(&format!("apps/{name}:1"));
            assert_eq!(succeeds(inspect.arg(format!("docker://{reference}"))), outcome.result());
        },
        ..Trial::new(&env, &line, &parts)
    };
    trial.kill_at_every_step();
}

/// Copies an image of a layout into a registry.
fn copy(env: &TestEnv, layout: &str, reference: &str) {
    let mut copy = tool("skopeo");
    copy.current_dir(env.work()).args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", layout]);
    succeeds(copy.arg(format!("docker://{reference}")));
}

#[test]
fn bills_that_are_downloaded() {
    let env = world();
    // On a base that says which packages it has.
    let package = "Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: 1.0\n\n";
    let files = [("etc/os-release", "ID=debian\nVERSION_ID=\"13\"\n"), ("var/lib/dpkg/status", package)];
    let base = testing::image(&Platform::of_this_machine().arch, vec![testing::layer(&files)]);
    let place = Place { folder: env.work().join("bases"), name: Some("listed".to_owned()) };
    LayoutFolder::new(place).put(&base, &Silent, &Cancel::new()).unwrap();
    let build = "build app --builder builder.toml --run-image oci:bases:listed --tag tiny";
    env.run(&build.split(' ').collect::<Vec<_>>()).succeeds();
    let trial = Trial::new(&env, "sbom download tiny -o bills", &["Name work/bills/"]);
    trial.kill_at_every_step();
}

#[test]
fn an_export() {
    let env = world();
    let registry = Registry::start(&env);
    let to = "--to oci:copy --to docker-archive:copy.tar --publish";
    let line = format!("export tiny --tag {}:1 {to}", registry.reference("apps/NAME"));
    let parts = ["Name work/copy (", "Name work/copy.tar", "Send PUT /v2/apps/", "/manifests/"];
    Trial::new(&env, &line, &parts).kill_at_every_step();
}
