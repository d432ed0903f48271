//! Two tokens: operators may do everything, developers change images of their namespaces. Whose wish it is follows from whose token
//! it came with.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stave_platform::port::Records as _;
use stave_store::records::DiskRecords;

use super::{PATIENCE, SERVE, ask, stop};
use crate::support::{
    platform::World,
    process::{Running, run},
};

/// A token in the data folder, which nobody else can read.
#[track_caller]
fn token(world: &World, name: &str) -> String {
    let path = world.env.data().join("platform").join(name);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::read_to_string(path).unwrap()
}

/// The status and what a refusal says.
fn refusal((status, text): (u16, String)) -> String {
    let document: Value = serde_json::from_str(&text).unwrap();
    format!("{status} {}", document["detail"].as_str().unwrap())
}

/// The wish for an image from a repository of this machine.
fn image(world: &World, namespace: &str) -> Value {
    json!({
        "apiVersion": "stave/v1",
        "kind": "Image",
        "metadata": { "name": "web", "namespace": namespace },
        "spec": {
            "tag": world.named("REG/team/web"),
            "source": { "git": { "url": format!("file://{}", world.env.work().display()), "revision": "main" } },
        },
    })
}

fn whose(world: &World) -> Option<String> {
    DiskRecords::open(&world.data()).unwrap().setting("wishes").unwrap()
}

#[test]
fn developers_wish_for_images_and_operators_for_the_rest() {
    let world = World::quick();
    let mut server = Running::start(&mut world.env.stave(&[&SERVE[..], &["--developers-namespace", "team"]].concat()));
    server.wait_for("serving on http://127.0.0.1:");
    let (operators, developers) = (token(&world, "token"), token(&world, "token-developers"));
    assert!(operators != developers && developers.len() == 64);
    let ask = |token: &str, what: &str, body: Option<&Value>| ask(&world, token, what, body);
    let web = "/v1/namespaces/team/images/web";

    assert_eq!(ask(&developers, "GET /v1/clusterbuilders", None).0, 200);
    let refused = [
        ask("", "GET /v1/images", None),
        ask(&developers, "DELETE /v1/clusterbuilders/default", None),
        ask(&developers, "PUT /v1/namespaces/default/images/web", Some(&image(&world, "default"))),
    ];
    insta::assert_snapshot!(refused.map(refusal).join("\n"), @r"
    401 this needs a header `Authorization: Bearer` with the token of this server
    403 this needs the operators' token: the developers' may read all, and change images and builders of namespaces
    403 this needs the operators' token: the developers' may read all, and change images and builders of team
    ");
    assert_eq!(whose(&world), None, "nobody wished for anything yet");

    // What comes with the developers' token is not the user's own wish: their repositories are not read for it.
    assert_eq!(ask(&developers, &format!("PUT {web}"), Some(&image(&world, "team"))).0, 201);
    assert_eq!(whose(&world).as_deref(), Some("others"));
    let began = Instant::now();
    let said = "a repository of the server's own machine is not read for others";
    while !ask(&developers, &format!("GET {web}"), None).1.contains(said) {
        assert!(began.elapsed() < PATIENCE, "{}", ask(&developers, &format!("GET {web}"), None).1);
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ask(&developers, &format!("DELETE {web}"), None).0, 204);
    assert_eq!(ask(&operators, "DELETE /v1/clusterbuilders/default", None).0, 204);

    // Each stays the same, whoever serves next.
    let told = stop_and_listen(server);
    assert!(!told.contains(&operators) && !told.contains(&developers));
    let next = super::serve(&world);
    assert_eq!(ask(&developers, "GET /v1/images", None).0, 200);
    assert_eq!((token(&world, "token"), token(&world, "token-developers")), (operators, developers));
    stop(next);
}

/// Ends a server, and gives all that it said.
fn stop_and_listen(server: Running) -> String {
    server.signal(rustix::process::Signal::TERM);
    let outcome = server.end().succeeds();
    format!("{}{}", outcome.stdout, outcome.stderr)
}

#[test]
fn tokens_of_the_environment_are_two() {
    let world = World::quick();
    let with = |operators: &str, developers: &str| {
        let mut serve = world.env.stave(&SERVE);
        serve.env("STAVE_SERVE_TOKEN", operators).env("STAVE_SERVE_DEVELOPER_TOKEN", developers);
        serve
    };
    let refused = run(&mut with("hunter2", "hunter2")).ends_with(3);
    insta::assert_snapshot!(refused.failure(), @r"
    error: the developers' token is the operators' too, with which everything may be changed
    hint: set STAVE_SERVE_DEVELOPER_TOKEN and STAVE_SERVE_TOKEN to different secrets
    ");
    let mut server = Running::start(&mut with("hunter2", "hunter3"));
    server.wait_for("serving on http://127.0.0.1:");
    assert_eq!(ask(&world, "hunter3", "GET /v1/images", None).0, 200);
    assert_eq!(ask(&world, "hunter3", "DELETE /v1/clusterbuilders/default", None).0, 403);
    assert_eq!(ask(&world, "hunter2", "DELETE /v1/clusterbuilders/default", None).0, 204);
    assert!(!stop_and_listen(server).contains("hunter"));
}
