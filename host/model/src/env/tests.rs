//! The rules of environment folders, as tables.

use super::*;

fn change(scope: EnvScope, op: EnvOp, name: &str, value: &str, delimiter: Option<&str>) -> EnvChange {
    EnvChange {
        scope,
        op,
        name: name.parse().unwrap(),
        value: value.into(),
        delimiter: delimiter.map(ToOwned::to_owned),
    }
}

fn folder(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    files.iter().map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec())).collect()
}

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

#[test]
fn each_suffix_has_its_effect() {
    // (file, delimiter file, old value, new value)
    let cases = [
        ("V", None, None, Some("new")),
        ("V", None, Some("old"), Some("new")),
        ("V.override", None, Some("old"), Some("new")),
        ("V.default", None, None, Some("new")),
        ("V.default", None, Some(""), Some("new")),
        ("V.default", None, Some("old"), Some("old")),
        ("V.append", None, Some("old"), Some("oldnew")),
        ("V.append", Some(" "), Some("old"), Some("old new")),
        ("V.append", Some(" "), Some(""), Some("new")),
        ("V.append", Some(" "), None, Some("new")),
        ("V.prepend", None, Some("old"), Some("newold")),
        ("V.prepend", Some("::"), Some("old"), Some("new::old")),
        ("V.prepend", Some(":"), None, Some("new")),
        ("V.unknown", None, Some("old"), Some("old")),
        ("V.append.bak", None, Some("old"), Some("old")),
        ("V.", None, Some("old"), Some("new")),
        ("V.OVERRIDE", None, Some("old"), Some("old")),
        ("V.unknown", None, None, None),
        ("V.default.x", None, None, None),
    ];
    for (file, delimiter, old, new) in cases {
        let mut files = folder(&[(file, "new")]);
        files.extend(delimiter.map(|text| ("V.delim".to_owned(), text.as_bytes().to_vec())));
        let mut environment = variables(&old.map(|old| ("V", old)).into_iter().collect::<Vec<_>>());
        apply(&files, &mut environment).unwrap();
        let got = environment.get(b"V".as_slice()).map(|value| std::str::from_utf8(value).unwrap());
        assert_eq!(got, new, "{file} {delimiter:?} {old:?}");
    }
}

#[test]
fn values_are_bytes_and_nothing_is_trimmed() {
    let mut environment = Variables::new();
    let files = BTreeMap::from([("V".to_owned(), b" \xff$HOME\n".to_vec())]);
    apply(&files, &mut environment).unwrap();
    assert_eq!(environment[b"V".as_slice()], b" \xff$HOME\n");
}

#[test]
fn files_are_obeyed_in_the_order_of_their_names() {
    let mut environment = variables(&[("V", "old")]);
    let files = folder(&[("V.prepend", "p"), ("V.append", "a"), ("V.delim", "-"), ("V.default", "d")]);
    apply(&files, &mut environment).unwrap();
    assert_eq!(environment, variables(&[("V", "p-old-a")]));
    apply(&folder(&[("V.append", "lost"), ("V.override", "o"), ("V.prepend", "p")]), &mut environment).unwrap();
    assert_eq!(environment, variables(&[("V", "po")]));
}

#[test]
fn files_that_no_environment_can_hold_are_refused() {
    let long = "x".repeat(MAX_VARIABLE);
    for (file, content) in [(".append", "x"), ("A=B", "x"), ("", "x"), ("V", "a\0b"), ("V", long.as_str())] {
        assert!(apply(&folder(&[(file, content)]), &mut Variables::new()).is_err(), "{file:?}");
    }
    let error = apply(&folder(&[("A=\u{1b}[2J", "x")]), &mut Variables::new()).unwrap_err();
    insta::assert_snapshot!(error, @r"the environment file `A=\u{1b}[2J` does not begin with the name of a variable");
    let longest = format!("V={}", "x".repeat(MAX_VARIABLE - 2));
    assert_eq!(longest.len(), MAX_VARIABLE);
    apply(&folder(&[("V", &longest[2..])]), &mut Variables::new()).unwrap();
}

