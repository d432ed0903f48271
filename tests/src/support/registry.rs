//! A real registry: Debian's `docker-registry` on a port of the loopback address, with its data in the test's folder.

use std::{fs, net::TcpStream, process::Child, process::Stdio, thread, time::Duration};

use super::{container::free_port, env::TestEnv, tools::tool};

/// A running registry, killed when dropped.
pub(crate) struct Registry {
    child: Child,
    port: u16,
}

impl Registry {
    /// Starts one and waits until it listens.
    pub(crate) fn start(env: &TestEnv) -> Self {
        let (folder, port) = (env.root().join("registry"), free_port());
        fs::create_dir(&folder).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
             http: {{ addr: \"127.0.0.1:{port}\" }}\n",
            folder.join("data").display()
        );
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
