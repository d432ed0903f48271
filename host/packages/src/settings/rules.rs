//! `[[registries.for]]`: where packages come from by the pattern of their names.
//!
//! A rule is exclusive. What it speaks of is asked for where it says and nowhere else, also if it is not there: whoever
//! published a package of the same name at a public registry is not heard ("dependency confusion").

use serde::Deserialize;
use stave_model::dependency::{PackageUrl, pattern::PackagePattern};

use super::one_or_more;
use crate::registry::Ecosystem;

/// Packages, and where they come from.
#[derive(Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which packages: at least one pattern.
    pub packages: Vec<PackagePattern>,
    /// Addresses and folders, in the order in which they are asked: at least one.
    pub from: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(deserialize_with = "one_or_more")]
    packages: Vec<String>,
    #[serde(deserialize_with = "one_or_more")]
    from: Vec<String>,
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let Raw { packages, from } = Raw::deserialize(deserializer)?;
        if packages.is_empty() || from.is_empty() {
            return Err(D::Error::custom("`packages` and `from` each name at least one"));
        }
        let packages = packages.iter().map(|text| {
            let pattern: PackagePattern = text.parse().map_err(D::Error::custom)?;
            if Ecosystem::of(pattern.kind()).is_none() {
                let names = Ecosystem::ALL.map(Ecosystem::name).join(", ");
                return Err(D::Error::custom(format!("`{pattern}` is of no type that can be fetched: {names}")));
            }
            Ok(pattern)
        });
        Ok(Self { packages: packages.collect::<Result<_, _>>()?, from })
    }
}

impl Rule {
    /// The pattern of this rule that speaks of the package: the first that does.
    pub(super) fn meant(&self, purl: &PackageUrl) -> &PackagePattern {
        self.packages.iter().find(|pattern| pattern.matches(purl)).unwrap_or(&self.packages[0])
    }
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Addresses may hold passwords.
        write!(f, "Rule({:?}, {} registries)", self.packages, self.from.len())
    }
}

/// The rule that speaks of the package, if one does: the first.
pub(super) fn first<'a>(rules: &'a [Rule], purl: &PackageUrl) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.packages.iter().any(|pattern| pattern.matches(purl)))
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, find};
    use crate::{
        machine::Machine,
        registry::{Ecosystem, Registry},
    };

    const SETTINGS: &str = r#"
        pypi = "https://pypi.example.com/simple"

        [[for]]
        packages = "pkg:pypi/acme-*"
        from = ["https://me:s3cret@nexus.example.com/pypi", "/srv/mirror"]

        [[for]]
        packages = ["pkg:maven/com.acme/*", "pkg:pypi/*"]
        from = "https://second.example.com"
    "#;

    /// Where a package comes from, and why.
    fn told(settings: &str, purl: &str) -> String {
        let settings: Settings = toml::from_str(settings).unwrap();
        let variables = [("PIP_EXTRA_INDEX_URL", "https://evil.example.com/simple")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let machine = Machine { variables, root: "/nowhere".into() };
        let purl: stave_model::dependency::PackageUrl = purl.parse().unwrap();
        let told = |registry: &Registry| format!("{registry}: {}", registry.reason);
        match find(&settings, &machine, Ecosystem::of(&purl.kind).unwrap(), &purl) {
            Ok(sources) => sources.registries.iter().map(told).collect::<Vec<_>>().join("\n"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_first_rule_that_speaks_of_a_package_counts_and_nothing_else() {
        insta::assert_snapshot!(told(SETTINGS, "pkg:pypi/Acme_Tool@1"), @r"
        /srv/mirror: `pkg:pypi/acme-*` of `registries.for` in the configuration
        https://nexus.example.com/pypi: `pkg:pypi/acme-*` of `registries.for` in the configuration
        ");
        insta::assert_snapshot!(told(SETTINGS, "pkg:pypi/other@1"), @"https://second.example.com/: `pkg:pypi/*` of `registries.for` in the configuration");
        insta::assert_snapshot!(told(SETTINGS, "pkg:maven/com.acme/tool@1"), @"https://second.example.com/: `pkg:maven/com.acme/*` of `registries.for` in the configuration");
        let without = SETTINGS.split("[[for]]").next().unwrap();
        insta::assert_snapshot!(told(without, "pkg:pypi/acme-tool@1"), @"https://pypi.example.com/simple: `registries` in the configuration");
        insta::assert_snapshot!(told("", "pkg:pypi/acme-tool@1"), @"https://evil.example.com/simple: pip's settings");
        insta::assert_snapshot!(told(SETTINGS, "pkg:maven/org.acme/tool@1"), @"it is not known where maven packages come from: nothing is configured, and no Maven on the path says its default");
    }

    #[test]
    fn says_what_is_no_rule() {
        let refused = |text: &str| toml::from_str::<Settings>(text).unwrap_err().message().to_owned();
        let said = [
            refused("[[for]]\npackages = 'pkg:cargo/x'\nfrom = '/srv'"),
            refused("[[for]]\npackages = 'acme'\nfrom = '/srv'"),
            refused("[[for]]\npackages = []\nfrom = '/srv'"),
            refused("[[for]]\npackages = 'pkg:pypi/x'\nto = '/srv'"),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        `pkg:cargo/x` is of no type that can be fetched: pypi, npm, maven, generic
        `acme` does not say which packages are meant: write pkg:TYPE/NAME, such as pkg:maven/com.acme/* or pkg:npm/@acme/*
        `packages` and `from` each name at least one
        unknown field `to`, expected `packages` or `from`
        ");
    }
}
