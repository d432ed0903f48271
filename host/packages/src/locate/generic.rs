//! `pkg:generic`: a file at the address that its qualifier `download_url` names, where the operator allows what that
//! address starts with. Without that a buildpack could send the host anywhere.

use stave_model::dependency::PackageUrl;
use stave_transport::origin::Origin;
use url::Url;

use super::{Error, Place};
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
    let allowed = match &registry.location {
        Location::Remote(base) => starts_with(&url, base),
        Location::Page(_) | Location::Folder(_) => false,
    };
    Ok(allowed.then_some(Place::Address { url, led_by: None }))
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
        let purl = "pkg:generic/x@1".parse().unwrap();
        let error = place(&purl, &Registry::parse("https://d.example.com").unwrap()).unwrap_err();
        insta::assert_snapshot!(error, @"a package URL of type generic has a `download_url` with http or https");
    }
}
