//! What build and detect begin with, brought about in one place: the app, the settings, the buildpacks, the base.

use std::{collections::BTreeMap, sync::Arc};

use stave_archive::{
    intake::ArchiveError,
    tree::{Tree, TreePath},
};
use stave_lifecycle::{
    app::{self, App, AppError, secrets},
    detect::{self, DetectError, Detection, Lineup},
    port::{
        bases::Base,
        blobs::Results,
        failure::PortError,
        observer::{Event, Level, Observer, Phase},
    },
    workbench::{Limits, Shop},
};
use stave_model::{
    binding::Bindings,
    target::{Platform, Target},
};

use crate::{
    args::Source,
    base, bindings,
    builder::{self, Named},
    buildpacks::{self, Equipment},
    exit::{ANALYZE, DETECT_FAILED, DETECT_OTHER, Exit, INTERRUPTED, NO_GROUP, printable},
    locked::Held,
    project,
    settings::settings,
    workshop::Workshop,
};

/// Everything that does not depend on the platform.
pub(crate) struct Prepared<'a> {
    /// The app.
    pub(crate) app: App,
    /// Where the source comes from, for the image's label.
    pub(crate) label: String,
    /// The base, where it is not to be looked for as the source and the builder say.
    pub(crate) base: Option<Base>,
    source: &'a Source,
    settings: Arc<BTreeMap<String, String>>,
    bindings: Arc<Bindings>,
    equipment: Equipment,
    lock: Option<Held>,
    limits: Limits,
}

/// Follows the descriptor, reads the settings, opens the app, and loads the buildpacks.
pub(crate) fn prepare<'a>(workshop: &Workshop, source: &'a Source) -> Result<Prepared<'a>, Exit> {
    let descriptor = project::read(source, workshop.ui.as_ref())?;
    let settings =
        settings(&descriptor.project.settings, &source.env_file, &source.env, |name| std::env::var(name).ok())?;
    let bindings = Arc::new(bindings::read(&source.binding, &source.bindings)?);
    let selection = project::selection(source, &descriptor)?;
    workshop.ui.observe(Event::Phase(Phase::Analyze));
    let limits = Limits::default();
    let kept: Option<&dyn Results> = if source.paranoid { None } else { Some(&workshop.results) };
    let app = app::open(&source.app, &selection, &limits.archive, kept).map_err(unreadable_app)?;
    tell_of_files(&app, workshop.ui.as_ref());
    let lock = if source.locked { Some(Held::read(&source.lock_file)?) } else { None };
    let named = source.builder.clone().map_or_else(|| descriptor.builder(), |named| Ok(Some(named)))?;
    let named = named.or_else(|| lock.as_ref().map(|held| held.lock().builder.name.clone().into()));
    let named = Named::of(workshop, named.or_else(|| workshop.config.builder.clone()).as_deref());
    let builder = builder::find(workshop, &named, lock.as_ref().map(Held::lock))?;
    let engine = workshop.engine()?;
    let mut equipment = buildpacks::equip(workshop, &engine, &builder, lock.as_ref())?;
    descriptor.apply(workshop, &engine, &mut equipment)?;
    if let Some(held) = &lock {
        held.check_loaded(equipment.buildpacks.iter().map(AsRef::as_ref))?;
    }
    let label = descriptor.project.label();
    Ok(Prepared { app, label, base: None, source, settings: Arc::new(settings), bindings, equipment, lock, limits })
}

/// What a platform has found already: the source as a tree, the builder, the bindings.
pub(crate) struct Given {
    /// The source.
    pub(crate) tree: Tree,
    /// The folder within it that is the app.
    pub(crate) sub_path: Option<String>,
    /// Where in it the descriptor is, if not at the app's root.
    pub(crate) descriptor: Option<String>,
    /// The builder.
    pub(crate) builder: Named,
    /// The bindings.
    pub(crate) bindings: Bindings,
    /// Where the source comes from, for the image's label.
    pub(crate) label: String,
}

/// The same of what a platform has found: nothing is read from this machine's folders, and of the app's descriptor only its
/// settings and what of its files are the app count.
pub(crate) fn prepare_given<'a>(workshop: &Workshop, source: &'a Source, given: Given) -> Result<Prepared<'a>, Exit> {
    let Given { tree, sub_path, descriptor, builder, bindings, label } = given;
    workshop.ui.observe(Event::Phase(Phase::Analyze));
    let tree = folder_of(tree, sub_path.as_deref())?;
    let descriptor = project::read_of(project::App::Is(&tree, descriptor.as_deref()), source, workshop.ui.as_ref())?;
    let settings = settings(&descriptor.project.settings, &source.env_file, &source.env, |_| None)?;
    let selection = project::selection_of(project::App::Is(&tree, None), source, &descriptor)?;
    let app = app::of_tree(tree, &selection).map_err(unreadable_app)?;
    tell_of_files(&app, workshop.ui.as_ref());
    let builder = builder::find(workshop, &builder, None)?;
    let engine = workshop.engine()?;
    let equipment = buildpacks::equip(workshop, &engine, &builder, None)?;
    Ok(Prepared {
        app,
        label,
        base: None,
        source,
        settings: Arc::new(settings),
        bindings: Arc::new(bindings),
        equipment,
        lock: None,
        limits: Limits::default(),
    })
}

