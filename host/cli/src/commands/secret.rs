//! `stave secret`: logins and service bindings of namespaces. What is printed says everything but the values.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value as Json, json};
use stave_model::{binding::Secret as Hidden, id::BindingKey};
use stave_platform::{resource::name::Name, table::Table};
use stave_store::secrets::{DiskSecrets, Listed, Purpose, Secret, Value, keys};
use zeroize::Zeroizing;

use super::resources::{self, print_document};
use crate::{
    args::{
        SecretCommand,
        secret::{SecretCreate, SecretDelete, SecretList},
    },
    bindings,
    config::read_at_most,
    exit::{Exit, GENERAL, USAGE, one_line, printable},
    secret,
    workshop::Workshop,
};

/// The largest key that is read, in bytes.
const MAX_KEY: u64 = 64 << 10;
/// The user of a registry whose password is the key of a service account.
const KEY_USER: &str = "_json_key";
/// Most characters of a name in a message.
const MAX_SHOWN: usize = 300;

/// Does what was typed about secrets.
pub(crate) fn run(workshop: &Workshop, command: &SecretCommand) -> Result<(), Exit> {
    let secrets = DiskSecrets::of(&workshop.data);
    match command {
        SecretCommand::Create(typed) => create(workshop, &secrets, typed),
        SecretCommand::List(typed) => list(workshop, &secrets, typed),
        SecretCommand::Delete(typed) => delete(workshop, &secrets, typed),
    }
}

fn create(workshop: &Workshop, secrets: &DiskSecrets, typed: &SecretCreate) -> Result<(), Exit> {
    let namespace = resources::namespace(workshop, &typed.whose);
    if all(secrets, &namespace)?.iter().any(|one| one.name == typed.name) {
        let exit = Exit::new(USAGE, format!("secret \"{}\" already exists in the namespace {namespace}", typed.name));
        return Err(exit.hint(format!("`stave secret delete {}` takes it away first", typed.name)));
    }
    let (purpose, values) = meant(workshop, typed)?;
    let account = typed.service_account.clone().unwrap_or_else(resources::default_name);
    let service_account = (!matches!(purpose, Purpose::Binding { .. })).then_some(account);
    let secret = Secret { namespace, name: typed.name.clone(), service_account, purpose, values };
    let listed = listed(&secret);
    if !typed.dry_run {
        secrets.put(&secret).map_err(|error| Exit::new(GENERAL, error))?;
    }
    if typed.printed.form.document().is_some() {
        return print_document(workshop, &document(&listed), typed.printed.form);
    }
    let suffix = if typed.dry_run { " (dry run)" } else { "" };
    let shown = one_line(&target(&listed.purpose), MAX_SHOWN);
    workshop.ui.result(&format!("Secret \"{}\" created for {shown}{suffix}", typed.name));
    Ok(())
}

/// Values by their keys.
type Values = BTreeMap<BindingKey, Value>;

/// What the secret is for, and its values.
fn meant(workshop: &Workshop, typed: &SecretCreate) -> Result<(Purpose, Values), Exit> {
    if let Some(folder) = &typed.service_binding {
        return binding(folder);
    }
    if let Some(url) = &typed.git_url {
        return git(workshop, url, typed);
    }
    if let (Some(url), Some(user)) = (&typed.blob_url, &typed.blob_user) {
        let password = typed_password(workshop, typed, "BLOB_PASSWORD", &format!("password of {user} for {url}: "))?;
        return Ok((Purpose::Blob { url: url.clone(), user: Some(user.clone()) }, one(keys::PASSWORD, &password)?));
    }
    let Some(host) = typed.registry.clone() else {
        let flag = if typed.gcr.is_some() { "--gcr" } else { "--dockerhub" };
        let exit = Exit::new(USAGE, format!("{flag} does not say which host the registry has"));
        return Err(exit.hint("no registry is known to this program by itself: name its host with --registry HOST"));
    };
    let (user, password) = match (&typed.gcr, &typed.dockerhub, &typed.registry_user) {
        (Some(file), ..) => (KEY_USER.to_owned(), key_file(file, "--gcr", "GCR_SERVICE_ACCOUNT_PATH")?),
        (None, Some(user), _) => {
            let question = format!("password of {user} for {host}: ");
            (user.clone(), typed_password(workshop, typed, "DOCKER_PASSWORD", &question)?)
        }
        (None, None, user) => {
            let user = user.clone().unwrap_or_default();
            let question = format!("password of {user} for {host}: ");
            (user, typed_password(workshop, typed, "REGISTRY_PASSWORD", &question)?)
        }
    };
    Ok((Purpose::Registry { host, user }, one(keys::PASSWORD, &password)?))
}

fn git(workshop: &Workshop, url: &str, typed: &SecretCreate) -> Result<(Purpose, Values), Exit> {
    if let Some(user) = &typed.git_user {
        let password = typed_password(workshop, typed, "GIT_PASSWORD", &format!("password of {user} for {url}: "))?;
        let purpose = Purpose::Git { url: url.to_owned(), user: Some(user.clone()) };
        return Ok((purpose, one(keys::PASSWORD, &password)?));
    }
    let file = typed.git_ssh_key.as_deref().unwrap_or(Path::new(""));
    let mut values = one(keys::SSH_KEY, &key_file(file, "--git-ssh-key", "GIT_SSH_KEY_PATH")?)?;
    if let Some(file) = &typed.git_known_hosts {
        values.extend(one(keys::KNOWN_HOSTS, &whole(file)?)?);
    }
    Ok((Purpose::Git { url: url.to_owned(), user: None }, values))
}

