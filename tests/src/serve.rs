//! A server that reconciles: one at a time, whatever becomes of it, of the registry, of the disk and of the clock; and its API.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use stave_store::lease::Lease;
use stave_transport::{
    Client, Method, Request,
    client::Options,
    request::{Authorization, Body},
};

use crate::support::{platform::World, process::Running};

mod api;
mod clock;
mod faults;
mod keys;
mod lease;
mod private;
mod roles;
mod waiting;

/// How long something may take that a server does by itself.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long it may take to end: its open requests have five seconds.
const GRACE: Duration = Duration::from_secs(10);
/// How a server is started on a port that is free.
const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];
/// The image that most is about.
const CREATE: &str = "image create web --tag REG/team/web --local-path";

/// A server of this world, which answers.
fn serve(world: &World) -> Running {
    let mut server = Running::start(&mut world.env.stave(&SERVE));
    server.wait_for("serving on http://127.0.0.1:");
    server
}

/// Asks the server of this world: `METHOD path`; the answer's status and text.
#[track_caller]
fn ask(world: &World, token: &str, what: &str, body: Option<&Value>) -> (u16, String) {
    let address = Lease::holder(&world.data()).unwrap().address.unwrap();
    let (method, path) = what.split_once(' ').unwrap();
    let method = match method {
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        _ => Method::Get,
    };
    let mut request = Request::new(method, format!("{address}{path}").parse().unwrap());
    request = request.authorization(Authorization::Bearer(token.to_owned()));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(Body::Bytes(body.to_string().into_bytes()));
    }
    let response = Client::new(Options::default()).send(request).unwrap();
    (response.status(), String::from_utf8(response.bytes().unwrap()).unwrap())
}

/// Ends a server as a service manager does.
#[track_caller]
fn stop(server: Running) {
    let began = Instant::now();
    server.signal(Signal::TERM);
    let outcome = server.end().succeeds();
    assert!(began.elapsed() < GRACE, "{:?}", began.elapsed());
    assert!(outcome.stderr.contains("stopped: what was being built is begun again by the next one"), "{outcome:?}");
}

/// Asks again until an image's builds are these.
#[track_caller]
fn wait_for_rows(world: &World, image: &str, wanted: &[&str]) {
    let began = Instant::now();
    loop {
        let is_built = world.run(&format!("build list {image}")).code == Some(0);
        let rows = if is_built { world.rows(image) } else { Vec::new() };
        if rows == wanted {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{rows:?} where {wanted:?} should be");
        thread::sleep(Duration::from_millis(50));
    }
}
