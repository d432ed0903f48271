//! What the platform does in the world, done by this program: looks up stacks and stores, makes builders, builds and rebases.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use stave_lifecycle::port::cancel::Cancel;
use stave_model::{
    builder::{Builder as Definition, BuildpackReference, Place as PartPlace, StackReference},
    digest::Digest,
    order::{self, System},
    target::Platform,
};
use stave_oci::{builder as artefact, component::Place, registry::pull::RegistryImage};
use stave_platform::{
    plan::{Rules, world::StackState},
    port::{Artefact, Done, Event, Failed, Outside, Stocked, Stopper, Work},
    queue::Stop,
    resource::{
        build::{Mode, Outcome},
        builder::{Builder, BuilderRevision, BuildpackVersion, Group},
        image::Image,
        name::Name as Namespace,
        package::Package,
        reference::{Pinned, Reference as Name},
        source::{Found, FoundImage, ResolvedSource},
        stack::{Stack, Store},
    },
};
use stave_store::logs::LogWriter;

use super::{
    Desk, Show, Wishes, fault,
    getting::{self, Keys, Outer},
    hourly::Hourly,
    making, names, rebasing,
    tally::Tally,
    telling::Teller,
};
use crate::{
    builder as builders,
    components::{self, means},
    embedded,
    exit::{EXPORT, Exit},
    found::Found as FoundImageThere,
    pinned,
    ui::Ui,
    workshop::Workshop,
};

/// This program, as the platform sees it.
pub(super) struct Hands<'a> {
    desk: &'a Desk<'a>,
    teller: Teller,
    tally: Option<Arc<Tally>>,
    /// What others' wishes were asked with last.
    outer: Mutex<Option<Outer>>,
    /// When logs that no record names were removed last.
    swept: Hourly,
}

impl<'a> Hands<'a> {
    pub(super) fn new(desk: &'a Desk<'a>, show: Show) -> Self {
        let teller = Teller::new(Arc::clone(&desk.workshop.ui), show);
        Self { desk, teller, tally: None, outer: Mutex::new(None), swept: Hourly::since(Instant::now()) }
    }

    /// The same, with what happens counted.
    pub(super) fn counting(self, tally: Arc<Tally>) -> Self {
        Self { tally: Some(tally), ..self }
    }

    /// Whose credentials an image's source and tags are asked for with. Whose wishes these are may be another by now than at the start.
    fn keys(&self, image: &Image) -> Result<Keys, Exit> {
        self.keys_of(&image.key().namespace, &image.spec.service_account_name)
    }

    /// The same of a service account.
    pub(super) fn keys_of(&self, namespace: &Namespace, account: &str) -> Result<Keys, Exit> {
        let whose = self.desk.whose().map_err(super::failed)?;
        let outer = match whose {
            Wishes::Own => None,
            Wishes::Others => Some(self.outer().map_err(super::failed)?),
        };
        Ok(Keys::of_account(self.workshop(), namespace, account, outer)?)
    }

