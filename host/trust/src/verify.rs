//! A signature of either format, the digest of an artefact, and some keys: whose signature it is, or why it is nobody's.

use stave_model::{digest::Digest, json::JsonError};

use crate::{bundle, key::Keyring, simple};

/// A signature as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed<'a> {
    /// A Sigstore bundle.
    Bundle(&'a [u8]),
    /// A payload with its signature beside it.
    Simple {
        /// What is signed.
        payload: &'a [u8],
        /// The signature in base64.
        signature: &'a str,
        /// Whether it comes with a certificate instead of a key.
        has_certificate: bool,
    },
}

/// Why a signature says nothing.
#[derive(Debug, thiserror::Error)]
pub enum Unverified {
    /// It is larger than signatures are.
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
    /// It has more of something than it may.
    #[error("it has too many {0}")]
    TooMany(&'static str),
    /// It is not the JSON that it should be.
    #[error("it cannot be read")]
    Malformed(#[source] JsonError),
    /// Something in it is not base64.
    #[error("it is not base64 where it should be")]
    Base64,
    /// It is, or is about, something else.
    #[error("the type of its {what} is `{}`", .found.escape_debug())]
    Kind {
        /// Of what.
        what: &'static str,
        /// What it is.
        found: String,
    },
    /// It is two things at once.
    #[error("it has an envelope and a signature of a message, and may have one of them")]
    Ambiguous,
    /// There is no signature in it.
    #[error("there is no signature in it")]
    Nothing,
    /// It stands on a certificate.
    #[error("it is made with a certificate for an identity, and only signatures of keys can be verified")]
    Certificate,
    /// It is good, and says yes to something else.
    #[error("it is about another artefact")]
    Subject,
    /// It is none of the keys'.
    #[error("it is made with another key{}", .0.as_ref().map(|hint| format!(" ({})", hint.escape_debug())).unwrap_or_default())]
    Stranger(Option<String>),
    /// It names one of the keys, and is not good.
    #[error("it says to be made with the key {}, and is not: it, or what is signed, was changed", .0.escape_debug())]
    Broken(String),
}

/// Whose signature of `subject` it is, by the name of the key.
pub fn signer<'k>(signed: &Signed<'_>, subject: &Digest, keys: &'k Keyring) -> Result<&'k str, Unverified> {
    match *signed {
        Signed::Bundle(bytes) => bundle::signer(bytes, subject, keys),
        Signed::Simple { has_certificate: true, .. } => Err(Unverified::Certificate),
        Signed::Simple { payload, signature, .. } => simple::signer(payload, signature, subject, keys),
    }
}

/// As much of a stranger's text as is shown.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests;
