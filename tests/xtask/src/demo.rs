//! The main job, from nothing: a Spring Boot jar becomes an image that runs and answers from its database.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Instant, SystemTime},
};

use anyhow::{Context, Result};

use crate::{
    container::Container,
    setup,
    shell::{self, cargo, output, root, step, target_folder},
};

const IMAGE: &str = "spring-webdb";

pub(crate) fn run() -> Result<()> {
    let started = Instant::now();
    step("set up: compiler targets, Java, pip, a container runtime", || {
        setup::toolchain()?;
        setup::packages(&[setup::JAVA.as_slice(), setup::CONTAINERS.as_slice(), setup::PIP.as_slice()].concat())
    })?;
    let stave = step("build stave (the first time this compiles a WebAssembly engine: minutes)", build_stave)?;
    let jar = step("build the example app with Maven", example_jar)?;
    let layout = target_folder().join("demo/spring-webdb");
    step("stave build: from the jar to an image", || {
        let to = format!("oci:{}", layout.display());
        shell::run(Command::new(&stave).arg("build").arg(&jar).args(["-t", IMAGE, "--to", "store", "--to", &to]))
    })?;
    step("run the image and ask it", || {
        let container = Container::start(&layout)?;
        println!("    GET /       {}", container.get("/")?.trim());
        println!("    GET /casks  {}", container.get("/casks")?.trim());
        Ok(())
    })?;
    let about = output(Command::new(&stave).args(["inspect", IMAGE]))?;
    println!("{about}");
    println!(
        "\nAll done in {:.0} s. Try it on an app of yours: {} build PATH",
        started.elapsed().as_secs_f64(),
        stave.display()
    );
    Ok(())
}

/// Builds the program as the tests use it: dependencies optimised, ours quick to compile.
pub(crate) fn build_stave() -> Result<PathBuf> {
    shell::run(cargo().args(["build", "--locked", "--package", "stave-cli"]))?;
    Ok(target_folder().join("debug/stave"))
}

/// Builds the jar unless that was done since anything it is made of was changed. The jar's own time says nothing: it is the
/// same in every build, so that the jar is.
pub(crate) fn example_jar() -> Result<PathBuf> {
    let app = root().join("examples/spring-webdb");
    let (jar, stamp) = (app.join("target/spring-webdb.jar"), app.join("target/built-by-xtask"));
    let built = stamp.metadata().and_then(|metadata| metadata.modified()).ok();
    let newest = newest(&app.join("src"))?.max(newest(&app.join("pom.xml"))?);
    if !jar.exists() || built.is_none_or(|built| built < newest) {
        run_maven(&app)?;
        fs::write(&stamp, "")?;
    }
    Ok(jar)
}

fn run_maven(app: &Path) -> Result<()> {
    shell::run(Command::new("mvn").args(["--batch-mode", "--quiet", "-DskipTests", "package"]).current_dir(app))
}

/// When the newest file at or below `path` was changed.
fn newest(path: &Path) -> Result<SystemTime> {
    let metadata = path.metadata().with_context(|| format!("look at {}", path.display()))?;
    let mut newest = metadata.modified()?;
    if metadata.is_dir() {
        for entry in path.read_dir()? {
            newest = newest.max(self::newest(&entry?.path())?);
        }
    }
    Ok(newest)
}
