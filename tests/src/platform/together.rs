//! Two who change the same at once: nothing of what one of them changed is lost in silence.

use serde_json::Value;
use stave_platform::{
    port::{Applied, Records as _},
    resource::{image::Variable, manifest::Resource},
};
use stave_store::records::DiskRecords;

use crate::support::{platform::World, process::Running};

/// Starts a command that has read what it changes, and waits for a registry that answers nobody, once it has said `line`.
fn held_up(world: &World, command: &str, line: &str) -> Running {
    world.registry.hold();
    let words = world.words(command);
    let mut running = Running::start(&mut world.env.stave(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    running.wait_for(line);
    running
}

/// Takes another wish down, as another program does that needs no registry.
fn applied(records: &DiskRecords, wish: &Resource) {
    assert_eq!(records.apply(wish).unwrap(), Applied::Changed);
}

#[test]
fn an_image_that_somebody_else_changed_meanwhile_is_changed_by_both() {
    let world = World::quick();
    world.typed("image create web --tag REG/team/web --local-path app");
    let source = || world.document("image status web")["spec"]["source"].clone();
    let before = source();
    world.env.write("other/Procfile", "web: /bin/other\n");

    let patch = held_up(&world, "image patch web --local-path other", "Patching Image Resource...");
    let records = DiskRecords::open(&world.data()).unwrap();
    let mut image = records.snapshot().unwrap().images.into_values().next().unwrap().image;
    image.spec.build.env.push(Variable { name: "GREETING".to_owned(), value: "hello".to_owned() });
    applied(&records, &Resource::Image(Box::new(image)));
    world.registry.go_on();

    let said = patch.end().succeeds().stderr;
    assert_eq!(said.matches("it was changed meanwhile: changing what it is now").count(), 1, "{said}");
    assert_ne!(source(), before);
    let env: Value = world.document("image status web")["spec"]["build"]["env"].clone();
    assert_eq!(env, serde_json::json!([{ "name": "GREETING", "value": "hello" }]));
    assert_eq!(world.rows("web"), ["1 SUCCESS CONFIG", "2 SUCCESS CONFIG"]);
}

#[test]
fn a_stack_that_somebody_else_changed_meanwhile_stays_as_they_left_it() {
    let world = World::quick();
    // What a tag leads to has to be asked for.
    let patch = "clusterstack patch default --run-image REG/stack/run:stave.small-old";
    let patch = held_up(&world, patch, "Updating ClusterStack...");
    let records = DiskRecords::open(&world.data()).unwrap();
    let named = |name: &str| records.snapshot().unwrap().stacks.remove(&name.parse().unwrap()).unwrap().stack;
    let mut stack = named("default");
    stack.spec.id = "another".to_owned();
    applied(&records, &Resource::Stack(Box::new(stack)));
    world.registry.go_on();

    insta::assert_snapshot!(patch.end().ends_with(1).failure(), @r"
    error: the stack default was changed by somebody else meanwhile
    hint: nothing was changed by this command: look at what it is now, and type it again
    ");
    assert_eq!(named("default").spec.id, "another");
}
