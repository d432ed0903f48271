//! Debian's `docker-registry` as people run it: open, with logins, over TLS from a private CA; and what the program says.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::{Value, json};
use stave_archive::content::Bytes;
use stave_lifecycle::{
    image::{Descriptor, Image, ImageLayer, LAYER},
    port::{cancel::Cancel, observer::Silent, sink::Sink as _},
};
use stave_model::digest::Digest;
use stave_oci::{
    registry::{Registries, credentials::Credentials, push::RegistryTag},
    testing,
};
use stave_store::{
    folders::{DATA_VARIABLE, Folder},
    images::ImageStore,
};
use stave_transport::{
    client::{Client, Options},
    testing::StillClock,
};

use crate::support::{
    certificates::Authority,
    env::TestEnv,
    filters,
    process::run,
    registry::{LOGIN, Registry, Setting},
};

/// Puts an image called `tiny` into the store: a small layer and one that is large enough to be streamed.
fn tiny(env: &TestEnv) -> Image {
    let bytes: Vec<u8> = (0..9_u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let digest = Digest::of(&bytes);
    let descriptor = Descriptor { media_type: LAYER.to_owned(), digest, size: bytes.len() as u64 };
    let large = ImageLayer { descriptor, diff_id: digest, content: Arc::new(Bytes::new(bytes)), origin: None };
    let image = testing::image("amd64", vec![testing::layer(&[("etc/os-release", "ID=none\n")]), large]);
    let data = Folder::open(env.data(), DATA_VARIABLE).unwrap();
    ImageStore::open(&data, None).unwrap().put("tiny:latest", &image, &Silent, &Cancel::new()).unwrap();
    image
}

/// Publishes it under a name; what the program said, sorted where blobs go side by side, and with names for the blobs.
#[track_caller]
fn publish(env: &TestEnv, image: &Image, name: &str) -> String {
    let outcome =
        env.run(&["export", "tiny", "--tag", name, "--publish", "--verbose", "--platform", "linux/amd64"]).succeeds();
    let blobs = image.layers.iter().map(|layer| &layer.descriptor).cloned().chain([image.config_descriptor()]);
    let told = blobs.zip(["SMALL", "LARGE", "CONFIG"]).fold(outcome.stderr, |told, (blob, name)| {
        told.replace(&blob.digest.short(), name).replace(&format!("{} bytes", blob.size), "its bytes")
    });
    let mut lines: Vec<&str> = told.lines().filter(|line| !line.contains("took")).collect();
    lines[1..].sort_unstable();
    lines.join("\n")
}

/// What the program says when it cannot publish.
#[track_caller]
fn refused(env: &TestEnv, name: &str) -> String {
    let outcome = env.run(&["export", "tiny", "--tag", name, "--publish", "--platform", "linux/amd64"]).ends_with(62);
    outcome.failure().to_owned()
}

/// What somebody sees who has nothing but the name.
#[track_caller]
fn digest_there(env: &TestEnv, name: &str) -> String {
    let about = env.run(&["inspect", name, "-o", "json", "--platform", "linux/amd64"]).succeeds().stdout;
    serde_json::from_str::<Value>(&about).unwrap()["digest"].as_str().unwrap().to_owned()
}

/// Keeps a login for a registry as docker does.
fn log_in(env: &TestEnv, registry: &Registry, login: &str) {
    let folder = env.root().join("home/.docker");
    fs::create_dir_all(&folder).unwrap();
    let config = json!({ "auths": { registry.host(): { "auth": login } } });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// The folder where podman keeps certificates for a registry.
fn certificates(env: &TestEnv, registry: &Registry) -> PathBuf {
    let folder = env.root().join("home/.config/containers/certs.d").join(registry.host());
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn nothing_is_sent_twice() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let (image, registry) = (tiny(&env), Registry::start(&env));
    let [first, second] = ["one:1", "two:1"].map(|name| registry.reference(name));
    insta::assert_snapshot!(publish(&env, &image, &first), @"
    connecting to [LOOPBACK]
    image [LOOPBACK]/one:1 sha256:[HEX]
    push CONFIG ([SIZE])
    push LARGE ([SIZE])
    push SMALL ([SIZE])
    ");
    insta::assert_snapshot!(publish(&env, &image, &first), @"
    connecting to [LOOPBACK]
    CONFIG (its bytes): there already
    LARGE (its bytes): there already
    SMALL (its bytes): there already
    image [LOOPBACK]/one:1 sha256:[HEX]
    ");
    insta::assert_snapshot!(publish(&env, &image, &second), @"
    connecting to [LOOPBACK]
    LARGE (its bytes): mounted from one
    SMALL (its bytes): mounted from one
    image [LOOPBACK]/two:1 sha256:[HEX]
    push CONFIG ([SIZE])
    ");
    assert_eq!(digest_there(&env, &second), image.digest().to_string());
}

#[test]
fn a_guarded_registry_is_used_with_the_login_that_is_kept() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let image = tiny(&env);
    let registry = Registry::of(&env, &Setting { guarded: true, ..Setting::default() });
    let name = registry.reference("team/tiny:1");
    insta::assert_snapshot!(refused(&env, &name), @"
    error: could not send the image to [LOOPBACK]/team/tiny:1
    caused by: could not push sha256:[HEX] to [LOOPBACK]/team/tiny
    caused by: the registry asks for a user and password
    hint: no login is kept for [LOOPBACK]: docker login [LOOPBACK]
    ");
    log_in(&env, &registry, "bWU6d3Jvbmc=");
    insta::assert_snapshot!(refused(&env, &name), @"
    error: could not send the image to [LOOPBACK]/team/tiny:1
    caused by: could not push sha256:[HEX] to [LOOPBACK]/team/tiny
    caused by: http://[LOOPBACK]/v2/team/tiny/blobs/sha256:[HEX] answered 401 (unauthorised)
    hint: the login kept for [LOOPBACK] may not do this, or is no longer good: docker login [LOOPBACK]
    ");
    log_in(&env, &registry, LOGIN);
    publish(&env, &image, &name);
    assert_eq!(digest_there(&env, &name), image.digest().to_string());
}

#[test]
fn a_private_ca_is_trusted_where_it_is_named() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let (image, authority) = (tiny(&env), Authority::new(&env));
    let tls = Some(authority.issue("server", "IP:127.0.0.1", 1));
    let registry = Registry::of(&env, &Setting { guarded: true, tls, ..Setting::default() });
    log_in(&env, &registry, LOGIN);
    let name = registry.reference("team/tiny:1");
    // A folder for it says that it speaks TLS, though it is on this machine.
    let folder = certificates(&env, &registry);
    insta::assert_snapshot!(refused(&env, &name), @"
    error: could not send the image to [LOOPBACK]/team/tiny:1
    caused by: could not push sha256:[HEX] to [LOOPBACK]/team/tiny
    caused by: could not set up a trusted connection to https://[LOOPBACK]/v2/team/tiny/blobs/sha256:[HEX]
    caused by: invalid peer certificate: UnknownIssuer
    hint: where a CA of your own signs for [LOOPBACK], put its certificate into ~/.config/containers/certs.d/[LOOPBACK]/ca.crt or /etc/docker/certs.d/[LOOPBACK]/ca.crt, or name it in SSL_CERT_FILE
    ");

    let mut export = env.stave(&["export", "tiny", "--tag", &name, "--publish", "--platform", "linux/amd64"]);
    run(export.env("SSL_CERT_FILE", authority.certificate())).succeeds();
    fs::copy(authority.certificate(), folder.join("ca.crt")).unwrap();
    publish(&env, &image, &registry.reference("team/tiny:2"));
    assert_eq!(digest_there(&env, &name), image.digest().to_string());
}

#[test]
fn a_certificate_is_shown_to_a_registry_that_asks_for_one() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let (image, authority) = (tiny(&env), Authority::new(&env));
    let (tls, clients) = (Some(authority.issue("server", "IP:127.0.0.1", 1)), Some(authority.certificate()));
    let registry = Registry::of(&env, &Setting { tls, clients, ..Setting::default() });
    let (name, folder) = (registry.reference("tiny:1"), certificates(&env, &registry));
    fs::copy(authority.certificate(), folder.join("ca.crt")).unwrap();
    refused(&env, &name);
    let (certificate, key) = authority.issue("client", "DNS:client", 1);
    fs::copy(certificate, folder.join("client.cert")).unwrap();
    insta::assert_snapshot!(refused(&env, &name), @"
    error: could not send the image to [LOOPBACK]/tiny:1
    caused by: could not use the certificates in `[ENV]/home/.config/containers/certs.d/[LOOPBACK]`
    caused by: client.cert has no client.key beside it
    ");
    fs::copy(key, folder.join("client.key")).unwrap();
    publish(&env, &image, &name);
    assert_eq!(digest_there(&env, &name), image.digest().to_string());
}

/// A way to `port` on which the first connection that has carried so many bytes there is cut off.
fn cut_after(bytes: usize, port: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let is_cut = Arc::new(AtomicBool::new(false));
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut back, mut client) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut back, &mut client).and_then(|_| client.shutdown(Shutdown::Both)));
            let is_cut = Arc::clone(&is_cut);
            thread::spawn(move || forward(near, far, bytes, &is_cut));
        }
    });
    host
}

