//! What the previous build of an image left for the next one: the notes and layers that the image's label tells of, the layers
//! themselves, and the contents that were kept beside it.

pub(crate) mod bill;
pub mod kept;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use serde_json::Value;
use stave_archive::content::{Content, Span};
use stave_model::{
    digest::{Digest, Key},
    id::{BuildpackId, ExecEnv, LayerName},
    image::{self, BuildpackLayers, LIFECYCLE_LABEL, LifecycleMetadata},
    layer::Usage,
    restore::{Former, Reason, Restored, Source, Stack, contents, restore, reuse},
    sbom::Component,
};

use self::{
    bill::Bill,
    kept::{Kept, KeptContents, Shelf},
};
use crate::{
    image::{Image, ImageLayer},
    port::{bases::Base, blobs::Results},
};

/// The previous build, by buildpack.
#[derive(Debug, Clone, Default)]
pub struct Previous {
    parts: BTreeMap<BuildpackId, BuildpackLayers>,
    /// The image's layers by diffID.
    layers: BTreeMap<Digest, ImageLayer>,
    bill: Bill,
    /// The kind of base that the image stands on.
    stack: Option<Stack>,
    kept: Kept,
    shelf: Option<Shelf>,
    /// The kind of base that this build is for.
    target: Option<Stack>,
    /// Why no layer comes back at all, if none does.
    barred: Option<Reason>,
    /// The execution environment that the image is for; none where there is no image.
    exec_env: Option<ExecEnv>,
}

/// A layer of the previous build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousLayer {
    /// What it was for.
    pub usage: Usage,
    /// The notes that were kept with it.
    pub metadata: BTreeMap<String, String>,
}

/// A layer that is taken over as it is.
#[derive(Debug, Clone)]
pub(crate) struct Reused {
    /// Its bytes, of which none is read.
    pub(crate) layer: ImageLayer,
    /// The notes that were kept with it.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Whence it comes.
    pub(crate) source: Source,
}

/// What is known of a layer, from the image and from what was kept.
struct Known<'a> {
    usage: Usage,
    metadata: &'a BTreeMap<String, String>,
    image: Option<Digest>,
    kept: Option<(&'a KeptContents, Span)>,
    unlike: Option<Reason>,
}

impl Known<'_> {
    fn former(&self) -> Former<'_> {
        let kept = self.kept.as_ref().map(|(kept, _)| &kept.diff_id);
        Former { usage: self.usage, image: self.image.as_ref(), kept, unlike: self.unlike }
    }
}

impl Previous {
    /// What an image tells of its build; nothing if it is not one that was built.
    pub fn of_image(image: &Image) -> Self {
        let label = |config: Value| config.pointer("/config/Labels")?.get(LIFECYCLE_LABEL)?.as_str().map(str::to_owned);
        let text = serde_json::from_slice(&image.config).ok().and_then(label).unwrap_or_default();
        let Ok(metadata) = serde_json::from_str::<LifecycleMetadata>(&text) else { return Self::default() };
        let layers: BTreeMap<_, _> = image.layers.iter().map(|layer| (layer.diff_id, layer.in_oci_words())).collect();
        let stack = image::stack(&image.config).ok().map(|stack| stack.below(&metadata.run_image.top_layer));
        let bill = metadata.sbom.and_then(|sbom| sbom.sha.parse().ok()).and_then(|sha: Digest| layers.get(&sha));
        Self {
            parts: metadata.buildpacks.into_iter().map(|part| (part.key.clone(), part)).collect(),
            bill: bill.cloned().map(Bill::of).unwrap_or_default(),
            layers,
            stack,
            exec_env: Some(image::exec_env::said_by(&image.config).unwrap_or_default()),
            ..Self::default()
        }
    }

    /// A build of which nothing is known but the notes that one buildpack ended with.
    pub fn of_notes(buildpack: BuildpackId, notes: BTreeMap<String, String>) -> Self {
        let (key, store) = (buildpack.clone(), Some(image::Store { metadata: notes }));
        let part = BuildpackLayers { key, version: String::new(), layers: BTreeMap::new(), store };
        Self { parts: [(buildpack, part)].into(), ..Self::default() }
    }

    /// The same with the contents that an earlier build of the image kept at `place`.
    #[must_use]
    pub fn with_kept(self, kept: Kept, place: Shelf) -> Self {
        Self { kept, shelf: Some(place), ..self }
    }

    /// The same for a build on the base `base`.
    #[must_use]
    pub fn for_base(self, base: &Base) -> Self {
        Self { target: base.stack().ok(), ..self }
    }

    /// The same as if no layer came back. Notes stay: a cache is not what they are in.
    #[must_use]
    pub fn without_layers(self) -> Self {
        self.barred(Reason::Cleared)
    }

    fn barred(mut self, why: Reason) -> Self {
        self.parts.values_mut().for_each(|part| part.layers.clear());
        Self { kept: Kept::default(), barred: Some(why), ..self }
    }

    /// The same for a build in `exec_env`: no layer comes back of a build in another one (platform specification, "Layer
    /// Restoration"), because what was right for a test need not be right in production.
    #[must_use]
    pub fn within(self, exec_env: &ExecEnv) -> Self {
        let is_kept_for_it = self.kept.layers.is_empty() || self.kept.exec_env == *exec_env;
        match &self.exec_env {
            _ if self.barred.is_some() => self,
            Some(before) if before != exec_env => self.barred(Reason::OtherExecEnv),
            // The image may be another one than that of the build that kept something under its name.
            Some(_) if !is_kept_for_it => Self { kept: Kept::default(), ..self },
            None if !is_kept_for_it => self.barred(Reason::OtherExecEnv),
            _ => self,
        }
    }

