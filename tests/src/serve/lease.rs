//! Who reconciles: one process at a time, and another one when that ends, however it ends.
//!
//! Whoever is to hold on is stopped by a signal in the middle of a build; the first build of a Java app is long enough for that.

use insta::Settings;
use rustix::process::Signal;

use super::{CREATE, serve, stop, wait_for_rows};
use crate::support::{
    filters, jar,
    platform::{BUILD, World, steps},
    process::{Running, stave},
};

fn world() -> World {
    let world = World::small();
    world.env.write("app.jar", jar::boot());
    world
}

/// Starts a command.
fn start(world: &World, line: &str) -> Running {
    let words = world.words(line);
    Running::start(&mut world.env.stave(&words.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// Waits until the image's first build, which somebody else does, is in the middle.
fn wait_for_the_middle(world: &World) {
    let mut shell = world.env.command("sh");
    shell.args(["-c", "exec \"$@\" >&2", "sh"]).arg(stave()).args(["build", "logs", "web", "-b", "1"]);
    Running::start(&mut shell).wait_for("===> DETECT");
}

/// Build 1 was begun again by whoever came next, and is there once.
#[track_caller]
fn assert_built_once(world: &World) {
    wait_for_rows(world, "web", &["1 SUCCESS CONFIG"]);
    let log = world.log("web", 1);
    assert!(log.contains("The platform was stopped in the middle of this build, which now begins again"), "{log}");
    assert!(steps(&log).ends_with(&BUILD), "{log}");
    assert_eq!(world.registry.tags("team/web").iter().filter(|tag| tag.starts_with("b1.")).count(), 1);
    world.env.assert_nothing_half_written();
}

#[test]
fn a_second_server_says_who_reconciles() {
    let world = World::quick();
    let _filters = filters::bind(&world.env);
    let mut settings = Settings::clone_current();
    settings.add_filter(r"process \d+, since [0-9TZ:-]+", "process [PID], since [AT]");
    let _settings = settings.bind_to_scope();
    let first = serve(&world);
    let second = world.run("serve --listen 127.0.0.1:0").ends_with(1);
    insta::assert_snapshot!(second.failure(), @"
    error: `stave serve` (process [PID], since [AT] on http://[LOOPBACK]) holds the lease: one reconciles at a time
    hint: end that one first, or wait for it
    ");
    stop(first);
    stop(serve(&world));
}

#[test]
fn commands_beside_a_server_leave_the_work_to_it() {
    let world = World::quick();
    world.env.write("nothing/readme.txt", "nothing that says what to start");
    let server = serve(&world);
    let created = world.run(&format!("{CREATE} app")).succeeds();
    assert!(created.stderr.contains("`stave serve` (process "), "{created:?}");
    assert!(created.stderr.contains(") does the rest"), "{created:?}");
    wait_for_rows(&world, "web", &["1 SUCCESS CONFIG"]);

    // Who waits comes back when it is done, and hears how.
    world.run("image patch web --env A=B --wait").succeeds();
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG", "2 SUCCESS CONFIG"]);
    let said = world.refused("image create bad --tag REG/team/bad --local-path nothing --wait");
    assert!(said.starts_with("error: build 1 of bad failed: "), "{said}");
    assert!(said.contains("hint: `stave build logs bad -b 1` shows all that it said"), "{said}");
    assert_eq!(world.rows("bad"), ["1 FAILURE CONFIG"]);
    stop(server);
}

#[test]
fn a_command_waits_for_another_that_reconciles() {
    let world = world();
    let mut first = start(&world, &format!("{CREATE} app.jar"));
    first.wait_for("===> DETECT");
    first.signal(Signal::STOP);
    let mut second = start(&world, "image create other --tag REG/team/other --local-path app.jar");
    second.wait_for("waiting for `stave image create` (process ");
    assert_eq!(world.rows("web"), ["1 BUILDING CONFIG"]);
    first.signal(Signal::CONT);
    first.end().succeeds();
    second.end().succeeds();
    for image in ["web", "other"] {
        assert_eq!(world.rows(image), ["1 SUCCESS CONFIG"]);
    }
    let log = world.log("web", 1);
    assert_eq!(steps(&log), BUILD, "nobody else touched it");
}

/// Also scenario 53, of a server.
#[test]
fn scenario_40_what_a_server_was_stopped_in_is_built_once_by_the_next() {
    for signal in [Signal::TERM, Signal::KILL] {
        let world = world();
        let mut server = serve(&world);
        world.run(&format!("{CREATE} app.jar")).succeeds();
        server.wait_for("default/web: build 1 begins: CONFIG");
        wait_for_the_middle(&world);
        if signal == Signal::TERM {
            stop(server);
        } else {
            server.signal(signal);
            assert_eq!(server.end().code, None);
        }
        assert_eq!(world.rows("web"), ["1 BUILDING CONFIG"]);
        // Nobody follows for ever what nobody goes on with.
        let followed = world.run("build logs web").succeeds();
        assert!(signal == Signal::TERM || followed.stdout.contains("===> DETECT"), "{followed:?}");
        let said = "build 1 of default/web was interrupted, and nobody goes on with it now: \
                    `stave serve` does, or the next command that changes the image";
        assert!(followed.stderr.contains(said), "{followed:?}");
        let next = serve(&world);
        assert_built_once(&world);
        stop(next);
    }
}

#[test]
fn who_waits_for_a_server_that_dies_does_it_itself() {
    let world = world();
    let mut server = serve(&world);
    let waiting = start(&world, &format!("{CREATE} app.jar --wait"));
    server.wait_for("default/web: build 1 begins: CONFIG");
    wait_for_the_middle(&world);
    server.signal(Signal::KILL);
    server.end();
    let said = waiting.end().succeeds().stderr;
    assert!(said.contains("default/web: build 1 is "), "{said}");
    assert_built_once(&world);
}
