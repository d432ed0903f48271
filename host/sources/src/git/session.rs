//! In which environment git runs: who asks, over which transports, and nothing else.
//!
//! The environment is a list of allowed names. A session that is not the machine's own reads no configuration of its user or its
//! system, has an empty home (so no `.netrc`), no agent, and no key but the one that it is given: whose name stands on a wish
//! must not decide with whose rights it is fetched.
//!
//! A password reaches git through a credential helper that git itself binds to the address's scheme, host and port, so a
//! redirect to another host is not told; the helper is a few fixed words for the shell that print two variables of
//! the environment, so the password stands neither in an argument, which all users see, nor in a file.

use std::{
    env,
    ffi::OsString,
    fmt,
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    process::Command,
};

use stave_model::digest::{Digest, Key};
use stave_platform::{port::Failed, resource::build::Fault};
use stave_transport::proxy::Proxies;
use tempfile::TempDir;

use super::address::{Address, Transport};
use crate::{fence::Judged, secret::Secret};

/// Who asks for a repository.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Nobody in particular: what everybody may read.
    None,
    /// Whoever runs this program: their git configuration, credential helpers, ssh keys and agent. For a laptop; on a platform it
    /// would let every wish read what the platform's user can. Their `core.sshCommand` alone does not count: nobody could answer
    /// what ssh asks.
    Machine,
    /// A user and a password or token, for `https`, and for `http` where the wish itself says that: in the clear.
    Password {
        /// The user, which may be a token too.
        user: Secret,
        /// The password or token.
        password: Secret,
    },
    /// An ssh key without a passphrase.
    SshKey {
        /// The private key, as `ssh-keygen` writes it.
        key: Secret,
        /// The keys of hosts, as `known_hosts` has them; those that the machine knows where there is none. A host that is in
        /// neither is refused: kpack takes any host at its first word, and so would whoever stands between.
        known_hosts: Option<String>,
    },
}

/// What passes from our own environment, whoever asks.
const PASSED: [&str; 14] = [
    "PATH",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_EXEC_PATH",
];

/// What passes besides where the machine's own user asks: where their settings, helpers and agents are.
const PASSED_FOR_MACHINE: [&str; 10] = [
    "HOME",
    "USER",
    "LOGNAME",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "GIT_CONFIG_GLOBAL",
];

/// How git behaves, whoever asks.
const CONFIG: [&str; 22] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.askPass=",
    "core.bigFileThreshold=16m",
    "core.logAllRefUpdates=false",
    "safe.bareRepository=explicit",
    "transfer.fsckObjects=true",
    "fetch.fsckObjects=true",
    "fetch.unpackLimit=1",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "submodule.recurse=false",
    "transfer.bundleURI=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "init.defaultBranch=main",
    "http.followRedirects=initial",
    "http.lowSpeedLimit=100",
    "http.lowSpeedTime=60",
    "protocol.version=2",
    "advice.detachedHead=false",
];

/// The helper that hands the password over.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \"$STAVE_GIT_USER\" \"$STAVE_GIT_PASSWORD\"; }; f";

/// The format of what a session is told apart by.
const WHO: &str = "git user 1";

fn who(credentials: &Credentials) -> Digest {
    let key = Key::new(WHO);
    match credentials {
        Credentials::None => key,
        Credentials::Machine => key.field("machine"),
        Credentials::Password { user, password } => key.list([user.reveal(), password.reveal()]),
        Credentials::SshKey { key: ssh, .. } => key.field(ssh.reveal()),
    }
    .finish()
}

