//! Runs an image in a container and asks it something over HTTP.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::shell::{output, run};

/// How long an app may take to answer.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running container, removed when dropped.
pub(crate) struct Container {
    id: String,
    port: u16,
}

impl Container {
    /// Starts the image of an OCI layout. It shares the host's network, so that no network has to be made; the app is told
    /// to listen on a free port of the loopback address.
    pub(crate) fn start(layout: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let image = output(
            Command::new("podman").args(["pull", "--quiet", "oci:spring-webdb"]).current_dir(layout.join("..")),
        )?;
        let image = image.lines().last().unwrap_or_default().to_owned();
        let mut command = Command::new("podman");
        // runc and small limits: both work where crun or raising a limit does not (old control groups, few capabilities).
        command.args(["--runtime", "runc", "run", "--detach", "--network", "host", "--read-only", "--tmpfs", "/tmp"]);
        command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
        command.args(["--env", &format!("SERVER_PORT={port}"), "--env", "SERVER_ADDRESS=127.0.0.1", &image]);
        Ok(Self { id: output(&mut command)?, port })
    }

    /// Waits until the app answers, then asks for `path` and gives back the body.
    pub(crate) fn get(&self, path: &str) -> Result<String> {
        let started = Instant::now();
        loop {
            match ask(self.port, path) {
                Ok(body) => return Ok(body),
                Err(error) if started.elapsed() > PATIENCE || !self.is_running() => {
                    let _ = run(Command::new("podman").args(["logs", &self.id]));
                    return Err(error).context("the app did not answer");
                }
                // Nobody tells when a server has begun to listen: ask again.
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn is_running(&self) -> bool {
        let mut inspect = Command::new("podman");
        inspect.args(["inspect", "--format", "{{.State.Running}}", &self.id]);
        output(&mut inspect).is_ok_and(|state| state == "true")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let mut remove = Command::new("podman");
        remove.args(["rm", "--force", "--time", "2", &self.id]);
        if let Err(error) = output(&mut remove) {
            println!("could not remove the container: {error}");
        }
    }
}

fn ask(port: u16, path: &str) -> Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    if !head.lines().next().unwrap_or_default().contains(" 200") {
        bail!("the app answered {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}
