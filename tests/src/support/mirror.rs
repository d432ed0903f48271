//! A distribution's archive on loopback: the real packages of the default stack, as the kept cache has them, and packages
//! that are made here. Whoever composes a stack from it does all that is done with a real archive, signatures included.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use pgp::{
    composed::{ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedSecretKey},
    packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData},
    ser::Serialize as _,
    types::{KeyDetails as _, Password, Timestamp},
};
use rand::{SeedableRng as _, rngs::StdRng};
use stave_model::{digest::Digest, target::Platform};
use stave_transport::testing::{Reply, Server};

use super::{env::TestEnv, process::succeeds, tools::tool};

/// What every package's file begins with.
const ARCHIVE: &[u8] = b"!<arch>\n";
/// When the key was made and the archive signed, in seconds since 1970.
const SIGNED: u32 = 1_747_474_265;
/// The same, as archives say it.
const DATE: &str = "Sat, 17 May 2025 09:31:05 UTC";

/// The files of an archive by their paths.
type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// An archive of the suite `bookworm`, with its own key. It ends with the test.
pub(crate) struct Mirror {
    server: Server,
    files: Files,
    folder: PathBuf,
    key: SignedSecretKey,
    /// The packages' own, as an index has them, and their files.
    real: Vec<(String, String, Vec<u8>)>,
}

impl Mirror {
    /// Starts one with the packages in the cache of `env`, which must be warm. From now on, stacks of that world are composed
    /// from it.
    pub(crate) fn start(env: &TestEnv) -> Self {
        let folder = env.root().join("mirror");
        fs::create_dir(&folder).unwrap();
        let files = Files::default();
        let offered = Arc::clone(&files);
        let server = Server::start(move |asked| {
            let offered = offered.lock().unwrap();
            let found = asked.path.strip_prefix("/debian/").and_then(|path| offered.get(path));
            found.map_or_else(Reply::not_found, |bytes| Reply::ok(bytes.as_slice()))
        })
        .unwrap();
        let mirror = Self { server, files, key: key(), real: kept_packages(env), folder };
        let keyring = mirror.folder.join("keyring.gpg");
        fs::write(&keyring, mirror.key.to_public_key().to_bytes().unwrap()).unwrap();
        let (url, keyring) = (mirror.server.url("/debian"), keyring.display());
        let config = env.root().join("home/.config/stave");
        fs::create_dir_all(&config).unwrap();
        let text = format!("[mirrors]\ndebian = [{{ url = \"{url}\", signed-by = \"{keyring}\" }}]\n");
        fs::write(config.join("config.toml"), text).unwrap();
        mirror
    }

    /// Offers, beside the real packages, one that is made here: whose it is says its name, and its only file its version.
    pub(crate) fn offer(&self, name: &str, version: &str) {
        let made = self.make(name, version);
        let arch = Platform::of_this_machine().arch;
        let mut files = BTreeMap::new();
        let mut index = String::new();
        for (name, fields, bytes) in self.real.iter().chain([&made]) {
            let path = format!("pool/{name}.deb");
            let (size, digest) = (bytes.len(), Digest::of(bytes).hex());
            let _ = write!(index, "{fields}\nFilename: {path}\nSize: {size}\nSHA256: {digest}\n\n");
            files.insert(path, bytes.clone());
        }
        let path = format!("main/binary-{arch}/Packages");
        let (digest, size) = (Digest::of(index.as_bytes()).hex(), index.len());
        let release = format!(
            "Origin: Debian\nSuite: stable\nCodename: bookworm\nDate: {DATE}\nSHA256:\n {digest} {size} {path}\n"
        );
        files.insert(format!("dists/bookworm/{path}"), index.into_bytes());
        files.insert("dists/bookworm/InRelease".to_owned(), self.sign(&release).into_bytes());
        *self.files.lock().unwrap() = files;
    }

    /// A package as Debian's own tool makes it.
    fn make(&self, name: &str, version: &str) -> (String, String, Vec<u8>) {
        let folder = self.folder.join(format!("{name}-{version}"));
        let share = folder.join("usr/share").join(name);
        fs::create_dir_all(folder.join("DEBIAN")).unwrap();
        fs::create_dir_all(&share).unwrap();
        fs::write(share.join("version"), version).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A test <test@example.com>\n\
             Description: planted by a test\n"
        );
        fs::write(folder.join("DEBIAN/control"), control).unwrap();
        let file = folder.with_extension("deb");
        let mut build = tool("dpkg-deb");
        succeeds(build.args(["--root-owner-group", "-Zxz", "--build"]).arg(&folder).arg(&file));
        package(&file)
    }

    fn sign(&self, text: &str) -> String {
        let key = &self.key.primary_key;
        let mut config = SignatureConfig::from_key(StdRng::seed_from_u64(7), key, SignatureType::Text).unwrap();
        let known = [
            SubpacketData::SignatureCreationTime(Timestamp::from_secs(SIGNED)),
            SubpacketData::IssuerFingerprint(key.fingerprint()),
        ];
        config.hashed_subpackets = known.into_iter().map(|data| Subpacket::regular(data).unwrap()).collect();
        let signed = CleartextSignedMessage::new(text, config, key, &Password::empty()).unwrap();
        signed.to_armored_string(ArmorOptions::default()).unwrap()
    }
}

fn key() -> SignedSecretKey {
    let mut params = SecretKeyParamsBuilder::default();
    params.key_type(KeyType::Ed25519Legacy).can_sign(true).can_certify(true);
    params.created_at(Timestamp::from_secs(SIGNED - 1000)).primary_user_id("Archive <archive@example.com>".to_owned());
    params.build().unwrap().generate(StdRng::seed_from_u64(1)).unwrap()
}

/// The packages for this machine in the cache of a warm world.
fn kept_packages(env: &TestEnv) -> Vec<(String, String, Vec<u8>)> {
    let mut found = Vec::new();
    let arch = Platform::of_this_machine().arch;
    let folders = fs::read_dir(env.cache().join("blobs/sha256")).unwrap();
    for blob in folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap()) {
        let path = blob.unwrap().path();
        if !begins_with(&path, ARCHIVE) {
            continue;
        }
        let (name, fields, bytes) = package(&path);
        let fits = |line: &str| line == "Architecture: all" || line.strip_prefix("Architecture: ") == Some(&arch);
        if fields.lines().any(fits) {
            found.push((name, fields, bytes));
        }
    }
    assert!(found.len() > 5, "the kept cache has the packages of the default stack");
    found
}

fn begins_with(path: &Path, start: &[u8]) -> bool {
    use std::io::Read as _;
    let mut bytes = vec![0; start.len()];
    fs::File::open(path).unwrap().read_exact(&mut bytes).is_ok_and(|()| bytes == start)
}

/// A package's file under a name of its own, with what it says of itself.
fn package(file: &Path) -> (String, String, Vec<u8>) {
    let fields = succeeds(tool("dpkg-deb").arg("--field").arg(file));
    let bytes = fs::read(file).unwrap();
    (Digest::of(&bytes).short(), fields, bytes)
}
