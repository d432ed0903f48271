//! A bundle taken in: its builder is kept as those are that were created here, and what it needs beside it.

use stave_lifecycle::port::observer::{Event, Level, Observer as _};
use stave_oci::{bundle, component::Place, layout};

use super::Telling;
use crate::{
    args::BundleImport,
    builder,
    exit::{ANALYZE, Exit, USAGE, printable},
    trust,
    workshop::Workshop,
};

/// Takes a bundle in.
pub(crate) fn import(workshop: &Workshop, arguments: &BundleImport) -> Result<(), Exit> {
    let name = arguments.tag.as_deref().map(builder::kept_name).transpose()?;
    if let Some(name) = name.as_deref().filter(|name| name.contains('@')) {
        let exit = Exit::new(USAGE, format!("`{name}` is not a name for a builder: it has a digest"));
        return Err(exit.hint("leave the digest away"));
    }
    // A bundle is kept as what was created here, and brings no signatures along.
    let place = layout::Place { folder: arguments.file.clone(), name: None };
    trust::lets_in_unsigned(workshop, &Place::Layout { place, digest: None }).map_err(|exit| {
        exit.hint(
            "signatures do not travel in bundles yet: a rule for oci:FILE with `unsigned = true` lets this one in",
        )
    })?;
    let builders = builder::kept_folder(workshop);
    let (ui, cancel) = (workshop.ui.as_ref(), &workshop.cancel);
    let before = builder::all_kept(workshop)?;
    let imported = bundle::import(&arguments.file, &builders, name.as_deref(), ui, cancel)
        .map_err(|error| Exit::new(ANALYZE, error))?;
    let now = imported.document.builder.digest;
    if let Some((name, old)) = before.iter().find(|(name, old)| *name == imported.name && *old != now) {
        let text = format!("{name} was {old} here, and is {now} now");
        workshop.ui.observe(Event::Note(Level::Warning, text));
    }
    let telling = Telling {
        file: printable(&arguments.file.display().to_string()),
        name: &imported.name,
        document: &imported.document,
        builder: &imported.builder,
        files: &imported.files,
        stack: imported.stack,
        size: None,
    };
    telling.tell(workshop, arguments.output)?;
    workshop.ui.say(&format!("to build with it: `stave build APP --builder {} --offline`", imported.name));
    Ok(())
}
