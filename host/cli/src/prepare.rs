//! What build and detect begin with, brought about in one place: the app, the settings, the buildpacks, the base.

use std::{collections::BTreeMap, sync::Arc};

use stave_archive::intake::ArchiveError;
use stave_lifecycle::{
    app::{self, App, AppError},
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
    id::VariableName,
    target::{Platform, Target},
};

use crate::{
    args::Source,
    base, bindings,
    buildpacks::{self, Equipment},
    exit::{ANALYZE, DETECT_FAILED, DETECT_OTHER, Exit, INTERRUPTED, NO_GROUP, USAGE},
    workshop::Workshop,
};

/// Everything that does not depend on the platform.
pub(crate) struct Prepared<'a> {
    /// The app.
    pub(crate) app: App,
    source: &'a Source,
    settings: Arc<BTreeMap<String, String>>,
    bindings: Arc<Bindings>,
    equipment: Equipment,
    limits: Limits,
}

/// Reads the settings, opens the app, and loads the buildpacks.
pub(crate) fn prepare<'a>(workshop: &Workshop, source: &'a Source) -> Result<Prepared<'a>, Exit> {
    let settings = Arc::new(settings(&source.env)?);
    let bindings = Arc::new(bindings::read(&source.binding, &source.bindings)?);
    workshop.ui.observe(Event::Phase(Phase::Analyze));
    let limits = Limits::default();
    let kept: Option<&dyn Results> = if source.paranoid { None } else { Some(&workshop.results) };
    let app = app::open(&source.app, &limits.archive, kept).map_err(unreadable_app)?;
    if !app.skipped.is_empty() {
        let skipped = format!("left out of the app, because images cannot hold them: {}", app.skipped.join(", "));
        workshop.ui.observe(Event::Note(Level::Warning, skipped));
    }
    let equipment = buildpacks::equip(&workshop.engine()?, source.builder.as_deref())?;
    Ok(Prepared { app, source, settings, bindings, equipment, limits })
}

impl Prepared<'_> {
    /// The base for `platform`, and the shop in which buildpacks work for it.
    pub(crate) fn open_shop(&self, workshop: &Workshop, platform: Platform) -> Result<(Base, Shop), Exit> {
        let base = base::find(workshop, &self.equipment, self.source.run_image.as_deref(), &platform)?;
        let shop = Shop {
            target: Target { platform, distro: base::distro(&base) },
            settings: self.settings.clone(),
            bindings: self.bindings.clone(),
            artifacts: workshop.packages(),
            observer: workshop.ui.clone(),
            cancel: workshop.cancel.clone(),
            scratch: workshop.cache.within("scratch").map_err(PortError::from)?.path().to_owned(),
            limits: self.limits.clone(),
            memory: workshop.memory(self.source.no_memory),
        };
        Ok((base, shop))
    }

    /// Finds the buildpacks that take the app.
    pub(crate) fn detect(&self, shop: &Shop) -> Result<Detection, DetectError> {
        let Equipment { buildpacks, selection, .. } = &self.equipment;
        detect::detect(shop, &Lineup { buildpacks, selection, exec_env: &self.source.exec_env }, &self.app.tree)
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

/// `NAME=VALUE`, or `NAME` with the value from the environment.
fn settings(texts: &[String]) -> Result<BTreeMap<String, String>, Exit> {
    let mut settings = BTreeMap::new();
    for text in texts {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), std::env::var(text).ok()),
        };
        let checked: VariableName =
            name.parse().map_err(|error: stave_model::id::InvalidName| Exit::new(USAGE, error))?;
        let Some(value) = value else {
            let message = format!("the setting {checked} has no value, and the environment has none of that name");
            return Err(Exit::new(USAGE, message).hint(format!("write -e {checked}=VALUE")));
        };
        settings.insert(checked.to_string(), value);
    }
    Ok(settings)
}

fn unreadable_app(error: AppError) -> Exit {
    let hint = match &error {
        AppError::Jar(_, ArchiveError::Read { .. }) => "build the jar anew; `unzip -t FILE` tells whether it is whole",
        AppError::Jar(..) => "nothing like this comes out of a build tool: look at where the file comes from",
        _ => return Exit::new(ANALYZE, error),
    };
    Exit::new(ANALYZE, error).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let given = |texts: &[&str]| settings(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            given(&["BP_A=1=2", "BP_B="]).unwrap(),
            [("BP_A", "1=2"), ("BP_B", "")].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
        );
        assert_eq!(given(&["BP_A=1", "BP_A=2"]).unwrap()["BP_A"], "2");
        let message = |text: &str| given(&[text]).unwrap_err().render();
        assert_eq!(
            message("STAVE_NOT_SET"),
            "error: the setting STAVE_NOT_SET has no value, and the environment has none of that name\nhint: write -e STAVE_NOT_SET=VALUE\n"
        );
        assert!(message("A B=1").starts_with("error: `A B` is not a valid variable name"));
    }
}
