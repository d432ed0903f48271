//! What this machine can do at best, measured in the same run: the least that the work asks of it.

use std::{
    fs,
    io::{self, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use flate2::{Compress, Compression, FlushCompress};
use stave_model::digest::Digest;

use crate::{corpus, gauge, support::env::TestEnv};

/// How much of a corpus is packed to see how fast that goes, and in which pieces.
const SAMPLE: usize = 64 << 20;
const PIECE: usize = 1 << 20;
/// How often; the best counts, as it is a limit.
const RUNS: usize = 3;

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn best(work: impl Fn()) -> Duration {
    let once = |_| {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    (0..RUNS).map(once).min().unwrap_or_default()
}

/// The time in which all cores hash, compress (gzip at level 1) and hash again so many bytes of which these folders hold
/// samples. Reading, keeping in order, writing and sending are left out, and so is what an archive adds.
pub(crate) fn packing(bytes: u64, folders: &[&Path]) -> Duration {
    let share = SAMPLE / folders.len();
    let samples: Vec<Vec<u8>> = folders.iter().map(|folder| corpus::sample(folder, share)).collect();
    let pieces: Vec<&[u8]> = samples.iter().flat_map(|sample| sample.chunks(PIECE)).collect();
    let in_all: usize = samples.iter().map(Vec::len).sum();
    let time = best(|| {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut out = Vec::with_capacity(2 * PIECE);
            while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                std::hint::black_box(Digest::of(piece));
                out.clear();
                let mut deflate = Compress::new(Compression::new(1), false);
                deflate.compress_vec(piece, &mut out, FlushCompress::Finish).unwrap();
                std::hint::black_box(Digest::of(&out));
            }
        };
        thread::scope(|scope| (0..cores()).for_each(|_| _ = scope.spawn(work)));
    });
    time.mul_f64(f64::from(u32::try_from(bytes >> 10).unwrap()) * 1024.0 / f64::from(u32::try_from(in_all).unwrap()))
}

/// The time in which all cores ask the system about each file in a folder: its kind, size and times.
pub(crate) fn looking(folder: &Path) -> Duration {
    best(|| {
        let waiting = Mutex::new(vec![folder.to_owned()]);
        let open = AtomicUsize::new(1);
        let next = || waiting.lock().unwrap().pop();
        let look = || {
            while open.load(Ordering::SeqCst) > 0 {
                let Some(folder) = next() else {
                    thread::yield_now();
                    continue;
                };
                let folders: Vec<PathBuf> = look_into(&folder);
                open.fetch_add(folders.len(), Ordering::SeqCst);
                waiting.lock().unwrap().extend(folders);
                open.fetch_sub(1, Ordering::SeqCst);
            }
        };
        thread::scope(|scope| (0..cores()).for_each(|_| _ = scope.spawn(look)));
    })
}

/// Asks about all in a folder; answers the folders in it.
fn look_into(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let looked = entries.map(|entry| (entry.metadata().unwrap(), entry.path()));
    looked.filter(|(metadata, _)| metadata.is_dir()).map(|(_, path)| path).collect()
}

/// The time of a program that does nothing.
pub(crate) fn starting(env: &TestEnv) -> Duration {
    let once = |_| gauge::measure(&mut gauge::command(env, "/bin/true")).time;
    let mut times: Vec<Duration> = (0..20).map(once).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// One question to a registry on this machine, on a connection of its own.
pub(crate) fn asking(host: &str, path: &str) {
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: */*\r\n\r\n").unwrap();
    io::copy(&mut stream, &mut io::sink()).unwrap();
}
