//! What is out of order is said, holds up what needs it, and heals by itself: a registry, a disk.

use rustix::process::getuid;

use super::{CREATE, serve, stop, wait_for_rows};
use crate::support::{
    filters,
    platform::{REBASE, World, steps},
    process::{Outcome, run, stave},
    tools::tool,
};

#[test]
fn a_registry_that_is_down_is_waited_for() {
    let mut world = World::quick();
    world.typed(&format!("{CREATE} app --cluster-builder demo-cluster-builder"));
    let made = world.made("web", 1);
    let server = serve(&world);
    world.registry.go_down();
    let said = world.refused("image patch web --cluster-builder default --wait");
    assert!(said.starts_with("error: build 2 of web failed: "), "{said}");
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG", "2 FAILURE STACK"]);

    // What there was is still there, and what is waited for is said.
    let status = world.document("image status web");
    assert_eq!(status["status"]["latestImage"], made.as_str(), "{status}");
    let explained = world.typed("image explain web");
    for told in [explained, status.to_string()] {
        let told = told.split_once("not built until ").unwrap_or_else(|| panic!("{told}")).1;
        assert!(told.contains(", because attempt 1 failed by chance in build 2"), "{told}");
    }

    // It comes back, and half an hour goes by.
    world.registry.come_back();
    world.amend("web", |record| {
        let failed = record.builds.iter_mut().filter(|build| build.number == 2);
        for build in failed {
            build.started -= 1800;
            build.finished = build.finished.map(|at| at - 1800);
        }
    });
    wait_for_rows(&world, "web", &["1 SUCCESS CONFIG", "2 FAILURE STACK", "3 SUCCESS STACK"]);
    assert_eq!(steps(&world.log("web", 3)), REBASE);
    stop(server);
}

/// Puts the records onto a disk of four megabytes and fills it: what is asked for then, and again when there is room.
///
/// The small file system lives in a mount namespace and ends with it.
const SCRIPT: &str = r#"
platform=$STAVE_DATA_DIR/platform
cp -a "$platform" "$TMPDIR/platform" || exit 99
mount -t tmpfs -o size=4m,mode=700 tmpfs "$platform" || exit 99
cp -a "$TMPDIR/platform/." "$platform" || exit 99
if [ "$SERVER" = yes ]; then
    "$1" serve --listen 127.0.0.1:0 2> serve.log &
    tries=0
    until grep -q "serving on" serve.log; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || exit 98
        sleep 0.1
    done
fi
head -c 8M /dev/zero > "$platform/filler" 2> /dev/null
"$@"
echo "code=$?"
rm "$platform/filler"
"$1" image list | sed "s,^,between=,"
"$@" > again.log 2>&1
echo "again=$?"
"$1" build list web | sed "s,^,after=,"
if [ "$SERVER" = yes ]; then
    kill -TERM $!
    wait $!
    echo "ended=$?"
fi
"#;

/// Asks for an image while the disk is full, and when it is not; answers what was said the first time.
#[track_caller]
fn fill(world: &World, server: &str) -> Outcome {
    world.typed("image create before --tag REG/team/before --local-path app");
    // Without root, one becomes root of a namespace of users of one's own.
    let own = if getuid().is_root() { "-m" } else { "-Urm" };
    let mut unshare = world.env.command(tool("unshare").get_program());
    unshare.env("SERVER", server).args([own, "/bin/sh", "-c", SCRIPT, "sh"]).arg(stave());
    let outcome = run(unshare.args(world.words(&format!("{CREATE} app --wait")))).succeeds();
    let told = |what: &str| -> Vec<String> {
        let lines = outcome.stdout.lines().filter_map(|line| line.strip_prefix(what)?.strip_prefix('='));
        let words = lines.map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
        words.filter(|words| !words.is_empty()).collect()
    };
    assert_eq!((told("code"), told("again")), (vec!["1".to_owned()], vec!["0".to_owned()]), "{outcome:?}");
    assert_eq!(told("between"), ["NAME READY", "before True"], "nothing half-written");
    assert_eq!(told("after"), ["BUILD STATUS", "1 SUCCESS"]);
    if server == "yes" {
        assert_eq!(told("ended"), ["0"]);
    }
    outcome
}

#[test]
fn records_on_a_full_disk_are_said_and_stay_whole() {
    let world = World::quick();
    let _filters = filters::bind(&world.env);
    insta::assert_snapshot!(fill(&world, "no").failure(), @"
    error: could not open the platform's records in `[ENV]/data/platform/records.db`
    caused by: disk I/O error (SQLite's code 4874)
    hint: see whether the disk of `[ENV]/data/platform` is in order and has room
    ");
}

#[test]
fn a_server_lives_through_a_full_disk() {
    let world = World::quick();
    let _filters = filters::bind(&world.env);
    insta::assert_snapshot!(fill(&world, "yes").failure(), @"
    error: could not write down the image default/web in `[ENV]/data/platform/records.db`
    caused by: database or disk is full (SQLite's code 13)
    hint: the disk is full: make room where `[ENV]/data/platform` is, or set STAVE_DATA_DIR to a folder elsewhere
    ");
}
