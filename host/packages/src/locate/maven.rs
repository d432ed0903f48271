//! JVM packages in a Maven repository: the place follows from group, artifact, version, `classifier` and `type`
//! (the "default" layout of Maven 2 and later).

use stave_model::dependency::PackageUrl;

use super::{Error, Place, is_plain_name};
use crate::registry::{Ecosystem, Location, Registry, below};

/// The place in one repository.
pub(super) fn place(purl: &PackageUrl, registry: &Registry) -> Result<Place, Error> {
    let segments = segments(purl)?;
    Ok(match &registry.location {
        Location::Remote(base) | Location::Page(base) => {
            Place::Address { url: below(base, segments.iter().map(String::as_str)), led_by: None }
        }
        Location::Folder(folder) => {
            Place::File(segments.iter().fold(folder.clone(), |path, segment| path.join(segment)))
        }
    })
}

fn segments(purl: &PackageUrl) -> Result<Vec<String>, Error> {
    let classifier = purl.qualifiers.get("classifier").map(|text| format!("-{text}")).unwrap_or_default();
    let kind = purl.qualifiers.get("type").map_or("jar", String::as_str);
    let (name, version) = (&purl.name, &purl.version);
    let mut segments: Vec<String> = purl.namespace.split('.').map(str::to_owned).collect();
    segments.extend([name.clone(), version.clone(), format!("{name}-{version}{classifier}.{kind}")]);
    if !segments.iter().all(|segment| is_plain_name(segment)) {
        let rule = "has a group, and no slashes in its parts";
        return Err(Error::Incomplete { ecosystem: Ecosystem::Maven, rule });
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_layout() {
        let place = |purl: &str, registry: &str| place(&purl.parse().unwrap(), &Registry::parse(registry).unwrap());
        let base = "https://maven.example.com/maven2";
        let jar = place("pkg:maven/org.example.app/tool@1.2", base).unwrap();
        let url = "https://maven.example.com/maven2/org/example/app/tool/1.2/tool-1.2.jar".parse().unwrap();
        assert_eq!(jar, Place::Address { url, led_by: None });
        let native = place("pkg:maven/org.example/tool@1.2?classifier=linux&type=zip", "/repo").unwrap();
        assert_eq!(native, Place::File("/repo/org/example/tool/1.2/tool-1.2-linux.zip".into()));
    }

    #[test]
    fn no_part_leads_elsewhere() {
        for purl in [
            "pkg:maven/tool@1",
            "pkg:maven/a..b/tool@1",
            "pkg:maven/a/..@1",
            "pkg:maven/a/b@..%2F1",
            "pkg:maven/a/b@1?type=x%2Fy",
        ] {
            assert!(segments(&purl.parse().unwrap()).is_err(), "{purl}");
        }
    }
}
