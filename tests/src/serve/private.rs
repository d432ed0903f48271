//! Where others' wishes may not lead: to this machine, by whatever transport, until an operator names it.

use std::{thread, time::Instant};

use insta::Settings;
use serde_json::{Value, json};
use stave_transport::testing::{Reply, Server};

use super::{CREATE, PATIENCE, SERVE, ask, stop, wait_for_rows};
use crate::support::{platform::World, process::Running};

const TOKEN: &str = "hunter2";

/// Wishes for an image, with the answer's status.
#[track_caller]
fn wish(world: &World, name: &str, source: &Value) -> u16 {
    let image = json!({
        "apiVersion": "stave/v1",
        "kind": "Image",
        "metadata": { "name": name },
        "spec": { "tag": world.named(&format!("REG/team/{name}")), "source": source },
    });
    ask(world, TOKEN, &format!("PUT /v1/namespaces/default/images/{name}"), Some(&image)).0
}

/// Wishes for an image, and waits for what the server says of its source.
#[track_caller]
fn said_of(world: &World, name: &str, source: &Value) -> String {
    assert_eq!(wish(world, name, source), 201);
    let began = Instant::now();
    loop {
        let (_, text) = ask(world, TOKEN, &format!("GET /v1/namespaces/default/images/{name}"), None);
        let document: Value = serde_json::from_str(&text).unwrap();
        if let Some(failure) = document["status"]["source"]["failure"].as_str() {
            return format!("{name}: {failure}");
        }
        assert!(began.elapsed() < PATIENCE, "{text}");
        thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn others_sources_are_not_taken_from_this_machine_until_it_is_named() {
    let world = World::quick();
    world.typed(&format!("{CREATE} app"));
    let uploaded = world.document("image status web")["spec"]["source"]["registry"]["image"].clone();
    let inside = Server::start(|_| Reply::ok("internal")).unwrap();
    let mut serve = world.env.stave(&SERVE);
    let mut server = Running::start(serve.env("STAVE_SERVE_TOKEN", TOKEN));
    server.wait_for("serving on http://127.0.0.1:");

    let mut settings = Settings::clone_current();
    settings.add_filter(r"127\.0\.0\.1:\d+", "HOST");
    settings.add_filter(r"sha256:[0-9a-f]+", "sha256:[DIGEST]");
    let settings = settings.bind_to_scope();
    let said = [
        said_of(&world, "blob", &json!({ "blob": { "url": inside.url("/app.zip").as_str() } })),
        said_of(&world, "git", &json!({ "git": { "url": inside.url("/app").as_str(), "revision": "main" } })),
        said_of(&world, "ssh", &json!({ "git": { "url": "git@127.0.0.1:app", "revision": "main" } })),
        said_of(&world, "metadata", &json!({ "blob": { "url": "http://[::ffff:169.254.169.254]/latest" } })),
        said_of(&world, "source", &json!({ "registry": { "image": world.named("REG/team/web:latest") } })),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    blob: sources of others come from public addresses and from the hosts that `stave config private-sources` names: could not fetch http://HOST/app.zip: http://HOST/app.zip is not asked: its host has a private address
    git: sources of others come from public addresses and from the hosts that `stave config private-sources` names: a repository of a private network is refused: http://HOST/app is not asked: its host has a private address
    ssh: sources of others come from public addresses and from the hosts that `stave config private-sources` names: a repository of a private network is refused: git@127.0.0.1:app is not asked: its host has a private address
    metadata: sources of others come from public addresses and from the hosts that `stave config private-sources` names: could not fetch http://[::ffff:a9fe:a9fe]/latest: http://[::ffff:a9fe:a9fe]/latest is not asked: its host has a private address
    source: sources of others come from public addresses and from the hosts that `stave config private-sources` names: could not look up the source of the image default/source: could not pull the image `HOST/team/web:latest`: http://HOST/v2/team/web/manifests/latest is not asked: its host has a private address
    ");
    drop(settings);
    assert_eq!(inside.lines(), [""; 0], "nobody was asked");

    // From then on the host is as any other.
    assert_eq!(world.typed("config private-sources 127.0.0.1 Git.Example.com ::1"), "kp-config set\n");
    assert_eq!(world.typed("config private-sources"), "127.0.0.1 git.example.com [::1]\n");
    let uploaded = json!({ "registry": { "image": uploaded } });
    assert_eq!(wish(&world, "source", &uploaded), 200);
    wait_for_rows(&world, "source", &["1 SUCCESS CONFIG"]);
    stop(server);
}

#[test]
fn a_host_is_named_without_what_else_an_address_has() {
    let world = World::quick();
    for text in ["https://git.example.com", "git.example.com:8443", "git.example.com/app", "a b", ""] {
        let refused =
            crate::support::process::run(&mut world.env.stave(&["config", "private-sources", text])).ends_with(3);
        assert!(refused.failure().contains("it is not a host alone"), "{refused:?}");
    }
    assert_eq!(world.run("config private-sources").succeeds().stderr, "private-sources is not set\n");
}
