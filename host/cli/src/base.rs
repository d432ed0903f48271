//! The base image of a build: a stack that is composed on first use and kept, an image of the store, a layout, a registry.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use stave_distro::{
    compose::{self, Stack},
    definition::{Definition, oci_architecture},
    fetch::Ports,
    settings::Settings,
};
use stave_lifecycle::port::{
    bases::{Base, Bases},
    blobs::Results as _,
    failure::{Fault, PortError},
    observer::{Event, Level, Observer},
};
use stave_model::{
    builder::{
        StackReference,
        pinned::{PinnedImage, PinnedStack},
    },
    digest::{Digest, Key},
    image,
    target::{Distro, Platform},
};
use stave_oci::{
    component::Place,
    distribution,
    layout::{self, Layout},
    reference::Reference,
    registry::pull::RegistryImage,
};
use stave_store::images::NamedImage;

use crate::{
    builder::BaseChoice,
    config::read_capped,
    embedded,
    exit::{ANALYZE, Exit, STACK, USAGE, printable},
    workshop::Workshop,
};

/// How much of what a reader of archives says is shown, in characters: it may repeat what it reads.
const MAX_CAUSE: usize = 80;

/// A stack's definition and the name under which what was composed of it is kept.
pub(crate) struct Defined {
    /// The definition.
    pub(crate) definition: Definition,
    /// The stack's id and the definition's digest: another definition is another stack.
    pub(crate) name: String,
}

impl Defined {
    /// Understands the text of a `stack.toml`; `from` is where it stands.
    pub(crate) fn parse(text: &str, from: &str) -> Result<Self, Exit> {
        let definition = Definition::parse(text).map_err(|error| {
            Exit::new(
                USAGE,
                anyhow::Error::new(error).context(format!("could not understand the stack {}", printable(from))),
            )
        })?;
        let name = format!("{}:{}", definition.id.to_lowercase(), Digest::of(text.as_bytes()).short());
        Ok(Self { definition, name })
    }

    /// Reads a `stack.toml`.
    pub(crate) fn read(path: &Path) -> Result<Self, Exit> {
        let shown = path.display().to_string();
        let text = read_capped(path).map_err(|error| {
            Exit::new(USAGE, anyhow::Error::new(error).context(format!("could not read the stack {shown}")))
        })?;
        Self::parse(&text, &shown)
    }

    /// The same for some of its platforms.
    pub(crate) fn only(mut self, platforms: &[Platform]) -> Result<Self, Exit> {
        let all = self.definition.architectures.clone();
        let oci = |architecture: &String| Platform::linux(oci_architecture(architecture).unwrap_or(architecture));
        if let Some(missing) = platforms.iter().find(|wanted| !all.iter().any(|a| oci(a).serves(wanted))) {
            let message = format!("the stack {} is not defined for {missing}", self.definition.id);
            return Err(Exit::new(ANALYZE, message).hint(format!("its architectures are {}", all.join(", "))));
        }
        self.definition.architectures =
            all.into_iter().filter(|a| platforms.iter().any(|p| oci(a).serves(p))).collect();
        Ok(self)
    }
}

/// Composes a stack from packages.
pub(crate) fn compose(workshop: &Workshop, definition: &Definition) -> Result<Stack, Exit> {
    let scratch = workshop.cache.within("scratch").map_err(PortError::from)?.path().to_owned();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let settings = Settings { mirrors: workshop.config.mirrors.clone(), ..Settings::new(scratch, now) };
    let ports = Ports {
        client: &workshop.client,
        blobs: workshop.blobs.as_ref(),
        observer: workshop.ui.as_ref(),
        cancel: &workshop.cancel,
    };
    compose::compose(definition, &settings, ports).map_err(|error| {
        let hint = error.hint();
        let error = anyhow::Error::new(error).context(format!("could not compose the stack {}", definition.id));
        match hint {
            Some(hint) => Exit::new(STACK, error).hint(hint),
            None => Exit::new(STACK, error),
        }
    })
}

/// Keeps a composed stack's images under a name.
pub(crate) fn keep(workshop: &Workshop, stack: &Stack, name: &str) -> Result<(), Exit> {
    for composed in &stack.images {
        let put = workshop.images.put(name, &composed.image, workshop.ui.as_ref(), &workshop.cancel);
        put.map_err(|error| Exit::new(STACK, error))?;
    }
    Ok(())
}

