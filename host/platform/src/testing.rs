//! An image with its builder, its source and its builds, moved along by hand: what the tests of this crate are told with.

use serde_json::json;
use stave_model::digest::Digest;

use crate::{
    decide::{BuilderState, Decision, Question, Retry, SourceState, Start, Verdict, decide},
    history,
    resource::{
        build::{Build, Failure, Fault, Made, Mode, Outcome, joined},
        builder::{BuilderRevision, BuildpackVersion, Group, Member},
        image::Image,
        manifest::{Resource, parse},
        reference::{Pinned, Reference},
        source::ResolvedSource,
    },
};

/// When the tests take place: 2026-11-30T06:00:00Z, a Monday.
pub(crate) const START: u64 = 1_796_018_400;

/// A digest that has a name.
pub(crate) fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

/// `REPOSITORY@sha256:…`, of a digest that has a name.
pub(crate) fn pinned(repository: &str, name: &str) -> Pinned {
    let reference: Reference = repository.parse().unwrap();
    Pinned::new(&reference, digest(name))
}

/// The image `team-a/NAME`.
pub(crate) fn image(name: &str) -> Image {
    let manifest = json!({
        "apiVersion": "stave/v1",
        "kind": "Image",
        "metadata": { "name": name, "namespace": "team-a" },
        "spec": {
            "tag": format!("registry.example.com/team-a/{name}"),
            "source": { "git": { "url": "https://git.example.com/web", "revision": "main" } },
        },
    });
    match parse(&manifest) {
        Ok(Resource::Image(image)) => *image,
        other => panic!("{other:?}"),
    }
}

/// `id@version`, with a digest of that name.
pub(crate) fn buildpack(title: &str) -> BuildpackVersion {
    let (id, version) = title.split_once('@').unwrap();
    BuildpackVersion {
        id: id.parse().unwrap(),
        version: version.parse().unwrap(),
        digest: Some(digest(title)),
        homepage: None,
    }
}

/// A builder of these buildpacks, in one group each, on a run image that has a name.
pub(crate) fn revision(run_image: &str, buildpacks: &[&str]) -> BuilderRevision {
    let buildpacks: Vec<BuildpackVersion> = buildpacks.iter().map(|title| buildpack(title)).collect();
    let member =
        |one: &BuildpackVersion| Member { id: one.id.clone(), version: Some(one.version.clone()), optional: false };
    BuilderRevision {
        image: Some(pinned("registry.example.com/ops/builder", run_image)),
        artefact: None,
        order: buildpacks.iter().map(|one| Group { group: vec![member(one)] }).collect(),
        buildpacks,
        run_image: pinned("registry.example.com/stack/run", run_image),
        stack_id: "io.example.base".to_owned(),
        lifecycle: "0.1.0".to_owned(),
    }
}

/// A source as it was found.
pub(crate) fn source(value: serde_json::Value) -> ResolvedSource {
    serde_json::from_value(value).unwrap()
}

/// A commit.
pub(crate) fn commit(revision: &str) -> ResolvedSource {
    source(json!({ "git": { "url": "https://git.example.com/web", "revision": revision } }))
}

/// An image in its world.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) image: Image,
    pub(crate) builds: Vec<Build>,
    pub(crate) builder: BuilderState,
    pub(crate) source: SourceState,
    pub(crate) now: u64,
}

impl Case {
    /// A new image; its builder has Java and Procfile, its source a commit.
    pub(crate) fn new() -> Self {
        let builder = BuilderState::Ready {
            revision: Box::new(revision("run 1", &["stave/java@1.0.0", "stave/procfile@1.0.0"])),
            behind: None,
        };
        Self { image: image("web"), builds: Vec::new(), builder, source: SourceState::Ready(commit("c1")), now: START }
    }

    /// The same, built once.
    pub(crate) fn built() -> Self {
        let mut case = Self::new();
        assert_eq!(case.build(), "CONFIG build");
        case
    }

