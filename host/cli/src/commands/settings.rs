//! `stave config`: what counts for the whole platform of this data folder.

use serde_json::json;
use stave_platform::resource::{name::Name, reference::Reference};

use crate::{
    args::{
        SettingsCommand,
        platform::{Form, SettingOfNumber},
    },
    document,
    exit::{Exit, USAGE, printable},
    platform::{CONCURRENCY, Desk, NAMESPACE_CONCURRENCY, PRIVATE_SOURCES, STOP_OUTDATED, failed},
    workshop::Workshop,
};

/// Where artefacts are put that have no place of their own.
const DEFAULT_REPOSITORY: &str = "default-repository";
/// Whose secrets are used where nothing else is said.
const DEFAULT_ACCOUNT: &str = "default-service-account";
/// And which namespace it is of.
const DEFAULT_ACCOUNT_NAMESPACE: &str = "default-service-account-namespace";

/// Prints a setting, or sets it.
pub(crate) fn run(workshop: &Workshop, command: &SettingsCommand) -> Result<(), Exit> {
    let desk = Desk::open(workshop)?;
    match command {
        SettingsCommand::DefaultRepository(typed) => {
            let value = typed.value.as_deref().map(repository).transpose()?.map(|one| one.to_string());
            let change = Change { value, unset: typed.unset };
            change.done(&desk, DEFAULT_REPOSITORY, typed.printed.form)
        }
        SettingsCommand::DefaultServiceAccount(typed) => {
            let value = typed.value.as_ref().map(ToString::to_string);
            if value.is_some() {
                let namespace = typed.service_account_namespace.to_string();
                desk.records().set(DEFAULT_ACCOUNT_NAMESPACE, Some(&namespace)).map_err(failed)?;
            } else if typed.unset {
                desk.records().set(DEFAULT_ACCOUNT_NAMESPACE, None).map_err(failed)?;
            }
            Change { value, unset: typed.unset }.done(&desk, DEFAULT_ACCOUNT, typed.printed.form)
        }
        SettingsCommand::Concurrency(typed) => number(&desk, CONCURRENCY, typed),
        SettingsCommand::NamespaceConcurrency(typed) => number(&desk, NAMESPACE_CONCURRENCY, typed),
        SettingsCommand::StopOutdated(typed) => {
            let value = typed.value.map(|value| value.as_str().to_owned());
            Change { value, unset: typed.unset }.done(&desk, STOP_OUTDATED, typed.printed.form)
        }
        SettingsCommand::PrivateSources(typed) => {
            let value = Some(typed.value.join(" ")).filter(|value| !value.is_empty());
            Change { value, unset: typed.unset }.done(&desk, PRIVATE_SOURCES, typed.printed.form)
        }
    }
}

/// A setting that is a number.
fn number(desk: &Desk<'_>, name: &str, typed: &SettingOfNumber) -> Result<(), Exit> {
    let value = typed.value.as_ref().map(ToString::to_string);
    Change { value, unset: typed.unset }.done(desk, name, typed.printed.form)
}

/// What was typed about one setting.
struct Change {
    value: Option<String>,
    unset: bool,
}

impl Change {
    fn done(self, desk: &Desk<'_>, name: &str, form: Form) -> Result<(), Exit> {
        let ui = &desk.workshop.ui;
        if self.value.is_some() || self.unset {
            desk.records().set(name, self.value.as_deref()).map_err(failed)?;
            if form.document().is_none() {
                ui.result("kp-config set");
                return Ok(());
            }
        }
        let value = desk.records().setting(name).map_err(failed)?;
        match (form.document(), value) {
            (Some(format), value) => ui.result(&document::write(&json!({ name: value }), format)?),
            (None, Some(value)) => ui.result(&value),
            (None, None) => ui.say(&format!("{name} is not set")),
        }
        Ok(())
    }
}

/// A repository of a registry, and nothing else.
fn repository(text: &str) -> Result<Reference, Exit> {
    let reference: Reference = text.parse().map_err(|error| Exit::new(USAGE, error))?;
    if reference.registry.is_none() || reference.tag.is_some() || reference.digest.is_some() {
        let exit = Exit::new(USAGE, format!("`{}` is not a repository of a registry", printable(text)));
        return Err(exit.hint("write it without a tag, as registry.example.com/acme/platform"));
    }
    Ok(reference)
}

/// Where artefacts are put that have no place of their own, if that is set.
pub(crate) fn default_repository(desk: &Desk<'_>) -> Result<Option<Reference>, Exit> {
    let setting = desk.records().setting(DEFAULT_REPOSITORY).map_err(failed)?;
    setting.as_deref().map(repository).transpose()
}

/// Whose secrets an image of a namespace uses where nothing else is said, if that is set.
pub(crate) fn default_account(desk: &Desk<'_>, namespace: &Name) -> Result<Option<String>, Exit> {
    let of = desk.records().setting(DEFAULT_ACCOUNT_NAMESPACE).map_err(failed)?;
    // The secrets of an account are those of its namespace, and no image has others'.
    if of.as_deref() != Some(namespace.as_str()) {
        return Ok(None);
    }
    desk.records().setting(DEFAULT_ACCOUNT).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_a_registry_and_no_tag() {
        assert_eq!(repository("registry.example.com:5000/a/b").unwrap().name(), "registry.example.com:5000/a/b");
        for text in ["", "a/b", "registry.example.com/a:1", "registry.example.com/A"] {
            assert!(repository(text).is_err(), "{text}");
        }
    }
}