#[test]
fn changes_become_files_and_back() {
    let web = EnvScope::Process("web".parse().unwrap());
    let changes = [
        change(EnvScope::Launch, EnvOp::Append, "JAVA_TOOL_OPTIONS", "-XX:+ExitOnOutOfMemoryError", Some(" ")),
        change(EnvScope::Both, EnvOp::Default, "JAVA_HOME", "/layers/stave_java/jre", None),
        change(EnvScope::Both, EnvOp::Default, "JAVA_HOME", "/layers/stave_java/jre", None),
        change(EnvScope::Build, EnvOp::Prepend, "CPATH", "/x", Some(":")),
        change(web.clone(), EnvOp::Override, "PORT", "8080", None),
    ];
    let written = files(&changes).unwrap();
    let expected = folder(&[
        ("env.build/CPATH.delim", ":"),
        ("env.build/CPATH.prepend", "/x"),
        ("env.launch/JAVA_TOOL_OPTIONS.append", "-XX:+ExitOnOutOfMemoryError"),
        ("env.launch/JAVA_TOOL_OPTIONS.delim", " "),
        ("env.launch/web/PORT.override", "8080"),
        ("env/JAVA_HOME.default", "/layers/stave_java/jre"),
    ]);
    assert_eq!(written, expected);
    let kind = "web".parse().unwrap();
    assert_eq!(directories(Phase::Launch, Some(&kind)), ["env", "env.launch", "env.launch/web"]);
    assert_eq!(directories(Phase::Launch, None), ["env", "env.launch"]);
    assert_eq!(directories(Phase::Build, Some(&kind)), ["env", "env.build"]);
}

/// What the files of one layer make of `V`, which is `old`, and of `W`, which is unset (`-`): at build, and in a process of the
/// types `web` and `task` and of none.
fn made(files: &str) -> String {
    let files: Vec<(&str, &str)> = files.split_whitespace().map(|file| file.split_once('=').unwrap()).collect();
    let within = |directory: &str| {
        let plain = |(path, content): &(&str, &str)| {
            let name = path.strip_prefix(directory)?.strip_prefix('/').filter(|name| !name.contains('/'))?;
            Some((name.to_owned(), content.as_bytes().to_vec()))
        };
        files.iter().filter_map(plain).collect::<BTreeMap<_, _>>()
    };
    let (web, task) = ("web".parse().unwrap(), "task".parse().unwrap());
    let phases =
        [(Phase::Build, None), (Phase::Launch, Some(&web)), (Phase::Launch, Some(&task)), (Phase::Launch, None)];
    let outcomes = phases.map(|(phase, process)| {
        let mut environment = variables(&[("V", "old")]);
        for directory in directories(phase, process) {
            apply(&within(&directory), &mut environment).unwrap();
        }
        let value = |name: &str| environment.get(name.as_bytes()).map_or("-", |value| str::from_utf8(value).unwrap());
        if files.iter().any(|(path, _)| path.contains("/W")) { value("W") } else { value("V") }.to_owned()
    });
    outcomes.join(" ")
}

