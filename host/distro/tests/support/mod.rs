//! A distribution in miniature for tests: packages, a signed archive on loopback, and a store for what comes out.

#![allow(dead_code, reason = "each test uses a part")]

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
    sync::{Arc, Mutex},
};

use pgp::{
    composed::{
        ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
        SubkeyParamsBuilder,
    },
    packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData},
    ser::Serialize as _,
    types::{Password, SigningKey, Tag, Timestamp},
};
use rand::{SeedableRng, rngs::StdRng};
use stave_archive::content::{Content, Span};
use stave_lifecycle::port::{
    blobs::{Blobs, NewBlob},
    failure::PortError,
};
use stave_model::digest::Digest;

/// Blobs in temporary files without names.
#[derive(Default, Clone)]
pub(crate) struct Kept(Arc<Mutex<BTreeMap<Digest, Span>>>);

impl Kept {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Blobs for Kept {
    fn get(&self, digest: &Digest) -> Result<Option<Span>, PortError> {
        Ok(self.0.lock().unwrap().get(digest).cloned())
    }

    fn discard(&self, digest: &Digest) -> Result<(), PortError> {
        self.0.lock().unwrap().remove(digest);
        Ok(())
    }

    fn create(&self) -> Result<Box<dyn NewBlob>, PortError> {
        Ok(Box::new(Growing { file: tempfile::tempfile().unwrap(), kept: self.clone() }))
    }
}

struct Growing {
    file: File,
    kept: Kept,
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl NewBlob for Growing {
    fn keep(self: Box<Self>, digest: &Digest) -> Result<Span, PortError> {
        let span = Span::whole(self.file).unwrap();
        assert_eq!(span.digest().unwrap(), *digest, "a blob is kept under its own digest");
        self.kept.0.lock().unwrap().insert(*digest, span.clone());
        Ok(span)
    }
}

/// When keys were made and texts are signed, in seconds since 1970.
pub(crate) const SIGNED: u32 = 1_747_474_265;

/// A key that signs archives.
pub(crate) struct Signer {
    /// The key, and one subkey that signs as well.
    pub(crate) secret: SignedSecretKey,
    /// The same as a keyring has it.
    pub(crate) public: SignedPublicKey,
}

impl Signer {
    pub(crate) fn new(seed: u64) -> Self {
        Self::of(KeyType::Ed25519Legacy, seed)
    }

    pub(crate) fn of(kind: KeyType, seed: u64) -> Self {
        let made = Timestamp::from_secs(SIGNED - 1000);
        let mut subkey = SubkeyParamsBuilder::default();
        subkey.key_type(KeyType::Ed25519Legacy).can_sign(true).created_at(made);
        let mut params = SecretKeyParamsBuilder::default();
        params.key_type(kind).can_sign(true).can_certify(true).created_at(made);
        params.primary_user_id("Archive <archive@example.com>".to_owned()).subkey(subkey.build().unwrap());
        let secret = params.build().unwrap().generate(StdRng::seed_from_u64(seed)).unwrap();
        Self { public: secret.to_public_key(), secret }
    }

    pub(crate) fn keyring(&self) -> Vec<u8> {
        self.public.to_bytes().unwrap()
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        sign_with(text, &self.secret.primary_key, |_| {})
    }

    /// Says something new about the key in the keyring, over its user id.
    pub(crate) fn certify(&mut self, further: Vec<SubpacketData>) {
        let config = configuration(&self.secret.primary_key, SignatureType::CertPositive, SIGNED, further);
        let user = &mut self.public.details.users[0];
        let (key, public) = (&self.secret.primary_key, &self.public.primary_key);
        let signature = config.sign_certification(key, public, &Password::empty(), Tag::UserId, &user.id).unwrap();
        user.signatures = vec![signature];
    }

    /// Revokes the key in the keyring.
    pub(crate) fn revoke(&mut self) {
        let config = configuration(&self.secret.primary_key, SignatureType::KeyRevocation, SIGNED, Vec::new());
        let signature =
            config.sign_key(&self.secret.primary_key, &Password::empty(), &self.public.primary_key).unwrap();
        self.public.details.revocation_signatures.push(signature);
    }

