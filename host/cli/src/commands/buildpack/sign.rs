//! `stave buildpack sign`: a signature beside what is published already.

use serde::Serialize;
use stave_model::digest::Digest;
use stave_oci::signature;

use crate::{
    args::{BuildpackSign, Output},
    components::{means, resolve, unusable},
    exit::{Exit, GENERAL, printable},
    signing,
    workshop::Workshop,
};

/// The result for programs.
#[derive(Serialize)]
struct Signed {
    reference: String,
    digest: Digest,
    /// What cosign calls the key.
    key: String,
    /// Whether it was not signed with this key before.
    new: bool,
}

pub(crate) fn run(workshop: &Workshop, arguments: &BuildpackSign) -> Result<(), Exit> {
    let (place, _) = resolve(workshop, &arguments.reference)?;
    let key = signing::key(workshop, &arguments.key)?;
    let subject = signature::subject(&place, &means(workshop)).map_err(unusable)?;
    let place = place.pinned(subject.digest);
    let new = signing::sign(workshop, &place, &subject, &key)?;
    workshop.ui.say(&signing::told(&place, &key, new));
    match arguments.output {
        Output::Json => {
            let (reference, key) = (place.to_string(), key.public().hint());
            let signed = Signed { reference, digest: subject.digest, key, new };
            workshop.ui.result(&serde_json::to_string_pretty(&signed).map_err(|error| Exit::new(GENERAL, error))?);
        }
        Output::Text => workshop.ui.result(&printable(&place.to_string())),
    }
    Ok(())
}
