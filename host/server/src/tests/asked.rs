//! Each thing that can be asked, done and refused.

use serde_json::{Value, json};
use stave_platform::port::Records as _;

use super::town::{NOW, Town, WEB, builder, image, key, stack, store};

#[test]
fn an_image_is_wished_for_changed_and_forgotten() {
    let town = Town::new();
    assert_eq!(town.ask(&format!("GET {WEB}")).refusal(), "404 there is no image team/web");
    let made = town.send(&format!("PUT {WEB}"), &image("web"));
    assert_eq!(made.status, 201);
    let document = made.json();
    assert_eq!(document["metadata"], json!({ "name": "web", "namespace": "team", "generation": 1 }));
    assert_eq!(document["spec"]["tag"], "registry.example.com/team/web");
    assert_eq!(document["status"]["conditions"][0]["reason"], "BuilderNotFound");
    // What is answered can be sent back.
    let again = town.send(&format!("PUT {WEB}"), &document);
    assert_eq!((again.status, again.json()), (200, document.clone()));
    let mut changed = image("web");
    changed["spec"]["build"] = json!({ "env": [{ "name": "A", "value": "b" }] });
    let changed = town.send(&format!("PUT {WEB}"), &changed);
    assert_eq!((changed.status, changed.json()["metadata"]["generation"].as_u64()), (200, Some(2)));
    assert_eq!(town.ask(&format!("GET {WEB}")).json(), changed.json());
    assert_eq!(town.ask(&format!("DELETE {WEB}")).status, 204);
    assert_eq!(town.ask(&format!("DELETE {WEB}")).refusal(), "404 there is no image team/web");
}

#[test]
fn the_address_says_what_the_manifest_leaves_out_and_nothing_else() {
    let town = Town::new();
    let mut bare = image("web");
    bare["metadata"] = json!({});
    assert_eq!(town.send(&format!("PUT {WEB}"), &bare).status, 201);
    assert_eq!(
        town.send(&format!("PUT {WEB}"), &image("other")).refusal(),
        "422 the manifest is of something else than the address\nmetadata.name: it is `web` in the address"
    );
    assert_eq!(
        town.send("PUT /v1/namespaces/other/images/web", &image("web")).refusal(),
        "422 the manifest is of something else than the address\nmetadata.namespace: it is `other` in the address"
    );
    assert_eq!(
        town.send("PUT /v1/namespaces/team/images/base", &stack()).refusal(),
        "422 the manifest is of something else than the address\nkind: it is an Image at this address"
    );
    assert_eq!(
        town.send("PUT /v1/clusterstores/base", &stack()).refusal(),
        "422 the manifest is of something else than the address\nkind: it is a ClusterStore at this address"
    );
}

#[test]
fn who_read_a_wish_takes_the_place_of_that_one_alone() {
    let town = Town::new();
    let put = |generation: &str| town.send(&format!("PUT {WEB}?generation={generation}"), &image("web"));
    assert_eq!(put("1").refusal(), "409 web was changed by somebody else meanwhile");
    assert_eq!(put("0").status, 201);
    assert_eq!((put("0").status, put("2").status, put("1").status), (409, 409, 200));
    assert_eq!(town.ask(&format!("GET {WEB}")).json()["metadata"]["generation"], 1);
    assert!(put("-1").refusal().starts_with("400 generation: "), "{:?}", put("-1"));
    let stack = |generation: u64| town.send(&format!("PUT /v1/clusterstacks/base?generation={generation}"), &stack());
    assert_eq!((stack(1).status, stack(0).status, stack(0).status), (409, 201, 409));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let town = Town::new();
    town.send(&format!("PUT {WEB}"), &image("web"));
    let mut other = image("web");
    other["spec"]["tag"] = json!("registry.example.com/team/other");
    let refused = town.send(&format!("PUT {WEB}"), &other).refusal();
    assert!(refused.starts_with("409 Image `team/web` cannot become what is wished for\nspec.tag: "), "{refused}");
    let mut wrong = image("web");
    wrong["spec"]["colour\u{1b}"] = json!("red");
    wrong["metadata"]["uid"] = json!("passed over");
    let refused = town.send(&format!("PUT {WEB}"), &wrong).refusal();
    assert!(refused.starts_with("422 Image `team/web` is refused\nspec.colour\\u{1b}: unknown field"), "{refused}");
    let mut two = image("web");
    two["spec"]["source"]["git"] = json!({ "url": "", "revision": "main" });
    two["spec"]["failedBuildHistoryLimit"] = json!(0);
    let refused = town.send(&format!("PUT {WEB}"), &two).refusal();
    assert_eq!(refused.lines().count(), 4, "all of it at once: {refused}");
    assert_eq!(town.records.snapshot().unwrap().images[&key()].image.metadata.generation, 1, "nothing came of these");
}

