//! Where a component is: `registry.example.com/acme/nodejs:1.4.2`, or `oci:FOLDER[:NAME]`, either with `@sha256:…` behind it.

use std::{fmt, str::FromStr};

use stave_model::digest::Digest;

use crate::{
    layout,
    reference::{InvalidReference, Reference},
};

/// Where a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a registry.
    Registry(Reference),
    /// In a layout.
    Layout {
        /// Which, and under which name.
        place: layout::Place,
        /// The digest of the manifest, if it is said.
        digest: Option<Digest>,
    },
}

impl Place {
    /// The same by its manifest's digest.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        match self {
            Self::Registry(reference) => Self::Registry(reference.pinned(digest)),
            Self::Layout { place, .. } => Self::Layout { place: place.clone(), digest: Some(digest) },
        }
    }

    /// The manifest's digest, if the place says one.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Registry(reference) => reference.digest,
            Self::Layout { digest, .. } => *digest,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => reference.fmt(f),
            Self::Layout { place, digest } => {
                place.fmt(f)?;
                digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
            }
        }
    }
}

impl FromStr for Place {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(layout) = text.strip_prefix("oci:") else { return text.parse().map(Self::Registry) };
        // A folder may have an `@` in its name; only what is a digest is one.
        let pinned = layout.rsplit_once('@').and_then(|(rest, digest)| Some((rest, digest.parse().ok()?)));
        let (place, digest) = pinned.map_or((layout, None), |(rest, digest)| (rest, Some(digest)));
        Ok(Self::Layout { place: layout::Place::parse(place), digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        let digest = Digest::of(b"x");
        let layout = |folder: &str, name: Option<&str>, digest| Place::Layout {
            place: layout::Place { folder: folder.into(), name: name.map(str::to_owned) },
            digest,
        };
        for (text, expected) in [
            ("oci:out".to_owned(), layout("out", None, None)),
            ("oci:a@b:java".to_owned(), layout("a@b", Some("java"), None)),
            (format!("oci:out:java@{digest}"), layout("out", Some("java"), Some(digest))),
            (format!("oci:out@{digest}"), layout("out", None, Some(digest))),
            ("a.example.com/java:1".to_owned(), Place::Registry("a.example.com/java:1".parse().unwrap())),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place, expected, "{text}");
            assert_eq!(place.to_string(), text);
            assert_eq!(place.pinned(digest).digest(), Some(digest));
        }
        assert!("A B".parse::<Place>().is_err());
    }
}
