//! All images that a name in a registry leads to: one, or an index of several.

use std::collections::BTreeMap;

use stave_lifecycle::{
    image::{Descriptor, Image},
    port::failure::{Fault, PortError},
};
use stave_model::digest::Digest;

use super::{RegistryImage, registry_of};
use crate::{
    index::{Rewritten, Swaps, rewrite},
    json::JsonError,
    manifest::{Document, Entry, Index, MAX_NESTING, is_index},
    registry::repository::Repository,
};

/// How many images of one name are looked at.
const MAX_IMAGES: usize = 64;

/// What a name leads to.
#[derive(Debug)]
pub struct Every {
    /// The images, each for its platform, in the order of the index.
    pub images: Vec<Image>,
    /// The index that lists them, if it is one: media type and bytes.
    pub index: Option<(String, Vec<u8>)>,
    nested: BTreeMap<Digest, Vec<u8>>,
}

impl Every {
    /// The index with other images in it; none where the name leads to one image itself.
    pub fn rewritten(&self, swaps: &Swaps) -> Result<Option<Rewritten>, JsonError> {
        let Some((_, bytes)) = &self.index else { return Ok(None) };
        let mut read = |descriptor: &Descriptor| Ok(self.nested.get(&descriptor.digest).cloned().unwrap_or_default());
        rewrite::<JsonError>(bytes, swaps, &|_| true, &mut read).map(Some)
    }
}

impl RegistryImage {
    /// All images of the name. Their layers are fetched when somebody reads them.
    pub fn every(&self) -> Result<Every, PortError> {
        let registry = registry_of(&self.reference, "pull")?;
        let repository =
            Repository::new(&self.registries, registry, &self.reference.repository, "pull", &[], &self.cancel)?;
        let (bytes, media_type) = self.first(&repository)?;
        match self.parsed(&bytes, media_type.as_deref())? {
            Document::Manifest(manifest) => {
                let image = self.assembled(&repository, bytes, manifest)?;
                Ok(Every { images: vec![image], index: None, nested: BTreeMap::new() })
            }
            Document::Index(index) => {
                let mut every = Every { images: Vec::new(), index: None, nested: BTreeMap::new() };
                every.index = Some((index.media_type.clone(), bytes));
                self.descend(&repository, &index, MAX_NESTING, &mut every)?;
                Ok(every)
            }
        }
    }

    fn descend(
        &self,
        repository: &Repository,
        index: &Index,
        levels: usize,
        every: &mut Every,
    ) -> Result<(), PortError> {
        let refused = |why: &'static str| {
            PortError::new(Fault::InvalidInput, format!("could not use the image `{}`", self.reference)).caused_by(why)
        };
        for Entry { descriptor, platform, .. } in &index.entries {
            // Attestations hang in indexes as images for `unknown/unknown`.
            if platform.as_ref().is_some_and(|platform| platform.os == "unknown") {
                continue;
            }
            if every.images.len() + every.nested.len() >= MAX_IMAGES {
                return Err(refused("its index leads to too many images"));
            }
            let bytes = self.document(repository, descriptor, "manifests")?;
            match self.parsed(&bytes, Some(&descriptor.media_type))? {
                Document::Manifest(manifest) => every.images.push(self.assembled(repository, bytes, manifest)?),
                Document::Index(_) if levels == 0 || !is_index(&descriptor.media_type) => {
                    return Err(refused("its indexes lie too deep in one another"));
                }
                Document::Index(inner) => {
                    every.nested.insert(descriptor.digest, bytes);
                    self.descend(repository, &inner, levels - 1, every)?;
                }
            }
        }
        Ok(())
    }
}
