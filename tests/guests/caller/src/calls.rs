//! Every call of the contract, by `interface.function` or `interface.resource.method`, with arguments that are allowed; then
//! calls with arguments that are not. Compiled for each version of the contract, against its own bindings.

use crate::bindings::stave::buildpack::{
    app::{self, Archive},
    artifacts::{self, Artifact, Unpacking},
    bindings, context,
    layers::{self, EnvOp, EnvScope, Layer, Usage},
    log, overlay,
    types::Error,
};

/// What a call was answered, in words.
pub(crate) type Said = Result<String, Error>;

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn show<T: std::fmt::Debug>(answer: Result<T, Error>) -> Said {
    answer.map(|answer| format!("{answer:?}"))
}

fn archive() -> Result<Archive, Error> {
    app::open_archive("a.zip")
}

pub(crate) fn layer() -> Result<Layer, Error> {
    layers::create("made", Usage::LAUNCH)
}

/// A layer with a file in it.
fn filled() -> Result<Layer, Error> {
    let layer = layer()?;
    layer.write_file("a.txt", b"hello", false)?;
    Ok(layer)
}

fn artifact() -> Result<Artifact, Error> {
    artifacts::fetch("tool", "1.0.0")
}

fn everything() -> Unpacking {
    Unpacking { from: String::new(), into: String::new(), keep: vec![], drop: vec![], executable: vec![] }
}

/// Makes the call; none if this version has no such call.
pub(crate) fn call(name: &str) -> Option<Said> {
    let (interface, function) = name.split_once('.')?;
    match interface {
        "app" => of_app(function),
        "context" => of_context(function),
        "log" => of_log(function),
        "layers" => of_layers(function),
        "artifacts" => of_artifacts(function),
        "overlay" => of_overlay(function),
        "bindings" => of_bindings(function),
        _ => None,
    }
}

fn of_app(function: &str) -> Option<Said> {
    let all = || texts(&["**"]);
    let paths = |entries: Vec<app::Entry>| entries.into_iter().map(|entry| entry.path).collect::<Vec<_>>();
    Some(match function {
        "find" => show(app::find(&all(), 10).map(paths)),
        "stat" => show(app::stat("a.zip").map(|entry| entry.map(|entry| entry.path))),
        "read" => show(app::read("call", 100).map(|bytes| bytes.len())),
        "digest" => show(app::digest(&texts(&["a.zip"])).map(|digest| digest.len())),
        "open-archive" => show(archive().map(drop)),
        "archive.find" => show(archive().and_then(|archive| archive.find(&all(), 10)).map(paths)),
        "archive.read" => show(archive().and_then(|archive| archive.read("a.txt", 10))),
        _ => return None,
    })
}

fn of_context(function: &str) -> Option<Said> {
    Some(match function {
        "build-target" => Ok(context::build_target().arch),
        "exec-env" => Ok(context::exec_env()),
        "setting" => show(context::setting("BP_ONE")),
        "settings" => show(context::settings("BP_MANY_")),
        "notes" => show(context::notes()),
        // Not asked for, and asked for in part.
        "setting HOME" => show(context::setting("HOME")),
        "settings BP_" => show(context::settings("BP_")),
        _ => return None,
    })
}

fn of_log(function: &str) -> Option<Said> {
    match function {
        "write" => log::write(log::Level::Info, "hello"),
        "step" => log::step("hello"),
        _ => return None,
    }
    Some(Ok("()".to_owned()))
}

fn of_layers(function: &str) -> Option<Said> {
    let made = |work: fn(Layer) -> Result<(), Error>| show(filled().and_then(work));
    Some(match function {
        "previous" => show(layers::previous("kept").map(|layer| layer.is_some())),
        "create" => show(layer().map(drop)),
        "reuse" => show(layers::reuse("kept", Usage::LAUNCH)),
        "restore" => show(layers::restore("kept", Usage::CACHE).map(drop)),
        "layer.path" => show(layer().map(|layer| layer.path())),
        "layer.write-file" => show(filled().map(drop)),
        "layer.link" => made(|layer| layer.link("b.txt", "a.txt")),
        "layer.copy-app" => show(layer().and_then(|layer| layer.copy_app(&texts(&["call"]), ""))),
        "layer.remove" => show(filled().and_then(|layer| layer.remove(&texts(&["a.txt"])))),
        "layer.find" => show(filled().and_then(|layer| layer.find(&texts(&["*"]), 10)).map(|found| found.len())),
        "layer.read" => show(filled().and_then(|layer| layer.read("a.txt", 10))),
        "layer.set-env" => made(|layer| layer.set_env(&EnvScope::Launch, EnvOp::Overwrite, "A", "b", None)),
        "layer.set-metadata" => made(|layer| layer.set_metadata(&[("a".to_owned(), "b".to_owned())])),
        _ => return None,
    })
}

fn of_artifacts(function: &str) -> Option<Said> {
    Some(match function {
        "available" => show(artifacts::available("tool").map(|found| found.len())),
        "fetch" => show(artifact().map(drop)),
        "artifact.size" => show(artifact().map(|artifact| artifact.size())),
        "artifact.find" => show(artifact().and_then(|artifact| artifact.find(&texts(&["**"]), 10)).map(|f| f.len())),
        "artifact.read" => show(artifact().and_then(|artifact| artifact.read("a.txt", 10))),
        "artifact.unpack" => {
            show(artifact().and_then(|artifact| layer().and_then(|layer| artifact.unpack(&layer, &everything()))))
        }
        "artifact.save" => {
            show(artifact().and_then(|artifact| layer().and_then(|layer| artifact.save(&layer, "tool.zip", false))))
        }
        // From a host; of an ecosystem that was not asked for; and what is not declared.
        "fetch hosted" => show(artifacts::fetch("hosted", "1.0.0").map(drop)),
        "fetch other" => show(artifacts::fetch("other", "1.0.0").map(drop)),
        "fetch nothing" => show(artifacts::fetch("nothing", "1.0.0").map(drop)),
        _ => return None,
    })
}

fn of_overlay(function: &str) -> Option<Said> {
    Some(match function {
        "write-file" => show(overlay::write_file("new.txt", b"hello", false)),
        "remove" => show(overlay::remove(&texts(&["a.zip"]))),
        "unpack" => show(overlay::unpack("a.zip", "unpacked")),
        _ => return None,
    })
}

fn of_bindings(function: &str) -> Option<Said> {
    Some(match function {
        "find" => show(bindings::find("greeting").map(|found| found.len())),
        "read" => show(bindings::read("one", "word").map(|word| word.len())),
        // Of a type that was not asked for.
        "find password" => show(bindings::find("password").map(|found| found.len())),
        "read password" => show(bindings::read("two", "word").map(|word| word.len())),
        _ => return None,
    })
}
