//! The `stave` program: reads what was typed, wires the adapters together, prints, and exits.

mod alone;
mod args;
mod base;
mod bindings;
mod builder;
mod buildpacks;
mod commands;
mod components;
mod config;
mod destination;
mod document;
mod embedded;
mod endings;
mod exit;
mod fetched;
mod fixture;
mod found;
mod interrupt;
mod locked;
mod pinned;
mod platform;
mod policy;
mod prepare;
mod previous;
mod project;
mod review;
mod secret;
mod settings;
mod signing;
mod template;
mod trust;
mod ui;
mod upload;
mod watch;
mod whole;
mod workshop;

use std::{process::ExitCode, sync::Arc};

use clap::Parser;
use stave_lifecycle::port::{cancel::Cancel, failure::PortError};

use crate::{
    args::Cli,
    exit::{Exit, INTERRUPTED, USAGE},
    ui::Ui,
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is a command line that is not right.
            let code = if error.use_stderr() { USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let ui = Arc::new(Ui::new(&cli.global));
    let cancel = Cancel::new();
    let done = commands::run(cli, &ui, &cancel);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            // Whatever failed after the request to stop failed because of it.
            let exit = if cancel.is_set() { Exit::new(INTERRUPTED, PortError::cancelled()) } else { exit };
            ui.failure(&exit.render());
            ExitCode::from(exit.final_code())
        }
    }
}