/// Buildpack specification, "Environment Variable Modification Rules"; the lifecycle's `env` and `layers` tests.
#[test]
fn the_folders_of_a_layer_count_in_their_turn() {
    for (files, expected) in [
        // Where each folder counts.
        ("env/V=a", "a a a a"),
        ("env.build/V=a", "a old old old"),
        ("env.launch/V=a", "old a a a"),
        ("env.launch/web/V=a", "old a old old"),
        ("env.launch/other/V=a", "old old old old"),
        ("env.other/V=a V=b env/web/V=c env.build/web/V=d", "old old old old"),
        // Every suffix in every folder.
        ("env/V.override=a", "a a a a"),
        ("env/V.append=a", "olda olda olda olda"),
        ("env/V.prepend=a", "aold aold aold aold"),
        ("env/V.default=a", "old old old old"),
        ("env/W.default=a", "a a a a"),
        ("env/W.append=a env/W.delim=:", "a a a a"),
        ("env/V.unknown=a env/V.append.bak=b", "old old old old"),
        ("env.build/V.override=a", "a old old old"),
        ("env.build/V.append=a env.build/V.delim=:", "old:a old old old"),
        ("env.build/V.prepend=a env.build/V.delim=:", "a:old old old old"),
        ("env.build/W.default=a", "a - - -"),
        ("env.launch/V.override=a", "old a a a"),
        ("env.launch/V.append=a env.launch/V.delim=:", "old old:a old:a old:a"),
        ("env.launch/V.prepend=a env.launch/V.delim=:", "old a:old a:old a:old"),
        ("env.launch/W.default=a", "- a a a"),
        ("env.launch/web/V.override=a", "old a old old"),
        ("env.launch/web/V.append=a env.launch/web/V.delim=:", "old old:a old old"),
        ("env.launch/web/V.prepend=a env.launch/web/V.delim=:", "old a:old old old"),
        ("env.launch/web/W.default=a", "- a - -"),
        // A delimiter is its folder's own.
        ("env/V.delim=: env.build/V.append=a env.launch/V.append=b", "olda oldb oldb oldb"),
        ("env.launch/V.delim=: env.launch/web/V.append=a", "old olda old old"),
        ("env/V.append=a env/V.delim=: env.launch/V.append=b env.launch/V.delim=;", "old:a old:a;b old:a;b old:a;b"),
        // The more particular comes later.
        ("env/V=a env.build/V=b env.launch/V=c env.launch/web/V=d", "b d c c"),
        ("env/V.prepend=1 env.launch/V.prepend=2 env.launch/web/V.prepend=3", "1old 321old 21old 21old"),
        ("env/V.append=1 env.build/V.append=2 env.launch/task/V.append=3", "old12 old1 old13 old1"),
        ("env/W.default=a env.build/W.default=b env.launch/W.default=c env.launch/web/W.default=d", "a a a a"),
        ("env.build/W.default=b env.launch/W.default=c env.launch/web/W.default=d", "b c c c"),
        ("env.launch/web/W.default=d env.launch/task/W.prepend=e", "- d e -"),
        ("env/W= env.launch/W.default=c env.launch/web/W.append=d env.launch/web/W.delim=:", " c:d c c"),
    ] {
        assert_eq!(made(files), expected, "{files}");
    }
}

#[test]
fn wishes_that_contradict_each_other_are_refused() {
    let launch = || EnvScope::Launch;
    let refused = |changes: &[EnvChange]| files(changes).unwrap_err().to_string();
    insta::assert_snapshot!(
        refused(&[change(launch(), EnvOp::Override, "V", "a", None), change(launch(), EnvOp::Override, "V", "b", None)]),
        @"`env.launch/V.override` is wanted twice, with different content"
    );
    insta::assert_snapshot!(
        refused(&[change(launch(), EnvOp::Append, "V", "a", Some(" ")), change(launch(), EnvOp::Prepend, "V", "b", None)]),
        @"`env.launch/V.delim` is wanted twice, with different content"
    );
    insta::assert_snapshot!(
        refused(&[change(launch(), EnvOp::Append, "V", "a", None), change(launch(), EnvOp::Default, "V", "b", None)]),
        @"append, default and override of `V` in `env.launch` undo each other: keep one of them, or put one in another scope"
    );
    let kind = EnvScope::Process("V.append".parse().unwrap());
    insta::assert_snapshot!(
        refused(&[change(launch(), EnvOp::Append, "V", "a", None), change(kind, EnvOp::Override, "W", "b", None)]),
        @"`env.launch/V.append` would be a file and the folder of a process type"
    );
    for op in [EnvOp::Default, EnvOp::Override, EnvOp::Append] {
        let pair = [change(launch(), op, "V", "a", None), change(launch(), EnvOp::Prepend, "V", "b", None)];
        assert!(files(&pair).is_ok(), "{op:?}");
    }
}