/// The folder of a source that is the app.
fn folder_of(tree: Tree, sub_path: Option<&str>) -> Result<Tree, Exit> {
    let Some(sub_path) = sub_path.map(|path| path.trim_matches('/')).filter(|path| !path.is_empty()) else {
        return Ok(tree);
    };
    let missing = || Exit::new(ANALYZE, format!("the source has no folder `{}`", printable(sub_path)));
    let path: TreePath = sub_path.parse().map_err(|_| missing())?;
    tree.within(&path).ok_or_else(missing)
}

/// What was left out of the app, and what in it nobody should see.
fn tell_of_files(app: &App, observer: &dyn Observer) {
    let note = |level, text| observer.observe(Event::Note(level, text));
    if !app.skipped.is_empty() {
        let skipped = app.skipped.join(", ");
        note(Level::Warning, format!("left out of the app, because images cannot hold them: {skipped}"));
    }
    for (path, reason) in &app.left_out.named {
        note(Level::Debug, format!("left out of the app: {path} ({reason})"));
    }
    for unread in &app.left_out.unread {
        note(Level::Warning, format!("could not follow {unread}"));
    }
    match app.left_out.chosen {
        0 => {}
        1 => note(Level::Info, "one file or folder is left out of the app (-v says why)".to_owned()),
        count => note(Level::Info, format!("{count} files and folders are left out of the app (-v says why)")),
    }
    let suspects = secrets::suspects(&app.tree);
    if !suspects.is_empty() {
        let all: Vec<String> = suspects.iter().map(|suspect| format!("{} ({})", suspect.path, suspect.kind)).collect();
        note(
            Level::Warning,
            format!(
                "everybody who has the image can read what looks secret in the app: {}; --exclude or a .dockerignore \
                 leaves it out",
                all.join(", ")
            ),
        );
    }
}

impl Prepared<'_> {
    /// The base for `platform`, and the shop in which buildpacks work for it.
    pub(crate) fn open_shop(&self, workshop: &Workshop, platform: Platform) -> Result<(Base, Shop), Exit> {
        let base = if let Some(base) = &self.base {
            base.clone()
        } else {
            let locked = self.lock.as_ref().and_then(|held| held.lock().image(&platform)).map(|image| image.digest);
            base::find(workshop, &self.equipment.stack, self.source.run_image.as_deref(), &platform, locked)?
        };
        if let Some(held) = &self.lock {
            let is_composed = self.source.run_image.is_none() && self.equipment.stack.is_composed();
            held.check_base(&base, &platform, is_composed)?;
        }
        let distro = base::distro(workshop, &base)?;
        let shop = Shop {
            target: Target { platform, distro },
            exec_env: self.source.exec_env(),
            settings: self.settings.clone(),
            bindings: self.bindings.clone(),
            artifacts: workshop.packages(),
            observer: workshop.ui.clone(),
            ledger: workshop.ledger.clone(),
            cancel: workshop.cancel.clone(),
            scratch: workshop.cache.within("scratch").map_err(PortError::from)?.path().to_owned(),
            limits: self.limits.clone(),
            memory: workshop.memory(self.source.no_memory),
            previous: Arc::default(),
        };
        Ok((base, shop))
    }

    /// Finds the buildpacks that take the app.
    pub(crate) fn detect(&self, shop: &Shop) -> Result<Detection, DetectError> {
        let Equipment { buildpacks, selection, .. } = &self.equipment;
        detect::detect(shop, &Lineup { buildpacks, selection, exec_env: &shop.exec_env }, &self.app.tree)
    }
}

/// How the program ends when no buildpacks are found: with what there is to say about it in a few lines, and where to read
/// more if that was not `explained` already.
pub(crate) fn detect_failed(error: DetectError, explained: bool) -> Exit {
    let code = match &error {
        DetectError::NoGroup(_) if error.has_failure() => DETECT_FAILED,
        DetectError::NoGroup(_) => NO_GROUP,
        DetectError::Order(_) | DetectError::TooMany(..) => DETECT_OTHER,
        DetectError::Cancelled => INTERRUPTED,
    };
    let (details, are_many) = (detect::explain::briefly(error.attempts()), error.attempts().len() > 1);
    let exit = Exit::new(code, error).detail(details);
    if are_many && !explained {
        return exit.hint("`stave detect --explain` says all that was tried in each group");
    }
    exit
}

/// How the program ends when the app cannot be read.
pub(crate) fn unreadable_app(error: AppError) -> Exit {
    let hint = match &error {
        AppError::Jar(_, ArchiveError::Read { .. }) => "build the jar anew; `unzip -t FILE` tells whether it is whole",
        AppError::Jar(..) => "nothing like this comes out of a build tool: look at where the file comes from",
        _ => return Exit::new(ANALYZE, error),
    };
    Exit::new(ANALYZE, error).hint(hint)
}
