//! The platform's records: `platform/records.db` in the data folder, one file of `SQLite`.
//!
//! Each question and each change is one transaction, so several processes may use the file at once, and each of them may be
//! killed at any moment. What people wished for is kept apart from what is remembered of it, and every build in a row of its own:
//! when one is over, the others are not written again. A number counts all changes; whoever asks for all of it again gets what
//! did not change since from memory.

mod rows;
mod schema;
mod trouble;

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, OpenOptions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension as _};
use serde::{Serialize, de::DeserializeOwned};
use stave_lifecycle::port::failure::PortError;
use stave_platform::{
    plan::world::{BuilderKey, StackState},
    port::{
        Applied, Failed, Records, Stocked,
        records::{
            Amend, ApplyError, BuilderRecord, Id, ImageRecord, Made, Over, PackageRecord, Seen, Snapshot, StackRecord,
            StoreRecord,
        },
    },
    resource::{
        Refused,
        build::Fault,
        builder::{Builder, BuilderKind, BuilderSpec},
        image::{Image, ImageStatus, Metadata},
        manifest::Resource,
        name::{ImageKey, Name},
        package::{Package, PackageKey, PackageKind, PackageSpec},
        stack::{Stack, StackSpec, Store, StoreSpec},
    },
};

use crate::{files::libc_nofollow, folders::Folder};
use rows::{At, BUILDERS, IMAGES, ImageState, PACKAGES, Row, STACKS, STORES, Table, Wish};
use trouble::{Place, Trouble, retrying};

/// How long another writer is waited for at a time; a transaction takes far less.
const PATIENCE: Duration = Duration::from_secs(10);

/// The records of a user's platform.
pub struct DiskRecords {
    place: Place,
    /// Who reads waits for nobody who writes.
    reader: Mutex<Reader>,
    writer: Mutex<Connection>,
}

/// A connection that only reads, and all that it read last.
struct Reader {
    db: Connection,
    last: Option<Last>,
}

/// All of it at one time, and when each image was changed last.
struct Last {
    snapshot: Snapshot,
    images: BTreeMap<ImageKey, i64>,
}

impl fmt::Debug for DiskRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskRecords").field("place", &self.place).finish_non_exhaustive()
    }
}

impl DiskRecords {
    /// The records in the data folder, made if there are none.
    pub fn open(data: &Folder) -> Result<Self, Failed> {
        Self::open_with(data, PATIENCE)
    }

    fn open_with(data: &Folder, patience: Duration) -> Result<Self, Failed> {
        let folder = data.within("platform").map_err(|error| {
            let PortError { attempt, hint, source, .. } = error.into();
            Failed { fault: Fault::Refused, attempt, hint, source }
        })?;
        let place = Place(folder);
        let connections = || -> Result<_, Trouble> {
            // Made here, so that nobody else can ever read it; what stands beside it takes over its mode.
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc_nofollow());
            let file = options.open(place.file())?;
            if file.metadata()?.permissions().mode() & 0o077 != 0 {
                file.set_permissions(fs::Permissions::from_mode(0o600))?;
            }
            drop(file);
            let writer = schema::connect(&place, patience)?;
            schema::migrate(&writer)?;
            let db = schema::connect(&place, patience)?;
            db.pragma_update(None, "query_only", true)?;
            Ok((Reader { db, last: None }, writer))
        };
        let (reader, writer) = connections().map_err(|trouble| place.failed("open the platform's records", trouble))?;
        Ok(Self { place, reader: Mutex::new(reader), writer: Mutex::new(writer) })
    }

    /// One transaction that reads. `doing` stands after "could not".
    fn read<T>(&self, doing: &str, work: impl FnOnce(&mut Reader) -> Result<T, Trouble>) -> Result<T, Failed> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut reader).map_err(|trouble| self.place.failed(doing, trouble))
    }

    /// One transaction that writes. If `work` fails or panics, nothing was written.
    fn write<T>(&self, doing: &str, work: impl FnOnce(&Connection) -> Result<T, Trouble>) -> Result<T, Failed> {
        let db = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        transaction(&db, "BEGIN IMMEDIATE", || work(&db)).map_err(|trouble| self.place.failed(doing, trouble))
    }
}

