//! A real registry: Debian's `docker-registry` on a port of the loopback address, with its data in the test's folder.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    container::{ask, free_port},
    env::TestEnv,
    tools::tool,
};

/// The login that a guarded registry takes, as docker's files have it.
pub(crate) const LOGIN: &str = "bWU6c2VjcmV0";
/// The same for `htpasswd`: `me` and `secret`, hashed as weakly as possible.
const HASHED: &str = "me:$2y$04$nfFb/0zMOOmT53cN9R8ikOyxKg41A2.YXaCFKjWs8u0uxsD1KCtbe\n";

/// How a registry is.
#[derive(Default)]
pub(crate) struct Setting {
    /// It takes one login alone.
    pub(crate) guarded: bool,
    /// It speaks TLS with this certificate and key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// It takes those alone who show a certificate of this CA.
    pub(crate) clients: Option<PathBuf>,
}

/// A running registry, killed when dropped.
pub(crate) struct Registry {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Registry {
    /// Starts one for everybody and waits until it listens.
    pub(crate) fn start(env: &TestEnv) -> Self {
        Self::of(env, &Setting::default())
    }

    /// Starts one that is so and waits until it listens.
    pub(crate) fn of(env: &TestEnv, setting: &Setting) -> Self {
        let port = free_port();
        let folder = env.root().join(format!("registry-{port}"));
        fs::create_dir(&folder).unwrap();
        let clients = setting.clients.as_ref().map(|ca| format!(", clientcas: [{}]", ca.display())).unwrap_or_default();
        let tls = setting.tls.as_ref().map(|(certificate, key)| {
            format!(", tls: {{ certificate: {}, key: {}{clients} }}", certificate.display(), key.display())
        });
        let config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
             http: {{ addr: \"127.0.0.1:{port}\"{} }}\n",
            folder.join("data").display(),
            tls.unwrap_or_default()
        );
        let passwords = folder.join("htpasswd");
        fs::write(&passwords, HASHED).unwrap();
        let auth = format!("auth: {{ htpasswd: {{ realm: test, path: {} }} }}\n", passwords.display());
        let config = if setting.guarded { config + &auth } else { config };
        fs::write(folder.join("config.yml"), config).unwrap();
        Self { child: serve(&folder, port), port, folder }
    }

    /// Takes it off the network. What is in it stays.
    pub(crate) fn go_down(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub(crate) fn come_back(&mut self) {
        self.child = serve(&self.folder, self.port);
    }

    /// Lets it answer nobody, and whoever asks waits.
    pub(crate) fn hold(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Lets it answer everybody again.
    pub(crate) fn go_on(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// What it was asked so far, as `GET /v2/team/app/manifests/latest`. Its log says so a moment after its answer, so it is
    /// asked something that nobody else asks, and read up to there.
    pub(crate) fn asked(&self) -> Vec<String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("/v2/nobody/asks-{}/tags/list", COUNT.fetch_add(1, Ordering::Relaxed));
        let _ = ask(self.port, &mark);
        for _ in 0..600 {
            let log = fs::read_to_string(self.folder.join("log")).unwrap();
            // `127.0.0.1 - - [30/Nov/2026:09:45:00 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "stave"`
            let lines = log.lines().filter_map(|line| line.split_once("] \"")?.1.split_once(" HTTP/"));
            let asked: Vec<String> = lines.map(|(asked, _)| asked.to_owned()).collect();
            if asked.iter().any(|line| line.ends_with(&mark)) {
                return asked;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the registry's log does not say what it is asked");
    }

    /// The tags of a repository.
    pub(crate) fn tags(&self, repository: &str) -> Vec<String> {
        let answer = ask(self.port, &format!("/v2/{repository}/tags/list")).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let mut tags: Vec<String> =
            answer["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
        tags.sort();
        tags
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Host and port.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The reference of a repository in it.
    pub(crate) fn reference(&self, repository: &str) -> String {
        format!("127.0.0.1:{}/{repository}", self.port)
    }
}

/// Starts the program and waits until it listens.
fn serve(folder: &Path, port: u16) -> Child {
    let mut command = tool("docker-registry");
    command.arg("serve").arg(folder.join("config.yml")).stdin(Stdio::null());
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    // Nobody tells when it has begun to listen.
    for _ in 0..600 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return child;
        }
        if let Some(status) = child.try_wait().unwrap() {
            panic!("the registry ended with {status}: {}", fs::read_to_string(folder.join("log")).unwrap());
        }
        thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    panic!("the registry does not listen: {}", fs::read_to_string(folder.join("log")).unwrap());
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
