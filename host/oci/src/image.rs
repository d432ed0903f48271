//! Manifest, configuration and contents put together to an [`Image`], so that they agree or there is none.

use std::sync::Arc;

use stave_archive::content::Content;
use stave_lifecycle::{
    image::{Descriptor, Image, ImageLayer},
    port::failure::{Fault, PortError},
};
use stave_model::digest::Digest;

use crate::{
    config::{Config, ConfigError},
    manifest::Manifest,
};

/// Puts an image together. `content` says where a layer's bytes are; `origin` is the repository they come from.
pub fn assemble(
    bytes: Vec<u8>,
    manifest: Manifest,
    config: Vec<u8>,
    origin: Option<&str>,
    content: impl FnMut(&Descriptor) -> Result<Arc<dyn Content>, PortError>,
) -> Result<Image, PortError> {
    assemble_by(Config::parse, bytes, manifest, config, origin, content)
}

/// The same, where `parse` says what has to be in the configuration.
pub(crate) fn assemble_by(
    parse: fn(&[u8], usize) -> Result<Config, ConfigError>,
    bytes: Vec<u8>,
    manifest: Manifest,
    config: Vec<u8>,
    origin: Option<&str>,
    mut content: impl FnMut(&Descriptor) -> Result<Arc<dyn Content>, PortError>,
) -> Result<Image, PortError> {
    check(&manifest.config, &config)?;
    let facts = parse(&config, manifest.layers.len());
    let facts =
        facts.map_err(|error| PortError::new(Fault::InvalidInput, "could not use the image").caused_by(error))?;
    let layers = manifest.layers.into_iter().zip(facts.diff_ids).map(|(descriptor, diff_id)| {
        let content = content(&descriptor)?;
        Ok(ImageLayer { descriptor, diff_id, content, origin: origin.map(str::to_owned) })
    });
    Ok(Image {
        platform: facts.platform,
        layers: layers.collect::<Result<_, PortError>>()?,
        manifest: bytes,
        media_type: manifest.media_type,
        config,
    })
}

/// Checks bytes against what was promised of them.
pub fn check(promised: &Descriptor, bytes: &[u8]) -> Result<(), PortError> {
    if bytes.len() as u64 == promised.size && Digest::of(bytes) == promised.digest {
        return Ok(());
    }
    let attempt = format!("could not verify {}", promised.digest);
    Err(PortError::new(Fault::Integrity, attempt).caused_by("its bytes are others than promised"))
}
