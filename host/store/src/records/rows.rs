//! Rows of the tables: each a resource with what is remembered of it, or a build.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use stave_platform::{
    plan::world::BuilderKey,
    port::{
        Applied, Failed,
        records::{ApplyError, ImageRecord, Over, Run, SourceRecord},
    },
    resource::{
        Refused,
        build::{Build, Fault, Outcome},
        image::{Image, ImageSpec, ImageStatus, Metadata},
        name::{ImageKey, Name},
        package::PackageKey,
    },
};

use super::trouble::Trouble;

/// One of the tables of resources, and what a resource of it is called.
pub(super) struct Table {
    name: &'static str,
    what: &'static str,
}

pub(super) const IMAGES: Table = Table { name: "images", what: "the image" };
pub(super) const BUILDERS: Table = Table { name: "builders", what: "the builder" };
pub(super) const STACKS: Table = Table { name: "stacks", what: "the stack" };
pub(super) const STORES: Table = Table { name: "stores", what: "the store" };
pub(super) const PACKAGES: Table = Table { name: "packages", what: "the buildpack" };

/// Which row.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    namespace: &'a str,
    name: &'a str,
}

impl<'a> At<'a> {
    pub(super) fn image(key: &'a ImageKey) -> Self {
        Self { namespace: key.namespace.as_str(), name: key.name.as_str() }
    }

    pub(super) fn builder(key: &'a BuilderKey) -> Self {
        Self { namespace: key.namespace.as_ref().map_or("", Name::as_str), name: key.name.as_str() }
    }

    pub(super) fn package(key: &'a PackageKey) -> Self {
        Self { namespace: key.namespace.as_ref().map_or("", Name::as_str), name: key.name.as_str() }
    }

    pub(super) fn of_all(name: &'a Name) -> Self {
        Self { namespace: "", name: name.as_str() }
    }

    /// For messages: `the image team-a/web`.
    pub(super) fn shown(self, table: &Table) -> String {
        let Self { namespace, name } = self;
        let slash = if namespace.is_empty() { "" } else { "/" };
        // Both are names, or what a damaged file says instead of them.
        format!("{} {}{slash}{}", table.what, namespace.escape_debug(), name.escape_debug())
    }
}

/// What was wished for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish<S> {
    pub(super) metadata: Metadata,
    pub(super) spec: S,
}

/// A row, and how its state is written, by which it is known whether that changed.
pub(super) struct Row<S, T> {
    pub(super) wish: Wish<S>,
    pub(super) state: T,
    pub(super) written: String,
}

/// What is remembered of an image beside its builds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ImageState {
    status: ImageStatus,
    source: SourceRecord,
    run: Run,
}

/// The row at a place.
pub(super) fn find<S: DeserializeOwned, T: DeserializeOwned>(
    db: &Connection,
    table: &Table,
    at: At<'_>,
) -> Result<Option<Row<S, T>>, Trouble> {
    let sql = format!("SELECT manifest, state FROM {} WHERE namespace = ?1 AND name = ?2", table.name);
    let mut statement = db.prepare_cached(&sql)?;
    let texts = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
    let texts = statement.query_row((at.namespace, at.name), texts).optional()?;
    texts.map(|(manifest, state)| Row::read(table, at, &manifest, state)).transpose()
}

/// All rows of a table.
pub(super) fn all<S: DeserializeOwned, T: DeserializeOwned>(
    db: &Connection,
    table: &Table,
) -> Result<Vec<Row<S, T>>, Trouble> {
    let sql = format!("SELECT namespace, name, manifest, state FROM {}", table.name);
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(())?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (namespace, name): (String, String) = (row.get(0)?, row.get(1)?);
        let at = At { namespace: &namespace, name: &name };
        found.push(Row::read(table, at, &row.get::<_, String>(2)?, row.get(3)?)?);
    }
    Ok(found)
}

impl<S: DeserializeOwned, T: DeserializeOwned> Row<S, T> {
    fn read(table: &Table, at: At<'_>, manifest: &str, written: String) -> Result<Self, Trouble> {
        let what = || at.shown(table);
        Ok(Self { wish: parsed(manifest, what)?, state: parsed(&written, what)?, written })
    }
}