/// Does something as a whole, or not at all.
fn transaction<T>(db: &Connection, begin: &str, work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    /// Takes back what was not taken over, also when somebody panics.
    struct Open<'a>(&'a Connection);

    impl Drop for Open<'_> {
        fn drop(&mut self) {
            if !self.0.is_autocommit() {
                let _ = self.0.execute_batch("ROLLBACK");
            }
        }
    }

    retrying(|| db.execute_batch(begin))?;
    let open = Open(db);
    let answer = work()?;
    retrying(|| db.execute_batch("COMMIT"))?;
    drop(open);
    Ok(answer)
}

impl Reader {
    /// All of it; what did not change since the last time is not read.
    fn snapshot(&mut self) -> Result<Snapshot, Trouble> {
        let Self { db, last } = self;
        let known = last.take();
        let now = transaction(db, "BEGIN", || {
            let version = rows::version(db)?.unsigned_abs();
            match known {
                Some(known) if known.snapshot.version == version => Ok(known),
                known => Last::read(db, version, known),
            }
        })?;
        let snapshot = now.snapshot.clone();
        *last = Some(now);
        Ok(snapshot)
    }
}

impl Last {
    fn read(db: &Connection, version: u64, known: Option<Self>) -> Result<Self, Trouble> {
        let (mut known, changed) = known.map_or_else(Default::default, |known| (known.snapshot.images, known.images));
        let (mut images, mut now) = (BTreeMap::new(), BTreeMap::new());
        for (key, at) in rows::images(db)? {
            let same = if changed.get(&key) == Some(&at) { known.remove(&key) } else { None };
            let record = match same {
                Some(record) => Some(record),
                None => rows::image(db, &key)?.map(|(record, _)| record),
            };
            if let Some(record) = record {
                images.insert(key.clone(), record);
                now.insert(key, at);
            }
        }
        let builders = rows::all(db, &BUILDERS)?.into_iter().map(|row| {
            let record = builder(row.wish, row.state);
            (builder_key(&record.builder), record)
        });
        let stacks = rows::all(db, &STACKS)?.into_iter().map(|row| stack(row.wish, row.state));
        let stores = rows::all(db, &STORES)?.into_iter().map(|row| store(row.wish, row.state));
        let packages = rows::all(db, &PACKAGES)?.into_iter().map(|row| package(row.wish, row.state));
        let snapshot = Snapshot {
            version,
            images,
            builders: builders.collect(),
            stacks: stacks.map(|record| (record.stack.metadata.name.clone(), record)).collect(),
            stores: stores.map(|record| (record.store.metadata.name.clone(), record)).collect(),
            packages: packages.map(|record| (record.package.key(), record)).collect(),
        };
        Ok(Self { snapshot, images: now })
    }
}

fn builder(wish: Wish<BuilderSpec>, made: Made) -> BuilderRecord {
    let Wish { metadata, spec } = wish;
    let kind = if metadata.namespace.is_some() { BuilderKind::Builder } else { BuilderKind::ClusterBuilder };
    BuilderRecord { builder: Builder { kind, metadata, spec }, made }
}

fn stack(wish: Wish<StackSpec>, seen: Seen<StackState>) -> StackRecord {
    let Wish { metadata, spec } = wish;
    StackRecord { stack: Stack { metadata, spec }, seen }
}

fn store(wish: Wish<StoreSpec>, seen: Seen<Vec<Stocked>>) -> StoreRecord {
    let Wish { metadata, spec } = wish;
    StoreRecord { store: Store { metadata, spec }, seen }
}

fn package(wish: Wish<PackageSpec>, seen: Seen<Stocked>) -> PackageRecord {
    let Wish { metadata, spec } = wish;
    let kind = if metadata.namespace.is_some() { PackageKind::Buildpack } else { PackageKind::ClusterBuildpack };
    PackageRecord { package: Package { kind, metadata, spec }, seen }
}

