//! The real thing: this machine's apt sources, a real distribution. `cargo test -p stave-distro -- --ignored` runs it.

#![allow(clippy::unwrap_used, clippy::panic_in_result_fn, clippy::print_stdout, missing_docs, reason = "a test")]

mod support;

use std::{fs, io::Write as _, path::PathBuf, time::SystemTime};

use stave_distro::{
    compose::{compose, compose_locked},
    definition::Definition,
    fetch::Ports,
    settings::Settings,
};
use stave_lifecycle::port::{
    cancel::Cancel,
    observer::{Event, Observer},
};
use stave_transport::client::{Client, Options};
use support::Kept;

struct Lines;

impl Observer for Lines {
    fn observe(&self, event: Event) {
        if !matches!(event, Event::Progress { .. }) {
            println!("{event:?}");
        }
    }
}

#[test]
#[ignore = "needs the network"]
fn the_examples_are_composed_twice_alike() {
    let out = std::env::var_os("STAVE_TEST_OUT").map(PathBuf::from);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let scratch = tempfile::tempdir().unwrap();
    let settings = Settings::new(scratch.path().to_owned(), now);
    for name in ["jvm-tiny", "jvm-full"] {
        let path = format!("{}/../../examples/stacks/{name}/stack.toml", env!("CARGO_MANIFEST_DIR"));
        let definition = Definition::parse(&fs::read_to_string(path).unwrap()).unwrap();
        let (client, blobs, cancel) = (Client::new(Options::default()), Kept::default(), Cancel::new());
        let ports = Ports { client: &client, blobs: &blobs, observer: &Lines, cancel: &cancel };
        let began = std::time::Instant::now();
        let stack = compose(&definition, &settings, ports).unwrap();
        println!("{name}: {:?}", began.elapsed());
        for composed in &stack.images {
            for installed in &composed.packages {
                println!("{} {} {:?}", installed.package.package, installed.package.version, installed.why);
            }
            println!("{:?} {}", composed.image.platform, composed.image.digest());
            println!("{}", String::from_utf8_lossy(&composed.image.config));
            for (number, layer) in composed.image.layers.iter().enumerate() {
                println!("  {} {} bytes", layer.descriptor.digest, layer.descriptor.size);
                if let Some(out) = &out {
                    let path = out.join(format!("{name}-{}-{number}.tar.gz", composed.image.platform.arch));
                    let bytes = layer.content.bytes(1 << 30).unwrap();
                    fs::File::create(path).unwrap().write_all(&bytes).unwrap();
                }
            }
        }
        let began = std::time::Instant::now();
        let again = compose_locked(&definition, &stack.lock, &settings, ports).unwrap();
        println!("{name} again: {:?}", began.elapsed());
        let digests =
            |stack: &stave_distro::compose::Stack| stack.images.iter().map(|c| c.image.digest()).collect::<Vec<_>>();
        assert_eq!(digests(&stack), digests(&again));
    }
}