/// Takes a wish down, unless it was to be over another one, or `refuse` has something against it that is told of the one before.
pub(super) fn wish<S, T>(
    db: &Connection,
    table: &Table,
    at: At<'_>,
    mut wish: Wish<S>,
    over: Over,
    refuse: impl FnOnce(Wish<S>) -> Option<Refused>,
) -> Result<Result<Applied, ApplyError>, Trouble>
where
    S: Serialize + DeserializeOwned + PartialEq + Clone,
    T: Serialize + DeserializeOwned + Default,
{
    let found = find::<S, T>(db, table, at)?;
    let there = found.as_ref().map_or(0, |row| row.wish.metadata.generation);
    if let Err(overtaken) = over.check(there, || at.shown(table)) {
        return Ok(Err(overtaken));
    }
    let Some(row) = found else {
        wish.metadata.generation = 1;
        let changed = raise(db)?;
        let sql = format!(
            "INSERT INTO {} (namespace, name, manifest, state, changed) VALUES (?1, ?2, ?3, ?4, ?5)",
            table.name
        );
        let (manifest, state) = (json(&wish, || at.shown(table))?, json(&T::default(), || at.shown(table))?);
        run(db, &sql, (at.namespace, at.name, manifest, state, changed))?;
        return Ok(Ok(Applied::Created));
    };
    if let Some(refused) = refuse(row.wish.clone()) {
        return Ok(Err(refused.into()));
    }
    wish.metadata.generation = row.wish.metadata.generation;
    // As it will be read: a fraction may be another one by its last digit then.
    let spec: S = parsed(&json(&wish.spec, || at.shown(table))?, || at.shown(table))?;
    if spec != row.wish.spec {
        wish.metadata.generation += 1;
    } else if wish.metadata == row.wish.metadata {
        return Ok(Ok(Applied::Unchanged));
    }
    let manifest = json(&wish, || at.shown(table))?;
    let sql = format!("UPDATE {} SET manifest = ?3, changed = ?4 WHERE namespace = ?1 AND name = ?2", table.name);
    run(db, &sql, (at.namespace, at.name, manifest, raise(db)?))?;
    Ok(Ok(Applied::Changed))
}

/// Keeps what is remembered of a resource, if it is something else than what is kept.
pub(super) fn keep<T: Serialize>(
    db: &Connection,
    table: &Table,
    at: At<'_>,
    state: &T,
    written: &str,
) -> Result<(), Trouble> {
    let state = json(state, || at.shown(table))?;
    if state != written {
        let sql = format!("UPDATE {} SET state = ?3, changed = ?4 WHERE namespace = ?1 AND name = ?2", table.name);
        run(db, &sql, (at.namespace, at.name, state, raise(db)?))?;
    }
    Ok(())
}

/// Forgets a resource; the builds of an image go with it.
pub(super) fn forget(db: &Connection, table: &Table, at: At<'_>) -> Result<bool, Trouble> {
    let sql = format!("DELETE FROM {} WHERE namespace = ?1 AND name = ?2", table.name);
    let was_there = run(db, &sql, (at.namespace, at.name))? > 0;
    if was_there {
        raise(db)?;
    }
    Ok(was_there)
}

/// An image's record, and how it is written.
pub(super) struct Written {
    state: String,
    builds: BTreeMap<u64, String>,
}

/// An image with its builds.
pub(super) fn image(db: &Connection, key: &ImageKey) -> Result<Option<(ImageRecord, Written)>, Trouble> {
    let Some(row) = find::<ImageSpec, ImageState>(db, &IMAGES, At::image(key))? else { return Ok(None) };
    let sql = "SELECT number, record FROM builds WHERE namespace = ?1 AND image = ?2 ORDER BY number";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query((key.namespace.as_str(), key.name.as_str()))?;
    let (mut builds, mut written) = (Vec::new(), BTreeMap::new());
    while let Some(row) = rows.next()? {
        let (number, record): (i64, String) = (row.get(0)?, row.get(1)?);
        let build: Build = parsed(&record, || format!("build {number} of the image {key}"))?;
        written.insert(build.number, record);
        builds.push(build);
    }
    let (Wish { metadata, spec }, ImageState { status, source, run }) = (row.wish, row.state);
    let record = ImageRecord { image: Image { metadata, spec, status }, source, builds, run };
    Ok(Some((record, Written { state: row.written, builds: written })))
}

