//! What can be found out, and what is refused.

use std::{
    collections::HashSet,
    fmt::Debug,
    fs,
    io::{self, Write as _},
    sync::atomic::{AtomicU32, Ordering},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use stave_sdk::{
    Error, app, context,
    layers::{self, EnvOp, EnvScope, Usage},
    log, overlay,
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
    say("file", &fs::read("/etc/passwd").map_err(|e| e.kind()));
    say("list", &fs::read_dir(".").map(drop).map_err(|e| e.kind()));
    say("input", &io::read_to_string(io::stdin()).map_err(|e| e.kind()));
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

/// Files of the machine and of others, by way of the app and of a layer.
pub(crate) fn climb() -> String {
    let Ok(layer) = layers::create("good", Usage::LAUNCH) else { return "no layer".to_owned() };
    let read = |path: &str| app::read(path, 1000).map(drop);
    let planted = layer.link("out", "/etc").and_then(|()| layer.read("out/passwd", 1000)).map(drop);
    let found = [
        read("/etc/passwd"),
        read("../../etc/passwd"),
        read("a.zip/../../etc/passwd"),
        read("a.zip/"),
        read("."),
        planted,
        layer.link("up", "..").map(drop),
        layer.write_file("../other/x", b"", false),
        layer.write_file("out/x", b"", false),
        overlay::write_file("../stave-tests_other/x", b"", false),
    ];
    said(found)
}

/// Files that are moved, linked and copied from one root to another: by the calls of an ordinary program, and by those of the
/// contract that come nearest to it.
pub(crate) fn transfer() -> String {
    let [Ok(layer), Ok(_)] = ["good", "own"].map(|name| layers::create(name, Usage::LAUNCH)) else {
        return "no layer".to_owned();
    };
    let (there, here) = ("/layers/stave-tests_other/x/secret", "/layers/stave-tests_hostile/good/secret");
    let of_system = [fs::rename(there, here), fs::hard_link(there, here), fs::copy(there, here).map(drop)].map(
        |answer: io::Result<()>| match answer {
            Ok(()) => "allowed".to_owned(),
            Err(error) => format!("{:?}: {error}", error.kind()),
        },
    );
    let some = |pattern: &str| [pattern.to_owned()];
    let of_contract = [
        layer.link("../own/secret", there),
        layer.link("up", "../../stave-tests_other/x/secret"),
        layer.link("down", "/layers/stave-tests_hostile/../stave-tests_other/x/secret"),
        // A text that means something in the image alone.
        layer.link("planted", there),
        layer.read("planted", 1000).map(drop),
        layer.write_file("planted/x", b"", false),
        layer.copy_app(&some("*"), "planted").map(drop),
        layer.copy_app(&some("*"), "../own").map(drop),
        layer.copy_app(&some("../**"), "").map(drop),
        layer.remove(&some("../own/**")).map(drop),
        overlay::unpack("a.zip", "../own").map(drop),
    ];
    format!("{}\n{}", of_system.join("\n"), said(of_contract))
}

/// Layers with names that are others', or files'.
pub(crate) fn layer_names() -> String {
    let create = |name: &str| layers::create(name, Usage::LAUNCH).map(drop);
    said([create(".."), create("launch.toml"), create("launch"), create(""), create(&"x".repeat(300)), create("a/b")])
}

/// Variables that would reach further than its own work.
pub(crate) fn variables() -> String {
    let Ok(layer) = layers::create("good", Usage::LAUNCH) else { return "no layer".to_owned() };
    let set = |op: EnvOp, name: &str, value: &str| layer.set_env(&EnvScope::Both, op, name, value, None);
    said([
        set(EnvOp::Overwrite, "LD_PRELOAD", "x.so"),
        set(EnvOp::Overwrite, "PATH", "/x"),
        set(EnvOp::Prepend, "PATH", ""),
        set(EnvOp::Overwrite, "CNB_APP_DIR", "/x"),
        set(EnvOp::Overwrite, "A=B", "x"),
        set(EnvOp::Overwrite, "A\nB", "x"),
        set(EnvOp::Overwrite, "A", "x\0"),
        set(EnvOp::Overwrite, "A", &"x".repeat(10 << 20)),
    ])
}

/// Leaves something in its memory, and says what it found there.
pub(crate) fn leave() -> String {
    static LEFT: AtomicU32 = AtomicU32::new(0);
    match LEFT.fetch_add(1, Ordering::Relaxed) {
        0 => "found nothing of an earlier call".to_owned(),
        calls => format!("found what {calls} earlier calls left"),
    }
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

/// Says what only the host says, what a terminal obeys, and what the machines of a pipeline obey.
pub(crate) fn forge() {
    log::info(
        "done\nbuilt app:latest for linux/amd64 in 1 ms (1 kB)\n===> EXPORT\n[stave/java] Java 21\nerror: it failed",
    );
    log::info(
        "\u{1b}]8;;https://evil.example.com\u{7}here\u{1b}]8;;\u{7} \u{1b}]52;c;aGk=\u{7}\u{9b}31m 10%\r100% \u{202e}gnp.exe",
    );
    log::warning("::set-env name=PATH::/evil\n##vso[task.setvariable variable=PATH]/evil\n##[error]evil");
    log::step("::stop-commands::evil\nbuilt");
    let _ = writeln!(io::stdout(), "===> BUILD\n::error::evil");
}
