//! Signing: a private key, its password, and a signature that is put beside what it signs.

use std::path::Path;

use stave_model::digest::Digest;
use stave_oci::{
    Attachment,
    component::Place,
    signature::{self, BUNDLE},
};
use stave_trust::{
    bundle::SIGNED,
    key::{Keyring, MAX_KEY},
    secret::PrivateKey,
};
use zeroize::Zeroizing;

use crate::{
    components::means,
    config::read_at_most,
    exit::{EXPORT, Exit, USAGE, printable},
    secret,
    trust::verified,
    workshop::Workshop,
};

/// Where the password of a key is, as cosign has it.
pub(crate) const PASSWORD_VARIABLE: &str = "COSIGN_PASSWORD";

/// Reads a private key, and asks for its password where it needs one: before anything is sent anywhere.
pub(crate) fn key(workshop: &Workshop, file: &Path) -> Result<PrivateKey, Exit> {
    let shown = printable(&file.display().to_string());
    let refused = |error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not use the key {shown}")));
    let text = read_at_most(file, MAX_KEY as u64).map(Zeroizing::new).map_err(|error| refused(error.into()))?;
    let password = if PrivateKey::is_sealed(&text) { password(workshop, &shown)? } else { Zeroizing::default() };
    PrivateKey::from_pem(&text, &password).map_err(|error| match refused(error.into()) {
        exit if PrivateKey::is_sealed(&text) => exit,
        exit => exit.hint("it is the private key that `cosign generate-key-pair` writes as cosign.key"),
    })
}

fn password(workshop: &Workshop, file: &str) -> Result<Zeroizing<Vec<u8>>, Exit> {
    if let Some(given) = std::env::var_os(PASSWORD_VARIABLE) {
        return Ok(Zeroizing::new(given.into_encoded_bytes()));
    }
    let asked = workshop.pausing(|| secret::ask(&workshop.ui, &format!("password of {file}: "), &workshop.cancel))?;
    workshop.cancel.check()?;
    asked.ok_or_else(|| {
        let exit = Exit::new(USAGE, format!("the key {file} needs its password"));
        exit.hint(format!("{PASSWORD_VARIABLE} gives it, and where there is a terminal, it is asked for"))
    })
}

/// Signs what has this digest at a place, unless a signature of the key is there. Answers whether there was none.
pub(crate) fn sign(
    workshop: &Workshop,
    place: &Place,
    subject: &stave_lifecycle::image::Descriptor,
    key: &PrivateKey,
) -> Result<bool, Exit> {
    let failed = |error| Exit::new(EXPORT, error);
    if is_signed(workshop, place, &subject.digest, key)? {
        return Ok(false);
    }
    let bundle = key.sign(&subject.digest);
    let attachment = Attachment {
        media_type: BUNDLE,
        // As cosign has them.
        annotations: &[("dev.sigstore.bundle.content", "dsse-envelope"), ("dev.sigstore.bundle.predicateType", SIGNED)],
        file: &bundle,
    };
    signature::attach(place, subject, &attachment, &means(workshop)).map_err(failed)?;
    if is_signed(workshop, place, &subject.digest, key)? {
        return Ok(true);
    }
    let exit = Exit::new(EXPORT, format!("{place} does not list the signature that was put there"));
    Err(exit.hint("somebody may have changed its list of signatures at the same time: try again"))
}

/// Whether a signature of the key is there.
fn is_signed(workshop: &Workshop, place: &Place, subject: &Digest, key: &PrivateKey) -> Result<bool, Exit> {
    let keys = Keyring::new([("own".to_owned(), key.public())].into()).map_err(|error| Exit::new(USAGE, error))?;
    let there = signature::list(place, subject, &means(workshop)).map_err(|error| Exit::new(EXPORT, error))?;
    Ok(there.iter().any(|signature| verified(signature, subject, &keys).is_ok()))
}

/// What is said of a key that signed: what cosign calls it, and whether anything is new.
pub(crate) fn told(place: &Place, key: &PrivateKey, is_new: bool) -> String {
    let hint = key.public().hint();
    if is_new { format!("{place} is signed (key {hint})") } else { format!("{place} was signed already (key {hint})") }
}
