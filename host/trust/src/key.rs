//! Public keys: ECDSA over P-256, as `cosign generate-key-pair` makes them.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use p256::{
    ecdsa::{
        Signature, VerifyingKey,
        signature::{Verifier as _, hazmat::PrehashVerifier as _},
    },
    pkcs8::{DecodePublicKey as _, EncodePublicKey as _},
};
use stave_model::digest::Digest;

/// The longest text that is read as a key, in bytes.
pub const MAX_KEY: usize = 64 << 10;

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// Why a text is not a key that can be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is longer than keys are.
    #[error("it has more than {MAX_KEY} bytes")]
    TooLong,
    /// It is a private key where a public one belongs.
    #[error("it is a private key: a policy needs the public one, which is for everybody to see")]
    Private,
    /// It is no PEM text with a key in it.
    #[error("it is not a key in PEM format")]
    NoKey,
    /// It is a key of another kind.
    #[error("it is not an ECDSA key over P-256, the kind that `cosign generate-key-pair` makes")]
    Other,
    /// The box around it is not one that cosign makes.
    #[error("its encryption cannot be used: {0}")]
    Sealed(&'static str),
    /// The password does not open it, or somebody changed it.
    #[error("the password does not open it")]
    Password,
}

impl PublicKey {
    /// Reads a PEM text (`PUBLIC KEY`).
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.len() > MAX_KEY {
            return Err(KeyError::TooLong);
        }
        // Whoever mixes the files up is told before anything of it is shown anywhere.
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        if !text.contains("-----BEGIN PUBLIC KEY-----") {
            return Err(KeyError::NoKey);
        }
        VerifyingKey::from_public_key_pem(text.trim()).map(Self).map_err(|_| KeyError::Other)
    }

    pub(crate) fn of(key: &VerifyingKey) -> Self {
        Self(*key)
    }

    /// What bundles call it: the digest of its bytes, in base64, as cosign writes it.
    pub fn hint(&self) -> String {
        let bytes = self.0.to_public_key_der().map(|document| document.as_bytes().to_vec());
        STANDARD.encode(Digest::of(&bytes.unwrap_or_default()).bytes())
    }

    /// Whether a DER signature of a message is this key's.
    pub(crate) fn made(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_der(signature).is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }

    /// The same, of a message with this digest.
    pub(crate) fn made_of(&self, digest: &Digest, signature: &[u8]) -> bool {
        Signature::from_der(signature).is_ok_and(|signature| self.0.verify_prehash(digest.bytes(), &signature).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.hint()).finish()
    }
}

/// Public keys by name, no key under two.
#[derive(Debug, Clone, Default)]
pub struct Keyring(BTreeMap<String, PublicKey>);

/// One key has two names: whoever asks for the signatures of both would be content with one.
#[derive(Debug, thiserror::Error)]
#[error("`{}` and `{}` are one key", .0.escape_debug(), .1.escape_debug())]
pub struct Twice(String, String);

impl Keyring {
    /// Keys by these names.
    pub fn new(keys: BTreeMap<String, PublicKey>) -> Result<Self, Twice> {
        for (index, (name, key)) in keys.iter().enumerate() {
            if let Some((other, _)) = keys.iter().take(index).find(|(_, other)| *other == key) {
                return Err(Twice(other.clone(), name.clone()));
            }
        }
        Ok(Self(keys))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn find(&self, is_it: impl Fn(&PublicKey) -> bool) -> Option<&str> {
        self.0.iter().find(|(_, key)| is_it(key)).map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{OTHER_PUBLIC, P384_PUBLIC, PRIVATE, PUBLIC};

    #[test]
    fn a_key_is_read_and_called_as_cosign_calls_it() {
        let key = PublicKey::from_pem(PUBLIC).unwrap();
        assert_eq!(key.hint(), crate::fixtures::HINT);
        assert_eq!(key, PublicKey::from_pem(&format!("\n{PUBLIC}\n\n")).unwrap());
        assert_ne!(key, PublicKey::from_pem(OTHER_PUBLIC).unwrap());
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let refused = |text: &str| PublicKey::from_pem(text).unwrap_err().to_string();
        let torn = PUBLIC.replacen('M', "N", 1);
        let long = "x".repeat(MAX_KEY + 1);
        insta::assert_snapshot!([PRIVATE, P384_PUBLIC, &torn, "", &long].map(refused).join("\n"), @"
        it is a private key: a policy needs the public one, which is for everybody to see
        it is not an ECDSA key over P-256, the kind that `cosign generate-key-pair` makes
        it is not an ECDSA key over P-256, the kind that `cosign generate-key-pair` makes
        it is not a key in PEM format
        it has more than 65536 bytes
        ");
    }

    #[test]
    fn one_key_has_one_name() {
        let keys = |texts: &[(&str, &str)]| {
            texts.iter().map(|(name, text)| ((*name).to_owned(), PublicKey::from_pem(text).unwrap())).collect()
        };
        assert!(Keyring::new(keys(&[("a", PUBLIC), ("b", OTHER_PUBLIC)])).is_ok());
        let twice = Keyring::new(keys(&[("a", PUBLIC), ("b", OTHER_PUBLIC), ("c", PUBLIC)])).unwrap_err();
        assert_eq!(twice.to_string(), "`a` and `c` are one key");
    }
}
