//! A server that reconciles: one at a time, whatever becomes of it, of the registry, of the disk and of the clock; and its API.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::support::{platform::World, process::Running};

mod api;
mod clock;
mod faults;
mod lease;
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
