//! What is locked: a lock made of what a builder comes to now, and a builder held to a lock.

use std::{collections::BTreeSet, path::Path};

use stave_engine::{
    admission::{Refusal, check_imports},
    component::{Description, describe},
    load::LoadError,
};
use stave_lifecycle::port::{bases::Base, buildpack::Buildpack};
use stave_model::{
    builder::pinned::PinnedImage,
    id::BuildpackId,
    lock::{self, Lock, LockedBuilder, LockedBuildpack, LockedImage, LockedStack, compare},
    manifest::About,
    order::Selection,
    target::Platform,
};

use crate::{
    base,
    builder::{Builder, Component, Part},
    buildpacks::{is_for_other_contract, refused, side_by_side},
    config::read_at_most,
    exit::{CONTRACT, Exit, LOCKED, REFUSED, USAGE, printable},
    review,
    workshop::Workshop,
};

/// What to do where a stack is to be the same on all machines.
const COMPOSED: &str = "this stack is composed from packages, by each machine as they are there at the time; `stave builder create` or \
                        `publish` makes a builder that carries its base, and that one is the same everywhere";

/// What is looked for anew.
pub(crate) enum Fresh<'a> {
    /// Everything.
    All,
    /// Buildpacks with these ids; all else stays what this lock has.
    Only(&'a BTreeSet<BuildpackId>, &'a Lock),
}

