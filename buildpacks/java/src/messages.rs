//! Everything that this buildpack says to people, in one place, so that it is one voice.
//!
//! Summaries and reasons are one line without a full stop; hints say what to do. Text from the app is escaped and cut.

use stave_sdk::Failure;

use crate::{
    detect::{BUILT_WITH, LOCATION_SETTING, VERSION_SETTING},
    jar_manifest::{self, Manifest},
    layers_index::Layer,
    program::{Facts, Jar, MAX_JARS},
    version::{Pattern, Version, Wish},
};

/// The most names that are listed.
const MAX_LISTED: usize = 5;
/// The most characters of a name that are shown.
const MAX_SHOWN: usize = 120;

/// A text from outside as it may be printed.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// `a.jar, b.jar and 3 more`.
fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(MAX_LISTED).map(|name| shown(name)).collect();
    match (shown.as_slice(), names.len().saturating_sub(MAX_LISTED)) {
        ([], _) => "nothing".to_owned(),
        ([one], _) => one.clone(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
        (all, more) => format!("{} and {more} more", all.join(", ")),
    }
}

// Detect: why not.

/// No program was found at the app's root.
pub(crate) fn nothing_to_run(facts: &Facts) -> String {
    let library = "it is a library, not a program";
    let reason = match (&facts.exploded, facts.jars.as_slice()) {
        (Some(_), []) if facts.web_archive => {
            return format!(
                "{} has no Main-Class: it is a web archive for an application server, and this buildpack brings none",
                jar_manifest::PATH
            );
        }
        (Some(_), []) => format!("{} has no Main-Class: {library}", jar_manifest::PATH),
        (None, []) => format!("no {} and no *.jar in the app's folder", jar_manifest::PATH),
        (_, [jar]) if jar.manifest.is_none() => {
            format!("{} has no {}: {library}", shown(&jar.path), jar_manifest::PATH)
        }
        (_, [jar]) => format!("{} has no Main-Class in its manifest: {library}", shown(&jar.path)),
        (_, jars) => {
            let paths: Vec<&str> = jars.iter().map(|jar| jar.path.as_str()).collect();
            format!("none of {} has a Main-Class in its manifest: they are libraries, not programs", listed(&paths))
        }
    };
    match facts.outputs.first().map(|output| shown(output)) {
        Some(output) => format!("{reason}; {output} is there: build that, or set {LOCATION_SETTING}={output}"),
        None => reason,
    }
}

/// Several jars could be started.
pub(crate) fn several_jars(paths: &[&str]) -> String {
    format!(
        "{} each have a Main-Class: choose one with {LOCATION_SETTING}={}",
        listed(paths),
        paths.first().map_or_else(String::new, |path| shown(path))
    )
}

/// There are too many to look into.
pub(crate) fn too_many_jars() -> String {
    format!("more than {MAX_JARS} *.jar in the app's folder: name the one to start with {LOCATION_SETTING}")
}

/// The user named a place with nothing to run.
pub(crate) fn nothing_at_location(location: &str, jars: &[Jar]) -> Failure {
    let place = format!("{LOCATION_SETTING}={}", shown(location));
    let paths: Vec<&str> = jars.iter().map(|jar| jar.path.as_str()).collect();
    if jars.is_empty() {
        return Failure::app(format!("{place} matches no file of the app"))
            .hint("the pattern is matched against paths from the app's folder, such as target/*.jar");
    }
    Failure::app(format!("{place} matches {}, without a Main-Class in the manifest", listed(&paths)))
        .hint("name a jar that is a program; a library has no Main-Class")
}

/// The user named a place with several programs.
pub(crate) fn several_at_location(location: &str, paths: &[&str]) -> Failure {
    let place = format!("{LOCATION_SETTING}={}", shown(location));
    Failure::app(format!("{place} matches {}, and each has a Main-Class", listed(paths)))
        .hint(format!("name one, such as {LOCATION_SETTING}={}", paths.first().map_or_else(String::new, |p| shown(p))))
}

/// The user's pattern matches too much.
pub(crate) fn too_many_at_location(location: &str) -> Failure {
    Failure::app(format!("{LOCATION_SETTING}={} matches more than {MAX_JARS} files", shown(location)))
        .hint("name one jar")
}

