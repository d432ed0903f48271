//! Whose signatures an artefact has, and whether the operator's policy is content with them.
//!
//! What is asked about is the digest of the manifest that is then used, whatever the name that led to it. Signatures that verified
//! are kept beside the results of earlier runs, and verified again with the keys of the day: so what was taken once is taken
//! without a network, and what is in the cache is believed no more than what a registry says.
//!
//! What is not an artefact in a registry or a layout, such as a component's file or a builder that was created on this machine, is
//! its owner's to trust. A bundle brings no signatures along, and is let in where a rule needs none of it. The components of a builder's artefact are part of what its signature is about.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use stave_lifecycle::port::{
    blobs::Results as _,
    failure::{Fault, PortError},
    observer::{Event, Level, Observer as _},
};
use stave_model::{
    digest::{Digest, Key},
    policy::{
        Policy,
        grants::Whose,
        trust::{self, Pattern, Trust, Verdict, decide},
    },
};
use stave_oci::{
    component::Place,
    reference::Registry,
    signature::{self, MAX_SIGNATURES, Signature},
};
use stave_trust::{
    key::{Keyring, MAX_KEY, PublicKey},
    verify::{Signed, Unverified, signer},
};

use crate::{
    components::means,
    config::read_at_most,
    exit::{ANALYZE, Exit, UNTRUSTED, USAGE, printable},
    policy::Overseer,
    workshop::Workshop,
};

/// How many of the signatures that do not count are told.
const MAX_TOLD: usize = 10;

/// The keys and rules of a policy.
pub(crate) struct Verifier {
    keys: Keyring,
    rules: Vec<Trust>,
}

impl Verifier {
    /// Reads the keys that a policy names.
    pub(crate) fn of(overseer: &Overseer) -> Result<Self, Exit> {
        let Policy { keys, trust: rules, .. } = &overseer.policy;
        let file = printable(&overseer.file.display().to_string());
        let refused =
            |error: anyhow::Error| Exit::new(USAGE, error.context(format!("could not follow the policy {file}")));
        trust::check(keys, rules).map_err(|error| refused(error.into()))?;
        let mut read = BTreeMap::new();
        for (name, text) in keys {
            let key = public_key(overseer.folder(), text);
            let key = key.map_err(|error| refused(error.context(format!("could not use the key {name}"))))?;
            read.insert(name.clone(), key);
        }
        let keys = Keyring::new(read).map_err(|error| refused(error.into()))?;
        let rules = rules.iter().map(|rule| canonical(rule, overseer.folder())).collect::<Result<_, _>>();
        Ok(Self { keys, rules: rules.map_err(|error: trust::TrustError| refused(error.into()))? })
    }
}

/// Why the policy does not let something be taken.
fn refuse(workshop: &Workshop, place: &Place, verdict: &Verdict<'_>, found: &[String]) -> Exit {
    let policy = workshop.policy.as_deref().map(|policy| policy.file.display().to_string()).unwrap_or_default();
    let (policy, site) = (printable(&policy), printable(&site(place)));
    if let Verdict::Nowhere = verdict {
        let exit = Exit::new(UNTRUSTED, format!("{place} is refused by the policy {policy}"));
        return exit.detail(verdict.to_string()).hint(format!(
            "a rule in [[trust]] with from = \"{site}\" says whose signature is needed there, or `unsigned = true`"
        ));
    }
    let exit = Exit::new(UNTRUSTED, format!("{place} is not signed as the policy {policy} needs it"));
    let exit = exit.detail(verdict.to_string());
    let exit = found.iter().take(MAX_TOLD).fold(exit, |exit, one| exit.detail(format!("found: {one}")));
    let exit = match found.len() {
        0 => exit.detail("found: no signature"),
        n if n > MAX_TOLD => exit.detail(format!("found: {} more", n - MAX_TOLD)),
        _ => exit,
    };
    exit.hint(format!("whoever has the key signs it with `stave buildpack sign {place} --key FILE`, or with cosign"))
}

/// A key as a policy has it: its text, or a file beside the policy.
fn public_key(folder: &Path, text: &str) -> anyhow::Result<PublicKey> {
    if text.contains("-----BEGIN") {
        return Ok(PublicKey::from_pem(text)?);
    }
    let file = folder.join(text);
    let context = || format!("could not read {}", printable(&file.display().to_string()));
    let text = read_at_most(&file, MAX_KEY as u64).map_err(|error| anyhow::Error::new(error).context(context()))?;
    PublicKey::from_pem(&text).map_err(|error| anyhow::Error::new(error).context(context()))
}

