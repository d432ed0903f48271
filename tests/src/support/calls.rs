//! Which calls to the system change something, and what: the registers of a stopped thread, in words.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use nix::{libc, sys::ptrace, unistd::Pid};

use super::killer::{Call, Kind};

/// How much is read of a text that a call is given.
const MAX_TEXT: usize = 512;
/// How much is told of what is said or sent.
const SHOWN: usize = 100;
/// Flags of an open: a file is made if there is none, is emptied, or has no name yet.
const MAKING: u64 = libc::O_CREAT as u64;
const EMPTYING: u64 = libc::O_TRUNC as u64;
const NAMELESS: u64 = libc::O_TMPFILE as u64;
/// The folder that a program is in, where a call names a folder.
const HERE: i32 = libc::AT_FDCWD;
/// A file becomes another's bytes (`FICLONE`).
const CLONE: u64 = 0x4004_9409;

/// Number and arguments of the call at whose entry a thread is stopped.
#[cfg(target_arch = "x86_64")]
fn registers(thread: Pid) -> Option<(i64, [u64; 6])> {
    let r = ptrace::getregs(thread).ok()?;
    Some((r.orig_rax.cast_signed(), [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9]))
}

/// Number and arguments of the call at whose entry a thread is stopped.
#[cfg(target_arch = "aarch64")]
fn registers(thread: Pid) -> Option<(i64, [u64; 6])> {
    let r = ptrace::getregs(thread).ok()?.regs;
    Some((r[8].cast_signed(), [r[0], r[1], r[2], r[3], r[4], r[5]]))
}

/// The call at whose entry this thread is stopped, if it changes something that outlives the program.
pub(super) fn changing(thread: Pid, root: &Path) -> Option<Call> {
    let (number, a) = registers(thread)?;
    let stopped = Stopped { thread, root };
    let (kind, what) = stopped.of_names(number, &a).or_else(|| stopped.of_open_files(number, &a))?;
    Some(Call { kind, what })
}

/// What a call makes that names a file.
enum Made {
    /// This.
    Is(Kind),
    /// A file, or nothing if there is one already.
    Here,
    /// Nothing.
    Nothing,
}

/// What an open with these flags makes.
fn made_by(flags: u64) -> Made {
    match flags {
        _ if flags & EMPTYING != 0 || flags & NAMELESS == NAMELESS => Made::Is(Kind::Make),
        _ if flags & MAKING != 0 => Made::Here,
        _ => Made::Nothing,
    }
}

/// A thread at the entry of a call.
struct Stopped<'r> {
    thread: Pid,
    root: &'r Path,
}

