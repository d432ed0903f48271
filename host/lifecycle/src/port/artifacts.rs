//! Where declared dependencies come from.

use stave_archive::content::Span;
use stave_model::dependency::{Artifact, Dependency};

use super::{cancel::Cancel, failure::PortError, observer::Observer};

/// Turns a declared artefact into its verified bytes: from a cache, or through the registries that the user's tools know.
pub trait ArtifactSource: Send + Sync {
    /// The artefact's file. Its SHA-256 is the declared one, or this fails with [`super::failure::Fault::Integrity`] and
    /// keeps nothing. `dependency` is for messages.
    fn fetch(
        &self,
        dependency: &Dependency,
        artifact: &Artifact,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> Result<Span, PortError>;
}
