//! This launcher and the CNB lifecycle's on the same layers: what they start gets the same words, environment and folder,
//! and ends alike.
//!
//! `STAVE_CNB_LAUNCHER` names the other one, which is no part of this repository: package `cmd/launcher` of the lifecycle's
//! Go module. Without it the comparison is not made, and says so.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::{ffi::OsString, process::Command};

use support::Image;

/// A process: its type, command and arguments as TOML, whether it is direct, its buildpack, and what else it has.
const PROCESSES: [(&str, &str, &str, bool, &str, &str); 7] = [
    ("fixed", "['show', 'f1']", "['d1', 'd2']", true, "a/new", ""),
    ("one", "['show']", "['d1']", true, "a/new", ""),
    ("where", "['show']", "[]", true, "a/new", "working-dir = 'sub'"),
    ("old", "['show']", "['d1']", true, "a/old", ""),
    ("words", "['show']", r#"['$FROM', 'x y', '"q"']"#, false, "a/old", ""),
    ("script", r#"['show $FROM "a  b" $0']"#, "[]", false, "a/old", ""),
    ("elsewhere", "['show']", "['a']", false, "a/old", "working-dir = 'sub'"),
];

/// What each process is called with.
const ARGUMENTS: [&[&str]; 4] = [&[], &["u1", "u 2"], &["--", "x"], &["$FROM", "*", ";"]];

/// What the launcher itself is called with.
const COMMANDS: [&[&str]; 9] = [
    &["--", "show", "$FROM"],
    &["--", "gone"],
    &["show $FROM; pwd"],
    &["show", "$FROM", "a b", "\\$FROM", "$(echo hi)", "it's"],
    &["printf", "%s|", "a\\$b", "`echo hi`", ""],
    &["exit 3"],
    &["gone", "x"],
    &["show", "open\"", "next"],
    &["export -p | grep APP"],
];

/// Two buildpacks, one of an API whose processes a shell may read, with everything that a layer can have for launch.
fn image() -> Image {
    let buildpacks = [("a/new", "0.9"), ("a/old", "0.8")]
        .map(|(id, api)| format!("[[buildpacks]]\nid = '{id}'\nversion = '1.0.0'\napi = '{api}'\n"));
    let processes = PROCESSES.map(|(kind, command, args, direct, buildpack, rest)| {
        let process = format!("[[processes]]\ntype = '{kind}'\ncommand = {command}\nargs = {args}\n");
        format!("{process}direct = {direct}\nbuildpack-id = '{buildpack}'\n{rest}\n")
    });
    let metadata = buildpacks.concat() + &processes.concat();
    let image = Image::with(&metadata);
    image.write("app/sub/file", "");
    image.write("app/.profile", "export OF_APP=\"$PWD\"");
    for name in ["a_new", "a_old"] {
        for (file, text) in [
            ("one/env/FROM", format!("from {name}")),
            ("one/env/APP.append", "a1".to_owned()),
            ("one/env/APP.delim", ":".to_owned()),
            ("one/env.launch/BEFORE.prepend", name.to_owned()),
            ("one/env.launch/DEFAULT.default", name.to_owned()),
            ("one/env.launch/one/PER_PROCESS.override", "one".to_owned()),
            ("one/env.build/NOT_HERE", "x".to_owned()),
            ("two/env/APP.append", "a2".to_owned()),
            ("two/lib/lib.so", String::new()),
            ("two/profile.d/p.sh", format!("export PROFILES=\"$PROFILES {name} $0\"; private=1")),
            ("two/profile.d/words/p.sh", "export PER_TYPE=yes".to_owned()),
        ] {
            image.write(&format!("layers/{name}/{file}"), &text);
        }
        let helper = |variable: &str| format!("#!/bin/sh\necho \"{variable} = '$FROM $PWD'\" >&3\n");
        image.write_program(&format!("layers/{name}/two/exec.d/helper"), &helper("HELPED"));
        image.write_program(&format!("layers/{name}/two/exec.d/one/helper"), &helper("HELPED_ONE"));
        let show = "#!/bin/bash\nprintf '[%s]' \"$@\"; pwd; env | grep -vE '^(_|SHLVL|PWD|OLDPWD)=' | sort\n";
        image.write_program(&format!("layers/{name}/one/bin/show"), show);
    }
    image
}

/// How a start by `launcher` ends and what it prints.
fn start(image: &Image, launcher: Option<&OsString>, api: &str, name: &str, words: &[&str]) -> (Option<i32>, String) {
    let ours = image.command(name);
    let mut command = Command::new(launcher.map_or(ours.get_program(), OsString::as_os_str));
    std::os::unix::process::CommandExt::arg0(&mut command, name);
    command.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir("/");
    let output = command.args(words).env("CNB_PLATFORM_API", api).env("APP", "start").output().unwrap();
    let code = output.status.code();
    // What a launcher says of its own failure is its own affair, and where it says it.
    let printed = if code == Some(82) { String::new() } else { String::from_utf8_lossy(&output.stdout).into_owned() };
    (code, printed)
}

#[test]
fn both_launchers_start_the_same() {
    let image = image();
    let (code, printed) = start(&image, None, "0.15", "/cnb/process/one", &[]);
    assert!(code == Some(0) && printed.starts_with("[d1]/") && printed.contains("HELPED_ONE="), "{printed}");
    let Some(peer) = std::env::var_os("STAVE_CNB_LAUNCHER") else {
        eprintln!("NOT COMPARED with the CNB launcher: STAVE_CNB_LAUNCHER does not name it");
        return;
    };
    let processes = PROCESSES.iter().flat_map(|process| ARGUMENTS.map(|words| (process.0, words)));
    let cases: Vec<(&str, &[&str])> = processes.chain(COMMANDS.map(|words| ("launcher", words))).collect();
    for api in ["0.9", "0.12", "0.15"] {
        for (name, words) in &cases {
            let name = format!("/cnb/process/{name}");
            let ours = start(&image, None, api, &name, words);
            assert_eq!(ours, start(&image, Some(&peer), api, &name, words), "{api} {name} {words:?}");
        }
    }
}
