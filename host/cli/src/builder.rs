//! The builder that is meant: a file, an artefact, or the one inside the program. Nothing of it is loaded here; its
//! components are found and their bytes fetched.

mod named;

use std::{
    borrow::Cow,
    fs::File,
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use stave_archive::content::Content;
use stave_engine::{Limits, load::LoadError};
use stave_lifecycle::port::{
    blobs::Blobs as _,
    failure::{Fault, PortError},
};
use stave_model::{
    builder::{
        self as model, BuildpackReference, StackReference,
        pinned::{PinnedBuilder, PinnedStack},
    },
    capability::Capabilities,
    digest::Digest,
    lock::{Lock, LockedBuildpack},
    manifest::About,
    order::{Group, Member, Order, Selection},
};
use stave_oci::{
    builder as artefact,
    component::{self, Place},
    layout,
};

use crate::{
    buildpacks::refused,
    components::{means, resolve},
    config::read_capped,
    embedded,
    exit::{ANALYZE, Exit, USAGE},
    trust,
    workshop::Workshop,
};

pub(crate) use self::named::{KEPT, Named, PLATFORMS, all_kept, kept_folder, kept_name, kept_place};

/// What stands for the builder inside the program.
const BUILT_IN: &str = "builtin";

/// The artefact at a place, and whose signatures of it were verified. What is kept here needs none: it was created
/// here, or came in a bundle that the policy let in.
pub(crate) fn artefact_at(
    workshop: &Workshop,
    place: &Place,
    afresh: bool,
) -> Result<(artefact::Found, Option<String>), Exit> {
    let is_kept = matches!(place, Place::Layout { place, .. } if place.folder == kept_folder(workshop));
    if !is_kept {
        trust::is_asked_for(workshop, place)?;
    }
    let found = artefact::find(place, &means(workshop));
    workshop.cancel.check()?;
    let found = found.map_err(|error| {
        Exit::new(ANALYZE, anyhow::Error::new(error).context(format!("could not get the builder {place}")))
    })?;
    let signer = if is_kept { None } else { trust::signers(workshop, &found.resolved, found.digest, afresh)? };
    Ok((found, signer))
}

/// A builder and where its parts are.
pub(crate) struct Builder {
    /// As it was named.
    pub(crate) name: String,
    /// The digest of its artefact, if it is one.
    pub(crate) digest: Option<Digest>,
    /// The base.
    pub(crate) stack: BaseChoice,
    /// The buildpacks, in the builder's sequence.
    pub(crate) parts: Vec<Part>,
    said: Said,
}

/// Who says what a builder is.
enum Said {
    /// The program.
    Inside,
    /// A file.
    File(model::Builder),
    /// An artefact.
    Artefact(Box<PinnedBuilder>),
}

/// The base of a builder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BaseChoice {
    /// As the builder names it; none for the stack inside the program.
    pub(crate) reference: Option<StackReference>,
    /// What relative paths start from.
    pub(crate) folder: PathBuf,
    /// What an artefact names instead, and where that is.
    pub(crate) pinned: Option<(Place, PinnedStack)>,
}

impl BaseChoice {
    /// The stack of an artefact.
    pub(crate) fn of_artefact(found: &artefact::Found) -> Self {
        let pinned = Some((found.resolved.clone(), found.builder.stack.clone()));
        Self { reference: None, folder: PathBuf::new(), pinned }
    }

    /// Whether it is composed from packages on this machine.
    pub(crate) fn is_composed(&self) -> bool {
        match (&self.pinned, &self.reference) {
            (None, None) => true,
            (None, Some(StackReference::Path(path))) => !self.folder.join(path).is_dir(),
            _ => false,
        }
    }

    /// As it is named.
    pub(crate) fn name(&self) -> &str {
        if let Some((_, stack)) = &self.pinned {
            return &stack.name;
        }
        match &self.reference {
            None => BUILT_IN,
            Some(StackReference::Path(name) | StackReference::Name(name) | StackReference::RunImage(name)) => name,
        }
    }
}

/// A buildpack of a builder.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// As the builder names it.
    pub(crate) shown: String,
    /// The digest that its component must have.
    pub(crate) digest: Option<Digest>,
    /// What it may do.
    pub(crate) grants: Capabilities,
    at: At,
}

