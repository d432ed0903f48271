//! Buildpacks elsewhere: where a name leads, what is there, and whether it is what it says it is.

use std::sync::Arc;

use stave_engine::{
    Limits,
    component::{Description, describe},
};
use stave_lifecycle::port::{
    failure::{Fault, PortError},
    observer::{Event, Level, Observer as _},
};
use stave_oci::component::{
    self, Found, Means, Place,
    names::{Name, Nowhere},
};

use crate::{
    buildpacks::is_for_other_contract,
    exit::{ANALYZE, CONTRACT, Exit, REFUSED, USAGE, one_line, printable},
    trust,
    workshop::Workshop,
};

/// A buildpack that was found somewhere, with its bytes.
pub(crate) struct Component {
    /// Where it was found, and what its manifest says.
    pub(crate) found: Found,
    /// The component.
    pub(crate) wasm: Vec<u8>,
    /// What it says of itself.
    pub(crate) description: Description,
    /// Whose signatures were verified.
    pub(crate) signer: Option<String>,
}

/// Where a text leads, and the short name that it is, if it is one.
pub(crate) fn resolve(workshop: &Workshop, text: &str) -> Result<(Place, Option<Name>), Exit> {
    let (place, name) = workshop.config.namespaces.resolve(text).map_err(|error: Nowhere| {
        let hint = error.hint();
        let exit = Exit::new(USAGE, error);
        match hint {
            Some(hint) => exit.hint(hint),
            None => exit,
        }
    })?;
    match &place {
        Place::Registry(reference) if reference.registry.is_none() => {
            let exit = Exit::new(USAGE, format!("`{reference}` says no registry"));
            Err(exit.hint(format!("name the registry, as in registry.example.com/{}", reference.repository)))
        }
        _ => Ok((place, name)),
    }
}

/// What is needed to reach it.
pub(crate) fn means(workshop: &Workshop) -> Means {
    Means {
        registries: workshop.registries(),
        blobs: workshop.blobs.clone(),
        observer: Arc::clone(&workshop.ui) as _,
        cancel: workshop.cancel.clone(),
    }
}

/// Fetches the buildpack at `place`. It is not compiled and not run; what it imports is read from itself, and where its
/// configuration said otherwise, that is said.
pub(crate) fn fetch(workshop: &Workshop, place: &Place) -> Result<Component, Exit> {
    let limits = Limits::default();
    trust::is_asked_for(workshop, place)?;
    let found = component::find(place, limits.component_bytes as u64, &means(workshop)).map_err(unusable)?;
    let signer = trust::signers(workshop, &found.resolved, found.manifest.digest, false)?;
    let wasm = found.bytes().map_err(unusable)?;
    let description = described(&wasm, &format!("the buildpack {place}"))?;
    for text in lies(&found, &description) {
        workshop.ui.observe(Event::Note(Level::Warning, text));
    }
    Ok(Component { found, wasm, description, signer })
}

/// Refuses what a name leads to if it is another version than the name says.
pub(crate) fn check_version(name: Option<&Name>, description: &Description) -> Result<(), Exit> {
    let about = &description.manifest.buildpack;
    match name.filter(|name| name.version != about.version) {
        None => Ok(()),
        Some(name) => {
            let message = format!("`{name}` leads to {}, which is another version", description.manifest.title());
            Err(Exit::new(REFUSED, message).hint("whoever published it there did not use stave, or moved its tag"))
        }
    }
}

/// What a component says of itself; `name` is what it is called in words.
pub(crate) fn described(wasm: &[u8], name: &str) -> Result<Description, Exit> {
    describe(wasm, &Limits::default()).map_err(|error| {
        let code = if is_for_other_contract(&error) { CONTRACT } else { REFUSED };
        let context = format!("could not use {}", printable(name));
        Exit::new(code, anyhow::Error::new(error).context(context))
    })
}

/// In which sentences a configuration is contradicted.
fn lies(found: &Found, description: &Description) -> Vec<String> {
    let Some(denial) = found.claims.as_ref().and_then(|claims| claims.denied_by(&description.imports)) else {
        return Vec::new();
    };
    let list = |names: &[String]| {
        let shown: Vec<String> = names.iter().take(5).map(|name| one_line(name, 100)).collect();
        let more = names.len() - shown.len();
        if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
    };
    let mut said = Vec::new();
    if !denial.hidden.is_empty() {
        said.push(format!("the registry's configuration of it hides that it imports {}", list(&denial.hidden)));
    }
    if !denial.invented.is_empty() {
        said.push(format!(
            "the registry's configuration of it says that it imports {}, and it does not",
            list(&denial.invented)
        ));
    }
    said
}

/// What could not be fetched, and what was and is not to be taken, are told apart.
pub(crate) fn unusable(error: PortError) -> Exit {
    let is_refused = matches!(error.fault, Fault::InvalidInput | Fault::TooLarge | Fault::Integrity);
    Exit::new(if is_refused { REFUSED } else { ANALYZE }, error)
}
