//! Writes layers, each in one pass, several at a time on the same threads and in the same memory.
//!
//! ```text
//! files ─► tar ─► digest of the tar ─► blocks compressed, each by itself ─► in order again ─► digest ─► blob
//!         one thread   another          all the press has, for all layers              the caller's thread
//! ```

use std::{
    fmt,
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::AtomicBool,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
};

use flate2::Crc;
use stave_model::digest::{Digest, Hasher};

use super::{
    LayerError, Place, Written,
    block::{Block, Shelf},
    members, pack,
    packing::Packing,
    tarring::{Stop, Tarring},
};
use crate::tree::Tree;

/// The most threads that compress. More would wait for the one that hashes: it is as fast as six of them.
const MAX_THREADS: usize = 8;
/// How many blocks there are beside those that are being compressed: each takes up to two megabytes.
const SPARE: usize = 6;

/// Threads that compress, and the blocks that they and the layers share. Made when something is to be written, because it
/// starts them; dropping it ends them.
pub struct Press {
    shelf: Arc<Shelf>,
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

/// A block to compress.
struct Job {
    block: Block,
    packing: Packing,
    reply: SyncSender<Packed>,
}

/// A block that was compressed, and the checksum of what was in it.
struct Packed {
    block: Block,
    crc: io::Result<Crc>,
}

impl Press {
    /// A press with a thread for each of the machine's cores, up to eight.
    pub fn new() -> Result<Self, LayerError> {
        Self::with_threads(thread::available_parallelism().map_or(1, usize::from))
    }

    /// A press with so many threads, at least one and up to eight. Their number does not show in what they write.
    pub fn with_threads(count: usize) -> Result<Self, LayerError> {
        let count = count.clamp(1, MAX_THREADS);
        let (jobs, todo) = channel();
        let mut press = Self { shelf: Shelf::new(count + SPARE), jobs: Some(jobs), threads: Vec::new() };
        let todo = Arc::new(Mutex::new(todo));
        for _ in 0..count {
            let todo = Arc::clone(&todo);
            let thread = thread::Builder::new().name("layer-press".to_owned()).spawn(move || work(&todo));
            press.threads.push(thread.map_err(LayerError::Thread)?);
        }
        Ok(press)
    }

    /// Writes `tree` at its `place` to `out`, until done or `cancel` is set. `told` hears, about once a megabyte, how many bytes
    /// of the tar are through.
    pub fn write(
        &self,
        tree: &Tree,
        place: &Place,
        packing: Packing,
        cancel: &AtomicBool,
        told: &(dyn Fn(u64) + Sync),
        out: impl Write,
    ) -> Result<Written, LayerError> {
        let members = members(tree, place);
        let (full, filled) = sync_channel(1);
        let (in_order, answers) = channel();
        thread::scope(|scope| {
            let tarring = move || Tarring::new(full, &self.shelf, cancel).run(members);
            let tarring = thread::Builder::new().name("layer-tar".to_owned()).spawn_scoped(scope, tarring);
            let hashing = move || self.hash(packing, &filled, &in_order, told);
            let hashing = thread::Builder::new().name("layer-digest".to_owned()).spawn_scoped(scope, hashing);
            let (tarring, hashing) = (tarring.map_err(LayerError::Thread)?, hashing.map_err(LayerError::Thread)?);
            let joined = join(packing, answers, out);
            let tarred = tarring.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let (diff_id, tar_size) = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match (tarred, joined) {
                (Err(Stop::Failed(error)), _) => Err(error),
                (_, Err(source)) => Err(LayerError::Output(source)),
                (Err(Stop::Unheard), Ok(_)) => Err(LayerError::Output(io::ErrorKind::BrokenPipe.into())),
                (Ok(()), Ok((digest, size))) => {
                    let digest = digest.unwrap_or(diff_id);
                    Ok(Written { diff_id, digest, size, tar_size, media_type: packing.media_type() })
                }
            }
        })
    }

