//! Certificates of service bindings, and those that the build put into a layer, given to the app beside the image's own.
//!
//! Bindings of the type `ca-certificates` (Service Binding Specification) are folders below `SERVICE_BINDING_ROOT` whose
//! files are certificates. All go into one bundle, behind the image's own, and the variables that OpenSSL, curl, Go, Python
//! and Node.js read lead to it. A Java virtual machine reads no such bundle: it gets a trust store with the same
//! certificates, unless its options name another one.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use stave_model::{digest::Digest, env::Variables};

use super::{Answer, Environment, Failed};
use crate::report::shown;

mod pem;
mod trust_store;

/// Where bindings of the running app are.
const BINDINGS: &str = "SERVICE_BINDING_ROOT";
/// Folders of certificates that layers bring, with `:` between. The app does not see it.
const LAYERS: &str = "STAVE_CA_CERTIFICATES";
/// What the image trusts, in the places where distributions keep it.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Most bindings, and most entries of one.
const MAX_ENTRIES: usize = 1000;

/// Where there are certificates to look for.
pub(super) struct Sources {
    /// The folder of bindings.
    bindings: Option<PathBuf>,
    /// Folders of certificates.
    folders: Vec<PathBuf>,
}

/// What the environment names, if it names something. What is for the launcher alone is taken out of it.
pub(super) fn sources(variables: &mut Variables) -> Option<Sources> {
    let folders = variables.remove(LAYERS.as_bytes()).unwrap_or_default();
    let folders: Vec<PathBuf> = folders
        .split(|byte| *byte == b':')
        .filter(|path| !path.is_empty())
        .map(|path| OsStr::from_bytes(path).into())
        .collect();
    let bindings = variables.get(BINDINGS.as_bytes()).filter(|path| !path.is_empty());
    let bindings = bindings.map(|path| OsStr::from_bytes(path).into());
    (bindings.is_some() || !folders.is_empty()).then_some(Sources { bindings, folders })
}

/// Reads the certificates and, where there are any, writes the bundle.
pub(super) fn answer(environment: &Environment<'_>, sources: &Sources) -> Result<Answer, Failed> {
    let mut answer = Answer::default();
    let mut added = Vec::new();
    for file in files(sources)? {
        let found = pem::certificates(&read(&file)?);
        if found.is_empty() {
            answer.said.push(format!("`{}` holds no certificate", shown(&file)));
        }
        added.extend(found);
    }
    if added.is_empty() {
        return Ok(answer);
    }
    let system = match environment.get("SSL_CERT_FILE") {
        Some(file) => Some(PathBuf::from(file)),
        None => SYSTEM.iter().map(PathBuf::from).find(|file| file.is_file()),
    };
    let mut all = system.map(|file| read(&file)).transpose()?.map(|text| pem::certificates(&text)).unwrap_or_default();
    all.extend(added.iter().cloned());
    let bundle = pem::text(&all);
    let folder = folder(environment, &bundle)?;
    answer.set.push(("SSL_CERT_FILE".into(), write(&folder, "ca-certificates.crt", bundle.as_bytes())?));
    if environment.get("NODE_EXTRA_CA_CERTS").is_none() {
        answer.set.push(("NODE_EXTRA_CA_CERTS".into(), write(&folder, "added.crt", pem::text(&added).as_bytes())?));
    }
    let options = environment.get("JAVA_TOOL_OPTIONS").unwrap_or_default();
    if environment.get("JAVA_HOME").is_some() && !options.contains("-Djavax.net.ssl.trustStore=") {
        let store = write(&folder, "trust.jks", &trust_store::of(&all))?;
        let ours = format!("-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStoreType=JKS");
        answer.set.push(("JAVA_TOOL_OPTIONS".into(), format!("{ours} {options}").trim_end().to_owned()));
    }
    let plural = if added.len() == 1 { "" } else { "s" };
    answer.said.push(format!("{} certificate{plural} added to those of the image", added.len()));
    Ok(answer)
}

/// The files of all bindings of the type and of all folders, sorted.
fn files(sources: &Sources) -> Result<Vec<PathBuf>, Failed> {
    let mut folders = Vec::new();
    for binding in sources.bindings.iter().map(|root| entries(root)).collect::<Result<Vec<_>, _>>()?.concat() {
        let kind = fs::read_to_string(binding.join("type")).unwrap_or_default();
        folders.extend(Some(binding).filter(|_| kind.trim().eq_ignore_ascii_case("ca-certificates")));
    }
    // Kubernetes keeps what it mounts in folders whose names begin with two dots, and links to the files in them.
    let is_entry = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        path.is_file() && name != "type" && name != "provider"
    };
    let mut files = Vec::new();
    for folder in folders.iter().chain(&sources.folders) {
        files.extend(entries(folder)?.into_iter().filter(is_entry));
    }
    Ok(files)
}

/// What is in a folder, sorted; nothing if it is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    let failed = |cause| failure("list", folder, cause);
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    let mut all: Vec<PathBuf> =
        listing.take(MAX_ENTRIES).map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(failed)?;
    all.sort();
    Ok(all)
}

fn read(file: &Path) -> Result<String, Failed> {
    let read = || {
        if fs::metadata(file)?.len() > MAX_FILE {
            return Err(io::Error::other("it is larger than 4 MiB"));
        }
        fs::read(file)
    };
    read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(|cause| failure("read", file, cause))
}

/// The folder for these certificates. Starts that find the same ones share it, so that a container which is started again
/// and again does not fill its disk; nobody else may have written there.
fn folder(environment: &Environment<'_>, bundle: &str) -> Result<PathBuf, Failed> {
    let base = PathBuf::from(environment.get("TMPDIR").unwrap_or_else(|| "/tmp".to_owned()));
    let user = rustix::process::geteuid().as_raw();
    let path = base.join(format!("ca-certificates-{user}-{:.16}", Digest::of(bundle.as_bytes()).hex()));
    match fs::DirBuilder::new().mode(0o755).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failure("make the folder", &path, error)),
        _ => match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0 => Ok(path),
            Ok(_) => Err(failure("use the folder", &path, io::Error::other("somebody else may have written there"))),
            Err(error) => Err(failure("use the folder", &path, error)),
        },
    }
}

/// Writes a file, whole or not at all, unless an earlier start did; answers its path.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<String, Failed> {
    let path = folder.join(name);
    if !path.is_file() {
        let new = folder.join(format!("{name}.{}", std::process::id()));
        let opened = fs::File::options().write(true).create(true).truncate(true).mode(0o644).open(&new);
        let written = opened.and_then(|mut file| file.write_all(bytes)).and_then(|()| fs::rename(&new, &path));
        written.map_err(|cause| failure("write", &path, cause))?;
    }
    Ok(path.to_string_lossy().into_owned())
}

fn failure(attempt: &'static str, path: &Path, cause: io::Error) -> Failed {
    Failed::File { attempt, path: path.to_string_lossy().into_owned(), cause }
}
