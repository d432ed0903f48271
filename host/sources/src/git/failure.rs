//! What git's own words mean: whose fault it is, and what a person could do.
//!
//! Git says what went wrong in words alone. It is asked to say them in English; where none of these is among them, what was asked of
//! another machine is taken for a bad moment, and tried again.

use stave_platform::resource::build::Fault;

/// How much of what git said is told.
const MOST_TOLD: usize = 600;

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The host does not know who asks, or does not let them.
    Login,
    /// There is no such repository, for who asks.
    NoRepository,
    /// The server leads elsewhere, which is not followed.
    Elsewhere,
    /// The host's key is not known.
    HostKey,
    /// The host's certificate is not trusted.
    Certificate,
    /// The server does not give commits that no reference leads to.
    Unadvertised,
    /// The server has no such commit.
    NoCommit,
    /// A transport that is not allowed here.
    Transport,
    /// What came is damaged, or hostile.
    Objects,
    /// The disk is full.
    Disk,
    /// The network, or a server that has a bad moment.
    Network,
    /// Anything else.
    Other,
}

/// The words by which a failure is known, the most telling first.
const WORDS: [(&str, Meaning); 46] = [
    ("over limit", Meaning::Objects),
    ("host key verification failed", Meaning::HostKey),
    ("unadvertised object", Meaning::Unadvertised),
    ("not our ref", Meaning::NoCommit),
    ("couldn't find remote ref", Meaning::NoCommit),
    ("no such remote ref", Meaning::NoCommit),
    ("transport '", Meaning::Transport),
    ("no space left on device", Meaning::Disk),
    ("disk quota exceeded", Meaning::Disk),
    ("fsck error", Meaning::Objects),
    ("error in object", Meaning::Objects),
    ("is corrupt", Meaning::Objects),
    ("did not send all necessary objects", Meaning::Objects),
    ("inflate: data stream error", Meaning::Objects),
    ("pack has bad object", Meaning::Objects),
    ("ssl certificate problem", Meaning::Certificate),
    ("certificate verification failed", Meaning::Certificate),
    ("server certificate", Meaning::Certificate),
    ("error setting certificate", Meaning::Certificate),
    ("authentication failed", Meaning::Login),
    ("could not read username", Meaning::Login),
    ("could not read password", Meaning::Login),
    ("permission denied (", Meaning::Login),
    ("returned error: 401", Meaning::Login),
    ("returned error: 403", Meaning::Login),
    ("access denied", Meaning::Login),
    ("returned error: 30", Meaning::Elsewhere),
    ("returned error: 404", Meaning::NoRepository),
    ("repository not found", Meaning::NoRepository),
    ("' not found", Meaning::NoRepository),
    ("does not appear to be a git repository", Meaning::NoRepository),
    ("dubious ownership", Meaning::NoRepository),
    ("could not resolve", Meaning::Network),
    ("failed to connect", Meaning::Network),
    ("couldn't connect", Meaning::Network),
    ("unable to connect", Meaning::Network),
    ("connection ", Meaning::Network),
    ("timed out", Meaning::Network),
    ("hung up", Meaning::Network),
    ("early eof", Meaning::Network),
    ("unexpected disconnect", Meaning::Network),
    ("returned error: 5", Meaning::Network),
    ("too slow", Meaning::Network),
    ("unreachable", Meaning::Network),
    ("no route to host", Meaning::Network),
    ("rpc failed", Meaning::Network),
];

impl Meaning {
    /// Reads what git said.
    pub(crate) fn of(said: &str) -> Self {
        let lower = said.to_lowercase();
        WORDS.iter().find(|(words, _)| lower.contains(words)).map_or(Self::Other, |(_, meaning)| *meaning)
    }

    /// Whose fault it is.
    pub(crate) fn fault(self) -> Fault {
        if matches!(self, Self::Other | Self::Network | Self::Disk) { Fault::Transient } else { Fault::Refused }
    }