/// The environment of one or several runs of git.
pub(crate) struct Session {
    folder: TempDir,
    variables: Vec<(&'static str, OsString)>,
    config: Vec<String>,
    secrets: Vec<Secret>,
    /// Who asks, as a digest: what was fetched for one is not for another.
    who: Digest,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// One that reaches nobody: for what is done within a repository of our own. What it needs for its moment is in `place`.
    pub(crate) fn bare(place: &Path) -> io::Result<Self> {
        let mut folder = tempfile::Builder::new();
        let folder = folder.prefix("stave-git-").permissions(Permissions::from_mode(0o700)).tempdir_in(place)?;
        let real = folder.path().canonicalize()?;
        let above = real.parent().unwrap_or(&real).to_owned();
        let mut variables: Vec<(&str, OsString)> = passed(&PASSED);
        if let (Some(roots), None) = (env::var_os("SSL_CERT_FILE"), env::var_os("GIT_SSL_CAINFO")) {
            variables.push(("GIT_SSL_CAINFO", roots));
        }
        let fixed = [
            ("LC_ALL", "C"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", ""),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_LITERAL_PATHSPECS", "1"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ALLOW_PROTOCOL", "none"),
            // A small pack may say that one of its objects is huge.
            ("GIT_ALLOC_LIMIT", "2g"),
        ];
        variables.extend(fixed.map(|(name, value)| (name, value.into())));
        variables.push(("HOME", real.clone().into()));
        // Git looks for a repository where it runs; there is none here, and above is none of its business.
        variables.push(("GIT_CEILING_DIRECTORIES", above.into()));
        Ok(Self {
            folder,
            variables,
            config: CONFIG.map(str::to_owned).to_vec(),
            secrets: Vec::new(),
            who: Key::new(WHO).finish(),
        })
    }

    /// One that reaches `address` as whom `credentials` say.
    pub(crate) fn to(place: &Path, address: &Address, credentials: &Credentials) -> Result<Self, Failed> {
        let attempt = format!("could not prepare for asking {}", address.shown());
        let mut session =
            Self::bare(place).map_err(|error| Failed::new(Fault::Transient, &*attempt).caused_by(error))?;
        let refuse = |rule: &str, hint: &str| Failed::new(Fault::Refused, format!("{attempt}: {rule}")).hint(hint);
        let broken = |error: io::Error| Failed::new(Fault::Transient, &*attempt).caused_by(error);
        match (address.transport, credentials) {
            (Transport::File, _) => session.allow("file"),
            (_, Credentials::Machine) => session.be_machine(),
            (Transport::Https, Credentials::None) => session.allow("https"),
            (Transport::Http, Credentials::None) => session.allow("http:https"),
            (Transport::Https | Transport::Http, Credentials::Password { user, password }) => {
                if [user, password].iter().any(|text| text.reveal().contains(['\n', '\r', '\0'])) {
                    return Err(refuse("its user or password holds a line break", "write the secret without one"));
                }
                session.allow(if address.transport == Transport::Https { "https" } else { "http" });
                session.log_in(&address.origin(), user, password);
            }
            (Transport::Ssh, Credentials::SshKey { key, known_hosts }) => {
                session.allow("ssh");
                let command = session.ssh_command(key, known_hosts.as_deref()).map_err(broken)?;
                session.variables.push(("GIT_SSH_COMMAND", command.into()));
                session.variables.push(("GIT_SSH_VARIANT", "ssh".into()));
            }
            (Transport::Ssh, _) => {
                return Err(refuse(
                    "ssh asks for a key, and none is given",
                    "add a secret with an ssh key for this host",
                ));
            }
            (_, Credentials::SshKey { .. }) => {
                return Err(refuse(
                    "an ssh key is of no use for this address",
                    "write ssh://user@host/path, or add a secret with a password or token",
                ));
            }
        }
        session.who = who(credentials);
        Ok(session)
    }

    /// Who asks, as a digest.
    pub(crate) fn who(&self) -> &Digest {
        &self.who
    }

    /// One more setting, which counts before those that came earlier.
    pub(crate) fn configure(&mut self, setting: &str) {
        self.config.push(setting.to_owned());
    }

    /// Asks the server where it was judged to be, and follows it nowhere else.
    pub(crate) fn keep_to(&mut self, judged: &Judged) {
        self.configure("http.followRedirects=false");
        if let Some(setting) = judged.setting() {
            self.configure(&setting);
        }
        if let Some((_, command)) = self.variables.iter_mut().find(|(name, _)| *name == "GIT_SSH_COMMAND") {
            judged.options().iter().for_each(|option| command.push(format!(" -o '{option}'")));
        }
    }

    fn allow(&mut self, transports: &str) {
        self.set("GIT_ALLOW_PROTOCOL", transports);
        // Forgets every helper that was named before.
        self.config.push("credential.helper=".to_owned());
    }

    fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, value.into()));
    }

    /// As the machine's own user. Their configuration may lead an `https` address to ssh, and does so often.
    fn be_machine(&mut self) {
        self.variables.retain(|(name, _)| !matches!(*name, "GIT_CONFIG_GLOBAL" | "GIT_CONFIG_NOSYSTEM" | "HOME"));
        self.variables.extend(passed(&PASSED_FOR_MACHINE));
        self.set("GIT_ALLOW_PROTOCOL", "https:http:ssh");
        self.set("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=20");
        self.set("GIT_SSH_VARIANT", "ssh");
    }

    fn log_in(&mut self, origin: &str, user: &Secret, password: &Secret) {
        self.config.push(format!("credential.{origin}.helper={HELPER}"));
        self.set("STAVE_GIT_USER", user.reveal());
        self.set("STAVE_GIT_PASSWORD", password.reveal());
        self.secrets.extend([user.clone(), password.clone()]);
    }

    /// Ssh with this key, in a file that only we can read and that goes with the session, and no other.
    fn ssh_command(&self, key: &Secret, known_hosts: Option<&str>) -> io::Result<String> {
        let key_file = self.folder.path().join("key");
        let text = key.reveal().trim_end();
        write_private(&key_file, format!("{text}\n").as_bytes())?;
        let mut options = vec![
            "BatchMode=yes".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "PreferredAuthentications=publickey".to_owned(),
            "ClearAllForwardings=yes".to_owned(),
            "ForwardAgent=no".to_owned(),
            "ControlPath=none".to_owned(),
            "UpdateHostKeys=no".to_owned(),
            "ConnectTimeout=20".to_owned(),
            "ServerAliveInterval=15".to_owned(),
            format!("IdentityFile={}", quoted(&key_file)?),
        ];
        if let Some(hosts) = known_hosts {
            let hosts_file = self.folder.path().join("known_hosts");
            write_private(&hosts_file, format!("{}\n", hosts.trim_end()).as_bytes())?;
            options.push(format!("UserKnownHostsFile={}", quoted(&hosts_file)?));
            options.push("GlobalKnownHostsFile=/dev/null".to_owned());
        }
        let options: Vec<String> = options.iter().map(|option| format!("-o '{option}'")).collect();
        Ok(format!("ssh -F /dev/null {}", options.join(" ")))
    }

    /// Puts it on a command.
    pub(crate) fn dress(&self, command: &mut Command) {
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.folder.path());
    }

    /// The options that come before git's own command.
    pub(crate) fn options(&self) -> impl Iterator<Item = &str> {
        self.config.iter().flat_map(|pair| ["-c", pair])
    }

    /// What must not be told.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        self.secrets.iter().map(Secret::reveal).collect()
    }
}