    /// The notes of a buildpack, whatever became of its layers.
    pub fn notes(&self, buildpack: &BuildpackId) -> BTreeMap<String, String> {
        let store = self.parts.get(buildpack).and_then(|part| part.store.clone());
        store.map(|store| store.metadata).unwrap_or_default()
    }

    /// What a buildpack is told of one of its layers, or why it is told nothing.
    pub fn layer(&self, buildpack: &BuildpackId, name: &LayerName) -> Result<PreviousLayer, Reason> {
        let missing = self.barred.unwrap_or(Reason::NotInImage);
        let known = self.known(buildpack, name).ok_or(missing)?;
        let Former { usage, image, kept, .. } = known.former();
        match restore(usage, image, kept) {
            (Restored::Nothing, reason) => Err(reason),
            (Restored::Metadata | Restored::Contents, _) => {
                Ok(PreviousLayer { usage, metadata: known.metadata.clone() })
            }
        }
    }

    /// A layer of a buildpack as it is, for the same uses, or why it is not to be had.
    pub(crate) fn reuse(&self, buildpack: &BuildpackId, name: &LayerName, asked: Usage) -> Result<Reused, Reason> {
        let known = self.known(buildpack, name);
        let source = reuse(asked, known.as_ref().map(Known::former), self.barred)?;
        let known = known.ok_or(Reason::NoneThere)?;
        let layer = match source {
            Source::Kept => known.kept.map(|(kept, span)| kept.layer(span)).ok_or(Reason::NotKept)?,
            Source::Image => {
                let layer = known.image.and_then(|sha| self.layers.get(&sha)).ok_or(Reason::NotInImage)?;
                if !self.is_whole(&layer.descriptor.digest, layer.content.as_ref()) {
                    return Err(Reason::Damaged);
                }
                layer.clone()
            }
        };
        Ok(Reused { layer, metadata: known.metadata.clone(), source })
    }

    /// The kept contents of a layer of a buildpack, or why there are none.
    pub(crate) fn contents(&self, buildpack: &BuildpackId, name: &LayerName) -> Result<ImageLayer, Reason> {
        let known = self.known(buildpack, name);
        contents(known.as_ref().map(Known::former), self.barred)?;
        known.and_then(|known| known.kept).map(|(kept, span)| kept.layer(span)).ok_or(Reason::NotKept)
    }

    /// What is known to be in a layer that is taken over.
    pub(crate) fn components(
        &self,
        buildpack: &BuildpackId,
        name: &LayerName,
        source: Source,
        scratch: &std::path::Path,
    ) -> Result<Vec<Component>, bill::Unreadable> {
        match source {
            Source::Kept => Ok(self.kept.of(buildpack, name).map(|kept| kept.contents.clone()).unwrap_or_default()),
            Source::Image => self.bill.components(buildpack, name, scratch),
        }
    }

    fn known(&self, buildpack: &BuildpackId, name: &LayerName) -> Option<Known<'_>> {
        let entry = self.parts.get(buildpack).and_then(|part| part.layers.get(name));
        let kept = self.kept.of(buildpack, name);
        let (usage, metadata) = match (entry, kept) {
            (Some(entry), _) => (entry.usage, &entry.data),
            (None, Some(kept)) => (kept.usage, &kept.metadata),
            (None, None) => return None,
        };
        let span = |kept: &KeptContents| {
            let blobs = &self.shelf.as_ref()?.blobs;
            let digest = &kept.descriptor.digest;
            let span = blobs.get(digest).ok()??;
            if span.size() == kept.descriptor.size && self.is_whole(digest, &span) {
                return Some(span);
            }
            // The right bytes can take its place now.
            let _ = blobs.discard(digest);
            None
        };
        let stack = if entry.is_some() { self.stack.as_ref() } else { self.kept.stack.as_ref() };
        Some(Known {
            usage,
            metadata,
            image: entry.and_then(|entry| entry.sha.parse().ok()),
            kept: kept.and_then(|kept| Some((kept, span(kept)?))),
            unlike: match (stack, &self.target) {
                (Some(stack), Some(target)) => stack.unlike(target),
                // Nobody knows who owns the files.
                _ => Some(Reason::OtherStack),
            },
        })
    }

    /// Whether a content has its digest. One in a file is read once, and again only if it is another file or was written since;
    /// what comes from elsewhere is compared when it is fetched.
    fn is_whole(&self, digest: &Digest, content: &dyn Content) -> bool {
        let Ok(mark) = content.mark() else { return false };
        let Some(mark) = mark else { return true };
        let results = self.shelf.as_ref().map(|place| place.results.as_ref());
        if results.is_some_and(|results| results.get(&whole(digest)).is_some_and(|kept| kept == mark.as_bytes())) {
            return true;
        }
        let is_whole = content.digest().is_ok_and(|found| found == *digest);
        if let Some(results) = results.filter(|_| is_whole) {
            results.put(&whole(digest), mark.as_bytes());
        }
        is_whole
    }
}

/// Under what it is kept which file of a digest was compared with it.
fn whole(digest: &Digest) -> Digest {
    Key::new("whole blob 1").field(digest.hex()).finish()
}

/// Keeps that `content` was written with this digest just now, so that nobody reads it to know.
pub(crate) fn learn(results: &dyn Results, digest: &Digest, content: &dyn Content) {
    if let Ok(Some(mark)) = content.mark() {
        results.put(&whole(digest), mark.as_bytes());
    }
}
