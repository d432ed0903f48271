//! Names of images, between what the platform decides by and what moves bytes; and the names that builders are kept under.

use stave_oci::reference::Reference;
use stave_platform::{
    plan::world::BuilderKey,
    resource::{
        builder::{Builder, BuilderKind},
        reference::{Pinned, Tag},
    },
};

use crate::{
    builder::PLATFORMS,
    exit::{Exit, USAGE},
};

/// A tag as what moves bytes has it.
pub(crate) fn of_tag(tag: &Tag) -> Result<Reference, Exit> {
    parse(&tag.to_string())
}

/// An image by its digest as what moves bytes has it.
pub(crate) fn of_pinned(pinned: &Pinned) -> Result<Reference, Exit> {
    parse(&pinned.to_string())
}

/// Any name.
pub(crate) fn parse(text: &str) -> Result<Reference, Exit> {
    text.parse().map_err(|error| Exit::new(USAGE, error))
}

/// The name under which a revision of a builder is kept.
pub(crate) fn kept(builder: &Builder, number: u64) -> String {
    let name = &builder.metadata.name;
    match builder.kind {
        BuilderKind::ClusterBuilder => format!("{PLATFORMS}clusterbuilder/{name}:r{number}"),
        BuilderKind::Builder => format!("{PLATFORMS}builder/{}/{name}:r{number}", namespace(builder)),
    }
}

/// Which builder it is.
pub(crate) fn key(builder: &Builder) -> BuilderKey {
    let namespace = match builder.kind {
        BuilderKind::ClusterBuilder => None,
        BuilderKind::Builder => namespace(builder).parse().ok(),
    };
    BuilderKey { namespace, name: builder.metadata.name.clone() }
}

fn namespace(builder: &Builder) -> &str {
    builder.metadata.namespace.as_ref().map_or("default", |name| name.as_str())
}
