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
    ($language:literal: $(($path:literal, $source:literal)),* $(,)?) => {
        [$(($path, include_str!(concat!("../template/", $language, "/", $source)))),*]
    };
}

/// What every new buildpack is tested on: all of them do the same. Files that another program would take for its own have
/// another name here.
const FIXTURES: [(&str, &str); 5] = files!["fixtures":
    ("fixtures/nothing-to-start/app/readme.txt", "nothing-to-start/app/readme.txt"),
    ("fixtures/nothing-to-start/expected.toml", "nothing-to-start/expected.toml"),
    ("fixtures/starts/app/start", "starts/app/start"),
    ("fixtures/starts/expected.toml", "starts/expected.toml"),
    ("fixtures/starts/fixture.toml", "starts/fixture.toml"),
];
/// A buildpack in Rust.
const RUST: [(&str, &str); 5] = files!["rust":
    (".gitignore", "gitignore.in"),
    ("Cargo.toml", "Cargo.toml.in"),
    ("README.md", "README.md.in"),
    ("buildpack.toml", "buildpack.toml.in"),
    ("src/lib.rs", "src/lib.rs.in"),
];
/// A buildpack in JavaScript.
const JAVASCRIPT: [(&str, &str); 8] = files!["javascript":
    (".gitignore", "gitignore.in"),
    (".npmrc", "npmrc.in"),
    ("README.md", "README.md.in"),
    ("buildpack.js", "buildpack.js.in"),
    ("buildpack.toml", "buildpack.toml.in"),
    ("package-lock.json", "package-lock.json.in"),
    ("package.json", "package.json.in"),
    ("wit/world.wit", "wit/world.wit.in"),
];

/// The files of a new buildpack in Rust, with the SDK.
pub(crate) fn rust(id: &BuildpackId) -> Vec<File> {
    let sdk = SDK.iter().map(|(path, text)| plain(format!("stave-sdk/{path}"), text));
    filled(id, &RUST).chain(sdk).collect()
}

/// The files of a new buildpack in JavaScript, with the contract.
pub(crate) fn javascript(id: &BuildpackId) -> Vec<File> {
    let folder = format!("wit/v{}/", contract());
    let texts = SDK.iter().filter_map(|(path, text)| Some((path.strip_prefix(&folder)?, *text)));
    let contract = texts.map(|(name, text)| plain(format!("wit/deps/buildpack/{name}"), text));
    filled(id, &JAVASCRIPT).chain(contract).collect()
}

fn plain(path: String, text: &str) -> File {
    File { path, text: text.to_owned(), executable: false }
}

/// A template's files and the fixtures, with the buildpack's names in them.
fn filled(id: &BuildpackId, template: &'static [(&str, &str)]) -> impl Iterator<Item = File> {
    let last = id.as_str().rsplit('/').next().unwrap_or_default();
    // What crates may be called: no dots. With the word before it, it is no keyword and begins with no digit.
    let name = last.replace('.', "-");
    // What npm and WIT take too, which know no upper case.
    let small = name.to_ascii_lowercase();
    let words = [
        ("{{id}}", id.as_str()),
        ("{{name}}", &name),
        ("{{crate}}", &small),
        ("{{file}}", last),
        ("{{contract}}", contract()),
        ("{{version}}", env!("CARGO_PKG_VERSION")),
    ];
    let words = words.map(|(word, value)| (word, value.to_owned()));
    template.iter().chain(&FIXTURES).map(move |(path, text)| File {
        path: (*path).to_owned(),
        text: words.iter().fold((*text).to_owned(), |text, (word, value)| text.replace(word, value)),
        executable: text.starts_with("#!"),
    })
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
    fn every_id_makes_a_folder_with_a_sound_manifest() {
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
            let script = javascript(&id.parse().unwrap());
            let own = files.iter().chain(&script).filter(|file| !file.path.starts_with("stave-sdk/"));
            assert!(own.into_iter().all(|file| !file.text.contains("{{")), "a word is left");
            let text = |path: &str| &script.iter().find(|file| file.path == path).unwrap().text;
            let package: serde_json::Value = serde_json::from_str(text("package.json")).unwrap();
            assert_eq!(package["name"].as_str(), Some(name.to_lowercase().as_str()));
            assert_eq!(Manifest::parse(text("buildpack.toml")).unwrap().buildpack.id.as_str(), id);
            assert!(text("wit/deps/buildpack/app.wit").contains("interface app"));
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
