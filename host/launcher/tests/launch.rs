//! The launcher as an image has it: what it starts, with which environment, and what it says when it cannot.

mod support;

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::ExitStatusExt,
    },
    process::{Command, Stdio},
};

use support::{Image, lines};

#[test]
fn layers_make_the_environment() {
    let image = Image::new(&[("web", "command = ['env']"), ("task", "command = ['env']")]);
    for (file, content) in [
        ("one/env/BOTH", "one"),
        ("one/env.build/NOT_HERE", "build"),
        ("one/env.launch/JAVA_TOOL_OPTIONS.append", "-Xss1m"),
        ("one/env.launch/JAVA_TOOL_OPTIONS.delim", " "),
        ("one/env.launch/web/PORT.default", "8080"),
        ("two/env/BOTH.prepend", "two-"),
        ("two/env.launch/JAVA_TOOL_OPTIONS.append", "-Xint"),
        ("two/env.launch/JAVA_TOOL_OPTIONS.delim", " "),
        ("two/bin/tool", ""),
        ("two/lib/lib.so", ""),
    ] {
        image.write(&format!("layers/a_b/{file}"), content);
    }
    image.write("layers/c_d/other/env/NOT_HERE", "a buildpack that took no part");
    let environment = |name: &str| {
        let output = image.command(name).env("JAVA_TOOL_OPTIONS", "-Xmx1g").output().unwrap();
        let mut lines: Vec<_> =
            lines(&output).lines().map(|line| line.replace(image.path().to_str().unwrap(), "")).collect();
        lines.sort();
        lines.join("\n")
    };
    insta::assert_snapshot!(environment("/cnb/process/web"), @"
    BOTH=two-one
    JAVA_TOOL_OPTIONS=-Xmx1g -Xss1m -Xint
    LD_LIBRARY_PATH=/layers/a_b/two/lib
    PATH=/layers/a_b/two/bin:/usr/bin:/bin
    PORT=8080
    ");
    insta::assert_snapshot!(environment("/cnb/process/task"), @"
    BOTH=two-one
    JAVA_TOOL_OPTIONS=-Xmx1g -Xss1m -Xint
    LD_LIBRARY_PATH=/layers/a_b/two/lib
    PATH=/layers/a_b/two/bin:/usr/bin:/bin
    ");
}

#[test]
fn programs_of_layers_add_to_it() {
    let image = Image::new(&[
        ("web", "command = ['sh', '-c', 'echo $SEEN $LAST in $PWD']"),
        ("task", "command = ['sh', '-c', 'echo $SEEN $LAST']"),
    ]);
    image.write("layers/a_b/one/env/BASE", "base");
    image.write_program("layers/a_b/one/exec.d/10-first", "#!/bin/sh\necho \"SEEN = '$BASE $PWD'\" >&3; echo noise\n");
    image.write_program("layers/a_b/one/helper", "#!/bin/sh\necho \"LAST = '${SEEN%% *} ${0##*/}'\" >&3\n");
    fs::create_dir_all(image.path().join("layers/a_b/two/exec.d/web")).unwrap();
    symlink("../../../one/helper", image.path().join("layers/a_b/two/exec.d/web/linked")).unwrap();
    let output = lines(&image.run("/cnb/process/web")).replace(image.path().to_str().unwrap(), "");
    insta::assert_snapshot!(output, @"
    noise
    base /app base linked in /app
    ");
    let output = lines(&image.run("/cnb/process/task")).replace(image.path().to_str().unwrap(), "");
    insta::assert_snapshot!(output, @"
    noise
    base /app
    ");
}

#[test]
fn programs_that_fail_stop_the_launch() {
    let image = Image::new(&[("web", "command = ['echo', 'started']")]);
    let failure = |content: &str| {
        image.write_program("layers/a_b/one/exec.d/helper", content);
        image.failure("/cnb/process/web")
    };
    insta::assert_snapshot!(failure("#!/bin/sh\necho no memory >&2; exit 3\n"), @"
    no memory
    error: the program `/layers/a_b/one/exec.d/helper`, which adds to the environment, failed
    caused by: exit status: 3
    exit code: 82
    ");
    insta::assert_snapshot!(failure("#!/bin/sh\necho 'A = 1' >&3\n"), @"
    error: the program `/layers/a_b/one/exec.d/helper`, which adds to the environment, wrote what is not understood
    caused by: invalid type: integer `1`, expected a string
    exit code: 82
    ");
    insta::assert_snapshot!(failure("#!/bin/sh\nyes >&3\n"), @"
    error: the program `/layers/a_b/one/exec.d/helper`, which adds to the environment, wrote too much
    caused by: at most 1 MiB is read
    exit code: 82
    ");
    insta::assert_snapshot!(failure("#!/nowhere/sh\n"), @"
    error: the program `/layers/a_b/one/exec.d/helper`, which adds to the environment, could not be started
    caused by: No such file or directory (os error 2)
    exit code: 82
    ");
    image.write("layers/a_b/one/exec.d/helper", "");
    fs::set_permissions(image.path().join("layers/a_b/one/exec.d/helper"), Permissions::from_mode(0o644)).unwrap();
    insta::assert_snapshot!(image.failure("/cnb/process/web"), @"
    error: the program `/layers/a_b/one/exec.d/helper`, which adds to the environment, could not be started
    caused by: Permission denied (os error 13)
    exit code: 82
    ");
}

#[test]
fn the_app_replaces_the_launcher() {
    let script = |text: &str| format!("command = ['sh', '-c', '{text}']");
    let image = Image::new(&[
        ("code", &script("exit 7")),
        ("signal", &script("kill -KILL $$")),
        ("pid", &script("echo $$")),
        ("trap", &script("trap \"exit 42\" TERM; echo ready; while :; do read line; done")),
    ]);
    assert_eq!(image.run("/cnb/process/code").status.code(), Some(7));
    assert_eq!(image.run("/cnb/process/signal").status.signal(), Some(9));
    let child = image.command("/cnb/process/pid").stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    assert_eq!(lines(&child.wait_with_output().unwrap()).trim(), pid.to_string());

    let mut child = image.command("/cnb/process/trap").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    // The trap runs when the read ends.
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(42));
}

/// Open files and ignored signals are inherited; the app gets those of the container, not the launcher's own.
#[cfg(target_os = "linux")]
#[test]
fn nothing_of_the_launcher_is_left() {
    let image = Image::new(&[]);
    image.write_program("layers/a_b/one/exec.d/helper", "#!/bin/sh\necho 'A = \"x\"' >&3\n");
    for line in [&["ls", "/proc/self/fd"][..], &["grep", "Sig", "/proc/self/status"]] {
        let direct = Command::new(line[0]).args(&line[1..]).stdin(Stdio::null()).output().unwrap();
        let launched = image.command("launcher").arg("--").args(line).stdin(Stdio::null()).output().unwrap();
        assert_eq!(lines(&launched), lines(&direct), "{line:?}");
    }
}

#[test]
fn words_and_folders_are_passed_on() {
    let image = Image::new(&[
        ("web", "command = ['sh', '-c', 'pwd; echo \"$0 $@\"', 'fixed']\nargs = ['default']\nworking-dir = 'sub'"),
        ("own", "command = ['./bin/tool']\nworking-dir = 'sub'"),
    ]);
    image.write("app/sub/file", "");
    image.write_program("app/bin/tool", "#!/bin/sh\necho \"$0\"; pwd\n");
    let shown = |command: &mut Command| lines(&command.output().unwrap()).replace(image.path().to_str().unwrap(), "");
    assert_eq!(shown(&mut image.command("/cnb/process/web")), "/app/sub\nfixed default\n");
    assert_eq!(shown(image.command("/cnb/process/web").args(["a  b", "$HOME", ""])), "/app/sub\nfixed a  b $HOME \n");
    assert_eq!(shown(image.command("/cnb/lifecycle/launcher").args(["--", "pwd"])), "/app\n");
    assert_eq!(shown(&mut image.command("/cnb/process/own")), "/app/./bin/tool\n/app/sub\n");
}

#[test]
fn execution_environments_choose_processes() {
    let image = Image::new(&[
        ("web", "command = ['echo', 'web']"),
        ("check", "command = ['echo', 'check']\nexec-env = ['test']"),
    ]);
    let run = |api: &str, exec_env: &str| {
        image.command("/cnb/process/check").env("CNB_PLATFORM_API", api).env("CNB_EXEC_ENV", exec_env).output().unwrap()
    };
    assert_eq!(lines(&run("0.15", "test")), "check\n");
    assert_eq!(lines(&run("0.14", "production")), "check\n");
    let refused = image.shown(&run("0.15", ""));
    insta::assert_snapshot!(refused, @"
    error: the process `check` is not for the execution environment `production`
    hint: set CNB_EXEC_ENV to one that it is for: test
    exit code: 82
    ");
    let mut passed_on = image.command("launcher");
    passed_on.env("CNB_EXEC_ENV", "test").args(["--", "printenv", "CNB_EXEC_ENV"]);
    assert_eq!(lines(&passed_on.output().unwrap()), "test\n");
}

#[test]
fn files_of_the_app_get_the_mode_that_the_environment_names() {
    let image = Image::new(&[("web", "command = ['sh', '-c', 'umask']")]);
    let umask = |value: &str| image.command("/cnb/process/web").env("UMASK", value).output().unwrap();
    assert_eq!(lines(&umask("0027")), "0027\n");
    assert_eq!(lines(&umask("")), lines(&Command::new("sh").args(["-c", "umask"]).output().unwrap()));
    insta::assert_snapshot!(image.shown(&umask("u=rwx")), @"
    error: UMASK is `u=rwx`, which is no file mode: expected octal digits, such as 022
    exit code: 82
    ");
    image.write("layers/a_b/one/env.launch/UMASK.override", "077");
    assert_eq!(lines(&umask("0027")), "0077\n");
}

#[test]
fn an_image_that_cannot_be_read_says_so() {
    let image = Image::new(&[("web", "command = ['echo']")]);
    let with =
        |name: &str, value: &str| image.shown(&image.command("/cnb/process/web").env(name, value).output().unwrap());
    let without = image.command("/cnb/process/web").env_remove("CNB_PLATFORM_API").output().unwrap();
    insta::assert_snapshot!(image.shown(&without), @"
    error: CNB_PLATFORM_API is not set, so the image's layout is not known
    hint: the image sets it; something that starts the container has removed it from the environment
    exit code: 11
    ");
    insta::assert_snapshot!(with("CNB_PLATFORM_API", "0.6"), @"
    error: platform API 0.6 is not supported by this launcher
    hint: this launcher follows platform API 0.7 to 0.15
    exit code: 11
    ");
    insta::assert_snapshot!(with("CNB_PLATFORM_API", "new\u{1b}[2J"), @r"
    error: CNB_PLATFORM_API cannot be read
    caused by: `new\u{1b}[2J` is not an API version: expected major.minor, such as 0.14
    hint: this launcher follows platform API 0.7 to 0.15
    exit code: 11
    ");
    insta::assert_snapshot!(with("CNB_LAYERS_DIR", "/nowhere/\u{1b}[2J"), @r"
    error: could not read `/nowhere/\u{1b}[2J/config/metadata.toml`
    caused by: No such file or directory (os error 2)
    exit code: 82
    ");
    insta::assert_snapshot!(with("CNB_APP_DIR", "/nowhere"), @"
    error: could not enter the app's folder `/nowhere`
    caused by: No such file or directory (os error 2)
    exit code: 82
    ");
    for (api, code) in [("0.7", 0), ("0.12", 0), ("0.6", 12), ("0.13", 12)] {
        let buildpack = format!("buildpacks = [{{ id = 'a/b', api = '{api}' }}]");
        image.write("layers/config/metadata.toml", &buildpack);
        let output = image.command("launcher").args(["--", "true"]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{api} {output:?}");
    }
    insta::assert_snapshot!(image.failure("/cnb/process/web"), @"
    error: a/b follows buildpack API 0.13, which is not supported by this launcher
    hint: this launcher follows buildpack API 0.7 to 0.12
    exit code: 12
    ");
    image.write("layers/config/metadata.toml", "processes = 1");
    insta::assert_snapshot!(image.failure("/cnb/process/web"), @"
    error: `/layers/config/metadata.toml` is not usable
    caused by: line 1 of the launch metadata is not understood: invalid type: integer `1`, expected a sequence
    exit code: 82
    ");
    fs::write(image.path().join("layers/config/metadata.toml"), b"\xff").unwrap();
    insta::assert_snapshot!(image.failure("/cnb/process/web"), @"
    error: could not read `/layers/config/metadata.toml`
    caused by: stream did not contain valid UTF-8
    exit code: 82
    ");
    let unset = Command::new(env!("CARGO_BIN_EXE_stave-launcher"))
        .env_clear()
        .env("CNB_PLATFORM_API", "0.14")
        .output()
        .unwrap();
    insta::assert_snapshot!(image.shown(&unset), @"
    error: could not read `/layers/config/metadata.toml`
    caused by: No such file or directory (os error 2)
    exit code: 82
    ");
}

#[test]
fn layers_that_cannot_be_obeyed_say_so() {
    let image = Image::new(&[("web", "command = ['echo']")]);
    let failure = |file: &str, content: &str| {
        image.write(&format!("layers/a_b/one/{file}"), content);
        let failure = image.failure("/cnb/process/web");
        fs::remove_dir_all(image.path().join("layers/a_b")).unwrap();
        failure
    };
    insta::assert_snapshot!(failure("env/A=B", "x"), @"
    error: could not apply the environment in `/layers/a_b/one/env`
    caused by: the environment file `A=B` does not begin with the name of a variable
    exit code: 82
    ");
    insta::assert_snapshot!(failure("env.launch/A.append", "x\0"), @"
    error: could not apply the environment in `/layers/a_b/one/env.launch`
    caused by: the environment file `A.append` holds a NUL byte, which no environment can carry
    exit code: 82
    ");
    insta::assert_snapshot!(failure("env.launch/web/A", &"x".repeat(200_000)), @"
    error: `/layers/a_b/one/env.launch/web/A` is longer than the 128 KiB that Linux allows
    exit code: 82
    ");
    insta::assert_snapshot!(failure("env", "a file"), @"
    error: could not read `/layers/a_b/one/env`
    caused by: Not a directory (os error 20)
    exit code: 82
    ");
    fs::create_dir_all(image.path().join("layers/a_b/one/env")).unwrap();
    symlink("gone", image.path().join("layers/a_b/one/env/A")).unwrap();
    insta::assert_snapshot!(image.failure("/cnb/process/web"), @"
    error: could not read `/layers/a_b/one/env/A`
    caused by: No such file or directory (os error 2)
    exit code: 82
    ");
}

#[test]
fn an_app_that_cannot_start_says_so() {
    let image = Image::new(&[
        ("gone", "command = ['gone']"),
        ("path", "command = ['bin/gone']"),
        ("interpreter", "command = ['bin/interpreter']"),
        ("folder", "command = ['true']\nworking-dir = 'nowhere'"),
    ]);
    image.write_program("app/bin/interpreter", "#!/nowhere/python\n");
    insta::assert_snapshot!(image.failure("/cnb/process/gone"), @"
    error: the program `gone` was not found
    hint: the search path is `/usr/bin:/bin`
    exit code: 82
    ");
    insta::assert_snapshot!(image.failure("/cnb/process/path"), @"
    error: the program `bin/gone` was not found
    hint: a path is taken from the app's folder and must name an executable file
    exit code: 82
    ");
    insta::assert_snapshot!(image.failure("/cnb/process/interpreter"), @"
    error: could not start `/app/bin/interpreter`
    caused by: No such file or directory (os error 2)
    hint: the file is there; what it needs to run, an interpreter or a C library, is not in the image
    exit code: 82
    ");
    insta::assert_snapshot!(image.failure("/cnb/process/folder"), @"
    error: could not enter the working directory `/app/nowhere`
    caused by: No such file or directory (os error 2)
    exit code: 82
    ");
    insta::assert_snapshot!(image.failure("/cnb/lifecycle/launcher"), @"
    error: no process to start was named
    hint: the image has the process types gone, path, interpreter, folder: set the entrypoint to one, or give a command after `--`
    exit code: 82
    ");
    let typed = image.command("launcher").env("CNB_PROCESS_TYPE", "gone").args(["--", "true"]).output().unwrap();
    insta::assert_snapshot!(image.shown(&typed), @"
    warning: CNB_PROCESS_TYPE has no effect; set the entrypoint to /cnb/process/TYPE instead
    exit code: 0
    ");
    for n in 0..20 {
        image.write(&format!("layers/a_b/one/env/V{n}"), &"x".repeat(120_000));
    }
    let long = image.command("launcher").args(["--", "true"]).output().unwrap();
    insta::assert_snapshot!(image.shown(&long), @"
    error: could not start `/usr/bin/true`
    caused by: Argument list too long (os error 7)
    hint: the arguments and the environment together are too long
    exit code: 82
    ");
}