/// The key of a builder that has its namespace.
fn builder_key(builder: &Builder) -> BuilderKey {
    BuilderKey { namespace: builder.metadata.namespace.clone(), name: builder.metadata.name.clone() }
}

/// Takes a wish down.
fn apply(db: &Connection, resource: &Resource, over: Over) -> Result<Result<Applied, ApplyError>, Trouble> {
    match resource {
        Resource::Image(image) => {
            let key = image.key();
            let mut wish = Wish { metadata: image.metadata.clone(), spec: image.spec.clone() };
            wish.metadata.namespace = Some(key.namespace.clone());
            let refuse = |Wish { metadata, spec }| {
                let problems = Image { metadata, spec, status: ImageStatus::default() }.refusals(image);
                (!problems.is_empty()).then(|| Refused { subject: format!("Image `{key}`"), problems })
            };
            rows::wish::<_, ImageState>(db, &IMAGES, At::image(&key), wish, over, refuse)
        }
        Resource::Builder(builder) => {
            let mut metadata = builder.metadata.clone();
            metadata.namespace = match builder.kind {
                BuilderKind::Builder => Some(metadata.namespace.unwrap_or_else(default_namespace)),
                BuilderKind::ClusterBuilder => None,
            };
            let key = BuilderKey { namespace: metadata.namespace.clone(), name: metadata.name.clone() };
            let wish = Wish { metadata, spec: builder.spec.clone() };
            rows::wish::<_, Made>(db, &BUILDERS, At::builder(&key), wish, over, |_| None)
        }
        Resource::Stack(stack) => {
            let wish = Wish { metadata: stack.metadata.clone(), spec: stack.spec.clone() };
            rows::wish::<_, Seen<StackState>>(db, &STACKS, At::of_all(&stack.metadata.name), wish, over, |_| None)
        }
        Resource::Store(store) => {
            let wish = Wish { metadata: store.metadata.clone(), spec: store.spec.clone() };
            rows::wish::<_, Seen<Vec<Stocked>>>(db, &STORES, At::of_all(&store.metadata.name), wish, over, |_| None)
        }
        Resource::Package(package) => {
            let key = package.key();
            let metadata = Metadata { namespace: key.namespace.clone(), ..package.metadata.clone() };
            let wish = Wish { metadata, spec: package.spec.clone() };
            rows::wish::<_, Seen<Stocked>>(db, &PACKAGES, At::package(&key), wish, over, |_| None)
        }
    }
}

