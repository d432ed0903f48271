//! Reads a layer back into the tree that it was written from.

use std::io::{self, Read};

use stave_model::digest::{Digest, Hasher};

use crate::{
    compression::{Compression, decoder},
    content::Content,
    intake::ArchiveError,
    limits::Limits,
    spool::Spool,
    tar,
    tree::{Node, Tree, TreePath},
};

/// How many bytes tell a compression.
const MAGIC: usize = 8;

/// What the layer `packed` holds below `folder`, and the digest of its tar; the bytes of its files go to `spool`.
///
/// The folder's parents may stand beside it, and nothing else. Whether the digest is the right one is for whoever knows that,
/// before anything of the tree is used.
pub fn read(
    packed: &dyn Content,
    folder: &TreePath,
    limits: &Limits,
    spool: &mut Spool,
) -> Result<(Tree, Digest), ArchiveError> {
    let (whole, diff_id) = read_whole(packed, limits, spool)?;
    let mut tree = Tree::new();
    for (path, node) in whole.iter() {
        match path.strip(folder) {
            Some(below) if below == TreePath::root() => {}
            Some(below) => tree.insert(below, node.clone())?,
            None if matches!(node, Node::Folder(_)) && folder.is_within(path) => {}
            None => {
                let rule = format!("`{}` is outside of `/{folder}`", path.as_str().escape_debug());
                return Err(ArchiveError::Archive { format: "layer", rule: rule.into() });
            }
        }
    }
    Ok((tree, diff_id))
}

/// All that the layer `packed` holds, and the digest of its tar; the bytes of its files go to `spool`. What removes something
/// of the layers below stands in it as a file ([`super::lay`]).
pub fn read_whole(packed: &dyn Content, limits: &Limits, spool: &mut Spool) -> Result<(Tree, Digest), ArchiveError> {
    let failed = |source| ArchiveError::Read { format: "layer", source };
    let mut head = Vec::with_capacity(MAGIC);
    packed.open().and_then(|reader| reader.take(MAGIC as u64).read_to_end(&mut head)).map_err(failed)?;
    let stream = packed.open().and_then(|reader| decoder(Compression::sniff(&head), reader, limits)).map_err(failed)?;
    let mut stream = Hashing { reader: stream, hasher: Hasher::new() };
    let whole = tar::read_layer(&mut stream, limits, spool)?;
    Ok((whole, stream.hasher.finish()))
}

/// Hashes what passes.
struct Hashing<R> {
    reader: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicBool};

    use super::*;
    use crate::{
        content::Bytes,
        layer::{Packing, Place, Written, write},
        tree::Access,
    };

    fn tree() -> Tree {
        let mut tree = Tree::new();
        let file = |text: &str, executable| Node::file(Arc::new(Bytes::new(text.as_bytes())), executable);
        tree.insert("bin/run".parse().unwrap(), file("#!run", true)).unwrap();
        tree.insert("bin-etc".parse().unwrap(), file("", false)).unwrap();
        tree.insert("empty".parse().unwrap(), Node::Folder(Access::FOLDER)).unwrap();
        tree.insert("certs".parse().unwrap(), Node::Link("/etc/ssl/certs".to_owned())).unwrap();
        tree.insert("long".parse().unwrap(), file(&"x".repeat(3 << 20), false)).unwrap();
        let deep: TreePath = format!("{}/file", vec!["folder"; 40].join("/")).parse().unwrap();
        tree.insert(deep, file("deep", false)).unwrap();
        tree
    }

    fn written(tree: &Tree, folder: &str, packing: Packing) -> (Vec<u8>, Written) {
        let place = Place::folder(folder).unwrap().owned_by(1001, 1000);
        let mut bytes = Vec::new();
        let written = write(tree, &place, packing, &AtomicBool::new(false), &mut bytes).unwrap();
        (bytes, written)
    }

    fn spool() -> Spool {
        Spool::new_in(&std::env::temp_dir()).unwrap()
    }

    #[test]
    fn what_was_written_comes_back_and_is_written_alike() {
        let folder: TreePath = "layers/acme_tool/kept".parse().unwrap();
        for packing in [Packing::GZIP, Packing::ZSTD] {
            let (bytes, first) = written(&tree(), "/layers/acme_tool/kept", packing);
            let limits = Limits::default();
            let (back, diff_id) = read(&Bytes::new(bytes.clone()), &folder, &limits, &mut spool()).unwrap();
            assert_eq!(diff_id, first.diff_id);
            let again = written(&back, "/layers/acme_tool/kept", packing);
            assert_eq!((again.1, again.0 == bytes), (first, true));
        }
    }

    #[test]
    fn an_empty_layer_comes_back_empty() {
        let (bytes, _) = written(&Tree::new(), "/layers/a", Packing::GZIP);
        let (back, _) =
            read(&Bytes::new(bytes), &"layers/a".parse().unwrap(), &Limits::default(), &mut spool()).unwrap();
        assert!(back.is_empty());
    }

    #[test]
    fn what_is_not_such_a_layer_is_refused() {
        let (bytes, _) = written(&tree(), "/layers/a/b", Packing::GZIP);
        let refused = |bytes: Vec<u8>, folder: &str, limits: Limits| {
            let error = read(&Bytes::new(bytes), &folder.parse().unwrap(), &limits, &mut spool()).unwrap_err();
            std::error::Error::source(&error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
        };
        // A byte of the checksum.
        let mut damaged = bytes.clone();
        let at = damaged.len() - 6;
        damaged[at] ^= 0x40;
        let few = Limits { entries: 10, ..Limits::default() };
        let small = Limits { total_bytes: 1 << 20, ..Limits::default() };
        let half = bytes[..bytes.len() / 2].to_vec();
        assert!(!refused(damaged, "layers/a/b", Limits::default()).is_empty());
        assert!(!refused(half, "layers/a/b", Limits::default()).is_empty());
        insta::assert_snapshot!([
            refused(bytes.clone(), "layers/a/c", Limits::default()),
            refused(bytes.clone(), "layers/a/b/bin", Limits::default()),
            refused(bytes.clone(), "layers/a/b", few),
            refused(bytes, "layers/a/b", small),
            refused(b"text".to_vec(), "layers/a/b", Limits::default()),
        ].join("\n"), @"
        layer archive is refused: `layers/a/b` is outside of `/layers/a/c`
        layer archive is refused: `layers/a/b/bin-etc` is outside of `/layers/a/b/bin`
        layer archive is refused: it holds more than 10 entries
        layer archive is refused: its files hold more than 1048576 bytes
        layer archive is refused: it ends before its end is marked
        ");
    }
}
