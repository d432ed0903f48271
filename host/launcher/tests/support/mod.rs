//! An image for the launcher: a folder of layers, a folder of the app, and the program itself.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Output},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tempfile::TempDir;

/// One image at a time: a program that is still open for writing, in a child that another thread just forked, cannot be
/// executed.
static ALONE: Mutex<()> = Mutex::new(());

/// Layers and an app in a temporary folder.
pub struct Image {
    root: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Image {
    /// An image of one buildpack, `a/b`, with these processes, each a type and the rest of its table.
    pub fn new(processes: &[(&str, &str)]) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let image = Self { root: tempfile::tempdir().unwrap(), _alone: alone };
        let processes = processes.iter().map(|(kind, rest)| {
            format!("[[processes]]\ntype = '{kind}'\ndirect = true\nbuildpack-id = 'a/b'\n{rest}\n")
        });
        let buildpack = "[[buildpacks]]\nid = 'a/b'\nversion = '1.0.0'\napi = '0.10'\n".to_owned();
        image.write("layers/config/metadata.toml", &(buildpack + &processes.collect::<String>()));
        image.write("app/file", "");
        image
    }

    /// An image with this `metadata.toml`.
    pub fn with(metadata: &str) -> Self {
        let image = Self::new(&[]);
        image.write("layers/config/metadata.toml", metadata);
        image
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    pub fn write(&self, file: &str, content: &str) {
        let file = self.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    pub fn write_program(&self, file: &str, content: &str) {
        self.write(file, content);
        fs::set_permissions(self.path().join(file), Permissions::from_mode(0o755)).unwrap();
    }

    /// The launcher, called as `name`, in the environment of an image.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stave-launcher"));
        command.arg0(name).env_clear().current_dir("/");
        command.env("CNB_LAYERS_DIR", self.path().join("layers")).env("CNB_APP_DIR", self.path().join("app"));
        command.env("CNB_PLATFORM_API", "0.14").env("CNB_DEPRECATION_MODE", "quiet");
        command.env("PATH", "/cnb/process:/cnb/lifecycle:/usr/bin:/bin");
        command
    }

    pub fn run(&self, name: &str) -> Output {
        self.command(name).output().unwrap()
    }

    /// What a failure shows, with its exit code.
    pub fn failure(&self, name: &str) -> String {
        self.shown(&self.run(name))
    }

    pub fn shown(&self, output: &Output) -> String {
        assert_eq!(output.stdout, b"", "nothing but the app writes to standard output");
        let text = String::from_utf8(output.stderr.clone()).unwrap();
        let text = text.replace(self.path().to_str().unwrap(), "");
        format!("{text}exit code: {}", output.status.code().unwrap())
    }
}

pub fn lines(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}
