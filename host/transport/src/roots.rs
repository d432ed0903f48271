//! Whom TLS trusts: the system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` where set), and bundles added to them.
//! And who we are to servers that ask.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, parse_pem};

/// A bundle of all public authorities is 0.3 MB; ten times that is a mistake.
const LARGEST_BUNDLE: u64 = 4 << 20;

/// A file of certificates, or of a key, that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("could not read the certificates or the key in {}", .path.display())]
pub struct UnreadableBundle {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// The system's roots, and those in `bundles` (PEM files).
pub(crate) fn load(bundles: &[PathBuf]) -> Result<RootCerts, UnreadableBundle> {
    if bundles.is_empty() {
        return Ok(RootCerts::PlatformVerifier);
    }
    let system = rustls_native_certs::load_native_certs().certs;
    let mut certificates: Vec<Certificate<'static>> =
        system.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    for path in bundles {
        certificates.extend(read(path).map_err(|cause| UnreadableBundle { path: path.clone(), cause })?);
    }
    Ok(RootCerts::from(certificates))
}

/// A certificate to show, and its key: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those that lead from it to its CA.
    pub certificate: PathBuf,
    /// Its private key, without a passphrase.
    pub key: PathBuf,
}

impl Identity {
    pub(crate) fn load(&self) -> Result<ClientCert, UnreadableBundle> {
        let failed = |path: &PathBuf| {
            let path = path.clone();
            move |cause| UnreadableBundle { path, cause }
        };
        let chain = read(&self.certificate).map_err(failed(&self.certificate))?;
        let key = read_capped(&self.key).and_then(|pem| PrivateKey::from_pem(&pem).map_err(io::Error::other));
        Ok(ClientCert::new_with_certs(&chain, key.map_err(failed(&self.key))?))
    }
}

fn read_capped(path: &Path) -> io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    File::open(path)?.take(LARGEST_BUNDLE + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > LARGEST_BUNDLE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {LARGEST_BUNDLE} bytes")));
    }
    Ok(pem)
}

fn read(path: &Path) -> io::Result<Vec<Certificate<'static>>> {
    let pem = read_capped(path)?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(io::Error::other)? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds no certificate in PEM form"));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = load(&[file.path().to_owned()]).unwrap_err();
        assert!(error.to_string().contains(file.path().to_str().unwrap()));
        assert_eq!(error.cause.to_string(), "it holds no certificate in PEM form");
        assert!(load(&[PathBuf::from("/nowhere/ca.pem")]).is_err());
    }
}
