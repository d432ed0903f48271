//! A real registry: Debian's `docker-registry` on a port of the loopback address, with its data in the test's folder. And a
//! small one in the test's own process, where thousands of requests are to cost little beside what is looked at.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use stave_model::digest::Digest;
use stave_oci::testing::registry::{Guard, TestRegistry};

use super::{
    container::{ask, free_port},
    env::TestEnv,
    tools::tool,
};

/// The login that a guarded registry takes, as docker's files have it.
pub(crate) const LOGIN: &str = "bWU6c2VjcmV0";
/// The same for `htpasswd`: `me` and `secret`, hashed as weakly as possible.
const HASHED: &str = "me:$2y$04$nfFb/0zMOOmT53cN9R8ikOyxKg41A2.YXaCFKjWs8u0uxsD1KCtbe\n";

/// What the folder is called that a registry keeps its data in, before its port.
pub(crate) const FOLDER: &str = "registry-";

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

/// A running registry, ended when dropped.
pub(crate) struct Registry {
    kind: Kind,
    port: u16,
}

enum Kind {
    /// Debian's, and the folder with all that is its own.
    Debian { child: Child, folder: PathBuf },
    /// The one in this process, and what lets it answer or not.
    Here { registry: TestRegistry, gate: Arc<Gate> },
}

/// Whether requests are answered, and who waits for it.
#[derive(Default)]
struct Gate {
    is_held: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, is_held: bool) {
        *self.is_held.lock().unwrap_or_else(PoisonError::into_inner) = is_held;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let held = self.is_held.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(held, |is_held| *is_held));
    }
}

impl Registry {
    /// Starts one for everybody and waits until it listens.
    pub(crate) fn start(env: &TestEnv) -> Self {
        Self::of(env, &Setting::default())
    }

    /// Starts one that is so and waits until it listens.
    pub(crate) fn of(env: &TestEnv, setting: &Setting) -> Self {
        let port = free_port();
        let folder = env.root().join(format!("{FOLDER}{port}"));
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
        Self { kind: Kind::Debian { child: serve(&folder, port), folder }, port }
    }

    /// Starts one in this process, for everybody.
    pub(crate) fn in_process() -> Self {
        let gate = Arc::new(Gate::default());
        let asked = Arc::clone(&gate);
        let hook = move |_: &_| {
            asked.wait();
            None
        };
        let registry = TestRegistry::start(Guard::Open, Some(Box::new(hook))).unwrap();
        let port = registry.host().rsplit(':').next().unwrap().parse().unwrap();
        Self { kind: Kind::Here { registry, gate }, port }
    }

    /// Where Debian's keeps what it has, by repository: links to what all have.
    pub(crate) fn repositories(&self) -> PathBuf {
        let Kind::Debian { folder, .. } = &self.kind else { panic!("Debian's alone has a folder") };
        folder.join("data/docker/registry/v2/repositories")
    }

    /// Takes it off the network. What is in it stays.
    pub(crate) fn go_down(&mut self) {
        let Kind::Debian { child, .. } = &mut self.kind else { panic!("Debian's alone comes and goes") };
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub(crate) fn come_back(&mut self) {
        let Kind::Debian { child, folder } = &mut self.kind else { panic!("Debian's alone comes and goes") };
        *child = serve(folder, self.port);
    }

    /// Lets it answer nobody, and whoever asks waits.
    pub(crate) fn hold(&self) {
        match &self.kind {
            Kind::Debian { child, .. } => kill_process(Pid::from_child(child), Signal::STOP).unwrap(),
            Kind::Here { gate, .. } => gate.set(true),
        }
    }

    /// Lets it answer everybody again.
    pub(crate) fn go_on(&self) {
        match &self.kind {
            Kind::Debian { child, .. } => kill_process(Pid::from_child(child), Signal::CONT).unwrap(),
            Kind::Here { gate, .. } => gate.set(false),
        }
    }

    /// What it was asked so far, as `GET /v2/team/app/manifests/latest`. Its log says so a moment after its answer, so it is
    /// asked something that nobody else asks, and read up to there.
    pub(crate) fn asked(&self) -> Vec<String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = match &self.kind {
            Kind::Debian { folder, .. } => folder,
            Kind::Here { registry, .. } => return registry.lines(),
        };
        let mark = format!("/v2/nobody/asks-{}/tags/list", COUNT.fetch_add(1, Ordering::Relaxed));
        let _ = ask(self.port, &mark);
        for _ in 0..600 {
            let log = fs::read_to_string(folder.join("log")).unwrap();
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

    /// The digest of what a tag leads to, from the bytes that the registry in this process has.
    #[track_caller]
    pub(crate) fn tagged(&self, repository: &str, tag: &str) -> String {
        let Kind::Here { registry, .. } = &self.kind else { panic!("skopeo says it of Debian's") };
        Digest::of(&registry.manifest(repository, tag).unwrap()).to_string()
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
        match &mut self.kind {
            Kind::Debian { child, .. } => {
                let _ = child.kill();
                let _ = child.wait();
            }
            // Whoever still waits goes home.
            Kind::Here { gate, .. } => gate.set(false),
        }
    }
}
