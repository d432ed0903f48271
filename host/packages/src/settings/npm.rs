//! npm's settings: `.npmrc` files and `npm_config_…` variables (npm's manual, "npmrc" and "config"), with registries by
//! scope and credentials by address. The app's own `.npmrc` is not read: it belongs to what is built.

use std::{collections::BTreeMap, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use stave_transport::request::Authorization;
use url::Url;

use super::{Error, Sources, ini};
use crate::{
    machine::{Machine, Unreadable},
    registry::{Ecosystem, Reason, Registry},
};

/// What npm would use, keys in lower case, weakest files first and so replaced.
#[derive(Default)]
struct Npm(BTreeMap<String, String>);

/// Adds the registry for packages of `scope` (`@name`, or empty).
pub(super) fn sources(machine: &Machine, scope: &str, sources: &mut Sources) -> Result<(), Error> {
    let npm = Npm::read(machine).map_err(|cause| Error::Unreadable(Ecosystem::Npm, cause))?;
    sources.ca_bundles.extend(npm.0.get("cafile").map(PathBuf::from));
    sources.ca_bundles.extend(machine.variable("NODE_EXTRA_CA_CERTS").map(PathBuf::from));
    let scoped = npm.0.get(&format!("{}:registry", scope.to_ascii_lowercase())).filter(|_| !scope.is_empty());
    let set = scoped.or_else(|| npm.0.get("registry")).cloned().map(|text| (text, Reason::Settings(Ecosystem::Npm)));
    let default = || default_registry(machine).map(|text| (text, Reason::Default(Ecosystem::Npm)));
    let Some((text, reason)) = set.or_else(default) else { return Ok(()) };
    let registry = Registry::parse(&text).map_err(|cause| Error::Invalid(Ecosystem::Npm, cause))?;
    let mut registry = registry.because(reason);
    if registry.authorization.is_none() {
        registry.authorization = registry.url().and_then(|url| npm.authorization(url));
    }
    sources.registries.push(registry);
    Ok(())
}

impl Npm {
    fn read(machine: &Machine) -> Result<Self, Unreadable> {
        let mut npm = Self::default();
        for path in files(machine) {
            let Some(text) = machine.read(&path)? else { continue };
            for ((section, key), value) in ini::parse(&text) {
                if section.is_empty() {
                    npm.0.insert(key, expand(value.trim_matches('"'), machine));
                }
            }
        }
        for (name, value) in &machine.variables {
            let name = name.to_ascii_lowercase();
            if let Some(key) = name.strip_prefix("npm_config_").filter(|_| !value.is_empty()) {
                npm.0.insert(key.replace('_', "-"), value.clone());
            }
        }
        Ok(npm)
    }

    /// The credentials for the longest address that `url` starts with.
    fn authorization(&self, url: &Url) -> Option<Authorization> {
        let whole = format!("//{}{}", url.authority(), url.path()).to_ascii_lowercase();
        let mut prefix = whole.trim_end_matches('/').to_owned();
        loop {
            let value = |key: &str| {
                let with_slash = self.0.get(&format!("{prefix}/:{key}"));
                with_slash.or_else(|| self.0.get(&format!("{prefix}:{key}"))).filter(|value| !value.is_empty())
            };
            let decode = |text: &String| String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok();
            if let Some(token) = value("_authtoken") {
                return Some(Authorization::Bearer(token.clone()));
            }
            if let Some((user, password)) = value("username").zip(value("_password").and_then(decode)) {
                return Some(Authorization::Basic { user: user.clone(), password });
            }
            if let Some(pair) = value("_auth").and_then(decode) {
                let (user, password) = pair.split_once(':')?;
                return Some(Authorization::Basic { user: user.to_owned(), password: password.to_owned() });
            }
            let slash = prefix.rfind('/').filter(|at| *at > 1)?;
            prefix.truncate(slash);
        }
    }
}

/// The files that npm reads outside a project, weakest first.
fn files(machine: &Machine) -> Vec<PathBuf> {
    let variable = |names: [&str; 2]| names.iter().find_map(|name| machine.variable(name)).map(PathBuf::from);
    let global = variable(["npm_config_globalconfig", "NPM_CONFIG_GLOBALCONFIG"]);
    let mut files = match global {
        Some(path) => vec![path],
        None => ["usr/etc/npmrc", "usr/local/etc/npmrc", "etc/npmrc"].iter().map(|path| machine.system(path)).collect(),
    };
    let user = variable(["npm_config_userconfig", "NPM_CONFIG_USERCONFIG"]);
    files.extend(user.or_else(|| machine.home().map(|home| home.join(".npmrc"))));
    files
}

/// Replaces `${NAME}` by the variable; one that is not set stays, as in npm.
fn expand(text: &str, machine: &Machine) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        match after.split_once('}') {
            Some((name, next)) if machine.variables.contains_key(name) => {
                expanded.push_str(&machine.variables[name]);
                rest = next;
            }
            _ => {
                expanded.push_str("${");
                rest = after;
            }
        }
    }
    expanded + rest
}

/// The registry that npm uses when nothing is set, by asking npm. None if there is no npm.
fn default_registry(machine: &Machine) -> Option<String> {
    let npm = machine.programs("npm").into_iter().next()?;
    let answer = machine.ask(&npm, &["config", "get", "registry"])?;
    (answer.starts_with("https://") || answer.starts_with("http://")).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(npmrc: &str, variables: &[(&str, &str)], scope: &str) -> (String, Option<Authorization>) {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(".npmrc"), npmrc).unwrap();
        let mut variables: BTreeMap<String, String> =
            variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        variables.insert("HOME".to_owned(), home.path().to_str().unwrap().to_owned());
        let machine = Machine { variables, root: PathBuf::from("/nowhere") };
        let mut found = Sources::default();
        sources(&machine, scope, &mut found).unwrap();
        let registry = found.registries.pop().unwrap();
        (registry.to_string(), registry.authorization)
    }

    #[test]
    fn a_registry_by_scope_with_its_credentials() {
        let npmrc = "registry=https://npm.example.com/\n@mine:registry = https://npm.example.com/a/private/\n\
            //npm.example.com/a/:_authToken=${TOKEN}\n//other.example.com/:_auth = bWU6cHc=\n";
        let token = [("TOKEN", "t0ken")];
        assert_eq!(found(npmrc, &token, ""), ("https://npm.example.com/".to_owned(), None));
        let (url, authorization) = found(npmrc, &token, "@mine");
        assert_eq!(url, "https://npm.example.com/a/private/");
        assert_eq!(authorization, Some(Authorization::Bearer("t0ken".to_owned())));
        let variables = [("NPM_CONFIG_REGISTRY", "https://other.example.com")];
        let basic = Authorization::Basic { user: "me".to_owned(), password: "pw".to_owned() };
        assert_eq!(found(npmrc, &variables, ""), ("https://other.example.com/".to_owned(), Some(basic)));
    }

    #[test]
    #[ignore = "needs npm on the path"]
    fn npm_says_its_default() {
        assert!(default_registry(&Machine::current()).unwrap().starts_with("https://"));
    }

    #[test]
    fn variables_are_filled_in() {
        let variables = [("A".to_owned(), "1".to_owned())].into();
        let machine = Machine { variables, root: PathBuf::from("/nowhere") };
        for (text, expected) in [("x${A}y", "x1y"), ("${B}", "${B}"), ("${A", "${A"), ("$A", "$A"), ("${A}${A}", "11")]
        {
            assert_eq!(expand(text, &machine), expected);
        }
    }
}
