//! Whom TLS trusts: the system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` where set), and bundles added to them.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// A bundle of all public authorities is 0.3 MB; ten times that is a mistake.
const LARGEST_BUNDLE: u64 = 4 << 20;

/// A CA bundle that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("could not read the certificates in {}", .path.display())]
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

fn read(path: &Path) -> io::Result<Vec<Certificate<'static>>> {
    let mut pem = Vec::new();
    File::open(path)?.take(LARGEST_BUNDLE + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > LARGEST_BUNDLE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {LARGEST_BUNDLE} bytes")));
    }
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
