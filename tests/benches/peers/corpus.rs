//! What is built and packed: apps and folders that are the same each time, of files as they are in runtimes and libraries.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

/// A stream of bytes that is the same each time and does not compress (xorshift64*).
pub(crate) struct Noise(u64);

impl Noise {
    /// Begins it. The seed is not 0.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap() % limit
    }

    fn random(&mut self, size: usize, to: &mut Vec<u8>) {
        while to.len() < size {
            to.extend(self.next().to_le_bytes());
        }
        to.truncate(size);
    }
}

/// Makes files of three kinds: texts of few words, pieces of a program, and what is packed already.
pub(crate) struct Files {
    noise: Noise,
    words: Vec<String>,
    program: Vec<u8>,
}

impl Files {
    pub(crate) fn new(seed: u64) -> Self {
        let mut noise = Noise::new(seed);
        let words = (0..4000).map(|_| noise.next().to_string()[..3 + noise.below(8)].to_owned()).collect();
        Self { noise, words, program: fs::read(std::env::current_exe().unwrap()).unwrap() }
    }

    fn text(&mut self, size: usize, to: &mut Vec<u8>) {
        while to.len() < size {
            // Few words are common, as in all texts.
            let common = self.noise.below(self.words.len()) * self.noise.below(self.words.len()) / self.words.len();
            to.extend_from_slice(self.words[common].as_bytes());
            to.push(if self.noise.below(12) == 0 { b'\n' } else { b' ' });
        }
        to.truncate(size);
    }

    fn any(&mut self, size: usize, to: &mut Vec<u8>) {
        match self.noise.below(10) {
            0..4 => self.text(size, to),
            4..8 => {
                let at = self.noise.below(self.program.len().saturating_sub(size).max(1));
                to.extend_from_slice(&self.program[at..(at + size).min(self.program.len())]);
            }
            _ => self.noise.random(size, to),
        }
    }

    /// A folder of texts: an app's own files, `count` of them with `total` bytes together.
    pub(crate) fn texts(&mut self, folder: &Path, total: usize, count: usize) {
        for number in 0..count {
            let mut bytes = Vec::new();
            self.text(total / count, &mut bytes);
            put(folder, number, &bytes);
        }
    }

    /// A folder of many files of any kind and of much the same size.
    pub(crate) fn many(&mut self, folder: &Path, total: usize, count: usize) {
        for number in 0..count {
            let size = (total / count / 2).max(1);
            let (size, mut bytes) = (size + self.noise.below(2 * size), Vec::new());
            self.any(size, &mut bytes);
            put(folder, number, &bytes);
        }
    }

    /// A folder as a runtime has it: most files are small, most bytes are in large ones.
    pub(crate) fn mixed(&mut self, folder: &Path, total: usize) {
        let (mut made, mut number) = (0, 0_usize);
        while made < total {
            let size = match number % 16 {
                0 => 1_000_000 + self.noise.below(2_000_000),
                1..4 => 20_000 + self.noise.below(100_000),
                _ => 200 + self.noise.below(6000),
            };
            let mut bytes = Vec::new();
            self.any(size.min(total - made), &mut bytes);
            put(folder, number, &bytes);
            made += bytes.len();
            number += 1;
        }
    }

    /// A folder of large files that do not compress.
    pub(crate) fn random(&mut self, folder: &Path, total: usize) {
        for number in 0..total.div_ceil(10_000_000) {
            let mut bytes = Vec::new();
            self.noise.random(10_000_000.min(total), &mut bytes);
            put(folder, number, &bytes);
        }
    }
}

/// A folder of tiny files.
pub(crate) fn tiny(folder: &Path, count: usize) {
    for number in 0..count {
        put(folder, number, format!("module {number} exports nothing but {}\n", number * 7).as_bytes());
    }
}

/// A folder of files that take no room and are nothing but zeros.
pub(crate) fn sparse(folder: &Path, total: u64, count: u64) {
    fs::create_dir_all(folder).unwrap();
    for number in 0..count {
        File::create(folder.join(format!("sparse-{number}"))).unwrap().set_len(total / count).unwrap();
    }
}

fn put(folder: &Path, number: usize, bytes: &[u8]) {
    let below = folder.join(format!("{:03}", number / 500));
    fs::create_dir_all(&below).unwrap();
    fs::write(below.join(format!("file-{number}")), bytes).unwrap();
}

/// Bytes from all over a folder, at most `most`, to measure the machine with.
pub(crate) fn sample(folder: &Path, most: usize) -> Vec<u8> {
    let mut files = Vec::new();
    walk(folder, &mut files);
    files.sort();
    let step = (files.len() / 4000).max(1);
    let share = (most / files.len().div_ceil(step).max(1)).max(4096);
    let mut sample = Vec::with_capacity(most);
    for file in files.iter().step_by(step) {
        File::open(file).unwrap().take(share as u64).read_to_end(&mut sample).unwrap();
        if sample.len() >= most {
            break;
        }
    }
    sample.truncate(most);
    sample
}

fn walk(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}
