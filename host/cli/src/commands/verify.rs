//! `stave verify`: builds the source again and compares.

use serde::Serialize;
use stave_archive::layer::Packing;
use stave_lifecycle::{
    export::Choices,
    image::Image,
    port::{
        bases::Base,
        observer::{Event, Level, Observer},
    },
    previous::Previous,
};
use stave_model::{
    image::{created, exec_env::said_by},
    rebase::{NamedBase, named_base},
    target::Platform,
};
use stave_oci::compare::{Difference, compare};

use super::build::{self, Finished, How};
use crate::{
    args::{CreationTime, Output, Recipe, Source, Verify},
    embedded,
    exit::{ANALYZE, DIFFERS, Exit, GENERAL, USAGE, printable},
    found::Found,
    prepare::prepare,
    previous::Search,
    workshop::Workshop,
};

/// What the long help adds.
pub(crate) const HELP: &str = "\
Nothing is written but the caches. What is not said here and can be read in the image is taken from there: the base that it
stands on, its execution environment, when it was made, and whether its layers are gzip or zstd. All else must be as it was
when the image was built: the builder, the settings and bindings, which files are the app's, the process that starts, a level
of compression, and the image that the buildpacks were given back something of. Whether the base is one to stand on is not
asked: the result names it, and --run-image says which it must be. The program ends with 0 if the image is what the source
gives, byte for byte, and with 112 if it is not.";

/// The result for programs.
#[derive(Serialize)]
struct Report<'a> {
    image: &'a str,
    digest: String,
    /// What it was built again on.
    base: String,
    rebuilt: String,
    same: bool,
    difference: Option<String>,
}

pub(crate) fn run(workshop: &Workshop, arguments: &Verify) -> Result<(), Exit> {
    let platform = match &arguments.recipe.source.platform[..] {
        [] => Platform::of_this_machine(),
        [one] => one.clone(),
        _ => return Err(Exit::new(USAGE, "an image is verified for one platform at a time")),
    };
    if embedded::launcher(&platform).is_none() {
        return Err(Exit::new(USAGE, format!("there is no launcher for {platform}")));
    }
    let image = Found::locate(workshop, &arguments.image)?.image(&platform)?;
    let Recipe { source, compression, default_process, creation_time, previous_image } =
        completed(arguments.recipe.clone(), &image);
    let previous = match &previous_image {
        Some(text) => Search::named(workshop, text)?.told(workshop, &platform)?,
        None => Previous::default(),
    };
    let mut prepared = prepare(workshop, &source)?;
    if source.run_image.is_none() {
        prepared.base = base_of(workshop, &image)?;
    }
    let choices = Choices {
        default_process,
        created: build::created(creation_time, None)?,
        project: prepared.label.clone(),
        exec_env: source.exec_env(),
    };
    let previous = previous.within(&choices.exec_env);
    let how = How { packing: compression.unwrap_or_default(), clear_cache: false, previous };
    let Finished { image: ours, base, .. } = build::build_for(workshop, how, &prepared, &platform, &choices)?;
    prepared.app.keep(&workshop.results);
    let difference = compare(&image, &ours, &workshop.cancel).map_err(|error| Exit::new(ANALYZE, error))?;
    let report = Report {
        image: &arguments.image,
        digest: image.digest().to_string(),
        base: base.reference,
        rebuilt: ours.digest().to_string(),
        same: difference.is_none(),
        difference: difference.as_ref().map(ToString::to_string),
    };
    if arguments.output == Output::Json {
        workshop.ui.result(&serde_json::to_string_pretty(&report).map_err(|error| Exit::new(GENERAL, error))?);
    } else if difference.is_none() {
        let text = format!("{} is what the source gives on the base {}", arguments.image, report.base);
        workshop.ui.observe(Event::Note(Level::Info, printable(&text)));
        workshop.ui.result(&report.digest);
    }
    let Some(difference) = difference else { return Ok(()) };
    let message = format!("{} is not what the source gives", printable(&arguments.image));
    let exit = Exit::new(DIFFERS, message).detail(format!("first difference: {difference}"));
    Err(match hint(&difference) {
        Some(hint) => exit.hint(hint),
        None => exit,
    })
}

/// The recipe with what the image says of it where nothing else was typed. The process that starts is not taken over: the
/// entrypoint is what somebody who exchanges a program for another would change.
fn completed(typed: Recipe, image: &Image) -> Recipe {
    let zstd = image.layers.last().is_some_and(|layer| layer.descriptor.media_type == Packing::ZSTD.media_type());
    Recipe {
        source: Source { exec_env: typed.source.exec_env.or_else(|| said_by(&image.config)), ..typed.source },
        compression: typed.compression.or(zstd.then_some(Packing::ZSTD)),
        creation_time: typed.creation_time.or_else(|| created(&image.config).map(CreationTime::At)),
        default_process: typed.default_process,
        previous_image: typed.previous_image,
    }
}

/// The base that the image stands on, if it is still where the image says. If it is not, the builder's is all there is, and the
/// comparison tells whether that is the same.
fn base_of(workshop: &Workshop, image: &Image) -> Result<Option<Base>, Exit> {
    let Some(NamedBase { name, reference }) = named_base(&image.config) else { return Ok(None) };
    let found = Found::exactly(workshop, &reference, &image.platform);
    workshop.cancel.check()?;
    let text = match &found {
        Ok(_) => format!("base {reference}, as the image says"),
        Err(exit) => format!("the builder's base is taken, because {reference} is not to be had: {}", exit.summary()),
    };
    workshop.ui.observe(Event::Note(Level::Info, text));
    Ok(found.ok().map(|image| Base { image, name, reference }))
}

/// What could be said to remove a difference.
fn hint(difference: &Difference) -> Option<&'static str> {
    match difference {
        Difference::Base { .. } => Some("--run-image names the base that the image stands on"),
        Difference::Config { field, .. } if field.starts_with("/config/Entrypoint") => {
            Some("--default-process names the process that starts")
        }
        Difference::Manifest(_) => Some("--compression says how the layers were compressed, with which level"),
        _ => None,
    }
}
