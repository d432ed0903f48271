//! What comes back where the base, the execution environment or the image's bill is another than the layers were made with.

use std::{io, path::PathBuf, sync::atomic::AtomicBool};

use stave_archive::layer::{self, Place};
use stave_model::{image::SBOM_DIR, sbom::Format};

use super::*;
use crate::{
    image::{Descriptor, LAYER},
    port::{
        failure::{Fault, PortError},
        recall::Unkept,
    },
};

/// A base of one layer that does not say what it is.
fn unnamed_base(text: &[u8]) -> Base {
    let diff_id = Digest::of(text);
    let descriptor = Descriptor { media_type: LAYER.to_owned(), digest: diff_id, size: text.len() as u64 };
    let layer = ImageLayer { descriptor, diff_id, content: Arc::new(crate::testing::span(text)), origin: None };
    let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "diff_ids": [diff_id] } });
    let image = Image::new(Platform::linux("amd64"), config.to_string().into_bytes(), vec![layer]);
    Base { image, name: "base".to_owned(), reference: "base".to_owned() }
}

/// What is kept under an image's name may be of another build than the image: it is for another execution environment than this
/// build, then, or the image is lost.
#[test]
fn kept_contents_are_for_one_execution_environment() {
    let yard = Yard::new();
    let first = yard.build(all_kinds);
    let (production, test): (ExecEnv, ExecEnv) = (ExecEnv::default(), "test".parse().unwrap());
    assert_eq!(first.kept.exec_env, production);
    let of_test = Kept { exec_env: test.clone(), ..first.kept.clone() };
    let with = |image: bool, kept: &Kept| {
        let place = Shelf { blobs: Arc::new(yard.memory.clone()), results: Arc::new(yard.memory.clone()) };
        let previous = if image { Previous::of_image(&first.image) } else { Previous::default() };
        previous.with_kept(kept.clone(), place).for_base(&base("12"))
    };
    let (id, list, jre) = ("acme/tool".parse().unwrap(), "list".parse().unwrap(), "jre".parse().unwrap());
    let asked = |previous: Previous| {
        let contents = previous.contents(&id, &list).map(|_| "contents");
        (contents, previous.layer(&id, &jre).map(|_| "metadata"))
    };
    let other = Reason::OtherExecEnv;
    let cases = [
        (true, &first.kept, &production, (Ok("contents"), Ok("metadata"))),
        (true, &first.kept, &test, (Err(other), Err(other))),
        (true, &of_test, &production, (Err(Reason::NoneThere), Ok("metadata"))),
        (true, &of_test, &test, (Err(other), Err(other))),
        (false, &first.kept, &production, (Ok("contents"), Err(Reason::NotInImage))),
        (false, &first.kept, &test, (Err(other), Err(other))),
        (false, &of_test, &production, (Err(other), Err(other))),
        (false, &of_test, &test, (Ok("contents"), Err(Reason::NotInImage))),
        (false, &Kept::default(), &test, (Err(Reason::NoneThere), Err(Reason::NotInImage))),
    ];
    for (number, (image, kept, exec_env, expected)) in cases.into_iter().enumerate() {
        assert_eq!(asked(with(image, kept).within(exec_env)), expected, "case {number}");
    }
}

