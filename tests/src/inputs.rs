//! What goes into a build beside the buildpacks: which files are the app's, settings, what the app says of itself; and what is
//! chosen for the image.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Read as _,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
};

use serde_json::Value;
use stave_model::target::Platform;

use crate::support::{
    env::TestEnv,
    filters,
    guests::{self, guest},
    images::{checked_here, config},
    process::run,
};

/// An app that the hostile guest, which behaves when it is told nothing, builds in the wink of an eye.
fn app(env: &TestEnv) -> Vec<&'static str> {
    guests::builder(env, &guest("hostile")).to_vec()
}

/// The files and links in the image in `layout`, by absolute path; of a path that is there twice the uppermost.
fn contents(env: &TestEnv, layout: &str) -> BTreeMap<String, Vec<u8>> {
    let image = checked_here(&env.work().join(layout));
    let mut contents = BTreeMap::new();
    for layer in &image.layers {
        let mut bytes = Vec::new();
        flate2::read::MultiGzDecoder::new(layer.content.open().unwrap()).read_to_end(&mut bytes).unwrap();
        let mut rest = &bytes[..];
        // Headers of 512 bytes, then the contents in blocks of as many (POSIX, "ustar Interchange Format").
        while rest.len() >= 512 && rest[0] != 0 {
            let text =
                |bytes: &[u8]| String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap()).into_owned();
            let (name, kind) = (text(&rest[..100]), rest[156]);
            let size = usize::from_str_radix(text(&rest[124..136]).trim(), 8).unwrap();
            if matches!(kind, b'0' | b'2') {
                contents.insert(name, rest[512..512 + size].to_vec());
            }
            rest = &rest[512 + size.div_ceil(512) * 512..];
        }
    }
    contents
}

/// The files of the app in the image in `layout`.
fn files(env: &TestEnv, layout: &str) -> Vec<String> {
    contents(env, layout).into_keys().filter_map(|name| name.strip_prefix("/workspace/").map(str::to_owned)).collect()
}

/// T3.
#[test]
fn only_files_of_the_app_get_into_the_image_and_it_says_why_others_do_not() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let build = app(&env);
    env.write("app/.git/config", "[remote]");
    env.write("app/.gitignore", "target/\n");
    env.write("app/target/app.jar", "compiled");
    env.write("app/.dockerignore", "# docs\n**/*.md\n!readme.md\n.env.local\n");
    env.write("app/doc/guide.md", "");
    env.write("app/.env", "PASSWORD=x");
    env.write("app/.env.local", "PASSWORD=x");
    env.write("app/notes.txt", "");
    let mut said = String::new();
    let cases: [(&str, &[&str]); 4] = [
        ("usual", &[]),
        ("gitignore", &["--gitignore"]),
        ("exclude", &["--exclude", "*.txt", "--exclude", "/.env"]),
        ("include", &["--include", "*.jar", "--include", "readme.txt"]),
    ];
    for (name, flags) in cases {
        let out = format!("oci:{name}");
        let outcome = env.run(&[&build[..], &["--verbose", "--to", &out], flags].concat()).succeeds();
        writeln!(said, "--- {name}: {}", files(&env, name).join(" ")).unwrap();
        let of_files = |line: &&str| line.contains("left out of the app") || line.contains("secret");
        for line in outcome.stderr.lines().filter(of_files) {
            writeln!(said, "{line}").unwrap();
        }
    }
    insta::assert_snapshot!(said, @r"
    --- usual: .dockerignore .env .gitignore notes.txt readme.txt target/app.jar
    left out of the app: .env.local (`.env.local`, line 4 of app/.dockerignore)
    left out of the app: .git/ (a history of versions never gets into an image)
    left out of the app: doc/guide.md (`**/*.md`, line 2 of app/.dockerignore)
    2 files and folders are left out of the app (-v says why)
    warning: everybody who has the image can read what looks secret in the app: .env (settings, often with passwords); --exclude or a .dockerignore leaves it out
    --- gitignore: .dockerignore .env .gitignore notes.txt readme.txt
    left out of the app: .env.local (`.env.local`, line 4 of app/.dockerignore)
    left out of the app: .git/ (a history of versions never gets into an image)
    left out of the app: doc/guide.md (`**/*.md`, line 2 of app/.dockerignore)
    left out of the app: target/ (`target/`, line 1 of .gitignore)
    3 files and folders are left out of the app (-v says why)
    warning: everybody who has the image can read what looks secret in the app: .env (settings, often with passwords); --exclude or a .dockerignore leaves it out
    --- exclude: .dockerignore .gitignore target/app.jar
    left out of the app: .env (`/.env`, line 2 of --exclude)
    left out of the app: .env.local (`.env.local`, line 4 of app/.dockerignore)
    left out of the app: .git/ (a history of versions never gets into an image)
    left out of the app: doc/guide.md (`**/*.md`, line 2 of app/.dockerignore)
    left out of the app: notes.txt (`*.txt`, line 1 of --exclude)
    left out of the app: readme.txt (`*.txt`, line 1 of --exclude)
    5 files and folders are left out of the app (-v says why)
    --- include: readme.txt target/app.jar
    left out of the app: .dockerignore (--include does not name it)
    left out of the app: .env (--include does not name it)
    left out of the app: .env.local (`.env.local`, line 4 of app/.dockerignore)
    left out of the app: .git/ (a history of versions never gets into an image)
    left out of the app: .gitignore (--include does not name it)
    left out of the app: doc/ (--include does not name it)
    left out of the app: doc/guide.md (`**/*.md`, line 2 of app/.dockerignore)
    left out of the app: notes.txt (--include does not name it)
    7 files and folders are left out of the app (-v says why)
    ");
}

