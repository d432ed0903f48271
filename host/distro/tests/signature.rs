//! Which signatures are accepted: a table of keys and texts, each with the reason it is refused for.

#![allow(clippy::unwrap_used, clippy::panic_in_result_fn, clippy::print_stdout, missing_docs, reason = "a test")]

mod support;

use pgp::{
    composed::{ArmorOptions, CleartextSignedMessage, KeyType},
    crypto::hash::HashAlgorithm,
    packet::{KeyFlags, Subpacket, SubpacketData},
    types::{Duration, Timestamp},
};
use stave_distro::signature::{Keyring, verify};
use support::{SIGNED, Signer, sign_with};

const NOW: u64 = SIGNED as u64 + 1000;
const TEXT: &str = "Origin: Toy\n- a dash\nand space\nDate: x";

fn check(text: &str, by: &Signer) -> Result<String, String> {
    let keyring = Keyring::read(&by.keyring(), "the keyring").unwrap();
    verify(text.as_bytes(), &keyring, NOW).map(|verified| verified.text).map_err(|error| error.to_string())
}

fn signing() -> SubpacketData {
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    SubpacketData::KeyFlags(flags)
}

#[test]
fn a_good_signature_gives_what_was_signed_and_no_more() {
    let signer = Signer::new(1);
    let whole = signer.sign(TEXT);
    assert_eq!(check(&whole, &signer).unwrap(), "Origin: Toy\n- a dash\nand space\nDate: x");
    assert_eq!(check(&sign_with(TEXT, &signer.secret.secret_subkeys[0].key, |_| {}), &signer).unwrap().len(), 38);
    let before = format!("Origin: Evil\n{whole}");
    assert!(check(&before, &signer).is_err_and(|fault| fault.contains("not a text with")), "nothing stands before it");
    let after = format!("{whole}\nOrigin: Evil\n");
    assert!(check(&after, &signer).is_err(), "nothing stands behind it");
}

#[test]
fn an_armoured_keyring_serves_as_well() {
    let signer = Signer::new(1);
    let armoured = signer.public.to_armored_string(ArmorOptions::default()).unwrap();
    let both = Keyring::read(&Signer::new(2).keyring(), "one")
        .unwrap()
        .and(Keyring::read(armoured.as_bytes(), "two").unwrap());
    let verified = verify(signer.sign(TEXT).as_bytes(), &both, NOW).unwrap();
    assert_eq!(verified.fingerprint.len(), 40);
    assert!(Keyring::read(b"", "none").is_err() && Keyring::read(b"nonsense", "none").is_err());
}

#[test]
fn one_good_signature_is_enough() {
    let (old, new) = (Signer::new(1), Signer::new(2));
    let signatures =
        |signer: &Signer| CleartextSignedMessage::from_string(&signer.sign(TEXT)).unwrap().0.signatures().to_vec();
    let both = CleartextSignedMessage::new_many(TEXT, |_| Ok([signatures(&old), signatures(&new)].concat())).unwrap();
    let both = both.to_armored_string(ArmorOptions::default()).unwrap();
    check(&both, &old).unwrap();
    check(&both, &new).unwrap();
    assert!(check(&both, &Signer::new(3)).is_err());
}