/// The base to build on. Where a name of a registry is to be a `locked` image, it is that one, wherever the name leads now.
pub(crate) fn find(
    workshop: &Workshop,
    stack: &BaseChoice,
    run_image: Option<&str>,
    platform: &Platform,
    locked: Option<Digest>,
) -> Result<Base, Exit> {
    if let (None, Some((place, pinned))) = (run_image, &stack.pinned) {
        return told(workshop, of_artefact(workshop, place, pinned, platform)?);
    }
    let in_folder = |path: &str| stack.folder.join(path);
    let bases: Box<dyn Bases> = match (run_image, &stack.reference) {
        (Some(named_by_user), _) => named(workshop, named_by_user)?,
        (None, Some(StackReference::RunImage(reference))) => named_or_locked(workshop, reference, locked)?,
        (None, Some(StackReference::Name(name))) => {
            let name: Reference = name.parse().map_err(|error| Exit::new(USAGE, error))?;
            Box::new(NamedImage::new(workshop.images.clone(), name.to_string()))
        }
        (None, Some(StackReference::Path(path))) if in_folder(path).is_dir() => {
            let place = layout::Place { folder: in_folder(path), name: None };
            Box::new(Layout::open(place).map_err(no_base)?)
        }
        (None, Some(StackReference::Path(path))) => {
            return composed(workshop, Defined::read(&in_folder(path))?, platform);
        }
        (None, None) => return composed(workshop, Defined::parse(embedded::STACK, "inside this program")?, platform),
    };
    told(workshop, bases.base(platform).map_err(no_base)?)
}

/// The base that a builder's artefact names: beside it, or in a repository. It is called the same wherever the artefact is, so
/// that the same app gives the same image.
fn of_artefact(workshop: &Workshop, place: &Place, pinned: &PinnedStack, platform: &Platform) -> Result<Base, Exit> {
    let exact = pinned.images.iter().find(|image| image.platform == *platform);
    let wanted = exact.or_else(|| pinned.images.iter().find(|image| image.platform.serves(platform)));
    let Some(PinnedImage { digest, platform }) = wanted else {
        let platforms: Vec<String> = pinned.images.iter().map(|image| image.platform.to_string()).collect();
        let exit = Exit::new(ANALYZE, format!("the builder has no base for {platform}"));
        return Err(exit.hint(format!("it has one for {}", platforms.join(", "))));
    };
    let found = match (&pinned.repository, place) {
        (Some(repository), _) => named(workshop, &format!("{repository}@{digest}"))?.base(platform),
        (None, Place::Registry(reference)) => in_registry(workshop, reference.clone()).base(platform),
        (None, Place::Layout { place, .. }) => Layout::open(place.clone()).and_then(|layout| layout.base(platform)),
    };
    let base = found.map_err(no_base)?;
    if base.image.digest() != *digest {
        let exit = Exit::new(ANALYZE, format!("the base for {platform} is not the one that the builder names"));
        return Err(exit.detail(format!("named: {digest}")).detail(format!("found: {}", base.image.digest())));
    }
    let reference = match &pinned.repository {
        Some(_) => base.reference,
        None => format!("{}@{digest}", pinned.name),
    };
    Ok(Base { image: base.image, name: pinned.name.clone(), reference })
}

/// All platforms that there is a base for.
pub(crate) fn platforms(workshop: &Workshop, stack: &BaseChoice) -> Result<Vec<Platform>, Exit> {
    if let Some((_, pinned)) = &stack.pinned {
        return Ok(pinned.images.iter().map(|image| image.platform.clone()).collect());
    }
    let of_layout = |place| Layout::open(place).and_then(|layout| layout.platforms()).map_err(no_base);
    let of_definition = |defined: Defined| {
        let architectures = defined.definition.architectures.iter();
        architectures.map(|one| Platform::linux(oci_architecture(one).unwrap_or(one))).collect()
    };
    let mut platforms: Vec<Platform> = match &stack.reference {
        None => of_definition(Defined::parse(embedded::STACK, "inside this program")?),
        Some(StackReference::Path(path)) if stack.folder.join(path).is_dir() => {
            of_layout(layout::Place { folder: stack.folder.join(path), name: None })?
        }
        Some(StackReference::Path(path)) => of_definition(Defined::read(&stack.folder.join(path))?),
        Some(StackReference::Name(name)) => {
            let name: Reference = name.parse().map_err(|error| Exit::new(USAGE, error))?;
            let all = workshop.images.list().map_err(no_base)?;
            all.into_iter().filter(|entry| entry.name == name.to_string()).map(|entry| entry.platform).collect()
        }
        Some(StackReference::RunImage(text)) => {
            if let Some(place) = text.strip_prefix("oci:") {
                of_layout(layout::Place::parse(place))?
            } else {
                let reference: Reference = text.parse().map_err(|error| Exit::new(USAGE, error))?;
                let every = in_registry(workshop, reference).every().map_err(no_base)?;
                every.images.into_iter().map(|image| image.platform).collect()
            }
        }
    };
    platforms.retain(|platform| platform.os != "unknown");
    platforms.sort();
    platforms.dedup();
    if platforms.is_empty() {
        return Err(Exit::new(ANALYZE, format!("there is no image of the stack {}", printable(stack.name()))));
    }
    Ok(platforms)
}

pub(crate) fn no_base(error: PortError) -> Exit {
    Exit::new(ANALYZE, anyhow::Error::new(error).context("could not find the base image"))
}

/// What a person names: `oci:DIR`, or a reference that a registry knows.
pub(crate) fn named(workshop: &Workshop, text: &str) -> Result<Box<dyn Bases>, Exit> {
    if let Some(place) = text.strip_prefix("oci:") {
        return Ok(Box::new(Layout::open(layout::Place::parse(place)).map_err(no_base)?));
    }
    let reference: Reference = text.parse().map_err(|error| Exit::new(USAGE, error))?;
    Ok(Box::new(in_registry(workshop, reference)))
}