impl Stopped<'_> {
    /// Calls that name the file that they change.
    fn of_names(&self, number: i64, a: &[u64; 6]) -> Option<(Kind, String)> {
        let at = |folder: u64, name: u64| self.path(folder, name);
        let (kind, path) = match number {
            libc::SYS_openat => (made_by(a[2]), at(a[0], a[1])),
            libc::SYS_openat2 => (made_by(self.word(a[2])), at(a[0], a[1])),
            libc::SYS_mkdirat => (Made::Here, at(a[0], a[1])),
            libc::SYS_symlinkat => (Made::Here, at(a[1], a[2])),
            libc::SYS_linkat | libc::SYS_renameat | libc::SYS_renameat2 => (Made::Is(Kind::Name), at(a[2], a[3])),
            libc::SYS_unlinkat => (Made::Is(Kind::Remove), at(a[0], a[1])),
            libc::SYS_fchmodat | libc::SYS_fchownat => (Made::Is(Kind::Mark), at(a[0], a[1])),
            libc::SYS_utimensat if a[1] != 0 => (Made::Is(Kind::Mark), at(a[0], a[1])),
            libc::SYS_utimensat => (Made::Is(Kind::Mark), self.open(a[0])),
            libc::SYS_truncate => (Made::Is(Kind::Write), self.here(a[0])),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => (made_by(a[1]), self.here(a[0])),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_creat => (Made::Is(Kind::Make), self.here(a[0])),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mkdir => (Made::Here, self.here(a[0])),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_symlink => (Made::Here, self.here(a[1])),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_link | libc::SYS_rename => (Made::Is(Kind::Name), self.here(a[1])),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_unlink | libc::SYS_rmdir => (Made::Is(Kind::Remove), self.here(a[0])),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chmod | libc::SYS_chown | libc::SYS_lchown => (Made::Is(Kind::Mark), self.here(a[0])),
            _ => return None,
        };
        let kind = match kind {
            Made::Is(kind) => kind,
            Made::Here if fs::symlink_metadata(&path).is_err() => Kind::Make,
            _ => return None,
        };
        Some((kind, self.below_root(&path)))
    }

    /// Calls on what is open.
    fn of_open_files(&self, number: i64, a: &[u64; 6]) -> Option<(Kind, String)> {
        match number {
            libc::SYS_fchmod | libc::SYS_fchown => Some((Kind::Mark, self.below_root(&self.open(a[0])))),
            libc::SYS_ftruncate | libc::SYS_fallocate => Some((Kind::Write, self.below_root(&self.open(a[0])))),
            libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_syncfs => {
                Some((Kind::Settle, self.below_root(&self.open(a[0]))))
            }
            libc::SYS_write | libc::SYS_pwrite64 => self.written(a[0], || self.text(a[1], a[2])),
            // The first part of what is gathered: its place and its length.
            libc::SYS_writev | libc::SYS_pwritev | libc::SYS_pwritev2 => {
                self.written(a[0], || self.text(self.word(a[1]), self.word(a[1] + 8)))
            }
            libc::SYS_copy_file_range | libc::SYS_splice => self.written(a[2], String::new),
            libc::SYS_sendfile => self.written(a[0], String::new),
            libc::SYS_ioctl if a[1] == CLONE => self.written(a[0], String::new),
            libc::SYS_connect | libc::SYS_sendmsg => Some((Kind::Send, String::new())),
            libc::SYS_sendto => Some((Kind::Send, self.text(a[1], a[2]))),
            libc::SYS_recvfrom | libc::SYS_recvmsg => Some((Kind::Hear, String::new())),
            _ => None,
        }
    }

    /// A write, by what it goes to. What only wakes another thread changes nothing.
    fn written(&self, descriptor: u64, text: impl Fn() -> String) -> Option<(Kind, String)> {
        if descriptor == 1 || descriptor == 2 {
            // The end of a line is a call of its own, and says nothing.
            return Some((Kind::Say, text())).filter(|(_, said)| !said.is_empty());
        }
        let file = self.below_root(&self.open(descriptor));
        if file.starts_with("socket:") {
            return Some((Kind::Send, text()));
        }
        let is_ours_alone =
            ["pipe:", "anon_inode:", "/dev/", "/proc/", "/memfd:"].iter().any(|start| file.starts_with(start));
        (!is_ours_alone).then_some((Kind::Write, file))
    }

    /// The file behind a descriptor.
    fn open(&self, descriptor: u64) -> PathBuf {
        fs::read_link(format!("/proc/{}/fd/{descriptor}", self.thread)).unwrap_or_default()
    }

    /// The file that a call names, from an open folder.
    fn path(&self, folder: u64, name: u64) -> PathBuf {
        #[expect(clippy::cast_possible_truncation, reason = "a descriptor is the lower half of its register")]
        let descriptor = folder as i32;
        if descriptor == HERE { self.here(name) } else { self.open(folder).join(self.string(name)) }
    }

    /// The file that a call names, from where the program is.
    fn here(&self, name: u64) -> PathBuf {
        let folder = fs::read_link(format!("/proc/{}/cwd", self.thread)).unwrap_or_default();
        folder.join(self.string(name))
    }

    fn below_root(&self, path: &Path) -> String {
        path.strip_prefix(self.root).unwrap_or(path).display().to_string()
    }

    /// A string that ends with a zero.
    fn string(&self, address: u64) -> PathBuf {
        let bytes = self.memory(address, MAX_TEXT);
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned().into()
    }

    /// The first line of a text.
    fn text(&self, address: u64, length: u64) -> String {
        let bytes = self.memory(address, usize::try_from(length).unwrap_or(SHOWN).min(SHOWN));
        String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned()
    }

    /// A number of eight bytes.
    fn word(&self, address: u64) -> u64 {
        self.memory(address, 8).try_into().map_or(0, u64::from_ne_bytes)
    }

    /// What stands in its memory, as far as there is any.
    fn memory(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let read =
            File::open(format!("/proc/{}/mem", self.thread)).and_then(|memory| memory.read_at(&mut bytes, address));
        bytes.truncate(read.unwrap_or(0));
        bytes
    }
}