#[test]
fn everything_else_is_refused_with_its_reason() {
    let signer = Signer::new(1);
    let key = &signer.secret.primary_key;
    // Keys of curves refuse weak hashes themselves.
    let rsa = Signer::of(KeyType::Rsa(2048), 1);
    let hashed = |hash| sign_with(TEXT, &rsa.secret.primary_key, |config| config.hash_alg = hash);
    let later = sign_with(TEXT, key, |config| {
        let time = SubpacketData::SignatureCreationTime(Timestamp::from_secs(SIGNED + 200_000));
        config.hashed_subpackets[0] = Subpacket::regular(time).unwrap();
    });
    let short = sign_with(TEXT, key, |config| {
        let lasts = SubpacketData::SignatureExpirationTime(Duration::from_secs(10));
        config.hashed_subpackets.push(Subpacket::regular(lasts).unwrap());
    });
    let changed = |change: &dyn Fn(&mut Signer)| {
        let mut signer = Signer::new(1);
        change(&mut signer);
        signer
    };
    let by_subkey = |signer: &Signer| sign_with(TEXT, &signer.secret.secret_subkeys[0].key, |_| {});
    let by_primary = |signer: &Signer| signer.sign(TEXT);
    let expired = changed(&|s| s.certify(vec![signing(), SubpacketData::KeyExpirationTime(Duration::from_secs(1500))]));
    let certifying = changed(&|s| s.certify(Vec::new()));
    let revoked = changed(&Signer::revoke);
    let unbound = changed(&|s| {
        s.public.public_subkeys[0].signatures = Signer::new(9).public.public_subkeys[0].signatures.clone();
    });
    let foreign = changed(&|s| s.public.details.users = Signer::new(9).public.details.users.clone());
    let without_subkey_right = changed(&Signer::revoke_subkey);
    check(&hashed(HashAlgorithm::Sha256), &rsa).unwrap();
    let cases = [
        ("MD5", check(&hashed(HashAlgorithm::Md5), &rsa)),
        ("SHA-1", check(&hashed(HashAlgorithm::Sha1), &rsa)),
        ("another text", check(&signer.sign(TEXT).replace("Toy", "Tox"), &signer)),
        ("another key", check(&signer.sign(TEXT), &Signer::new(2))),
        ("from the future", check(&later, &signer)),
        ("a short-lived signature", check(&short, &signer)),
        ("no signature", check("Origin: Toy\n", &signer)),
        ("an expired key", check(&by_primary(&expired), &expired)),
        ("a subkey of an expired key", check(&by_subkey(&expired), &expired)),
        ("a key that only certifies", check(&by_primary(&certifying), &certifying)),
        ("a revoked key", check(&by_primary(&revoked), &revoked)),
        ("a subkey of a revoked key", check(&by_subkey(&revoked), &revoked)),
        ("a revoked subkey", check(&by_subkey(&without_subkey_right), &without_subkey_right)),
        ("a subkey that is not the owner's", check(&by_subkey(&unbound), &unbound)),
        ("a key without a word of its own", check(&by_primary(&foreign), &foreign)),
    ];
    let mut settings = insta::Settings::clone_current();
    settings.add_filter("[0-9A-F]{40}", "KEY");
    let text: Vec<String> = cases.map(|(case, result)| format!("{case}: {}", result.unwrap_err())).into();
    settings.bind(|| {
        insta::assert_snapshot!(text.join("\n"), @"
    MD5: none of its signatures is good by the keyring: one is made with MD5, which is weak
    SHA-1: none of its signatures is good by the keyring: one is made with SHA1, which is weak
    another text: none of its signatures is good by the keyring: the one by KEY does not fit the text
    another key: none of its signatures is good by the keyring: no key for the one by KEY
    from the future: none of its signatures is good by the keyring: one is dated in the future
    a short-lived signature: none of its signatures is good by the keyring: one has expired
    no signature: it is not a text with an OpenPGP signature
    an expired key: none of its signatures is good by the keyring: key KEY has expired
    a subkey of an expired key: none of its signatures is good by the keyring: key KEY has expired
    a key that only certifies: none of its signatures is good by the keyring: key KEY is not for signing
    a revoked key: none of its signatures is good by the keyring: key KEY is revoked
    a subkey of a revoked key: none of its signatures is good by the keyring: key KEY is revoked
    a revoked subkey: none of its signatures is good by the keyring: key KEY is revoked
    a subkey that is not the owner's: none of its signatures is good by the keyring: key KEY is not bound to its owner
    a key without a word of its own: none of its signatures is good by the keyring: key KEY has no valid signature by itself
    ");
    });
}