fn binding(folder: &Path) -> Result<(Purpose, Values), Exit> {
    let read = bindings::read(&[folder.to_owned()], &[])?;
    let Some((_, binding)) = read.into_iter().next() else {
        return Err(Exit::new(USAGE, format!("{} is not a service binding", printable(&folder.display().to_string()))));
    };
    let values = binding.entries.into_iter().map(|(key, value)| (key, Value(value)));
    Ok((Purpose::Binding { r#type: binding.kind, provider: binding.provider }, values.collect()))
}

fn one(key: &str, value: &[u8]) -> Result<Values, Exit> {
    let key: BindingKey = key.parse().map_err(|error| Exit::new(GENERAL, error))?;
    Ok(BTreeMap::from([(key, Value(Hidden::new(value)))]))
}

/// A password from the environment, or from who sits at the terminal. Where nothing is kept, nobody is asked.
fn typed_password(
    workshop: &Workshop,
    typed: &SecretCreate,
    variable: &str,
    question: &str,
) -> Result<Zeroizing<Vec<u8>>, Exit> {
    if typed.dry_run {
        return Ok(Zeroizing::new(Vec::new()));
    }
    if let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
        return Ok(Zeroizing::new(value.into_encoded_bytes()));
    }
    let asked = workshop.pausing(|| secret::ask(&workshop.ui, question, &workshop.cancel))?;
    workshop.cancel.check()?;
    asked.filter(|password| !password.is_empty()).ok_or_else(|| {
        let exit = Exit::new(USAGE, "there is no password");
        exit.hint(format!("set {variable}, or run this at a terminal and type it there"))
    })
}

/// A key in a file that was named, or that the environment names.
fn key_file(named: &Path, flag: &str, variable: &str) -> Result<Zeroizing<Vec<u8>>, Exit> {
    if !named.as_os_str().is_empty() {
        return whole(named);
    }
    let path = std::env::var_os(variable).filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| Exit::new(USAGE, format!("{flag} names no file, and {variable} is not set")))?;
    whole(Path::new(&path))
}

fn whole(path: &Path) -> Result<Zeroizing<Vec<u8>>, Exit> {
    let text = read_at_most(path, MAX_KEY).map_err(|error| {
        let shown = printable(&path.display().to_string());
        Exit::new(USAGE, anyhow::Error::new(error).context(format!("could not read the key in {shown}")))
    })?;
    Ok(Zeroizing::new(text.into_bytes()))
}

fn all(secrets: &DiskSecrets, namespace: &Name) -> Result<Vec<Listed>, Exit> {
    secrets.list(Some(namespace)).map_err(|error| Exit::new(GENERAL, error))
}

/// A secret without its values.
fn listed(secret: &Secret) -> Listed {
    Listed {
        namespace: secret.namespace.clone(),
        name: secret.name.clone(),
        service_account: secret.service_account.clone(),
        purpose: secret.purpose.clone(),
        keys: secret.values.keys().cloned().collect(),
    }
}

/// What it is for, in a word.
fn target(purpose: &Purpose) -> String {
    match purpose {
        Purpose::Registry { host, .. } => host.clone(),
        Purpose::Git { url, .. } | Purpose::Blob { url, .. } => url.clone(),
        Purpose::Binding { r#type: kind, .. } => format!("service binding {kind}"),
    }
}

fn document(listed: &Listed) -> Json {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": listed.name, "namespace": listed.namespace },
        "serviceAccount": listed.service_account,
        "target": target(&listed.purpose),
        "purpose": listed.purpose,
        "keys": listed.keys,
    })
}

fn list(workshop: &Workshop, secrets: &DiskSecrets, typed: &SecretList) -> Result<(), Exit> {
    let namespace = resources::namespace(workshop, &typed.whose);
    let mut found = all(secrets, &namespace)?;
    found.retain(|one| typed.service_account.is_none() || one.service_account == typed.service_account);
    if typed.printed.form.document().is_some() {
        return print_document(workshop, &found.iter().map(document).collect(), typed.printed.form);
    }
    if found.is_empty() {
        return Err(Exit::new(USAGE, format!("no secrets found in the namespace {namespace}")));
    }
    let mut table = Table::new(&["NAME", "TARGET", "AVAILABLE"]);
    for one in &found {
        // One that could not be read has failed the list.
        table.row([one.name.as_str(), &target(&one.purpose), "true"]);
    }
    workshop.ui.result(table.render().trim_end_matches('\n'));
    Ok(())
}

fn delete(workshop: &Workshop, secrets: &DiskSecrets, typed: &SecretDelete) -> Result<(), Exit> {
    let namespace = resources::namespace(workshop, &typed.whose);
    let there = all(secrets, &namespace)?;
    let held = |one: &&Listed| typed.service_account.is_none() || one.service_account == typed.service_account;
    if !there.iter().filter(held).any(|one| one.name == typed.name) {
        return Err(resources::not_found("secret", &typed.name, there.iter().filter(held).map(|one| &one.name)));
    }
    secrets.remove(&namespace, &typed.name).map_err(|error| Exit::new(GENERAL, error))?;
    workshop.ui.result(&format!("Secret \"{}\" deleted", typed.name));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_has_no_value_in_it() {
        let secret = Secret {
            namespace: "team-a".parse().unwrap(),
            name: "mine".parse().unwrap(),
            service_account: Some("default".parse().unwrap()),
            purpose: Purpose::Registry { host: "registry.example.com".to_owned(), user: "me".to_owned() },
            values: one(keys::PASSWORD, b"hunter2").unwrap(),
        };
        let listed = listed(&secret);
        assert_eq!(target(&listed.purpose), "registry.example.com");
        let shown = document(&listed).to_string();
        assert!(!shown.contains("hunter2") && shown.contains(r#""keys":["password"]"#), "{shown}");
    }
}
