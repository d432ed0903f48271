//! `stave sbom download`: the bills of materials within an image, as files.

use std::{fs, path::Path};

use stave_model::target::Platform;
use stave_oci::sbom;

use crate::{
    args::SbomDownload,
    exit::{ANALYZE, Exit, GENERAL, printable},
    found::Found,
    workshop::Workshop,
};

pub(crate) fn download(workshop: &Workshop, arguments: &SbomDownload) -> Result<(), Exit> {
    let platform = arguments.platform.clone().unwrap_or_else(Platform::of_this_machine);
    let image = Found::locate(workshop, &arguments.image)?.image(&platform)?;
    let bills = sbom::read(&image).map_err(|error| Exit::new(ANALYZE, error))?.ok_or_else(|| {
        Exit::new(ANALYZE, format!("{} carries no SBOM", printable(&arguments.image)))
            .hint("images that were built before SBOMs were written get one when they are built again")
    })?;
    for (path, bytes) in &bills {
        // Every name in the path was checked where it was read: it stays below the folder.
        let file = arguments.output_dir.join(path);
        let folder = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).and_then(|()| fs::write(&file, bytes)).map_err(|error| {
            let context = format!("could not write {}", printable(&file.display().to_string()));
            Exit::new(GENERAL, anyhow::Error::new(error).context(context))
        })?;
        workshop.ui.result(&file.display().to_string());
    }
    Ok(())
}
