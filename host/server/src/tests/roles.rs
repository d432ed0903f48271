//! Operators and developers: each with a token of their own, over a socket.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use stave_platform::{
    port::{Failed, Records as _},
    resource::{build::Fault, manifest::parse},
};

use super::{
    client::Reply,
    town::{Town, WEB, builder, developers, image, key, stack, store},
};
use crate::{Developers, Secret, openapi, serve::Manners};

/// A town with both tokens, in which an image, a stack, a store and a builder are.
fn town(developers: Developers) -> Town {
    let town = Town::with("127.0.0.1:0", Manners::default(), |services| {
        services.token = Secret::new("operators");
        services.developers = Some(developers);
    });
    for manifest in [stack(), store(), builder(), image("web")] {
        town.records.apply(&parse(&manifest).unwrap()).unwrap();
    }
    town
}

/// What is said to developers who may not.
const ROLES: &str = "this needs the operators' token: the developers' may read all, and change images and builders";

fn ask_as(town: &Town, token: &str, what: &str, body: Option<&Value>) -> Reply {
    let bearer = format!("Authorization: Bearer {token}");
    match body {
        None => town.ask_with(what, &[&bearer], &[]),
        Some(body) => town.ask_with(what, &[&bearer, "Content-Type: application/json"], body.to_string().as_bytes()),
    }
}

#[test]
fn developers_change_images_and_nothing_of_the_cluster() {
    let town = town(developers("developers", &[]));
    let ask = |what: &str, body: Option<&Value>| ask_as(&town, "developers", what, body);
    for what in ["/v1/images", WEB, "/v1/clusterstacks", "/v1/clusterstacks/base", "/v1/clusterbuilders/default"] {
        assert_eq!(ask(&format!("GET {what}"), None).status, 200, "{what}");
        assert_eq!(ask_as(&town, "operators", &format!("GET {what}"), None).status, 200, "{what}");
        assert_eq!(ask_as(&town, "developer", &format!("GET {what}"), None).status, 401, "{what}");
    }
    assert_eq!(ask("POST /v1/plan", Some(&json!([stack()]))).status, 200, "a plan changes nothing");
    assert_eq!(ask("PUT /v1/namespaces/team/images/other", Some(&image("other"))).status, 201);
    assert_eq!(ask(&format!("POST {WEB}/trigger"), None).status, 202);
    assert_eq!(ask("DELETE /v1/namespaces/team/images/other", None).status, 204);

    let before = town.records.snapshot().unwrap();
    let mut other = stack();
    other["spec"]["id"] = json!("io.example.other");
    let refused = ask("PUT /v1/clusterstacks/base", Some(&other));
    assert_eq!(refused.refusal(), format!("403 {ROLES} of namespaces"));
    for what in ["clusterstacks/base", "clusterstores/default", "clusterbuilders/default"] {
        assert_eq!(ask(&format!("DELETE /v1/{what}"), None).status, 403, "{what}");
    }
    assert_eq!(town.records.snapshot().unwrap(), before);
    assert_eq!(ask_as(&town, "operators", "PUT /v1/clusterstacks/base", Some(&other)).status, 200);
}

#[test]
fn developers_of_some_namespaces_change_nothing_elsewhere() {
    let town = town(developers("developers", &["mine", "ours"]));
    let ask = |what: &str, body: Option<&Value>| ask_as(&town, "developers", what, body);
    let mut image = image("web");
    let refused = ask(&format!("PUT {WEB}"), Some(&image));
    assert_eq!(refused.refusal(), format!("403 {ROLES} of mine, ours"));
    for what in [&format!("DELETE {WEB}"), &format!("POST {WEB}/trigger"), &format!("POST {WEB}/builds/1/cancel")] {
        assert_eq!(ask(what, None).status, 403, "{what}");
    }
    assert_eq!(
        ask("DELETE /v1/namespaces/min%65/images/web", None).status,
        404,
        "an address is read before it is judged"
    );
    assert_eq!(ask(&format!("GET {WEB}"), None).status, 200);
    // What the manifest says of a namespace is what the address says of it.
    assert_eq!(ask("PUT /v1/namespaces/mine/images/web", Some(&image)).status, 422);
    image["metadata"]["namespace"] = json!("mine");
    assert_eq!(ask("PUT /v1/namespaces/mine/images/web", Some(&image)).status, 201);
}

/// What is described as the operators' alone is, and nothing else: of everything that is described.
#[test]
fn the_description_says_whose_each_is() {
    let town = town(developers("developers", &[]));
    let document = openapi::document(&town.services);
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let address = path.replace("{number}", "99").replace("{namespace}", "none").replace("{name}", "none");
        for (method, operation) in methods.as_object().unwrap() {
            let schemes = operation["security"].as_array().map(Vec::as_slice).unwrap_or_default();
            let takes = |scheme: &str| schemes.iter().any(|one| !one[scheme].is_null());
            if !takes("operators") {
                continue;
            }
            let status = ask_as(&town, "developers", &format!("{} {address}", method.to_uppercase()), None).status;
            assert_eq!(status == 403, !takes("developers"), "{method} {path}: {status}");
            let status = ask_as(&town, "operators", &format!("{} {address}", method.to_uppercase()), None).status;
            assert!(status != 403 && status != 401, "{method} {path}: {status}");
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked}");
}

#[test]
fn a_developers_wish_is_anothers_before_it_is_taken_down() {
    let (times, is_broken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let mut developers = developers("developers", &[]);
    let (counted, broken) = (Arc::clone(&times), Arc::clone(&is_broken));
    developers.first = Arc::new(move || {
        if broken.load(Ordering::Relaxed) {
            return Err(Failed::new(Fault::Transient, "write it down"));
        }
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let town = town(developers);
    let triggers = || town.records.image(&key()).unwrap().unwrap().image.status.triggers;
    let trigger = |token: &str| ask_as(&town, token, &format!("POST {WEB}/trigger"), None).status;
    ask_as(&town, "developers", "GET /v1/images", None);
    ask_as(&town, "developers", "POST /v1/plan", Some(&json!([stack()])));
    assert_eq!(trigger("operators"), 202, "an operator's wish is their own");
    assert_eq!((trigger("developers"), triggers()), (503, 1), "nothing is changed where that cannot be written down");
    is_broken.store(false, Ordering::Relaxed);
    assert_eq!((trigger("developers"), trigger("developers"), triggers()), (202, 202, 3));
    assert_eq!(times.load(Ordering::Relaxed), 1, "once is enough");
}
