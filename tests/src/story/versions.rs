//! The variants of the story that need another version of a buildpack or of the lifecycle.

use std::fs;

use stave_model::component::embed;
use stave_platform::{port::records::ImageRecord, resource::build::Outcome};

use crate::support::{
    guests, jar,
    platform::{BUILD, World, steps},
    process::root,
};

const IMAGE: &str = "spring-webdb";

/// Changes what is remembered of the image, as another program or another time would have left it.
pub(super) fn amend(world: &World, change: impl FnMut(&mut ImageRecord)) {
    world.amend(IMAGE, change);
}

fn built() -> World {
    let world = World::small();
    world.env.write("app.jar", jar::boot());
    world.create("app.jar");
    world
}

#[test]
fn v03_another_version_of_a_buildpack_that_took_part_is_a_build() {
    let world = built();
    let manifest = fs::read_to_string(root().join("buildpacks/java/buildpack.toml")).unwrap();
    let newer = manifest.replacen("version = \"0.1.0\"", "version = \"99.0.0\"", 1);
    assert_ne!(newer, manifest);
    world.env.write("newer.wasm", embed(&guests::bare("java"), &newer).unwrap());
    world.run("buildpack publish newer.wasm REG/buildpacks/java:99.0.0").succeeds();
    world.typed("clusterstore create newer -b REG/buildpacks/java:99.0.0");
    world.typed("clusterbuilder create newer --tag REG/ops/newer --stack default --store newer --order order.yaml");
    world.typed(&format!("image patch {IMAGE} --cluster-builder newer"));
    assert_eq!(world.rows(IMAGE), ["1 SUCCESS CONFIG", "2 SUCCESS BUILDPACK+"]);
    let log = world.log(IMAGE, 2);
    assert!(log.contains("Build reason(s): BUILDPACK,STACK"), "{log}");
    assert_eq!(steps(&log), BUILD);
    assert_eq!(world.record(IMAGE, 2)["outcome"]["succeeded"]["buildpacks"][0]["version"], "99.0.0");
}

/// The lifecycle is this program, so an older one's work is told by its record.
#[test]
fn v04_another_version_of_the_lifecycle_is_a_build() {
    let world = built();
    amend(&world, |record| {
        let Outcome::Succeeded(made) = &mut record.builds[0].outcome else { panic!("{:?}", record.builds) };
        made.lifecycle = "0.0.1".to_owned();
        record.builds[0].inputs.revision.lifecycle = "0.0.1".to_owned();
    });
    world.typed(&format!("image patch {IMAGE} --cluster-builder default"));
    assert_eq!(world.rows(IMAGE), ["1 SUCCESS CONFIG", "2 SUCCESS STACK+"]);
    let log = world.log(IMAGE, 2);
    assert!(log.contains("Build reason(s): STACK,LIFECYCLE"), "{log}");
    assert_eq!(steps(&log), BUILD);
}
