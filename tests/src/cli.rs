//! The command line: what it says of itself, what it prints for programs, and how it refuses what it cannot read.

use serde_json::Value;

use crate::support::{env::TestEnv, filters, jar};

#[test]
#[expect(clippy::too_many_lines, reason = "most of them are the help")]
fn the_help_says_what_there_is() {
    let env = TestEnv::empty();
    let help = env.run(&["--help"]).succeeds();
    insta::assert_snapshot!(help.stdout, @"
    Builds container images from apps, with buildpacks that run in a WebAssembly sandbox. No Dockerfile,
    no daemon, no root

    Usage: stave [OPTIONS] <COMMAND>

    Commands:
      build             Build an image from an app: a folder, or a jar; or look at the builds of images
                        that keep themselves up to date
      detect            Find the buildpacks that an app would be built with, and say why; nothing is
                        built
      stack             Compose stacks: the base images that apps are put on
      buildpack         Make, test, publish and inspect buildpacks; and name those that builders of a
                        namespace take
      builder           Make builders that others can use: a stack, buildpacks and what each may do, by
                        digest
      image             Wish for images that keep themselves up to date with their source, their builder
                        and their stack
      clusterbuilder    Make builders of all namespaces, which are made again when their stack or a
                        buildpack changes
      clusterstack      Name the images that builders' images stand on
      clusterstore      Name the artefacts that builders' buildpacks come from
      clusterbuildpack  Name buildpacks that builders take, each by itself
      secret            Keep logins of registries and git servers
      config            Print or set what counts for the whole platform
      import            Take over buildpacks, stores, stacks and builders that a dependency descriptor
                        names
      apply             Make resources what files say, and do what follows
      plan              Say what a change would do: which images, why, rebuilt or rebased, in which
                        order, for how long
      serve             Keep all images up to date until stopped, and serve an API
      bundle            Carry a builder and all that it needs into a place without a network, as one
                        file
      lock              Write every input of a build by digest, and show what an update changes
      policy            Show what buildpacks may do under the operator's policy, and what they did
      images            List the images in the image store, and remove some
      inspect           Show what an image is made of
      rebase            Put an image on another base, without building it again
      sbom              Take out what is known of an image's contents
      verify            Build an image's source again and compare
      export            Send an image from the image store somewhere else
      cache             Look after the cache: what it holds, whether it is sound, and what of it goes
      completions       Print completions for a shell
      help              Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Global options:
      -q, --quiet
              Say only what goes wrong

      -v, --verbose
              Say more: why each decision was made

          --no-color
              Use no colours

          --offline
              Fetch nothing: use what is in the cache, and say what is missing

          --config <FILE>
              Read this configuration instead of the one in the user's configuration folder

          --policy <FILE>
              Follow this policy instead of the configuration's: whose signature is needed, and what a
              buildpack may do by digest or signer

          --registry-ca-cert-path <FILE>
              Trust these certificate authorities of registries too: a PEM file

    Exit codes:
        0  done
        1  something else went wrong
        3  the command line or a configuration file is not right
       12  a buildpack is written for another contract
       13  a buildpack was refused: not a component, or it wants more than it is granted
       14  an input is not the one that is locked
       15  an update wants more than was accepted
       16  a signature that the policy needs is missing or wrong
       20  no buildpack takes the app
       21  no buildpack takes the app, and one failed while it looked
       22  the builder's order names a buildpack that is not there, or is not right otherwise
       32  the app, an image, a stack, a builder, a buildpack or a bundle could not be read or fetched
       33  a stack could not be composed
       51  a buildpack failed while it built
       52  the build failed otherwise
       62  the image, builder, buildpack or bundle could not be written or sent
       72  the image cannot be put on that base
      100  the one buildpack that was asked does not take the app
      112  an image is not what its source gives, or a buildpack's fixture not what is expected
      130  stopped with Ctrl-C
    ");
    let help = env.run(&["build", "-h"]).succeeds();
    insta::assert_snapshot!(help.stdout, @"
    Build an image from an app: a folder, or a jar; or look at the builds of images that keep themselves
    up to date

    Usage: stave build [OPTIONS] <PATH|JAR>
           stave build <COMMAND>

    Commands:
      list    List builds
      status  Show what a build was made of, why, and what came of it
      logs    Print a build's log, and follow it while it runs
      diff    Show what is different between two builds: inputs, layers, packages, size
      cancel  Stop a build that runs
      help    Print this message or the help of the given subcommand(s)

    Arguments:
      <PATH|JAR>  The app: its folder, or a jar (which is built as if it were unpacked)

    Options:
      -t, --tag <NAME>
              The image's name [default: the app's name]; given more than once, further names of the
              same image
      -d, --descriptor <FILE>
              The project.toml to follow [default: the app's own, if it has one]
          --include <PATTERN>
              Only files that this pattern names, as in a .gitignore, are the app's; may be given more
              than once
          --exclude <PATTERN>
              Files that this pattern names, as in a .gitignore, are not the app's; may be given more
              than once
          --ignore-file <FILE>
              A file of such patterns instead of the app's .dockerignore
          --gitignore
              Leave out too what the app's .gitignore files name, which are often the compiled files
          --builder <FILE|REF>
              The builder to build with: a builder.toml, a name, a registry reference, oci:DIR, or
              `builtin` [default: the project.toml's, else with --locked the lock's, else the
              configuration's, else the built-in one]
          --locked
              Take nothing but what the lock names: the builder's parts, what they are granted, the base
          --lock-file <FILE>
              The lock that --locked means [default: stave.lock]
          --run-image <REF|oci:DIR>
              A base image instead of the builder's stack: a registry reference, or oci:DIR
          --no-memory
              Run every buildpack, also where nothing has changed of what it read the last time
      -e, --env <NAME[=VALUE]>
              A setting for the buildpacks; without a value it is taken from the environment
          --env-file <FILE>
              A file of such settings, a line each, as docker has them; --env goes before it
          --binding <DIR>
              A service binding for the buildpacks: a folder with a file `type` and a file for each
              entry
          --bindings <DIR>
              A folder of service bindings, one in each of its folders
          --platform <OS/ARCH>
              The platforms to build for, with commas between them [default: Linux on this machine's
              architecture]
          --exec-env <NAME>
              The execution environment that the image is for: buildpacks that are for others alone are
              left out [default: production; to verify, what the image says]
          --paranoid
              Read every file of the app, also where its size, times and inode say that it is the one
              that was read before
          --compression <gzip|zstd[:LEVEL]>
              How to compress new layers: gzip or zstd, with :LEVEL for another than the usual one
              [default: gzip; to verify, what the image has]
      -D, --default-process <TYPE>
              The process that starts when none is named, instead of the buildpacks' choice
          --creation-time <SECONDS|now>
              When the image was made: seconds since 1970, or `now` [default: that of
              `SOURCE_DATE_EPOCH`, else a fixed one; to verify, what the image says]
          --previous-image <NAME|REF|oci:DIR>
              The image whose layers and notes buildpacks get back [default: for a build, the one that
              it replaces; else none]
          --clear-cache
              Use no result of earlier builds, and keep those of this one instead
          --report <FILE>
              Write a report.toml with names and digest of the image
          --to <WHERE>
              Where the image goes; may be given more than once [default: the image store; to rebase,
              where the image is; to export, none]
          --publish
              Push the image to the registry that its name begins with
      -o, --output <OUTPUT>
              How to print the result [default: text] [possible values: text, json]
      -h, --help
              Print help (see more with '--help')
      -V, --version
              Print version

    Global options:
      -q, --quiet          Say only what goes wrong
      -v, --verbose        Say more: why each decision was made
          --no-color       Use no colours
          --offline        Fetch nothing: use what is in the cache, and say what is missing
          --config <FILE>  Read this configuration instead of the one in the user's configuration folder
          --policy <FILE>  Follow this policy instead of the configuration's: whose signature is needed,
                           and what a buildpack may do by digest or signer
    ");
}

#[test]
fn every_command_has_help_and_asking_for_it_makes_no_files() {
    let env = TestEnv::empty();
    let commands: [&[&str]; 27] = [
        &["build"],
        &["detect"],
        &["stack"],
        &["stack", "create"],
        &["buildpack"],
        &["buildpack", "new"],
        &["buildpack", "build"],
        &["buildpack", "test"],
        &["buildpack", "detect"],
        &["buildpack", "inspect"],
        &["builder"],
        &["builder", "create"],
        &["builder", "inspect"],
        &["builder", "publish"],
        &["lock"],
        &["lock", "update"],
        &["lock", "diff"],
        &["policy"],
        &["policy", "explain"],
        &["images"],
        &["inspect"],
        &["rebase"],
        &["sbom"],
        &["sbom", "download"],
        &["verify"],
        &["export"],
        &["completions"],
    ];
    for command in commands {
        let help = env.run(&[command, &["--help"]].concat()).succeeds();
        assert!(help.stdout.contains(&format!("Usage: stave {}", command.join(" "))), "{}", help.stdout);
        assert_eq!(help.stderr, "");
    }
    assert!(crate::support::env::listing(env.root()).is_empty());
}

#[test]
fn shells_are_completed() {
    let env = TestEnv::empty();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = env.run(&["completions", shell]).succeeds().stdout;
        assert!(script.contains("docker-archive") || script.contains("run-image"), "{shell}: {script}");
    }
}

#[test]
fn what_is_typed_wrong_is_a_usage_error() {
    let env = TestEnv::empty();
    env.write("app.jar", jar::plain());
    let wrong: [&[&str]; 14] = [
        &[],
        &["bild"],
        &["build"],
        &["build", "app.jar", "--quiet", "--verbose"],
        &["build", "app.jar", "--to", "podman"],
        &["build", "app.jar", "--to", "oci:"],
        &["build", "app.jar", "--tag", "Not A Name"],
        &["build", "app.jar", "--tag", "spring-webdb", "--publish"],
        &["build", "app.jar", "--platform", "linux"],
        &["build", "app.jar", "--platform", "linux/s390x"],
        &["build", "app.jar", "-e", "A B=1"],
        &["build", "app.jar", "-e", "NOT_SET_ANYWHERE"],
        &["export", "app"],
        &["--config", "missing.toml", "images"],
    ];
    for arguments in wrong {
        let outcome = env.run(&[&["--offline"], arguments].concat()).ends_with(3);
        assert_eq!(outcome.stdout, "", "{arguments:?}");
        assert!(
            outcome.stderr.contains("error: ") || outcome.stderr.contains("Usage: "),
            "{arguments:?}: {}",
            outcome.stderr
        );
        env.assert_nothing_half_written();
    }
}

#[test]
fn a_configuration_is_read_strictly() {
    let env = TestEnv::empty();
    env.write("config.toml", "registry = 1\n");
    let _filters = filters::bind(&env);
    let outcome = env.run(&["images", "--config", "config.toml"]).ends_with(3);
    insta::assert_snapshot!(outcome.stderr, @"
    error: could not understand the configuration config.toml
    caused by: TOML parse error at line 1, column 1
        |
      1 | registry = 1
        | ^^^^^^^^
      unknown field `registry`, expected one of `builder`, `policy`, `registries`, `mirrors`, `namespaces`, `insecure-registries`, `cache`, `ca-bundles`, `namespace`
    ");
}

#[test]
fn results_are_for_programs_and_the_rest_is_not() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    let json = |arguments: &[&str]| -> Value {
        let outcome = env.run(arguments).succeeds();
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {}", outcome.stdout))
    };
    let built = json(&["build", "tiny.jar", "--output", "json"]);
    assert_eq!(built["image"], "tiny:latest");
    assert_eq!(built["platform"], json(&["images", "-o", "json"])[0]["platform"].clone());
    let digest = built["digest"].as_str().unwrap().to_owned();
    let about = json(&["inspect", "tiny", "-o", "json"]);
    assert_eq!((about["digest"].as_str(), &about["size"]), (Some(digest.as_str()), &built["size"]));
    assert!(json(&["images", "-o", "json"]).as_array().unwrap().iter().any(|image| image["digest"] == digest));
    assert_eq!(json(&["buildpack", "inspect", "builtin:java", "-o", "json"])["id"], "stave/java");

    let quiet = env.run(&["build", "tiny.jar", "--quiet"]).succeeds();
    assert_eq!((quiet.stdout, quiet.stderr), (format!("{digest}\n"), String::new()));
    let exported = env.run(&["export", "tiny", "--to", "oci:out"]).succeeds();
    assert_eq!(exported.result(), digest);
    crate::support::images::checked_here(&env.work().join("out"));
}

/// Layers are written beside each other, and told of as a large one begins and each ends; here they are told of by name.
fn in_order(text: &str) -> String {
    let is_of_layer = |line: &&str| line.starts_with("layer ") || line.starts_with("write the layer ");
    let mut layers: Vec<&str> = text.lines().filter(is_of_layer).collect();
    layers.sort_unstable();
    let mut layers = layers.into_iter();
    let lines = text.lines().map(|line| if is_of_layer(&line) { layers.next().unwrap_or_default() } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_build_says_what_it_does_in_plain_lines() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    let _filters = filters::bind(&env);
    let first = env.run(&["build", "tiny.jar"]).succeeds();
    assert!(!first.stderr.contains(['\u{1b}', '\r']), "{}", first.stderr);
    insta::assert_snapshot!(in_order(&first.stderr), @"
    ===> ANALYZE
    base stave.jvm-tiny:[BASE]
    ===> DETECT
    stave/java@0.1.0
    ===> BUILD
    [stave/java] • Java 25.0.2
    [stave/java] nothing says which Java, so it is the newest with long-term support; BP_JVM_VERSION chooses another
    [stave/java] • Spring Boot 3.5.0
    [stave/java] sliced into dependencies, spring-boot-loader and application
    [stave/java] starts as `java org.springframework.boot.loader.launch.JarLauncher`
    ===> EXPORT
    layer app slice 1 written ([SIZE])
    layer app slice 2 written ([SIZE])
    layer app slice 3 written ([SIZE])
    layer app written ([SIZE])
    layer bill of materials written ([SIZE])
    layer launcher config written ([SIZE])
    layer launcher written ([SIZE])
    layer process types written ([SIZE])
    layer stave/java:classpath written ([SIZE])
    layer stave/java:jre written ([SIZE])
    write the layer stave/java:jre ([SIZE])
    image tiny:latest in the image store sha256:[HEX]
    built tiny:latest for linux/amd64 in [TIME] ([SIZE])
    ");
    let again = env.run(&["build", "tiny.jar"]).succeeds();
    insta::assert_snapshot!(in_order(&again.stderr), @"
    ===> ANALYZE
    base stave.jvm-tiny:[BASE]
    ===> DETECT
    stave/java@0.1.0
    ===> BUILD
    [stave/java] • Java 25.0.2
    [stave/java] nothing says which Java, so it is the newest with long-term support; BP_JVM_VERSION chooses another
    [stave/java] • Spring Boot 3.5.0
    [stave/java] sliced into dependencies, spring-boot-loader and application
    [stave/java] starts as `java org.springframework.boot.loader.launch.JarLauncher`
    ===> EXPORT
    layer app kept from before ([SIZE])
    layer app slice 1 kept from before ([SIZE])
    layer app slice 2 kept from before ([SIZE])
    layer app slice 3 kept from before ([SIZE])
    layer bill of materials kept from before ([SIZE])
    layer launcher config kept from before ([SIZE])
    layer launcher kept from before ([SIZE])
    layer process types kept from before ([SIZE])
    layer stave/java:classpath kept from before ([SIZE])
    layer stave/java:jre kept from before ([SIZE])
    image tiny:latest in the image store sha256:[HEX]
    built tiny:latest for linux/amd64 in [TIME] ([SIZE])
    ");
    assert_eq!(first.stdout, again.stdout);
}

#[test]
fn an_image_is_shown_for_people() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    env.run(&["build", "tiny.jar"]).succeeds();
    let _filters = filters::bind(&env);
    insta::assert_snapshot!(env.run(&["inspect", "tiny"]).succeeds().stdout, @"
    tiny
      digest    sha256:[HEX]
      platform  linux/amd64
      size      [SIZE] in 12 layers
      base      stave.jvm-tiny:[BASE]
                stave.jvm-tiny:[BASE]@sha256:[HEX]

    buildpacks
      stave/java@0.1.0  layers: classpath, jre

    processes
      web (default)  java org.springframework.boot.loader.launch.JarLauncher
      executable-jar  java org.springframework.boot.loader.launch.JarLauncher
      task  java org.springframework.boot.loader.launch.JarLauncher

    labels
      io.buildpacks.base.description=Debian bookworm with nothing but what a Java runtime needs
      io.buildpacks.base.distro.name=debian
      io.buildpacks.base.distro.version=12
      io.buildpacks.base.id=stave.jvm-tiny
      io.buildpacks.project.metadata={}
      io.buildpacks.rebasable=true
      io.buildpacks.stack.id=stave.jvm-tiny
      org.opencontainers.image.title=tiny
      org.opencontainers.image.version=1.2.3
      org.springframework.boot.version=3.5.0
    ");
}
