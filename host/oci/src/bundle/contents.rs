//! What is in a bundle that was taken apart: whether it is all that its index leads to and nothing else, and whether its parts
//! are those that its document names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::Path,
};

use serde::Deserialize;
use serde_json::Value;
use stave_lifecycle::{
    image::{self, Descriptor, Image, MANIFEST},
    port::failure::{Fault, PortError},
};
use stave_model::{bundle::Bundle, digest::Digest};

use super::{ARTIFACT, CONFIG, FILE, INDEX, Imported, MARKER, Names, NotABundle, read::Trouble};
use crate::{
    builder,
    component::Place,
    json::{self, MAX_DOCUMENT},
    layout::{self, Layout, named, read},
    manifest::{self, MAX_ENTRIES, MAX_LAYERS, is_index},
    reference::Reference,
};

/// The manifest of the bundle itself.
#[derive(Deserialize)]
struct RawManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// A bundle's files in a folder, and the sizes of its blobs.
struct Apart<'a> {
    folder: &'a Path,
    sizes: &'a BTreeMap<Digest, u64>,
}

/// Understands what is in `folder`. The answer has the entries for the index of the layout `builders`, in which the builder will be
/// called `name`, or as it is called in the bundle.
pub(super) fn understand(
    folder: &Path,
    sizes: &BTreeMap<Digest, u64>,
    builders: &Path,
    name: Option<&str>,
) -> Result<(Imported, Vec<Value>), Trouble> {
    let apart = Apart { folder, sizes };
    apart.check_marker()?;
    let layout = apart.layout(None)?;
    let entries = apart.entries()?;
    let own = entries.iter().filter(|entry| entry["artifactType"] == ARTIFACT).collect::<Vec<_>>();
    let [own] = own[..] else { return Err(NotABundle::Index("it does not list one document of a bundle").into()) };
    let RawManifest { config, layers } = apart.manifest(&layout, &descriptor(own)?)?;
    let document = apart.document(&layout, &config)?;
    let files: BTreeSet<Digest> = layers.iter().map(|layer| layer.digest).collect();
    if files != document.files() || files.len() != layers.len() {
        return Err(NotABundle::Parts("its layers are not the dependencies that its document names").into());
    }
    let names = Names::of(&document.builder.name);
    check_names(&entries, &names)?;
    apart.check_whole(&layout, &entries)?;
    let called = name.unwrap_or(&document.builder.name).to_owned();
    check_name(&called)?;
    let found = apart.builder(&names, &document, builders, &called)?;
    if found.builder.stack.repository.is_none()
        == entries.iter().any(|entry| named(entry) == Some(names.stack.as_str()))
    {
        return Err(
            NotABundle::Parts("images of its stack are where they should not be, or not where they should").into()
        );
    }
    let stack = apart.stack(&names, &document, &found)?;
    let entries = entries.iter().map(|entry| renamed(entry, &names, &called)).collect::<Result<_, _>>()?;
    let files = layers.iter().map(|layer| (layer.digest, layer.size)).collect();
    Ok((Imported { document, name: called, builder: found.builder, files, stack }, entries))
}

/// A name that `stave build --builder` finds: no digest stands in it that would not be compared.
fn check_name(name: &str) -> Result<(), NotABundle> {
    let reference = name.parse::<Reference>().ok();
    let is_one = reference.is_some_and(|reference| reference.digest.is_none() && reference.to_string() == name);
    if is_one { Ok(()) } else { Err(NotABundle::Parts("the name of its builder is none that a builder has")) }
}

/// An entry under its new name, with nothing of the old one that a kept builder's has not.
fn renamed(entry: &Value, old: &Names, called: &str) -> Result<Value, NotABundle> {
    let descriptor = descriptor(entry)?;
    if ![MANIFEST, image::INDEX].contains(&descriptor.media_type.as_str()) {
        return Err(NotABundle::Index("what it lists is neither a manifest nor an index"));
    }
    let new = Names::of(called);
    let at = old.all().iter().position(|name| named(entry) == Some(*name)).unwrap_or(0);
    let mut listed = layout::entry(&descriptor, None, Some(new.all()[at]));
    if let Some(kind) = [ARTIFACT, builder::ARTIFACT].into_iter().find(|kind| entry["artifactType"] == *kind) {
        listed["artifactType"] = Value::from(kind);
    }
    Ok(listed)
}

