//! What can be found out, and what is refused.

use std::{
    collections::HashSet,
    fmt::Debug,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use stave_sdk::{
    Error, context,
    layers::{self, EnvOp, EnvScope, Usage},
    overlay,
};

/// Everything that an ordinary program can learn of where and when it runs.
pub(crate) fn world() -> String {
    let begin = Instant::now();
    let order: Vec<u32> = (0..8).collect::<HashSet<u32>>().into_iter().collect();
    let mut lines = Vec::new();
    let mut say = |what: &str, found: &dyn Debug| lines.push(format!("{what}: {found:?}"));
    say("time", &SystemTime::now().duration_since(UNIX_EPOCH));
    say("since", &begin.elapsed());
    say("random order", &order);
    say("arguments", &std::env::args().collect::<Vec<_>>());
    say("environment", &std::env::vars().collect::<Vec<_>>());
    say("folder", &std::env::current_dir().map_err(|e| e.kind()));
    say("file", &std::fs::read("/etc/passwd").map_err(|e| e.kind()));
    say("list", &std::fs::read_dir(".").map(drop).map_err(|e| e.kind()));
    say("input", &std::io::read_to_string(std::io::stdin()).map_err(|e| e.kind()));
    lines.join("\n")
}

/// Settings that it did not ask for, and the build's work in detect.
pub(crate) fn denied() -> String {
    let found = [
        context::setting("HOME").map(drop),
        layers::create("x", Usage::LAUNCH).map(drop),
        overlay::write_file("x", b"", false).map(drop),
    ];
    said(found)
}

/// Names that climb, cut or escape.
pub(crate) fn names() -> String {
    let Ok(layer) = layers::create("good", Usage::LAUNCH) else { return "no layer".to_owned() };
    let set = |scope: &EnvScope, name: &str| layer.set_env(scope, EnvOp::Overwrite, name, "x", None);
    let found = [
        layers::create("../x", Usage::LAUNCH).map(drop),
        layers::create("good", Usage::LAUNCH).map(drop),
        layer.write_file("../x", b"", false),
        layer.write_file("/x", b"", false),
        layer.write_file("a\u{1b}[2J\0", b"", false),
        layer.link("x", "../../x"),
        set(&EnvScope::Both, "A=B"),
        set(&EnvScope::Process("../x".to_owned()), "A"),
    ];
    said(found)
}

fn said<const N: usize>(found: [Result<(), Error>; N]) -> String {
    let lines = found.map(|answer| match answer {
        Ok(()) => "allowed".to_owned(),
        Err(Error { fault, message, hint }) => {
            format!("{fault:?}: {message}{}", hint.map(|hint| format!(" ({hint})")).unwrap_or_default())
        }
    });
    lines.join("\n")
}