    /// How others' wishes are asked for. As long as the same hosts are named, connections are kept.
    fn outer(&self) -> Result<Outer, Failed> {
        let hosts = self.desk.private_sources()?;
        let mut last = self.outer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outer) = last.as_ref().filter(|outer| outer.hosts == hosts) {
            return Ok(outer.clone());
        }
        let client = self.workshop().client.public_but(hosts.clone());
        Ok(last.insert(Outer { hosts, client }).clone())
    }

    /// The workshop for what an image's owner wishes: with the logins of the service account, and, where the wish may be
    /// somebody else's, with no others.
    fn for_owner(&self, image: &Image) -> Result<Workshop, Exit> {
        let keys = self.keys(image)?;
        let mut workshop = self.workshop().beside(Arc::clone(&self.workshop().ui), self.workshop().cancel.clone());
        workshop.logins = keys.logins();
        workshop.only_handed = keys.are_others();
        Ok(workshop)
    }

    pub(super) fn workshop(&self) -> &Workshop {
        self.desk.workshop
    }

    pub(super) fn desk(&self) -> &Desk<'a> {
        self.desk
    }

    fn in_registry(workshop: &Workshop, name: &Name) -> Result<RegistryImage, Exit> {
        let (blobs, ui, cancel) = (workshop.blobs.clone(), workshop.ui.clone(), workshop.cancel.clone());
        Ok(RegistryImage::new(workshop.registries(), names::parse(&name.to_string())?, blobs, ui, cancel))
    }

    /// What a name leads to now, by digest.
    fn pinned(workshop: &Workshop, name: &Name) -> Result<Pinned, Exit> {
        let digest = match name.digest {
            Some(digest) => digest,
            None => Self::in_registry(workshop, name)?.digest()?,
        };
        Ok(Pinned::new(name, digest))
    }

    fn stack_state(&self, stack: &Stack) -> Result<StackState, Exit> {
        let run_image = Self::pinned(self.workshop(), &stack.spec.run_image.image)?;
        let reference = names::of_pinned(&run_image)?;
        let base = FoundImageThere::in_registry(self.workshop(), reference).base(&Platform::of_this_machine())?;
        let labelled = stack_label(&base.image.config);
        match labelled.filter(|id| *id != stack.spec.id) {
            Some(other) => {
                let message = format!("the run image {run_image} is of the stack `{}`", other.escape_debug());
                Err(Exit::new(crate::exit::USAGE, message).hint(format!("the ClusterStack says `{}`", stack.spec.id)))
            }
            None => Ok(StackState { id: stack.spec.id.clone(), run_image }),
        }
    }

    pub(super) fn stocked(workshop: &Workshop, name: &Name) -> Result<Stocked, Exit> {
        let place: Place = Place::Registry(names::parse(&name.to_string())?);
        let component = components::fetch(workshop, &place)?;
        let about = &component.description.manifest.buildpack;
        let buildpack = BuildpackVersion {
            id: about.id.clone(),
            version: about.version.clone(),
            digest: Some(Digest::of(&component.wasm)),
            homepage: Some(about.homepage.clone()).filter(|homepage| !homepage.is_empty()),
        };
        let image = Pinned::new(name, component.found.manifest.digest);
        Ok(Stocked { buildpack, image, size: component.wasm.len() as u64 })
    }

    /// Makes the artefact of a builder, keeps it, and puts it at its tag.
    fn artefact(
        &self,
        builder: &Builder,
        number: u64,
        revision: &BuilderRevision,
        stock: &[Stocked],
    ) -> Result<Artefact, Exit> {
        let workshop = self.workshop();
        let reading = &self.for_making(builder, revision)?;
        let definition = Self::definition(reading, builder, revision, stock)?;
        let name = names::kept(builder, number);
        let found = builders::of_definition(reading, definition, ".".into(), name.clone())?;
        let made = pinned::make_of(reading, &found, &[])?;
        let push = |place: &Place| {
            artefact::push(place, &made.artifact, &made.carried, &means(workshop))
                .map_err(|error| Exit::new(EXPORT, error))
        };
        push(&builders::kept_place(workshop, &name)?)?;
        let digest = artefact::digest(&made.artifact, &made.carried);
        let image = match &builder.spec.tag {
            Some(tag) => {
                push(&Place::Registry(names::of_tag(tag)?))?;
                Some(Pinned::new(tag.reference(), digest))
            }
            None => None,
        };
        Ok(Artefact { digest, image })
    }

    /// What a builder comes to, as a `builder.toml` would say it: everything by digest, and each buildpack is granted what it
    /// asks for, since who may make builders put it there. A policy says where that is too much.
    fn definition(
        workshop: &Workshop,
        builder: &Builder,
        revision: &BuilderRevision,
        stock: &[Stocked],
    ) -> Result<Definition, Exit> {
        let mut parts = Vec::new();
        for buildpack in &revision.buildpacks {
            let stocked = stock.iter().find(|one| one.buildpack == *buildpack).ok_or_else(|| {
                Exit::new(crate::exit::ANALYZE, format!("nobody has the buildpack {} any more", buildpack.title()))
            })?;
            let place = Place::Registry(names::of_pinned(&stocked.image)?);
            let wasm = components::fetch(workshop, &place)?.wasm;
            parts.push(BuildpackReference {
                place: PartPlace::Reference(stocked.image.to_string()),
                digest: buildpack.digest,
                grants: embedded::grants(&wasm),
            });
        }
        Ok(Definition {
            description: format!("{} {}", builder.kind, builder.metadata.name),
            stack: Some(StackReference::RunImage(revision.run_image.to_string())),
            buildpacks: parts,
            order: revision.order.iter().map(group).collect(),
            composites: Vec::new(),
            system: System::default(),
        })
    }

    /// A workshop for one build, which writes its log and stops with its stopper.
    fn at_work(&self, work: &Work, stop: &Stopper) -> Result<(Workshop, Arc<Mutex<LogWriter>>), Exit> {
        let build = &work.build;
        let log = self.desk.logs.start(&build.image, build.number)?;
        let log = Arc::new(Mutex::new(log));
        let (writer, echo) = (Arc::clone(&log), self.teller.echo());
        let lines = move |line: &str| {
            // A log that cannot be written stops no build.
            let _ = writer.lock().unwrap_or_else(PoisonError::into_inner).write(line);
            echo(line);
        };
        let ui = Arc::new(Ui::to_log(Box::new(lines)));
        let workshop = self.for_owner(&work.image)?.beside(ui, Cancel::of(stop.flag()));
        Ok((workshop, log))
    }

    fn done(&self, work: &Work, stop: &Stopper) -> Result<Done, Exit> {
        let (workshop, log) = self.at_work(work, stop)?;
        making::prepare(&workshop, work);
        let made = match work.build.mode {
            Mode::Rebase => rebasing::rebase(&workshop, work),
            Mode::Rollback => rebasing::turn_back(&workshop, work),
            Mode::Build => self.keys(&work.image).and_then(|keys| making::make(self.desk, &workshop, &keys, work)),
        };
        let outcome = match made {
            Ok(made) => {
                workshop.ui.step("COMPLETION");
                workshop.ui.say("Build successful");
                Outcome::Succeeded(Box::new(made))
            }
            Err(exit) => {
                workshop.ui.failure(&exit.render());
                fault::outcome(&exit)
            }
        };
        workshop.keep_ledger();
        // The workshop's own lines hold the log too.
        drop(workshop);
        let log = Arc::into_inner(log).map(|log| log.into_inner().unwrap_or_else(PoisonError::into_inner));
        // Whoever takes the build up again begins its log anew; until then it is found where it is.
        let is_left = stop.why() == Some(Stop::Needless);
        let log = log.filter(|_| !is_left).and_then(|log| log.finish().ok());
        Ok(Done { outcome, log })
    }
}

