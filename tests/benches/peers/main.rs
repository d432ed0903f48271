//! Stave beside the tools of the field, on the same work, in the same run, on the same machine: a table for `host/README.md`.
//!
//! `cargo bench-peers` prints it, `cargo bench-peers -- B2 B5` only those rows; `tests/benches/README.md` says what each row is.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and ends where it cannot go on")]

mod builds;
mod corpus;
mod creator;
mod decide;
mod export;
mod gauge;
mod machine;
mod memory;
mod moves;
#[expect(dead_code, reason = "what the tests share is more than a benchmark needs")]
#[path = "../../src/support/mod.rs"]
mod support;
mod table;
mod wire;
mod world;

use std::process::ExitCode;

/// Names of rows, and what measures them.
type Scenario = (&'static [&'static str], fn(&world::World, &dyn Fn(&str) -> bool));

const SCENARIOS: [Scenario; 5] = [
    (&["B1", "B2", "B3"], builds::run),
    (&["B4", "B8"], moves::run),
    (&["B5", "B12"], decide::run),
    (&["B6", "B9"], export::run),
    (&["B9"], memory::run),
];

fn main() -> ExitCode {
    if let Some(code) = gauge::run_if_asked() {
        return code;
    }
    // `cargo test --benches` and `cargo bench -- --list` are not asked to wait for minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked.eq_ignore_ascii_case(name));
    let world = world::World::new();
    if world.is_small {
        println!("Small inputs and few runs: these figures say nothing.\n");
    }
    table::head();
    for (names, run) in SCENARIOS {
        if names.iter().any(|name| wanted(name)) {
            run(&world, &wanted);
        }
    }
    for note in world.notes() {
        println!("\n{note}");
    }
    ExitCode::SUCCESS
}
