//! How long a layer of a gigabyte takes, and how much memory, beside what this machine can do at best.
//!
//! `cargo bench -p stave-archive` prints a table; `cargo bench -p stave-archive -- mixed zstd:1` only the rows of that corpus in
//! that form. The limit is measured in the same run: all cores hash, compress and hash again what is in memory already, with
//! nothing to read, to keep in order or to write. A layer whose blocks are stored undercuts it. Corpora are made in the target folder and removed afterwards.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and ends where it cannot go on")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use flate2::{Compress, Compression, FlushCompress};
use stave_archive::{
    folder,
    layer::{Packing, Place, Press},
    limits::Limits,
    tree::{Node, Tree},
};
use stave_model::digest::Digest;

/// The sizes of the corpora, in bytes.
const LARGE: usize = 1_000_000_000;
const SPARSE: u64 = 10_000_000_000;
/// How many tiny files there are.
const TINY: usize = 200_000;
/// How much of a corpus the limit is measured with, and in which pieces.
const SAMPLE: usize = 64 << 20;
const PIECE: usize = 1 << 20;
/// How often each row is measured; the best counts, for the limit as for us.
const RUNS: usize = 3;

/// A name and how its files are made in a folder.
type Corpus = (&'static str, fn(&Path));

const CORPORA: [Corpus; 4] = [("mixed", mixed), ("random", random), ("tiny", tiny), ("sparse", sparse)];
const FORMS: [&str; 4] = ["gzip:1", "gzip:6", "zstd:1", "zstd:3"];

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    // `cargo test --benches` is not asked to wait for minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let wanted = |name: &str, of: &[&str]| {
        let named = asked.iter().any(|asked| of.contains(&asked.as_str()));
        !named || asked.iter().any(|asked| asked == name)
    };
    let names = CORPORA.map(|(name, _)| name);
    println!("| Corpus | Tar | Form | Packed | Time | MB/s | Limit | Time ÷ limit | Peak memory |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, make) in CORPORA.into_iter().filter(|(name, _)| wanted(name, &names)) {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        make(folder.path());
        let limits = Limits { total_bytes: u64::MAX, entry_bytes: u64::MAX, ..Limits::default() };
        let tree = folder::read(folder.path(), &limits).unwrap().tree;
        for form in FORMS.into_iter().filter(|form| wanted(form, &FORMS)) {
            row(name, form, &tree);
        }
    }
}

fn row(name: &str, form: &str, tree: &Tree) {
    let packing: Packing = form.parse().unwrap();
    let place = Place::folder("/workspace").unwrap().owned_by(1000, 1000);
    let per_byte = limit(packing, &sample(tree));
    forget_peak();
    let (mut best, mut written) = (Duration::MAX, None);
    for _ in 0..RUNS {
        let out = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let started = Instant::now();
        let press = Press::new().unwrap();
        written = Some(press.write(tree, &place, packing, &AtomicBool::new(false), &|_| (), &out).unwrap());
        best = best.min(started.elapsed());
    }
    let (written, peak) = (written.unwrap(), peak());
    let (time, limit) = (best.as_secs_f64(), per_byte * written.tar_size as f64);
    println!(
        "| {name} | {} MB | {form} | {:.3} | {time:.2} s | {:.0} | {limit:.2} s | {:.2} | {peak} MB |",
        written.tar_size / 1_000_000,
        written.size as f64 / written.tar_size as f64,
        written.tar_size as f64 / 1e6 / time,
        time / limit,
    );
}

/// Bytes from all over the tree.
fn sample(tree: &Tree) -> Vec<u8> {
    let mut sample = Vec::with_capacity(SAMPLE);
    let contents = tree.iter().filter_map(|(_, node)| match node {
        Node::File(_, content) => Some(content),
        _ => None,
    });
    let all: Vec<_> = contents.collect();
    let step = (all.len() / 4000).max(1);
    for content in all.iter().step_by(step) {
        let room = (SAMPLE - sample.len()) as u64;
        let share = (SAMPLE / all.len().min(4000)) as u64;
        content.open().unwrap().take(room.min(share.max(4096))).read_to_end(&mut sample).unwrap();
    }
    sample
}