#[test]
fn limits_hold() {
    fn one(value: &str, delimiter: &str) -> Result<BTreeMap<String, Vec<u8>>, InvalidChange> {
        files(&[change(EnvScope::Both, EnvOp::Append, "V", value, Some(delimiter))])
    }
    assert!(one(&"x".repeat(MAX_VALUE), &"x".repeat(MAX_DELIMITER)).is_ok());
    insta::assert_snapshot!(one(&"x".repeat(MAX_VALUE + 1), "").unwrap_err(),
        @"the value for `V` is 65537 bytes long; at most 65536 are taken");
    insta::assert_snapshot!(one("x", &"x".repeat(MAX_DELIMITER + 1)).unwrap_err(),
        @"the delimiter for `V` is 17 bytes long; at most 16 are taken");
    insta::assert_snapshot!(one("a\0b", "").unwrap_err(),
        @"the value for `V` holds a NUL byte, which no environment can carry");
    let many: Vec<_> =
        (0..=MAX_CHANGES).map(|n| change(EnvScope::Both, EnvOp::Default, &format!("V{n}"), "", None)).collect();
    assert!(files(&many[1..]).is_ok());
    insta::assert_snapshot!(files(&many).unwrap_err(), @"a layer may change the environment 256 times, not 257 times");
    let idle = change(EnvScope::Both, EnvOp::Default, "V", "x", Some(":"));
    insta::assert_snapshot!(files(&[idle]).unwrap_err(),
        @"the delimiter for `V` has no use: only prepend and append join values");
}

#[test]
fn a_buildpack_may_not_reach_too_far() {
    let web = || EnvScope::Process("web".parse().unwrap());
    let cases = [
        (EnvScope::Both, EnvOp::Default, "LD_PRELOAD", "x", false),
        (EnvScope::Build, EnvOp::Append, "BASH_ENV", "x", false),
        (EnvScope::Launch, EnvOp::Default, "LD_PRELOAD", "/layers/x/lib/jemalloc.so", true),
        (web(), EnvOp::Append, "LD_AUDIT", "x", true),
        (EnvScope::Launch, EnvOp::Override, "PATH", "x", false),
        (web(), EnvOp::Override, "LD_LIBRARY_PATH", "x", false),
        (EnvScope::Build, EnvOp::Prepend, "PATH", "x", true),
        (EnvScope::Build, EnvOp::Append, "PATH", "", false),
        (EnvScope::Launch, EnvOp::Override, "CNB_APP_DIR", "x", false),
        (EnvScope::Both, EnvOp::Override, "JAVA_HOME", "x", true),
    ];
    for (scope, op, name, value, allowed) in cases {
        let change = change(scope, op, name, value, None);
        assert_eq!(files(std::slice::from_ref(&change)).is_ok(), allowed, "{change:?}");
    }
    let error = files(&[change(EnvScope::Both, EnvOp::Default, "LD_PRELOAD", "x", None)]).unwrap_err();
    insta::assert_snapshot!(error, @"may not default `LD_PRELOAD` in `env`: at build it would load code into the tools of other buildpacks; set it for launch");
}

#[test]
fn root_folders_come_first_on_the_search_paths() {
    let mut environment = variables(&[("PATH", "/usr/bin"), ("CPATH", "")]);
    add_root_dirs(Phase::Build, b"/layers/a/one", |_| true, &mut environment);
    add_root_dirs(Phase::Build, b"/layers/a/two", |folder| folder == "bin", &mut environment);
    let expected = variables(&[
        ("CPATH", "/layers/a/one/include"),
        ("LD_LIBRARY_PATH", "/layers/a/one/lib"),
        ("LIBRARY_PATH", "/layers/a/one/lib"),
        ("PATH", "/layers/a/two/bin:/layers/a/one/bin:/usr/bin"),
        ("PKG_CONFIG_PATH", "/layers/a/one/pkgconfig"),
    ]);
    assert_eq!(environment, expected);
    let mut environment = Variables::new();
    add_root_dirs(Phase::Launch, b"/l", |_| true, &mut environment);
    assert_eq!(environment, variables(&[("LD_LIBRARY_PATH", "/l/lib"), ("PATH", "/l/bin")]));
}