/// Reads a lock.
pub(crate) fn read(file: &Path) -> Result<Lock, Exit> {
    let shown = printable(&file.display().to_string());
    let failed = |error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not read the lock {shown}")));
    match read_at_most(file, lock::MAX_LOCK as u64) {
        Ok(text) => Lock::parse(&text).map_err(|error| failed(error.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(failed(error.into()).hint("`stave lock` writes one"))
        }
        Err(error) => Err(failed(error.into())),
    }
}

/// Makes a lock of what a builder comes to now. Nothing of it is compiled, and nothing has to be granted yet; but what no buildpack
/// has here is refused.
pub(crate) fn make(
    workshop: &Workshop,
    mut builder: Builder,
    platforms: &[Platform],
    fresh: &Fresh<'_>,
) -> Result<Lock, Exit> {
    if let Fresh::Only(ids, old) = fresh {
        builder.pin(|reference| old.pin(reference).filter(|locked| !ids.contains(&locked.id)));
    }
    let mut inputs = inputs(workshop, &builder, true)?;
    // Nobody could agree to it: no grant makes it run here.
    if let Some((name, refusal)) = inputs.foreign.take() {
        return Err(refused(&name, refusal.into()));
    }
    let images = match fresh {
        Fresh::Only(_, old) => old.stack.images.clone(),
        Fresh::All => {
            let image = |platform: &Platform| {
                let base = base::find(workshop, &builder.stack, None, platform, None)?;
                Ok(LockedImage { platform: platform.clone(), digest: base.image.digest() })
            };
            platforms.iter().map(image).collect::<Result<_, Exit>>()?
        }
    };
    let Selection { order, composites, system } = inputs.selection(&builder);
    Ok(Lock {
        version: lock::FORMAT,
        builder: LockedBuilder { name: builder.name.clone(), digest: builder.digest },
        stack: LockedStack { name: builder.stack.name().to_owned(), images },
        order,
        composites,
        system,
        buildpacks: inputs.buildpacks,
    }
    .sorted())
}

/// The components of a builder, described.
pub(crate) struct Inputs {
    abouts: Vec<About>,
    /// As a lock has them.
    pub(crate) buildpacks: Vec<LockedBuildpack>,
    /// Their bytes, in the builder's sequence.
    pub(crate) components: Vec<Component>,
    /// The first of them that imports what this host has for nobody, and what it is called.
    foreign: Option<(String, Refusal)>,
}

impl Inputs {
    /// Which of them are tried together.
    pub(crate) fn selection(&self, builder: &Builder) -> Selection {
        builder.selection(&self.abouts.iter().collect::<Vec<_>>())
    }
}

/// Fetches and describes all components of a builder, with the manifests that led to them or, if nobody wants these, without.
pub(crate) fn inputs(workshop: &Workshop, builder: &Builder, with_manifests: bool) -> Result<Inputs, Exit> {
    let described = side_by_side(&builder.parts, |part| {
        let component = part.fetch(workshop, with_manifests)?;
        let description = describe(&component.bytes, &stave_engine::Limits::default()).map_err(|error| {
            let code = if is_for_other_contract(&error) { CONTRACT } else { REFUSED };
            let context = format!("could not look at the buildpack {}", printable(&part.shown));
            Exit::new(code, anyhow::Error::new(error).context(context))
        })?;
        if let Some(expected) = part.digest.filter(|expected| *expected != description.digest) {
            return Err(refused(&part.shown, LoadError::Digest { expected, found: description.digest }));
        }
        Ok((component, description))
    })?;
    workshop.cancel.check()?;
    let mut inputs = Inputs { abouts: Vec::new(), buildpacks: Vec::new(), components: Vec::new(), foreign: None };
    for (part, (component, description)) in builder.parts.iter().zip(described) {
        if let (None, Err(refusal)) = (&inputs.foreign, check_imports(&description)) {
            inputs.foreign = Some((printable(&part.shown), refusal));
        }
        inputs.abouts.push(description.manifest.buildpack.clone());
        inputs.buildpacks.push(entry(part, &component, description));
        inputs.components.push(component);
    }
    Ok(inputs)
}

fn entry(part: &Part, component: &Component, description: Description) -> LockedBuildpack {
    let Description { digest, size, manifest, imports, .. } = description;
    LockedBuildpack {
        id: manifest.buildpack.id,
        version: manifest.buildpack.version,
        reference: part.reference().map(str::to_owned),
        manifest: component.manifest,
        component: digest,
        size: size as u64,
        contract: manifest.contract,
        signer: component.signer.clone(),
        imports,
        asks: manifest.asks,
        grants: part.grants.clone(),
        dependencies: manifest.dependencies,
    }
}

/// A lock that a build is held to.
pub(crate) struct Held {
    lock: Lock,
    file: String,
}

impl Held {
    /// Reads it.
    pub(crate) fn read(file: &Path) -> Result<Self, Exit> {
        Ok(Self { lock: read(file)?, file: printable(&file.display().to_string()) })
    }

    /// The lock.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Refuses a builder whose parts are not the locked ones; before any of them is compiled.
    pub(crate) fn check_parts(&self, builder: &Builder, inputs: &Inputs) -> Result<(), Exit> {
        let Selection { order, composites, system } = inputs.selection(builder);
        let mut buildpacks = inputs.buildpacks.clone();
        for found in &mut buildpacks {
            let locked = self.lock.buildpacks.iter().find(|locked| locked.component == found.component);
            let Some(locked) = locked else { continue };
            // Whoever has a component by its digest need not know the manifest that leads to it.
            found.manifest = found.manifest.or(locked.manifest);
            // Signatures are about a manifest. Which of them are enough for this one is the policy's to say, and it has.
            if found.manifest == locked.manifest {
                found.signer.clone_from(&locked.signer);
            }
        }
        let found = Lock { order, composites, system, buildpacks, ..self.lock.clone() }.sorted();
        let changes = compare::changes(&self.lock.clone().sorted(), &found);
        if changes.is_empty() {
            return Ok(());
        }
        let exit = Exit::new(LOCKED, format!("the builder {} is not the one in {}", builder.name, self.file));
        let exit = review::lines(&changes).into_iter().fold(exit, Exit::detail);
        Err(exit.hint("`stave lock update` takes what is there now, and stops where it wants more than before"))
    }

    /// Refuses a buildpack that came to the builder's from elsewhere, such as an app's project.toml.
    pub(crate) fn check_loaded<'a>(&self, loaded: impl Iterator<Item = &'a dyn Buildpack>) -> Result<(), Exit> {
        for buildpack in loaded {
            if !self.lock.buildpacks.iter().any(|locked| locked.component == buildpack.digest()) {
                let (title, digest) = (buildpack.manifest().title(), buildpack.digest());
                let exit = Exit::new(LOCKED, format!("{title} ({digest}) is not in {}", self.file));
                return Err(exit.hint("put it into the builder and lock that, or build without --locked"));
            }
        }
        Ok(())
    }

    /// Refuses a builder whose stack is another than the locked one, where both have a platform.
    pub(crate) fn check_images(&self, images: &[PinnedImage]) -> Result<(), Exit> {
        for PinnedImage { platform, digest } in images {
            let locked = self.lock.stack.images.iter().find(|locked| locked.platform == *platform);
            if let Some(locked) = locked.filter(|locked| locked.digest != *digest) {
                let message = format!("the base for {platform} is not the one in {}", self.file);
                let exit = Exit::new(LOCKED, message).detail(format!("locked: {}", locked.digest));
                let exit = exit.detail(format!("found: {digest}"));
                return Err(exit.hint("`stave lock update` takes what is there now"));
            }
        }
        Ok(())
    }

    /// Refuses another base than the locked one. A stack that is composed on each machine may be another on another.
    pub(crate) fn check_base(&self, base: &Base, platform: &Platform, is_composed: bool) -> Result<(), Exit> {
        let found = base.image.digest();
        match self.lock.image(platform) {
            Some(locked) if locked.digest == found => Ok(()),
            Some(locked) => {
                let message = format!("the base for {platform} is not the one in {}", self.file);
                let exit = Exit::new(LOCKED, message).detail(format!("locked: {}", locked.digest));
                let exit = exit.detail(format!("found: {found} ({})", printable(&base.name)));
                let exit = if is_composed { exit.hint(COMPOSED) } else { exit };
                Err(exit.hint("`stave lock update` takes what is there now"))
            }
            None => {
                let exit = Exit::new(LOCKED, format!("{} has no base for {platform}", self.file));
                Err(exit.hint(format!("`stave lock --platform {platform}` locks it, with the others that you name")))
            }
        }
    }
}
