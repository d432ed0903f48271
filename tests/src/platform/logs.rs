//! Logs of builds, and commands that wait for them (47 and 48).

use crate::support::platform::{BUILD, REBASE, World, steps};

#[test]
fn scenario_47_a_log_is_replayed_as_it_was() {
    let world = World::quick();
    let created = world.typed("image create web -c demo-cluster-builder --tag REG/team/web --local-path app");
    let patched = world.typed("image patch web --cluster-builder default");
    let logs = [1, 2].map(|number| world.log("web", number));
    assert_eq!((steps(&logs[0]), steps(&logs[1])), (BUILD.to_vec(), REBASE.to_vec()));
    for (seen, log) in [created, patched].iter().zip(&logs) {
        assert!(seen.contains(log.trim_end()), "seen:\n{seen}\nkept:\n{log}");
        assert_eq!(log.lines().last(), Some("Build successful"));
    }
    assert_eq!(world.run("build logs web").succeeds().stdout, logs[1], "the newest, where no number is said");
    assert!(world.refused("build logs web -b 123").contains("build \"123\" not found"));
    assert!(world.refused("build logs none").contains("image \"none\" not found"));

    let timed = world.run("build logs web -b 1 --timestamps").succeeds().stdout;
    let rests: Vec<&str> = timed
        .lines()
        .map(|line| {
            let (time, rest) = line.split_once(' ').unwrap_or((line, ""));
            assert!(time.len() >= 20 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "{line}");
            rest
        })
        .collect();
    assert_eq!(rests, logs[0].lines().collect::<Vec<_>>());
}

#[test]
fn scenario_48_who_waits_hears_how_it_ended() {
    let world = World::quick();
    world.env.write("none/readme.txt", "no Procfile");
    let outcome = world.run("image create web --wait --tag REG/team/web --local-path none");
    assert!(outcome.code.is_some_and(|code| code != 0), "{outcome:?}");
    assert!(outcome.stderr.contains("===> DETECT"), "its log is shown: {}", outcome.stderr);
    assert!(outcome.failure().contains("\nerror: build 1 of web failed: "), "{}", outcome.failure());
    assert_eq!(world.rows("web"), ["1 FAILURE CONFIG"]);
    let healed = world.typed("image patch web --wait --local-path app");
    assert!(healed.ends_with("Build successful\n"), "{healed}");
}
