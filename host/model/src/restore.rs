//! What the next build gets back of a layer (buildpack specification, "Layer Types"; platform specification, "restore").
//!
//! The types of a layer are never taken over: a buildpack says anew what a layer is for, which is how it decides to use it
//! again. What it is told depends on what the layer was for, on whether the image has it, and on whether its contents are
//! kept. Whether it may keep the layer as it is, or begin with its contents, depends on the same and on what it asks for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, layer::Usage, target::Distro};

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
    /// The person who builds wants nothing of earlier builds.
    Cleared,
    /// There was no such layer.
    NoneThere,
    /// It was for other uses than it is asked for now.
    OtherUses,
    /// The image stands on a base of another kind, or its files belong to somebody else.
    OtherStack,
    /// Its contents were not to be kept.
    NotForCache,
    /// The image has it, and its bytes are not what they were.
    Damaged,
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
            Self::Cleared => "nothing of earlier builds is to be used",
            Self::NoneThere => "the previous build had no such layer",
            Self::OtherUses => "in the previous build it had other uses",
            Self::OtherStack => "it was made for a base of another distribution or owner",
            Self::NotForCache => "it was not to be kept for the next build",
            Self::Damaged => "the previous image's copy of it is damaged",
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

/// What of a base can be seen in the layers upon it: files that fit one distribution need not fit another, and their owner is
/// written in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// The distribution that its labels name.
    pub distro: Option<Distro>,
    /// The numeric user and group that own what stands on it.
    pub owner: (u32, u32),
}

/// A layer of the previous build, as far as it matters to its reuse.
#[derive(Debug, Clone, Copy)]
pub struct Former<'a> {
    /// What it was for.
    pub usage: Usage,
    /// The diffID under which the previous image has it.
    pub image: Option<&'a Digest>,
    /// The diffID of the contents that are kept.
    pub kept: Option<&'a Digest>,
    /// Whether it was made for a base of the same kind.
    pub same_stack: bool,
}

/// Whence a layer is taken as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From the previous image.
    Image,
    /// From what was kept.
    Kept,
}

/// Whether a layer may be kept as it is for the uses `asked`, without anybody making its files, and whence.
///
/// The lifecycle takes a layer over where a buildpack says what it is for and leaves its folder away, and only for launch and
/// nothing else (exporter). A layer that is kept for builds is there to be looked at, so its contents must be there too; one that
/// was for later buildpacks is not, since they would miss its contents.
pub fn reuse(asked: Usage, former: Option<Former<'_>>, cleared: bool) -> Result<Source, Reason> {
    if cleared {
        return Err(Reason::Cleared);
    }
    let Former { usage, image, kept, same_stack } = former.ok_or(Reason::NoneThere)?;
    if usage != asked {
        return Err(Reason::OtherUses);
    }
    match restore(usage, image, kept) {
        (Restored::Nothing, reason) => Err(reason),
        // What is in no image is not tied to its base: a buildpack that cares keeps a note of it.
        _ if usage.launch && !same_stack => Err(Reason::OtherStack),
        (Restored::Metadata, _) => Ok(Source::Image),
        (Restored::Contents, _) => Ok(Source::Kept),
    }
}

