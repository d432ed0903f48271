//! Build: the runtime's layer, the exploded jar, and what the image starts.

use stave_sdk::{
    Failure, Fault, Report, Requirement, app, context,
    layers::{self, EnvScope, Usage},
    log, overlay,
};

use crate::{
    classes, detect,
    jar_manifest::is_inside,
    layers_index::{self, Layer},
    messages,
    program::{Declined, Program},
    runtime,
    start::{self, Form},
};

/// Settings of other Java buildpacks that have no effect here. Each must be said, lest someone wait for it.
const WITHOUT_EFFECT: [&str; 6] = [
    "BP_JVM_AOTCACHE_ENABLED",
    "BP_JVM_CDS_ENABLED",
    "BP_JVM_JLINK_ENABLED",
    "BP_LIVE_RELOAD_ENABLED",
    "BP_SPRING_CLOUD_BINDINGS_VERSION",
    "BP_UNPACK_LAYOUT_ONLY",
];
/// Whether Spring takes what was worked out ahead of time.
const AOT_SETTING: &str = "BP_SPRING_AOT_ENABLED";
/// What Spring's processing leaves in a jar.
const AOT_TRACES: [&str; 2] = ["META-INF/native-image/**", "BOOT-INF/classes/META-INF/native-image/**"];

/// Does the work.
pub(crate) fn run(requirements: &[Requirement]) -> Result<Report, Failure> {
    let program = match detect::find()? {
        Ok(program) => program,
        Err(Declined::Fail(failure)) => return Err(failure),
        Err(Declined::Skip(reason)) => return Err(messages::gone(&reason)),
    };
    for name in WITHOUT_EFFECT {
        if is_on(name)? {
            log::warning(&messages::without_effect(name));
        }
    }
    runtime::contribute(requirements)?;
    let form = start::form(&program);
    log::step(&messages::program_step(&program.manifest));
    let slices = slices(&program, &form)?;
    if let Form::Explode(jar) = &form {
        let files = overlay::unpack(jar, "").map_err(|error| not_unpacked(jar, error))?;
        log::info(&format!("{}: exploded into {files} files", messages::shown(jar)));
    }
    let layer = layers::create("classpath", Usage::LAUNCH)?;
    if let Some(class_path) = start::class_path(&program, &form) {
        layer.prepend_env(&EnvScope::Launch, "CLASSPATH", &class_path, ":")?;
    }
    // Here and not in the runtime's layer, which all apps share.
    let count = classes::in_app()?;
    layer.default_env(&EnvScope::Launch, "BPI_APPLICATION_CLASS_COUNT", &count.to_string())?;
    if is_on(AOT_SETTING)? {
        if program.manifest.spring_boot().is_some() && !app::find(&AOT_TRACES, 1)?.is_empty() {
            layer.default_env(&EnvScope::Launch, "BPL_SPRING_AOT_ENABLED", "true")?;
            log::info(messages::AOT);
        } else {
            log::warning(messages::NO_AOT);
        }
    }
    let processes = start::processes(&program, &form);
    log::info(&messages::starts(&processes[0].command));
    for header in start::lost(&program, &form) {
        log::warning(&messages::lost_header(header));
    }
    Ok(Report { processes, slices, labels: start::labels(&program.manifest), ..Report::default() })
}

/// Whether a switch is set.
fn is_on(name: &str) -> Result<bool, Failure> {
    let off = |value: &str| ["", "false", "0", "no"].iter().any(|off| value.eq_ignore_ascii_case(off));
    Ok(context::setting(name)?.is_some_and(|value| !off(value.trim())))
}

/// The slices: a Spring Boot jar's own layers, else the libraries beside a plain jar. They only save work, so an index
/// that cannot be used is said and left aside.
fn slices(program: &Program, form: &Form) -> Result<Vec<Vec<String>>, Failure> {
    let Some(index) = program.manifest.spring_boot().and(program.manifest.get("Spring-Boot-Layers-Index")) else {
        return Ok(start::library_slices(program));
    };
    if !is_inside(index) {
        log::warning(&messages::no_index(index, "it is not a path within the jar"));
        return Ok(Vec::new());
    }
    let bytes = match form {
        Form::Explode(jar) => app::open_archive(jar)?.read_file(index, layers_index::MAX_SIZE),
        Form::Exploded | Form::Jar(_) => app::read(index, layers_index::MAX_SIZE),
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) if error.fault == Fault::TooLarge => {
            log::warning(&messages::no_index(index, "it is larger than 1 MiB"));
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    match read_index(index, bytes) {
        Ok(layers) => {
            log::info(&messages::slices(&layers));
            Ok(layers_index::slices(&layers))
        }
        Err(warning) => {
            log::warning(&warning);
            Ok(Vec::new())
        }
    }
}

/// The index, or the sentence that says why it cannot be used.
fn read_index(path: &str, bytes: Option<Vec<u8>>) -> Result<Vec<Layer>, String> {
    let bytes = bytes.ok_or_else(|| messages::no_index(path, "it is not there"))?;
    let text = String::from_utf8(bytes).map_err(|_| messages::no_index(path, "it is not UTF-8"))?;
    let wrong = |wrong: layers_index::Malformed| format!("line {}: {}", wrong.line, wrong.rule);
    layers_index::parse(&text).map_err(|malformed| messages::no_index(path, &wrong(malformed)))
}

fn not_unpacked(jar: &str, error: stave_sdk::Error) -> Failure {
    match error.fault {
        Fault::Integrity | Fault::Unsupported => messages::damaged_jar(jar, &error.message),
        // A file of the jar that the app has already, or a name that leads out of it.
        Fault::InvalidInput | Fault::TooLarge => messages::not_exploded(jar, &error.message),
        Fault::Denied | Fault::NotFound | Fault::Network | Fault::Io => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_cannot_be_used_is_said() {
        let said = |bytes: Option<&[u8]>| read_index("BOOT-INF/layers.idx", bytes.map(<[u8]>::to_vec)).unwrap_err();
        insta::assert_snapshot!([said(None), said(Some(b"\xff")), said(Some(b"rubbish"))].join("\n"), @"
        BOOT-INF/layers.idx cannot be used: it is not there; the app becomes one layer of the image
        BOOT-INF/layers.idx cannot be used: it is not UTF-8; the app becomes one layer of the image
        BOOT-INF/layers.idx cannot be used: line 1: it is neither a layer nor a path; the app becomes one layer of the image
        ");
        let layers = read_index("x", Some(b"- \"a\":\n  - \"b/\"\n".to_vec()));
        assert_eq!(layers, Ok(vec![Layer { name: "a".to_owned(), paths: vec!["b".to_owned()] }]));
    }

    #[test]
    fn a_jar_that_cannot_be_exploded_is_the_apps_failure() {
        use stave_sdk::{Blame, Error};
        let blame = |fault| not_unpacked("a.jar", Error { fault, message: String::new(), hint: None }).blame;
        for fault in [Fault::Integrity, Fault::Unsupported, Fault::InvalidInput, Fault::TooLarge] {
            assert_eq!(blame(fault), Blame::App, "{fault:?}");
        }
        assert_eq!(blame(Fault::Denied), Blame::Environment);
    }
}