fn forward(mut near: TcpStream, mut far: TcpStream, most: usize, is_cut: &AtomicBool) -> io::Result<()> {
    let (mut buffer, mut carried) = ([0; 16 * 1024], 0);
    loop {
        let n = near.read(&mut buffer)?;
        carried += n;
        let cuts = carried > most && !is_cut.swap(true, Ordering::SeqCst);
        if n == 0 || cuts {
            near.shutdown(if cuts { Shutdown::Both } else { Shutdown::Read })?;
            return far.shutdown(if cuts { Shutdown::Both } else { Shutdown::Write });
        }
        far.write_all(&buffer[..n])?;
    }
}

#[test]
fn an_upload_that_was_cut_off_comes_to_its_end() {
    let env = TestEnv::empty();
    let (image, registry) = (tiny(&env), Registry::start(&env));
    let host = cut_after(5 << 20, registry.port());
    let client = Client::new(Options { clock: Arc::new(StillClock::default()), ..Options::default() });
    let registries = Registries::new(client, Credentials::none(), []);
    let tag = RegistryTag::new(registries, format!("{host}/tiny:1").parse().unwrap()).unwrap();
    assert_eq!(tag.put(&image, &Silent, &Cancel::new()).unwrap().digest, image.digest());
    assert_eq!(digest_there(&env, &registry.reference("tiny:1")), image.digest().to_string());
}