#[test]
fn of_a_base_that_does_not_say_what_it_is_only_the_same_one_will_do() {
    let mut yard = Yard::new();
    let (base, other) = (unnamed_base(b"12"), unnamed_base(b"13"));
    let first = yard.export_on(&base, all_layers(&yard.shop));
    let on = |base: &Base| Arc::new(yard.previous(&first).for_base(base));
    let lost = |base: &Base| Arc::new(Previous { parts: BTreeMap::new(), ..yard.previous(&first).for_base(base) });
    let previous = [on(&base), lost(&base), on(&other), lost(&other)];
    let said = previous.map(|previous| {
        yard.shop.previous = previous;
        let bench = bench(&yard.shop, Tree::new());
        bench.reuse_layer("list", CACHE).unwrap();
        [("jre", LAUNCH), ("modules", BOTH)].map(|(name, usage)| match bench.reuse_layer(name, usage) {
            Ok(()) => format!("{name} is kept"),
            Err(error) => error.attempt.replace("could not keep the layer ", ""),
        })
    });
    insta::assert_snapshot!(said.concat().join("\n"), @"
    jre is kept
    modules is kept
    `jre` of the previous build as it is: the previous build had no such layer
    modules is kept
    `jre` of the previous build as it is: it was made for another base, and labels do not tell that both are of one distribution
    `modules` of the previous build as it is: it was made for another base, and labels do not tell that both are of one distribution
    `jre` of the previous build as it is: the previous build had no such layer
    `modules` of the previous build as it is: it was made for another base, and labels do not tell that both are of one distribution
    ");
}

/// The bill is to blame, so the layer is made anew: an error would meet every further build.
#[test]
fn a_layer_of_which_nobody_knows_what_is_in_it_is_made_anew() {
    let mut yard = Yard::new();
    let first = yard.export(all_layers(&yard.shop));
    let layers = &first.image.layers;
    let whole = yard.previous(&first);
    let bill = layers[2].clone();
    let text = |text: &str| {
        let folder = format!("{SBOM_DIR}/launch/acme_tool/jre/{}", Format::CycloneDx.file_name());
        let tree = crate::testing::tree(&[(folder.trim_start_matches('/'), text)]);
        let mut bytes = Vec::new();
        let stop = AtomicBool::new(false);
        let written = layer::write(&tree, &Place::root(), Packing::GZIP, &stop, &mut bytes).unwrap();
        ImageLayer { diff_id: written.diff_id, content: Arc::new(crate::testing::span(&bytes)), ..bill.clone() }
    };
    let damaged = ImageLayer { content: Arc::new(crate::testing::span(b"damaged")), ..bill.clone() };
    let other = ImageLayer { diff_id: layers[0].diff_id, ..bill.clone() };
    let with = |layer: ImageLayer| Arc::new(Previous { bill: Bill::of(layer), ..whole.clone() });
    let bills = [with(damaged), with(other), with(text("{}}")), with(text("{\"components\":[{\"name\":null}]}"))];
    let said = bills.map(|previous| {
        yard.shop.previous = previous;
        let bench = bench(&yard.shop, Tree::new());
        // What is kept has it written beside it.
        bench.reuse_layer("modules", BOTH).unwrap();
        let error = bench.reuse_layer("jre", LAUNCH).unwrap_err();
        bench.create_layer("jre", LAUNCH).unwrap();
        assert_eq!(bench.journal(), Err(Unkept::Failure), "another image may have another bill");
        let cause = std::error::Error::source(&error).unwrap();
        assert!(error.hint.is_some());
        format!("{:?}: {error}\n  {cause}", error.fault)
    });
    insta::assert_snapshot!(said.join("\n"), @"
    NotFound: could not keep the layer `jre` of the previous build as it is: the previous image's bill of materials, which says what is in it, cannot be read
      layer archive is refused: it ends before its end is marked
    NotFound: could not keep the layer `jre` of the previous build as it is: the previous image's bill of materials, which says what is in it, cannot be read
      the layer with the bill of materials is not the one that the image names
    NotFound: could not keep the layer `jre` of the previous build as it is: the previous image's bill of materials, which says what is in it, cannot be read
      the bill of materials of the layer cannot be understood
    NotFound: could not keep the layer `jre` of the previous build as it is: the previous image's bill of materials, which says what is in it, cannot be read
      the bill of materials of the layer cannot be understood
    ");

    // Somebody who asks to stop and a disk without room are another matter.
    let asked = |previous: Arc<Previous>, scratch: PathBuf| {
        let shop = Shop { scratch, previous, ..yard.shop.clone() };
        bench(&shop, Tree::new()).reuse_layer("jre", LAUNCH).unwrap_err().fault
    };
    let stopped = ImageLayer { content: Arc::new(Stopped), ..bill.clone() };
    assert_eq!(asked(with(stopped), std::env::temp_dir()), Fault::Cancelled);
    assert_eq!(asked(Arc::new(whole.clone()), "/none/of/this".into()), Fault::Io);
}

/// Bytes that were being fetched when somebody asked to stop.
#[derive(Debug)]
struct Stopped;

impl Content for Stopped {
    fn size(&self) -> u64 {
        1
    }

    fn open(&self) -> io::Result<Box<dyn io::Read + Send + '_>> {
        Err(io::Error::other(PortError::cancelled()))
    }
}
