//! What is not made again, and that the same is the same everywhere.

use super::*;

#[test]
fn nothing_is_written_twice() {
    let yard = Yard::new();
    let first = yard.export(&simple()).unwrap();
    let made = yard.made();
    let names: Vec<&str> = made.keys().map(String::as_str).collect();
    let all = ["acme/tool:cds", "acme/tool:jre", "app", "launcher", "launcher config", "process types"];
    assert_eq!(names, all);
    assert!(made.values().all(|how| *how == Made::Written));
    let (written, results) = (yard.memory.written(), yard.memory.results());
    let second = yard.export(&simple()).unwrap();
    assert!(yard.made().values().all(|how| *how == Made::Kept));
    assert_eq!((yard.memory.written(), yard.memory.results()), (written, results));
    assert_eq!(first.digest(), second.digest());
    // One file changed: its layer is written, and no other.
    yard.export(&built(tree(&[("app.jar", "new")]))).unwrap();
    let made = yard.made();
    assert_eq!(
        made.iter().filter(|(_, how)| **how == Made::Written).map(|(w, _)| w.as_str()).collect::<Vec<_>>(),
        ["app"]
    );
}

#[test]
fn a_changed_environment_is_another_layer() {
    let yard = Yard::new();
    yard.export(&simple()).unwrap();
    yard.made();
    let mut other = simple();
    let jre = other.parts[0].layers.iter_mut().find(|layer| layer.name.as_str() == "jre").unwrap();
    jre.env = vec![change("JAVA_TOOL_OPTIONS", "-Xss2m")];
    yard.export(&other).unwrap();
    let made = yard.made();
    assert_eq!((made["acme/tool:jre"], made["acme/tool:cds"]), (Made::Written, Made::Kept));
}

#[test]
fn a_lost_blob_is_written_again() {
    let yard = Yard::new();
    let first = yard.export(&simple()).unwrap();
    yard.made();
    yard.memory.lose(&first.layers[1].descriptor.digest);
    let second = yard.export(&simple()).unwrap();
    assert_eq!(first.digest(), second.digest());
    let made = yard.made();
    assert_eq!(made["acme/tool:cds"], Made::Written);
    assert_eq!(made.values().filter(|how| **how == Made::Written).count(), 1);
}

#[test]
fn a_damaged_blob_is_written_again() {
    for damage in [Memory::damage, Memory::cut] {
        let yard = Yard::new();
        let first = yard.export(&simple()).unwrap();
        yard.made();
        damage(&yard.memory, &first.layers[1].descriptor.digest);
        let second = yard.export(&simple()).unwrap();
        assert_eq!(first.digest(), second.digest());
        assert_eq!(second.layers[1].content.digest().unwrap(), first.layers[1].descriptor.digest);
        let made = yard.made();
        assert_eq!(made["acme/tool:cds"], Made::Written);
        assert_eq!(made.values().filter(|how| **how == Made::Written).count(), 1);
        yard.export(&simple()).unwrap();
        assert!(yard.made().values().all(|how| *how == Made::Kept));
    }
}

#[test]
fn a_dependency_s_layer_serves_every_app() {
    let yard = Yard::new();
    let one = yard.export(&built(tree(&[("one.jar", "1")]))).unwrap();
    let written = yard.memory.written();
    yard.made();
    let two = yard.export(&built(tree(&[("two.jar", "22")]))).unwrap();
    let made = yard.made();
    let new: Vec<&str> = made.iter().filter(|(_, how)| **how == Made::Written).map(|(what, _)| what.as_str()).collect();
    assert_eq!(new, ["app"], "neither the runtime nor anything else is made for the second app");
    let app = two.layers.iter().find(|layer| !one.layers.iter().any(|l| l.diff_id == layer.diff_id)).unwrap();
    assert_eq!(yard.memory.written() - written, app.descriptor.size);
}

#[test]
fn another_compression_is_another_blob_of_the_same_layer() {
    let mut yard = Yard::new();
    let gzip = yard.export(&simple()).unwrap();
    yard.packing = Packing::ZSTD;
    yard.made();
    let zstd = yard.export(&simple()).unwrap();
    assert!(yard.made().values().all(|how| *how == Made::Written));
    assert_eq!(gzip.config, zstd.config, "what is in the layers is the same");
    for layer in &zstd.layers[1..] {
        assert_eq!(layer.descriptor.media_type, LAYER_ZSTD);
        assert_eq!(layer.content.digest().unwrap(), layer.descriptor.digest);
    }
    yard.packing = Packing::GZIP;
    assert_eq!(yard.export(&simple()).unwrap().digest(), gzip.digest());
    assert!(yard.made().values().all(|how| *how == Made::Kept));
}

#[test]
fn a_result_that_is_nonsense_is_a_miss() {
    let yard = Yard::new();
    let first = yard.export(&simple()).unwrap();
    yard.memory.garble();
    yard.made();
    assert_eq!(yard.export(&simple()).unwrap().digest(), first.digest());
    assert!(yard.made().values().all(|how| *how == Made::Written));
}

#[test]
fn the_same_app_elsewhere_is_the_same_image() {
    use std::{
        fs,
        os::unix::fs::PermissionsExt,
        time::{Duration, SystemTime},
    };

    let files = [("app.jar", "jar"), ("lib/a.jar", "a"), ("bin/run", "#!sh")];
    let image = |mode: u32, program: u32, age: u64, order: &[(&str, &str)]| {
        let (_root, path) = folder(order);
        for (name, _) in order {
            let mode = if *name == "bin/run" { program } else { mode };
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode)).unwrap();
            let file = fs::File::options().append(true).open(path.join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        let app =
            crate::app::open(&path, &crate::app::selection::Selection::default(), &Limits::default().archive, None)
                .unwrap();
        Yard::new().export(&built(app.tree)).unwrap().digest()
    };
    let one = image(0o644, 0o755, 0, &files);
    let reversed: Vec<_> = files.iter().rev().copied().collect();
    assert_eq!(one, image(0o600, 0o700, 1_000_000, &reversed));
    assert_ne!(one, image(0o644, 0o644, 0, &files), "whether a program can be run is not the umask's matter");
}
