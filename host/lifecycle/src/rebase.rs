//! An image on another base: the decision is [`stave_model::rebase`]'s, and here layers and manifest follow it.
//!
//! No byte of a layer is read. Where the image and its new base are, their layers stay.

use stave_model::{
    rebase::{self, NewBase, Rebase, Refusal},
    target::Platform,
};

use crate::{
    image::{Image, ImageLayer},
    port::bases::Base,
};

/// An image that was put on another base.
#[derive(Debug)]
pub struct Rebased {
    /// The new image.
    pub image: Image,
    /// What was decided, and why.
    pub decision: Rebase,
}

/// Puts `image` on `base`, or says why not. The same base again gives the same image again.
pub fn rebase(image: &Image, base: &Base, force: bool) -> Result<Rebased, Refusal> {
    let new = NewBase { config: &base.image.config, name: &base.name, reference: &base.reference };
    let decision = rebase::decide(&image.config, &new, force)?;
    let kept = image.layers.iter().skip(decision.old_layers);
    // A layer that both bases have is the image's own: it is where the image is, and need not be brought there.
    let own = |layer: &ImageLayer| {
        let same = image.layers.iter().find(|own| own.descriptor.digest == layer.descriptor.digest);
        same.unwrap_or(layer).in_oci_words()
    };
    let layers = base.image.layers.iter().chain(kept).map(own).collect();
    let variant = base.image.platform.variant.clone().or_else(|| image.platform.variant.clone());
    let platform = Platform { variant, ..base.image.platform.clone() };
    Ok(Rebased { image: Image::new(platform, decision.config.clone(), layers).annotated_as(image), decision })
}
