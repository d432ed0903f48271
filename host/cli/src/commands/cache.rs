//! `stave cache`: what the cache holds, whether it is sound, and what of it goes.

use std::path::{Path, PathBuf};

use serde::Serialize;
use stave_engine::compiled::{CodeStore, UNFINISHED};
use stave_lifecycle::port::{
    failure::PortError,
    observer::{Event, Level, Observer as _},
};
use stave_model::{digest::Digest, lock::MAX_LOCK};
use stave_store::{
    blobs::Condition,
    images::Damage,
    tidy::{self, Item, Kind, Plan},
};

use crate::{
    args::{
        Output,
        cache::{CacheGc, CacheInfo, CacheVerify},
    },
    builder,
    config::read_at_most,
    exit::{Exit, GENERAL, USAGE},
    platform::keeping,
    ui::bytes,
    workshop::Workshop,
};

/// How many there are of something, and their bytes.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Count {
    count: usize,
    bytes: u64,
}

impl Count {
    fn add(&mut self, size: u64) {
        self.count += 1;
        self.bytes += size;
    }

    fn is_nothing(&self) -> bool {
        self.count == 0
    }

    fn of(items: &[Item], kind: Kind) -> Self {
        let mut count = Self::default();
        items.iter().filter(|item| item.kind == kind).for_each(|item| count.add(item.size));
        count
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    cache: PathBuf,
    blobs: Count,
    /// Of the blobs: those that have a second name, in the image store.
    shared: Count,
    results: Count,
    code: Count,
    /// Repositories that sources are fetched into.
    #[serde(skip_serializing_if = "Count::is_nothing")]
    git: Count,
    /// What was begun and has no name yet, by runs that go on or that were killed.
    unfinished: Count,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_size: Option<u64>,
    images: PathBuf,
    names: usize,
    image_bytes: u64,
    /// What builders that are kept, and bundles, brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    builders: Option<Kept>,
}

/// The layout that builders are kept in.
#[derive(Serialize)]
struct Kept {
    folder: PathBuf,
    blobs: Count,
}

impl Kept {
    /// None where no builder was ever kept.
    fn of(workshop: &Workshop) -> Option<Self> {
        let folder = builder::kept_folder(workshop);
        let mut blobs = Count::default();
        for blob in std::fs::read_dir(folder.join("blobs/sha256")).ok()?.flatten() {
            blobs.add(blob.metadata().map_or(0, |said| said.len()));
        }
        Some(Self { folder, blobs })
    }
}

/// Where things are that are not finished, and how their names begin.
fn unfinished(workshop: &Workshop) -> Vec<(PathBuf, u64)> {
    let cache = workshop.cache.path();
    let places = [("blobs/new", ""), ("results/new", ""), ("scratch", ""), ("code", UNFINISHED)];
    places.iter().flat_map(|(place, prefix)| tidy::leftovers(&cache.join(place), prefix)).collect()
}

fn sum(files: &[(PathBuf, u64)]) -> Count {
    Count { count: files.len(), bytes: files.iter().map(|(_, size)| size).sum() }
}

fn code(workshop: &Workshop) -> Result<CodeStore, Exit> {
    let folder = workshop.cache.within("code").map_err(PortError::from)?;
    CodeStore::open(folder.path()).map_err(|error| Exit::new(GENERAL, error))
}

/// Everything in the cache that has its name.
fn survey(workshop: &Workshop) -> Result<Vec<Item>, Exit> {
    let mut items = tidy::survey(&workshop.blobs, &workshop.results);
    let said = |path: &PathBuf| Some((path.clone(), path.symlink_metadata().ok()?));
    items.extend(
        code(workshop)?
            .list()
            .into_iter()
            .map(|kept| Item::of_files(Kind::Code, kept.component, kept.files.iter().filter_map(said))),
    );
    items.extend(keeping::repositories(&workshop.cache.path().join(keeping::REPOSITORIES)));
    Ok(items)
}

pub(crate) fn info(workshop: &Workshop, arguments: &CacheInfo) -> Result<(), Exit> {
    let items = survey(workshop)?;
    let mut info = Info {
        cache: workshop.cache.path().to_owned(),
        blobs: Count::of(&items, Kind::Blob),
        shared: Count::default(),
        results: Count::of(&items, Kind::Result),
        code: Count::of(&items, Kind::Code),
        git: Count::of(&items, Kind::Repository),
        unfinished: Count::default(),
        max_size: workshop.config.cache.max_size.map(|size| size.0),
        images: workshop.images.folder().path().to_owned(),
        names: workshop.images.list()?.len(),
        image_bytes: workshop.images.size(),
        builders: Kept::of(workshop),
    };
    let is_shared = |item: &&Item| item.kind == Kind::Blob && item.is_shared;
    items.iter().filter(is_shared).for_each(|item| info.shared.add(item.size));
    info.unfinished = sum(&unfinished(workshop));
    if arguments.output == Output::Json {
        return json(workshop, &info);
    }
    let say = |text: String| workshop.ui.result(&text);
    let line = |what: &str, Count { count, bytes: size }| say(format!("  {what:10} {count:7}  {}", bytes(size)));
    let limit = info.max_size.map_or_else(|| "no limit".to_owned(), |size| format!("at most {}", bytes(size)));
    say(format!("cache {} ({limit})", shown(&info.cache)));
    line("blobs", info.blobs);
    line("shared", info.shared);
    line("results", info.results);
    line("code", info.code);
    if !info.git.is_nothing() {
        line("git", info.git);
    }
    line("unfinished", info.unfinished);
    say(format!("images {}", shown(&info.images)));
    line("names", Count { count: info.names, bytes: info.image_bytes });
    if let Some(Kept { folder, blobs }) = &info.builders {
        say(format!("builders {}", shown(folder)));
        line("blobs", *blobs);
    }
    Ok(())
}

#[derive(Default, Serialize)]
struct Verified {
    blobs: Count,
    results: Count,
    code: Count,
    /// Blobs that images are made of.
    images: Count,
    damaged: Vec<Damaged>,
}

#[derive(Serialize)]
struct Damaged {
    what: &'static str,
    /// Its digest, or its key.
    name: String,
    /// The images that need it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<String>,
    /// Whether all is well now: it can be made again, or was replaced.
    healed: bool,
}

impl Verified {
    fn lost(&mut self, what: &'static str, name: Digest) {
        self.damaged.push(Damaged { what, name: name.to_string(), images: Vec::new(), healed: true });
    }
}

pub(crate) fn verify(workshop: &Workshop, arguments: &CacheVerify) -> Result<(), Exit> {
    let mut verified = Verified::default();
    for item in tidy::survey(&workshop.blobs, &workshop.results) {
        workshop.cancel.check()?;
        let (what, condition) = match item.kind {
            Kind::Blob => ("blob", workshop.blobs.verify(&item.name)?),
            _ => ("result", workshop.results.verify(&item.name)),
        };
        let count = if item.kind == Kind::Blob { &mut verified.blobs } else { &mut verified.results };
        match condition {
            // Somebody else took it away meanwhile.
            Condition::Missing => {}
            Condition::Sound => count.add(item.size),
            Condition::Damaged => verified.lost(what, item.name),
        }
    }
    for kept in code(workshop)?.list() {
        let item = |path: &PathBuf| Some((path.clone(), path.symlink_metadata().ok()?));
        let item = Item::of_files(Kind::Code, kept.component, kept.files.iter().filter_map(item));
        match kept.is_sound() {
            // Somebody is writing it, or took it away.
            None => {}
            Some(true) => verified.code.add(item.size),
            Some(false) => {
                item.remove().map_err(|error| workshop.cache.failed("could not remove damaged code", error))?;
                verified.lost("code", item.name);
            }
        }
    }
    let (count, size, damaged) = workshop.images.verify()?;
    verified.images = Count { count, bytes: size };
    let of_image =
        |Damage { digest, images, healed }| Damaged { what: "image blob", name: digest.to_string(), images, healed };
    verified.damaged.extend(damaged.into_iter().map(of_image));
    tell(workshop, arguments, &verified)
}

fn tell(workshop: &Workshop, arguments: &CacheVerify, verified: &Verified) -> Result<(), Exit> {
    if arguments.output == Output::Json {
        json(workshop, verified)?;
    } else {
        let Verified { blobs, results, code, images, damaged } = verified;
        let counts = [("blobs", blobs), ("results", results), ("code", code), ("images", images)];
        for (what, Count { count, bytes: size }) in counts {
            workshop.ui.result(&format!("{what:8} {count:7} sound  {}", bytes(*size)));
        }
        for Damaged { what, name, images, healed } in damaged {
            let became = match (*healed, images.is_empty()) {
                (true, true) => "removed: it is made or fetched again".to_owned(),
                (true, false) => "replaced by the cache's copy".to_owned(),
                (false, _) => format!("needed by {}", images.join(", ")),
            };
            workshop.ui.result(&format!("damaged {what} {name}: {became}"));
        }
    }
    let count = verified.damaged.len();
    if count == 0 {
        return Ok(());
    }
    let exit =
        Exit::new(GENERAL, format!("{count} damaged {} found", if count == 1 { "thing was" } else { "things were" }));
    let lost = verified.damaged.iter().any(|damaged| !damaged.healed);
    Err(if lost {
        exit.hint("build these images again, or take their names away: `stave images remove NAME`")
    } else {
        exit
    })
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Tidied {
    /// What killed runs left.
    leftovers: Count,
    blobs: Count,
    results: Count,
    code: Count,
    #[serde(skip_serializing_if = "Count::is_nothing")]
    git: Count,
    /// The bytes that stay, without what only has a second name here.
    left: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_size: Option<u64>,
    /// Whether nothing was removed, because that was asked.
    dry_run: bool,
}

/// The workshop must be alone.
pub(crate) fn gc(workshop: &Workshop, arguments: &CacheGc) -> Result<(), Exit> {
    let mut live = workshop.images.live()?;
    for lock in &arguments.lock {
        let text = read_at_most(lock, MAX_LOCK as u64).map_err(|error| {
            let context = format!("could not read the lock {}", shown(lock));
            Exit::new(USAGE, anyhow::Error::new(error).context(context))
        })?;
        live.extend(tidy::with_what_they_lead_to(tidy::named_in(&text), &workshop.blobs));
    }
    let max = arguments.max_size.or(workshop.config.cache.max_size).map(|size| size.0);
    let plan = tidy::plan(survey(workshop)?, &live, max.unwrap_or(u64::MAX));
    let left_over = unfinished(workshop);
    if !arguments.dry_run {
        remove(workshop, &plan, &left_over)?;
    }
    let leftovers = sum(&left_over);
    let of = |kind| Count::of(&plan.remove, kind);
    let tidied = Tidied {
        leftovers,
        blobs: of(Kind::Blob),
        results: of(Kind::Result),
        code: of(Kind::Code),
        git: of(Kind::Repository),
        left: plan.left,
        max_size: max,
        dry_run: arguments.dry_run,
    };
    if arguments.output == Output::Json {
        return json(workshop, &tidied);
    }
    let did = if arguments.dry_run { "would remove" } else { "removed" };
    let counts = [
        ("leftovers", leftovers),
        ("blobs", tidied.blobs),
        ("results", tidied.results),
        ("code", tidied.code),
        ("git", tidied.git),
    ];
    for (what, Count { count, bytes: size }) in counts {
        if what == "git" && count == 0 {
            continue;
        }
        workshop.ui.result(&format!("{did} {what:9} {count:7}  {}", bytes(size)));
    }
    workshop.ui.result(&format!("{} stay", bytes(tidied.left)));
    match max {
        None => workshop
            .ui
            .say("there is no limit for the cache: set `max-size` below `[cache]` in config.toml, or give --max-size"),
        Some(max) if tidied.left > max => {
            workshop
                .ui
                .say(&format!("that is more than {}: images are made of the rest, or a lock names it", bytes(max)));
        }
        Some(_) => {}
    }
    Ok(())
}

fn remove(workshop: &Workshop, plan: &Plan, leftovers: &[(PathBuf, u64)]) -> Result<(), Exit> {
    for (path, _) in leftovers {
        let removed = tidy::sweep(path);
        removed.map_err(|error| workshop.cache.failed(format!("could not remove `{}`", shown(path)), error))?;
    }
    for item in &plan.remove {
        workshop.cancel.check()?;
        item.remove().map_err(|error| workshop.cache.failed(format!("could not remove {}", item.name), error))?;
    }
    Ok(())
}

/// Keeps the cache below its limit after a command, if there is one, nobody else is at it, and it is over it. A failure is told to
/// those who ask for more.
pub(crate) fn keep_small(workshop: &Workshop) {
    let Some(max) = workshop.config.cache.max_size else { return };
    let tidy = || -> Result<Option<u64>, Exit> {
        if !workshop.turn.becomes_alone() {
            return Ok(None);
        }
        let plan = tidy::plan(survey(workshop)?, &workshop.images.live()?, max.0);
        remove(workshop, &plan, &[])?;
        Ok(Some(plan.freed()))
    };
    let note = match tidy() {
        Ok(None | Some(0)) => return,
        Ok(Some(freed)) => format!("removed {} that were not used for longest from the cache", bytes(freed)),
        Err(exit) => format!("could not make the cache smaller: {}", exit.summary()),
    };
    workshop.ui.observe(Event::Note(Level::Debug, note));
}

fn json(workshop: &Workshop, value: &impl Serialize) -> Result<(), Exit> {
    workshop.ui.result(&serde_json::to_string_pretty(value).map_err(|error| Exit::new(GENERAL, error))?);
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}
