//! The bill of materials: what is in the image, for each launch layer, for the app, and for all of it.
//!
//! It is a layer of its own, laid out as the lifecycle lays out what buildpacks say (buildpack specification,
//! "Software-Bill-of-Materials"): `sbom/launch/<buildpack>/<layer>/sbom.*.json`. Beside these stand `app/`, which no
//! buildpack is called, with the libraries of the app, and everything together at the top.

use std::sync::Arc;

use stave_archive::{
    content::Bytes,
    tree::{Node, Tree, TreePath},
};
use stave_model::{
    image::SBOM_DIR,
    sbom::{Component, Format, sorted},
};

use super::{
    ExportError, Ports,
    drafts::{Draft, DraftTree, blob_key, owned_place},
    launch_layers,
};
use crate::{app::identity, build::Built, libraries};

/// The layer with all bills; none if nothing is known of anything.
pub(super) fn draft(
    ports: &Ports<'_>,
    built: &Built,
    owner: (u32, u32),
) -> Result<Option<Draft<'static>>, ExportError> {
    let what = "bill of materials";
    let read = |source| ExportError::Read { what: "the app's libraries".to_owned(), source };
    let mut bills: Vec<(String, String, Vec<Component>)> = Vec::new();
    for part in &built.parts {
        let id = &part.manifest.buildpack.id;
        for layer in launch_layers(part).filter(|layer| !layer.contents.is_empty()) {
            let folder = format!("{}/{}/", id.escaped(), layer.name);
            bills.push((folder, format!("{id}:{}", layer.name), layer.contents.clone()));
        }
    }
    let app = libraries::of(&built.app, ports.results, ports.cancel).map_err(read)?;
    super::stop_if_asked(ports)?;
    if !app.is_empty() {
        bills.push(("app/".to_owned(), "app".to_owned(), app));
    }
    if bills.is_empty() {
        return Ok(None);
    }
    let all = sorted(bills.iter().flat_map(|(_, _, components)| components.iter().cloned()));
    bills.push((String::new(), "image".to_owned(), all));
    let mut tree = Tree::new();
    for (folder, name, components) in &bills {
        for format in Format::ALL {
            let path: TreePath = format!("{folder}{}", format.file_name()).parse().map_err(ExportError::Place)?;
            let node = Node::file(Arc::new(Bytes::new(format.write(name, components))), false);
            tree.insert(path, node).map_err(ExportError::Launcher)?;
        }
    }
    let content =
        identity(tree.iter(), ports.cancel).map_err(|source| ExportError::Read { what: what.to_owned(), source })?;
    let folder = format!("{SBOM_DIR}/launch");
    Ok(Some(Draft {
        what: what.to_owned(),
        created_by: "Software Bill-of-Materials".to_owned(),
        place: owned_place(&folder, owner)?,
        key: blob_key(&folder, owner, &content),
        tree: DraftTree::Made(tree),
    }))
}
