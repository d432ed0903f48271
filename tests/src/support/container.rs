//! Images that run: containers of podman with a storage of their own, and questions over HTTP.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    env::TestEnv,
    process::{run, succeeds},
    tools::tool,
};

/// How long an app may take to answer.
const PATIENCE: Duration = Duration::from_mins(2);

/// A podman whose images and containers are in the test's folder.
pub(crate) struct Podman {
    folder: PathBuf,
    /// For sockets and locks: podman refuses a path of more than 50 characters for these, and a checkout may stand deep.
    running: TempDir,
}

impl Podman {
    pub(crate) fn new(env: &TestEnv) -> Self {
        let running = tempfile::Builder::new().prefix("stave-").tempdir_in("/tmp").unwrap();
        Self { folder: env.root().join("podman"), running }
    }

    /// The program with its storage named.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tool("podman");
        command.arg("--root").arg(self.folder.join("root")).arg("--runroot").arg(self.running.path().join("run"));
        // Without it, locks and states are in the machine's own folder, whatever the storage is.
        command.arg("--tmpdir").arg(self.running.path().join("tmp"));
        command.args(["--runtime", "runc"]).args(arguments);
        command
    }

    /// Pulls or loads; answers the image's id.
    pub(crate) fn take(&self, arguments: &[&str]) -> String {
        let said = succeeds(&mut self.command(arguments));
        let last = said.lines().last().unwrap_or_default();
        last.rsplit("Loaded image: ").next().unwrap_or(last).to_owned()
    }

    /// Pulls from an OCI layout. It is named from within its folder, because podman makes the path an image's name, and in
    /// those there are no capital letters, whereas a checkout may stand below some.
    pub(crate) fn pull_layout(&self, layout: &Path) -> String {
        let name = format!("oci:{}", layout.file_name().unwrap().display());
        let mut command = self.command(&["pull", "--quiet", &name]);
        succeeds(command.current_dir(layout.parent().unwrap())).lines().last().unwrap_or_default().to_owned()
    }

    /// Starts an image that serves HTTP. It shares the machine's network, so that no other need be made, and listens on a
    /// free port of the loopback address. Its root is read-only.
    pub(crate) fn serve(&self, image: &str) -> Container<'_> {
        let port = free_port();
        let mut command = self.command(&["run", "--detach", "--network", "host", "--read-only"]);
        // runc and small limits work where crun, or raising a limit, does not.
        command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
        command.args(["--tmpfs", "/tmp", "--env", "SERVER_ADDRESS=127.0.0.1"]);
        command.args(["--env", &format!("SERVER_PORT={port}"), image]);
        Container { podman: self, id: succeeds(&mut command), port }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Only what is in this storage: `podman system reset` would take away folders of the machine's own podman too.
        let _ = run(&mut self.command(&["rmi", "--all", "--force"]));
    }
}

/// A port of the loopback address that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running container, removed when dropped.
pub(crate) struct Container<'a> {
    podman: &'a Podman,
    id: String,
    port: u16,
}

impl Container<'_> {
    /// Waits until the app answers, then gives the answer's body.
    pub(crate) fn get(&self, path: &str) -> String {
        let started = Instant::now();
        loop {
            match ask(self.port, path) {
                Ok(body) => return body,
                Err(error) => {
                    let logs = || run(&mut self.podman.command(&["logs", &self.id]));
                    assert!(started.elapsed() < PATIENCE, "no answer: {error}\n{:?}", logs());
                    let state =
                        succeeds(&mut self.podman.command(&["inspect", "--format", "{{.State.Running}}", &self.id]));
                    assert_eq!(state, "true", "the app ended: {:?}", logs());
                }
            }
            // Nobody tells when a server has begun to listen: ask again.
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = run(&mut self.podman.command(&["rm", "--force", "--time", "2", &self.id]));
    }
}

/// The body of a good answer.
pub(crate) fn ask(port: u16, path: &str) -> Result<String, String> {
    let exchange = || {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error: std::io::Error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("not an answer: {answer}"))?;
    let status = head.lines().next().unwrap_or_default();
    if status.contains(" 200") { Ok(body.to_owned()) } else { Err(status.to_owned()) }
}
