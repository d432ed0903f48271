//! Where sources are, and their files: images, git repositories, archives.

use serde::{Deserialize, Serialize};
use stave_archive::tree::Tree;
use stave_lifecycle::port::{blobs::Results as _, failure::PortError};
use stave_model::digest::Key;
use stave_platform::{
    port::Failed,
    resource::{
        build::Fault,
        image::Image,
        name::Name,
        source::{Found, ResolvedSource},
    },
};
use stave_sources::{
    blob::{Archives, Seen},
    git::{Credentials, Repositories},
};

use super::Desk;
use crate::{
    exit::{ANALYZE, Exit},
    fetched,
    workshop::Workshop,
};

/// Whose credentials are used.
pub(super) struct Keys<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) namespace: Name,
    pub(super) account: String,
    /// Whether it is the user's own wish: then what the user may read may be read.
    pub(super) is_own: bool,
}

impl Keys<'_> {
    fn git(&self, _url: &str) -> Credentials {
        if self.is_own { Credentials::Machine } else { Credentials::None }
    }
}

/// Where fetched commits are kept.
fn repositories(workshop: &Workshop) -> Result<Repositories, PortError> {
    let folder = workshop.cache.within("git").map_err(PortError::from)?;
    Ok(Repositories::new(folder.path()))
}

/// What was seen behind a URL, kept from one look to the next.
#[derive(Serialize, Deserialize)]
struct Kept(Seen);

/// Where a source is now that is no image.
pub(super) fn resolve(
    workshop: &Workshop,
    keys: &Keys<'_>,
    image: &Image,
    last: Option<&ResolvedSource>,
) -> Result<Found, Failed> {
    let source = &image.spec.source;
    let failed = |error: PortError| {
        Failed::new(Fault::Transient, format!("could not look up the source of the image {}", image.key())).caused_by(error)
    };
    if let Some(git) = &source.git {
        let repositories = repositories(workshop).map_err(failed)?;
        let sub_path = source.sub_path.as_deref();
        let found = repositories.resolve(git, sub_path, &keys.git(&git.url), last, &workshop.cancel)?;
        return Ok(Found::Git(found.found));
    }
    let Some(blob) = &source.blob else {
        return Err(Failed::new(Fault::Refused, format!("the image {} has no source", image.key())));
    };
    let scratch = workshop.cache.within("scratch").map_err(|error| failed(error.into()))?;
    let archives = Archives::new(&workshop.client, workshop.blobs.as_ref(), scratch.path());
    let key = Key::new("archive seen 1").field(&blob.url).finish();
    let kept: Option<Kept> = workshop.results.get(&key).and_then(|kept| serde_json::from_slice(&kept).ok());
    let seen = archives.resolve(blob, None, kept.as_ref().map(|kept| &kept.0), &workshop.cancel)?;
    let found = seen.found(blob);
    if let Ok(text) = serde_json::to_vec(&Kept(seen)) {
        workshop.results.put(&key, &text);
    }
    Ok(Found::Blob(found))
}

/// The files of a source that was found, and the folder among them that is the app, where they are more than that.
pub(super) fn tree(
    workshop: &Workshop,
    keys: &Keys<'_>,
    source: &ResolvedSource,
) -> Result<(Tree, Option<String>), Exit> {
    let failed = |error: Failed| {
        let hint = error.hint.clone();
        let exit = Exit::new(ANALYZE, error);
        match hint {
            Some(hint) => exit.hint(hint),
            None => exit,
        }
    };
    let sub_path = source.sub_path.as_deref();
    match &source.at {
        Found::Registry(found) => {
            workshop.ui.say(&format!("Pulling {}...", found.image));
            let tree = fetched::tree_of_image(workshop, &found.image)?;
            workshop.ui.say(&format!("Successfully pulled {}", found.image));
            Ok((tree, source.sub_path.clone()))
        }
        Found::Git(git) => {
            workshop.ui.say(&format!("Fetching {} at {}...", crate::exit::printable(&git.url), git.revision));
            let fetched = repositories(workshop)?.fetch(git, sub_path, &keys.git(&git.url), &workshop.cancel);
            Ok((fetched.map_err(failed)?, None))
        }
        Found::Blob(blob) => {
            workshop.ui.say(&format!("Fetching {}...", crate::exit::printable(&blob.url)));
            let scratch = workshop.cache.within("scratch").map_err(PortError::from)?;
            let archives = Archives::new(&workshop.client, workshop.blobs.as_ref(), scratch.path());
            Ok((archives.fetch(blob, sub_path, None, &workshop.cancel).map_err(failed)?, None))
        }
    }
}
