//! The lifecycle on the same work: buildpacks in bash that do what the components do, and folders as a platform gives them.
//!
//! The phases are one program under many names. As root it becomes the user of the image, as in a builder's container; all
//! that it writes to must be that user's. Each build has new layers and the app anew, as each build has a new container; what
//! it keeps is in the cache folder, and in the image that was published before.

use std::{
    fmt::Write as _,
    fs,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use stave_model::target::Platform;

use crate::{
    gauge,
    support::{env::TestEnv, peers::Peers, process::succeeds, tools::tool},
    world::forget,
};

/// Who builds, where root asks.
const USER: u32 = 65534;
/// The newest platform interface that 0.21 speaks without being asked for extensions.
const PLATFORM: &str = "0.14";

/// A buildpack's two scripts.
pub(crate) struct Scripts {
    pub(crate) name: String,
    pub(crate) detect: String,
    pub(crate) build: String,
}

/// Puts a folder of the app into a layer by renaming it, which is as quick as can be.
const PLANT: &str = r"set -e
layer=$CNB_LAYERS_DIR/planted
mkdir -p $layer/vendor
mv vendor/NAME $layer/vendor/
printf '[types]\nlaunch = true\n' > $layer.toml
";

/// The same, by a buildpack that knows from a lock file of the app that its layer is still right, and leaves it in the previous
/// image without touching it.
const PLANT_BY_LOCK: &str = r#"set -e
layer=$CNB_LAYERS_DIR/planted
sum=$(sha256sum vendor/NAME.lock | cut -d' ' -f1)
if grep -qs $sum $layer.toml; then
  mv vendor/NAME $ASIDE/
else
  mkdir -p $layer/vendor
  mv vendor/NAME $layer/vendor/
fi
printf '[types]\nlaunch = true\n[metadata]\nlock = "%s"\n' $sum > $layer.toml
"#;

const PROCESS: &str = "printf '[[processes]]\\ntype = \"web\"\\ncommand = [\"serve\"]\\ndefault = true\\n' > $CNB_LAYERS_DIR/launch.toml\n";

impl Scripts {
    /// Makes the folder `vendor/NAME` a layer, with or without looking at its lock file first.
    pub(crate) fn plant(name: &str, by_lock: bool, aside: &Path) -> Self {
        let build = if by_lock { PLANT_BY_LOCK } else { PLANT };
        let build = build.replace("NAME", name).replace("$ASIDE", &aside.display().to_string());
        Self { name: name.to_owned(), detect: format!("[ -d vendor/{name} ]\n"), build }
    }

    /// Names the process that starts.
    pub(crate) fn process() -> Self {
        Self { name: "app".to_owned(), detect: "exit 0\n".to_owned(), build: PROCESS.to_owned() }
    }
}

/// A platform's folders for one app.
pub(crate) struct Creator {
    folder: PathBuf,
    run_image: String,
}

impl Creator {
    /// Makes them below the environment's folder.
    pub(crate) fn new(env: &TestEnv, peers: &Peers, name: &str, run_image: &str) -> Self {
        let folder = env.root().join(name);
        for name in ["cache", "platform", "tmp", "bin", "layers", "aside", "app"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        // Where whoever it becomes can read it.
        fs::copy(peers.path("lifecycle"), folder.join("bin/lifecycle")).unwrap();
        for phase in ["creator", "detector", "exporter", "rebaser"] {
            symlink("lifecycle", folder.join("bin").join(phase)).unwrap();
        }
        fs::copy(peers.path("launcher"), folder.join("launcher")).unwrap();
        fs::write(folder.join("run.toml"), format!("[[images]]\nimage = \"{run_image}\"\n")).unwrap();
        let creator = Self { folder, run_image: run_image.to_owned() };
        for name in ["cache", "tmp", "layers", "aside", "app"] {
            own(&creator.folder.join(name));
        }
        creator
    }

    /// Where the app is that it was given.
    pub(crate) fn app(&self) -> PathBuf {
        self.folder.join("app")
    }

    /// Where buildpacks by a lock file put what they do not need.
    pub(crate) fn aside(&self) -> PathBuf {
        self.folder.join("aside")
    }

    /// Puts these buildpacks into one group.
    pub(crate) fn buildpacks(&self, all: &[Scripts]) {
        let mut order = "[[order]]\n".to_owned();
        for scripts in all {
            let name = &scripts.name;
            let folder = self.folder.join(format!("buildpacks/bench_{name}/1.0.0"));
            fs::create_dir_all(folder.join("bin")).unwrap();
            let about = format!("api = \"0.10\"\n[buildpack]\nid = \"bench/{name}\"\nversion = \"1.0.0\"\n");
            // Without a target it is taken for one of a stack that no longer exists.
            let targets = "[[targets]]\nos = \"linux\"\n";
            fs::write(folder.join("buildpack.toml"), about + targets).unwrap();
            for (phase, script) in [("detect", &scripts.detect), ("build", &scripts.build)] {
                let path = folder.join("bin").join(phase);
                fs::write(&path, format!("#!/bin/bash\n{script}")).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            writeln!(order, "[[order.group]]\nid = \"bench/{name}\"\nversion = \"1.0.0\"").unwrap();
        }
        fs::write(self.folder.join("order.toml"), order).unwrap();
    }

    /// Gives it the app anew, by links to files that nobody writes to, and no layers.
    pub(crate) fn fresh(&self, app: &Path) {
        for name in ["layers", "aside", "app"] {
            forget(&self.folder.join(name));
        }
        succeeds(tool("cp").args(["--archive", "--link"]).arg(app).arg(self.folder.join("app")));
        for name in ["layers", "aside"] {
            fs::create_dir(self.folder.join(name)).unwrap();
            own(&self.folder.join(name));
        }
    }

    /// Forgets what it kept.
    pub(crate) fn forget_cache(&self) {
        forget(&self.folder.join("cache"));
        fs::create_dir(self.folder.join("cache")).unwrap();
        own(&self.folder.join("cache"));
    }

    /// Another text in place of a file of the app that it was given.
    pub(crate) fn edit(&self, path: &str, text: &str) {
        let path = self.folder.join("app").join(path);
        fs::remove_file(&path).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A phase with what all of them take, measured.
    fn phase(&self, env: &TestEnv, name: &str) -> Command {
        let mut command = gauge::command(env, self.folder.join("bin").join(name));
        command.current_dir(&self.folder).env("TMPDIR", self.folder.join("tmp")).env("CNB_PLATFORM_API", PLATFORM);
        command.args(["-log-level", "info", "-no-color", "-app", "app", "-layers", "layers"]);
        command
    }

    /// The whole build, published under a name.
    pub(crate) fn create(&self, env: &TestEnv, image: &str) -> Command {
        let mut command = self.phase(env, "creator");
        command.args(["-platform", "platform", "-buildpacks", "buildpacks", "-order", "order.toml"]);
        command.args(["-cache-dir", "cache", "-launcher", "launcher", "-run", "run.toml"]);
        command.args(["-report", "tmp/report.toml", "-process-type", "web", "-run-image", &self.run_image]);
        let user = user().to_string();
        command.args(["-uid", &user, "-gid", &user, image]);
        command
    }

    /// A phase that is only a name and what it acts on, measured.
    pub(crate) fn rebase(&self, env: &TestEnv, run_image: &str, image: &str) -> Command {
        let mut command = gauge::command(env, self.folder.join("bin/rebaser"));
        command.current_dir(&self.folder).env("TMPDIR", self.folder.join("tmp")).env("CNB_PLATFORM_API", PLATFORM);
        command.args(["-log-level", "info", "-report", "tmp/report.toml", "-run-image", run_image, image]);
        command
    }

    /// Detection alone. It refuses root, and does not become somebody else by itself.
    pub(crate) fn detect(&self, env: &TestEnv) -> Command {
        self.analyzed();
        let mut command = self.phase(env, "detector");
        command.args([
            "-platform",
            "platform",
            "-buildpacks",
            "buildpacks",
            "-order",
            "order.toml",
            "-run",
            "run.toml",
        ]);
        if rustix::process::getuid().is_root() {
            command.uid(USER).gid(USER);
        }
        command
    }

    /// The export of the app alone, of a build in which one buildpack named the process.
    pub(crate) fn export(&self, env: &TestEnv, image: &str) -> Command {
        self.analyzed();
        let layers = self.folder.join("layers");
        let about = "id = \"bench/app\"\nversion = \"1.0.0\"\napi = \"0.10\"\n";
        fs::write(layers.join("group.toml"), format!("[[group]]\n{about}")).unwrap();
        fs::create_dir_all(layers.join("config")).unwrap();
        let process =
            "[[processes]]\ntype = \"web\"\ncommand = [\"serve\"]\ndirect = true\nbuildpack-id = \"bench/app\"\n";
        fs::write(layers.join("config/metadata.toml"), format!("{process}[[buildpacks]]\n{about}")).unwrap();
        own(&layers);
        let mut command = self.phase(env, "exporter");
        command.args([
            "-launcher",
            "launcher",
            "-run",
            "run.toml",
            "-report",
            "tmp/report.toml",
            "-process-type",
            "web",
        ]);
        let user = user().to_string();
        command.args(["-uid", &user, "-gid", &user, image]);
        command
    }

    /// What the analyzer would have left.
    fn analyzed(&self) {
        let (image, arch) = (&self.run_image, Platform::of_this_machine().arch);
        let text = format!(
            "[run-image]\nreference = \"{image}\"\nimage = \"{image}\"\n\
             [run-image.target]\nos = \"linux\"\narch = \"{arch}\"\n"
        );
        fs::write(self.folder.join("layers/analyzed.toml"), text).unwrap();
        own(&self.folder.join("layers"));
    }
}

/// The user that builds: ours, unless that is root.
fn user() -> u32 {
    let here = rustix::process::getuid();
    if here.is_root() { USER } else { here.as_raw() }
}

/// Gives a folder and all in it to the user that builds.
pub(crate) fn own(folder: &Path) {
    if rustix::process::getuid().is_root() {
        succeeds(tool("chown").args(["--recursive", "--no-dereference", &format!("{USER}:{USER}")]).arg(folder));
    }
}
