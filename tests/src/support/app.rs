//! The example app: a real Spring Boot app with a database, built by Maven once.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::SystemTime,
};

use super::{
    process::{root, succeeds},
    tools::tool,
};

/// `spring-webdb.jar`. It is built unless it is newer than all it is made of, as `cargo demo` does it.
pub(crate) fn spring_webdb() -> &'static Path {
    static JAR: OnceLock<PathBuf> = OnceLock::new();
    JAR.get_or_init(|| {
        let app = root().join("examples/spring-webdb");
        let jar = app.join("target/spring-webdb.jar");
        let newest = newest(&app.join("src")).max(newest(&app.join("pom.xml")));
        if jar.metadata().and_then(|metadata| metadata.modified()).ok().is_none_or(|built| built < newest) {
            succeeds(tool("mvn").args(["--batch-mode", "--quiet", "-DskipTests", "package"]).current_dir(&app));
        }
        jar
    })
}

fn newest(path: &Path) -> SystemTime {
    let metadata = path.metadata().unwrap();
    let below = path.read_dir().into_iter().flatten().map(|entry| newest(&entry.unwrap().path())).max();
    below.into_iter().fold(metadata.modified().unwrap(), SystemTime::max)
}
