//! A docker daemon on a unix socket: the image goes in as a docker archive, through `POST /images/load` (Docker Engine
//! API). Podman's service answers the same request.
//!
//! The exchange is one request on one connection, written by hand: the HTTP client of this program speaks to hosts, and
//! teaching it unix sockets would open a way around its rules for addresses.

mod answer;

use std::{
    ffi::OsString,
    io::{self, BufWriter, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use stave_lifecycle::{
    image::Image,
    port::{
        cancel::Cancel,
        failure::{Fault, PortError},
        observer::Observer,
        sink::{Sink, Stored},
    },
};

use self::answer::Answer;
use crate::{docker_archive, meter::Meter};

/// Where docker's daemon listens when nothing else is said.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// How long the daemon may take nothing, or say nothing: unpacking a gigabyte on a slow disk takes minutes.
const PATIENCE: Duration = Duration::from_mins(10);

/// A daemon, and the names that the image gets there. As a sink it answers with the configuration's digest, which is the
/// image's id there: daemons of this kind know no manifest.
#[derive(Debug, Clone)]
pub struct Daemon {
    socket: PathBuf,
    names: Vec<String>,
}

/// Why a daemon cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DaemonError {
    /// `DOCKER_HOST` is something else than a unix socket.
    #[error("DOCKER_HOST is `{}`: only unix:///PATH is spoken", .0.escape_debug())]
    Host(String),
    /// The daemon answered with an error.
    #[error("the daemon answered {status}: {}", .message.escape_debug())]
    Refused {
        /// The status.
        status: u16,
        /// Its words, cut.
        message: String,
    },
}

impl Daemon {
    /// The daemon that `DOCKER_HOST` names, else docker's, else podman's service for this user or for the system,
    /// whichever socket is there first. `names` are repository and tag.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>, names: Vec<String>) -> Result<Self, PortError> {
        let host = variable("DOCKER_HOST").filter(|host| !host.is_empty());
        let Some(host) = host else {
            let podman = variable("XDG_RUNTIME_DIR").map(|folder| Path::new(&folder).join("podman/podman.sock"));
            let usual = [Some(DOCKER_SOCKET.into()), podman, Some("/run/podman/podman.sock".into())];
            let there = usual.into_iter().flatten().find(|path: &PathBuf| path.exists());
            return Ok(Self { socket: there.unwrap_or_else(|| DOCKER_SOCKET.into()), names });
        };
        let socket = socket_of(&host.to_string_lossy()).map_err(|error| {
            let hint = "unset it, or use --to docker-archive:FILE and load that file over there";
            PortError::new(Fault::Unsupported, "could not choose a docker daemon").hint(hint).caused_by(error)
        })?;
        Ok(Self { socket, names })
    }

    /// Sends the archive and reads the answer.
    fn load(&self, image: &Image, meter: &mut Meter<'_>, cancel: &Cancel) -> Result<(), PortError> {
        let failed = |error| PortError::of_io(self.attempt(), Fault::Network, error);
        let stream = UnixStream::connect(&self.socket).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "you may not use its socket: join the group that may, or use another output"
                }
                _ => "start it, or set DOCKER_HOST=unix:///PATH; --to docker-archive:FILE needs no daemon",
            };
            let attempt = format!("could not reach a docker daemon at {}", self.shown());
            PortError::new(Fault::Network, attempt).hint(hint).caused_by(error)
        })?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .map_err(failed)?;
        let sent = send(&stream, image, &self.names, meter, cancel);
        cancel.check()?;
        // A daemon that dislikes the request says so and closes: its words are better than a broken pipe.
        let answer = match (Answer::read(&stream), sent) {
            (Ok(answer), Ok(())) => answer,
            (Ok(answer), Err(_)) if answer.status >= 400 => answer,
            (_, Err(error)) | (Err(error), Ok(())) => return Err(failed(error)),
        };
        answer.verdict().map_err(|(status, message)| {
            PortError::new(Fault::Network, self.attempt()).caused_by(DaemonError::Refused { status, message })
        })
    }

    fn attempt(&self) -> String {
        format!("could not load the image into the docker daemon at {}", self.shown())
    }

    fn shown(&self) -> String {
        self.socket.display().to_string().escape_debug().to_string()
    }
}

impl Sink for Daemon {
    fn describe(&self) -> String {
        format!("the docker daemon at {}", self.shown())
    }

    fn put(&self, image: &Image, observer: &dyn Observer, cancel: &Cancel) -> Result<Stored, PortError> {
        let total = docker_archive::total(image);
        let mut meter = Meter::begin(observer, format!("load into {}", self.describe()), total);
        self.load(image, &mut meter, cancel)?;
        Ok(Stored { digest: image.config_descriptor().digest })
    }
}

fn socket_of(host: &str) -> Result<PathBuf, DaemonError> {
    let path = host.strip_prefix("unix://").filter(|path| path.starts_with('/'));
    path.map(PathBuf::from).ok_or_else(|| DaemonError::Host(host.chars().take(200).collect()))
}

/// Sends one request with a chunked body (RFC 9112, 7.1), because nobody knows the archive's size beforehand.
fn send(
    stream: &UnixStream,
    image: &Image,
    names: &[String],
    meter: &mut Meter<'_>,
    cancel: &Cancel,
) -> io::Result<()> {
    let head = "POST /images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nUser-Agent: stave\r\nConnection: close\r\n\
                Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n";
    (&mut &*stream).write_all(head.as_bytes())?;
    let mut body = BufWriter::with_capacity(128 * 1024, Chunked(stream));
    let written = docker_archive::write(image, names, &mut body, meter, cancel);
    if written.is_err() {
        // Without its last chunk the body is incomplete, which the daemon must see before it believes what it has.
        let _ = stream.shutdown(Shutdown::Write);
        // What is left in the buffer is not sent.
        drop(body.into_parts());
        return written;
    }
    body.flush()?;
    (&mut &*stream).write_all(b"0\r\n\r\n")
}

/// Writes each piece as a chunk.
struct Chunked<'a>(&'a UnixStream);

impl Write for Chunked<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut stream = self.0;
        write!(stream, "{:x}\r\n", buffer.len())?;
        stream.write_all(buffer)?;
        stream.write_all(b"\r\n")?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