/// The stack that an image's label names (platform specification 0.11, "Run Image"; images without one may stand for any).
fn stack_label(config: &[u8]) -> Option<String> {
    let config: serde_json::Value = serde_json::from_slice(config).ok()?;
    let label = config.pointer("/config/Labels/io.buildpacks.stack.id")?.as_str()?;
    (!label.is_empty()).then(|| label.to_owned())
}

fn group(group: &Group) -> order::Group {
    let members = group.group.iter().map(|member| order::Member {
        id: member.id.clone(),
        version: member.version.clone(),
        optional: member.optional,
        exec_env: Vec::new(),
    });
    order::Group { group: members.collect() }
}

impl Outside for Hands<'_> {
    fn source(&self, image: &Image, last: Option<&ResolvedSource>) -> Result<ResolvedSource, Failed> {
        let source = &image.spec.source;
        let attempt = || format!("could not look up the source of the image {}", image.key());
        let keys = self.keys(image).map_err(|exit| fault::failed(attempt(), exit))?;
        let at = if let Some(registry) = &source.registry {
            let found = self.for_owner(image).and_then(|owner| Self::pinned(&keys.at(&owner), &registry.image));
            let image = found.map_err(|exit| keys.ruled(fault::failed(attempt(), exit)))?;
            Found::Registry(FoundImage { image })
        } else {
            getting::resolve(self.workshop(), &keys, image, last).map_err(|failed| keys.ruled(failed))?
        };
        Ok(ResolvedSource { at, sub_path: source.sub_path.clone() })
    }

    fn stack(&self, stack: &Stack) -> Result<StackState, Failed> {
        let attempt = || format!("could not look up the ClusterStack {}", stack.metadata.name);
        self.stack_state(stack).map_err(|exit| fault::failed(attempt(), exit))
    }

    fn store(&self, store: &Store) -> Result<Vec<Stocked>, Failed> {
        let mut stock: Vec<Stocked> = Vec::new();
        for source in &store.spec.sources {
            let attempt = || format!("could not look up {} of the ClusterStore {}", source.image, store.metadata.name);
            let one = Self::stocked(self.workshop(), &source.image).map_err(|exit| fault::failed(attempt(), exit))?;
            if !stock.contains(&one) {
                stock.push(one);
            }
        }
        Ok(stock)
    }

    fn package(&self, package: &Package) -> Result<Stocked, Failed> {
        let attempt = || format!("could not look up {} of the {}", package.spec.image, package.key());
        self.in_artefact(package).map_err(|exit| fault::failed(attempt(), exit))
    }

    fn builder(
        &self,
        builder: &Builder,
        number: u64,
        revision: &BuilderRevision,
        stock: &[Stocked],
    ) -> Result<Artefact, Failed> {
        let attempt = || format!("could not make the {} {}", builder.kind, builder.metadata.name);
        self.artefact(builder, number, revision, stock).map_err(|exit| fault::failed(attempt(), exit))
    }

    fn build(&self, work: &Work, stop: &Stopper) -> Done {
        // A server runs for months, and limits of histories let go of builds all the time.
        if self.swept.is_due(Instant::now()) {
            self.desk.sweep();
        }
        self.done(work, stop).unwrap_or_else(|exit| Done { outcome: fault::outcome(&exit), log: None })
    }

    fn rules(&self) -> Option<Rules> {
        self.desk.rules().ok()
    }

    fn now(&self) -> u64 {
        super::now()
    }

    fn tell(&self, event: Event) {
        self.tally.iter().for_each(|tally| tally.count(&event));
        self.teller.tell(event);
    }
}
