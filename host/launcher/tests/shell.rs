//! Layers as the CNB lifecycle makes them of older buildpacks, and commands of users: what a shell reads.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::process::{Command, Stdio};

use support::{Image, lines};

/// Processes of a buildpack of API 0.8, as the lifecycle writes them down for platform API 0.9.
const METADATA: &str = r#"
[[buildpacks]]
id = "a/b"
api = "0.8"
[[processes]]
type = "script"
command = "echo \"$FROM_LAYER, $0\"; pwd"
direct = false
buildpack-id = "a/b"
[[processes]]
type = "words"
command = "printf"
args = ["%s|", "$FROM_LAYER", "a  b"]
direct = false
buildpack-id = "a/b"
working-dir = "sub"
[[processes]]
type = "where"
command = "pwd"
direct = false
buildpack-id = "a/b"
working-dir = "it's here"
[[processes]]
type = "gone"
command = "true"
direct = false
buildpack-id = "a/b"
working-dir = "nowhere"
"#;

fn image() -> Image {
    let image = Image::with(METADATA);
    image.write("layers/a_b/one/env/FROM_LAYER", "from a layer");
    image.write("app/sub/file", "");
    image.write("app/it's here/file", "");
    image
}

/// Without the folder that it ran in.
fn shown(image: &Image, command: &mut Command) -> String {
    command.env("CNB_PLATFORM_API", "0.9");
    lines(&command.output().unwrap()).replace(image.path().to_str().unwrap(), "")
}

#[test]
fn commands_are_scripts_and_words() {
    let image = image();
    let process = |name: &str| image.command(&format!("/cnb/process/{name}"));
    assert_eq!(shown(&image, &mut process("script")), "from a layer, bash\n/app\n");
    assert_eq!(shown(&image, &mut process("words")), "from a layer|a  b|");
    assert_eq!(shown(&image, process("words").args(["$PWD", "; pwd", "*"])), "from a layer|a  b|/app/sub|; pwd|*|");
    assert_eq!(shown(&image, &mut process("where")), "/app/it's here\n");
}

#[test]
fn a_users_command_is_read_by_a_shell_unless_it_is_set_apart() {
    let image = image();
    let launcher = || image.command("/cnb/lifecycle/launcher");
    assert_eq!(shown(&image, launcher().arg("echo $FROM_LAYER; pwd")), "from a layer\n/app\n");
    assert_eq!(shown(&image, launcher().args(["echo", "$FROM_LAYER", ";", "pwd"])), "from a layer ; pwd\n");
    assert_eq!(shown(&image, launcher().args(["--", "echo", "$FROM_LAYER"])), "$FROM_LAYER\n");
    let failed = launcher().arg("exit 7").output().unwrap();
    assert_eq!(failed.status.code(), Some(7), "{failed:?}");
    let missing = launcher().args(["no-such-program", "x"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(127), "{missing:?}");
}

#[test]
fn profiles_are_read_before_in_the_apps_folder() {
    let image = image();
    image.write("layers/a_b/one/profile.d/20.sh", "export SEEN=\"$SEEN 20 $FROM_LAYER\"; private=x");
    image.write("layers/a_b/one/profile.d/10.sh", "export SEEN=\"10 $0 $PWD\"");
    image.write("layers/a_b/one/profile.d/words/x.sh", "export SEEN=\"$SEEN words\"");
    image.write("layers/a_b/one/profile.d/where/x.sh", "exit 9");
    image.write("layers/a_b/two/profile.d/10.sh", "export SEEN=\"$SEEN two\"");
    image.write("layers/c_d/other/profile.d/x.sh", "exit 1");
    image.write("app/.profile", "export SEEN=\"$SEEN app $(ls -d sub)\"");
    image.write_program("layers/a_b/one/exec.d/x", "#!/bin/sh\necho 'FROM_LAYER = \"exec.d\"' >&3\n");
    let all = "10 launcher /app 20 exec.d two app sub";
    let launcher = || image.command("launcher");
    assert_eq!(shown(&image, launcher().arg("echo $SEEN$private")), format!("{all}\n"));
    let mut words = image.command("/cnb/process/words");
    assert_eq!(
        shown(&image, words.arg("$SEEN")),
        format!(
            "exec.d|a  b|{}|",
            all.replace("launcher", "/cnb/process/words").replace("20 exec.d", "20 exec.d words")
        )
    );
    assert_eq!(shown(&image, launcher().args(["--", "printenv", "SEEN"]).env("SEEN", "unread")), "unread\n");
    let ended = image.command("/cnb/process/where").output().unwrap();
    assert_eq!(ended.status.code(), Some(9), "a profile can end the launch: {ended:?}");
}

#[test]
fn the_app_replaces_the_shells() {
    let image = image();
    for words in [&["exec sh -c 'echo $$'"][..], &["sh", "-c", r"echo \$\$"]] {
        let mut command = image.command("launcher");
        let child = command.args(words).stdout(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        assert_eq!(lines(&child.wait_with_output().unwrap()).trim(), pid.to_string(), "{words:?}");
    }
}

#[test]
fn a_working_directory_that_is_not_there_stops_the_launch() {
    let image = image();
    let output = image.command("/cnb/process/gone").output().unwrap();
    insta::assert_snapshot!(image.shown(&output), @"
    /cnb/process/gone: line 1: cd: /app/nowhere: No such file or directory
    exit code: 82
    ");
}
