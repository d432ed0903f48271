//! What keeps the image store sound: its layers are compared with their digests where they are counted on, what is damaged is
//! replaced by what the cache has, and the rest is said.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;
use stave_archive::content::Content;
use stave_lifecycle::{
    image::Image,
    port::{
        blobs::Blobs as _,
        failure::{Fault, PortError},
        observer::Level,
    },
};
use stave_model::{digest::Digest, image::LIFECYCLE_LABEL, target::Platform};

use super::{CHECKED, Entry, ImageStore, ManifestParts, checked::Checked, damaged};
use crate::{blobs::Condition, files};

/// A blob of the store that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Which.
    pub digest: Digest,
    /// The names of the images that need it.
    pub images: Vec<String>,
    /// Whether the cache had the right bytes, which have its place now.
    pub healed: bool,
}

/// What was found so far by who reads the whole store.
#[derive(Default)]
struct Round {
    checked: Checked,
    /// Which blobs were read, and whether each is sound now.
    seen: BTreeMap<Digest, bool>,
    /// How many of them are sound now, and their bytes.
    sound: usize,
    bytes: u64,
    damage: BTreeMap<Digest, Damage>,
}

impl ImageStore {
    /// The image called `name` for `platform`, if there is one, every layer compared with its digest: read once, and again only if
    /// its file is another one or was written since. What is damaged is replaced by what the cache has.
    pub fn get_whole(&self, name: &str, platform: &Platform) -> Result<Option<Image>, PortError> {
        let found = self.get(name, platform);
        let is_damaged = match &found {
            Ok(None) => return Ok(None),
            Ok(Some(image)) => self.is_damaged(image)?,
            Err(error) if error.fault == Fault::Integrity => true,
            Err(_) => return found,
        };
        if !is_damaged {
            return found;
        }
        let _lock = self.alone()?;
        let Some(entry) = self.index()?.find(name, platform) else { return Ok(None) };
        if let Some(digest) = self.heal(&entry)?.first() {
            let attempt = format!("could not read {digest} of the image `{}`", name.escape_debug());
            return Err(damaged(attempt));
        }
        self.load(&entry).map(Some)
    }

    /// Whether a layer is not what its descriptor says.
    fn is_damaged(&self, image: &Image) -> Result<bool, PortError> {
        let mut checked = self.checked();
        for layer in &image.layers {
            let digest = &layer.descriptor.digest;
            let failed = |error| self.folder.failed(format!("could not check {digest} in the image store"), error);
            let Some(file) = layer.content.span().map_err(failed)? else { continue };
            if checked.knows(digest, &file) {
                continue;
            }
            if file.digest().map_err(failed)? != *digest {
                return Ok(true);
            }
            checked.learn(digest, &file);
        }
        self.note(&checked);
        Ok(false)
    }

    /// Keeps what was learned. If two do at once, one of them reads a few layers again.
    fn note(&self, checked: &Checked) {
        if let Some(bytes) = checked.all_bytes() {
            let _ = self.replace(CHECKED, &bytes);
        }
    }

    /// Replaces what is damaged of an image by what the cache has, as far as it leads. Answers what is damaged still.
    fn heal(&self, entry: &Entry) -> Result<Vec<Digest>, PortError> {
        let mut checked = self.checked();
        let mut wanted = vec![entry.manifest.digest];
        let mut lost = Vec::new();
        // The manifest leads to the rest, as soon as it is sound itself.
        for step in 0.. {
            let Some(digest) = wanted.get(step).copied() else { break };
            if !self.is_sound(&digest, &mut checked)? && !self.borrow(&digest, &mut checked)? {
                lost.push(digest);
            } else if step == 0 {
                let parts: ManifestParts = self.document(&digest)?.1;
                wanted.push(parts.config.digest);
                wanted.extend(parts.layers.iter().map(|layer| layer.digest));
            }
        }
        self.note(&checked);
        Ok(lost)
    }

    /// Whether a blob has its digest. One that has another loses its name.
    fn is_sound(&self, digest: &Digest, checked: &mut Checked) -> Result<bool, PortError> {
        let place = self.place(digest);
        let failed = |error| self.folder.failed(format!("could not check {digest} in the image store"), error);
        match files::open_to_check(&place) {
            Ok(None) => return Ok(false),
            Ok(Some(file)) => {
                if file.digest().map_err(failed)? == *digest {
                    checked.learn(digest, &file);
                    return Ok(true);
                }
            }
            Err(error) if files::is_no_file(&error) => {}
            Err(error) => return Err(failed(error)),
        }
        fs::remove_file(&place).map_err(failed)?;
        Ok(false)
    }