/// Changes what is remembered of a resource. `record` puts wish and state together, `state` takes the state out again.
fn amend<S, T, R>(
    db: &Connection,
    (table, at): (&Table, At<'_>),
    amend: Amend<'_, R>,
    record: fn(Wish<S>, T) -> R,
    state: fn(R) -> T,
) -> Result<Option<R>, Trouble>
where
    S: DeserializeOwned + Clone,
    T: Serialize + DeserializeOwned,
{
    let Some(Row { wish, state: was, written }) = rows::find(db, table, at)? else { return Ok(None) };
    let mut changed = record(wish.clone(), was);
    amend(&mut changed).map_err(Trouble::Said)?;
    let state = state(changed);
    rows::keep(db, table, at, &state, &written)?;
    Ok(Some(record(wish, state)))
}

fn default_namespace() -> Name {
    "default".parse().unwrap_or_else(|_| unreachable!("it is a name"))
}

impl Records for DiskRecords {
    fn version(&self) -> Result<u64, Failed> {
        self.read("read the number of the last change", |reader| Ok(rows::version(&reader.db)?.unsigned_abs()))
    }

    fn snapshot(&self) -> Result<Snapshot, Failed> {
        self.read("read the platform's records", Reader::snapshot)
    }

    fn image(&self, key: &ImageKey) -> Result<Option<ImageRecord>, Failed> {
        self.read(&format!("read the image {key}"), |Reader { db, .. }| {
            let found = transaction(db, "BEGIN", || rows::image(db, key))?;
            Ok(found.map(|(record, _)| record))
        })
    }

    fn apply_over(&self, resource: &Resource, over: Over) -> Result<Applied, ApplyError> {
        let (kind, name) = match resource {
            Resource::Image(image) => ("image", image.key().to_string()),
            Resource::Builder(builder) => ("builder", builder.metadata.name.to_string()),
            Resource::Stack(stack) => ("stack", stack.metadata.name.to_string()),
            Resource::Store(store) => ("store", store.metadata.name.to_string()),
            Resource::Package(package) => ("buildpack", package.metadata.name.to_string()),
        };
        self.write(&format!("write down the {kind} {name}"), |db| apply(db, resource, over))?
    }

    fn remove(&self, id: &Id) -> Result<bool, Failed> {
        let (table, at) = match id {
            Id::Image(key) => (&IMAGES, At::image(key)),
            Id::Builder(key) => (&BUILDERS, At::builder(key)),
            Id::Stack(name) => (&STACKS, At::of_all(name)),
            Id::Store(name) => (&STORES, At::of_all(name)),
            Id::Package(key) => (&PACKAGES, At::package(key)),
        };
        self.write(&format!("forget {}", at.shown(table)), |db| rows::forget(db, table, at))
    }

    fn amend_image(&self, key: &ImageKey, amend: Amend<'_, ImageRecord>) -> Result<Option<ImageRecord>, Failed> {
        self.write(&format!("change what is remembered of the image {key}"), |db| {
            let Some((mut record, written)) = rows::image(db, key)? else { return Ok(None) };
            let Image { metadata, spec, .. } = record.image.clone();
            amend(&mut record).map_err(Trouble::Said)?;
            (record.image.metadata, record.image.spec) = (metadata, spec);
            rows::keep_image(db, key, &mut record, written)?;
            Ok(Some(record))
        })
    }

    fn amend_builder(
        &self,
        key: &BuilderKey,
        change: Amend<'_, BuilderRecord>,
    ) -> Result<Option<BuilderRecord>, Failed> {
        let at = At::builder(key);
        self.write(&format!("change what is remembered of {}", at.shown(&BUILDERS)), |db| {
            amend(db, (&BUILDERS, at), change, builder, |record| record.made)
        })
    }

    fn amend_stack(&self, name: &Name, change: Amend<'_, StackRecord>) -> Result<Option<StackRecord>, Failed> {
        let at = At::of_all(name);
        self.write(&format!("change what is remembered of {}", at.shown(&STACKS)), |db| {
            amend(db, (&STACKS, at), change, stack, |record| record.seen)
        })
    }

    fn amend_store(&self, name: &Name, change: Amend<'_, StoreRecord>) -> Result<Option<StoreRecord>, Failed> {
        let at = At::of_all(name);
        self.write(&format!("change what is remembered of {}", at.shown(&STORES)), |db| {
            amend(db, (&STORES, at), change, store, |record| record.seen)
        })
    }

    fn amend_package(
        &self,
        key: &PackageKey,
        change: Amend<'_, PackageRecord>,
    ) -> Result<Option<PackageRecord>, Failed> {
        let at = At::package(key);
        self.write(&format!("change what is remembered of {}", at.shown(&PACKAGES)), |db| {
            amend(db, (&PACKAGES, at), change, package, |record| record.seen)
        })
    }

    fn setting(&self, name: &str) -> Result<Option<String>, Failed> {
        self.read("read a setting of the platform", |reader| {
            let mut statement = reader.db.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
            Ok(statement.query_row((name,), |row| row.get(0)).optional()?)
        })
    }

    fn set(&self, name: &str, value: Option<&str>) -> Result<(), Failed> {
        self.write("change a setting of the platform", |db| {
            let upsert = "INSERT INTO settings (name, value) VALUES (?1, ?2)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE value <> excluded.value";
            let changed = match value {
                Some(value) => rows::run(db, upsert, (name, value))?,
                None => rows::run(db, "DELETE FROM settings WHERE name = ?1", (name,))?,
            };
            if changed > 0 {
                rows::raise(db)?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
