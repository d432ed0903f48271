//! `stave export`: from the image store to somewhere else.

use stave_model::target::Platform;
use stave_oci::reference::Reference;

use super::build::send;
use crate::{
    args::Export,
    destination,
    exit::{Exit, USAGE},
    workshop::Workshop,
};

pub(crate) fn run(workshop: &Workshop, arguments: &Export) -> Result<(), Exit> {
    let parse = |text: &str| text.parse::<Reference>().map_err(|error| Exit::new(USAGE, error));
    let from = parse(&arguments.image)?;
    let name = arguments.tag.as_deref().map_or_else(|| Ok(from.clone()), parse)?;
    if arguments.destination.to.is_empty() && !arguments.destination.publish {
        let exit = Exit::new(USAGE, "nowhere to send the image to");
        return Err(exit.hint("add --to oci:DIR, --to docker-archive:FILE, --to docker, or --publish"));
    }
    let sinks = destination::sinks(workshop, std::slice::from_ref(&name), &arguments.destination)?;
    let platform = arguments.platform.clone().unwrap_or_else(Platform::of_this_machine);
    let image = super::inspect::from_store(workshop, &from, &platform)?;
    send(workshop, &image, &sinks)?;
    workshop.ui.result(&image.digest().to_string());
    Ok(())
}
