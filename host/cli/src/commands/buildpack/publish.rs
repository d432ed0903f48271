//! `stave buildpack publish`: a buildpack into a registry or a layout.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use stave_archive::content::Bytes;
use stave_engine::{admission::admit, component::Description, load::LoadError};
use stave_lifecycle::image::Image;
use stave_model::{digest::Digest, manifest::Manifest, sbom};
use stave_oci::{
    component::{self, Facts, artifact, names::Name},
    index::descriptor_of,
};

use super::{
    card::Card,
    compile::{Talk, compile},
    file_name, read_component,
};
use crate::{
    args::BuildpackPublish,
    buildpacks::refused,
    commands::build::{EPOCH_VARIABLE, created},
    components::{described, means, resolve},
    exit::{EXPORT, Exit, USAGE},
    signing,
    workshop::Workshop,
};

/// Annotations that say whose buildpack it is; OCI has no words for these.
const ID: &str = "stave.buildpack.id";
const CONTRACT: &str = "stave.buildpack.contract";

pub(crate) fn run(workshop: &Workshop, arguments: &BuildpackPublish) -> Result<(), Exit> {
    let (place, name) = resolve(workshop, &arguments.reference)?;
    let key = arguments.sign.as_deref().map(|file| signing::key(workshop, file)).transpose()?;
    let created = created(None, std::env::var(EPOCH_VARIABLE).ok().as_deref())?;
    let wasm = match Path::new(&arguments.component) {
        folder if folder.is_dir() => compile(folder, Talk::All)?.wasm,
        _ => read_component(&arguments.component)?,
    };
    let Publishable { description, facts, artifact } = publishable(wasm, &arguments.component, created)?;
    if let Some(name) = name {
        check_version(&name, &description)?;
    }
    let manifest: Digest = artifact.digest();
    let resolved = component::push(&place, &artifact, &means(workshop)).map_err(|error| Exit::new(EXPORT, error))?;
    workshop.ui.say(&format!("{} is in {place}", description.manifest.title()));
    if let Some(key) = &key {
        let is_new = signing::sign(workshop, &resolved, &descriptor_of(&artifact), key)?;
        workshop.ui.say(&signing::told(&resolved, key, is_new));
    }
    Card { description: &description, resolved: &resolved, manifest, annotations: &facts.annotations, signer: None }
        .show(&workshop.ui, arguments.output)
}

/// A component as it is published.
pub(crate) struct Publishable {
    /// What it says of itself.
    pub(crate) description: Description,
    /// What its artefact says beside it.
    pub(crate) facts: Facts,
    /// The artefact.
    pub(crate) artifact: Image,
}

/// Makes the artefact of a component, which is called `name`.
pub(crate) fn publishable(wasm: Vec<u8>, name: &str, created: Option<u64>) -> Result<Publishable, Exit> {
    let description = described(&wasm, name)?;
    // What no host would run is not spread.
    admit(&description, &description.manifest.asks).map_err(|refusal| refused(name, LoadError::Refused(refusal)))?;
    let facts = Facts {
        imports: description.imports.clone(),
        exports: description.exports.clone(),
        annotations: annotations(&description.manifest),
        file: Some(file_name(&description.manifest)),
        created,
    };
    let artifact = artifact(Arc::new(Bytes::new(wasm)), description.digest, &facts);
    Ok(Publishable { description, facts, artifact })
}

/// Whoever pulls a version by its name is to get it.
fn check_version(name: &Name, description: &Description) -> Result<(), Exit> {
    let about = &description.manifest.buildpack;
    if about.version == name.version {
        return Ok(());
    }
    let message = format!("{} cannot be published as version {}", description.manifest.title(), name.version);
    Err(Exit::new(USAGE, message).hint(format!("publish it as {}:{}@{}", name.namespace, name.name, about.version)))
}

/// What lets tools list it (OCI image spec, "Pre-Defined Annotation Keys").
fn annotations(manifest: &Manifest) -> BTreeMap<String, String> {
    let about = &manifest.buildpack;
    let title = if about.name.is_empty() { about.id.as_str() } else { &about.name };
    let all = [
        ("org.opencontainers.image.title", Some(title.to_owned())),
        ("org.opencontainers.image.version", Some(about.version.to_string())),
        ("org.opencontainers.image.description", Some(about.description.clone())),
        ("org.opencontainers.image.url", Some(about.homepage.clone())),
        ("org.opencontainers.image.licenses", sbom::expression(&about.licenses)),
        (ID, Some(about.id.to_string())),
        (CONTRACT, Some(manifest.contract.clone())),
    ];
    let said = all.into_iter().filter_map(|(key, value)| Some((key, value.filter(|value| !value.is_empty())?)));
    said.map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(about: &str) -> Manifest {
        Manifest::parse(&format!("contract = \"0.1\"\n[buildpack]\nid = \"acme/x\"\nversion = \"1.4.2\"\n{about}"))
            .unwrap()
    }

    #[test]
    fn annotations_say_what_the_manifest_says() {
        let all = "name = \"X\"\ndescription = \"Does x.\"\nhomepage = \"https://x.example.com\"\nlicenses = [\"MIT\", \"ISC\"]\n";
        let shown = |manifest: &Manifest| {
            let said = annotations(manifest).into_iter().map(|(key, value)| format!("{key} = {value}"));
            said.collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(shown(&manifest(all)), @"
        org.opencontainers.image.description = Does x.
        org.opencontainers.image.licenses = (MIT) AND (ISC)
        org.opencontainers.image.title = X
        org.opencontainers.image.url = https://x.example.com
        org.opencontainers.image.version = 1.4.2
        stave.buildpack.contract = 0.1
        stave.buildpack.id = acme/x
        ");
        insta::assert_snapshot!(shown(&manifest("licenses = [\"none of yours\\n\"]")), @"
        org.opencontainers.image.title = acme/x
        org.opencontainers.image.version = 1.4.2
        stave.buildpack.contract = 0.1
        stave.buildpack.id = acme/x
        ");
    }
}