/// A rule about a place as [`site`] calls it.
fn canonical(rule: &Trust, folder: &Path) -> Result<Trust, trust::TrustError> {
    let text = rule.from.as_str();
    let from = if let Some(layout) = text.strip_prefix("oci:") {
        let (stem, rest) = layout.strip_suffix('*').map_or((layout, ""), |stem| (stem, "*"));
        // A star alone means all there are.
        let stem = if stem.is_empty() { String::new() } else { real(&folder.join(stem)).display().to_string() };
        let slash = if layout.ends_with("/*") && !stem.ends_with('/') { "/" } else { "" };
        format!("oci:{stem}{slash}{rest}")
    } else {
        // What could never be what a place is called would be passed over without a word, and a wider rule would count.
        let odd = || trust::TrustError::Pattern(text.to_owned());
        match text.split_once('/') {
            Some((registry, rest)) => {
                if rest.contains([':', '@']) || rest.chars().any(char::is_uppercase) {
                    return Err(odd());
                }
                let registry = registry.parse::<Registry>().map_err(|_| odd())?;
                format!("{}/{rest}", registry.canonical())
            }
            None if text.contains(':') => return Err(odd()),
            None => text.to_ascii_lowercase(),
        }
    };
    Ok(Trust { from: Pattern::resolved(from), needs: rule.needs.clone() })
}

/// What rules call a place: however it was typed, it is called one way.
fn site(place: &Place) -> String {
    match place {
        Place::Registry(reference) => {
            let registry = reference.registry.as_ref().map(Registry::canonical).unwrap_or_default();
            format!("{registry}/{}", reference.repository)
        }
        Place::Layout { place, .. } => format!("oci:{}", real(&place.folder).display()),
    }
}

/// Where a path really is; of one that is not there, where its folder is.
fn real(path: &Path) -> PathBuf {
    let beside = || Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    fs::canonicalize(path).ok().or_else(beside).unwrap_or_else(absolute)
}

/// Whether signatures are looked for of what is at a place; an error if nothing is to be taken from there.
pub(crate) fn is_asked_for(workshop: &Workshop, place: &Place) -> Result<bool, Exit> {
    let Some(verifier) = &workshop.verifier else { return Ok(false) };
    let (site, nobody) = (site(place), BTreeSet::new());
    match decide(&verifier.rules, &site, &nobody) {
        // They may still say what it is granted.
        Verdict::NoRules => Ok(!verifier.keys.is_empty()),
        Verdict::Nothing(_) => Ok(granted_to(workshop).next().is_some()),
        verdict @ Verdict::Nowhere => Err(refuse(workshop, place, &verdict, &[])),
        Verdict::Missing { .. } | Verdict::Signed(_) => Ok(true),
    }
}

/// Refuses what is at a place and brings no signatures along, unless the policy asks for none there.
pub(crate) fn lets_in_unsigned(workshop: &Workshop, place: &Place) -> Result<(), Exit> {
    let Some(verifier) = &workshop.verifier else { return Ok(()) };
    let (site, nobody) = (site(place), BTreeSet::new());
    let verdict = decide(&verifier.rules, &site, &nobody);
    if verdict.is_refused() { Err(refuse(workshop, place, &verdict, &[])) } else { Ok(()) }
}

/// The signers that the policy grants something.
fn granted_to(workshop: &Workshop) -> impl Iterator<Item = &String> {
    let grants = workshop.policy.iter().flat_map(|overseer| &overseer.policy.grants);
    grants.filter_map(|grant| match &grant.whose {
        Whose::Signer(name) => Some(name),
        Whose::Digest(_) => None,
    })
}

/// Whose signatures of `subject` verify, as a lock has them; an error if they are not enough for what is at `place`. Signatures that
/// are kept are enough, unless what is there now is to be known.
pub(crate) fn signers(
    workshop: &Workshop,
    place: &Place,
    subject: Digest,
    afresh: bool,
) -> Result<Option<String>, Exit> {
    let Some(verifier) = &workshop.verifier else { return Ok(None) };
    if !is_asked_for(workshop, place)? {
        return Ok(None);
    }
    let site = site(place);
    let mut known = Examined::default();
    for signature in kept(workshop, &site, &subject) {
        known.take(signature, &subject, &verifier.keys);
    }
    let is_needed = decide(&verifier.rules, &site, &known.names).is_refused();
    let is_all = granted_to(workshop).all(|name| known.names.contains(name));
    if is_needed || known.names.is_empty() || !is_all || afresh {
        match signature::list(place, &subject, &means(workshop)) {
            Ok(listed) => listed.into_iter().for_each(|one| known.take(one, &subject, &verifier.keys)),
            // Where none is needed, or enough are known, nobody has to be reached, and nobody's signatures are in the way.
            Err(error) if !is_needed && !workshop.cancel.is_set() => {
                let text = match error.fault {
                    Fault::Network => format!("nobody could be asked whose signatures {place} has now"),
                    _ => format!("the signatures of {place} could not be looked at: {error}"),
                };
                workshop.ui.observe(Event::Note(Level::Warning, text));
            }
            Err(error) => return Err(unlisted(workshop, error)),
        }
    }
    let verdict = decide(&verifier.rules, &site, &known.names);
    if verdict.is_refused() {
        return Err(refuse(workshop, place, &verdict, &known.told));
    }
    keep(workshop, &site, &subject, &known.good);
    let signers = trust::joined(&known.names);
    if let Some(signers) = &signers {
        workshop.ui.observe(Event::Note(Level::Debug, format!("{place} is signed by {signers}: {verdict}")));
    }
    Ok(signers)
}

