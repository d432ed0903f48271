//! Private keys. They are wiped when they are dropped, and never shown.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::{DecodePrivateKey as _, der::pem},
};
use stave_model::digest::Digest;
use zeroize::Zeroizing;

use crate::{
    bundle,
    key::{KeyError, MAX_KEY, PublicKey},
    sealed,
};

/// What cosign calls a private key behind a password: today, and before.
const SEALED: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];
/// A private key that everybody can use who can read it (PKCS #8).
const PLAIN: &str = "PRIVATE KEY";

/// A private key.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// Whether a PEM text needs a password.
    pub fn is_sealed(text: &str) -> bool {
        SEALED.iter().any(|label| text.contains(&format!("-----BEGIN {label}-----")))
    }

    /// Reads a PEM text; the password is for those that need one.
    pub fn from_pem(text: &str, password: &[u8]) -> Result<Self, KeyError> {
        if text.len() > MAX_KEY {
            return Err(KeyError::TooLong);
        }
        let (label, bytes) = pem::decode_vec(text.trim().as_bytes()).map_err(|_| KeyError::NoKey)?;
        let bytes = Zeroizing::new(bytes);
        match label {
            PLAIN => Self::from_der(&bytes),
            label if SEALED.contains(&label) => Self::from_der(&sealed::open(&bytes, password)?),
            label if label.ends_with("PRIVATE KEY") => Err(KeyError::Other),
            _ => Err(KeyError::NoKey),
        }
    }

    fn from_der(bytes: &[u8]) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_der(bytes).map(Self).map_err(|_| KeyError::Other)
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> PublicKey {
        PublicKey::of(self.0.verifying_key())
    }

    /// The bundle that says yes to an artefact. The same key and artefact give the same bytes (RFC 6979).
    pub fn sign(&self, subject: &Digest) -> Vec<u8> {
        bundle::written(subject, &self.public().hint(), |message| self.signature(message))
    }

    /// The signature of a message, as DER in base64.
    pub(crate) fn signature(&self, message: &[u8]) -> String {
        let signature: Signature = self.0.sign(message);
        STANDARD.encode(signature.to_der().as_bytes())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{OLD_PRIVATE, P384_PRIVATE, PASSWORD, PLAIN_PRIVATE, PRIVATE, PUBLIC};

    #[test]
    fn keys_of_every_kind_are_read() {
        let public = PublicKey::from_pem(PUBLIC).unwrap();
        for (text, needs_password) in [(PRIVATE, true), (OLD_PRIVATE, true), (PLAIN_PRIVATE, false)] {
            assert_eq!(PrivateKey::is_sealed(text), needs_password);
            assert_eq!(PrivateKey::from_pem(text, PASSWORD).unwrap().public(), public);
        }
        assert_eq!(format!("{:?}", PrivateKey::from_pem(PLAIN_PRIVATE, b"").unwrap()), "PrivateKey");
    }

    #[test]
    fn what_cannot_be_opened_is_refused() {
        let refused = |text: &str, password: &[u8]| PrivateKey::from_pem(text, password).unwrap_err().to_string();
        let shown = [
            refused(PRIVATE, b"wrong"),
            refused(PRIVATE, b""),
            refused(PUBLIC, PASSWORD),
            refused(P384_PRIVATE, PASSWORD),
            refused("-----BEGIN PRIVATE KEY-----", PASSWORD),
            refused(&"x".repeat(MAX_KEY + 1), PASSWORD),
        ];
        insta::assert_snapshot!(shown.join("\n"), @"
        the password does not open it
        the password does not open it
        it is not a key in PEM format
        it is not an ECDSA key over P-256, the kind that `cosign generate-key-pair` makes
        it is not a key in PEM format
        it has more than 65536 bytes
        ");
    }
}