#[test]
fn n23_a_certificate_that_is_not_right_is_refused() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let authority = Authority::new(&env);
    tiny(&env);
    let told = |name: &str, whom: &str, days: i32| {
        let tls = Some(authority.issue(name, whom, days));
        let registry = Registry::of(&env, &Setting { tls, ..Setting::default() });
        fs::copy(authority.certificate(), certificates(&env, &registry).join("ca.crt")).unwrap();
        refused(&env, &registry.reference("tiny:1"))
    };
    insta::assert_snapshot!(told("expired", "IP:127.0.0.1", -1), @"
    error: could not send the image to [LOOPBACK]/tiny:1
    caused by: could not push sha256:[HEX] to [LOOPBACK]/tiny
    caused by: could not set up a trusted connection to https://[LOOPBACK]/v2/tiny/blobs/sha256:[HEX]
    caused by: invalid peer certificate: Expired
    hint: whoever runs [LOOPBACK] has to give it a certificate that is good for this name and today
    ");
    insta::assert_snapshot!(told("other", "DNS:registry.example.com", 1), @r#"
    error: could not send the image to [LOOPBACK]/tiny:1
    caused by: could not push sha256:[HEX] to [LOOPBACK]/tiny
    caused by: could not set up a trusted connection to https://[LOOPBACK]/v2/tiny/blobs/sha256:[HEX]
    caused by: invalid peer certificate: certificate not valid for name "127.0.0.1"; certificate is only valid for DnsName("registry.example.com")
    hint: whoever runs [LOOPBACK] has to give it a certificate that is good for this name and today
    "#);
    // And one that speaks TLS where nothing says so is not asked in the open for long.
    let tls = Some(authority.issue("unknown", "IP:127.0.0.1", 1));
    let registry = Registry::of(&env, &Setting { tls, ..Setting::default() });
    insta::assert_snapshot!(refused(&env, &registry.reference("tiny:1")), @"
    error: could not send the image to [LOOPBACK]/tiny:1
    caused by: could not push sha256:[HEX] to [LOOPBACK]/tiny
    caused by: http://[LOOPBACK]/v2/tiny/blobs/sha256:[HEX] answered 400 (bad request)
    hint: if it speaks TLS, keep its CA's certificate in certs.d/[LOOPBACK]/ca.crt
    ");
}
