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
    /// The previous build was for another execution environment.
    OtherExecEnv,
    /// There was no such layer.
    NoneThere,
    /// It was for other uses than it is asked for now.
    OtherUses,
    /// The image stands on a base of another kind, or its files belong to somebody else.
    OtherStack,
    /// The image stands on another base, and nobody says that it is of the same kind.
    OtherBase,
    /// Its contents were not to be kept.
    NotForCache,
    /// The image has it, and its bytes are not what they were.
    Damaged,
    /// The image has it, and what the image says is in it cannot be read.
    NoBill,
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
            Self::OtherExecEnv => "it was made for another execution environment",
            Self::NoneThere => "the previous build had no such layer",
            Self::OtherUses => "in the previous build it had other uses",
            Self::OtherStack => "it was made for a base of another distribution or owner",
            Self::OtherBase => "it was made for another base, and labels do not tell that both are of one distribution",
            Self::NotForCache => "it was not to be kept for the next build",
            Self::Damaged => "the previous image's copy of it is damaged",
            Self::NoBill => "the previous image's bill of materials, which says what is in it, cannot be read",
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
    /// The diffID of its last layer, where its labels do not name the distribution and its version.
    pub top_layer: Option<String>,
    /// The numeric user and group that own what stands on it.
    pub owner: (u32, u32),
}

impl Stack {
    /// The same where the base's last layer is `top_layer`.
    #[must_use]
    pub fn below(self, top_layer: &str) -> Self {
        let is_named = self.distro.as_ref().is_some_and(|distro| !distro.name.is_empty() && !distro.version.is_empty());
        Self { top_layer: (!is_named && !top_layer.is_empty()).then(|| top_layer.to_owned()), ..self }
    }

    /// Why what was made for this kind of base is not for `other`; none where it is. Of a base that does not say what it is, only
    /// the very same one is of the same kind.
    pub fn unlike(&self, other: &Self) -> Option<Reason> {
        if self == other {
            return None;
        }
        let is_unsaid = self.top_layer.is_some() || other.top_layer.is_some();
        Some(if is_unsaid && self.owner == other.owner { Reason::OtherBase } else { Reason::OtherStack })
    }
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
    /// Why it is not for the base of this build, if it is not.
    pub unlike: Option<Reason>,
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
/// was for later buildpacks is not, since they would miss its contents. `barred` is why no layer comes back at all, if none does.
pub fn reuse(asked: Usage, former: Option<Former<'_>>, barred: Option<Reason>) -> Result<Source, Reason> {
    if let Some(reason) = barred {
        return Err(reason);
    }
    let Former { usage, image, kept, unlike } = former.ok_or(Reason::NoneThere)?;
    if usage != asked {
        return Err(Reason::OtherUses);
    }
    match (restore(usage, image, kept), unlike) {
        ((Restored::Nothing, reason), _) => Err(reason),
        // What is in no image is not tied to its base: a buildpack that cares keeps a note of it.
        (_, Some(reason)) if usage.launch => Err(reason),
        ((Restored::Metadata, _), _) => Ok(Source::Image),
        ((Restored::Contents, _), _) => Ok(Source::Kept),
    }
}

/// Whether a layer may begin with the contents that it had, whatever it is for from now on. `barred` is as in [`reuse`].
pub fn contents(former: Option<Former<'_>>, barred: Option<Reason>) -> Result<(), Reason> {
    if let Some(reason) = barred {
        return Err(reason);
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
                let former = Former { usage, image: had.as_ref(), kept: kept_digest.as_ref(), unlike: None };
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
        insta::assert_snapshot!(table(|former| told(reuse(former.usage, Some(former), None))), @r"
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
        insta::assert_snapshot!(table(|former| told(contents(Some(former), None))), @r"
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

    #[test]
    fn a_base_that_does_not_say_what_it_is_is_of_a_kind_with_itself_alone() {
        let distro = |name: &str, version: &str| Some(Distro { name: name.to_owned(), version: version.to_owned() });
        let stack = |distro: &Option<Distro>| Stack { distro: distro.clone(), ..Stack::default() };
        for unsaid in [None, distro("debian", ""), distro("", "12")] {
            let below = |top_layer| stack(&unsaid).below(top_layer);
            assert_eq!(below("sha256:1").unlike(&below("sha256:1")), None);
            assert_eq!(below("sha256:1").unlike(&below("sha256:2")), Some(Reason::OtherBase));
            assert_eq!(below("sha256:1").unlike(&below("")), Some(Reason::OtherBase), "nothing is known of one");
            let owned = Stack { owner: (1001, 1000), ..below("sha256:1") };
            assert_eq!(owned.unlike(&below("sha256:1")), Some(Reason::OtherStack));
        }
        let (one, other) = (stack(&distro("debian", "12")), stack(&distro("debian", "13")));
        assert_eq!(
            one.clone().below("sha256:1").unlike(&one.clone().below("sha256:2")),
            None,
            "they say what they are"
        );
        assert_eq!(one.unlike(&other), Some(Reason::OtherStack));
    }

    /// Everything is there; only what is asked for, or the world, is another.
    #[test]
    fn other_uses_another_stack_and_a_bar_are_reasons() {
        let digest = Digest::of(b"1");
        let former = |usage, unlike| Former { usage, image: Some(&digest), kept: Some(&digest), unlike };
        for asked in uses() {
            for usage in uses().filter(|usage| *usage != asked) {
                let answer = reuse(asked, Some(former(usage, None)), None);
                assert_eq!(answer, Err(Reason::OtherUses), "{} as {}", named(usage), named(asked));
            }
            let here = reuse(asked, Some(former(asked, None)), None);
            for unlike in [Reason::OtherStack, Reason::OtherBase] {
                let elsewhere = Some(former(asked, Some(unlike)));
                let expected = if asked.launch { here.and(Err(unlike)) } else { here };
                assert_eq!(reuse(asked, elsewhere, None), expected, "{}", named(asked));
                assert_eq!(contents(elsewhere, None), contents(Some(former(asked, None)), None));
            }
            assert_eq!(reuse(asked, None, None), Err(Reason::NoneThere));
            for barred in [Reason::Cleared, Reason::OtherExecEnv] {
                assert_eq!(reuse(asked, Some(former(asked, None)), Some(barred)), Err(barred));
                assert_eq!(contents(Some(former(asked, None)), Some(barred)), Err(barred));
            }
        }
        assert_eq!(contents(None, None), Err(Reason::NoneThere));
    }
}
