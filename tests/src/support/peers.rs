//! The lifecycle, pack, crane, oras and cosign, where they can be built (`tests/peers`), and what they need around them; and what checks
//! SBOMs by the rules of their formats and asks HTTP APIs by their descriptions, where it can be installed.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    thread,
};

use super::{
    env::TestEnv,
    process::{cargo, run},
};

/// The folder of the built programs.
pub(crate) struct Peers(PathBuf);

impl Peers {
    /// The lifecycle, pack and crane; none where they cannot be built, which is said loudly.
    pub(crate) fn here(test: &str) -> Option<&'static Self> {
        static BUILT: OnceLock<Option<Peers>> = OnceLock::new();
        Self::built(&BUILT, &[], test)
    }

    /// oras, in the same way.
    pub(crate) fn oras(test: &str) -> Option<&'static Self> {
        static BUILT: OnceLock<Option<Peers>> = OnceLock::new();
        Self::built(&BUILT, &["oras"], test)
    }

    /// cosign, in the same way.
    pub(crate) fn cosign(test: &str) -> Option<&'static Self> {
        static BUILT: OnceLock<Option<Peers>> = OnceLock::new();
        Self::built(&BUILT, &["cosign"], test)
    }

    /// Said loudly is said past the runner that keeps what tests print.
    fn built(once: &'static OnceLock<Option<Self>>, group: &[&str], test: &str) -> Option<&'static Self> {
        let built = once.get_or_init(|| {
            let built = run(cargo().args(["xtask", "peers"]).args(group)).succeeds();
            let folder = PathBuf::from(built.result());
            folder.is_absolute().then_some(Self(folder))
        });
        if built.is_none() {
            let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: `cargo xtask peers {}` says why", group.join(" "));
        }
        built.as_ref()
    }

    /// Where a program is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A program in the test's world.
    pub(crate) fn command(&self, env: &TestEnv, name: &str) -> Command {
        env.command(self.path(name))
    }
}

/// Checks SBOMs by the rules of their formats, each by its file's name. No where that cannot be, which is said loudly.
pub(crate) fn check_bills(test: &str, bills: &[PathBuf]) -> bool {
    static INSTALLED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let installed = run(cargo().args(["xtask", "bills"])).succeeds();
        Some(PathBuf::from(installed.result())).filter(|folder| folder.is_absolute())
    });
    let Some(folder) = installed else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: `cargo xtask bills` says why");
        return false;
    };
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/sbom/check.py");
    let mut python = Command::new("python3");
    // Nothing is written beside the script.
    python.env("PYTHONPATH", folder).env("PYTHONDONTWRITEBYTECODE", "1").arg(check).args(bills);
    let checked = run(&mut python).succeeds();
    assert_eq!(checked.stdout, "");
    true
}

/// The modules of the fuzzer of HTTP APIs; none where they cannot be installed, which is said loudly.
pub(crate) fn fuzzer(test: &str) -> Option<PathBuf> {
    let installed = run(cargo().args(["xtask", "fuzzer"])).succeeds();
    let folder = Some(PathBuf::from(installed.result())).filter(|folder| folder.is_absolute());
    if folder.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: `cargo xtask fuzzer` says why");
    }
    folder
}

/// A daemon that has no images: pack asks one even about images in a registry, and takes only this answer for a no.
pub(crate) struct NoDaemon(u16);

impl NoDaemon {
    /// Begins to listen. The thread ends with the tests.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(refuse(&stream))));
        Self(port)
    }

    /// What `DOCKER_HOST` is to be.
    pub(crate) fn address(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.0)
    }
}

/// One request, one answer (Docker Engine API: `/_ping`, `/version`, everything else is not there).
fn refuse(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).for_each(drop);
    let (status, body) = match request.split(' ').nth(1).unwrap_or_default() {
        "/_ping" => ("200 OK", "OK"),
        path if path.ends_with("/version") => ("200 OK", r#"{"ApiVersion":"1.41"}"#),
        _ => ("404 Not Found", r#"{"message":"there are no images here"}"#),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
