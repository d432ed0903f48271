//! A server on a socket of its own, over records and logs that live in memory, and that goes away with its test.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};
use stave_model::digest::Digest;
use stave_platform::{
    history,
    plan::{
        Rules,
        world::{BuilderKey, StackState},
    },
    port::{
        Applied, Failed, Records,
        records::{
            Amend, ApplyError, BuilderRecord, Id, ImageRecord, Made, Over, PackageRecord, Seen, Snapshot, StackRecord,
            StoreRecord,
        },
    },
    reconcile::decision,
    resource::{
        Refused,
        build::{Failure, Fault, Outcome},
        builder::BuilderKind,
        manifest::Resource,
        name::{ImageKey, Name},
        package::PackageKey,
    },
};

use super::client::{Reply, request, send};
use crate::{
    Came, Chunk, Counters, Developers, Ended, Logs, Secret, Services, State,
    serve::{Manners, serve_with},
};

/// 2026-11-30T06:00:00Z.
pub(super) const NOW: u64 = 1_796_018_400;

/// Records in memory, that can be out of order.
#[derive(Default)]
pub(super) struct Memory {
    all: Mutex<Snapshot>,
    pub(super) is_broken: AtomicBool,
}

impl Memory {
    fn with<T>(&self, change: impl FnOnce(&mut Snapshot) -> T) -> Result<T, Failed> {
        if self.is_broken.load(Ordering::Relaxed) {
            let cause = io::Error::other("disk\u{1b}[2J is gone");
            return Err(Failed::new(Fault::Transient, "read the records").caused_by(cause).hint("not for clients"));
        }
        let mut all = self.all.lock().unwrap();
        all.version += 1;
        Ok(change(&mut all))
    }
}

/// Takes a wish down where its kind is kept.
macro_rules! take {
    ($over:ident $map:expr, $key:expr, $wish:expr, $field:ident, $new:expr) => {{
        let mut wish = $wish.clone();
        let there = $map.get(&$key).map_or(0, |record| record.$field.metadata.generation);
        $over.check(there, || wish.metadata.name.to_string())?;
        match $map.get_mut(&$key) {
            None => {
                wish.metadata.generation = 1;
                $map.insert($key, $new(wish));
                Applied::Created
            }
            Some(record) => {
                wish.metadata.generation = record.$field.metadata.generation;
                if record.$field.spec == wish.spec && record.$field.metadata == wish.metadata {
                    Applied::Unchanged
                } else {
                    wish.metadata.generation += u64::from(record.$field.spec != wish.spec);
                    record.$field.metadata = wish.metadata;
                    record.$field.spec = wish.spec;
                    Applied::Changed
                }
            }
        }
    }};
}

/// Changes a copy, which becomes what is kept if that works.
fn amended<K: Ord, T: Clone>(map: &mut BTreeMap<K, T>, key: &K, amend: Amend<'_, T>) -> Result<Option<T>, Failed> {
    let Some(kept) = map.get_mut(key) else { return Ok(None) };
    let mut copy = kept.clone();
    amend(&mut copy)?;
    kept.clone_from(&copy);
    Ok(Some(copy))
}

impl Records for Memory {
    fn version(&self) -> Result<u64, Failed> {
        self.with(|all| {
            all.version -= 1;
            all.version
        })
    }

    fn snapshot(&self) -> Result<Snapshot, Failed> {
        self.with(|all| {
            all.version -= 1;
            all.clone()
        })
    }

    fn image(&self, key: &ImageKey) -> Result<Option<ImageRecord>, Failed> {
        Ok(self.snapshot()?.images.remove(key))
    }

    fn apply_over(&self, resource: &Resource, over: Over) -> Result<Applied, ApplyError> {
        self.with(|all| match resource {
            Resource::Image(image) => {
                if let Some(record) = all.images.get(&image.key()) {
                    let problems = record.image.refusals(image);
                    if !problems.is_empty() {
                        return Err(Refused { subject: format!("Image `{}`", image.key()), problems }.into());
                    }
                }
                Ok(take!(over all.images, image.key(), image, image, |image: Box<_>| ImageRecord::new(*image)))
            }
            Resource::Builder(builder) => {
                let is_ours = builder.kind == BuilderKind::Builder;
                let namespace = builder.metadata.namespace.clone().filter(|_| is_ours);
                let key = BuilderKey { namespace, name: builder.metadata.name.clone() };
                let new = |builder: Box<_>| BuilderRecord { builder: *builder, made: Made::default() };
                Ok(take!(over all.builders, key, builder, builder, new))
            }
            Resource::Stack(stack) => {
                let new = |stack: Box<_>| StackRecord { stack: *stack, seen: Seen::default() };
                Ok(take!(over all.stacks, stack.metadata.name.clone(), stack, stack, new))
            }
            Resource::Store(store) => {
                let new = |store: Box<_>| StoreRecord { store: *store, seen: Seen::default() };
                Ok(take!(over all.stores, store.metadata.name.clone(), store, store, new))
            }
            Resource::Package(package) => {
                let new = |package: Box<_>| PackageRecord { package: *package, seen: Seen::default() };
                Ok(take!(over all.packages, package.key(), package, package, new))
            }
        })?
    }