    /// Hashes the tar as it comes and has its blocks compressed; answers with digest and size. Ends early when nobody wants
    /// the blocks any more.
    fn hash(
        &self,
        packing: Packing,
        filled: &Receiver<Block>,
        in_order: &Sender<Receiver<Packed>>,
        told: &(dyn Fn(u64) + Sync),
    ) -> (Digest, u64) {
        let (mut hasher, mut size) = (Hasher::new(), 0);
        while let (Ok(block), Some(jobs)) = (filled.recv(), &self.jobs) {
            hasher.update(block.filled());
            size += block.filled().len() as u64;
            let (reply, answer) = sync_channel(1);
            if in_order.send(answer).is_err() || jobs.send(Job { block, packing, reply }).is_err() {
                break;
            }
            told(size);
        }
        (hasher.finish(), size)
    }
}

impl Drop for Press {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // It has nothing to say but that it panicked, which those who wait for its blocks have noticed.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Press {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Press({} threads)", self.threads.len())
    }
}

/// What a thread of the press does until the press is gone.
fn work(todo: &Mutex<Receiver<Job>>) {
    let mut tools = pack::Tools::default();
    loop {
        // The lock is given back before the work begins.
        let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { mut block, packing, reply }) = job else { return };
        let (bytes, to) = block.packing_room();
        let crc = tools.pack(packing, bytes, to);
        // Nobody waits where the layer has failed.
        let _ = reply.send(Packed { block, crc });
    }
}

/// Writes the blocks in order; answers with the digest and size of what was written. No digest where it is the tar's.
fn join(packing: Packing, answers: Receiver<Receiver<Packed>>, out: impl Write) -> io::Result<(Option<Digest>, u64)> {
    let hasher = (packing != Packing::Plain).then(Hasher::new);
    let mut sink = Sink { out, hasher, size: 0 };
    let mut whole = Crc::new();
    sink.put(&pack::header(packing))?;
    for answer in answers {
        let packed = answer.recv().map_err(|_| io::Error::other("a thread that compresses ended"))?;
        whole.combine(&packed.crc?);
        sink.put(if packing == Packing::Plain { packed.block.filled() } else { packed.block.packed() })?;
    }
    sink.put(&pack::trailer(packing, &whole))?;
    sink.out.flush()?;
    Ok((sink.hasher.map(Hasher::finish), sink.size))
}

struct Sink<W> {
    out: W,
    hasher: Option<Hasher>,
    size: u64,
}

impl<W: Write> Sink<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.size += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, sync::atomic::Ordering};

    use super::*;
    use crate::{content::Content, tree::Node};

    /// Content of zeros, during which somebody may ask to stop.
    #[derive(Debug)]
    struct Zeros(u64, Option<Arc<AtomicBool>>);

    impl Content for Zeros {
        fn size(&self) -> u64 {
            self.0
        }

        fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
            if let Some(cancel) = &self.1 {
                cancel.store(true, Ordering::Relaxed);
            }
            Ok(Box::new(io::repeat(0).take(self.0)))
        }
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn blocks_are_few_whatever_the_size_and_all_come_back() {
        let cancel = Arc::new(AtomicBool::new(false));
        let tree = |stops| {
            let mut tree = Tree::new();
            let content = Zeros(40 << 20, stops);
            tree.insert("zeros".parse().unwrap(), Node::file(Arc::new(content), false)).unwrap();
            tree
        };
        let press = Press::with_threads(2).unwrap();
        let (whole, stopped) = (tree(None), tree(Some(Arc::clone(&cancel))));
        let write = |tree: &Tree, cancel: &AtomicBool, out: &mut dyn Write| {
            press.write(tree, &Place::root(), Packing::GZIP, cancel, &|_| (), out)
        };
        let go_on = AtomicBool::new(false);
        assert!(write(&whole, &go_on, &mut io::sink()).is_ok());
        assert!(matches!(write(&whole, &go_on, &mut Full), Err(LayerError::Output(_))));
        assert!(matches!(write(&stopped, &cancel, &mut io::sink()), Err(LayerError::Cancelled)));
        assert!(write(&whole, &go_on, &mut io::sink()).is_ok());
        let shelf = Arc::clone(&press.shelf);
        drop(press);
        let (made, free) = shelf.count(2 + SPARE);
        assert_eq!(made, free);
        assert!((2..=2 + SPARE).contains(&made));
    }
}