    /// Whether the cache has the right bytes and could lend or copy them.
    fn borrow(&self, digest: &Digest, checked: &mut Checked) -> Result<bool, PortError> {
        let Some(cache) = &self.cache else { return Ok(false) };
        if cache.verify(digest)? != Condition::Sound {
            return Ok(false);
        }
        let Some(there) = cache.get(digest)? else { return Ok(false) };
        let place = self.place(digest);
        if fs::hard_link(cache.path(digest), &place).is_err() {
            let copy = || {
                let mut staged = self.staging.create()?;
                std::io::copy(&mut there.open()?, &mut staged)?;
                staged.settle()?.publish(&place, 0o444)
            };
            copy().map_err(|error| self.folder.failed(format!("could not store {digest}"), error))?;
        } else {
            checked.learn(digest, &there);
        }
        let text = format!("the image store's copy of {digest} was damaged, and is replaced by the cache's");
        self.waiting.tell(Level::Warning, text);
        Ok(true)
    }

    /// Reads everything that a name leads to and compares. Answers how many blobs are sound, their bytes, and what was damaged; of
    /// that, what the cache has is healed and counts as sound.
    pub fn verify(&self) -> Result<(usize, u64, Vec<Damage>), PortError> {
        let _lock = self.alone()?;
        let mut round = Round::default();
        for entry in self.index()?.entries() {
            let digest = entry.manifest.digest;
            if self.look(&mut round, &entry.name, digest)? {
                let parts: ManifestParts = self.document(&digest)?.1;
                self.look(&mut round, &entry.name, parts.config.digest)?;
                for layer in &parts.layers {
                    self.look(&mut round, &entry.name, layer.digest)?;
                }
            }
        }
        self.note(&round.checked);
        Ok((round.sound, round.bytes, round.damage.into_values().collect()))
    }

    /// Whether a blob is sound, or is now: read once in a round, and told of with every image that needs it.
    fn look(&self, round: &mut Round, name: &str, digest: Digest) -> Result<bool, PortError> {
        self.waiting.cancel.check()?;
        let known = round.seen.get(&digest).copied();
        let is_sound = if let Some(is_sound) = known {
            is_sound
        } else {
            let is_sound = self.is_sound(&digest, &mut round.checked)?;
            let healed = !is_sound && self.borrow(&digest, &mut round.checked)?;
            if !is_sound {
                round.damage.insert(digest, Damage { digest, images: Vec::new(), healed });
            }
            let is_sound = is_sound || healed;
            if is_sound {
                round.sound += 1;
                round.bytes += fs::metadata(self.place(&digest)).map_or(0, |said| said.len());
            }
            round.seen.insert(digest, is_sound);
            is_sound
        };
        if let Some(damage) = round.damage.get_mut(&digest)
            && !damage.images.iter().any(|known| known == name)
        {
            damage.images.push(name.to_owned());
        }
        Ok(is_sound)
    }

    /// Every blob that an image of the store is made of, and the documents of the bases that they name. Images that cannot be
    /// read count with what can.
    pub fn live(&self) -> Result<BTreeSet<Digest>, PortError> {
        let _lock = self.shared()?;
        let mut live = BTreeSet::new();
        for entry in self.index()?.entries() {
            live.insert(entry.manifest.digest);
            let Ok((_, parts)) = self.document::<ManifestParts>(&entry.manifest.digest) else { continue };
            live.insert(parts.config.digest);
            live.extend(parts.layers.iter().map(|layer| layer.digest));
            let config = self.document::<Value>(&parts.config.digest);
            let Some(base) = config.ok().and_then(|(_, config)| base_of(&config)) else { continue };
            live.insert(base);
            let manifest = self.cache.as_ref().and_then(|cache| cache.get(&base).ok().flatten());
            let manifest = manifest.and_then(|manifest| manifest.bytes(super::MAX_DOCUMENT).ok()).unwrap_or_default();
            if let Ok(parts) = serde_json::from_slice::<ManifestParts>(&manifest) {
                live.insert(parts.config.digest);
                live.extend(parts.layers.iter().map(|layer| layer.digest));
            }
        }
        Ok(live)
    }

    /// The bytes of all blobs.
    pub fn size(&self) -> u64 {
        let entries = fs::read_dir(self.blobs.path()).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    }
}

/// The digest of the base that an image names in the lifecycle's label.
fn base_of(config: &Value) -> Option<Digest> {
    let label: Value = serde_json::from_str(config.pointer("/config/Labels")?.get(LIFECYCLE_LABEL)?.as_str()?).ok()?;
    label.pointer("/runImage/reference")?.as_str()?.rsplit_once('@')?.1.parse().ok()
}
