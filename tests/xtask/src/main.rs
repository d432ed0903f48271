//! The project's tasks, behind cargo aliases (`.cargo/config.toml`), so that nothing more needs installing to run them.
//!
//! `cargo demo` does the main job from nothing; `cargo story` tells what the platform does; `cargo verify` passes every check.
//! Each does its own set-up, can be repeated, and skips what is done already.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to whoever runs it")]

mod bills;
mod container;
mod demo;
mod javascript;
mod peers;
mod setup;
mod shell;
mod story;
mod verify;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK
  demo     build stave, an example app and its image, and run it (alias: cargo demo)
  story    the platform's story: an image on an outdated stack is put on the patched one (alias: cargo story)
  verify   format, lints, docs, dependency rules, all tests (alias: cargo verify)
  setup    only install what the two need
  peers    build the lifecycle, pack and crane to compare with, where Go is; print their folder; `peers oras` and `peers cosign` build these
  bills    install what checks SBOMs by the rules of their formats, where pip is; print its folder
  fuzzer   install what asks an HTTP API by its own description, where pip is; print its folder
  javascript  install what makes a component of JavaScript, where npm is; print its folder";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let done = match task.as_str() {
        "demo" => demo::run(),
        "story" => story::run(),
        "verify" => verify::run(),
        "setup" => setup::toolchain().and_then(|()| setup::packages(&setup::ALL)),
        "peers" => peers::run(std::env::args().nth(2).as_deref()),
        "bills" => bills::run(),
        "fuzzer" => bills::fuzzer(),
        "javascript" => javascript::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(3);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("caused by: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}
