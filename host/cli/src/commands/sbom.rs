//! `stave sbom download`: the bills of materials of an image, as files.

use std::{fs, path::Path};

use stave_lifecycle::port::{
    failure::PortError,
    observer::{Event, Level, Observer},
};
use stave_model::target::Platform;
use stave_oci::sbom;

use crate::{
    args::SbomDownload,
    exit::{ANALYZE, Exit, GENERAL, printable},
    found::Found,
    whole::write_whole,
    workshop::Workshop,
};

pub(crate) fn download(workshop: &Workshop, arguments: &SbomDownload) -> Result<(), Exit> {
    let platform = arguments.platform.clone().unwrap_or_else(Platform::of_this_machine);
    let image = Found::locate(workshop, &arguments.image)?.image(&platform)?;
    let mut warn = |error: &PortError| {
        let causes = std::iter::successors(std::error::Error::source(error), |cause| (*cause).source());
        let told = printable(&causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}")));
        workshop
            .ui
            .observe(Event::Note(Level::Warning, format!("{told}: only what the image says of its app is written")));
    };
    let bills = sbom::of(&image, Some(&workshop.results), &workshop.cancel, &mut warn);
    let bills = bills.map_err(|error| Exit::new(ANALYZE, error))?;
    if bills.is_empty() {
        let exit = Exit::new(
            ANALYZE,
            format!("{} carries no SBOM, and its base lists no packages", printable(&arguments.image)),
        );
        return Err(exit.hint("images that were built before SBOMs were written get one when they are built again"));
    }
    for (path, bytes) in &bills {
        // Every name in the path was checked where it was read: it stays below the folder.
        let file = arguments.output_dir.join(path);
        let folder = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).and_then(|()| write_whole(&file, bytes)).map_err(|error| {
            let context = format!("could not write {}", printable(&file.display().to_string()));
            Exit::new(GENERAL, anyhow::Error::new(error).context(context))
        })?;
        workshop.ui.result(&file.display().to_string());
    }
    Ok(())
}
