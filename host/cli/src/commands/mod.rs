//! One file a command.

pub(crate) mod apply;
pub(crate) mod build;
mod builder;
mod buildpack;
pub(crate) mod bundle;
mod cache;
mod clusterbuilder;
mod clusterbuildpack;
mod clusterstack;
mod clusterstore;
mod detect;
mod export;
mod image;
mod images;
pub(crate) mod import;
mod inspect;
pub(crate) mod lock;
mod plan;
mod policy;
pub(crate) mod rebase;
mod records;
pub(crate) mod resources;
mod sbom;
mod secret;
pub(crate) mod serve;
mod settings;
mod stack;
pub(crate) mod verify;

use std::{io, sync::Arc};

use clap::CommandFactory;
use stave_lifecycle::port::cancel::Cancel;

use crate::{
    args::{
        BuildCommand, BuildpackCommand, BundleCommand, CacheCommand, Cli, Command, ImagesCommand, PolicyCommand,
        SbomCommand, StackCommand,
    },
    exit::{Exit, GENERAL},
    interrupt,
    ui::Ui,
    workshop::Workshop,
};

/// Does what was typed.
pub(crate) fn run(cli: Cli, ui: &Arc<Ui>, cancel: &Cancel) -> Result<(), Exit> {
    // These need no folders and no network.
    match &cli.command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "stave", &mut io::stdout());
            return Ok(());
        }
        Command::Buildpack(BuildpackCommand::New(arguments)) => return buildpack::new::run(arguments, ui),
        Command::Buildpack(BuildpackCommand::Build(arguments)) => return buildpack::build(arguments, ui),
        Command::Buildpack(BuildpackCommand::Inspect(arguments)) => return buildpack::inspect(arguments, ui),
        _ => {}
    }
    interrupt::watch(cancel).map_err(|error| Exit::new(GENERAL, error))?;
    let is_alone = matches!(&cli.command, Command::Cache(CacheCommand::Gc(_)));
    let workshop = Workshop::open(&cli.global, Arc::clone(ui), cancel.clone(), is_alone)?;
    interrupt::wake(&workshop.client).map_err(|error| Exit::new(GENERAL, error))?;
    let done = run_in(&workshop, cli.command);
    // What was denied is worth knowing most where the run failed of it.
    workshop.keep_ledger();
    done?;
    cache::keep_small(&workshop);
    Ok(())
}

/// Does what needs a workshop.
fn run_in(workshop: &Workshop, command: Command) -> Result<(), Exit> {
    match command {
        Command::Build(BuildCommand::App(arguments)) => build::run(workshop, &arguments),
        Command::Build(BuildCommand::Records(arguments)) => records::run(workshop, &arguments),
        Command::Detect(arguments) => detect::run(workshop, &arguments),
        Command::Buildpack(BuildpackCommand::Test(arguments)) => buildpack::test::run(workshop, &arguments),
        Command::Buildpack(BuildpackCommand::Detect(arguments)) => buildpack::detect::run(workshop, &arguments),
        Command::Stack(StackCommand::Create(arguments)) => stack::create(workshop, &arguments),
        Command::Builder(arguments) => builder::run(workshop, &arguments),
        Command::Image(arguments) => image::run(workshop, &arguments),
        Command::ClusterBuilder(arguments) => clusterbuilder::run(workshop, &arguments),
        Command::ClusterStack(arguments) => clusterstack::run(workshop, &arguments),
        Command::ClusterStore(arguments) => clusterstore::run(workshop, &arguments),
        Command::ClusterBuildpack(arguments) => clusterbuildpack::run(workshop, &arguments),
        Command::Secret(arguments) => secret::run(workshop, &arguments),
        Command::Config(arguments) => settings::run(workshop, &arguments),
        Command::Import(arguments) => import::run(workshop, &arguments),
        Command::Apply(arguments) => apply::run(workshop, &arguments),
        Command::Plan(arguments) => plan::run(workshop, &arguments),
        Command::Serve(arguments) => serve::run(workshop, &arguments),
        Command::Bundle(BundleCommand::Create(arguments)) => bundle::create(workshop, &arguments),
        Command::Bundle(BundleCommand::Import(arguments)) => bundle::import(workshop, &arguments),
        Command::Lock(arguments) => lock::run(workshop, &arguments),
        Command::Policy(PolicyCommand::Explain(arguments)) => policy::explain(workshop, &arguments),
        Command::Images(arguments) => match &arguments.command {
            Some(ImagesCommand::Remove(remove)) => images::remove(workshop, remove),
            None => images::run(workshop, &arguments),
        },
        Command::Inspect(arguments) => inspect::run(workshop, &arguments),
        Command::Rebase(arguments) => rebase::run(workshop, &arguments),
        Command::Sbom(SbomCommand::Download(arguments)) => sbom::download(workshop, &arguments),
        Command::Verify(arguments) => verify::run(workshop, &arguments),
        Command::Export(arguments) => export::run(workshop, &arguments),
        Command::Buildpack(BuildpackCommand::Publish(arguments)) => buildpack::publish::run(workshop, &arguments),
        Command::Buildpack(BuildpackCommand::Dependencies(arguments)) => {
            buildpack::dependencies::run(workshop, &arguments)
        }
        Command::Buildpack(BuildpackCommand::Sign(arguments)) => buildpack::sign::run(workshop, &arguments),
        Command::Buildpack(BuildpackCommand::Pull(arguments)) => buildpack::pull::run(workshop, &arguments),
        Command::Buildpack(BuildpackCommand::Create(create)) => buildpack::namespaced::create(workshop, &create.typed),
        Command::Buildpack(BuildpackCommand::Patch(arguments)) => buildpack::namespaced::patch(workshop, &arguments),
        Command::Buildpack(BuildpackCommand::Save(arguments)) => buildpack::namespaced::save(workshop, &arguments),
        Command::Buildpack(BuildpackCommand::List(arguments)) => buildpack::namespaced::list(workshop, &arguments),
        Command::Buildpack(BuildpackCommand::Status(arguments)) => buildpack::namespaced::status(workshop, &arguments),
        Command::Buildpack(BuildpackCommand::Delete(arguments)) => buildpack::namespaced::delete(workshop, &arguments),
        Command::Buildpack(BuildpackCommand::Refresh(arguments)) => {
            buildpack::namespaced::refresh(workshop, &arguments)
        }
        Command::Cache(CacheCommand::Info(arguments)) => cache::info(workshop, &arguments),
        Command::Cache(CacheCommand::Verify(arguments)) => cache::verify(workshop, &arguments),
        Command::Cache(CacheCommand::Gc(arguments)) => cache::gc(workshop, &arguments),
        Command::Completions { .. } | Command::Buildpack(_) => Ok(()),
    }
}
