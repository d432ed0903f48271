//! A component out of a layout.

use std::{collections::BTreeSet, sync::Arc};

use serde::Deserialize;
use stave_archive::content::Content;
use stave_lifecycle::{
    image::{Descriptor, MANIFEST},
    port::failure::{Fault, PortError},
};
use stave_model::digest::Digest;

use super::{Layout, read};
use crate::{
    artifact::descriptor,
    checked::Checked,
    component::{Found, NotAComponent, Outline, Place, refused},
    image,
    json::{self, MAX_DOCUMENT},
    manifest::{MAX_ENTRIES, check_count},
};

#[derive(Deserialize)]
struct Listing {
    manifests: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(flatten)]
    descriptor: Descriptor,
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "org.opencontainers.image.ref.name")]
    name: Option<String>,
}

impl Listed {
    fn name(&self) -> Option<&str> {
        self.annotations.as_ref()?.name.as_deref()
    }
}

impl Layout {
    /// The component that the place names, of at most `limit` bytes. One with this digest is found also where the index no
    /// longer lists it.
    pub(crate) fn component(&self, digest: Option<Digest>, limit: u64) -> Result<Found, PortError> {
        let (bytes, outer) = match digest {
            Some(digest) => {
                let bytes = self.blob(&digest)?.bytes(MAX_DOCUMENT).map_err(|error| self.refuse(error))?;
                let promised = Descriptor { digest, ..descriptor(MANIFEST, &bytes) };
                image::check(&promised, &bytes)?;
                (bytes, None)
            }
            None => self.only_component(limit)?,
        };
        let refuse = |error: NotAComponent| refused(&self.place.to_string(), error);
        let outline = Outline::parse(&bytes, outer.as_deref(), limit).map_err(refuse)?;
        let config = self.document(&outline.config)?;
        let claims = outline.claims(&config).map_err(refuse)?;
        let manifest = descriptor(MANIFEST, &bytes);
        let content = Checked::new(Arc::new(self.blob(&outline.component.digest)?), outline.component.clone());
        let resolved = Place::Layout { place: self.place.clone(), digest: Some(manifest.digest) };
        Ok(Found::new(resolved, manifest, outline, claims, Arc::new(content)))
    }

    /// The manifest that is meant, and its media type. Where the name leaves several, the only one of a component.
    fn only_component(&self, limit: u64) -> Result<(Vec<u8>, Option<String>), PortError> {
        let index = read(&self.root, "index.json").map_err(|error| self.refuse(error))?;
        let index = json::value(&index).map_err(|error| self.refuse(error))?;
        check_count("entries", index.get("manifests"), MAX_ENTRIES).map_err(|error| self.refuse(error))?;
        let Listing { manifests } = Listing::deserialize(index).map_err(|error| self.refuse(error))?;
        let is_meant = |listed: &&Listed| self.place.name.is_none() || listed.name() == self.place.name.as_deref();
        let mut meant = Vec::new();
        for listed in manifests.iter().filter(is_meant) {
            let bytes = self.document(&listed.descriptor)?;
            meant.push((listed, bytes, Some(listed.descriptor.media_type.clone())));
        }
        if meant.len() > 1 {
            meant.retain(|(_, bytes, outer)| {
                // One that is too large is meant and refused, not overlooked.
                !matches!(Outline::parse(bytes, outer.as_deref(), limit), Err(error) if !matches!(error, NotAComponent::Size { .. }))
            });
            meant.dedup_by_key(|(listed, ..)| listed.descriptor.digest);
        }
        let names: BTreeSet<String> = match meant.len() {
            1 => return Ok(meant.pop().map(|(_, bytes, outer)| (bytes, outer)).unwrap_or_default()),
            0 => manifests.iter().filter_map(Listed::name).map(|name| name.escape_debug().to_string()).collect(),
            _ => meant.iter().filter_map(|(listed, ..)| listed.name()).map(|n| n.escape_debug().to_string()).collect(),
        };
        let there = if meant.is_empty() { "there is no buildpack" } else { "there are several buildpacks" };
        let error = PortError::new(Fault::NotFound, format!("{there} at `{}`", self.place));
        let names: Vec<String> = names.into_iter().take(20).collect();
        Err(if names.is_empty() { error } else { error.hint(format!("the names there are {}", names.join(", "))) })
    }
}
