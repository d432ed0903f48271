//! An image that carries a source. It is for no platform, whatever it says, and kpack's own say none.

use stave_lifecycle::{
    image::Image,
    port::failure::{Fault, PortError},
};
use stave_model::target::Platform;

use super::{RegistryImage, registry_of};
use crate::{
    config::{Config, UNKNOWN},
    manifest::{Document, Entry, Index, MAX_NESTING},
    registry::repository::Repository,
};

impl RegistryImage {
    /// The source image that the name leads to: its layers are fetched when somebody reads them. Of an index of several images
    /// it is the one for `linux/amd64`, so that all machines read the same.
    pub fn source(mut self) -> Result<Image, PortError> {
        self.noun = "source image";
        let registry = registry_of(&self.reference, "pull")?;
        let name = &self.reference.repository;
        let repository = Repository::new(&self.registries, registry, name, "pull", &[], &self.cancel)?;
        let (mut bytes, mut media_type) = self.first(&repository)?;
        for _ in 0..MAX_NESTING {
            let index = match self.parsed(&bytes, media_type.as_deref())? {
                Document::Manifest(manifest) => {
                    return self.assembled_by(Config::parse_files, &repository, bytes, manifest);
                }
                Document::Index(index) => index,
            };
            let entry = self.one_of(&index)?;
            bytes = self.document(&repository, &entry.descriptor, "manifests")?;
            media_type = Some(entry.descriptor.media_type.clone());
        }
        let attempt = format!("could not use the source image `{}`", self.reference);
        Err(PortError::new(Fault::InvalidInput, attempt).caused_by("its indexes lie too deep in one another"))
    }

    /// The only image of an index, or the one that all machines take.
    fn one_of<'a>(&self, index: &'a Index) -> Result<&'a Entry, PortError> {
        // Attestations hang in indexes as images for no platform.
        let is_image = |entry: &&Entry| entry.platform.as_ref().is_none_or(|platform| platform.os != UNKNOWN);
        let mut images = index.entries.iter().filter(is_image);
        if let (Some(only), None) = (images.next(), images.next()) {
            return Ok(only);
        }
        index.choose(&Platform::linux("amd64")).map_err(|error| {
            let attempt = format!("could not use the source image `{}`", self.reference);
            PortError::new(Fault::NotFound, attempt).caused_by(error)
        })
    }
}
