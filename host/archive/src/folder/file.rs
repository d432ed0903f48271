//! One file of an indexed folder, opened when it is read.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use stave_model::digest::Digest;

use crate::{
    content::{Content, Span, hash},
    seen::{Known, Sighting, Stat},
    tree::TreePath,
};

/// A file of the folder, opened when it is read.
pub(super) struct FolderFile {
    root: Arc<Dir>,
    path: TreePath,
    stat: Stat,
    digest: OnceLock<Known>,
}

impl fmt::Debug for FolderFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FolderFile({:?}, {})", self.path, self.stat.size())
    }
}

impl FolderFile {
    /// The file at `path` below `root`, of which the system says `stat`.
    pub(super) fn new(root: &Arc<Dir>, path: TreePath, stat: Stat, known: Option<Known>) -> Self {
        Self { root: Arc::clone(root), path, stat, digest: known.map_or_else(OnceLock::new, OnceLock::from) }
    }

    /// Opens it without waiting, should it be a fifo by now.
    fn file(&self) -> io::Result<File> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags.bits().cast_signed());
        let file = self.root.open_with(self.path.as_str(), &options)?.into_std();
        self.check(&file)?;
        Ok(file)
    }

    fn check(&self, file: &File) -> io::Result<()> {
        if Stat::of_file(file)?.is_same_file(&self.stat) {
            return Ok(());
        }
        let message = format!("`{}` changed since the folder was read", self.path.as_str().escape_debug());
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}

impl Content for FolderFile {
    fn size(&self) -> u64 {
        self.stat.size()
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Unchanged { of: self, file: self.file()?, left: self.stat.size() }))
    }

    fn sighting(&self) -> Option<Sighting> {
        self.digest.get().and_then(|known| known.sighting(&self.stat))
    }

    fn digest(&self) -> io::Result<Digest> {
        if let Some(known) = self.digest.get() {
            return Ok(known.digest);
        }
        let began = SystemTime::now();
        let mut reader = Unchanged { of: self, file: self.file()?, left: self.stat.size() };
        let digest = hash(&mut reader, self.stat.size())?;
        let known = Known::read(digest, &self.stat, began, &Stat::of_file(&reader.file)?);
        Ok(self.digest.get_or_init(|| known).digest)
    }

    fn span(&self) -> io::Result<Option<Span>> {
        Ok(Some(Span::whole(self.file()?)?))
    }
}

/// Reads the size that was indexed, and looks again before the last bytes are passed on.
struct Unchanged<'a> {
    of: &'a FolderFile,
    file: File,
    left: u64,
}

impl Read for Unchanged<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let n = self.file.read(&mut buffer[..wanted])?;
        self.left -= n as u64;
        if n == 0 || self.left == 0 {
            self.of.check(&self.file)?;
        }
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(n)
    }
}
