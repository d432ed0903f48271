//! Certificates of a CA that nobody knows, made by openssl.

use std::{fs, path::PathBuf};

use super::{env::TestEnv, process::succeeds, tools::tool};

/// A certificate authority in the test's folder.
pub(crate) struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// A new one.
    pub(crate) fn new(env: &TestEnv) -> Self {
        let folder = env.root().join("authority");
        fs::create_dir(&folder).unwrap();
        let authority = Self { folder };
        let (key, certificate) = (authority.path("ca.key"), authority.path("ca.crt"));
        let mut request = tool("openssl");
        request.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        request.args(["-subj", "/CN=test", "-days", "2", "-keyout"]).arg(key).arg("-out").arg(certificate);
        succeeds(&mut request);
        authority
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// A certificate called `name` for somebody, such as `IP:127.0.0.1`, and its key; good for so many days from now.
    pub(crate) fn issue(&self, name: &str, whom: &str, days: i32) -> (PathBuf, PathBuf) {
        let path = |ending: &str| self.path(&format!("{name}.{ending}"));
        let (key, wish, certificate, extensions) = (path("key"), path("csr"), path("crt"), path("ext"));
        let mut request = tool("openssl");
        request.args(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x"]);
        succeeds(request.arg("-keyout").arg(&key).arg("-out").arg(&wish));
        fs::write(&extensions, format!("subjectAltName={whom}\n")).unwrap();
        let mut sign = tool("openssl");
        sign.args(["x509", "-req", "-CAcreateserial", "-days", &days.to_string(), "-in"]).arg(wish);
        sign.arg("-CA").arg(self.path("ca.crt")).arg("-CAkey").arg(self.path("ca.key"));
        succeeds(sign.arg("-extfile").arg(extensions).arg("-out").arg(&certificate));
        (certificate, key)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
