//! A wish for an image, which is built by the command that says it.

use super::Trial;
use crate::support::platform::{BUILD, World, steps};

#[test]
fn a_wish_for_an_image() {
    let world = World::quick();
    let tag = world.registry.reference("team/NAME");
    let line = format!("image create NAME -c demo-cluster-builder --tag {tag} --local-path app");
    let trial = Trial {
        again: Some(&|name| {
            let again = world
                .run(&format!("image create {name} -c demo-cluster-builder --tag REG/team/{name} --local-path app"));
            // Once it is wished for, whoever comes next goes on with it.
            let is_there = again.code != Some(0);
            assert!(!is_there || again.failure().contains("already exists"), "{again:?}");
            if is_there { world.run("clusterstack refresh") } else { again }
        }),
        after: &|name, _| {
            assert_eq!(world.rows(name), ["1 SUCCESS CONFIG"]);
            let tags = world.registry.tags(&format!("team/{name}"));
            let numbered = tags.iter().filter(|tag| tag.starts_with("b1.")).count();
            assert_eq!((tags.len(), numbered), (2, 1), "{tags:?}");
            let made = world.made(name, 1);
            assert!(made.ends_with(&world.digest(&world.named(&format!("REG/team/{name}")))), "{made}");
            let log = world.log(name, 1);
            assert!(steps(&log).ends_with(&BUILD), "{log}");
        },
        ..Trial::new(&world.env, &line, &["Send PUT /v2/team/", "Write data/", "Say "])
    };
    trial.kill_at_every_step();
}