/// Whether git reaches an address through a proxy.
pub(crate) fn is_proxied(address: &Address) -> bool {
    let proxies = Proxies::read(|name| env::var(name).ok().filter(|_| PASSED.contains(&name)));
    proxies.choose(address.url()).is_some()
}

fn passed(names: &[&'static str]) -> Vec<(&'static str, OsString)> {
    names.iter().filter_map(|name| Some((*name, env::var_os(name)?))).collect()
}

fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text)
}

/// A path as an option of ssh has it, within single quotes of a shell.
fn quoted(path: &Path) -> io::Result<String> {
    let unfit = || io::Error::other("the folder for keys has a name that ssh cannot be told");
    let text = path.to_str().filter(|text| !text.contains(['"', '\'', '\\', '\n', '$'])).ok_or_else(unfit)?;
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(session: &Session) -> String {
        let mut command = Command::new("git");
        session.dress(&mut command);
        let shown = |(name, value): (&std::ffi::OsStr, Option<&std::ffi::OsStr>)| {
            format!("{}={}", name.display(), value.unwrap_or_default().display())
        };
        command.get_envs().map(shown).collect::<Vec<_>>().join("\n")
    }

    fn password() -> Credentials {
        Credentials::Password { user: Secret::new("user-of-it"), password: Secret::new("hunter22") }
    }

    #[test]
    fn secrets_are_shown_to_nobody() {
        let key = Credentials::SshKey { key: Secret::new("PRIVATE"), known_hosts: Some("host key".to_owned()) };
        insta::assert_snapshot!(format!("{:?}\n{key:?}", password()), @r#"
        Password { user: …, password: … }
        SshKey { key: …, known_hosts: Some("host key") }
        "#);
        let session =
            Session::to(&env::temp_dir(), &Address::of_wish("https://git.example.com:8443/app").unwrap(), &password())
                .unwrap();
        let options = session.options().collect::<Vec<_>>().join(" ");
        assert!(!options.contains("hunter22") && !options.contains("user-of-it"), "{options}");
        assert!(options.contains("credential.https://git.example.com:8443.helper=!f()"), "{options}");
        assert!(variables(&session).contains("STAVE_GIT_PASSWORD=hunter22"));
        assert!(!format!("{session:?}").contains("hunter22"));
    }

    #[test]
    fn a_transport_is_that_of_the_address() {
        let allowed = |address: &str, credentials: &Credentials| {
            let session = Session::to(&env::temp_dir(), &Address::of_wish(address).unwrap(), credentials).unwrap();
            let variables = variables(&session);
            variables.lines().find_map(|line| line.strip_prefix("GIT_ALLOW_PROTOCOL=")).unwrap().to_owned()
        };
        assert_eq!(allowed("https://git.example.com/app", &Credentials::None), "https");
        assert_eq!(allowed("https://git.example.com/app", &password()), "https");
        assert_eq!(allowed("http://git.example.com/app", &Credentials::None), "http:https");
        assert_eq!(allowed("https://git.example.com/app", &Credentials::Machine), "https:http:ssh");
        assert_eq!(allowed("/srv/app", &password()), "file");
    }

    #[test]
    fn a_key_is_in_a_file_of_its_own_while_it_is_needed() {
        let key =
            Credentials::SshKey { key: Secret::new("PRIVATE"), known_hosts: Some("git.example.com x".to_owned()) };
        let session =
            Session::to(&env::temp_dir(), &Address::of_wish("git@git.example.com:app").unwrap(), &key).unwrap();
        let folder = session.folder.path().to_owned();
        assert_eq!(fs::read_to_string(folder.join("key")).unwrap(), "PRIVATE\n");
        assert_eq!(fs::metadata(folder.join("key")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        let variables = variables(&session);
        let command = variables.lines().find(|line| line.starts_with("GIT_SSH_COMMAND=")).unwrap();
        for part in
            ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentityAgent=none", "GlobalKnownHostsFile=/dev/null"]
        {
            assert!(command.contains(part), "{command}");
        }
        assert!(!variables.contains("PRIVATE") && !variables.contains("SSH_AUTH_SOCK"));
        drop(session);
        assert!(!folder.exists());
    }

    #[test]
    fn credentials_of_the_wrong_kind_are_refused() {
        let refused = |address: &str, credentials: &Credentials| {
            let failed = Session::to(&env::temp_dir(), &Address::of_wish(address).unwrap(), credentials).unwrap_err();
            assert_eq!(failed.fault, Fault::Refused);
            format!("{}\n  {}", failed.sentence(), failed.hint.unwrap())
        };
        let key = Credentials::SshKey { key: Secret::new("x"), known_hosts: None };
        let broken = Credentials::Password { user: Secret::new("a"), password: Secret::new("b\nhost=evil") };
        insta::assert_snapshot!([
            refused("git@git.example.com:app", &Credentials::None),
            refused("ssh://git.example.com/app", &password()),
            refused("https://git.example.com/app", &key),
            refused("https://git.example.com/app", &broken),
        ].join("\n"), @r"
        could not prepare for asking git@git.example.com:app: ssh asks for a key, and none is given
          add a secret with an ssh key for this host
        could not prepare for asking ssh://git.example.com/app: ssh asks for a key, and none is given
          add a secret with an ssh key for this host
        could not prepare for asking https://git.example.com/app: an ssh key is of no use for this address
          write ssh://user@host/path, or add a secret with a password or token
        could not prepare for asking https://git.example.com/app: its user or password holds a line break
          write the secret without one
        ");
    }
}
