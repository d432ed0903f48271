//! JavaScript packages: a registry's document of the package names each version's tarball.

use std::collections::BTreeMap;

use serde::Deserialize;
use stave_model::dependency::PackageUrl;
use stave_transport::origin::shown;
use url::Url;

use super::{Error, Inquiry, Place, Wanted, is_plain_name};
use crate::registry::{Ecosystem, Location, Registry, below};

/// The short form of the document, which registries that know it prefer to send.
const ACCEPT: &str = "application/vnd.npm.install-v1+json, application/json;q=0.8";

/// Looks for the version's tarball in one registry.
pub(super) fn place(wanted: Wanted<'_>, registry: &Registry, inquiry: Inquiry<'_>) -> Result<Option<Place>, Error> {
    let name = full_name(wanted.purl)?;
    let base = match &registry.location {
        Location::Folder(folder) => {
            // As `npm pack` names it.
            let file = format!("{}-{}.tgz", name.trim_start_matches('@').replace('/', "-"), wanted.purl.version);
            return Ok(Some(folder.join(file))
                .filter(|path| is_plain_name_of(path) && path.is_file())
                .map(Place::File));
        }
        Location::Remote(base) | Location::Page(base) => base,
    };
    let Some(document) = inquiry.ask(registry, &below(base, [name.as_str()]), ACCEPT)? else { return Ok(None) };
    let unreadable = |why| Error::Unreadable { registry: registry.to_string(), ecosystem: Ecosystem::Npm, why };
    let tarball = read(&document.bytes, &wanted.purl.version).map_err(unreadable)?;
    let url = tarball.map(|text| document.url.join(&text)).transpose();
    let url = url.map_err(|_| unreadable("the tarball's address is not one".to_owned()))?;
    Ok(url.map(|url: Url| Place::Address { url, led_by: Some(document.url) }))
}

/// The document that says where a package's tarballs are, or the folder that they are looked for in.
pub(super) fn document(purl: &PackageUrl, registry: &Registry) -> Result<String, Error> {
    let name = full_name(purl)?;
    Ok(match &registry.location {
        Location::Folder(folder) => folder.display().to_string(),
        Location::Remote(base) | Location::Page(base) => shown(&below(base, [name.as_str()])),
    })
}

fn is_plain_name_of(path: &std::path::Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(is_plain_name)
}

/// `@scope/name`, or `name`.
fn full_name(purl: &PackageUrl) -> Result<String, Error> {
    let scope = purl.namespace.strip_prefix('@');
    let plain = is_plain_name(&purl.name) && is_plain_name(&purl.version);
    match (purl.namespace.is_empty(), scope) {
        (true, _) if plain => Ok(purl.name.clone()),
        (false, Some(scope)) if plain && is_plain_name(scope) => Ok(format!("@{scope}/{}", purl.name)),
        _ => Err(Error::Incomplete { ecosystem: Ecosystem::Npm, rule: "is pkg:npm/name or pkg:npm/%40scope/name" }),
    }
}

/// The address of a version's tarball; none if there is no such version.
fn read(bytes: &[u8], version: &str) -> Result<Option<String>, String> {
    #[derive(Deserialize)]
    struct Package {
        versions: BTreeMap<String, Release>,
    }
    #[derive(Deserialize)]
    struct Release {
        dist: Dist,
    }
    #[derive(Deserialize)]
    struct Dist {
        tarball: String,
    }
    let package: Package =
        serde_json::from_slice(bytes).map_err(|error| format!("its JSON is not understood ({error})"))?;
    Ok(package.versions.into_iter().find(|(name, _)| name == version).map(|(_, release)| release.dist.tarball))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole() {
        let name = |purl: &str| full_name(&purl.parse().unwrap()).ok();
        assert_eq!(name("pkg:npm/left-pad@1.0.0").as_deref(), Some("left-pad"));
        assert_eq!(name("pkg:npm/%40a/b@1.0.0").as_deref(), Some("@a/b"));
        for purl in ["pkg:npm/a/b@1", "pkg:npm/%40/b@1", "pkg:npm/%40a%2Fc/b@1", "pkg:npm/..@1", "pkg:npm/b@..%2F1"] {
            assert_eq!(name(purl), None, "{purl}");
        }
    }

    #[test]
    fn the_tarball_of_a_version() {
        let json = br#"{"name":"x","versions":{"1.0.0":{"dist":{"tarball":"https://r.example.com/x-1.0.0.tgz"}}}}"#;
        assert_eq!(read(json, "1.0.0").unwrap().as_deref(), Some("https://r.example.com/x-1.0.0.tgz"));
        assert_eq!(read(json, "2.0.0").unwrap(), None);
        assert!(read(b"{}", "1.0.0").is_err());
    }
}