/// Whether a layer may begin with the contents that it had, whatever it is for from now on.
pub fn contents(former: Option<Former<'_>>, cleared: bool) -> Result<(), Reason> {
    if cleared {
        return Err(Reason::Cleared);
    }
    let Former { usage, image, kept, .. } = former.ok_or(Reason::NoneThere)?;
    match restore(usage, image, kept) {
        (Restored::Contents, _) => Ok(()),
        (Restored::Metadata, _) => Err(Reason::NotForCache),
        (Restored::Nothing, reason) => Err(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses() -> impl Iterator<Item = Usage> {
        (0..8u8).map(|flags| Usage { build: flags & 1 != 0, launch: flags & 2 != 0, cache: flags & 4 != 0 })
    }

    fn named(usage: Usage) -> String {
        let name = |set: bool, name: &str| if set { name.to_owned() } else { "-".to_owned() };
        [name(usage.build, "build"), name(usage.launch, "launch"), name(usage.cache, "cache")].join(" ")
    }

    /// What the image has and what is kept.
    const STATES: [(char, char); 5] = [('-', '-'), ('-', '1'), ('1', '-'), ('1', '1'), ('1', '2')];

    /// What comes of `decide` for every use and state of a former layer, a line each use.
    fn table(decide: impl Fn(Former<'_>) -> String) -> String {
        let digest = |name: char| (name != '-').then(|| Digest::of(&[name as u8]));
        let line = |usage: Usage| {
            let outcome = |(image, kept): (char, char)| {
                let (had, kept_digest) = (digest(image), digest(kept));
                let former = Former { usage, image: had.as_ref(), kept: kept_digest.as_ref(), same_stack: true };
                format!("{image}{kept} {}", decide(former))
            };
            format!("{}: {}", named(usage), STATES.map(outcome).join(", "))
        };
        uses().map(line).collect::<Vec<_>>().join("\n")
    }

    fn told<T: fmt::Debug>(answer: Result<T, Reason>) -> String {
        answer.map_or_else(|reason| format!("no: {reason:?}"), |source| format!("{source:?}"))
    }

    /// All combinations of uses with what the image has (`-`, `1`) and what is kept (`-`, `1`, `2`).
    #[test]
    fn every_combination_has_its_reason() {
        let decide = |former: Former<'_>| {
            let (restored, reason) = restore(former.usage, former.image, former.kept);
            format!("{restored:?} {reason:?}")
        };
        insta::assert_snapshot!(table(decide), @r"
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

    /// Asked for the uses that it had.
    #[test]
    fn a_layer_is_kept_as_it_is_or_there_is_a_reason() {
        insta::assert_snapshot!(table(|former| told(reuse(former.usage, Some(former), false))), @r"
        - - -: -- no: ForNothing, -1 no: ForNothing, 1- no: ForNothing, 11 no: ForNothing, 12 no: ForNothing
        build - -: -- no: ForBuildAlone, -1 no: ForBuildAlone, 1- no: ForBuildAlone, 11 no: ForBuildAlone, 12 no: ForBuildAlone
        - launch -: -- no: NotInImage, -1 no: NotInImage, 1- Image, 11 Image, 12 Image
        build launch -: -- no: ForBuildAlone, -1 no: ForBuildAlone, 1- no: ForBuildAlone, 11 no: ForBuildAlone, 12 no: ForBuildAlone
        - - cache: -- no: NotKept, -1 Kept, 1- no: NotKept, 11 Kept, 12 Kept
        build - cache: -- no: NotKept, -1 Kept, 1- no: NotKept, 11 Kept, 12 Kept
        - launch cache: -- no: NotKept, -1 Kept, 1- no: NotKept, 11 Kept, 12 no: OtherContents
        build launch cache: -- no: NotKept, -1 Kept, 1- no: NotKept, 11 Kept, 12 no: OtherContents
        ");
    }

    #[test]
    fn contents_come_back_of_what_was_to_be_kept() {
        insta::assert_snapshot!(table(|former| told(contents(Some(former), false))), @r"
        - - -: -- no: ForNothing, -1 no: ForNothing, 1- no: ForNothing, 11 no: ForNothing, 12 no: ForNothing
        build - -: -- no: ForBuildAlone, -1 no: ForBuildAlone, 1- no: ForBuildAlone, 11 no: ForBuildAlone, 12 no: ForBuildAlone
        - launch -: -- no: NotInImage, -1 no: NotInImage, 1- no: NotForCache, 11 no: NotForCache, 12 no: NotForCache
        build launch -: -- no: ForBuildAlone, -1 no: ForBuildAlone, 1- no: ForBuildAlone, 11 no: ForBuildAlone, 12 no: ForBuildAlone
        - - cache: -- no: NotKept, -1 (), 1- no: NotKept, 11 (), 12 ()
        build - cache: -- no: NotKept, -1 (), 1- no: NotKept, 11 (), 12 ()
        - launch cache: -- no: NotKept, -1 (), 1- no: NotKept, 11 (), 12 no: OtherContents
        build launch cache: -- no: NotKept, -1 (), 1- no: NotKept, 11 (), 12 no: OtherContents
        ");
    }

    /// Everything is there; only what is asked for, or the world, is another.
    #[test]
    fn other_uses_another_stack_and_a_cleared_cache_are_reasons() {
        let digest = Digest::of(b"1");
        let former = |usage, same_stack| Former { usage, image: Some(&digest), kept: Some(&digest), same_stack };
        for asked in uses() {
            for usage in uses().filter(|usage| *usage != asked) {
                let answer = reuse(asked, Some(former(usage, true)), false);
                assert_eq!(answer, Err(Reason::OtherUses), "{} as {}", named(usage), named(asked));
            }
            let elsewhere = reuse(asked, Some(former(asked, false)), false);
            let here = reuse(asked, Some(former(asked, true)), false);
            let expected = if asked.launch { here.and(Err(Reason::OtherStack)) } else { here };
            assert_eq!(elsewhere, expected, "{}", named(asked));
            assert_eq!(contents(Some(former(asked, false)), false), contents(Some(former(asked, true)), false));
            assert_eq!(reuse(asked, None, false), Err(Reason::NoneThere));
            assert_eq!(reuse(asked, Some(former(asked, true)), true), Err(Reason::Cleared));
            assert_eq!(contents(Some(former(asked, true)), true), Err(Reason::Cleared));
        }
        assert_eq!(contents(None, false), Err(Reason::NoneThere));
    }
}