    pub(crate) fn question(&self) -> Question<'_> {
        Question {
            image: &self.image,
            builds: &self.builds,
            builder: &self.builder,
            source: &self.source,
            retry: Retry::default(),
            now: self.now,
        }
    }

    pub(crate) fn decide(&self) -> Decision {
        decide(&self.question())
    }

    /// The verdict in a line.
    pub(crate) fn line(&self) -> String {
        self.decide().line()
    }

    pub(crate) fn revision(&mut self) -> &mut BuilderRevision {
        match &mut self.builder {
            BuilderState::Ready { revision, .. } => revision,
            other => panic!("{other:?}"),
        }
    }

    /// Which buildpacks the builder has.
    pub(crate) fn buildpacks(&mut self, buildpacks: &[&str]) {
        let new = revision("any", buildpacks);
        let old = self.revision();
        (old.buildpacks, old.order) = (new.buildpacks, new.order);
    }

    pub(crate) fn run_image(&mut self, name: &str) {
        self.revision().run_image = pinned("registry.example.com/stack/run", name);
    }

    pub(crate) fn commit(&mut self, revision: &str) {
        self.source = SourceState::Ready(commit(revision));
    }

    pub(crate) fn env(&mut self, variables: &[(&str, &str)]) {
        let variables = variables.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        self.image.spec.build.env = variables.map(|one| serde_json::from_value(one).unwrap()).collect();
    }

    pub(crate) fn trigger(&mut self) {
        self.image.status.triggers += 1;
        self.image.status.triggered_at = Some(self.now);
    }

    /// What is to start; anything else is a failed test.
    pub(crate) fn start(&self) -> Start {
        match self.decide().verdict {
            Verdict::Start(start) => *start,
            _ => panic!("{}", self.line()),
        }
    }

    /// Starts what is to start: `REASONS mode`.
    pub(crate) fn begin(&mut self) -> String {
        let start = self.start();
        let told = format!("{} {}", joined(&start.changes), start.mode);
        self.image.status.build_counter = start.number;
        self.builds.push(history::begin(&self.image, start, self.now));
        told
    }

    /// Ends what runs, a minute later.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.now += 60;
        let build = self.builds.last_mut().unwrap();
        assert!(build.is_running());
        build.finished = Some(self.now);
        build.outcome = outcome;
    }

    pub(crate) fn succeed(&mut self) {
        let made = made(&self.builds);
        self.image.status.latest_image = Some(made.image.clone());
        self.end(Outcome::Succeeded(Box::new(made)));
    }

    pub(crate) fn fail(&mut self, fault: Fault, message: &str) {
        self.end(Outcome::Failed(Failure { fault, message: message.to_owned(), last_line: None }));
    }

    /// Starts what is to start, and it succeeds.
    pub(crate) fn build(&mut self) -> String {
        let told = self.begin();
        self.succeed();
        told
    }

    /// Starts what is to start, and it fails.
    pub(crate) fn failing(&mut self, fault: Fault) -> String {
        let told = self.begin();
        self.fail(fault, "it broke");
        told
    }
}

/// What the build that runs makes: Java takes part, if there is any; a rebase leaves all but the base alone.
pub(crate) fn made(builds: &[Build]) -> Made {
    let build = builds.last().unwrap();
    let revision = &build.inputs.revision;
    let (run_image, stack_id) = (revision.run_image.clone(), revision.stack_id.clone());
    let of = |number: u64| builds.iter().find(|build| build.number == number).and_then(Build::made).cloned();
    let (buildpacks, lifecycle) = match (build.mode, build.based_on.and_then(of)) {
        (Mode::Rebase, Some(base)) => (base.buildpacks, base.lifecycle),
        (Mode::Rebase, None) => panic!("a rebase of nothing"),
        _ => {
            let takes_part = |one: &&BuildpackVersion| one.id.as_str() == "stave/java";
            (revision.buildpacks.iter().filter(takes_part).cloned().collect(), revision.lifecycle.clone())
        }
    };
    let titles: Vec<String> = buildpacks.iter().map(BuildpackVersion::title).collect();
    let contents = format!("{} {} {titles:?} {lifecycle}", build.inputs.wish(), run_image.digest());
    let image = Pinned::new(build.tags[0].reference(), digest(&contents));
    Made { image, buildpacks, run_image, stack_id, lifecycle }
}
