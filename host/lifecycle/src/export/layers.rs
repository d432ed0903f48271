//! Makes layers: each in one pass, several side by side, none that was made before.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use serde::{Deserialize, Serialize};
use stave_archive::layer::{self, LayerError, Packing};
use stave_model::digest::Digest;

use super::{ExportError, Ports, drafts::Draft, json, stop_if_asked};
use crate::{
    image::{Descriptor, ImageLayer},
    port::{
        failure::{Fault, PortError},
        observer::{Event, Made},
    },
};

/// What is kept of a layer that was written before.
#[derive(Serialize, Deserialize)]
struct KeptLayer {
    diff_id: Digest,
    #[serde(flatten)]
    descriptor: Descriptor,
}

/// A layer that is there.
pub(super) struct Ready {
    pub(super) created_by: String,
    pub(super) layer: ImageLayer,
}

/// Makes all layers, as many at a time as the machine has cores; the order stays.
pub(super) fn make_all(ports: &Ports<'_>, drafts: &[Draft<'_>]) -> Result<Vec<Ready>, ExportError> {
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..drafts.len()).collect());
    let done: Mutex<BTreeMap<usize, Result<Ready, ExportError>>> = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(index) = next else { return };
            let made = make(ports, &drafts[index]);
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
fn make(ports: &Ports<'_>, draft: &Draft<'_>) -> Result<Ready, ExportError> {
    stop_if_asked(ports)?;
    let keep = |source: PortError| match source.fault {
        Fault::Cancelled => ExportError::Cancelled,
        _ => ExportError::Keep { what: draft.what.clone(), source },
    };
    if let Some(layer) = find_kept(ports, &draft.key).map_err(keep)? {
        return Ok(ready(ports, draft, layer, Made::Kept));
    }
    let tree = draft.tree()?;
    let mut blob = ports.blobs.create().map_err(keep)?;
    let flag = ports.cancel.flag();
    let written =
        layer::write(&tree, &draft.place, Packing::Gzip, &flag, &mut blob).map_err(|source| match source {
            LayerError::Cancelled => ExportError::Cancelled,
            LayerError::Output(source) => ExportError::Output { what: draft.what.clone(), source },
            source => ExportError::Layer { what: draft.what.clone(), source },
        })?;
    let span = blob.keep(&written.digest).map_err(keep)?;
    let descriptor =
        Descriptor { media_type: written.media_type.to_owned(), digest: written.digest, size: written.size };
    let kept = KeptLayer { diff_id: written.diff_id, descriptor };
    ports.results.put(&draft.key, json(&kept).as_bytes());
    let layer =
        ImageLayer { descriptor: kept.descriptor, diff_id: kept.diff_id, content: Arc::new(span), origin: None };
    Ok(ready(ports, draft, layer, Made::Written))
}

fn find_kept(ports: &Ports<'_>, key: &Digest) -> Result<Option<ImageLayer>, PortError> {
    let Some(kept) = ports.results.get(key).and_then(|bytes| serde_json::from_slice::<KeptLayer>(&bytes).ok()) else {
        return Ok(None);
    };
    let found = ports.blobs.get(&kept.descriptor.digest)?;
    Ok(found.map(|span| ImageLayer {
        descriptor: kept.descriptor,
        diff_id: kept.diff_id,
        content: Arc::new(span),
        origin: None,
    }))
}

fn ready(ports: &Ports<'_>, draft: &Draft<'_>, layer: ImageLayer, how: Made) -> Ready {
    let size = layer.descriptor.size;
    ports.observer.observe(Event::Layer { what: draft.what.clone(), how, size });
    Ready { created_by: draft.created_by.clone(), layer }
}
