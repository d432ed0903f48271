//! Is this text signed by a key that this machine trusts? the cleartext signatures of `OpenPGP` (RFC 9580, 7), as `InRelease`
//! files carry them, against a distribution's keyring.
//!
//! One good signature of one usable key is enough: an archive signs with its old and its new key while it changes them.
//! A key is usable if its own signatures say so: it may sign, it is not revoked, and it has not expired.

use std::fmt::Write as _;

use pgp::{
    composed::{CleartextSignedMessage, SignedPublicKey, SignedPublicSubKey},
    crypto::hash::HashAlgorithm,
    packet::{Signature, SignatureType},
    types::{KeyDetails, Tag, VerifyingKey},
};

/// The most bytes of a keyring file.
pub const MAX_KEYRING: usize = 16 << 20;
/// The most keys of one keyring, and the most signatures under one text.
const MAX_KEYS: usize = 1000;
const MAX_SIGNATURES: usize = 32;
/// How far another machine's clock may run ahead of this one's, in seconds.
pub const CLOCK_SKEW: u64 = 24 * 60 * 60;

/// A text whose signature is not accepted, or a keyring that holds no key.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is no key in the keyring.
    #[error("{keyring} holds no OpenPGP key")]
    NoKey {
        /// Which keyring.
        keyring: String,
    },
    /// The text is not a signed one at all.
    #[error("it is not a text with an OpenPGP signature")]
    Unsigned(#[source] Box<pgp::errors::Error>),
    /// No signature under it is good; each one's fault is told.
    #[error("none of its signatures is good by {keyring}: {faults}")]
    NoGood {
        /// Which keyring.
        keyring: String,
        /// Each signature's fault.
        faults: String,
    },
}

/// Keys that may sign a distribution's Release files.
#[derive(Debug)]
pub struct Keyring {
    name: String,
    keys: Vec<SignedPublicKey>,
}

/// A text as it was signed, and by whom.
#[derive(Debug)]
pub struct Verified {
    /// The signed text itself: nothing of what stood around it.
    pub text: String,
    /// The fingerprint of the key, in hex digits.
    pub fingerprint: String,
}

impl Keyring {
    /// Reads a binary or armoured keyring; `name` is how messages call it. Keys of kinds that are not understood are
    /// passed over, as a keyring may hold older and newer ones.
    pub fn read(bytes: &[u8], name: &str) -> Result<Self, SignatureError> {
        let no_key = || SignatureError::NoKey { keyring: name.to_owned() };
        if bytes.len() > MAX_KEYRING {
            return Err(no_key());
        }
        let parsed =
            <SignedPublicKey as pgp::composed::Deserializable>::from_reader_many(bytes).map_err(|_| no_key())?;
        let keys: Vec<SignedPublicKey> = parsed.0.take(MAX_KEYS).filter_map(Result::ok).collect();
        if keys.is_empty() { Err(no_key()) } else { Ok(Self { name: name.to_owned(), keys }) }
    }

    /// One keyring with the keys of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.name = format!("{} and {}", self.name, other.name);
        self.keys.extend(other.keys);
        self
    }
}

/// The text inside of `signed`, if a usable key of `keyring` signed it. `now` is in seconds since 1970.
pub fn verify(signed: &[u8], keyring: &Keyring, now: u64) -> Result<Verified, SignatureError> {
    let (message, _) =
        CleartextSignedMessage::from_armor(signed).map_err(|error| SignatureError::Unsigned(Box::new(error)))?;
    let text = message.signed_text();
    let mut faults = String::new();
    for signature in message.signatures().iter().take(MAX_SIGNATURES) {
        match verify_one(signature, &text, keyring, now) {
            Ok(fingerprint) => return Ok(Verified { text: text.replace("\r\n", "\n"), fingerprint }),
            Err(fault) => {
                let separator = if faults.is_empty() { "" } else { "; " };
                // Writing to a string cannot fail.
                let _ = write!(faults, "{separator}{fault}");
            }
        }
    }
    let faults = if faults.is_empty() { "there is none".to_owned() } else { faults };
    Err(SignatureError::NoGood { keyring: keyring.name.clone(), faults })
}

fn verify_one(signature: &Signature, text: &str, keyring: &Keyring, now: u64) -> Result<String, String> {
    let hash = signature.hash_alg().unwrap_or_default();
    if !is_strong(hash) {
        return Err(format!("one is made with {hash}, which is weak"));
    }
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err("one does not sign a text".to_owned());
    }
    let created = signature.created().map_or(0, |time| u64::from(time.as_secs()));
    if created > now + CLOCK_SKEW {
        return Err("one is dated in the future".to_owned());
    }
    let lasts = signature.signature_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
    if lasts != 0 && created + lasts < now {
        return Err("one has expired".to_owned());
    }
    let mut fault = format!("no key for the one by {}", issuer(signature));
    for key in &keyring.keys {
        match key_that_made(signature, text, key) {
            Made::Primary => match primary_fault(key, now) {
                None => return Ok(fingerprint(&key.primary_key)),
                Some(found) => fault = format!("key {} {found}", fingerprint(&key.primary_key)),
            },
            Made::Subkey(subkey) => match primary_fault_as_owner(key, now).or_else(|| subkey_fault(key, subkey, now)) {
                None => return Ok(fingerprint(&subkey.key)),
                Some(found) => fault = format!("key {} {found}", fingerprint(&subkey.key)),
            },
            Made::Wrongly(id) => fault = format!("the one by {id} does not fit the text"),
            Made::Elsewhere => {}
        }
    }
    Err(fault)
}

