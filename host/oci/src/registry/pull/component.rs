//! A component out of a registry. Manifest and configuration are fetched at once; the component when somebody reads it.

use std::sync::{Arc, Mutex};

use stave_lifecycle::{image::MANIFEST, port::failure::PortError};

use super::{RegistryImage, RemoteLayer, registry_of};
use crate::{
    artifact::descriptor,
    component::{Found, NotAComponent, Outline, Place, refused},
    registry::repository::Repository,
};

impl RegistryImage {
    /// The component that the name leads to, of at most `limit` bytes.
    pub(crate) fn component(mut self, limit: u64) -> Result<Found, PortError> {
        self.noun = "buildpack";
        let registry = registry_of(&self.reference, "pull")?;
        let name = &self.reference.repository;
        let repository = Repository::new(&self.registries, registry, name, "pull", &[], &self.cancel)?;
        let (bytes, media_type) = self.first(&repository)?;
        let outline = Outline::parse(&bytes, media_type.as_deref(), limit).map_err(|error| self.refuse(error))?;
        let config = self.document(&repository, &outline.config, "blobs")?;
        let claims = outline.claims(&config).map_err(|error| self.refuse(error))?;
        let manifest = descriptor(MANIFEST, &bytes);
        let content = Arc::new(RemoteLayer {
            repository: Arc::new(repository),
            descriptor: outline.component.clone(),
            blobs: Arc::clone(&self.blobs),
            observer: Arc::clone(&self.observer),
            fetched: Mutex::default(),
        });
        let resolved = Place::Registry(self.reference.pinned(manifest.digest));
        Ok(Found::new(resolved, manifest, outline, claims, content))
    }

    fn refuse(&self, error: NotAComponent) -> PortError {
        refused(&self.reference.to_string(), error)
    }
}
