//! What a new buildpack is made of: the files in `host/cli/template/`, with its names put in, and the SDK beside them.

use stave_model::id::BuildpackId;

/// A file of a new folder.
pub(crate) struct File {
    /// Where it stands.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
    /// Whether it is a program.
    pub(crate) executable: bool,
}

/// The SDK's source and the contract, by path.
const SDK: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/stave-sdk.rs"));

macro_rules! files {
    ($(($path:literal, $source:literal)),* $(,)?) => {
        [$(($path, include_str!(concat!("../template/rust/", $source)))),*]
    };
}

/// A buildpack in Rust. Files that another program would take for its own have another name here.
const RUST: [(&str, &str); 10] = files![
    (".gitignore", "gitignore.in"),
    ("Cargo.toml", "Cargo.toml.in"),
    ("README.md", "README.md.in"),
    ("buildpack.toml", "buildpack.toml.in"),
    ("fixtures/nothing-to-start/app/readme.txt", "fixtures/nothing-to-start/app/readme.txt"),
    ("fixtures/nothing-to-start/expected.toml", "fixtures/nothing-to-start/expected.toml"),
    ("fixtures/starts/app/start", "fixtures/starts/app/start"),
    ("fixtures/starts/expected.toml", "fixtures/starts/expected.toml"),
    ("fixtures/starts/fixture.toml", "fixtures/starts/fixture.toml"),
    ("src/lib.rs", "src/lib.rs.in"),
];

/// The files of a new buildpack in Rust.
pub(crate) fn rust(id: &BuildpackId) -> Vec<File> {
    let last = id.as_str().rsplit('/').next().unwrap_or_default();
    // What crates may be called: no dots. With the word before it, it is no keyword and begins with no digit.
    let name = last.replace('.', "-");
    let words = [("{{id}}", id.as_str()), ("{{name}}", &name), ("{{file}}", last), ("{{contract}}", contract())];
    let filled = |text: &str| {
        let text = text.replace("{{version}}", env!("CARGO_PKG_VERSION"));
        words.iter().fold(text, |text, (word, value)| text.replace(word, value))
    };
    let own = RUST.iter().map(|(path, text)| File {
        path: (*path).to_owned(),
        text: filled(text),
        executable: text.starts_with("#!"),
    });
    let sdk = SDK.iter().map(|(path, text)| File {
        path: format!("stave-sdk/{path}"),
        text: (*text).to_owned(),
        executable: false,
    });
    own.chain(sdk).collect()
}

/// The contract that the SDK is written for, by the folder that it brings along: the newest, if there are several.
fn contract() -> &'static str {
    let mut versions = SDK.iter().filter_map(|(path, _)| path.strip_prefix("wit/v")?.split('/').next());
    versions.next_back().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use stave_model::manifest::Manifest;

    use super::*;

    #[test]
    fn every_id_makes_a_crate_with_a_sound_manifest() {
        for (id, name) in [
            ("acme/motd", "buildpack-motd"),
            ("self", "buildpack-self"),
            ("io.acme/3.14", "buildpack-3-14"),
            ("A/B/C-D", "buildpack-C-D"),
        ] {
            let files = rust(&id.parse().unwrap());
            let text = |path: &str| &files.iter().find(|file| file.path == path).unwrap().text;
            let cargo: toml::Table = text("Cargo.toml").parse().unwrap();
            assert_eq!(cargo["package"]["name"].as_str(), Some(name));
            assert_eq!(Manifest::parse(text("buildpack.toml")).unwrap().buildpack.id.as_str(), id);
            let own = files.iter().filter(|file| !file.path.starts_with("stave-sdk/"));
            assert!(own.into_iter().all(|file| !file.text.contains("{{")), "a word is left");
        }
    }

    #[test]
    fn the_sdk_stands_alone() {
        let text = |path: &str| SDK.iter().find(|(name, _)| *name == path).unwrap().1;
        let cargo: toml::Table = text("Cargo.toml").parse().unwrap();
        assert_eq!(cargo["package"]["name"].as_str(), Some("stave-sdk"));
        assert!(cargo["dependencies"]["wit-bindgen"]["version"].is_str());
        assert!(!text("Cargo.toml").contains("workspace"));
        assert!(text("src/bindings.rs").contains("path: \"wit/v0.1\""));
        assert!(text("wit/v0.1/app.wit").contains("interface app"));
        let bytes: usize = SDK.iter().map(|(_, text)| text.len()).sum();
        assert!(bytes < 512 * 1024, "it is carried by everybody: {bytes} bytes");
    }
}