/// Which part of a key made a signature.
enum Made<'a> {
    Primary,
    Subkey(&'a SignedPublicSubKey),
    /// The signature names this key, but it is not good.
    Wrongly(String),
    Elsewhere,
}

fn key_that_made<'a>(signature: &Signature, text: &str, key: &'a SignedPublicKey) -> Made<'a> {
    if signature.verify(&key.primary_key, text.as_bytes()).is_ok() {
        return Made::Primary;
    }
    if let Some(subkey) = key.public_subkeys.iter().find(|sub| signature.verify(&sub.key, text.as_bytes()).is_ok()) {
        return Made::Subkey(subkey);
    }
    let is_named = |candidate: &dyn KeyDetails| {
        signature.issuer_fingerprint().contains(&&candidate.fingerprint())
            || signature.issuer_key_id().contains(&&candidate.legacy_key_id())
    };
    let named = is_named(&key.primary_key) || key.public_subkeys.iter().any(|subkey| is_named(&subkey.key));
    if named { Made::Wrongly(issuer(signature)) } else { Made::Elsewhere }
}

/// Why the primary key may not sign texts, if so.
fn primary_fault(key: &SignedPublicKey, now: u64) -> Option<&'static str> {
    primary_fault_as_owner(key, now).or_else(|| {
        let signs = newest_self_signature(key).is_some_and(|signature| signature.key_flags().sign());
        (!signs).then_some("is not for signing")
    })
}

/// Why the primary key may not even own subkeys, if so.
fn primary_fault_as_owner(key: &SignedPublicKey, now: u64) -> Option<&'static str> {
    if key.details.revocation_signatures.iter().any(|signature| signature.verify_key(&key.primary_key).is_ok()) {
        return Some("is revoked");
    }
    let Some(newest) = newest_self_signature(key) else {
        return Some("has no valid signature by itself");
    };
    has_expired(&key.primary_key, newest, now).then_some("has expired")
}

fn newest_self_signature(key: &SignedPublicKey) -> Option<&Signature> {
    let primary = &key.primary_key;
    let users =
        key.details.users.iter().flat_map(|user| user.signatures.iter().map(move |signature| (user, signature)));
    let on_users = users
        .filter(|(_, signature)| signature.is_certification())
        .filter(|(user, signature)| signature.verify_certification(primary, Tag::UserId, &user.id).is_ok())
        .map(|(_, signature)| signature);
    let direct = key.details.direct_signatures.iter().filter(|signature| signature.verify_key(primary).is_ok());
    on_users.chain(direct).max_by_key(|signature| signature.created())
}

/// Why the subkey may not sign texts, if so.
fn subkey_fault(key: &SignedPublicKey, subkey: &SignedPublicSubKey, now: u64) -> Option<&'static str> {
    let valid = |signature: &&Signature| signature.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok();
    let of_type = |kind| subkey.signatures.iter().filter(move |signature| signature.typ() == Some(kind)).filter(valid);
    if of_type(SignatureType::SubkeyRevocation).next().is_some() {
        return Some("is revoked");
    }
    let Some(binding) = of_type(SignatureType::SubkeyBinding).max_by_key(|signature| signature.created()) else {
        return Some("is not bound to its owner");
    };
    let back = binding.embedded_signature();
    if back.is_none_or(|back| back.verify_primary_key_binding(&subkey.key, &key.primary_key).is_err()) {
        return Some("has not agreed to its owner");
    }
    if !binding.key_flags().sign() {
        return Some("is not for signing");
    }
    has_expired(&subkey.key, binding, now).then_some("has expired")
}

fn has_expired(key: &impl KeyDetails, signature: &Signature, now: u64) -> bool {
    let lasts = signature.key_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
    lasts != 0 && u64::from(key.created_at().as_secs()) + lasts < now
}

/// SHA-1, MD5 and RIPEMD-160 can be collided, or nearly; SHA-224 is of no use to anyone.
fn is_strong(hash: HashAlgorithm) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    matches!(hash, Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512)
}

fn issuer(signature: &Signature) -> String {
    let print = signature.issuer_fingerprint().first().map(|print| format!("{print:X}"));
    let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    print.or_else(id).unwrap_or_else(|| "an unnamed key".to_owned())
}

fn fingerprint(key: &impl VerifyingKey) -> String {
    format!("{:X}", key.fingerprint())
}
