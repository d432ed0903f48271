//! `stave verify`: builds the source again and compares.

use serde::Serialize;
use stave_lifecycle::{
    export::Choices,
    port::observer::{Event, Level, Observer},
    previous::Previous,
};
use stave_model::target::Platform;
use stave_oci::compare::{Difference, compare};

use super::build::{self, How};
use crate::{
    args::{Output, Verify},
    embedded,
    exit::{ANALYZE, DIFFERS, Exit, GENERAL, USAGE, printable},
    found::Found,
    prepare::prepare,
    workshop::Workshop,
};

/// What the long help adds.
pub(crate) const HELP: &str = "\
Nothing is written but the caches. The builder, the base and the settings must be those that the image was built with; a
base that was replaced since is named with --run-image NAME@DIGEST, as `stave inspect` shows it. The program ends with 0
if the image is what the source gives, byte for byte, and with 112 if it is not.";

/// The result for programs.
#[derive(Serialize)]
struct Report<'a> {
    image: &'a str,
    digest: String,
    rebuilt: String,
    same: bool,
    difference: Option<String>,
}

pub(crate) fn run(workshop: &Workshop, arguments: &Verify) -> Result<(), Exit> {
    let platform = match &arguments.source.platform[..] {
        [] => Platform::of_this_machine(),
        [one] => one.clone(),
        _ => return Err(Exit::new(USAGE, "an image is verified for one platform at a time")),
    };
    if embedded::launcher(&platform).is_none() {
        return Err(Exit::new(USAGE, format!("there is no launcher for {platform}")));
    }
    let image = Found::locate(workshop, &arguments.image)?.image(&platform)?;
    let prepared = prepare(workshop, &arguments.source)?;
    let choices = Choices { default_process: None, created: None, project: prepared.label.clone() };
    let how = How { packing: arguments.compression, clear_cache: false, previous: Previous::default() };
    let ours = build::build_for(workshop, how, &prepared, &platform, &choices)?.image;
    prepared.app.keep(&workshop.results);
    let difference = compare(&image, &ours, &workshop.cancel).map_err(|error| Exit::new(ANALYZE, error))?;
    let report = Report {
        image: &arguments.image,
        digest: image.digest().to_string(),
        rebuilt: ours.digest().to_string(),
        same: difference.is_none(),
        difference: difference.as_ref().map(ToString::to_string),
    };
    if arguments.output == Output::Json {
        workshop.ui.result(&serde_json::to_string_pretty(&report).map_err(|error| Exit::new(GENERAL, error))?);
    } else if difference.is_none() {
        workshop.ui.observe(Event::Note(Level::Info, format!("{} is what the source gives", arguments.image)));
        workshop.ui.result(&report.digest);
    }
    let Some(difference) = difference else { return Ok(()) };
    let is_base = matches!(difference, Difference::Base { .. });
    let message = format!("{} is not what the source gives", printable(&arguments.image));
    let exit = Exit::new(DIFFERS, message).detail(format!("first difference: {difference}"));
    Err(if is_base { exit.hint("--run-image names the base that the image stands on") } else { exit })
}
