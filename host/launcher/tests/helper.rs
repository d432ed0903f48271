//! What the launcher adds by itself: certificates of bindings, and options of a Java virtual machine.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
};

use support::{Image, lines};

/// Three bytes of a certificate's beginning are enough of one here.
fn certificate(letter: char) -> String {
    format!("-----BEGIN CERTIFICATE-----\nMGFi{}\n-----END CERTIFICATE-----\n", letter.to_string().repeat(4))
}

/// An image with a bundle of its own, two bindings and a folder of certificates in a layer.
fn image() -> Image {
    let image = Image::new(&[("web", "command = ['env']")]);
    for (file, text) in [
        ("system.crt", certificate('S')),
        ("bindings/roots/type", "CA-Certificates\n".to_owned()),
        ("bindings/roots/provider", "acme".to_owned()),
        ("bindings/roots/b.pem", certificate('B')),
        ("bindings/roots/a.pem", format!("two:\n{}{}", certificate('A'), certificate('Z'))),
        ("bindings/roots/readme", "none".to_owned()),
        ("bindings/db/type", "postgresql".to_owned()),
        ("bindings/db/root.pem", certificate('D')),
        ("layers/a_b/embedded/certificates/1.pem", certificate('L')),
    ] {
        image.write(file, &text);
    }
    fs::create_dir(image.path().join("tmp")).unwrap();
    image
}

fn command(image: &Image) -> Command {
    let mut command = image.command("/cnb/process/web");
    command.env("SSL_CERT_FILE", image.path().join("system.crt")).env("TMPDIR", image.path().join("tmp"));
    command
}