    fn remove(&self, id: &Id) -> Result<bool, Failed> {
        self.with(|all| match id {
            Id::Image(key) => all.images.remove(key).is_some(),
            Id::Builder(key) => all.builders.remove(key).is_some(),
            Id::Stack(name) => all.stacks.remove(name).is_some(),
            Id::Store(name) => all.stores.remove(name).is_some(),
            Id::Package(key) => all.packages.remove(key).is_some(),
        })
    }

    fn amend_image(&self, key: &ImageKey, amend: Amend<'_, ImageRecord>) -> Result<Option<ImageRecord>, Failed> {
        self.with(|all| amended(&mut all.images, key, amend))?
    }

    fn amend_builder(
        &self,
        key: &BuilderKey,
        amend: Amend<'_, BuilderRecord>,
    ) -> Result<Option<BuilderRecord>, Failed> {
        self.with(|all| amended(&mut all.builders, key, amend))?
    }

    fn amend_stack(&self, name: &Name, amend: Amend<'_, StackRecord>) -> Result<Option<StackRecord>, Failed> {
        self.with(|all| amended(&mut all.stacks, name, amend))?
    }

    fn amend_store(&self, name: &Name, amend: Amend<'_, StoreRecord>) -> Result<Option<StoreRecord>, Failed> {
        self.with(|all| amended(&mut all.stores, name, amend))?
    }

    fn amend_package(
        &self,
        key: &PackageKey,
        amend: Amend<'_, PackageRecord>,
    ) -> Result<Option<PackageRecord>, Failed> {
        self.with(|all| amended(&mut all.packages, key, amend))?
    }

    fn setting(&self, _: &str) -> Result<Option<String>, Failed> {
        Ok(None)
    }

    fn set(&self, _: &str, _: Option<&str>) -> Result<(), Failed> {
        Ok(())
    }
}

/// Logs in memory, given out in small pieces.
#[derive(Default)]
pub(super) struct Said(pub(super) Mutex<BTreeMap<u64, (Vec<u8>, bool)>>);

impl Logs for Said {
    fn read(&self, _: &ImageKey, number: u64, _: Option<Digest>, from: u64) -> io::Result<Chunk> {
        let all = self.0.lock().unwrap();
        let (bytes, is_over) = all.get(&number).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(from).unwrap();
        let to = bytes.len().min(from + 7);
        Ok(Chunk { bytes: bytes[from..to].to_vec(), is_over: *is_over && to == bytes.len() })
    }
}

/// Numbers that stay.
struct Counted;

impl State for Counted {
    fn counters(&self) -> Counters {
        use stave_platform::resource::build::Mode;
        let ended = |mode, outcome, count, milliseconds| Ended { mode, outcome, count, milliseconds };
        Counters {
            up_since: NOW - 60,
            running: 1,
            waiting: 3,
            ended: vec![ended(Mode::Build, Came::Succeeded, 2, 61_500), ended(Mode::Rebase, Came::Failed, 1, 20)],
        }
    }
}

/// A server and all that it stands on.
pub(super) struct Town {
    pub(super) address: SocketAddr,
    pub(super) records: Arc<Memory>,
    pub(super) logs: Arc<Said>,
    pub(super) services: Services,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Town {
    pub(super) fn new() -> Self {
        Self::with("127.0.0.1:0", Manners::default(), |_| {})
    }

    pub(super) fn with(place: &str, manners: Manners, change: impl FnOnce(&mut Services)) -> Self {
        let (records, logs) = (Arc::new(Memory::default()), Arc::new(Said::default()));
        let mut services = Services {
            records: Arc::<Memory>::clone(&records),
            logs: Arc::<Said>::clone(&logs),
            rules: Rules::default(),
            lifecycle: "0.1.0".to_owned(),
            now: || NOW,
            state: Arc::new(Counted),
            token: None,
            developers: None,
            hook_token: Secret::new("it's a secret"),
        };
        change(&mut services);
        let listener = TcpListener::bind(place).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (theirs, flag) = (services.clone(), Arc::clone(&stop));
        let thread = Some(thread::spawn(move || serve_with(listener, theirs, flag, manners)));
        Self { address, records, logs, services, stop, thread }
    }

    /// Asks without a body. What is answered is described so, or the test fails.
    pub(super) fn ask(&self, what: &str) -> Reply {
        self.ask_with(what, &[], &[])
    }

    /// Asks with a JSON body.
    pub(super) fn send(&self, what: &str, body: &Value) -> Reply {
        self.ask_with(what, &["Content-Type: application/json"], body.to_string().as_bytes())
    }

    pub(super) fn ask_with(&self, what: &str, headers: &[&str], body: &[u8]) -> Reply {
        let reply = send(self.address, &request(what, headers, body));
        super::described::check(&self.services, what, &reply);
        reply
    }

    /// That it is to end, and that it did.
    pub(super) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }

