//! What every first build fetches, fetched once a machine: the default stack and a Java runtime for both architectures.
//!
//! It is kept in `target/test-cache` and linked into the world of each test that wants it. This is the one place in the
//! tests that uses the network, and the one that sees the machine's own settings: mirrors, certificates, proxies.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use stave_model::target::Platform;

use super::{
    app::spring_webdb,
    jar,
    process::{run, stave, target_folder},
};

/// Links what was fetched into a cache folder and a data folder.
pub(crate) fn link_into(cache: &Path, data: &Path) {
    static WARM: OnceLock<PathBuf> = OnceLock::new();
    let warm = WARM.get_or_init(fetch);
    link(&warm.join("cache"), cache);
    link(&warm.join("data"), data);
}

fn fetch() -> PathBuf {
    let folder = target_folder().join("test-cache");
    fs::create_dir_all(&folder).unwrap();
    // Another run of the tests may be at it. The lock ends with the file.
    let lock = fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let jar = folder.join("app.jar");
    fs::write(&jar, jar::plain()).unwrap();
    // A test that finds the results of an earlier program would test that one.
    forget(&folder, "results");
    forget(&folder, "code");
    let here = Platform::of_this_machine().to_string();
    let builds = [(jar.as_path(), "linux/amd64"), (&jar, "linux/arm64"), (spring_webdb(), &here)];
    for (app, platform) in builds {
        let mut command = Command::new(stave());
        command.args(["build", "--tag", "warm", "--platform", platform]).arg(app);
        command.env("STAVE_CACHE_DIR", folder.join("cache")).env("STAVE_DATA_DIR", folder.join("data"));
        let outcome = run(&mut command);
        assert_eq!(
            outcome.code,
            Some(0),
            "the tests need the network once, to fetch the default stack and a Java runtime. This build failed:\n{}",
            outcome.stderr
        );
    }
    // The code stays: compiling the buildpack takes longer than anything that is tested here.
    forget(&folder, "results");
    folder
}

fn forget(folder: &Path, name: &str) {
    let _ = fs::remove_dir_all(folder.join("cache").join(name));
}

/// Files that nobody may write are linked, the others are copied.
fn link(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (metadata, to) = (entry.metadata().unwrap(), to.join(entry.file_name()));
        if metadata.is_dir() {
            link(&entry.path(), &to);
        } else if metadata.permissions().mode() & 0o222 == 0 {
            fs::hard_link(entry.path(), to).unwrap();
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