/// The value of a variable in what `env` printed.
fn value<'a>(printed: &'a str, name: &str) -> Option<&'a str> {
    printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn certificates_of_bindings_and_layers_are_added() {
    let image = image();
    let folder = image.path().join("layers/a_b/embedded/certificates").display().to_string();
    image.write("layers/a_b/embedded/env.launch/STAVE_CA_CERTIFICATES.append", &folder);
    image.write("layers/a_b/java/env.launch/JAVA_HOME.default", "/java");
    image.write("layers/a_b/java/env.launch/JAVA_TOOL_OPTIONS.append", "-Xint");
    let output = command(&image).env("SERVICE_BINDING_ROOT", image.path().join("bindings")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).replace(image.path().to_str().unwrap(), "");
    insta::assert_snapshot!(said, @"
    `/bindings/roots/readme` holds no certificate
    4 certificates added to those of the image
    ");
    let printed = lines(&output);
    let letters = |name: &str| {
        let text = fs::read_to_string(value(&printed, name).unwrap()).unwrap();
        text.lines().filter(|line| line.starts_with("MGFi")).map(|line| line[4..5].to_owned()).collect::<String>()
    };
    assert_eq!(letters("SSL_CERT_FILE"), "SAZBL");
    assert_eq!(letters("NODE_EXTRA_CA_CERTS"), "AZBL");
    let options = value(&printed, "JAVA_TOOL_OPTIONS").unwrap();
    let store = options.strip_prefix("-Djavax.net.ssl.trustStore=").unwrap();
    let (store, rest) = store.split_once(' ').unwrap();
    assert_eq!(rest, "-Djavax.net.ssl.trustStoreType=JKS -Xint");
    assert_eq!(fs::read(store).unwrap()[..12], [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 5]);
    assert_eq!(value(&printed, "STAVE_CA_CERTIFICATES"), None);
}

#[test]
fn starts_share_a_folder_that_nobody_else_could_write_to() {
    let image = image();
    let folder = || {
        let printed =
            lines(&command(&image).env("SERVICE_BINDING_ROOT", image.path().join("bindings")).output().unwrap());
        PathBuf::from(value(&printed, "SSL_CERT_FILE").unwrap()).parent().unwrap().to_owned()
    };
    let first = folder();
    assert_eq!(folder(), first);
    assert_eq!(fs::read_dir(&first).unwrap().count(), 2);
    image.write("bindings/roots/c.pem", &certificate('C'));
    assert_ne!(folder(), first);
    fs::remove_file(image.path().join("bindings/roots/c.pem")).unwrap();
    fs::set_permissions(&first, Permissions::from_mode(0o777)).unwrap();
    let refused = command(&image).env("SERVICE_BINDING_ROOT", image.path().join("bindings")).output().unwrap();
    let said = image.shown(&refused);
    assert!(said.contains("caused by: somebody else may have written there"), "{said}");
}

#[test]
fn without_certificates_nothing_is_made() {
    let image = image();
    fs::remove_dir_all(image.path().join("bindings/roots")).unwrap();
    for bindings in ["bindings", "nowhere"] {
        let output = command(&image).env("SERVICE_BINDING_ROOT", image.path().join(bindings)).output().unwrap();
        let printed = lines(&output);
        assert_eq!(value(&printed, "SSL_CERT_FILE"), image.path().join("system.crt").to_str());
        assert_eq!(value(&printed, "NODE_EXTRA_CA_CERTS"), None);
    }
    assert_eq!(fs::read_dir(image.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn certificates_that_cannot_be_given_stop_the_launch() {
    let image = image();
    let mut command = command(&image);
    command.env("SERVICE_BINDING_ROOT", image.path().join("bindings")).env("TMPDIR", "/nowhere");
    let said = image.shown(&command.output().unwrap());
    assert!(said.contains("error: could not make the folder `/nowhere/ca-certificates-"), "{said}");
    assert!(said.ends_with("exit code: 82"), "{said}");
}

#[test]
fn a_virtual_machine_gets_options_where_a_layer_asks() {
    let image = image();
    image.write("layers/a_b/java/env.launch/JAVA_TOOL_OPTIONS.prepend", "-Xint");
    let options = |image: &Image| {
        let output = command(image).env("JAVA_OPTS", "-Dx=y").output().unwrap();
        let printed = lines(&output);
        assert_eq!(value(&printed, "STAVE_HELPERS"), None);
        value(&printed, "JAVA_TOOL_OPTIONS").unwrap().to_owned()
    };
    assert_eq!(options(&image), "-Xint");
    image.write("layers/a_b/java/env.launch/STAVE_HELPERS.append", "jvm");
    // How much memory there is, this machine decides.
    let memory = "-XX:MaxDirectMemorySize=10M -Xmx";
    let given = options(&image);
    assert!(given.starts_with(memory) && given.ends_with("-Xss1M -Xint -Dx=y"), "{given}");
    let refused = command(&image).env("BPL_DEBUG_ENABLED", "perhaps").output().unwrap();
    insta::assert_snapshot!(image.shown(&refused), @"
    error: BPL_DEBUG_ENABLED is `perhaps`: expected true or false
    exit code: 82
    ");
}

#[test]
fn memory_that_does_not_suffice_stops_the_launch() {
    let image = image();
    image.write("layers/a_b/java/env.launch/STAVE_HELPERS.append", "jvm");
    let refused = command(&image).env("JAVA_TOOL_OPTIONS", "-Xmx900t").output().unwrap();
    let said = image.shown(&refused);
    assert!(said.starts_with("error: Java needs 9437"), "{said}");
    assert!(said.contains("or lower -Xmx\nexit code: 82"), "{said}");
}

#[test]
fn a_folder_for_heap_dumps_is_made() {
    let image = image();
    image.write("layers/a_b/java/env.launch/STAVE_HELPERS.append", "jvm");
    let folder = image.path().join("dumps/here");
    let output = command(&image).env("BPL_HEAP_DUMP_PATH", &folder).output().unwrap();
    let printed = lines(&output);
    assert!(folder.is_dir());
    let expected = format!(" -XX:HeapDumpPath={}/java_2", folder.display());
    assert!(value(&printed, "JAVA_TOOL_OPTIONS").unwrap().contains(&expected), "{printed}");
    // Where a file stands, there is no folder.
    let refused = command(&image).env("BPL_HEAP_DUMP_PATH", image.path().join("system.crt")).output().unwrap();
    insta::assert_snapshot!(image.shown(&refused), @"
    error: could not make the folder for heap dumps `/system.crt`
    caused by: File exists (os error 17)
    exit code: 82
    ");
}