/// Seconds that one byte takes when all cores do nothing but what must be done: hash it, compress it, hash the result.
fn limit(packing: Packing, sample: &[u8]) -> f64 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let pieces: Vec<&[u8]> = sample.chunks(PIECE).collect();
    let once = || {
        let next = AtomicUsize::new(0);
        let started = Instant::now();
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    let mut out = Vec::with_capacity(2 * PIECE);
                    while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                        std::hint::black_box(Digest::of(piece));
                        compress(packing, piece, &mut out);
                        std::hint::black_box(Digest::of(&out));
                    }
                });
            }
        });
        started.elapsed().as_secs_f64()
    };
    (0..RUNS).map(|_| once()).fold(f64::MAX, f64::min) / sample.len() as f64
}

fn compress(packing: Packing, piece: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let (name, level) = (packing.to_string(), packing.to_string().split(':').nth(1).unwrap().parse::<u8>().unwrap());
    if name.starts_with("gzip") {
        let mut deflate = Compress::new(Compression::new(u32::from(level)), false);
        deflate.compress_vec(piece, out, FlushCompress::Finish).unwrap();
    } else {
        zstd::bulk::Compressor::new(i32::from(level)).unwrap().compress_to_buffer(piece, out).unwrap();
    }
}

/// A stream of bytes that is the same each time and does not compress.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap() % limit
    }

    fn fill(&mut self, bytes: usize, to: &mut Vec<u8>) {
        to.clear();
        while to.len() < bytes {
            to.extend(self.next().to_le_bytes());
        }
        to.truncate(bytes);
    }
}

/// Text, programs and packed files, most of them small and most bytes in large ones, as in a runtime's folder.
fn mixed(folder: &Path) {
    let program = fs::read(std::env::current_exe().unwrap()).unwrap();
    let mut noise = Noise(7);
    let words: Vec<String> = (0..4000).map(|_| noise.next().to_string()[..3 + noise.below(8)].to_owned()).collect();
    let (mut bytes, mut total, mut number) = (Vec::new(), 0, 0_usize);
    while total < LARGE {
        let size = match number % 16 {
            0 => 1_000_000 + noise.below(2_000_000),
            1..4 => 20_000 + noise.below(100_000),
            _ => 200 + noise.below(6000),
        };
        bytes.clear();
        match noise.below(10) {
            0..4 => {
                while bytes.len() < size {
                    // Few words are common, as in all texts.
                    let common = noise.below(words.len()) * noise.below(words.len()) / words.len();
                    bytes.extend_from_slice(words[common].as_bytes());
                    bytes.push(if noise.below(12) == 0 { b'\n' } else { b' ' });
                }
            }
            4..8 => {
                let at = noise.below(program.len().saturating_sub(size).max(1));
                bytes.extend_from_slice(&program[at..(at + size).min(program.len())]);
            }
            _ => noise.fill(size, &mut bytes),
        }
        put(folder, number, &bytes);
        total += bytes.len();
        number += 1;
    }
}

fn random(folder: &Path) {
    let (mut noise, mut bytes) = (Noise(9), Vec::new());
    for number in 0..LARGE / 10_000_000 {
        noise.fill(10_000_000, &mut bytes);
        put(folder, number, &bytes);
    }
}

fn tiny(folder: &Path) {
    for number in 0..TINY {
        put(folder, number, format!("module {number} exports nothing but {}\n", number * 7).as_bytes());
    }
}

fn sparse(folder: &Path) {
    File::create(folder.join("sparse")).unwrap().set_len(SPARSE).unwrap();
}

fn put(folder: &Path, number: usize, bytes: &[u8]) {
    let below = folder.join(format!("{}", number / 1000));
    fs::create_dir_all(&below).unwrap();
    File::create(below.join(format!("file-{number}"))).unwrap().write_all(bytes).unwrap();
}

/// Lets the peak of this process's memory begin anew (Linux: `proc_pid_clear_refs(5)`).
fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// The most memory that this process had since then, in megabytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024 / 1_000_000
}