/// Where a component is.
#[derive(Debug, Clone)]
enum At {
    /// In the program.
    Inside(&'static [u8]),
    /// In a file.
    File(PathBuf),
    /// In a registry or a layout.
    Artefact(Place),
    /// With the builder's artefact, which these signed.
    Carried(Arc<dyn Content>, Option<String>),
}

/// A component's bytes, and where they came from.
pub(crate) struct Component {
    /// The component.
    pub(crate) bytes: Cow<'static, [u8]>,
    /// The digest of the manifest that led to it.
    pub(crate) manifest: Option<Digest>,
    /// Whose signature was checked.
    pub(crate) signer: Option<String>,
}

/// Finds a builder. With a lock, what it refers to is what the lock has it led to.
pub(crate) fn find(workshop: &Workshop, named: &Named, lock: Option<&Lock>) -> Result<Builder, Exit> {
    found(workshop, named, lock, false)
}

/// The same as it is now, also whose signatures it has: for a lock that is to be written.
pub(crate) fn find_now(workshop: &Workshop, named: &Named) -> Result<Builder, Exit> {
    found(workshop, named, None, true)
}

fn found(workshop: &Workshop, named: &Named, lock: Option<&Lock>, afresh: bool) -> Result<Builder, Exit> {
    let mut builder = match named {
        Named::BuiltIn => built_in(),
        Named::File(path) => from_file(workshop, path)?,
        Named::Artefact(place, text) => {
            let locked =
                lock.map(|lock| &lock.builder).filter(|locked| locked.name == *text && place.digest().is_none());
            let place = locked.and_then(|locked| locked.digest).map_or_else(|| place.clone(), |one| place.pinned(one));
            of_artefact(artefact_at(workshop, &place, afresh)?, text)
        }
    };
    if let Some(lock) = lock {
        builder.pin(|reference| lock.pin(reference));
    }
    Ok(builder)
}

fn built_in() -> Builder {
    let parts = embedded::BUILDPACKS.iter().map(|embedded| Part {
        shown: format!("builtin:{}", embedded.name),
        digest: None,
        grants: embedded::grants(embedded.component),
        at: At::Inside(embedded.component),
    });
    let stack = BaseChoice { reference: None, folder: PathBuf::from("."), pinned: None };
    Builder { name: BUILT_IN.to_owned(), digest: None, stack, parts: parts.collect(), said: Said::Inside }
}

/// The builder of an artefact that was found, and whose signature was checked.
pub(crate) fn of_artefact((found, signer): (artefact::Found, Option<String>), name: &str) -> Builder {
    let stack = BaseChoice::of_artefact(&found);
    let parts = found.builder.buildpacks.iter().zip(found.components).map(|(buildpack, content)| Part {
        shown: buildpack.title(),
        digest: Some(buildpack.digest),
        grants: buildpack.grants.clone(),
        at: At::Carried(content, signer.clone()),
    });
    let parts = parts.collect();
    let said = Said::Artefact(Box::new(found.builder));
    Builder { name: name.to_owned(), digest: Some(found.digest), stack, parts, said }
}

fn from_file(workshop: &Workshop, path: &Path) -> Result<Builder, Exit> {
    let shown = path.display();
    let unreadable =
        |error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not read the builder {shown}")));
    let text = read_capped(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => unreadable(error.into()).hint(
            "a builder is a file, a name that `stave builder create` gave, oci:DIR, or a reference with its registry",
        ),
        _ => unreadable(error.into()),
    })?;
    let said = model::Builder::parse(&text).map_err(|error| unreadable(error.into()))?;
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    of_definition(workshop, said, folder, shown.to_string())
}

/// A builder of what a file says, or would say; relative paths in it start from `folder`.
pub(crate) fn of_definition(
    workshop: &Workshop,
    said: model::Builder,
    folder: PathBuf,
    name: String,
) -> Result<Builder, Exit> {
    let parts = said.buildpacks.iter().map(|reference| {
        let BuildpackReference { place, digest, grants } = reference.clone();
        let shown = place.as_str().to_owned();
        let at = match place {
            model::Place::Path(path) => in_file(&folder, &path),
            model::Place::Reference(text) => At::Artefact(component_at(workshop, &folder, &text)?),
        };
        Ok(Part { shown, digest, grants, at })
    });
    let parts = parts.collect::<Result<_, Exit>>()?;
    let stack = BaseChoice { reference: said.stack.clone(), folder, pinned: None };
    Ok(Builder { name, digest: None, stack, parts, said: Said::File(said) })
}

/// A path of a builder: `builtin:NAME`, or a file.
fn in_file(folder: &Path, path: &str) -> At {
    let name = path.strip_prefix("builtin:");
    let inside = name.and_then(|name| embedded::BUILDPACKS.into_iter().find(|buildpack| buildpack.name == name));
    inside.map_or_else(|| At::File(folder.join(path)), |embedded| At::Inside(embedded.component))
}

/// A reference of a builder, or a short name that the configuration knows; a layout's folder is relative to the builder's file.
fn component_at(workshop: &Workshop, folder: &Path, text: &str) -> Result<Place, Exit> {
    Ok(match resolve(workshop, text)?.0 {
        Place::Layout { place, digest } => {
            let place = layout::Place { folder: folder.join(&place.folder), ..place };
            Place::Layout { place, digest }
        }
        registry @ Place::Registry(_) => registry,
    })
}

