//! A clock that jumps under a running server, years forward and back: nothing is built for it, nothing waits for it.

use std::{fs, path::PathBuf, process::Command};

use super::{CREATE, SERVE, stop, wait_for_rows};
use crate::support::{
    platform::World,
    process::{Outcome, Running, run, succeeds},
    tools::tool,
};

/// Puts itself between a program and the C library, and adds to the time of day what a file says, in seconds.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = (int)syscall(SYS_clock_gettime, clock, time);
    const char *name = getenv("STAVE_TEST_CLOCK");
    if (failed == 0 && clock == CLOCK_REALTIME && name) {
        FILE *file = fopen(name, "r");
        long seconds = 0;
        if (file && fscanf(file, "%ld", &seconds) == 1)
            time->tv_sec += seconds;
        if (file)
            fclose(file);
    }
    return failed;
}
"#;

/// A year, in seconds.
const YEAR: i64 = 365 * 86_400;

/// A world whose clock can be set.
struct Jumping {
    world: World,
    shim: PathBuf,
    file: PathBuf,
}

impl Jumping {
    fn new() -> Self {
        let world = World::quick();
        let (source, file) = (world.env.write("clock.c", SHIM), world.env.write("clock", "0"));
        let shim = world.env.work().join("clock.so");
        succeeds(tool("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(source));
        Self { world, shim, file }
    }

    /// Sets the clock to so many seconds from the true time.
    fn set(&self, seconds: i64) {
        let next = self.world.env.write("clock.next", seconds.to_string());
        fs::rename(next, &self.file).unwrap();
    }

    fn command(&self, words: &[String]) -> Command {
        let mut command = self.world.env.stave(&words.iter().map(String::as_str).collect::<Vec<_>>());
        command.env("LD_PRELOAD", &self.shim).env("STAVE_TEST_CLOCK", &self.file);
        command
    }

    fn run(&self, line: &str) -> Outcome {
        run(&mut self.command(&self.world.words(line)))
    }

    fn serve(&self) -> Running {
        let mut server = Running::start(&mut self.command(&SERVE.map(str::to_owned)));
        server.wait_for("serving on http://127.0.0.1:");
        server
    }
}

#[test]
fn a_clock_that_jumps_builds_nothing_and_holds_nothing_up() {
    let mut jumping = Jumping::new();
    jumping.run(&format!("{CREATE} app --cluster-builder demo-cluster-builder")).succeeds();
    let server = jumping.serve();
    for (number, years) in [(1, 10), (2, -20), (3, 0)] {
        jumping.set(years * YEAR);
        // What is asked for at the new time is done, so the server has looked at everything then.
        let other = format!("image create other-{number} --tag REG/team/other-{number} --local-path app --wait");
        jumping.run(&other).succeeds();
        assert_eq!(jumping.world.rows(&format!("other-{number}")), ["1 SUCCESS CONFIG"]);
        assert_eq!(jumping.world.rows("web"), ["1 SUCCESS CONFIG"]);
    }
    let years =
        |image: &str| -> u64 { jumping.world.record(image, 1)["started"].as_u64().unwrap() / YEAR.unsigned_abs() };
    assert!(years("other-1") - years("web") >= 9, "the clock did not jump");
    assert!(years("web") - years("other-2") >= 19, "the clock did not jump");

    // What failed by chance while the clock was a year ahead is not tried again a year later.
    jumping.set(YEAR);
    jumping.world.registry.go_down();
    jumping.run("image patch web --cluster-builder default --wait");
    assert_eq!(jumping.world.last_row("web"), "2 FAILURE STACK");
    jumping.world.registry.come_back();
    jumping.set(0);
    wait_for_rows(&jumping.world, "web", &["1 SUCCESS CONFIG", "2 FAILURE STACK", "3 SUCCESS STACK"]);
    stop(server);
}