    /// What a person could do.
    pub(crate) fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Login => {
                "check the secret for this host: user and password (or a token), or an ssh key, that may read it"
            }
            Self::NoRepository => {
                "check the address; hosts say the same of a repository that who asks may not see, so check the secret too"
            }
            Self::Elsewhere => {
                "the server leads elsewhere, and for others nobody follows: write the address that it leads to, often with `.git` at its end"
            }
            Self::HostKey => {
                "put the host's line into known_hosts, or into the ssh secret's: `ssh-keyscan HOST` prints one, to compare with what the host says of itself"
            }
            Self::Certificate => {
                "where the host's certificate is signed by your own authority, set SSL_CERT_FILE to a bundle that holds it"
            }
            Self::Unadvertised | Self::NoCommit => {
                "the commit was removed, or the history was written anew: name a branch, a tag or another commit"
            }
            Self::Transport => "https, http and ssh are spoken, and local repositories that are named as such",
            Self::Objects => "`git fsck` in the repository says what is wrong with it",
            Self::Disk => "make room where the cache is",
            Self::Network | Self::Other => return None,
        })
    }
}

/// What git adds to everything that went wrong elsewhere.
const NOISE: [&str; 4] = [
    "hint:",
    "fatal: Could not read from remote repository",
    "Please make sure you have the correct access rights",
    "and the repository exists",
];

/// A line as text for a message: only what could harm a terminal is written otherwise.
fn escaped(line: &str) -> String {
    let shown = |c: char| if matches!(c, '\'' | '"' | '\\') { c.to_string() } else { c.escape_debug().to_string() };
    line.chars().map(shown).collect()
}

/// What git said, for people: its last lines, without noise, and escaped. `secrets` are taken out should it say one.
pub(crate) fn told(said: &[u8], secrets: &[&str]) -> String {
    let mut text = String::from_utf8_lossy(said).into_owned();
    for secret in secrets.iter().filter(|secret| secret.len() > 3) {
        text = text.replace(secret, "…");
    }
    let is_noise = |line: &&str| line.is_empty() || NOISE.iter().any(|noise| line.starts_with(noise));
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !is_noise(line)).collect();
    let start = lines.len().saturating_sub(4);
    let line = lines[start..].iter().map(|line| escaped(line.trim_end_matches('.'))).collect::<Vec<_>>().join("; ");
    let cut: String = line.chars().take(MOST_TOLD).collect();
    if cut.is_empty() { "it did not say why".to_owned() } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_git_have_a_meaning() {
        for (said, meaning, fault) in [
            ("fatal: Authentication failed for 'https://git.example.com/app/'", Meaning::Login, Fault::Refused),
            (
                "fatal: could not read Username for 'https://x': terminal prompts disabled",
                Meaning::Login,
                Fault::Refused,
            ),
            ("git@x: Permission denied (publickey).", Meaning::Login, Fault::Refused),
            ("Host key verification failed.\nfatal: Could not read from remote", Meaning::HostKey, Fault::Refused),
            ("remote: x\nfatal: repository 'https://x/' not found", Meaning::NoRepository, Fault::Refused),
            ("fatal: unable to access 'x': The requested URL returned error: 301", Meaning::Elsewhere, Fault::Refused),
            ("fatal: transport 'ext' not allowed", Meaning::Transport, Fault::Refused),
            ("fatal: remote error: upload-pack: not our ref 1234", Meaning::NoCommit, Fault::Refused),
            (
                "error: object 12: hasDotgit: contains '.git'\nfatal: fsck error in packed object",
                Meaning::Objects,
                Fault::Refused,
            ),
            (
                "fatal: unable to access 'x': Could not resolve host: git.example.com",
                Meaning::Network,
                Fault::Transient,
            ),
            ("fatal: the remote end hung up unexpectedly", Meaning::Network, Fault::Transient),
            (
                "error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502",
                Meaning::Network,
                Fault::Transient,
            ),
        ] {
            assert_eq!((Meaning::of(said), Meaning::of(said).fault()), (meaning, fault), "{said}");
        }
    }

    #[test]
    fn what_is_told_is_short_and_gives_nothing_away() {
        let said = b"hint: do that\nremote: \x1b[31mhello\nfatal: 'hunter22' is no good.\n";
        assert_eq!(told(said, &["hunter22"]), r"remote: \u{1b}[31mhello; fatal: '…' is no good");
        assert_eq!(told(b"", &[]), "it did not say why");
        assert_eq!(told(&[b'x'; 5000], &[]).len(), MOST_TOLD);
    }
}