/// Keeps what is remembered of an image: what of it is something else than what is kept. Its wish is not looked at.
pub(super) fn keep_image(
    db: &Connection,
    key: &ImageKey,
    record: &mut ImageRecord,
    written: Written,
) -> Result<(), Trouble> {
    record.builds.sort_by_key(|build| build.number);
    let refused = |what: String| Trouble::Said(Failed::new(Fault::Refused, format!("could not keep {what}")));
    if let Some(two) = record.builds.windows(2).find(|two| two[0].number == two[1].number) {
        return Err(refused(format!("two builds of the image {key} with the number {}", two[0].number)));
    }
    let at = At::image(key);
    let (status, source) = (record.image.status.clone(), record.source.clone());
    let state = json(&ImageState { status, source, run: record.run }, || at.shown(&IMAGES))?;
    let mut gone = written.builds;
    let mut news = Vec::new();
    for build in &record.builds {
        let what = || format!("build {} of the image {}", build.number, build.image);
        if build.image != *key {
            return Err(refused(format!("{} with those of the image {key}", what())));
        }
        let number = i64::try_from(build.number).map_err(|_| refused(what()))?;
        let text = json(build, what)?;
        if gone.remove(&build.number).as_ref() != Some(&text) {
            news.push((number, outcome(build), text));
        }
    }
    if state == written.state && news.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE images SET state = ?3, changed = ?4 WHERE namespace = ?1 AND name = ?2";
    run(db, sql, (at.namespace, at.name, state, raise(db)?))?;
    let sql = "DELETE FROM builds WHERE namespace = ?1 AND image = ?2 AND number = ?3";
    for number in gone.keys() {
        run(db, sql, (at.namespace, at.name, i64::try_from(*number).unwrap_or(i64::MAX)))?;
    }
    let sql = "INSERT INTO builds (namespace, image, number, state, record) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (namespace, image, number) DO UPDATE SET state = excluded.state, record = excluded.record";
    for (number, outcome, text) in news {
        run(db, sql, (at.namespace, at.name, number, outcome, text))?;
    }
    Ok(())
}

/// When each image was changed last.
pub(super) fn images(db: &Connection) -> Result<Vec<(ImageKey, i64)>, Trouble> {
    let mut statement = db.prepare_cached("SELECT namespace, name, changed FROM images")?;
    let mut rows = statement.query(())?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (namespace, name): (String, String) = (row.get(0)?, row.get(1)?);
        let at = At { namespace: &namespace, name: &name };
        let parsed = |text: &str| parsed(&json(&text, || at.shown(&IMAGES))?, || at.shown(&IMAGES));
        found.push((ImageKey { namespace: parsed(&namespace)?, name: parsed(&name)? }, row.get(2)?));
    }
    Ok(found)
}

/// The number of the last change.
pub(super) fn version(db: &Connection) -> Result<i64, Trouble> {
    Ok(db.prepare_cached("SELECT version FROM meta")?.query_row((), |row| row.get(0))?)
}

/// The number of the change that is being made.
pub(super) fn raise(db: &Connection) -> Result<i64, Trouble> {
    let mut statement = db.prepare_cached("UPDATE meta SET version = version + 1 RETURNING version")?;
    Ok(statement.query_row((), |row| row.get(0))?)
}

/// Runs a statement; answers how many rows it changed.
pub(super) fn run(db: &Connection, sql: &str, parameters: impl Params) -> Result<usize, Trouble> {
    Ok(db.prepare_cached(sql)?.execute(parameters)?)
}

/// The column by which builds are found without reading them.
fn outcome(build: &Build) -> &'static str {
    match build.outcome {
        Outcome::Running => "running",
        Outcome::Succeeded(_) => "succeeded",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::Superseded => "superseded",
    }
}

fn json<T: Serialize>(value: &T, what: impl FnOnce() -> String) -> Result<String, Trouble> {
    serde_json::to_string(value).map_err(|source| Trouble::Unreadable { what: what(), source })
}

fn parsed<T: DeserializeOwned>(text: &str, what: impl FnOnce() -> String) -> Result<T, Trouble> {
    serde_json::from_str(text).map_err(|source| Trouble::Unreadable { what: what(), source })
}