/// Why signatures could not be looked at.
fn unlisted(workshop: &Workshop, error: PortError) -> Exit {
    if workshop.cancel.is_set() {
        return Exit::from(error);
    }
    let is_refused = matches!(error.fault, Fault::InvalidInput | Fault::TooLarge | Fault::Integrity);
    let exit = Exit::new(if is_refused { UNTRUSTED } else { ANALYZE }, error);
    exit.hint("signatures that verified once are kept in the cache, and need no network again")
}

/// Signatures that were looked at.
#[derive(Default)]
struct Examined {
    /// The names of the keys whose signatures are good.
    names: BTreeSet<String>,
    /// The good ones.
    good: Vec<Kept>,
    /// All of them, in words.
    told: Vec<String>,
}

impl Examined {
    fn take(&mut self, signature: Signature, subject: &Digest, keys: &Keyring) {
        match verified(&signature, subject, keys) {
            Ok(name) => {
                let kept = Kept::of(signature);
                if self.names.insert(name.to_owned()) {
                    self.told.push(format!("a signature of {name}"));
                    self.good.extend(kept);
                }
            }
            Err(why) => self.told.push(format!("a signature that does not count: {why}")),
        }
    }
}

/// Whose signature of `subject` it is, or in words why nobody's.
pub(crate) fn verified<'k>(signature: &Signature, subject: &Digest, keys: &'k Keyring) -> Result<&'k str, String> {
    let signed = match signature {
        Signature::Bundle(bytes) => Signed::Bundle(bytes),
        Signature::Simple { payload, signature, has_certificate } => {
            Signed::Simple { payload, signature, has_certificate: *has_certificate }
        }
        Signature::Unreadable(why) => return Err(why.clone()),
    };
    signer(&signed, subject, keys).map_err(|error: Unverified| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}")
    })
}

/// A signature that verified, as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kept {
    Bundle(String),
    Simple { payload: String, signature: String },
}

impl Kept {
    fn of(signature: Signature) -> Option<Self> {
        match signature {
            Signature::Bundle(bytes) => String::from_utf8(bytes).ok().map(Self::Bundle),
            Signature::Simple { payload, signature, has_certificate: false } => {
                String::from_utf8(payload).ok().map(|payload| Self::Simple { payload, signature })
            }
            Signature::Simple { .. } | Signature::Unreadable(_) => None,
        }
    }
}

/// By the place too: what is enough does not depend on what was taken from elsewhere before.
fn kept_key(site: &str, subject: &Digest) -> Digest {
    Key::new("stave signatures 1").field(site).field(subject.to_string()).finish()
}

fn kept(workshop: &Workshop, site: &str, subject: &Digest) -> Vec<Signature> {
    let value = workshop.results.get(&kept_key(site, subject));
    let all: Vec<Kept> = value.and_then(|value| serde_json::from_slice(&value).ok()).unwrap_or_default();
    let all = all.into_iter().take(MAX_SIGNATURES).map(|one| match one {
        Kept::Bundle(text) => Signature::Bundle(text.into_bytes()),
        Kept::Simple { payload, signature } => {
            Signature::Simple { payload: payload.into_bytes(), signature, has_certificate: false }
        }
    });
    all.collect()
}

fn keep(workshop: &Workshop, site: &str, subject: &Digest, good: &[Kept]) {
    if let (false, Ok(value)) = (good.is_empty(), serde_json::to_vec(good)) {
        workshop.results.put(&kept_key(site, subject), &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> String {
        site(&text.parse().unwrap())
    }

    fn rule(from: &str, folder: &Path) -> String {
        let rule = Trust { from: Pattern::new(from).unwrap(), needs: trust::Needs::Nothing };
        canonical(&rule, folder).unwrap().from.as_str().to_owned()
    }

    #[test]
    fn a_place_has_one_name_however_it_is_typed() {
        for text in [
            "registry.example.com/acme/java:1",
            "REGISTRY.example.com:443/acme/java@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert_eq!(place(text), "registry.example.com/acme/java");
        }
        let here = Path::new("/");
        assert_eq!(rule("Registry.example.com:443/acme/*", here), "registry.example.com/acme/*");
        assert_eq!(rule("registry.example.com:5000/acme", here), "registry.example.com:5000/acme");
        assert_eq!(rule("*", here), "*");
    }

    #[test]
    fn layouts_are_meant_by_where_they_really_are() {
        let temp = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(temp.path()).unwrap();
        fs::create_dir_all(real.join("layouts/one")).unwrap();
        std::os::unix::fs::symlink(real.join("layouts"), real.join("link")).unwrap();
        let one = format!("oci:{}/layouts/one", real.display());
        assert_eq!(place(&format!("oci:{}/link/one:name", real.display())), one);
        assert_eq!(rule("oci:layouts/one", &real), one);
        assert_eq!(rule("oci:./link/*", &real), format!("oci:{}/layouts/*", real.display()));
        assert_eq!(rule("oci:*", &real), "oci:*");
        let all = Pattern::new(&rule("oci:layouts/*", &real)).unwrap();
        assert!(all.matches(&one) && !all.matches(&format!("oci:{}/layouts-evil/one", real.display())));
    }
}
