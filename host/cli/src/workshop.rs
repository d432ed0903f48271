//! The composition root: opens the stores, makes the client, the engine and the sources, once a run and only when asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use stave_engine::{Engine, compiled::CodeStore};
use stave_lifecycle::{
    memory::Memory,
    port::{
        artifacts::ArtifactSource,
        cancel::Cancel,
        failure::PortError,
        observer::{Event, Level, Observer as _},
    },
};
use stave_oci::registry::{
    INSECURE_VARIABLE, Registries,
    certificates::Certificates,
    credentials::{Credentials, Login},
};
use stave_packages::{Packages, machine::Machine};
use stave_store::{
    blobs::DiskBlobs,
    folders::Folder,
    images::ImageStore,
    ledger::DiskLedger,
    locks::{Turn, Waiting},
    results::DiskResults,
};
use stave_transport::{
    client::{Client, Options},
    proxy::Proxies,
};

use crate::{
    args::Global,
    builder::KEPT,
    config::Config,
    exit::{Exit, GENERAL},
    policy::Overseer,
    trust::Verifier,
    ui::Ui,
};

/// Everything that the commands work with.
pub(crate) struct Workshop {
    /// Who talks to the person.
    pub(crate) ui: Arc<Ui>,
    /// Whether to stop.
    pub(crate) cancel: Cancel,
    /// The user's configuration.
    pub(crate) config: Arc<Config>,
    /// The operator's policy, if there is one.
    pub(crate) policy: Option<Arc<Overseer>>,
    /// Its keys, and whose signature it needs where.
    pub(crate) verifier: Option<Arc<Verifier>>,
    /// Everything that can be made again.
    pub(crate) cache: Folder,
    /// Bytes by digest.
    pub(crate) blobs: Arc<DiskBlobs>,
    /// Results by key.
    pub(crate) results: DiskResults,
    /// Everything that cannot be made again: whose images these are.
    pub(crate) data: Folder,
    /// Images by name.
    pub(crate) images: ImageStore,
    /// What each component used and was denied.
    pub(crate) ledger: Arc<DiskLedger>,
    /// The way to the network.
    pub(crate) client: Client,
    /// Logins by registry that go before those that docker and podman keep.
    pub(crate) logins: BTreeMap<String, Login>,
    /// Whether there are no others: for wishes that are not the user's own.
    pub(crate) only_handed: bool,
    /// The right to use the cache, beside others or alone.
    pub(crate) turn: Arc<Turn>,
}

impl Workshop {
    /// The same for one piece of work among others, which tells `ui` and stops with `cancel`.
    pub(crate) fn beside(&self, ui: Arc<Ui>, cancel: Cancel) -> Self {
        Self {
            ui,
            cancel,
            config: Arc::clone(&self.config),
            policy: self.policy.clone(),
            verifier: self.verifier.clone(),
            cache: self.cache.clone(),
            blobs: Arc::clone(&self.blobs),
            results: self.results.clone(),
            data: self.data.clone(),
            images: self.images.clone(),
            ledger: Arc::clone(&self.ledger),
            client: self.client.clone(),
            logins: self.logins.clone(),
            only_handed: self.only_handed,
            turn: Arc::clone(&self.turn),
        }
    }

    /// Lets others tidy the cache while `pause` lasts: whoever waits for a person or a change holds nobody up.
    pub(crate) fn pausing<T>(&self, pause: impl FnOnce() -> T) -> Result<T, Exit> {
        let waiting = Waiting::new(self.ui.clone(), self.cancel.clone());
        Ok(self.turn.pausing(&self.cache, &waiting, pause)?)
    }
}

