//! Twenty-one apps, each built in surroundings that differ in one thing at a time and in all together: one digest each.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use crate::support::{
    env::TestEnv,
    images::{checked_here, small_base},
    jar,
    process::{run, stave},
    tools::tool,
};

/// What an app is made of.
enum Part {
    /// A file, and whether it may be executed.
    File(String, Vec<u8>, bool),
    /// A symbolic link and where it points to.
    Link(String, &'static str),
    /// A folder with nothing in it.
    Empty(&'static str),
}

fn file(path: impl Into<String>, bytes: impl AsRef<[u8]>) -> Part {
    Part::File(path.into(), bytes.as_ref().to_vec(), false)
}

/// Bytes that look random and are the same each time.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[7]
    };
    (0..count).map(next).collect()
}

/// A folder that the Java buildpack takes, with these beside its manifest.
fn exploded(name: &'static str, parts: Vec<Part>) -> (&'static str, Vec<Part>) {
    let manifest = file("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nMain-Class: com.example.Main\n");
    (name, [manifest, file("com/example/Main.class", "class")].into_iter().chain(parts).collect())
}

fn jars() -> [(&'static str, Vec<Part>); 4] {
    let manifest = |more: &str| format!("Manifest-Version: 1.0\r\nMain-Class: com.example.Main\r\n{more}\r\n");
    let modes =
        [jar::entry("META-INF/MANIFEST.MF", manifest("")), jar::entry("empty/", ""), jar::entry("bin/ü", "text")];
    let titled =
        [jar::entry("META-INF/MANIFEST.MF", manifest("Implementation-Title: Grüße\r\nBuild-Jdk-Spec: 21\r\n"))];
    [
        ("jar.jar", vec![file("", jar::plain())]),
        ("boot.jar", vec![file("", jar::boot())]),
        ("modes.jar", vec![file("", jar::zip(&modes))]),
        ("titled.jar", vec![file("", jar::zip(&titled))]),
    ]
}

fn folders() -> Vec<(&'static str, Vec<Part>)> {
    let deep = (0..40).map(|n| format!("d{n}")).collect::<Vec<_>>().join("/");
    let run = |path: &str| Part::File(path.to_owned(), b"#!/bin/sh\n".to_vec(), true);
    let numbered = |count: usize| (0..count).map(|n| file(format!("many/{}/{n}", n % 7), n.to_string()));
    vec![
        exploded("plain", vec![]),
        exploded("unicode", ["ü.txt", "u\u{308}.txt", "日本", "\u{1f980}"].map(|name| file(name, name)).into()),
        exploded("sorting", ["a", "a-b", "a.b", "a0", "b/a", "b-/a", "B"].map(|name| file(name, name)).into()),
        exploded("long-names", vec![file(format!("{}/{}", "f".repeat(120), "n".repeat(200)), "long")]),
        exploded("modes", vec![run("run"), run("bin/tool"), file("data", "no program")]),
        exploded("links", vec![file("a", ""), Part::Link("b".into(), "a"), Part::Link("c/d".into(), "../nowhere")]),
        exploded("absolute-links", vec![Part::Link("etc".into(), "/etc"), Part::Link("self".into(), ".")]),
        exploded("empty-folders", vec![Part::Empty("tmp"), Part::Empty("a/b/c")]),
        exploded("empty-files", ["x", "y", "z/z"].map(|name| file(name, "")).into()),
        exploded("deep", vec![file(format!("{deep}/leaf"), "leaf")]),
        exploded("many", numbered(400).collect()),
        exploded("text", vec![file("text", "all work and no play\n".repeat(150_000))]),
        exploded("noise", vec![file("noise", noise(2_500_000))]),
        exploded("both", vec![file("noise", noise(70_000)), file("text", "text".repeat(90_000)), run("z/run")]),
        exploded("blocks", [0, 1, 511, 512, 513, 1 << 20].map(|n| file(format!("b{n}"), noise(n))).into()),
        exploded("hidden", [".a", ".b/c", "..d"].map(|name| file(name, "hidden")).into()),
        ("jar-within", vec![file("app.jar", jar::plain()), file("notes.txt", "notes")]),
    ]
}

/// Writes an app's parts below `at`, or the file `at` itself.
fn write(at: &Path, parts: &[Part], backwards: bool) {
    let ordered: Box<dyn Iterator<Item = &Part>> =
        if backwards { Box::new(parts.iter().rev()) } else { Box::new(parts.iter()) };
    for part in ordered {
        let make = |path: &str| {
            let path = if path.is_empty() { at.to_owned() } else { at.join(path) };
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        match part {
            Part::File(path, bytes, executable) => {
                let path = make(path);
                fs::write(&path, bytes).unwrap();
                if *executable {
                    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
                }
            }
            Part::Link(path, to) => symlink(to, make(path)).unwrap(),
            Part::Empty(path) => fs::create_dir_all(at.join(path)).unwrap(),
        }
    }
}

/// What can differ between two people who build the same app.
#[derive(Default, Clone, Copy, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that differs or does not")]
struct Surroundings {
    /// The app stands deep, in a folder of another name.
    place: bool,
    /// Files are of another day.
    time: bool,
    /// The builder's umask, and with it the modes of the app's files.
    umask: bool,
    /// Language and time zone.
    locale: bool,
    /// One core instead of all.
    cores: bool,
    /// Files were made in another order on a file system that lists them by it.
    order: bool,
}

/// Builds every app on a small base; answers the digests by name.
fn build_all(around: Surroundings) -> BTreeMap<&'static str, String> {
    let env = TestEnv::warm();
    let base = small_base(&env);
    // Files in memory are listed last first; where there is no such file system the order differs all the same, or not.
    let memory = around.order.then(|| TempDir::new_in("/dev/shm").ok()).flatten();
    let mut work = memory.as_ref().map_or_else(|| env.work(), |folder| folder.path().to_owned());
    if around.place {
        work = work.join("somewhere/else entirely");
    }
    let mut digests = BTreeMap::new();
    for (name, parts) in jars().into_iter().chain(folders()) {
        let app = work.join(name);
        write(&app, &parts, around.order);
        if around.umask {
            run(tool("chmod").args(["-R", "g-rwx,o-rwx"]).arg(&app)).succeeds();
        }
        if around.time {
            age(&app);
        }
        digests.insert(name, build(&env, around, &app, &base));
    }
    digests
}

/// Makes a file, or all below a folder, as old as the first release of the Java language.
fn age(path: &Path) {
    let metadata = path.symlink_metadata().unwrap();
    if metadata.is_symlink() {
        return;
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            age(&entry.unwrap().path());
        }
    }
    File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_hours(228_000)).unwrap();
}

