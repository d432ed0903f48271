//! A real registry: Debian's `docker-registry` on a port of the loopback address, with its data in the test's folder.

use std::{fs, net::TcpStream, path::PathBuf, process::Child, process::Stdio, thread, time::Duration};

use super::{container::free_port, env::TestEnv, tools::tool};

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
        let mut command = tool("docker-registry");
        command.arg("serve").arg(folder.join("config.yml")).stdin(Stdio::null());
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        // Nobody tells when it has begun to listen.
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Self { child, port };
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the registry ended with {status}: {}", fs::read_to_string(folder.join("log")).unwrap());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = child.kill();
        panic!("the registry does not listen: {}", fs::read_to_string(folder.join("log")).unwrap());
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

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
