//! A cache folder that cannot be used, or that others could put things into, is refused before anything is done in it.

use std::{fmt::Write as _, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use crate::support::{
    env::{TestEnv, listing},
    filters,
    guests::{self, guest},
    process::{run, stave},
    tools::tool,
};

/// A world with an app and a builder.
fn world() -> (TestEnv, [&'static str; 4]) {
    let env = TestEnv::empty();
    let arguments = guests::builder(&env, &guest("hostile"));
    (env, arguments)
}

/// T9: a cache folder that somebody else could put things into is refused, and one that cannot be written is said at once.
#[test]
fn t9_a_cache_folder_that_cannot_be_used_is_refused() {
    let (env, build) = world();
    let _filters = filters::bind(&env);
    let is_root = rustix::process::getuid().is_root();
    // Of another user, and a link of another user to a folder of one's own.
    let (foreign, link) = (env.root().join("foreign"), env.root().join("link"));
    fs::create_dir(&foreign).unwrap();
    std::os::unix::fs::symlink(env.cache(), &link).unwrap();
    let open = env.root().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let mut places = vec![("everybody's", open)];
    if is_root {
        std::os::unix::fs::lchown(&foreign, Some(12345), None).unwrap();
        std::os::unix::fs::lchown(&link, Some(12345), None).unwrap();
        places.extend([("another's", foreign), ("another's link", link)]);
    } else {
        places.extend([("another's", PathBuf::from("/usr")), ("another's link", PathBuf::from("/usr"))]);
    }
    let mut said = String::new();
    for (whose, place) in places {
        let before = listing(&env.work());
        let outcome = run(env.stave(&build).env("STAVE_CACHE_DIR", &place)).ends_with(1);
        assert_eq!(listing(&env.work()), before);
        let failure = outcome.failure().replace(&place.display().to_string(), "PLACE");
        writeln!(said, "--- {whose}\n{failure}").unwrap();
    }
    if is_root {
        insta::assert_snapshot!(said, @"
        --- everybody's
        error: could not open the folder for Stave's data
        caused by: `PLACE` is not used: everybody may write to it
        hint: take it over (chown, chmod go-w), or set STAVE_CACHE_DIR to a folder of your own

        --- another's
        error: could not open the folder for Stave's data
        caused by: `PLACE` is not used: it belongs to another user
        hint: take it over (chown, chmod go-w), or set STAVE_CACHE_DIR to a folder of your own

        --- another's link
        error: could not open the folder for Stave's data
        caused by: `PLACE` is not used: it is a symbolic link of another user
        hint: take it over (chown, chmod go-w), or set STAVE_CACHE_DIR to a folder of your own
        ");
    } else {
        assert_eq!(said.matches("it belongs to another user").count(), 2, "{said}");
    }
}

/// T9: a cache on a file system that cannot be written, empty or with what earlier builds kept.
#[test]
fn t9_a_read_only_cache_is_said_at_once() {
    const SCRIPT: &str = r#"
mount --bind "$STAVE_CACHE_DIR" "$STAVE_CACHE_DIR" && mount -o remount,bind,ro "$STAVE_CACHE_DIR" || exit 99
exec "$@"
"#;
    let (env, build) = world();
    let _filters = filters::bind(&env);
    let own = if rustix::process::getuid().is_root() { "-m" } else { "-Urm" };
    for _ in 0..2 {
        let mut command = env.command(tool("unshare").get_program());
        command.args([own, "/bin/sh", "-c", SCRIPT, "sh"]).arg(stave()).args(build);
        let outcome = run(&mut command).ends_with(1);
        insta::allow_duplicates! {
            insta::assert_snapshot!(outcome.stderr, @"
            error: could not lock `[ENV]/cache`
            caused by: Read-only file system (os error 30)
            hint: make `[ENV]/cache` writable, or set STAVE_CACHE_DIR to a folder that is
            ");
        }
        env.run(&build).succeeds();
    }
}

/// T10: a file system without locks is said before anything is done on it.
#[test]
fn t10_no_locks() {
    let (env, build) = world();
    let _filters = filters::bind(&env);
    let mut command = env.command(tool("strace").get_program());
    command.args([
        "--follow-forks",
        "--quiet=all",
        "--output=/dev/null",
        "--trace=flock",
        "--inject=flock:error=ENOLCK",
    ]);
    let outcome = run(command.arg(stave()).args(build)).ends_with(1);
    insta::assert_snapshot!(outcome.stderr, @"
    error: could not lock `[ENV]/cache`
    caused by: No locks available (os error 37)
    hint: the file system of `[ENV]/cache` has no locks: set STAVE_CACHE_DIR to a folder on a local disk
    ");
}