/// Every name is one of the bundle's, and there once; builder and document are there.
fn check_names(entries: &[Value], names: &Names) -> Result<(), NotABundle> {
    let listed: Vec<Option<&str>> = entries.iter().map(named).collect();
    let count = |name: &str| listed.iter().filter(|listed| **listed == Some(name)).count();
    if !listed.iter().all(|listed| listed.is_some_and(|name| names.all().contains(&name))) {
        return Err(NotABundle::Index("it lists what is no part of one"));
    }
    match (count(&names.builder), count(&names.bundle), count(&names.stack)) {
        (1, 1, 0 | 1) => Ok(()),
        _ => Err(NotABundle::Index("it does not list one builder and one document of a bundle")),
    }
}

fn descriptor(value: &Value) -> Result<Descriptor, NotABundle> {
    Descriptor::deserialize(value).map_err(|_| NotABundle::Index("what it lists has no media type, digest or size"))
}

fn unreadable(what: impl Into<String>) -> impl FnOnce(json::JsonError) -> NotABundle {
    let what = what.into();
    move |cause| NotABundle::Json { what, cause }
}

impl Apart<'_> {
    fn layout(&self, name: Option<&str>) -> Result<Layout, PortError> {
        Layout::open(layout::Place { folder: self.folder.to_owned(), name: name.map(str::to_owned) })
    }

    /// Another layout is said to be one before it is opened as such.
    fn check_marker(&self) -> Result<(), Trouble> {
        let bytes = File::open(self.folder).and_then(|folder| read(&folder, MARKER)).map_err(Trouble::Disk)?;
        let marker = json::value(&bytes).map_err(unreadable("its `oci-layout`"))?;
        if marker["imageLayoutVersion"] == layout::VERSION { Ok(()) } else { Err(NotABundle::Marker.into()) }
    }

    /// What the index lists.
    fn entries(&self) -> Result<Vec<Value>, Trouble> {
        let bytes = File::open(self.folder).and_then(|folder| read(&folder, INDEX)).map_err(Trouble::Disk)?;
        let index = json::value(&bytes).map_err(unreadable("its index"))?;
        manifest::check_count("entries", index.get("manifests"), MAX_ENTRIES).map_err(NotABundle::from)?;
        let entries = index.get("manifests").and_then(Value::as_array).cloned();
        Ok(entries.ok_or(NotABundle::Index("it lists nothing"))?)
    }

    /// A document that something leads to.
    fn bytes(&self, layout: &Layout, promised: &Descriptor) -> Result<Vec<u8>, Trouble> {
        self.check_size(promised)?;
        manifest::check_size("the document", promised, MAX_DOCUMENT).map_err(NotABundle::from)?;
        Ok(layout.document(promised)?)
    }

    fn check_size(&self, promised: &Descriptor) -> Result<(), NotABundle> {
        let Descriptor { digest, size: said, .. } = promised;
        match self.sizes.get(digest) {
            None => Err(NotABundle::Missing(digest.to_string())),
            Some(size) if size != said => Err(NotABundle::Size { digest: *digest, size: *size, said: *said }),
            Some(_) => Ok(()),
        }
    }

    fn manifest(&self, layout: &Layout, promised: &Descriptor) -> Result<RawManifest, Trouble> {
        let value = json::value(&self.bytes(layout, promised)?).map_err(unreadable("its manifest"))?;
        manifest::check_count("layers", value.get("layers"), stave_model::bundle::MAX_DEPENDENCIES)
            .map_err(NotABundle::from)?;
        let is_bundle = value["artifactType"] == ARTIFACT && promised.media_type == MANIFEST;
        let raw = RawManifest::deserialize(value)
            .map_err(|error| unreadable("its manifest")(json::JsonError::Malformed(error)))?;
        let is_bundle = is_bundle && raw.config.media_type == CONFIG;
        if !is_bundle || raw.layers.iter().any(|layer| layer.media_type != FILE) {
            return Err(NotABundle::Index("what it lists as the document of a bundle is something else").into());
        }
        Ok(raw)
    }

    fn document(&self, layout: &Layout, promised: &Descriptor) -> Result<Bundle, Trouble> {
        let value = json::value(&self.bytes(layout, promised)?).map_err(unreadable("its document"))?;
        Ok(Bundle::read(value).map_err(NotABundle::Document)?)
    }

    /// Follows everything that the index leads to. What is not there, and what is there and not led to, is refused.
    fn check_whole(&self, layout: &Layout, entries: &[Value]) -> Result<(), Trouble> {
        let mut waiting = entries.iter().map(descriptor).collect::<Result<Vec<_>, _>>()?;
        let mut seen = BTreeSet::new();
        while let Some(next) = waiting.pop() {
            self.check_size(&next)?;
            let leads_on = next.media_type == MANIFEST
                || next.media_type == manifest::DOCKER_MANIFEST
                || is_index(&next.media_type);
            // Somebody may lead to one blob as a document and as something else.
            if !seen.insert((next.digest, leads_on)) || !leads_on {
                continue;
            }
            let value = json::value(&self.bytes(layout, &next)?).map_err(unreadable(next.digest.to_string()))?;
            let most = MAX_LAYERS.max(stave_model::bundle::MAX_DEPENDENCIES);
            manifest::check_count("layers", value.get("layers"), most).map_err(NotABundle::from)?;
            manifest::check_count("entries", value.get("manifests"), MAX_ENTRIES).map_err(NotABundle::from)?;
            let lists = ["layers", "manifests"].into_iter().filter_map(|list| value.get(list)?.as_array());
            for led_to in value.get("config").into_iter().chain(lists.flatten()) {
                waiting.push(descriptor(led_to)?);
            }
        }
        let led_to = |digest: &Digest| seen.contains(&(*digest, true)) || seen.contains(&(*digest, false));
        match self.sizes.keys().find(|digest| !led_to(digest)) {
            Some(stray) => Err(NotABundle::Stray(*stray).into()),
            None => Ok(()),
        }
    }

    /// The builder, as whoever builds with it reads it. In messages it is called as it will be.
    fn builder(
        &self,
        names: &Names,
        document: &Bundle,
        builders: &Path,
        called: &str,
    ) -> Result<builder::Found, Trouble> {
        let place = layout::Place { folder: builders.to_owned(), name: Some(called.to_owned()) };
        let place = Place::Layout { place, digest: None };
        let found = builder::found(&place, &mut self.layout(Some(&names.builder))?.documents(None))?;
        if found.digest != document.builder.digest {
            return Err(NotABundle::Parts("its builder is not the one that its document names").into());
        }
        Ok(found)
    }

    /// Checks the images of the stack; answers how many bytes they have.
    fn stack(&self, names: &Names, document: &Bundle, found: &builder::Found) -> Result<u64, Trouble> {
        let travels = found.builder.stack.repository.is_none();
        let layout = self.layout(Some(if travels { &names.builder } else { &names.stack }))?;
        let images = layout.images().map_err(|error| {
            // Not with the name of the folder, which is nobody's.
            let failed = PortError::new(Fault::InvalidInput, "could not use the images of its stack");
            error.source.into_iter().fold(failed, PortError::caused_by)
        })?;
        let there: BTreeSet<Digest> = images.iter().map(Image::digest).collect();
        let wanted = &found.builder.stack.images;
        if document.stack.iter().any(|image| !there.contains(&image.digest) || !wanted.contains(image))
            || there.len() != document.stack.len()
            || (travels && wanted.iter().any(|image| !document.stack.contains(image)))
        {
            return Err(NotABundle::Parts("its images are not the stack's that its builder names").into());
        }
        let layers = images.iter().flat_map(|image| &image.layers);
        let layers: BTreeMap<Digest, u64> =
            layers.map(|layer| (layer.descriptor.digest, layer.descriptor.size)).collect();
        Ok(layers.values().sum())
    }
}
