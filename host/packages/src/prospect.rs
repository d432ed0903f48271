//! Where a dependency would be fetched from, for whoever wants to know it beforehand: nothing is fetched, nobody is asked, and
//! no program is run.

use stave_model::dependency::PackageUrl;

use crate::{
    locate,
    machine::Machine,
    registry::{Ecosystem, Reason},
    settings::{self, Settings},
};

/// A place that would be looked at, in the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prospect {
    /// What would be asked for first: the file, or the index that says where it is. Without logins.
    pub place: String,
    /// Who named the place.
    pub reason: Reason,
}

/// Why it cannot be said.
#[derive(Debug, thiserror::Error)]
pub enum Unclear {
    /// No such packages are fetched.
    #[error("packages of type `{}` cannot be fetched: pypi, npm, maven and generic can", .0.escape_debug())]
    Unsupported(String),
    /// Nothing is configured, so a build asks the ecosystem's own tool.
    #[error("nothing is configured: a build asks {} for its default, if it is there", .0.tool())]
    Asks(Ecosystem),
    /// The settings say nothing, or are not right.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The package URL does not say enough.
    #[error(transparent)]
    Locate(#[from] locate::Error),
    /// Nothing that is configured can have it.
    #[error("{}", nowhere(*.0))]
    Nowhere(Ecosystem),
}

fn nowhere(ecosystem: Ecosystem) -> String {
    match ecosystem {
        Ecosystem::Generic => "no address that `registries.generic` allows begins its `download_url`".to_owned(),
        other => format!("no {} registry can have it", other.name()),
    }
}

/// The places that a build would look at for a package; at least one.
pub fn prospects(settings: &Settings, machine: &Machine, purl: &PackageUrl) -> Result<Vec<Prospect>, Unclear> {
    let unsupported = || Unclear::Unsupported(purl.kind.chars().take(100).collect());
    let ecosystem = Ecosystem::of(&purl.kind).ok_or_else(unsupported)?;
    let silent = machine.clone().without_programs();
    let sources = settings::find(settings, &silent, ecosystem, purl).map_err(|error| match error {
        settings::Error::Unknown(ecosystem) if ecosystem != Ecosystem::Generic => Unclear::Asks(ecosystem),
        error => Unclear::Settings(error),
    })?;
    let mut prospects = Vec::new();
    for registry in sources.registries {
        let look = locate::first_look(ecosystem, purl, &registry)?;
        prospects.extend(look.map(|place| Prospect { place, reason: registry.reason.clone() }));
    }
    if prospects.is_empty() { Err(Unclear::Nowhere(ecosystem)) } else { Ok(prospects) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_would_be_asked_and_why() {
        let settings: Settings = toml::from_str(
            "npm = 'https://me:s3cret@npm.example.com'\ngeneric = 'https://downloads.example.com/tools'\n\
             [[for]]\npackages = 'pkg:maven/com.acme/*'\nfrom = ['https://nexus.example.com/maven2', '/srv/mirror']\n",
        )
        .unwrap();
        let variables = [
            ("PIP_INDEX_URL", "https://me:s3cret@pip.example.com/simple"),
            ("PIP_FIND_LINKS", "/opt/wheels https://links.example.com/"),
            // Programs that would be asked for defaults.
            ("PATH", "/usr/bin:/bin"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let machine = Machine { variables, root: "/nowhere".into() };
        let told = |purl: &str| match prospects(&settings, &machine, &purl.parse().unwrap()) {
            Ok(places) => {
                places.iter().map(|one| format!("{} ({})", one.place, one.reason)).collect::<Vec<_>>().join("\n")
            }
            Err(error) => error.to_string(),
        };
        let said = [
            "pkg:pypi/Run_Time@1?file_name=x.whl",
            "pkg:npm/%40acme/x@1",
            "pkg:maven/com.acme/tool@1.0?type=zip",
            "pkg:maven/org.example/tool@1.0",
            "pkg:generic/x@1?download_url=https://downloads.example.com/tools/x.tgz%3Ftoken=1",
            "pkg:generic/x@1?download_url=https://elsewhere.example.com/x.tgz",
            "pkg:maven/tool@1",
            "pkg:cargo/x@1",
        ];
        insta::assert_snapshot!(said.map(told).join("\n"), @r"
        /opt/wheels (pip's settings)
        https://links.example.com/ (pip's settings)
        https://pip.example.com/simple/run-time/ (pip's settings)
        https://npm.example.com/@acme%2Fx (`registries` in the configuration)
        /srv/mirror/com/acme/tool/1.0/tool-1.0.zip (`pkg:maven/com.acme/*` of `registries.for` in the configuration)
        https://nexus.example.com/maven2/com/acme/tool/1.0/tool-1.0.zip (`pkg:maven/com.acme/*` of `registries.for` in the configuration)
        nothing is configured: a build asks Maven for its default, if it is there
        https://downloads.example.com/tools/x.tgz?… (`registries` in the configuration)
        no address that `registries.generic` allows begins its `download_url`
        nothing is configured: a build asks Maven for its default, if it is there
        packages of type `cargo` cannot be fetched: pypi, npm, maven and generic can
        ");
    }
}
