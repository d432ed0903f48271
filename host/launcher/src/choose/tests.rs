//! Which words start what, as tables.

use super::*;

const METADATA: &str = r#"
    buildpacks = [{ id = "a/new", version = "1.0.0", api = "0.10" }, { id = "a/old", version = "1.0.0", api = "0.8" }]
    [[processes]]
    type = "web"
    command = ["java", "-jar"]
    args = ["app.jar", "--port=80"]
    direct = true
    buildpack-id = "a/new"
    working-dir = "sub"
    [[processes]]
    type = "one"
    command = ["echo"]
    args = ["default"]
    direct = true
    buildpack-id = "a/new"
    [[processes]]
    type = "old"
    command = "echo"
    args = ["default"]
    direct = true
    buildpack-id = "a/old"
    [[processes]]
    type = "script"
    command = "echo $HOME"
    direct = false
    buildpack-id = "a/old"
    [[processes]]
    type = "words"
    command = "echo"
    args = ["$HOME"]
    buildpack-id = "a/old"
    [[processes]]
    type = "orphan"
    command = ["echo"]
    args = ["default"]
    direct = true
    buildpack-id = "a/gone"
    [[processes]]
    type = "check"
    command = ["check"]
    args = []
    direct = true
    buildpack-id = "a/new"
    exec-env = ["test", "staging"]
"#;

const USUAL: Surroundings<'static> = Surroundings { platform: Api { major: 0, minor: 14 }, exec_env: "production" };

fn argv(words: &str) -> Vec<OsString> {
    words.split_whitespace().map(OsString::from).collect()
}

fn chosen_in(around: Surroundings<'_>, words: &str) -> Result<(Option<String>, By, String), NoStart> {
    choose(&argv(words), &Metadata::from_toml(METADATA).unwrap(), around).map(|start| {
        let line = [&[start.program], start.arguments.as_slice()].concat().join(OsStr::new(" "));
        (start.kind.map(String::from), start.by, line.into_string().unwrap())
    })
}

#[test]
fn names_and_arguments_choose() {
    // (the launcher's words, the process type, who starts it, what is started)
    let cases = [
        ("/cnb/process/web", Some("web"), By::System, "java -jar app.jar --port=80"),
        ("web", Some("web"), By::System, "java -jar app.jar --port=80"),
        ("/cnb/process/web other.jar", Some("web"), By::System, "java -jar other.jar"),
        ("/cnb/process/web -- x", Some("web"), By::System, "java -jar -- x"),
        ("/cnb/process/one", Some("one"), By::System, "echo default"),
        ("/cnb/process/one a b", Some("one"), By::System, "echo a b"),
        ("/cnb/process/old", Some("old"), By::System, "echo default"),
        ("/cnb/process/old a b", Some("old"), By::System, "echo default a b"),
        ("/cnb/process/orphan a", Some("orphan"), By::System, "echo a"),
        ("/cnb/process/script", Some("script"), By::Shell, "echo $HOME"),
        ("/cnb/process/script a", Some("script"), By::Shell, "echo $HOME a"),
        ("/cnb/process/words", Some("words"), By::Shell, "echo $HOME"),
        ("/cnb/process/words $PWD", Some("words"), By::Shell, "echo $HOME $PWD"),
        ("/cnb/process/check", Some("check"), By::System, "check"),
        ("/cnb/lifecycle/launcher -- ls -l", None, By::System, "ls -l"),
        ("/cnb/lifecycle/launcher -- -- x", None, By::System, "-- x"),
        ("/cnb/lifecycle/launcher ls", None, By::Shell, "ls"),
        ("/cnb/lifecycle/launcher ls -l $HOME", None, By::Shell, "ls -l $HOME"),
        ("/cnb/lifecycle/launcher ls -- x", None, By::Shell, "ls -- x"),
        ("/cnb/lifecycle/launcher web", None, By::Shell, "web"),
        ("/cnb/process/gone -- web", None, By::System, "web"),
    ];
    for (words, kind, by, line) in cases {
        assert_eq!(chosen_in(USUAL, words).unwrap(), (kind.map(ToOwned::to_owned), by, line.to_owned()), "{words}");
    }
    let start = |words| choose(&argv(words), &Metadata::from_toml(METADATA).unwrap(), USUAL).unwrap();
    assert_eq!(start("web").working_directory.as_deref(), Some("sub"));
    assert_eq!(start("launcher -- web").working_directory, None);
}

#[test]
fn a_users_arguments_replace_where_the_build_kept_them_apart() {
    // (platform API, process, with `a b` as the user's words)
    let cases = [
        (9, "web", "java -jar app.jar --port=80 a b"),
        (9, "one", "echo default a b"),
        (9, "old", "echo default a b"),
        (10, "web", "java -jar a b"),
        (10, "one", "echo a b"),
        (10, "old", "echo default a b"),
    ];
    for (minor, kind, line) in cases {
        let around = Surroundings { platform: Api { major: 0, minor }, ..USUAL };
        assert_eq!(chosen_in(around, &format!("{kind} a b")).unwrap().2, line, "{minor} {kind}");
    }
}

#[test]
fn execution_environments_have_processes_of_their_own() {
    // (platform API, CNB_EXEC_ENV, the launcher's words, the process type, what is started)
    let cases = [
        (14, "production", "check", Some("check"), "check"),
        (15, "test", "check", Some("check"), "check"),
        (15, "staging", "check x", Some("check"), "check x"),
        (15, "production", "web", Some("web"), "java -jar app.jar --port=80"),
        (15, "test", "web", Some("web"), "java -jar app.jar --port=80"),
        // A process of another environment is none, so that its name is not a name.
        (15, "production", "check -- true", None, "true"),
    ];
    for (minor, exec_env, words, kind, line) in cases {
        let (chosen, _, started) =
            chosen_in(Surroundings { platform: Api { major: 0, minor }, exec_env }, words).unwrap();
        assert_eq!((chosen.as_deref(), started.as_str()), (kind, line), "{minor} {exec_env} {words}");
    }
    let around = |exec_env| Surroundings { platform: EXEC_ENVS, exec_env };
    let error = chosen_in(around("pro\u{1b}d"), "check").unwrap_err();
    insta::assert_snapshot!(format!("{error}\n{}", error.hint()), @r"
    the process `check` is not for the execution environment `pro\u{1b}d`
    set CNB_EXEC_ENV to one that it is for: test, staging
    ");
    let known = |exec_env| chosen_in(around(exec_env), "launcher").unwrap_err().hint();
    assert!(!known("production").contains("check") && known("test").contains("check"));
}

#[test]
fn what_cannot_start_says_what_could() {
    let refused = |words: &str| {
        let error = chosen_in(USUAL, words).unwrap_err();
        format!("{error}\n{}", error.hint())
    };
    let nothing = refused("/cnb/lifecycle/launcher");
    insta::assert_snapshot!(nothing, @"
    no process to start was named
    the image has the process types web, one, old, script, words, orphan, check: set the entrypoint to one, or give a command after `--`
    ");
    for words in ["", "/cnb/lifecycle/launcher --", "/cnb/process/gone"] {
        assert_eq!(refused(words), nothing, "{words}");
    }
    let error = choose(&[], &Metadata::from_toml("").unwrap(), USUAL).unwrap_err();
    insta::assert_snapshot!(error.hint(), @"the image has no process types; give a command after `--`");
}