    /// That it is to end; nobody waits.
    pub(super) fn tell_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// An image, a stack, a store and a builder, looked up and made.
    pub(super) fn settle(&self) {
        assert_eq!(self.send("PUT /v1/clusterstacks/base", &stack()).status, 201);
        assert_eq!(self.send("PUT /v1/clusterstores/default", &store()).status, 201);
        assert_eq!(self.send("PUT /v1/clusterbuilders/default", &builder()).status, 201);
        assert_eq!(self.send(&format!("PUT {WEB}"), &image("web")).status, 201);
        let found = StackState { id: "io.example.base".to_owned(), run_image: pinned("run").parse().unwrap() };
        let stock: Vec<stave_platform::port::Stocked> = serde_json::from_value(json!([{
            "buildpack": { "id": "stave/java", "version": "1.0.0", "digest": Digest::of(b"java") },
            "image": pinned("java"),
            "size": 7,
        }]))
        .unwrap();
        self.records
            .amend_stack(&"base".parse().unwrap(), &mut |record| {
                record.seen = Seen { generation: 1, found: Some(found.clone()), failure: None };
                Ok(())
            })
            .unwrap();
        self.records
            .amend_store(&"default".parse().unwrap(), &mut |record| {
                record.seen = Seen { generation: 1, found: Some(stock.clone()), failure: None };
                Ok(())
            })
            .unwrap();
        let snapshot = self.records.snapshot().unwrap();
        let key = BuilderKey { namespace: None, name: "default".parse().unwrap() };
        let revision = snapshot.world("0.1.0").compose(None, &snapshot.builders[&key].builder.spec).unwrap();
        self.records
            .amend_builder(&key, &mut |record| {
                let revision = revision.clone();
                record.made.generation = 1;
                record.made.revisions.push(stave_platform::port::records::Revision { number: 1, made: NOW, revision });
                Ok(())
            })
            .unwrap();
    }

    /// Begins the build of `team/web` that is due, as the one who reconciles would.
    pub(super) fn begin(&self) -> u64 {
        let snapshot = self.records.snapshot().unwrap();
        let rules = self.services.rules;
        let mut number = 0;
        self.records
            .amend_image(&key(), &mut |record| {
                let stave_platform::decide::Verdict::Start(start) = decision(&snapshot, record, &rules, NOW).verdict
                else {
                    panic!("nothing is due")
                };
                let build = history::begin(&record.image, *start, NOW);
                number = build.number;
                record.image.status.build_counter = number;
                record.builds.push(build);
                Ok(())
            })
            .unwrap();
        number
    }

    /// Ends the build that runs.
    pub(super) fn end(&self, log: Option<Digest>) {
        self.records
            .amend_image(&key(), &mut |record| {
                let build = record.builds.last_mut().unwrap();
                build.finished = Some(NOW + 60);
                build.log = log;
                let message = "it\u{1b} broke".to_owned();
                build.outcome = Outcome::Failed(Failure { fault: Fault::App, message, last_line: None });
                Ok(())
            })
            .unwrap();
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Developers with this token, who change something in these namespaces.
pub(super) fn developers(token: &str, namespaces: &[&str]) -> Developers {
    let namespaces = namespaces.iter().map(|name| name.parse().unwrap()).collect();
    Developers { token: Secret::new(token).unwrap(), namespaces, first: Arc::new(|| Ok(())) }
}

/// Where `team/web` is.
pub(super) const WEB: &str = "/v1/namespaces/team/images/web";

pub(super) fn key() -> ImageKey {
    ImageKey { namespace: "team".parse().unwrap(), name: "web".parse().unwrap() }
}

fn pinned(name: &str) -> String {
    format!("registry.example.com/{name}@{}", Digest::of(name.as_bytes()))
}

pub(super) fn image(name: &str) -> Value {
    json!({
        "apiVersion": "stave/v1",
        "kind": "Image",
        "metadata": { "name": name, "namespace": "team" },
        "spec": {
            "tag": format!("registry.example.com/team/{name}"),
            "source": { "registry": { "image": pinned("source") } },
        },
    })
}

pub(super) fn stack() -> Value {
    json!({
        "apiVersion": "kpack.io/v1alpha2",
        "kind": "ClusterStack",
        "metadata": { "name": "base" },
        "spec": { "id": "io.example.base", "runImage": { "image": pinned("run") } },
    })
}

pub(super) fn store() -> Value {
    json!({
        "apiVersion": "stave/v1",
        "kind": "ClusterStore",
        "metadata": { "name": "default" },
        "spec": { "sources": [{ "image": pinned("java") }] },
    })
}

pub(super) fn builder() -> Value {
    json!({
        "apiVersion": "stave/v1",
        "kind": "ClusterBuilder",
        "metadata": { "name": "default" },
        "spec": { "stack": { "name": "base" }, "order": [{ "group": [{ "id": "stave/java" }] }] },
    })
}

/// Waits until something is so; a minute is too long for anything here.
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("still not so: {what}");
}