/// A jar that cannot be read.
pub(crate) fn damaged_jar(path: &str, why: &str) -> Failure {
    Failure::app(format!("{} is damaged", shown(path)))
        .detail(why)
        .hint("build it again, or copy it again in binary mode")
        .file(path)
}

/// The user's pattern is none.
pub(crate) fn not_a_pattern(location: &str, why: &str) -> Failure {
    Failure::app(format!("{LOCATION_SETTING}={} is not a pattern of paths", shown(location)))
        .detail(why)
        .hint("give a path or a pattern from the app's folder, such as target/*.jar")
}

/// A manifest that is too large to be one. `jar` is none for the app's own.
pub(crate) fn huge_manifest(jar: Option<&str>) -> Failure {
    let whose = jar.map_or_else(String::new, |jar| format!(" in {}", shown(jar)));
    let limit = jar_manifest::MAX_SIZE / 1024 / 1024;
    Failure::app(format!("{}{whose} is larger than {limit} MiB", jar_manifest::PATH))
        .file(jar.unwrap_or(jar_manifest::PATH))
}

/// A manifest that breaks the rules of its format. `jar` is none for the app's own.
pub(crate) fn malformed_manifest(jar: Option<&str>, malformed: jar_manifest::Malformed) -> Failure {
    let whose = jar.map_or_else(String::new, |jar| format!(" in {}", shown(jar)));
    let failure = Failure::app(format!(
        "{}{whose} is not a jar manifest: line {}: {}",
        jar_manifest::PATH,
        malformed.line,
        malformed.rule
    ));
    match jar {
        Some(jar) => failure.file(jar),
        None => failure.file(jar_manifest::PATH).line(malformed.line),
    }
}

/// What stands as the main class is none.
pub(crate) fn not_a_class(jar: Option<&str>, name: &str) -> Failure {
    Failure::app(format!("Main-Class: `{}` is not the name of a class", shown(name)))
        .hint("name the class with its package, such as org.example.Main")
        .file(jar.unwrap_or(jar_manifest::PATH))
}

/// Something that says which Java, and does not.
pub(crate) fn not_a_version(source: &str, text: &str) -> Failure {
    Failure::app(format!("`{}`, from {}, is not a version of Java", shown(text), shown(source)))
        .hint("give a version such as 21, 21.* or 21.0.8, or >=17 for the next one up")
}

// Build: the runtime.

/// The plan gives the runtime to somebody else.
pub(crate) const RUNTIME_FROM_ANOTHER: &str = "the Java runtime comes from another buildpack";

/// Which Java it is, and why.
pub(crate) fn java_chosen(version: Version, wish: Option<&Wish>, platform: &str) -> String {
    let change = format!("{VERSION_SETTING} chooses another");
    match wish {
        None => format!("nothing says which Java, so it is the newest with long-term support; {change}"),
        Some(Wish { source, .. }) if source == VERSION_SETTING => format!("chosen by {VERSION_SETTING}"),
        Some(Wish { pattern: Pattern::AtLeast(least), source }) => {
            let reason = asks(*least, source);
            if version.0 == *least {
                format!("{reason}; {change}")
            } else {
                format!("{reason}, which is not offered for {platform}, and {} is the next one up; {change}", version.0)
            }
        }
        Some(Wish { pattern, source }) => format!("{} asks for Java {pattern}; {change}", shown(source)),
    }
}

/// Who needs at least this Java.
fn asks(least: u64, source: &str) -> String {
    match source {
        BUILT_WITH => format!("the jar was built with Java {least}"),
        other => format!("{} asks for Java {least}", shown(other)),
    }
}

