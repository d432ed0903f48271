//! Files that look like secrets: whoever has an image can read all of it, so people are told before they hand it on.

use stave_archive::{
    content::Content,
    tree::{Node, Tree, TreePath},
};

/// How much of a file is looked at, in bytes. A private key is smaller.
const MAX_LOOK: u64 = 64 * 1024;
/// How many are named.
const MAX_NAMED: usize = 20;
/// Ends of names of example files, which hold no secrets.
const EXAMPLES: [&str; 5] = ["example", "sample", "template", "dist", "defaults"];

/// A file that looks like a secret, and like what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Where it is.
    pub path: TreePath,
    /// What it looks like, such as `a private key`.
    pub kind: &'static str,
}

/// Looks for them; the first twenty.
pub fn suspects(tree: &Tree) -> Vec<Suspect> {
    let files = tree.iter().filter_map(|(path, node)| match node {
        Node::File(_, content) => Some((path, content.as_ref())),
        _ => None,
    });
    let suspects = files.filter_map(|(path, content)| Some(Suspect { path: path.clone(), kind: kind(path, content)? }));
    suspects.take(MAX_NAMED).collect()
}

fn kind(path: &TreePath, content: &dyn Content) -> Option<&'static str> {
    let holds = |text: &str| {
        // What is too large is no key, and what cannot be read is reported by who needs it.
        let bytes = content.bytes(MAX_LOOK).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let mut names = path.as_str().rsplit('/');
    let (name, folder) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    let ending = name.rsplit_once('.').map(|(_, ending)| ending).unwrap_or_default();
    let is_key =
        matches!(name, "id_rsa" | "id_dsa" | "id_ecdsa" | "id_ed25519") || matches!(ending, "pem" | "key" | "p8");
    match name {
        ".env" => Some("settings, often with passwords"),
        _ if name.starts_with(".env.") && !EXAMPLES.contains(&ending) => Some("settings, often with passwords"),
        _ if is_key && holds("PRIVATE KEY-----") => Some("a private key"),
        ".netrc" | ".git-credentials" | ".pypirc" => Some("logins"),
        ".npmrc" if holds("_authToken") || holds("_password") => Some("logins"),
        "config.json" if folder == ".docker" && holds("\"auth\"") => Some("logins"),
        "credentials" if folder == ".aws" => Some("logins"),
        "config" if folder == ".kube" => Some("logins"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tree;

    /// T3.
    #[test]
    fn secrets_are_told_from_what_only_looks_like_them() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\n";
        let certificate = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n";
        let found = suspects(&tree(&[
            (".env", "A=1"),
            ("a/.env.production", "A=1"),
            (".env.example", "A="),
            ("environment.env", "A=1"),
            ("tls/server.key", key),
            ("tls/server.pem", certificate),
            ("tls/all.pem", &format!("{certificate}{key}")),
            ("id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----"),
            ("id_rsa", "not one"),
            ("en.key", "translation"),
            (".npmrc", "//registry.example.com/:_authToken=x"),
            ("b/.npmrc", "registry=https://registry.example.com/"),
            (".docker/config.json", r#"{"auths":{"x":{"auth":"eA=="}}}"#),
            ("config.json", r#"{"auth":"x"}"#),
            (".aws/credentials", ""),
        ]));
        let found: Vec<String> = found.iter().map(|suspect| format!("{}: {}", suspect.path, suspect.kind)).collect();
        insta::assert_snapshot!(found.join("\n"), @r"
        .aws/credentials: logins
        .docker/config.json: logins
        .env: settings, often with passwords
        .npmrc: logins
        a/.env.production: settings, often with passwords
        id_ed25519: a private key
        tls/all.pem: a private key
        tls/server.key: a private key
        ");
    }
}