impl Builder {
    /// Which buildpacks are tried together; `abouts` are those of its parts, in their sequence. Where it does not say, all of
    /// them are one group, each optional: whoever has something to do takes part.
    pub(crate) fn selection(&self, abouts: &[&About]) -> Selection {
        let member = |about: &About, optional| Member {
            id: about.id.clone(),
            version: Some(about.version.clone()),
            optional,
            exec_env: Vec::new(),
        };
        let group = |names: &&[(&str, bool)]| {
            let members = names.iter().filter_map(|(name, optional)| {
                let index = embedded::BUILDPACKS.iter().position(|buildpack| buildpack.name == *name)?;
                Some(member(abouts.get(index)?, *optional))
            });
            Group { group: members.collect() }
        };
        let all = || Group { group: abouts.iter().map(|about| member(about, abouts.len() > 1)).collect() };
        match &self.said {
            Said::Inside => embedded::ORDER.iter().map(group).collect::<Order>().into(),
            Said::File(builder) => builder.selection(|| vec![all()]),
            Said::Artefact(builder) => builder.selection(),
        }
    }

    /// One sentence for people, if there is one.
    pub(crate) fn description(&self) -> &str {
        match &self.said {
            Said::Inside => "",
            Said::File(builder) => &builder.description,
            Said::Artefact(builder) => &builder.description,
        }
    }

    /// Takes what references led to when they were locked, where they do not say a digest themselves.
    pub(crate) fn pin<'a>(&mut self, pin: impl Fn(&str) -> Option<&'a LockedBuildpack>) {
        for part in &mut self.parts {
            let (At::Artefact(place), Some(locked)) = (&mut part.at, pin(&part.shown)) else { continue };
            if let (None, Some(manifest)) = (place.digest(), locked.manifest) {
                *place = place.pinned(manifest);
            }
            part.digest.get_or_insert(locked.component);
        }
    }
}

impl Part {
    /// As the builder names it, if that is not a file.
    pub(crate) fn reference(&self) -> Option<&str> {
        if let At::Artefact(_) = self.at { Some(&self.shown) } else { None }
    }

    /// Where it is, if that is an artefact of its own.
    pub(crate) fn place(&self) -> Option<&Place> {
        if let At::Artefact(place) = &self.at { Some(place) } else { None }
    }

    /// Gets the component's bytes. What is pinned by digest and among the blobs is asked of nobody; where the manifest that a
    /// name leads to is to be known too, that one has to be pinned.
    pub(crate) fn fetch(&self, workshop: &Workshop, with_manifest: bool) -> Result<Component, Exit> {
        let most = Limits::default().component_bytes as u64;
        let plain = |bytes| Component { bytes, manifest: None, signer: None };
        match &self.at {
            At::Inside(bytes) => Ok(plain(Cow::Borrowed(bytes))),
            At::File(path) => {
                let mut bytes = Vec::new();
                let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
                let failed = |source| refused(&self.shown, LoadError::Read { path: path.clone(), source });
                read.map_err(failed).map(|_| plain(Cow::Owned(bytes)))
            }
            At::Carried(content, signer) => {
                let read = content.bytes(most).map_err(|error| {
                    self.missing(workshop, PortError::of_io("could not read its component", Fault::Integrity, error))
                });
                let signer = signer.clone();
                read.map(|bytes| Component { signer, ..plain(Cow::Owned(bytes)) })
            }
            At::Artefact(place) => self.pull(workshop, place, with_manifest, most),
        }
    }

    /// A component out of a registry or a layout. Where its signatures are asked for, it is what the signed manifest leads to,
    /// even if the bytes are here already.
    fn pull(&self, workshop: &Workshop, place: &Place, with_manifest: bool, most: u64) -> Result<Component, Exit> {
        let is_asked_for = trust::is_asked_for(workshop, place)?;
        let manifest = place.digest();
        if (manifest.is_some() || !with_manifest)
            && !is_asked_for
            && let Some(bytes) = self.kept(workshop, most)?
        {
            return Ok(Component { bytes: Cow::Owned(bytes), manifest, signer: None });
        }
        let found = component::find(place, most, &means(workshop)).map_err(|error| self.missing(workshop, error))?;
        let signer = trust::signers(workshop, &found.resolved, found.manifest.digest, with_manifest)?;
        let bytes = found.bytes().map_err(|error| self.missing(workshop, error))?;
        Ok(Component { bytes: Cow::Owned(bytes), manifest: Some(found.manifest.digest), signer })
    }

    /// The bytes that are here already, if it is said which.
    fn kept(&self, workshop: &Workshop, most: u64) -> Result<Option<Vec<u8>>, Exit> {
        let Some(digest) = self.digest else { return Ok(None) };
        let Some(span) = workshop.blobs.get(&digest)? else { return Ok(None) };
        // Damaged ones are fetched again.
        Ok(span.bytes(most).ok().filter(|bytes| Digest::of(bytes) == digest))
    }

    fn missing(&self, workshop: &Workshop, error: PortError) -> Exit {
        if workshop.cancel.is_set() {
            return Exit::from(error);
        }
        let context = format!("could not get the buildpack {}", self.shown);
        Exit::new(ANALYZE, anyhow::Error::new(error).context(context))
    }
}
