//! The shapes of `metadata.toml` and of the label, written and read.

use super::*;

fn metadata() -> Metadata {
    let process = |kind: &str, args: &[&str], working_directory: Option<&str>| Process {
        kind: kind.parse().unwrap(),
        command: vec!["java".to_owned(), "-jar".to_owned()],
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        direct: true,
        default: false,
        working_directory: working_directory.map(ToOwned::to_owned),
        exec_env: if kind == "task" { vec!["test".to_owned()] } else { Vec::new() },
        buildpack: "stave/java".parse().unwrap(),
    };
    Metadata {
        buildpacks: vec![Participant {
            id: "stave/java".parse().unwrap(),
            version: "0.1.0".to_owned(),
            api: Api { major: 0, minor: 10 },
            homepage: None,
        }],
        launch: Aggregate {
            processes: vec![process("task", &[], Some("sub")), process("web", &["app.jar"], None)],
            default: Some("web".parse().unwrap()),
            labels: vec![Label { key: "a".to_owned(), value: "é\n\"".to_owned() }],
            slices: vec![Slice { paths: vec!["lib/*".to_owned()] }],
        },
    }
}

#[test]
fn the_file_has_the_shape_of_the_specification() {
    let text = metadata().to_toml().unwrap();
    assert_eq!(Metadata::from_toml(&text).unwrap(), metadata());
    insta::assert_snapshot!(text, @r#"
    buildpack-default-process-type = "web"

    [[buildpacks]]
    id = "stave/java"
    version = "0.1.0"
    api = "0.10"

    [[labels]]
    key = "a"
    value = """
    é
    """"

    [[processes]]
    type = "task"
    command = ["java", "-jar"]
    args = []
    direct = true
    working-dir = "sub"
    buildpack-id = "stave/java"
    exec-env = ["test"]

    [[processes]]
    type = "web"
    command = ["java", "-jar"]
    args = ["app.jar"]
    direct = true
    buildpack-id = "stave/java"

    [[slices]]
    paths = ["lib/*"]
    "#);
}

#[test]
fn the_label_has_the_shape_of_the_specification() {
    let label = BuildMetadata::new(&metadata(), "0.1.0");
    let text = serde_json::to_string_pretty(&label).unwrap();
    assert_eq!(serde_json::from_str::<BuildMetadata>(&text).unwrap(), label);
    insta::assert_snapshot!(text, @r#"
    {
      "processes": [
        {
          "type": "task",
          "command": [
            "java",
            "-jar"
          ],
          "args": [],
          "direct": true,
          "working-dir": "sub",
          "buildpackID": "stave/java",
          "exec-env": [
            "test"
          ]
        },
        {
          "type": "web",
          "command": [
            "java",
            "-jar"
          ],
          "args": [
            "app.jar"
          ],
          "direct": true,
          "buildpackID": "stave/java"
        }
      ],
      "buildpacks": [
        {
          "id": "stave/java",
          "version": "0.1.0"
        }
      ],
      "buildpack-default-process-type": "web",
      "launcher": {
        "version": "0.1.0"
      }
    }
    "#);
}

#[test]
fn labels_that_go_wrote_are_read() {
    let text = r#"{ "processes": [{ "type": "web", "command": ["x"], "args": null, "direct": true, "buildpackID": "a/b" }],
        "buildpacks": null, "bom": null, "launcher": { "version": "0.21.0", "source": { "git": {} } } }"#;
    let label: BuildMetadata = serde_json::from_str(text).unwrap();
    assert_eq!(label.processes[0].args, [""; 0]);
    assert_eq!((label.buildpacks, label.default, label.launcher.version.as_str()), (vec![], None, "0.21.0"));
}

#[test]
fn older_shapes_are_read() {
    let text = r#"
        buildpacks = [{ id = "a/old", api = "0.8" }, { id = "a/older", version = "v1_2" }]
        [[processes]]
        type = "web"
        command = "java -jar $APP\n"
        buildpack-id = "a/old"
        [[processes]]
        type = "task"
        command = "java"
        args = ["-version"]
        direct = true
        default = true
        buildpack-id = "a/old"
    "#;
    let Metadata { buildpacks, launch } = Metadata::from_toml(text).unwrap();
    let buildpacks: Vec<_> = buildpacks.iter().map(|b| (b.version.as_str(), b.api.to_string())).collect();
    assert_eq!(buildpacks, [("", "0.8".to_owned()), ("v1_2", "0.2".to_owned())]);
    let processes: Vec<_> = launch.processes.iter().map(|p| (p.command.concat(), p.args.concat(), p.direct)).collect();
    let expected = [("java -jar $APP\n", "", false), ("java", "-version", true)];
    assert_eq!(processes, expected.map(|(command, args, direct)| (command.to_owned(), args.to_owned(), direct)));
    let label = r#"{ "processes": [{ "type": "web", "command": "java -jar x", "args": [], "direct": false, "buildpackID": "a/old" }] }"#;
    let label: BuildMetadata = serde_json::from_str(label).unwrap();
    assert_eq!(label.processes[0].command, ["java -jar x"]);
}

#[test]
fn unknown_keys_are_ignored_and_wrong_ones_refused() {
    assert_eq!(Metadata::from_toml("future = 1").unwrap().buildpacks, []);
    let refused = |text: &str| Metadata::from_toml(text).unwrap_err();
    let process = |rest: &str| format!("\n[[processes]]\ntype = 'web'\ndirect = true\nbuildpack-id = 'a/b'\n{rest}");
    insta::assert_snapshot!(refused("x"), @"line 1 of the launch metadata is not understood: key with no value, expected `=`");
    insta::assert_snapshot!(refused(&process("command = 1")), @"line 6 of the launch metadata is not understood: invalid type: integer `1`, expected a text or a list of texts");
    insta::assert_snapshot!(refused(&process("command = ['a']\nworking-dir = '\u{1b}[2J'")), @"line 7 of the launch metadata is not understood: invalid literal string, expected non-single-quote visible characters");
    insta::assert_snapshot!(refused("[[processes]]\ntype = '../x'"), @"line 2 of the launch metadata is not understood: `../x` is not a valid process type: use letters, digits, `.`, `-` and `_`, at most 64 characters");
    insta::assert_snapshot!(refused(&" ".repeat(MAX_METADATA + 1)), @"the launch metadata are 4194305 bytes long; at most 4194304 are taken");
    let error = refused(&process("command = []"));
    insta::assert_snapshot!(format!("{error} / {}", std::error::Error::source(&error).unwrap()), @"the launch metadata cannot be followed / the process `web` has no command");
    assert!(Metadata::from_toml(&process("command = ['a']\nworking-dir = ''")).is_ok());
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let label = Label { key: "a".to_owned(), value: "x".repeat(MAX_METADATA / 64) };
    let mut metadata = metadata();
    metadata.launch.labels = vec![label; 64];
    assert!(matches!(metadata.to_toml(), Err(InvalidMetadata::TooLong(_))));
    metadata.launch.labels.pop();
    assert_eq!(Metadata::from_toml(&metadata.to_toml().unwrap()).unwrap(), metadata);
}

#[test]
fn versions_of_contracts_compare_as_numbers() {
    let api = |text: &str| text.parse::<Api>();
    assert!(api("0.9").unwrap() < api("0.10").unwrap() && api("1").unwrap() > api("0.15").unwrap());
    for text in ["", ".", "0.", "+0.1", "0.1.2", "0.x", "99999.1"] {
        assert!(api(text).is_err(), "{text:?}");
    }
    insta::assert_snapshot!(api("new\u{7}").unwrap_err(), @r"`new\u{7}` is not an API version: expected major.minor, such as 0.14");
}