#[test]
fn images_are_listed_by_what_is_asked_for() {
    let town = Town::new();
    town.settle();
    town.begin();
    for number in 0..5 {
        let mut other = image(&format!("app-{number}"));
        other["metadata"]["namespace"] = json!("other");
        assert_eq!(town.send(&format!("PUT /v1/namespaces/other/images/app-{number}"), &other).status, 201);
    }
    let list = |query: &str| {
        let list = town.ask(&format!("GET /v1/images{query}")).json();
        let names =
            list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>().join(" "), list["total"].as_u64().unwrap())
    };
    let all = "app-0 app-1 app-2 app-3 app-4 web".to_owned();
    assert_eq!(list(""), (all.clone(), 6));
    assert_eq!(list("?limit=2&offset=1"), ("app-1 app-2".to_owned(), 6));
    assert_eq!(list("?offset=9223372036854775807"), (String::new(), 6));
    assert_eq!(list("?namespace=team"), ("web".to_owned(), 1));
    assert_eq!(list("?reason=CONFIG"), ("web".to_owned(), 1));
    assert_eq!(list("?reason=STACK"), (String::new(), 0));
    assert_eq!(list("?ready=Unknown"), (all, 6), "one runs, and the others are due");
    assert_eq!(list("?ready=True&namespace=team"), (String::new(), 0));
    for (query, refused) in [
        ("?limit=0", "400 limit: `0` is not a whole number from 1 to 500"),
        ("?limit=501", "400 limit: `501` is not a whole number from 1 to 500"),
        ("?limit=%2B5", "400 limit: `+5` is not a whole number from 1 to 500"),
        ("?limit=05", "400 limit: `05` is not a whole number from 1 to 500"),
        ("?offset=-1", "400 offset: `-1` is not a whole number from 0 to 9223372036854775807"),
        (
            "?offset=99999999999999999999",
            "400 offset: `99999999999999999999` is not a whole number from 0 to 9223372036854775807",
        ),
        ("?limit=1&limit=2", "400 the query `limit` is there twice"),
        ("?colour=red", "400 the query `colour` is not known here"),
        ("?ready=true", "400 ready: `true` is none of True, False, Unknown"),
        (
            "?reason=%00",
            "400 reason: `\\u{0}` is none of TRIGGER, COMMIT, CONFIG, BUILDPACK, STACK, LIFECYCLE, ROLLBACK",
        ),
    ] {
        assert_eq!(town.ask(&format!("GET /v1/images{query}")).refusal(), refused);
    }
}

#[test]
fn a_hand_on_the_trigger_is_noted() {
    let town = Town::new();
    assert_eq!(town.ask(&format!("POST {WEB}/trigger")).refusal(), "404 there is no image team/web");
    town.settle();
    let noted = town.ask(&format!("POST {WEB}/trigger"));
    assert_eq!(
        (noted.status, noted.json()),
        (202, json!({ "image": { "namespace": "team", "name": "web" }, "triggers": 1 }))
    );
    let record = town.records.image(&key()).unwrap().unwrap();
    assert_eq!((record.image.status.triggers, record.image.status.triggered_at), (1, Some(NOW)));
}

#[test]
fn why_is_explained() {
    let town = Town::new();
    town.settle();
    let due = town.ask(&format!("GET {WEB}/explain")).json();
    assert_eq!((due["verdict"].as_str(), due["start"]["reasons"].as_str()), (Some("start"), Some("CONFIG")));
    town.begin();
    assert_eq!(town.ask(&format!("GET {WEB}/explain")).json()["verdict"], "running");
    town.end(None);
    let held = town.ask(&format!("GET {WEB}/explain")).json();
    assert_eq!((held["verdict"].as_str(), held["comparedWith"].as_u64()), (Some("held"), Some(1)));
    let text = held["text"].as_str().unwrap();
    assert!(text.starts_with("team/web: not built, because the same failed in build 1"), "{text}");
    assert_eq!(held["comparisons"][0]["reason"], "TRIGGER");
    assert_eq!(town.ask("GET /v1/namespaces/team/images/other/explain").refusal(), "404 there is no image team/other");
}

