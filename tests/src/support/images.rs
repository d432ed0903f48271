//! Images as tests look at them. Every image that a test gets hold of goes through [`checked`].

use std::path::Path;

use serde_json::{Value, json};
use stave_lifecycle::{
    image::Image,
    port::{cancel::Cancel, observer::Silent, sink::Sink as _},
};
use stave_model::target::Platform;
use stave_oci::{
    layout::{Layout, LayoutFolder, Place},
    testing,
    validate::validate,
};

use super::env::TestEnv;

/// The image of an OCI layout, after everything that it promises was checked by reading it.
#[track_caller]
pub(crate) fn checked(layout: &Path, platform: &Platform) -> Image {
    let place = Place { folder: layout.to_owned(), name: None };
    let image = Layout::open(place).and_then(|layout| layout.image(platform)).unwrap();
    if let Err(problems) = validate(&image) {
        panic!("the image in {} is not sound: {problems:#?}", layout.display());
    }
    image
}

/// The image of this machine's platform.
#[track_caller]
pub(crate) fn checked_here(layout: &Path) -> Image {
    checked(layout, &Platform::of_this_machine())
}

/// An image's configuration.
pub(crate) fn config(image: &Image) -> Value {
    serde_json::from_slice(&image.config).unwrap()
}

/// Writes a base image of one small file as the layout `base` in the test's folder: for tests that need some base, and
/// neither a distribution nor a runtime.
pub(crate) fn small_base(env: &TestEnv) -> String {
    named_base(env, "base", None)
}

/// The same as a layout called `folder`; as `name` in it, with a file that says so.
pub(crate) fn named_base(env: &TestEnv, folder: &str, name: Option<&str>) -> String {
    let arch = Platform::of_this_machine().arch;
    let mut layers = vec![testing::layer(&[("etc/os-release", "ID=none\n")])];
    layers.extend(name.map(|name| testing::layer(&[("etc/version", name)])));
    let place = Place { folder: env.work().join(folder), name: name.map(str::to_owned) };
    LayoutFolder::new(place).put(&testing::image(&arch, layers), &Silent, &Cancel::new()).unwrap();
    name.map_or_else(|| format!("oci:{folder}"), |name| format!("oci:{folder}:{name}"))
}

/// The same for some platforms of Linux, each with the variant that it names.
pub(crate) fn small_base_for(env: &TestEnv, platforms: &[Platform]) -> String {
    for platform in platforms {
        let plain = testing::image(&platform.arch, vec![testing::layer(&[("etc/os-release", "ID=none\n")])]);
        let mut described = config(&plain);
        if let Some(variant) = &platform.variant {
            described["variant"] = json!(variant);
        }
        let base = Image::new(platform.clone(), described.to_string().into_bytes(), plain.layers);
        let sink = LayoutFolder::new(Place { folder: env.work().join("base"), name: None });
        sink.put(&base, &Silent, &Cancel::new()).unwrap();
    }
    "oci:base".to_owned()
}
