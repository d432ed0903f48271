//! The same input gives the same image, whoever builds it, where, when, and with what in the cache.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use crate::support::{
    env::TestEnv,
    images::checked_here,
    jar,
    process::{run, stave},
};

/// Builds under a umask; answers the manifest's digest.
#[track_caller]
fn build(env: &TestEnv, app: &str, umask: &str, vary: impl FnOnce(&mut Command)) -> String {
    let _ = fs::remove_dir_all(env.work().join("out"));
    let mut command = env.command("/bin/sh");
    command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]).arg(stave());
    command.args(["build", app, "--tag", "same", "--to", "oci:out"]);
    vary(&mut command);
    let digest = run(&mut command).succeeds().result().to_owned();
    assert_eq!(checked_here(&env.work().join("out")).digest().to_string(), digest);
    digest
}

fn age(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_jar_gives_one_digest() {
    let env = TestEnv::warm();
    let path = env.write("tiny.jar", jar::boot());
    let first = build(&env, "tiny.jar", "022", |_| {});
    assert_eq!(build(&env, "tiny.jar", "022", |_| {}), first, "again, with all kept from before");
    age(&path, 1_000_000_000);
    assert_eq!(build(&env, "tiny.jar", "077", |_| {}), first, "another file time, another umask");
    env.forget_results();
    assert_eq!(build(&env, "tiny.jar", "000", |_| {}), first, "nothing kept from before");

    let other = TestEnv::warm();
    other.write("a/longer path/tiny.jar", jar::boot());
    let digest = build(&other, "a/longer path/tiny.jar", "027", |command| {
        command.env("TZ", "Pacific/Kiritimati").env("LANG", "tr_TR.UTF-8").env("LC_ALL", "tr_TR.UTF-8");
        command.env("USER", "somebody").env("HOSTNAME", "elsewhere").env("JAVA_HOME", "/nowhere");
    });
    assert_eq!(digest, first, "another machine, as it were: place, locale, time zone, variables");
}

#[test]
fn a_folder_gives_one_digest() {
    let write = |env: &TestEnv, names: &mut dyn Iterator<Item = &(&str, &str)>| {
        for (name, text) in names {
            env.write(&format!("app/{name}"), text);
        }
    };
    let files = [
        ("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nMain-Class: com.example.Main\n"),
        ("com/example/Main.class", "class"),
        ("data/ü.txt", "text"),
        ("data/a", "text"),
    ];
    let env = TestEnv::warm();
    write(&env, &mut files.iter());
    let first = build(&env, "app", "022", |_| {});

    // Made in another order, under another umask and at another time, so that inodes, modes and times differ.
    let other = TestEnv::warm();
    write(&other, &mut files.iter().rev());
    for (name, _) in files {
        age(&other.work().join("app").join(name), 500_000_000);
    }
    succeeds_chmod(&other, "g-rwx,o-rwx");
    assert_eq!(build(&other, "app", "077", |_| {}), first);
    // By another way to it.
    let absolute = other.work().join("app").display().to_string();
    assert_eq!(build(&other, &absolute, "022", |_| {}), first);
}

fn succeeds_chmod(env: &TestEnv, modes: &str) {
    run(Command::new("chmod").args(["-R", modes]).arg(env.work().join("app"))).succeeds();
}

#[test]
fn every_place_gets_the_same_image() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    let digest = build(&env, "tiny.jar", "022", |command| {
        command.args(["--to", "store", "--to", "docker-archive:out.tar"]);
    });
    let about = env.run(&["inspect", "same", "-o", "json"]).succeeds().stdout;
    assert!(about.contains(&digest), "{about}");
    let archive = fs::read(env.work().join("out.tar")).unwrap();
    build(&env, "tiny.jar", "077", |command| {
        command.args(["--to", "docker-archive:again.tar"]);
    });
    assert!(archive == fs::read(env.work().join("again.tar")).unwrap(), "the archives differ");
}

#[test]
fn an_architecture_does_not_depend_on_what_was_built_before() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    let build =
        |env: &TestEnv| env.run(&["build", "tiny.jar", "--platform", "linux/arm64"]).succeeds().result().to_owned();
    let alone = build(&env);
    let other = TestEnv::warm();
    other.write("tiny.jar", jar::boot());
    other.run(&["build", "tiny.jar", "--platform", "linux/amd64"]).succeeds();
    assert_eq!(build(&other), alone);
}