fn build(env: &TestEnv, around: Surroundings, app: &Path, base: &str) -> String {
    let mut command = env.command("/bin/sh");
    let umask = if around.umask { "077" } else { "022" };
    command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
    if around.cores {
        command.arg(tool("taskset").get_program()).args(["--cpu-list", "0"]);
    }
    command.arg(stave()).arg("build").arg(app).args(["--tag", "same", "--run-image", base]);
    if around.locale {
        command.envs([("LANG", "tr_TR.UTF-8"), ("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Pacific/Kiritimati")]);
    }
    let digest = run(&mut command).succeeds().result().to_owned();
    if around == Surroundings::default() {
        env.run(&["export", "same", "--to", "oci:out"]).succeeds();
        assert_eq!(checked_here(&env.work().join("out")).digest().to_string(), digest, "{}", app.display());
        // The runtime is in each of them.
        fs::remove_dir_all(env.work().join("out")).unwrap();
    }
    digest
}

#[test]
fn twenty_one_apps_give_one_digest_each() {
    let none = Surroundings::default();
    let reference = build_all(none);
    assert_eq!(reference.len(), 21);
    let all = Surroundings { place: true, time: true, umask: true, locale: true, cores: true, order: true };
    for (what, around) in [
        ("place", Surroundings { place: true, ..none }),
        ("time", Surroundings { time: true, ..none }),
        ("umask", Surroundings { umask: true, ..none }),
        ("locale and time zone", Surroundings { locale: true, ..none }),
        ("cores", Surroundings { cores: true, ..none }),
        ("order of names", Surroundings { order: true, ..none }),
        ("everything", all),
    ] {
        assert_eq!(build_all(around), reference, "another {what}");
    }
}