/// No Java that would do.
pub(crate) fn not_offered(wish: Option<&Wish>, offered: &[Version], platform: &str) -> Failure {
    let mut versions = offered.to_vec();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let texts: Vec<String> = versions.iter().map(Version::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let Some(newest) = versions.first() else {
        return Failure::buildpack(format!("no Java is offered for {platform}"));
    };
    let choose = format!("offered are {}; set {VERSION_SETTING}={}", listed(&texts), newest.0);
    match wish {
        Some(Wish { pattern: Pattern::AtLeast(least), source }) => {
            Failure::app(format!("{}, and none from {least} on is offered for {platform}", asks(*least, source)))
                .hint(format!("{choose} if the classes are compiled for it"))
        }
        Some(Wish { pattern, source }) => {
            Failure::app(format!("Java {pattern}, from {}, is not offered for {platform}", shown(source))).hint(choose)
        }
        None => Failure::buildpack(format!("no Java is offered for {platform}")),
    }
}

/// The user asks for something else than a JRE.
pub(crate) fn no_such_type(text: &str) -> Failure {
    Failure::app(format!("BP_JVM_TYPE={} is not offered: this buildpack brings runtimes (JRE) only", shown(text)))
        .hint("leave BP_JVM_TYPE out; the runtime has the modules of Java SE, jcmd, jfr and jstack")
}

/// The dependency is not what its manifest says.
pub(crate) fn no_java_in(purl: &str) -> Failure {
    Failure::buildpack(format!("{} has no bin/java where it is expected", shown(purl)))
}

// Build: the program.

/// What the second step of the build is called.
pub(crate) fn program_step(manifest: &Manifest) -> String {
    match manifest.get("Spring-Boot-Version") {
        Some(version) => format!("Spring Boot {}", shown(version)),
        None => "Executable jar".to_owned(),
    }
}

/// What will be started.
pub(crate) fn starts(command: &[String]) -> String {
    let command: Vec<String> = command.iter().map(|word| shown(word)).collect();
    format!("starts as `{}`", command.join(" "))
}

/// What the image's slices are.
pub(crate) fn slices(layers: &[Layer]) -> String {
    let names: Vec<&str> = layers.iter().filter(|layer| !layer.paths.is_empty()).map(|l| l.name.as_str()).collect();
    format!("sliced into {}", listed(&names))
}

/// The jar's index of layers cannot be used.
pub(crate) fn no_index(path: &str, why: &str) -> String {
    format!("{} cannot be used: {why}; the app becomes one layer of the image", shown(path))
}

/// A header of the manifest that has no effect.
pub(crate) fn lost_header(header: &str) -> String {
    format!(
        "{header} in the manifest has no effect, because the jar is exploded; put the jar itself into a folder and build that"
    )
}

/// A Boot jar that does not fit over its folder.
pub(crate) fn not_exploded(jar: &str, why: &str) -> Failure {
    Failure::app(format!("{} cannot be exploded in the app's folder", shown(jar)))
        .detail(why)
        .hint("build the jar itself, or a folder that holds it alone")
        .file(jar)
}

/// A setting that other buildpacks know, and why it has no effect here.
pub(crate) fn without_effect(name: &str) -> String {
    let why = match name {
        "BP_JVM_CDS_ENABLED" | "BP_JVM_AOTCACHE_ENABLED" | "BP_UNPACK_LAYOUT_ONLY" => {
            "an archive of classes is made by starting the app once, and a build starts no native program; nor does the runtime hold the archive that one would build on"
        }
        "BP_JVM_JLINK_ENABLED" => {
            "jlink is a native program, and the runtime is linked down to the modules of Java SE already"
        }
        "BP_LIVE_RELOAD_ENABLED" => "the image holds nothing that watches files",
        "BP_SPRING_CLOUD_BINDINGS_VERSION" => {
            "the library is not added; an app that wants it has it among its dependencies"
        }
        _ => "it is not known here",
    };
    format!("{name} is set, and has no effect in this buildpack: {why}")
}

/// Spring takes what was worked out ahead of time.
pub(crate) const AOT: &str = "starts with what Spring worked out ahead of time (spring.aot.enabled)";
/// There is nothing that it could take.
pub(crate) const NO_AOT: &str = "BP_SPRING_AOT_ENABLED is set, and has no effect: the jar has no META-INF/native-image, as Spring Boot's process-aot makes it";

/// The program that detect found is not there in build: an earlier buildpack took it away.
pub(crate) fn gone(reason: &str) -> Failure {
    Failure::app(format!("there is nothing left to run: {reason}"))
        .hint("an earlier buildpack changed the app; build without it, or tell it to leave the jar")
}

#[cfg(test)]
mod tests;
