//! Keys and signatures for tests. The keys are for nothing else: everybody can read them.
//!
//! `sealed.pem` is `plain.pem` after `cosign import-key-pair` (3.1.3) with the password below. `cosign.json` and `payload.json` with
//! `payload.sig` are what `cosign sign` left in a registry where `manifest.json` was signed with it, in its two formats.

use stave_model::digest::Digest;

use crate::{
    key::{Keyring, PublicKey},
    secret::PrivateKey,
};

pub(crate) const PASSWORD: &[u8] = b"only for tests";
pub(crate) const PLAIN_PRIVATE: &str = include_str!("fixtures/plain.pem");
pub(crate) const PUBLIC: &str = include_str!("fixtures/plain.pub");
pub(crate) const HINT: &str = "8KZMoslaeaftz388WXUeSAS4LjAfQEMQfk/ztH3NnSw=";
pub(crate) const PRIVATE: &str = include_str!("fixtures/sealed.pem");
/// The same with the label that cosign wrote before.
pub(crate) const OLD_PRIVATE: &str = include_str!("fixtures/sealed-old.pem");
pub(crate) const OTHER_PRIVATE: &str = include_str!("fixtures/other.pem");
pub(crate) const OTHER_PUBLIC: &str = include_str!("fixtures/other.pub");
pub(crate) const P384_PRIVATE: &str = include_str!("fixtures/p384.pem");
pub(crate) const P384_PUBLIC: &str = include_str!("fixtures/p384.pub");
const STRANGER: &str = include_str!("fixtures/stranger.pem");

/// What is signed.
pub(crate) const MANIFEST: &[u8] = include_bytes!("fixtures/manifest.json");
pub(crate) const COSIGN_BUNDLE: &[u8] = include_bytes!("fixtures/cosign.json");
pub(crate) const COSIGN_PAYLOAD: &[u8] = include_bytes!("fixtures/payload.json");
pub(crate) const COSIGN_SIGNATURE: &str = include_str!("fixtures/payload.sig");

/// The digest of what is signed.
pub(crate) fn signed() -> Digest {
    Digest::of(MANIFEST)
}

/// The key that signed it, and another.
pub(crate) fn keys() -> Keyring {
    let keys = [("ours", PUBLIC), ("theirs", OTHER_PUBLIC)];
    let keys = keys.map(|(name, text)| (name.to_owned(), PublicKey::from_pem(text).unwrap()));
    Keyring::new(keys.into()).unwrap()
}

/// A key that nobody knows.
pub(crate) fn stranger() -> PrivateKey {
    PrivateKey::from_pem(STRANGER, b"").unwrap()
}
