//! Buildpacks that misbehave, or try something out, from `tests/guests`, and builders that name them.

use std::{fs, path::PathBuf, process::Command, sync::OnceLock};

use stave_model::component::embed;

use super::{
    env::TestEnv,
    images::small_base,
    process::{cargo, root, succeeds, target_folder},
};

/// A guest, or a buildpack of this repository, without its manifest.
///
/// Guests are built once a run, in the target folder of everything that is for other targets than the program: it neither
/// waits for the outer cargo nor throws its work away.
pub(crate) fn bare(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let folder = target_folder().join("embedded");
        let mut cargo: Command = cargo();
        cargo.args(["build", "--quiet", "--target", "wasm32-wasip2", "--profile", "embedded"]);
        succeeds(
            cargo
                .args([
                    "-p",
                    "stave-bound",
                    "-p",
                    "stave-bringer",
                    "-p",
                    "stave-choosy",
                    "-p",
                    "stave-hostile",
                    "-p",
                    "stave-keeper",
                ])
                .args(["-p", "stave-planter", "-p", "stave-sockets", "-p", "stave-minimal-buildpack"])
                .args(["-p", "stave-ca-certificates", "-p", "stave-environment-variables", "-p", "stave-image-labels"])
                .args(["-p", "stave-java", "-p", "stave-procfile"])
                .arg("--target-dir")
                .arg(&folder),
        );
        folder.join("wasm32-wasip2/embedded")
    });
    fs::read(folder.join(format!("stave_{name}.wasm"))).unwrap()
}

/// A guest's manifest.
pub(crate) fn manifest(name: &str) -> String {
    fs::read_to_string(root().join("tests/guests").join(name).join("buildpack.toml")).unwrap()
}

/// A guest with its manifest inside.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    embed(&bare(name), &manifest(name)).unwrap()
}

/// Writes a builder of one buildpack, a small base, and an app of one file. Answers the arguments that build the app.
pub(crate) fn builder(env: &TestEnv, component: &[u8]) -> [&'static str; 4] {
    small_base(env);
    env.write("buildpack.wasm", component);
    env.write("app/readme.txt", "an app");
    env.write("builder.toml", "stack = { path = \"base\" }\n[[buildpacks]]\npath = \"buildpack.wasm\"\n");
    ["build", "app", "--builder", "builder.toml"]
}
