//! Who may do what: one decision about everything that can be asked, from its method and the pattern of its address.
//!
//! Everybody who is known may look. What is not listed as the developers' is the operators': that of the whole cluster, and
//! whatever is routed later, until somebody lists it here.

use std::fmt;

use stave_platform::resource::name::Name;

/// Where what belongs to a namespace is found.
const NAMESPACED: &str = "/v1/namespaces/{namespace}/";
/// What developers change of a namespace: all below these.
const OF_DEVELOPERS: [&str; 2] = ["images", "builders"];
/// What is asked with a body, and changes nothing.
const ASKING: [&str; 1] = ["/v1/plan"];

/// Whose token somebody brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role<'a> {
    /// Those who answer for all of it.
    Operator,
    /// Those who wish for images in these namespaces; in all, where none is named.
    Developer(&'a [Name]),
}

/// Why somebody may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is the operators'.
    Operators,
    /// It is in a namespace that is not among these.
    Elsewhere(Vec<Name>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed = OF_DEVELOPERS.join(" and ");
        match self {
            Self::Operators => {
                write!(
                    f,
                    "this needs the operators' token: the developers' may read all, and change {changed} of namespaces"
                )
            }
            Self::Elsewhere(namespaces) => {
                let names: Vec<&str> = namespaces.iter().map(Name::as_str).collect();
                let names = names.join(", ");
                write!(
                    f,
                    "this needs the operators' token: the developers' may read all, and change {changed} of {names}"
                )
            }
        }
    }
}

/// Whether something is changed.
pub(crate) fn changes(method: &str, pattern: &str) -> bool {
    !matches!(method, "GET" | "HEAD") && !ASKING.contains(&pattern)
}

/// Whether somebody may ask for the route of this method and pattern, in this namespace where it is of one.
pub(crate) fn may(role: Role<'_>, method: &str, pattern: &str, namespace: &str) -> Result<(), Refusal> {
    let Role::Developer(namespaces) = role else { return Ok(()) };
    if !changes(method, pattern) {
        return Ok(());
    }
    let kind = pattern.strip_prefix(NAMESPACED).and_then(|rest| rest.split('/').next());
    if !kind.is_some_and(|kind| OF_DEVELOPERS.contains(&kind)) {
        return Err(Refusal::Operators);
    }
    if namespaces.is_empty() || namespaces.iter().any(|name| name.as_str() == namespace) {
        return Ok(());
    }
    Err(Refusal::Elsewhere(namespaces.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guard::Gate, routes};

    /// Whose each route is.
    const EXPECTED: &str = "\
GET    /healthz: everybody
GET    /readyz: everybody
GET    /metrics: everybody
GET    /openapi.json: everybody
GET    /v1/images: known
GET    /v1/namespaces/{namespace}/images/{name}: known
PUT    /v1/namespaces/{namespace}/images/{name}: developers, namespace
DELETE /v1/namespaces/{namespace}/images/{name}: developers, namespace
POST   /v1/namespaces/{namespace}/images/{name}/trigger: developers, namespace
POST   /v1/namespaces/{namespace}/images/{name}/hook: webhooks
GET    /v1/namespaces/{namespace}/images/{name}/explain: known
GET    /v1/namespaces/{namespace}/images/{name}/builds: known
GET    /v1/namespaces/{namespace}/images/{name}/builds/{number}: known
GET    /v1/namespaces/{namespace}/images/{name}/builds/{number}/log: known
POST   /v1/namespaces/{namespace}/images/{name}/builds/{number}/cancel: developers, namespace
GET    /v1/clusterbuilders: known
GET    /v1/clusterbuilders/{name}: known
PUT    /v1/clusterbuilders/{name}: operators
DELETE /v1/clusterbuilders/{name}: operators
GET    /v1/clusterstacks: known
GET    /v1/clusterstacks/{name}: known
PUT    /v1/clusterstacks/{name}: operators
DELETE /v1/clusterstacks/{name}: operators
GET    /v1/clusterstores: known
GET    /v1/clusterstores/{name}: known
PUT    /v1/clusterstores/{name}: operators
DELETE /v1/clusterstores/{name}: operators
GET    /v1/clusterbuildpacks: known
GET    /v1/clusterbuildpacks/{name}: known
PUT    /v1/clusterbuildpacks/{name}: operators
DELETE /v1/clusterbuildpacks/{name}: operators
POST   /v1/plan: known";

    /// Every route that there is. A new one fails here, until somebody says whose it is.
    #[test]
    fn each_route_is_somebodys() {
        let team = ["team".parse().unwrap()];
        let lines: Vec<String> = routes::gated()
            .into_iter()
            .map(|(method, path, gate)| {
                let is_theirs = |namespaces, namespace| {
                    may(Role::Operator, method, path, namespace).unwrap();
                    may(Role::Developer(namespaces), method, path, namespace).is_ok()
                };
                let whose = match gate {
                    Gate::Open => "everybody",
                    Gate::Hook => "webhooks",
                    Gate::Known if is_theirs(&team[..], "other") => "known",
                    Gate::Known if is_theirs(&team[..], "team") && is_theirs(&[], "other") => "developers, namespace",
                    Gate::Known => "operators",
                };
                format!("{method:6} {path}: {whose}")
            })
            .collect();
        assert_eq!(lines.join("\n"), EXPECTED);
    }

    #[test]
    fn what_nobody_listed_is_the_operators() {
        let developer = Role::Developer(&[]);
        for (method, pattern) in [
            ("PUT", "/v1/clusterbuildpacks/{name}"),
            ("PATCH", "/v1/config"),
            ("POST", "/v1/import"),
            ("PUT", "/v1/namespaces/{namespace}/secrets/{name}"),
            ("PUT", "/v1/namespaces/{namespace}/serviceaccounts/{name}"),
            ("DELETE", "/v1/namespaces/{namespace}"),
            ("PUT", "/v1/namespaces/{namespace}/imagesecrets/{name}"),
            ("PUT", "/v2/namespaces/{namespace}/images/{name}"),
            ("POST", "/v1/planned"),
            ("QUERY", "/v1/images"),
        ] {
            assert_eq!(may(developer, method, pattern, "team"), Err(Refusal::Operators), "{method} {pattern}");
            assert_eq!(may(Role::Operator, method, pattern, "team"), Ok(()));
        }
        assert_eq!(may(developer, "PUT", "/v1/namespaces/{namespace}/builders/{name}", "team"), Ok(()));
    }

    #[test]
    fn a_refusal_says_whose_token_is_needed() {
        let elsewhere = Refusal::Elsewhere(vec!["team".parse().unwrap(), "other".parse().unwrap()]);
        let said = "this needs the operators' token: the developers' may read all, and change images and builders of";
        assert_eq!(Refusal::Operators.to_string(), format!("{said} namespaces"));
        assert_eq!(elsewhere.to_string(), format!("{said} team, other"));
    }
}