    /// Revokes the subkey in the keyring.
    pub(crate) fn revoke_subkey(&mut self) {
        let config = configuration(&self.secret.primary_key, SignatureType::SubkeyRevocation, SIGNED, Vec::new());
        let (key, public) = (&self.secret.primary_key, &self.public.primary_key);
        let subkey = &mut self.public.public_subkeys[0];
        subkey.signatures.push(config.sign_subkey_binding(key, public, &Password::empty(), &subkey.key).unwrap());
    }
}

/// Signs with another key or another configuration.
pub(crate) fn sign_with(text: &str, key: &impl SigningKey, change: impl FnOnce(&mut SignatureConfig)) -> String {
    let mut config = configuration(key, SignatureType::Text, SIGNED, Vec::new());
    change(&mut config);
    let signed = CleartextSignedMessage::new(text, config, key, &Password::empty()).unwrap();
    signed.to_armored_string(ArmorOptions::default()).unwrap()
}

fn configuration(key: &impl SigningKey, kind: SignatureType, at: u32, further: Vec<SubpacketData>) -> SignatureConfig {
    let mut config = SignatureConfig::from_key(StdRng::seed_from_u64(7), key, kind).unwrap();
    let known = [
        SubpacketData::SignatureCreationTime(Timestamp::from_secs(at)),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
    ];
    config.hashed_subpackets = known.into_iter().chain(further).map(|data| Subpacket::regular(data).unwrap()).collect();
    config
}

/// What a test's package holds at a path.
pub(crate) enum Entry<'a> {
    Folder(u32),
    File(u32, &'a str),
    Link(&'a str),
}

/// A package's file: an `ar` of two tars.
pub(crate) fn deb(name: &str, version: &str, fields: &str, entries: &[(&str, Entry)]) -> Vec<u8> {
    let control = format!("Package: {name}\nVersion: {version}\nArchitecture: all\n{fields}Description: a test\n");
    let sums = "d41d8cd98f00b204e9800998ecf8427e  usr/x\n";
    let control_tar = tar(&[("./control", Entry::File(0o644, &control)), ("./md5sums", Entry::File(0o644, sums))]);
    let mut bytes = b"!<arch>\n".to_vec();
    for (member, content) in
        [("debian-binary", b"2.0\n".to_vec()), ("control.tar", control_tar), ("data.tar", tar(entries))]
    {
        bytes.extend(format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes());
        bytes.extend(&content);
        bytes.extend(vec![b'\n'; content.len() % 2]);
    }
    bytes
}

/// A tar whose names are written as they are, so that hostile ones can be made.
fn tar(entries: &[(&str, Entry)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, entry) in entries {
        let (kind, mode, content, link) = match entry {
            Entry::Folder(mode) => (b'5', *mode, "", ""),
            Entry::File(mode, content) => (b'0', *mode, *content, ""),
            Entry::Link(text) => (b'2', 0o777, "", *text),
        };
        let mut header = [0; 512];
        let mut set = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        set(0, name);
        set(
            100,
            &format!("{mode:07o}\0{:07o}\0{:07o}\0{:011o}\0{:011o}\0        ", 0, 0, content.len(), 1_000_000_000),
        );
        set(157, link);
        set(257, "ustar\x0000");
        header[156] = kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend(header);
        bytes.extend(content.bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

/// An archive's files by path.
#[derive(Clone)]
pub(crate) struct Archive {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    indexes: BTreeMap<&'static str, String>,
}

impl Archive {
    pub(crate) fn new() -> Self {
        Self { files: BTreeMap::new(), indexes: BTreeMap::from([("amd64", String::new()), ("arm64", String::new())]) }
    }

    /// Adds a package for one architecture, or for all.
    pub(crate) fn add(
        &mut self,
        name: &str,
        version: &str,
        architecture: &str,
        fields: &str,
        entries: &[(&str, Entry)],
    ) {
        let bytes = deb(name, version, fields, entries);
        let path = format!("pool/{name}_{version}_{architecture}.deb");
        let paragraph = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nFilename: {path}\nSize: {}\nSHA256: {}\n{fields}\n",
            bytes.len(),
            Digest::of(&bytes).hex(),
        );
        for (_, index) in self.indexes.iter_mut().filter(|(own, _)| architecture == "all" || architecture == **own) {
            index.push_str(&paragraph);
        }
        self.files.insert(path, bytes);
    }

    /// Writes the indexes and the Release file of suite `toy`.
    pub(crate) fn publish(&mut self, signer: &Signer, fields: &str) {
        let mut lines = vec![format!("Origin: Toy\nSuite: stable\nCodename: toy\n{fields}SHA256:")];
        for (architecture, index) in &self.indexes {
            let packed = xz(index.as_bytes());
            let path = format!("main/binary-{architecture}/Packages.xz");
            lines.push(format!(" {} {} {path}", Digest::of(&packed).hex(), packed.len()));
            self.files.insert(format!("dists/toy/{path}"), packed);
        }
        self.files.insert("dists/toy/InRelease".to_owned(), signer.sign(&(lines.join("\n") + "\n")).into_bytes());
    }
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new(bytes, 6).read_to_end(&mut packed).unwrap();
    packed
}
