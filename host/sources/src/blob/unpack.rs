//! An archive's files, as the app's: without the folders that are to be dropped, and below the one that is wanted.

use std::{io, path::Path};

use stave_archive::{
    content::{Content, Span},
    format::{self, Format, HEAD},
    intake::ArchiveError,
    limits::Limits,
    spool::Spool,
    tree::{Node, Tree, TreeError, TreePath, link_stays_inside},
};
use stave_platform::resource::build::Fault;

use crate::folder;

/// Why an archive's files are no app.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    /// It is of no kind that is unpacked.
    #[error("it is neither a zip (jar, war) nor a tar, by its bytes")]
    Kind,
    /// It is damaged or hostile.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What is left of it makes no tree.
    #[error("its names do not fit together without their first {0} folders")]
    Stripped(u32, #[source] TreeError),
    /// Nothing is left of it.
    #[error("nothing is left of it without the first {0} folders of its names")]
    Nothing(u32),
    /// There is no such folder.
    #[error("there is no folder `{}` in it", .0.as_str().escape_debug())]
    NoFolder(TreePath),
    /// The disk failed.
    #[error("could not keep its files")]
    Keep(#[source] io::Error),
}

impl UnpackError {
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Keep(_) | Self::Archive(ArchiveError::Spool(_)) => Fault::Transient,
            _ => Fault::Refused,
        }
    }

    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Kind => Some("check that the URL leads to the archive itself, and not to a page about it"),
            Self::Stripped(..) | Self::Nothing(_) => Some("check `stripComponents`"),
            Self::NoFolder(_) => Some("check `subPath`, which counts from what `stripComponents` leaves"),
            _ => None,
        }
    }
}

/// Reads an archive, whatever its name.
pub(super) fn open(
    archive: Span,
    strip: u32,
    folder: &TreePath,
    limits: &Limits,
    spool_in: &Path,
) -> Result<Tree, UnpackError> {
    let format = kind(&archive)?;
    let mut spool = Spool::new_in(spool_in).map_err(UnpackError::Keep)?;
    let tree = format::unpack(archive, format, limits, &mut spool)?;
    let tree = stripped(tree, strip)?;
    let below = folder::below(tree, folder).map_err(|error| UnpackError::Stripped(strip, error))?;
    below.ok_or_else(|| UnpackError::NoFolder(folder.clone()))
}

/// Which kind it is, by its bytes. A program may stand before a jar that runs by itself: the end of such a file tells.
fn kind(archive: &Span) -> Result<Format, UnpackError> {
    let mut head = Vec::new();
    let part = archive.part(0, archive.size().min(HEAD as u64)).ok_or(UnpackError::Kind)?;
    io::Read::read_to_end(&mut part.cursor(), &mut head).map_err(UnpackError::Keep)?;
    match Format::guess("", &head) {
        Some(Format::Deb) => Err(UnpackError::Kind),
        Some(format) => Ok(format),
        None if head.starts_with(b"#!") => Ok(Format::Zip),
        None => Err(UnpackError::Kind),
    }
}

/// The tree without the first `count` names of its paths, as `tar --strip-components` has it: what has no more names than that
/// goes. A link that led to something within the archive may not lead out of what is left.
fn stripped(tree: Tree, count: u32) -> Result<Tree, UnpackError> {
    if count == 0 {
        return Ok(tree);
    }
    let names = usize::try_from(count).unwrap_or(usize::MAX);
    let mut left = Tree::new();
    for (path, node) in tree.iter() {
        let Some(path) = path.strip_names(names) else { continue };
        let put = match node {
            Node::Link(text) if !link_stays_inside(&path, text) => {
                Err(TreeError::LinkOutside(path.to_string(), text.clone()))
            }
            node => left.insert(path, node.clone()),
        };
        put.map_err(|error| UnpackError::Stripped(count, error))?;
    }
    if left.is_empty() && !tree.is_empty() { Err(UnpackError::Nothing(count)) } else { Ok(left) }
}