/// T2.
#[test]
fn a_login_in_the_sources_address_is_in_no_label() {
    let env = TestEnv::empty();
    let build = app(&env);
    let descriptor =
        "[_]\nschema-version = \"0.2\"\nsource-url = \"https://me:hunter22@git.example.com/app?token=hunter22\"\n";
    env.write("app/project.toml", descriptor);
    let outcome = env.run(&[&build[..], &["-v", "--to", "oci:out", "--report", "report.toml"]].concat()).succeeds();
    let config = config(&checked_here(&env.work().join("out")));
    let label = config["config"]["Labels"]["io.buildpacks.project.metadata"].as_str().unwrap();
    assert_eq!(label, r#"{"source":{"metadata":{"url":"https://git.example.com/app"},"type":"project"}}"#);
    let report = fs::read_to_string(env.work().join("report.toml")).unwrap();
    for text in [&config.to_string(), &outcome.stderr, &outcome.stdout, &report] {
        assert!(!text.contains("hunter22"), "{text}");
    }
    let warned = outcome.stderr.lines().filter(|line| line.contains("source-url")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(warned, @"warning: the `source-url` of app/project.toml has a login, which the image's label does not: that file still has it");
}

#[test]
fn a_descriptor_chooses_files_settings_and_buildpacks() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let build = app(&env);
    let descriptor = |more: &str| {
        let text = format!(
            "[_]\nschema-version = \"0.2\"\nversion = \"1.0\"\nlicence = \"x\"\n[io.buildpacks]\nexclude = [\"*.txt\"]\n{more}"
        );
        env.write("app/project.toml", text);
    };
    env.write("app/other", "");
    descriptor("[[io.buildpacks.build.env]]\nname = \"BP_HOSTILE\"\nvalue = \"refuse\"\n");
    let mut said = String::new();
    // The setting reaches the buildpack, and a flag goes before it.
    let refused = env.run(&[&build[..], &["--to", "oci:out"]].concat()).ends_with(21);
    assert!(refused.stderr.contains("left out of the app (-v says why)"), "{}", refused.stderr);
    let outcome = env.run(&[&build[..], &["--to", "oci:out", "--env", "BP_HOSTILE="]].concat()).succeeds();
    writeln!(said, "{}", outcome.stderr.lines().find(|line| line.starts_with("warning")).unwrap()).unwrap();
    assert_eq!(files(&env, "out"), ["other", "project.toml"]);
    let labels = &config(&checked_here(&env.work().join("out")))["config"]["Labels"];
    let project: Value = serde_json::from_str(labels["io.buildpacks.project.metadata"].as_str().unwrap()).unwrap();
    assert_eq!(project["source"]["version"]["declared"], "1.0");
    for more in [
        "[[io.buildpacks.group]]\nid = \"stave-tests/hostile\"\nversion = \"0.1.0\"\n",
        "[[io.buildpacks.group]]\nuri = \"../buildpack.wasm\"\n",
        "[[io.buildpacks.pre.group]]\nid = \"acme/none\"\n",
        "[[io.buildpacks.group]]\nuri = \"docker://registry.example.com/x\"\n",
        "[[io.buildpacks.group]]\nid = \"acme/x\"\n[io.buildpacks.group.script]\napi = \"0.10\"\ninline = \"true\"\n",
        "include = [\"a\"]\n",
    ] {
        descriptor(more);
        let outcome = env.run(&[&build[..], &["--to", "oci:out"]].concat());
        writeln!(said, "--- {}: {}\n{}", more.lines().last().unwrap(), outcome.code.unwrap(), outcome.failure())
            .unwrap();
    }
    env.write("app/project.toml", "[build]\nbuilder = \"registry.example.com/builder\"\n");
    let outcome = env.run(&["build", "app", "--to", "oci:out"]).ends_with(3);
    writeln!(said, "--- builder\n{}", outcome.failure()).unwrap();
    env.write("app/project.toml", "[_]\nschema-version = \"1.7\"\n");
    writeln!(said, "--- schema\n{}", env.run(&build).ends_with(3).failure()).unwrap();
    insta::assert_snapshot!(said, @r#"
    warning: app/project.toml has keys that mean nothing here: _.licence
    --- version = "0.1.0": 0

    --- uri = "../buildpack.wasm": 0

    --- id = "acme/none": 3
    error: app/project.toml names the buildpack acme/none, which the builder does not have
    hint: it has stave-tests/hostile@0.1.0

    --- uri = "docker://registry.example.com/x": 3
    error: app/project.toml names docker://registry.example.com/x, which is not a file: buildpacks are not fetched from registries yet
    hint: name a component's file, relative to the descriptor, or an id of the builder's

    --- inline = "true": 3
    error: app/project.toml names acme/x, which is a script: buildpacks are WebAssembly components here
    hint: a buildpack of a few lines does the same: buildpacks/README.md shows one

    --- include = ["a"]: 3
    error: could not follow app/project.toml
    caused by: it has both `include` and `exclude`; only one of them can be followed

    --- builder
    error: app/project.toml names the builder `registry.example.com/builder`, which is not a file
    hint: builders are builder.toml files here: name one with --builder FILE, or --builder builtin for the one inside this program

    --- schema
    error: could not follow app/project.toml
    caused by: its schema-version is `1.7`; 0.1, 0.2 and 0.3 are known
    "#);
}

#[test]
fn time_process_names_and_report_are_chosen() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let build = app(&env);
    let to = |layout: &'static str| ["--to", layout];
    let created =
        |layout: &str| config(&checked_here(&env.work().join(layout)))["created"].as_str().unwrap().to_owned();
    env.run(&[&build[..], &to("oci:a")].concat()).succeeds();
    env.run(&[&build[..], &to("oci:b"), &["--creation-time", "1735689599"]].concat()).succeeds();
    let mut by_epoch = env.stave(&[&build[..], &to("oci:c")].concat());
    run(by_epoch.env("SOURCE_DATE_EPOCH", "1735689599")).succeeds();
    let all = [created("a"), created("b"), created("c")];
    assert_eq!(all, ["1980-01-01T00:00:01Z", "2024-12-31T23:59:59Z", "2024-12-31T23:59:59Z"]);

    let names = ["--tag", "one", "--tag", "two:v2", "--report", "report.toml", "--clear-cache"];
    let outcome = env.run(&[&build[..], &names].concat()).succeeds();
    assert!(outcome.stderr.contains("layer app written"), "nothing is taken from earlier builds: {}", outcome.stderr);
    let report = fs::read_to_string(env.work().join("report.toml")).unwrap();
    let images = env.run(&["images"]).succeeds().stdout;
    let digests: Vec<&str> = images.lines().filter_map(|line| line.split("sha256:").nth(1)).collect();
    assert!(digests.len() == 2 && digests[0] == digests[1] && report.contains(digests[0]), "{images}{report}");

    let size = report.lines().find(|line| line.starts_with("manifest-size")).unwrap();
    let mut said = report.replace(size, "manifest-size = [N]");
    let wrong: [&[&str]; 3] = [
        &["--default-process", "worker"],
        &["--platform", "linux/amd64,linux/arm64", "--to", "docker-archive:out.tar"],
        &["--creation-time", "yesterday"],
    ];
    for flags in wrong {
        let outcome = env.run(&[&build[..], flags].concat());
        writeln!(said, "--- {}: {}\n{}", flags[0], outcome.code.unwrap(), outcome.failure()).unwrap();
    }
    let mut epoch = env.stave(&build);
    let outcome = run(epoch.env("SOURCE_DATE_EPOCH", "now"));
    writeln!(said, "--- epoch: {}\n{}", outcome.code.unwrap(), outcome.failure()).unwrap();
    insta::assert_snapshot!(said, @r#"
    [image]
    tags = ["one:latest", "two:v2"]
    digest = "sha256:[HEX]"
    manifest-size = [N]
    image-id = "sha256:[HEX]"
    --- --default-process: 62
    error: there is no process `worker` in the image
    hint: there is web

    --- --platform: 3
    error: docker-archive:out.tar holds an image of one platform, and there are 2
    hint: build for one of them, or use --publish, oci:DIR or the image store

    --- --creation-time: 3
    error: invalid value 'yesterday' for '--creation-time <SECONDS|now>': expected seconds since 1970, up to the year 9999, or `now`

    For more information, try '--help'.

    --- epoch: 3
    error: SOURCE_DATE_EPOCH is `now`, which is no instant
    hint: set it to seconds since 1970, up to the year 9999, or unset it
    "#);
}

/// The platforms and digests that `stave images` lists.
fn listed(env: &TestEnv) -> Vec<(String, String)> {
    let images: Value = serde_json::from_str(&env.run(&["images", "--output", "json"]).succeeds().stdout).unwrap();
    let text = |image: &Value, key: &str| image[key].as_str().unwrap().to_owned();
    images.as_array().unwrap().iter().map(|image| (text(image, "platform"), text(image, "digest"))).collect()
}

#[test]
fn both_platforms_are_built_in_one_run() {
    let env = TestEnv::empty();
    let both = ["linux/amd64", "linux/arm64"].map(|platform| platform.parse::<Platform>().unwrap());
    let mut build = app(&env);
    crate::support::images::small_base_for(&env, &both);
    build.extend(["--platform", "linux/amd64,linux/arm64", "--tag", "both", "--to", "store", "--to", "oci:out:both"]);
    let outcome = env.run(&[&build[..], &["--output", "json"]].concat()).succeeds();
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let kept =
        outcome.stderr.lines().filter(|line| line.starts_with("layer ") && line.contains("kept from before")).count();
    // Everything that is made of the app and by the buildpack; the launcher is each platform's own.
    assert_eq!(kept, 4, "{}", outcome.stderr);
    let platforms: Vec<(String, String)> = report["platforms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["platform"].as_str().unwrap().to_owned(), one["digest"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(listed(&env), platforms);
    for (platform, (name, digest)) in both.iter().zip(&platforms) {
        let image = crate::support::images::checked(&env.work().join("out"), platform);
        assert_eq!((&image.digest().to_string(), &platform.to_string()), (digest, name));
        let inspected = env.run(&["inspect", "both", "--platform", name, "--output", "json"]).succeeds().stdout;
        assert!(inspected.contains(digest) || inspected.contains(name), "{inspected}");
    }
    // The layout leads to an index, and that has the digest that the build answers.
    let index: Value = serde_json::from_slice(&fs::read(env.work().join("out/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(index["manifests"][0]["digest"], report["digest"]);
    assert_eq!(index["manifests"][0]["mediaType"], "application/vnd.oci.image.index.v1+json");
    // Again, and it is the same, in place of the one before.
    let again = env.run(&build).succeeds();
    assert_eq!(Value::from(again.result()), report["digest"]);
    let index: Value = serde_json::from_slice(&fs::read(env.work().join("out/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
}

/// What the image's launcher says when it is called `kind`, in the image's environment, or with the execution environment
/// `named` if that is one: the process's output, or the launcher's error.
fn launched(env: &TestEnv, layout: &str, kind: &str, named: &str) -> String {
    let files = contents(env, layout);
    let launcher = env.write(&format!("{layout}.d/launcher"), &files["/cnb/lifecycle/launcher"]);
    fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755)).unwrap();
    env.write(&format!("{layout}.d/layers/config/metadata.toml"), &files["/layers/config/metadata.toml"]);
    let mut command = env.command(&launcher);
    let config = config(&checked_here(&env.work().join(layout)));
    for entry in config["config"]["Env"].as_array().unwrap() {
        let (name, value) = entry.as_str().unwrap().split_once('=').unwrap();
        if name != "PATH" {
            command.env(name, value);
        }
    }
    let layers = env.work().join(format!("{layout}.d/layers"));
    command.arg0(kind).env("CNB_LAYERS_DIR", layers).env("CNB_APP_DIR", env.work());
    if !named.is_empty() {
        command.env("CNB_EXEC_ENV", named);
    }
    let outcome = run(&mut command);
    if outcome.code == Some(0) { outcome.stdout } else { outcome.failure().to_owned() }
}

#[test]
fn an_image_says_for_which_execution_environment_it_is() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let build = app(&env);
    let mut said = String::new();
    let cases: [(&str, &str, &[&str]); 4] = [
        ("usual", "", &[]),
        ("production", "exec-env", &[]),
        ("test", "exec-env", &["--exec-env", "test"]),
        ("plain", "", &["--exec-env", "test"]),
    ];
    for (name, word, flags) in cases {
        let (setting, to) = (format!("BP_HOSTILE={word}"), format!("oci:{name}"));
        env.run(&[&build[..], &["--env", &setting, "--to", &to], flags].concat()).succeeds();
        let config = &config(&checked_here(&env.work().join(name)))["config"];
        let variables = config["Env"].as_array().unwrap().iter().map(|entry| entry.as_str().unwrap());
        let variables = variables.filter(|entry| entry.starts_with("CNB_P") || entry.starts_with("CNB_E"));
        let labels =
            ["io.buildpacks.exec-env", "org.example.told"].map(|label| format!("{label}={}", config["Labels"][label]));
        writeln!(said, "--- {name}: {} {}", variables.collect::<Vec<_>>().join(" "), labels.join(" ")).unwrap();
        let inspected = env.run(&["inspect", &to]).succeeds().stdout;
        let about = inspected.lines().filter(|line| line.contains("exec env") || line.contains("printenv"));
        about.for_each(|line| writeln!(said, "{line}").unwrap());
    }
    // Who starts it can name another one.
    for (image, kind, named) in [
        ("production", "web", ""),
        ("production", "check", ""),
        ("production", "check", "test"),
        ("test", "web", ""),
        ("test", "check", ""),
        ("test", "check", "production"),
    ] {
        let told = launched(&env, image, kind, named);
        writeln!(said, "--- {kind} of {image}, started in `{named}`\n{}", told.trim_end()).unwrap();
    }
    insta::assert_snapshot!(said, @r#"
    --- usual: CNB_PLATFORM_API=0.14 io.buildpacks.exec-env=null org.example.told=null
    --- production: CNB_PLATFORM_API=0.15 io.buildpacks.exec-env="production" org.example.told="production"
      exec env  production
      web (default)  printenv CNB_EXEC_ENV
      check (only in test)  printenv CNB_EXEC_ENV
    --- test: CNB_PLATFORM_API=0.15 CNB_EXEC_ENV=test io.buildpacks.exec-env="test" org.example.told="test"
      exec env  test
      web (default)  printenv CNB_EXEC_ENV
      check (only in test)  printenv CNB_EXEC_ENV
    --- plain: CNB_PLATFORM_API=0.15 CNB_EXEC_ENV=test io.buildpacks.exec-env="test" org.example.told=null
      exec env  test
    --- web of production, started in ``

    --- check of production, started in ``
    error: the process `check` is not for the execution environment `production`
    hint: set CNB_EXEC_ENV to one that it is for: test
    --- check of production, started in `test`
    test
    --- web of test, started in ``
    test
    --- check of test, started in ``
    test
    --- check of test, started in `production`
    error: the process `check` is not for the execution environment `production`
    hint: set CNB_EXEC_ENV to one that it is for: test
    "#);
}

#[test]
fn a_descriptor_says_what_is_for_some_execution_environments() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let build = app(&env);
    let entry = |table: &str, more: &str| format!("[[io.buildpacks.{table}]]\n{more}\n");
    let descriptor = [
        "[_]\nschema-version = \"0.3\"\n".to_owned(),
        entry("build.env", "name = \"BP_HOSTILE\"\nvalue = \"refuse\"\nexec-env = [\"development\"]"),
        entry("build.env", "name = \"BP_HOSTILE\"\nvalue = \"exec-env\"\nexec-env = [\"test\"]"),
        entry("group", "id = \"stave-tests/hostile\"\nexec-env = [\"*\"]"),
        entry("pre.group", "uri = \"lint.wasm\"\nexec-env = [\"staging\"]"),
    ];
    env.write("app/project.toml", descriptor.concat());
    let mut said = String::new();
    for exec_env in ["production", "test", "development", "staging"] {
        let outcome = env.run(&[&build[..], &["--verbose", "--to", "oci:out", "--exec-env", exec_env]].concat());
        writeln!(said, "--- {exec_env}: {}", outcome.code.unwrap()).unwrap();
        let of_descriptor = |line: &&str| line.starts_with("left out of app/project.toml") || line.starts_with("error");
        outcome.stderr.lines().filter(of_descriptor).for_each(|line| writeln!(said, "{line}").unwrap());
    }
    insta::assert_snapshot!(said, @"
    --- production: 0
    left out of app/project.toml: the setting BP_HOSTILE (it is for the execution environment development, and this image is for production)
    left out of app/project.toml: the setting BP_HOSTILE (it is for the execution environment test, and this image is for production)
    left out of app/project.toml: the buildpack lint.wasm (it is for the execution environment staging, and this image is for production)
    --- test: 0
    left out of app/project.toml: the setting BP_HOSTILE (it is for the execution environment development, and this image is for test)
    left out of app/project.toml: the buildpack lint.wasm (it is for the execution environment staging, and this image is for test)
    --- development: 21
    left out of app/project.toml: the setting BP_HOSTILE (it is for the execution environment test, and this image is for development)
    left out of app/project.toml: the buildpack lint.wasm (it is for the execution environment staging, and this image is for development)
    error: no buildpack takes this app
    --- staging: 13
    left out of app/project.toml: the setting BP_HOSTILE (it is for the execution environment development, and this image is for staging)
    left out of app/project.toml: the setting BP_HOSTILE (it is for the execution environment test, and this image is for staging)
    error: could not load the buildpack lint.wasm
    ");
}
