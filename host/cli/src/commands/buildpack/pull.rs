//! `stave buildpack pull`: a buildpack out of a registry or a layout, into a file.

use std::path::PathBuf;

use super::{card::Card, file_name, write_whole};
use crate::{
    args::BuildpackPull,
    components::{Component, check_version, fetch, resolve},
    exit::{Exit, USAGE, printable},
    workshop::Workshop,
};

pub(crate) fn run(workshop: &Workshop, arguments: &BuildpackPull) -> Result<(), Exit> {
    let (place, name) = resolve(workshop, &arguments.reference)?;
    let Component { found, wasm, description, signer } = fetch(workshop, &place)?;
    check_version(name.as_ref(), &description)?;
    let into = arguments.into.clone().unwrap_or_else(|| PathBuf::from(file_name(&description.manifest)));
    let shown = printable(&into.display().to_string());
    write_whole(&into, &wasm)
        .map_err(|error| Exit::new(USAGE, anyhow::Error::new(error).context(format!("could not write {shown}"))))?;
    workshop.ui.say(&format!("{} is in {shown}", description.manifest.title()));
    let (resolved, manifest) = (&found.resolved, found.manifest.digest);
    Card { description: &description, resolved, manifest, annotations: &found.annotations, signer: signer.as_deref() }
        .show(&workshop.ui, arguments.output)
}
