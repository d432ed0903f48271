//! What the next build gets back of a layer (buildpack specification, "Layer Types"; platform specification, "restore").
//!
//! The types of a layer are never taken over: a buildpack says anew what a layer is for, which is how it decides to use it
//! again. What it is told depends on what the layer was for, on whether the image has it, and on whether its contents are
//! kept.

use std::fmt;

use crate::{digest::Digest, layer::Usage};

/// What comes back of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// Nothing: as if there had been no such layer.
    Nothing,
    /// Its metadata. Its contents are in the image, and stay there.
    Metadata,
    /// Its metadata and its contents.
    Contents,
}

/// Why so much of a layer comes back, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It was not to be kept for the next build, and later buildpacks needed its contents: metadata alone would mislead.
    ForBuildAlone,
    /// It was for nothing.
    ForNothing,
    /// It is part of an image, and no image has it.
    NotInImage,
    /// It was to be kept, and its contents are not there any more.
    NotKept,
    /// The contents that are kept are not those of the image.
    OtherContents,
    /// It is part of the image and of nothing else.
    InImage,
    /// Its contents are kept.
    Kept,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ForBuildAlone => "it was for later buildpacks and not to be kept",
            Self::ForNothing => "it was for nothing",
            Self::NotInImage => "the previous image does not have it",
            Self::NotKept => "its contents are not kept any more",
            Self::OtherContents => "what is kept of it is not what the previous image has",
            Self::InImage => "the previous image has it",
            Self::Kept => "its contents are kept",
        })
    }
}

/// What comes back of a layer that was for `usage`. `image` is the diffID under which the previous image has it, `kept` the one
/// of the contents that are kept.
pub fn restore(usage: Usage, image: Option<&Digest>, kept: Option<&Digest>) -> (Restored, Reason) {
    let Usage { build, launch, cache } = usage;
    match (cache, launch, build, image, kept) {
        // A layer of the image may have been lost with the image; what is kept is enough then (platform API 0.14).
        (true, true, _, Some(image), Some(kept)) if image != kept => (Restored::Nothing, Reason::OtherContents),
        (true, _, _, _, Some(_)) => (Restored::Contents, Reason::Kept),
        (true, _, _, _, None) => (Restored::Nothing, Reason::NotKept),
        (false, _, true, _, _) => (Restored::Nothing, Reason::ForBuildAlone),
        (false, true, false, Some(_), _) => (Restored::Metadata, Reason::InImage),
        (false, true, false, None, _) => (Restored::Nothing, Reason::NotInImage),
        (false, false, false, _, _) => (Restored::Nothing, Reason::ForNothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All combinations of uses with what the image has (`-`, `1`) and what is kept (`-`, `1`, `2`).
    #[test]
    fn every_combination_has_its_reason() {
        let digest = |name: char| (name != '-').then(|| Digest::of(&[name as u8]));
        let mut lines = Vec::new();
        for flags in 0..8u8 {
            let usage = Usage { build: flags & 1 != 0, launch: flags & 2 != 0, cache: flags & 4 != 0 };
            let name = |set: bool, name: &str| if set { name.to_owned() } else { "-".to_owned() };
            let uses = [name(usage.build, "build"), name(usage.launch, "launch"), name(usage.cache, "cache")].join(" ");
            let mut outcomes = Vec::new();
            for (image, kept) in [('-', '-'), ('-', '1'), ('1', '-'), ('1', '1'), ('1', '2')] {
                let (restored, reason) = restore(usage, digest(image).as_ref(), digest(kept).as_ref());
                outcomes.push(format!("{image}{kept} {restored:?} {reason:?}"));
            }
            lines.push(format!("{uses}: {}", outcomes.join(", ")));
        }
        insta::assert_snapshot!(lines.join("\n"), @r"
        - - -: -- Nothing ForNothing, -1 Nothing ForNothing, 1- Nothing ForNothing, 11 Nothing ForNothing, 12 Nothing ForNothing
        build - -: -- Nothing ForBuildAlone, -1 Nothing ForBuildAlone, 1- Nothing ForBuildAlone, 11 Nothing ForBuildAlone, 12 Nothing ForBuildAlone
        - launch -: -- Nothing NotInImage, -1 Nothing NotInImage, 1- Metadata InImage, 11 Metadata InImage, 12 Metadata InImage
        build launch -: -- Nothing ForBuildAlone, -1 Nothing ForBuildAlone, 1- Nothing ForBuildAlone, 11 Nothing ForBuildAlone, 12 Nothing ForBuildAlone
        - - cache: -- Nothing NotKept, -1 Contents Kept, 1- Nothing NotKept, 11 Contents Kept, 12 Contents Kept
        build - cache: -- Nothing NotKept, -1 Contents Kept, 1- Nothing NotKept, 11 Contents Kept, 12 Contents Kept
        - launch cache: -- Nothing NotKept, -1 Contents Kept, 1- Nothing NotKept, 11 Contents Kept, 12 Nothing OtherContents
        build launch cache: -- Nothing NotKept, -1 Contents Kept, 1- Nothing NotKept, 11 Contents Kept, 12 Nothing OtherContents
        ");
    }
}
