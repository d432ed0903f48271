//! Whether an image is in a repository already, by its digest.

use stave_lifecycle::{
    image::{Image, MANIFEST},
    port::{cancel::Cancel, failure::PortError},
};
use stave_transport::Request;

use super::{RegistryTag, registry_of};
use crate::{manifest::DOCKER_MANIFEST, registry::repository::Repository};

impl RegistryTag {
    /// Whether the repository has the image, whatever it is called there.
    pub fn has(&self, image: &Image, cancel: &Cancel) -> Result<bool, PortError> {
        let registry = registry_of(&self.reference, "publish")?;
        let name = &self.reference.repository;
        // Whoever asks is going to push, and in a registry that makes repositories by pushing, only who may push may ask.
        let repository = Repository::new(&self.registries, registry, name, "pull,push", &[], cancel)?;
        let attempt = format!("could not look for {} in {}", image.digest(), self.reference.name());
        let url = repository.url(&format!("manifests/{}", image.digest()));
        let accept = [MANIFEST, DOCKER_MANIFEST].join(", ");
        let head = || Ok(Request::head(url.clone()).header("accept", &accept));
        Ok(repository.exchange(&attempt, &[200, 404], head)?.status() == 200)
    }
}
