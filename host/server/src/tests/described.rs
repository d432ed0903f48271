//! The description is that of the server: the same paths and methods, and every answer of the other tests as it says.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    client::Reply,
    town::{Town, developers},
};
use crate::{Secret, Services, openapi, routes, serve::Manners};

/// The description's pattern of an address.
fn pattern<'a>(document: &'a Value, path: &str) -> Option<&'a str> {
    let given: Vec<&str> = path.split('?').next().unwrap().split('/').collect();
    let fits = |pattern: &&String| {
        let parts: Vec<&str> = pattern.split('/').collect();
        parts.len() == given.len()
            && parts.iter().zip(&given).all(|(part, given)| part.starts_with('{') || part == given)
    };
    document["paths"].as_object().unwrap().keys().find(fits).map(String::as_str)
}

/// That an answer is described: its status, its type, and that there is something if and only if there should be.
pub(super) fn check(services: &Services, what: &str, reply: &Reply) {
    let document = openapi::document(services);
    let (method, path) = what.split_once(' ').unwrap();
    let Some(pattern) = pattern(&document, path) else { return assert_eq!(reply.status, 404, "{what}") };
    let operation = &document["paths"][pattern][method.to_lowercase()];
    if operation.is_null() {
        return assert_eq!(reply.status, 405, "{what}");
    }
    let mut answer = &operation["responses"][reply.status.to_string()];
    if let Some(name) = answer["$ref"].as_str().and_then(|name| name.strip_prefix("#/components/responses/")) {
        answer = &document["components"]["responses"][name];
    }
    assert!(answer.is_object(), "{what} is answered with {}, which is not described: {reply:?}", reply.status);
    let kind = reply.header("content-type").split(';').next().unwrap();
    let kinds: Vec<&String> = answer["content"].as_object().into_iter().flat_map(serde_json::Map::keys).collect();
    if kinds.is_empty() {
        assert_eq!((kind, reply.body.len()), ("", 0), "{what}: {reply:?}");
    } else {
        assert!(kinds.iter().any(|described| *described == kind), "{what} is answered with {kind}: {reply:?}");
    }
}

#[test]
fn the_description_has_the_routes_of_the_router() {
    let town = Town::new();
    let document = openapi::document(&town.services);
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    assert_eq!(described, routes::table());
    // And the router has no others, whatever the table says.
    for path in document["paths"].as_object().unwrap().keys() {
        let address = path.replace("{number}", "1").replace("{namespace}", "team").replace("{name}", "web");
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let is_known = described.contains(&(path.clone(), method.to_owned()));
            let reply = town.ask(&format!("{method} {address}"));
            assert_eq!(reply.status != 405, is_known, "{method} {address}: {reply:?}");
            if !is_known {
                assert!(!reply.header("allow").is_empty(), "{reply:?}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let town = Town::new();
    let served = town.ask("GET /openapi.json").json();
    assert_eq!(served, openapi::document(&town.services));
    assert_eq!((served["openapi"].as_str(), served["info"]["version"].as_str()), (Some("3.1.0"), Some("0.1.0")));
    let (mut waiting, mut seen) = (vec![&served], 0);
    let mut used = BTreeSet::new();
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(items) => waiting.extend(items),
            Value::Object(map) => {
                if let Some(name) = map.get("$ref").and_then(Value::as_str) {
                    seen += 1;
                    assert!(served.pointer(name.trim_start_matches('#')).is_some(), "{name}");
                    used.insert(name.to_owned());
                }
                waiting.extend(map.values());
            }
            _ => {}
        }
    }
    assert!(seen > 100, "{seen}");
    for part in ["schemas", "parameters", "responses"] {
        for name in served["components"][part].as_object().unwrap().keys() {
            let name = format!("#/components/{part}/{name}");
            assert!(used.contains(&name), "{name} is used nowhere");
        }
    }
}

#[test]
fn who_has_to_say_who_they_are_is_described() {
    let open = Town::new();
    let document = openapi::document(&open.services);
    assert!(document["paths"]["/v1/images"]["get"]["security"].is_null());
    let closed = Town::with("127.0.0.1:0", Manners::default(), |services| services.token = Secret::new("t"));
    let document = openapi::document(&closed.services);
    let security = |document: &Value, path: &str, method: &str| document["paths"][path][method]["security"].clone();
    let of_operators = json!([{ "operators": [] }]);
    assert_eq!(security(&document, "/v1/images", "get"), of_operators);
    let closed = Town::with("127.0.0.1:0", Manners::default(), |services| {
        services.token = Secret::new("t");
        services.developers = Some(developers("d", &[]));
    });
    let document = openapi::document(&closed.services);
    let of_both = json!([{ "operators": [] }, { "developers": [] }]);
    assert_eq!(security(&document, "/v1/images", "get"), of_both);
    assert_eq!(security(&document, "/v1/namespaces/{namespace}/images/{name}", "put"), of_both);
    assert_eq!(security(&document, "/v1/clusterstacks/{name}", "put"), of_operators);
    assert!(document["paths"]["/metrics"]["get"]["security"].is_null());
    let hook = &document["paths"]["/v1/namespaces/{namespace}/images/{name}/hook"]["post"]["security"];
    assert_eq!(hook.as_array().unwrap().len(), 3);
}