fn named_or_locked(workshop: &Workshop, text: &str, locked: Option<Digest>) -> Result<Box<dyn Bases>, Exit> {
    match (locked, text.parse::<Reference>()) {
        (Some(locked), Ok(reference)) if reference.digest.is_none() && !text.starts_with("oci:") => {
            let reference = Reference { digest: Some(locked), ..reference };
            Ok(Box::new(in_registry(workshop, reference)))
        }
        _ => named(workshop, text),
    }
}

fn in_registry(workshop: &Workshop, reference: Reference) -> RegistryImage {
    let (blobs, ui, cancel) = (workshop.blobs.clone(), workshop.ui.clone(), workshop.cancel.clone());
    RegistryImage::new(workshop.registries(), reference, blobs, ui, cancel)
}

/// The stack as it is kept, or composed now.
fn composed(workshop: &Workshop, stack: Defined, platform: &Platform) -> Result<Base, Exit> {
    let stack = stack.only(std::slice::from_ref(platform))?;
    let kept = NamedImage::new(workshop.images.clone(), stack.name.clone());
    let failed =
        |error| Exit::new(ANALYZE, anyhow::Error::new(error).context("could not read the stack that was composed"));
    let id = &stack.definition.id;
    let found = match workshop.images.get_whole(&stack.name, platform) {
        Err(error) if error.fault == Fault::Integrity => {
            let note = format!("the stack {id} that was composed for {platform} is damaged ({error})");
            workshop.ui.observe(Event::Note(Level::Warning, note));
            None
        }
        found => found.map_err(failed)?,
    };
    if found.is_none() {
        let note = format!("composing the stack {id} for {platform}: this is done once");
        workshop.ui.observe(Event::Note(Level::Info, note));
        keep(workshop, &compose(workshop, &stack.definition)?, &stack.name)?;
    }
    told(workshop, kept.base(platform).map_err(failed)?)
}

fn told(workshop: &Workshop, base: Base) -> Result<Base, Exit> {
    workshop.cancel.check()?;
    let note = format!("base {} ({})", base.name, base.image.digest().short());
    workshop.ui.observe(Event::Note(Level::Info, note));
    Ok(base)
}

/// The distribution that the base's labels name (platform specification, "Run Image"); where they name none, the one that a
/// file of the base names. What was found in files is kept, because a registry's layers are fetched for it.
pub(crate) fn distro(workshop: &Workshop, base: &Base) -> Result<Option<Distro>, Exit> {
    let labelled = image::stack(&base.image.config).ok().and_then(|stack| stack.distro);
    if let Some(distro) = labelled.filter(|distro| !distro.name.is_empty()) {
        return Ok(Some(distro));
    }
    let key = Key::new("distribution of a base 1").field(base.image.digest().hex()).finish();
    if let Some(kept) = workshop.results.get(&key).and_then(|kept| serde_json::from_slice(&kept).ok()) {
        return Ok(kept);
    }
    let attempt = format!("could not find out the distribution of the base {}, which has no label of it", base.name);
    let distro = match distribution::of(&base.image, &workshop.cancel) {
        Ok(distro) => distro,
        // What it has can be fetched and not be read, and a base is there to be stood on: most buildpacks do not ask.
        Err(error) if matches!(error.fault, Fault::InvalidInput | Fault::TooLarge | Fault::Unsupported) => {
            let error = anyhow::Error::new(error);
            let cause: String = printable(&error.root_cause().to_string()).chars().take(MAX_CAUSE).collect();
            workshop.ui.observe(Event::Note(Level::Warning, format!("{attempt}: {cause}")));
            return Ok(None);
        }
        Err(error) => return Err(Exit::new(ANALYZE, anyhow::Error::new(error).context(attempt))),
    };
    let note = match &distro {
        Some(Distro { name, version }) if version.is_empty() => format!("the base's files say that it is {name}"),
        Some(Distro { name, version }) => format!("the base's files say that it is {name} {version}"),
        None => "neither labels nor files of the base name its distribution".to_owned(),
    };
    workshop.ui.observe(Event::Note(Level::Debug, note));
    if let Ok(text) = serde_json::to_vec(&distro) {
        workshop.results.put(&key, &text);
    }
    Ok(distro)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_definition_is_another_stack() {
        let stack = Defined::parse(embedded::STACK, "here").unwrap();
        let other = Defined::parse(&format!("{}\n# changed\n", embedded::STACK), "here").unwrap();
        assert_ne!(stack.name, other.name);
        assert_eq!(stack.only(&[Platform::linux("arm64")]).unwrap().definition.architectures, ["arm64"]);
    }

    #[test]
    fn a_platform_that_is_not_there_is_said() {
        let Err(exit) = Defined::parse(embedded::STACK, "here").unwrap().only(&[Platform::linux("s390x")]) else {
            panic!("the stack has no s390x");
        };
        assert!(exit.render().contains("is not defined for linux/s390x\nhint: its architectures are amd64, arm64"));
    }
}
