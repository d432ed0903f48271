//! The documents and components of a builder in a registry.

use std::sync::{Arc, Mutex};

use stave_archive::content::Content;
use stave_lifecycle::{image::Descriptor, port::failure::PortError};

use super::{RegistryImage, RemoteLayer, registry_of};
use crate::{builder::Documents, registry::repository::Repository};

/// One name, and the repository that it is in.
struct Remote<'a> {
    image: &'a RegistryImage,
    repository: Arc<Repository>,
}

impl RegistryImage {
    /// Hands what the name leads to to `read`.
    pub(crate) fn documents<T>(
        mut self,
        read: impl FnOnce(&mut dyn Documents) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        self.noun = "builder";
        let registry = registry_of(&self.reference, "pull")?;
        let name = &self.reference.repository;
        let repository = Repository::new(&self.registries, registry, name, "pull", &[], &self.cancel)?;
        read(&mut Remote { image: &self, repository: Arc::new(repository) })
    }
}

impl Documents for Remote<'_> {
    fn root(&mut self) -> Result<(Vec<u8>, Option<String>), PortError> {
        self.image.first(&self.repository)
    }

    fn manifest(&mut self, promised: &Descriptor) -> Result<Vec<u8>, PortError> {
        self.image.document(&self.repository, promised, "manifests")
    }

    fn small(&mut self, promised: &Descriptor) -> Result<Vec<u8>, PortError> {
        self.image.document(&self.repository, promised, "blobs")
    }

    fn content(&mut self, promised: &Descriptor) -> Result<Arc<dyn Content>, PortError> {
        Ok(Arc::new(RemoteLayer {
            repository: Arc::clone(&self.repository),
            descriptor: promised.clone(),
            blobs: Arc::clone(&self.image.blobs),
            observer: Arc::clone(&self.image.observer),
            fetched: Mutex::default(),
        }))
    }
}
