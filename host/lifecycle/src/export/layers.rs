//! Makes layers: each in one pass, several side by side, none that was made before.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
};

use serde::{Deserialize, Serialize};
use stave_archive::{
    content::{Content, Span},
    layer::{LayerError, Press, Written},
    tree::{Node, Tree},
};
use stave_model::digest::{Digest, Key};

use super::{
    ExportError, Ports,
    drafts::{Draft, DraftTree},
    json, stop_if_asked,
};
use crate::{
    image::{Descriptor, ImageLayer},
    port::{
        failure::{Fault, PortError},
        observer::{Event, Made, Observer},
    },
    previous,
};

/// A layer with fewer bytes in its files is written before anybody wonders.
const LARGE: u64 = 64 << 20;

/// What is kept of a layer that was written before.
#[derive(Serialize, Deserialize)]
struct KeptLayer {
    diff_id: Digest,
    #[serde(flatten)]
    descriptor: Descriptor,
    /// The mark of the file of which it is known that its bytes have the digest ([`stave_archive::seen::Stat::mark`]).
    checked: String,
}

/// A layer that is there.
pub(super) struct Ready {
    pub(super) created_by: String,
    pub(super) layer: ImageLayer,
}

/// Makes all layers, as many at a time as the machine has cores, on one press that starts when the first has to be written;
/// the order stays.
pub(super) fn make_all(ports: &Ports<'_>, drafts: &[Draft<'_>]) -> Result<Vec<Ready>, ExportError> {
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..drafts.len()).collect());
    let done: Mutex<BTreeMap<usize, Result<Ready, ExportError>>> = Mutex::new(BTreeMap::new());
    let press = OnceLock::new();
    let work = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(index) = next else { return };
            let made = make(ports, &press, &drafts[index]);
            if made.is_err() {
                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).insert(index, made);
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from).min(drafts.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

/// The layer from the store if its description was met before, else written now.
fn make(ports: &Ports<'_>, press: &OnceLock<Press>, draft: &Draft<'_>) -> Result<Ready, ExportError> {
    stop_if_asked(ports)?;
    if let DraftTree::Packed(layer) = draft.tree {
        return Ok(ready(ports, draft, layer.clone(), Made::Reused));
    }
    let keep = |source: PortError| match source.fault {
        Fault::Cancelled => ExportError::Cancelled,
        _ => ExportError::Keep { what: draft.what.clone(), source },
    };
    let key = Key::new("packed layer 1").field(draft.key.hex()).field(ports.packing.recipe()).finish();
    if let Some(layer) = find_kept(ports, &key).map_err(keep)? {
        return Ok(ready(ports, draft, layer, Made::Kept));
    }
    let tree = draft.tree()?;
    let progress = Progress::of(ports, draft, &tree);
    let told = |done: u64| progress.tell(done);
    let mut blob = ports.blobs.create().map_err(keep)?;
    let Written { diff_id, digest, size, media_type, .. } = start(press)
        .and_then(|press| press.write(&tree, &draft.place, ports.packing, &ports.cancel.flag(), &told, &mut blob))
        .map_err(|source| match source {
            LayerError::Cancelled => ExportError::Cancelled,
            LayerError::Output(source) => ExportError::Output { what: draft.what.clone(), source },
            source => ExportError::Layer { what: draft.what.clone(), source },
        })?;
    drop(progress);
    let span = blob.keep(&digest).map_err(keep)?;
    let descriptor = Descriptor { media_type: media_type.to_owned(), digest, size };
    // Without a mark its bytes are read the next time, and nothing worse.
    let checked = span.stat().map(|stat| stat.mark()).unwrap_or_default();
    let kept = KeptLayer { diff_id, descriptor, checked };
    ports.results.put(&key, json(&kept).as_bytes());
    if matches!(draft.tree, DraftTree::Described(..)) {
        // The next build may keep it as it is.
        previous::learn(ports.results, &digest, &span);
    }
    Ok(ready(ports, draft, kept.with(span), Made::Written))
}

/// Tells how far a large layer is. Dropping it ends that.
struct Progress<'a> {
    observer: &'a dyn Observer,
    /// None if it is not worth telling.
    what: Option<String>,
    total: u64,
}

impl<'a> Progress<'a> {
    fn of(ports: &Ports<'a>, draft: &Draft<'_>, tree: &Tree) -> Self {
        let size = |(_, node): (_, &Node)| match node {
            Node::File(_, content) => content.size(),
            _ => 0,
        };
        let total = tree.iter().map(size).fold(0, u64::saturating_add);
        let what = (total >= LARGE).then(|| format!("write the layer {}", draft.what));
        Self { observer: ports.observer, what, total }
    }

    /// `done` bytes of the tar are through: headers make it longer than its files are.
    fn tell(&self, done: u64) {
        if let Some(what) = self.what.clone() {
            self.observer.observe(Event::Progress { what, done: done.min(self.total), total: Some(self.total) });
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(what) = self.what.take() {
            self.observer.observe(Event::ProgressEnd { what });
        }
    }
}

/// The press, started by the first who needs it.
fn start(press: &OnceLock<Press>) -> Result<&Press, LayerError> {
    if let Some(press) = press.get() {
        return Ok(press);
    }
    let new = Press::new()?;
    Ok(press.get_or_init(|| new))
}

/// The layer that was kept under `key`, if its blob is there whole. One whose file is not the one that was checked last is
/// read once more; a damaged one is taken away, and the layer has to be made again.
fn find_kept(ports: &Ports<'_>, key: &Digest) -> Result<Option<ImageLayer>, PortError> {
    let Some(mut kept) = ports.results.get(key).and_then(|bytes| serde_json::from_slice::<KeptLayer>(&bytes).ok())
    else {
        return Ok(None);
    };
    let Descriptor { digest, size, .. } = kept.descriptor;
    let Some(span) = ports.blobs.get(&digest)? else { return Ok(None) };
    let failed = |error| PortError::of_io(format!("could not read the layer {digest}"), Fault::Io, error);
    let mark = span.stat().map_err(failed)?.mark();
    if span.size() == size && kept.checked == mark {
        return Ok(Some(kept.with(span)));
    }
    if span.size() != size || span.digest().map_err(failed)? != digest {
        ports.blobs.discard(&digest)?;
        return Ok(None);
    }
    kept.checked = mark;
    ports.results.put(key, json(&kept).as_bytes());
    Ok(Some(kept.with(span)))
}

impl KeptLayer {
    fn with(self, span: Span) -> ImageLayer {
        ImageLayer { descriptor: self.descriptor, diff_id: self.diff_id, content: Arc::new(span), origin: None }
    }
}

fn ready(ports: &Ports<'_>, draft: &Draft<'_>, layer: ImageLayer, how: Made) -> Ready {
    let size = layer.descriptor.size;
    ports.observer.observe(Event::Layer { what: draft.what.clone(), how, size });
    Ready { created_by: draft.created_by.clone(), layer }
}
