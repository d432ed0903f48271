//! Ctrl-C at several moments: the program ends soon, with 130, leaves nothing unfinished, and the next build works.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use stave_model::target::Platform;
use stave_transport::testing::{Fault, Reply, Server};

use crate::support::{
    env::TestEnv,
    filters,
    guests::{self, guest},
    images::checked_here,
    jar,
    process::Running,
};

/// Starts, waits for a line, and presses Ctrl-C.
#[track_caller]
fn interrupt_at(env: &TestEnv, mut command: Command, line: &str) -> String {
    let mut running = Running::start(&mut command);
    running.wait_for(line);
    press(env, running)
}

/// Starts, waits until a server was asked for something, and presses Ctrl-C.
#[track_caller]
fn interrupt_when_asked(env: &TestEnv, mut command: Command, server: &Server, path: &str) -> String {
    let running = Running::start(&mut command);
    let started = Instant::now();
    while !server.asked().iter().any(|asked| asked.path.starts_with(path)) {
        assert!(started.elapsed().as_secs() < 60, "nobody asked: {:?}", server.lines());
        thread::sleep(Duration::from_millis(20));
    }
    press(env, running)
}

#[track_caller]
fn press(env: &TestEnv, running: Running) -> String {
    running.signal(Signal::INT);
    // What runs to its end instead ends with another code, or never.
    let outcome = running.end().ends_with(130);
    assert_eq!(outcome.stdout, "");
    assert!(!env.work().join("out").exists());
    env.assert_nothing_half_written();
    outcome.stderr
}

/// W12: what a person sees who presses Ctrl-C while a buildpack computes for ever.
#[test]
fn w12_while_a_buildpack_spins() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let mut arguments = guests::builder(&env, &guest("hostile")).to_vec();
    arguments.extend(["--to", "oci:out", "--env", "BP_HOSTILE=spin"]);
    let said = interrupt_at(&env, env.stave(&arguments), "===> DETECT");
    insta::assert_snapshot!(said, @"
    ===> ANALYZE
    base oci:base (4df593ba7e57)
    ===> DETECT
    error: stopped on request
    ");
    arguments.truncate(arguments.len() - 2);
    env.run(&arguments).succeeds();
    checked_here(&env.work().join("out"));
}

#[test]
fn while_a_layer_is_written() {
    let env = TestEnv::empty();
    let mut arguments = guests::builder(&env, &guest("hostile")).to_vec();
    arguments.extend(["--to", "oci:out"]);
    // Half a gigabyte that packs slowly enough for a key to be pressed.
    let text: Vec<u8> = (0..64u32 << 20).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 27).unwrap()).collect();
    for n in 0..4 {
        env.write(&format!("app/large-{n}"), &text);
    }
    interrupt_at(&env, env.stave(&arguments), "===> EXPORT");
    for n in 0..4 {
        std::fs::remove_file(env.work().join(format!("app/large-{n}"))).unwrap();
    }
    env.run(&arguments).succeeds();
    checked_here(&env.work().join("out"));
}

#[test]
fn while_a_runtime_is_fetched() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::plain());
    let about = env.run(&["buildpack", "inspect", "builtin:java", "-o", "json"]).succeeds().stdout;
    let about: Value = serde_json::from_str(&about).unwrap();
    let platform = Platform::of_this_machine().to_string();
    let artifacts = about["dependencies"][0]["artifacts"].as_array().unwrap();
    let artifact = artifacts.iter().find(|artifact| artifact["platform"] == platform).unwrap();
    let (purl, sha256) = (artifact["purl"].as_str().unwrap(), artifact["sha256"].as_str().unwrap());
    let file = purl.split("file_name=").nth(1).unwrap().to_owned();
    let page = format!("<a href=\"/files/{file}#sha256={sha256}\">{file}</a>");
    let server = Server::start(move |asked| {
        if asked.path.starts_with("/files/") {
            Reply::ok(vec![0; 1 << 20]).claiming(50 << 20).fault(Fault::StallAfter(1 << 20))
        } else {
            Reply::ok(page.clone()).header("content-type", "text/html")
        }
    })
    .unwrap();
    let wheel = env.cache().join("blobs/sha256").join(&sha256[..2]).join(sha256);
    let aside = env.root().join("home/wheel");
    std::fs::rename(&wheel, &aside).unwrap();
    env.write("config.toml", format!("[registries]\npypi = \"{}\"\n", server.url("/simple")));
    let arguments = ["build", "tiny.jar", "--to", "oci:out", "--config", "config.toml"];
    interrupt_when_asked(&env, env.stave(&arguments), &server, "/files/");
    std::fs::rename(&aside, &wheel).unwrap();
    env.run(&arguments).succeeds();
    checked_here(&env.work().join("out"));
}

#[test]
fn while_a_stack_is_composed() {
    let env = TestEnv::empty();
    env.write("tiny.jar", jar::plain());
    let server = Server::start(|_| Reply::ok("").fault(Fault::Silence)).unwrap();
    env.write("config.toml", format!("[mirrors]\ndebian = [\"{}\"]\n", server.url("/debian")));
    let arguments = ["build", "tiny.jar", "--to", "oci:out", "--config", "config.toml"];
    interrupt_when_asked(&env, env.stave(&arguments), &server, "/debian/");
}

#[test]
fn while_an_image_is_pushed() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::plain());
    let server = Server::start(|_| Reply::ok("").fault(Fault::Silence)).unwrap();
    let name = format!("{}/tiny", server.authority());
    env.run(&["build", "tiny.jar", "--tag", &name]).succeeds();
    interrupt_when_asked(&env, env.stave(&["export", &name, "--publish"]), &server, "/v2/");
    env.run(&["export", &name, "--to", "oci:out"]).succeeds();
    checked_here(&env.work().join("out"));
}
