//! Keys of git servers, which are in files for a moment.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

use rustix::process::Signal;

use super::{serve, stop};
use crate::support::{env::listing, platform::World};

/// A key is in a file while ssh needs it. Whoever is killed meanwhile leaves it to the next one who reconciles, to take away.
#[test]
fn a_key_that_a_killed_server_left_goes_with_the_next() {
    if Command::new("ssh").arg("-V").stderr(Stdio::null()).status().is_err() {
        return;
    }
    let world = World::quick();
    // Takes calls, and says nothing: ssh waits for it to speak.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("ssh://git@{}", silent.local_addr().unwrap());
    world.env.write("id", "nobody's key\n");
    world.typed(&format!("secret create git --git-url {host} --git-ssh-key id"));
    let keys = || {
        let files = listing(&world.env.data().join("platform/sessions"));
        files.into_keys().filter(|path| path.ends_with("/key")).count()
    };
    let server = serve(&world);
    world.run(&format!("image create web --tag REG/team/web --git {host}/app --git-revision main")).succeeds();
    let (call, _) = silent.accept().unwrap();
    assert_eq!(keys(), 1);
    server.signal(Signal::KILL);
    server.end();
    drop(call);
    assert_eq!(keys(), 1, "nobody was there to take it away");
    drop(silent);
    // Nobody takes calls there any more, so that the next one is soon done with it.
    let next = serve(&world);
    stop(next);
    assert_eq!(keys(), 0);
}
