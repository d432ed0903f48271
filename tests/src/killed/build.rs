//! Builds: the first one to every place, one of an app that has changed, and detection, which leaves code and answers behind.

use std::fs;

use super::Trial;
use crate::support::{
    env::TestEnv,
    guests::{self, guest},
    images::checked_here,
    registry::Registry,
};

/// Leaves nothing of earlier builds but the buildpacks' compiled code, which takes longer than all the rest.
fn keep_code_alone(env: &TestEnv) {
    for entry in fs::read_dir(env.cache()).unwrap().flatten() {
        if entry.file_name() != "code" {
            fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path())).unwrap();
        }
    }
    fs::remove_dir_all(env.data()).unwrap();
    fs::create_dir(env.data()).unwrap();
}

#[test]
fn a_first_build_to_every_place() {
    let env = TestEnv::empty();
    let registry = Registry::start(&env);
    let build = guests::builder(&env, &guest("hostile")).join(" ");
    env.write("app/folder/more.txt", "more");
    env.run(&["build", "app", "--builder", "builder.toml"]).succeeds();
    keep_code_alone(&env);
    let name = registry.reference("apps/NAME");
    let line = format!(
        "{build} --tag {name}:1 --tag {name}:2 --to store --to oci:out --to docker-archive:out.tar --publish --report report.json"
    );
    let trial = Trial {
        after: &|_, outcome| {
            assert_eq!(checked_here(&env.work().join("out")).digest().to_string(), outcome.result());
        },
        ..Trial::new(
            &env,
            &line,
            &[
                "Make cache/",
                "(===> DETECT)",
                "(===> BUILD)",
                "(===> EXPORT)",
                "Name cache/results/",
                "Name data/images/",
                "Name work/out (",
                "Name work/out.tar",
                "Name work/report.json",
                "Send PUT /v2/apps/",
                "/manifests/1",
                "/manifests/2",
            ],
        )
    };
    trial.kill_at_every_step();
}

#[test]
fn a_build_of_an_app_that_changed() {
    let env = TestEnv::empty();
    let build = guests::builder(&env, &guest("keeper")).join(" ");
    let line = format!("{build} --to store --to oci:out");
    env.run(&line.split(' ').collect::<Vec<_>>()).succeeds();
    env.write("app/readme.txt", "another app");
    let trial = Trial {
        after: &|_, outcome| {
            assert_eq!(checked_here(&env.work().join("out")).digest().to_string(), outcome.result());
        },
        ..Trial::new(&env, &line, &["(===> BUILD)", "Name data/images/"])
    };
    trial.kill_at_every_step();
}

#[test]
fn detection_that_compiles() {
    let env = TestEnv::empty();
    guests::builder(&env, &guest("choosy"));
    Trial::new(&env, "detect app --builder builder.toml", &["cache/code/"]).kill_at_every_step();
}