impl Workshop {
    /// Opens the user's folders; nothing is fetched or compiled yet. Whoever throws things out of the cache must be `alone` in it.
    pub(crate) fn open(global: &Global, ui: Arc<Ui>, cancel: Cancel, alone: bool) -> Result<Self, Exit> {
        let config = Config::read(global.config.as_ref())?;
        let policy = Overseer::read(global.policy.as_ref().or(config.policy.as_ref()))?;
        let verifier = policy.as_ref().map(Verifier::of).transpose()?;
        let variable = |name: &str| std::env::var_os(name);
        let cache = Folder::cache(variable).map_err(PortError::from)?;
        let data = Folder::data(variable).map_err(PortError::from)?;
        let waiting = Waiting::new(ui.clone(), cancel.clone());
        let turn = if alone { Turn::alone(&cache, &waiting)? } else { Turn::beside_others(&cache, &waiting)? };
        let lender = data.path().join(KEPT).join("blobs/sha256");
        let blobs = DiskBlobs::open(&cache)?.telling(waiting.clone()).lent_by(lender);
        let client = Client::new(Options {
            ca_bundles: config.ca_bundles.iter().chain(&global.registry_ca_cert_path).cloned().collect(),
            proxies: Proxies::read(|name| std::env::var(name).ok()),
            trusted_hosts: trusted_hosts(&config),
            offline: global.offline,
            ..Options::default()
        });
        Ok(Self {
            results: DiskResults::open(&cache)?.telling(waiting.clone()),
            ledger: Arc::new(DiskLedger::of(&data)),
            images: ImageStore::open(&data, Some(blobs.clone()))?.telling(waiting),
            blobs: Arc::new(blobs),
            ui,
            cancel,
            config: Arc::new(config),
            policy: policy.map(Arc::new),
            verifier: verifier.map(Arc::new),
            cache,
            data,
            client,
            logins: BTreeMap::new(),
            only_handed: false,
            turn: Arc::new(turn),
        })
    }

    /// Keeps what components used and were denied in this run. A disk that is full takes nothing away from what was built.
    pub(crate) fn keep_ledger(&self) {
        if let Err(error) = self.ledger.keep(&Waiting::new(self.ui.clone(), self.cancel.clone())) {
            self.ui.observe(Event::Note(Level::Debug, error.sentence()));
        }
    }

    /// The engine, with its store of compiled code.
    pub(crate) fn engine(&self) -> Result<Engine, Exit> {
        let folder = self.cache.within("code").map_err(PortError::from)?;
        let code = CodeStore::open(folder.path()).map_err(|error| Exit::new(GENERAL, error))?;
        let code = code.telling(Arc::clone(&self.ui) as _);
        Engine::new(stave_engine::Limits::default(), Some(code)).map_err(|error| Exit::new(GENERAL, error))
    }

    /// What is known of earlier runs; looked at by nobody if it is to be `ignored`.
    pub(crate) fn memory(&self, ignored: bool) -> Memory {
        let memory = Memory::of(Arc::new(self.results.clone()));
        if ignored { memory.ignored() } else { memory }
    }

    /// The way to image registries, with the logins and certificates that docker and podman keep.
    pub(crate) fn registries(&self) -> Registries {
        let listed = std::env::var(INSECURE_VARIABLE).unwrap_or_default();
        let insecure = listed.split(',').map(str::to_owned).chain(self.config.insecure_registries.iter().cloned());
        let variable = |name: &str| std::env::var_os(name);
        let kept = if self.only_handed { Credentials::none() } else { Credentials::of_environment(variable) };
        let credentials = kept.handed(self.logins.clone());
        Registries::new(self.client.clone(), credentials, insecure)
            .certified(Certificates::of_environment(variable))
            .remembering(Arc::new(self.results.clone()))
    }

    /// Where declared dependencies come from.
    pub(crate) fn packages(&self) -> Arc<dyn ArtifactSource> {
        Arc::new(Packages::new(
            self.client.clone(),
            self.config.registries.clone(),
            Machine::current(),
            self.blobs.clone(),
        ))
    }
}

/// Registries that the user named themselves may have private addresses.
fn trusted_hosts(config: &Config) -> BTreeSet<String> {
    let host = |registry: &String| registry.rsplit_once(':').map_or(registry.as_str(), |(host, _)| host).to_lowercase();
    config.insecure_registries.iter().map(host).collect()
}
