//! `pkg:generic`: a file at the address that its qualifier `download_url` names, where the operator allows what that
//! address starts with. Without that a buildpack could send the host anywhere. A folder has such files as `wget -x` puts them:
//! below the address's host, by its path.

use std::path::{Path, PathBuf};

use stave_model::dependency::PackageUrl;
use stave_transport::origin::Origin;
use url::Url;

use super::{Error, Place, is_plain_name};
use crate::registry::{Ecosystem, Location, Registry};

/// The place, if `registry` is what the address starts with.
pub(super) fn place(purl: &PackageUrl, registry: &Registry) -> Result<Option<Place>, Error> {
    let incomplete = || {
        let rule = "has a `download_url` with http or https";
        Error::Incomplete { ecosystem: Ecosystem::Generic, rule }
    };
    let text = purl.qualifiers.get("download_url").ok_or_else(incomplete)?;
    let url: Url = text.parse().map_err(|_| incomplete())?;
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return Err(incomplete());
    }
    Ok(match &registry.location {
        Location::Remote(base) => starts_with(&url, base).then_some(Place::Address { url, led_by: None }),
        Location::Folder(folder) => within(folder, &url).map(Place::File),
        Location::Page(_) => None,
    })
}

/// The file of a folder that is a copy of what stands at `url`. What comes after the path tells copies apart for nobody here.
fn within(folder: &Path, url: &Url) -> Option<PathBuf> {
    let host = url.host_str()?;
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut names = vec![host];
    for segment in url.path_segments()? {
        // Names are taken as they stand in the address, and none is empty or leads up.
        names.push(segment.to_owned());
    }
    names
        .iter()
        .all(|name| is_plain_name(name))
        .then(|| names.iter().fold(folder.to_owned(), |path, name| path.join(name)))
}

/// Whether `url` is at or below `base`, by whole path segments.
fn starts_with(url: &Url, base: &Url) -> bool {
    let rest = url.path().strip_prefix(base.path().trim_end_matches('/'));
    Origin::of(url) == Origin::of(base) && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_allowed() {
        let allowed = |base: &str, url: &str| {
            let encoded: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
            let purl = format!("pkg:generic/x@1?download_url={encoded}").parse().unwrap();
            place(&purl, &Registry::parse(base).unwrap()).ok().flatten().is_some()
        };
        assert!(allowed("https://d.example.com", "https://d.example.com/x.tgz"));
        assert!(allowed("https://d.example.com/a/", "https://d.example.com/a/x.tgz?token=1"));
        let refused = [
            ("https://d.example.com/a", "https://d.example.com/ab"),
            ("https://d.example.com/a", "https://d.example.com/a/../b"),
            ("https://d.example.com", "http://d.example.com/x"),
            ("https://d.example.com", "https://d.example.com.evil.example.com/x"),
            ("https://d.example.com", "https://me:pw@d.example.com/x"),
            ("https://d.example.com", "file:///etc/passwd"),
            ("/etc", "file:///etc/passwd"),
        ];
        for (base, url) in refused {
            assert!(!allowed(base, url), "{url}");
        }
        let within = |url: &str| within(Path::new("/srv/mirror"), &url.parse().unwrap());
        let copy = Some(PathBuf::from("/srv/mirror/d.example.com:8443/a/x.tgz"));
        assert_eq!(within("https://d.example.com:8443/a/x.tgz?token=1"), copy);
        for url in [
            "https://d.example.com",
            "https://d.example.com/a//x",
            "https://d.example.com/a/",
            "https://d.example.com/a%2f%2e%2e",
        ] {
            let path = within(url);
            assert!(path.is_none_or(|path| path.to_str().unwrap().ends_with("/a%2f%2e%2e")), "{url}");
        }
        let purl = "pkg:generic/x@1".parse().unwrap();
        let error = place(&purl, &Registry::parse("https://d.example.com").unwrap()).unwrap_err();
        insta::assert_snapshot!(error, @"a package URL of type generic has a `download_url` with http or https");
    }
}
