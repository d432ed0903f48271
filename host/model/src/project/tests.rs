//! Descriptors as they are written, read.

use super::*;

#[test]
fn reads_schema_1() {
    let project = Project::parse(
        r#"
        [project]
        id = "io.example.app"
        name = "App"
        version = "1.2.3"
        source-url = "https://git.example.com/app"
        [[project.licenses]]
        type = "Apache-2.0"
        [build]
        exclude = ["*.md", "/docs/"]
        builder = "builder.toml"
        [[build.buildpacks]]
        id = "acme/tool"
        version = "1.0.0"
        [[build.env]]
        name = "BP_A"
        value = "1"
        "#,
    )
    .unwrap();
    assert_eq!((project.schema.as_str(), project.builder.as_deref()), ("0.1", Some("builder.toml")));
    assert_eq!((project.version.as_deref(), project.exclude.len()), (Some("1.2.3"), 2));
    assert_eq!((project.settings[0].name.as_str(), project.settings[0].value.as_str()), ("BP_A", "1"));
    assert_eq!(project.group[0].id.as_deref(), Some("acme/tool"));
    assert_eq!(project.unknown, [""; 0]);
    let label = r#"{"source":{"metadata":{"url":"https://git.example.com/app"},"type":"project","version":{"declared":"1.2.3"}}}"#;
    assert_eq!((project.label().as_str(), Project::default().label().as_str()), (label, ""));
    // T2.
    let address = Some("https://me:hunter22@git.example.com/app".to_owned());
    assert_eq!(Project { source_url: address, ..project }.label(), label);
}

#[test]
fn reads_schemas_2_and_3() {
    let text = r#"
        [_]
        schema-version = "0.3"
        id = "io.example.app"
        version = "2"
        [_.metadata]
        anything = { goes = "here" }
        [io.buildpacks]
        include = ["src/"]
        [[io.buildpacks.group]]
        uri = "builtin:java"
        [[io.buildpacks.pre.group]]
        id = "acme/first"
        [[io.buildpacks.post.group]]
        id = "acme/last"
        [io.buildpacks.post.group.script]
        api = "0.10"
        inline = "true"
        [[io.buildpacks.build.env]]
        name = "BP_A"
        value = "1"
        [[io.buildpacks.build.env]]
        name = "BP_TEST"
        value = "1"
        exec-env = ["test"]
        [[io.buildpacks.build.env]]
        name = "BP_BOTH"
        value = "1"
        exec-env = ["test", "production"]
        [[io.buildpacks.env.build]]
        name = "BP_OLD"
        value = "1"
        [com.example.tool]
        theirs = true
    "#;
    let project = Project::parse(text).unwrap();
    let settings: Vec<&str> = project.settings.iter().map(|setting| setting.name.as_str()).collect();
    assert_eq!(settings, ["BP_OLD", "BP_A", "BP_TEST", "BP_BOTH"]);
    assert_eq!((project.pre[0].id.as_deref(), project.post[0].id.as_deref()), (Some("acme/first"), Some("acme/last")));
    assert!(project.post[0].script.is_some() && project.group[0].uri.as_deref() == Some("builtin:java"));
    assert_eq!(project.unknown, [""; 0]);
    assert_eq!(Project::parse(&text.replace("\"0.3\"", "\"0.2\"")).unwrap().include, ["src/"]);
}

#[test]
fn names_the_keys_that_it_does_not_know() {
    let text = r#"
        other = 1
        [_]
        schema-version = "0.2"
        licence = "x"
        [io.buildpacks]
        exlude = ["a"]
        [[io.buildpacks.build.env]]
        name = "A"
        value = "1"
        suffix = "x"
        [io.example]
        a = 1
    "#;
    let unknown = Project::parse(text).unwrap().unknown;
    assert_eq!(unknown, ["_.licence", "io.buildpacks.build.env.suffix", "io.buildpacks.exlude", "io.example", "other"]);
    assert_eq!(Project::parse("[build]\nexlude = []").unwrap().unknown, ["build.exlude"]);
}

#[test]
fn says_why_it_cannot_be_followed() {
    let refused = |text: &str| {
        let error = Project::parse(text).unwrap_err();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{}", cause.trim_end())
    };
    let said = [
        refused("[_]\nschema-version = \"0.9\""),
        refused("[_]\nschema-version = \"a\\u001b[2J\""),
        refused("[build]\ninclude = [\"a\"]\nexclude = [\"b\"]"),
        refused("[[build.env]]\nname = \"A B\"\nvalue = \"\""),
        refused("[build]\ninclude = 1"),
        refused(&"#".repeat(MAX_PROJECT + 1)),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    its schema-version is `0.9`; 0.1, 0.2 and 0.3 are known
    its schema-version is `a\u{1b}[2J`; 0.1, 0.2 and 0.3 are known
    it has both `include` and `exclude`; only one of them can be followed
    a setting has no name that can be used: `A B` is not a valid variable name: use letters, digits and `_`, not a digit first, at most 128 characters
    it does not follow the format of project.toml: invalid type: integer `1`, expected a sequence
    in `include`
    it has 1048577 bytes, more than the limit of 1048576
    ");
}