#[test]
fn builds_are_shown_and_stopped() {
    let town = Town::new();
    town.settle();
    assert_eq!(town.ask(&format!("GET {WEB}/builds")).json()["total"], 0);
    assert_eq!(town.ask(&format!("GET {WEB}/builds/1")).refusal(), "404 there is no build 1 of the image team/web");
    town.begin();
    let list = town.ask(&format!("GET {WEB}/builds")).json();
    assert_eq!((list["total"].as_u64(), list["items"][0]["status"].as_str()), (Some(1), Some("BUILDING")));
    let build = town.ask(&format!("GET {WEB}/builds/1")).json();
    assert_eq!((build["reason"].as_str(), build["mode"].as_str()), (Some("CONFIG"), Some("build")));
    assert_eq!(build["outcome"], "running");
    assert_eq!(
        town.ask(&format!("POST {WEB}/builds/2/cancel")).refusal(),
        "404 there is no build 2 of the image team/web"
    );
    assert_eq!(town.records.image(&key()).unwrap().unwrap().run.stop, None);
    assert_eq!(town.ask(&format!("POST {WEB}/builds/1/cancel")).status, 202);
    assert_eq!(town.records.image(&key()).unwrap().unwrap().run.stop, Some(1));
    town.end(None);
    assert_eq!(town.ask(&format!("POST {WEB}/builds/1/cancel")).refusal(), "409 build 1 of the image team/web is over");
    let failed = town.ask(&format!("GET {WEB}/builds/1")).json();
    assert_eq!(
        (failed["status"].as_str(), failed["outcome"]["failed"]["fault"].as_str()),
        (Some("FAILURE"), Some("app"))
    );
    for number in ["0", "-1", "01", "1e1", "99999999999999999999", "%00", "x"] {
        assert_eq!(town.ask(&format!("GET {WEB}/builds/{number}")).status, 400, "{number}");
    }
    assert_eq!(town.ask(&format!("GET {WEB}/builds/9223372036854775807")).status, 404);
}

#[test]
fn what_operators_keep_is_wished_for_listed_and_forgotten() {
    let town = Town::new();
    let package = json!({
        "apiVersion": "stave/v1",
        "kind": "ClusterBuildpack",
        "metadata": { "name": "java" },
        "spec": { "image": "registry.example.com/java:1" },
    });
    for (plural, kind, name, manifest) in [
        ("clusterstacks", "ClusterStack", "base", stack()),
        ("clusterstores", "ClusterStore", "default", store()),
        ("clusterbuildpacks", "ClusterBuildpack", "java", package),
        ("clusterbuilders", "ClusterBuilder", "default", builder()),
    ] {
        let place = format!("/v1/{plural}/{name}");
        assert_eq!(town.ask(&format!("GET {place}")).refusal(), format!("404 there is no {kind} {name}"));
        assert_eq!(town.send(&format!("PUT {place}"), &manifest).status, 201);
        let shown = town.ask(&format!("GET {place}")).json();
        assert_eq!(shown["status"]["conditions"][0], json!({ "type": "Ready", "status": "Unknown" }));
        assert_eq!(town.send(&format!("PUT {place}"), &shown).status, 200, "what is answered can be sent back");
        assert_eq!(town.ask(&format!("GET /v1/{plural}")).json()["items"], json!([shown]));
        assert_eq!(town.ask(&format!("DELETE {place}")).status, 204);
        assert_eq!(town.ask(&format!("DELETE {place}")).refusal(), format!("404 there is no {kind} {name}"));
        let mut wrong = manifest.clone();
        wrong["spec"] = json!([]);
        assert_eq!(town.send(&format!("PUT {place}"), &wrong).status, 422, "fields have names");
    }
    town.settle();
    let shown = town.ask("GET /v1/clusterbuilders/default").json();
    assert_eq!(
        shown["status"]["conditions"],
        json!([{ "type": "Ready", "status": "True" }, { "type": "UpToDate", "status": "True" }])
    );
    assert_eq!(shown["status"]["builderMetadata"][0]["id"], "stave/java");
    assert_eq!(town.ask("GET /v1/clusterstacks/base").json()["status"]["id"], "io.example.base");
    assert_eq!(town.ask("GET /v1/clusterstores/default").json()["status"]["buildpacks"][0]["size"], 7);
}

#[test]
fn a_plan_says_what_will_happen() {
    let town = Town::new();
    town.settle();
    let planned = |body: &Value| town.send("POST /v1/plan", body);
    let plan = planned(&json!([image("new"), image("web")])).json();
    let row = |at: usize| (plan["rows"][at]["image"]["name"].as_str(), plan["rows"][at]["isDueAlready"].as_bool());
    let mut rows = [row(0), row(1)];
    rows.sort_unstable();
    assert_eq!(rows, [(Some("new"), Some(false)), (Some("web"), Some(true))]);
    assert_eq!(town.records.snapshot().unwrap().images.len(), 1, "nothing was changed");
    let mut moving = stack();
    moving["spec"]["runImage"]["image"] = json!("registry.example.com/run:latest");
    assert!(
        planned(&json!([moving]))
            .refusal()
            .starts_with("422 the run image registry.example.com/run:latest of the stack base is a tag")
    );
    assert_eq!(
        planned(&json!([stack(), { "kind": "Pod" }])).refusal().lines().next(),
        Some("422 the manifests are refused")
    );
    assert!(planned(&json!([stack(), 1])).refusal().contains("\n[1].manifest: it is an object"));
    for body in [json!([]), json!({}), json!("x")] {
        assert_eq!(planned(&body).status, 422, "{body}");
    }
}
