//! How a Java virtual machine shares out the memory of its container.
//!
//! The rule is the one that users of Java buildpacks know: metaspace by the number of classes, fixed amounts for direct
//! memory and compiled code, a stack a thread, some head room, and the heap gets what is left. What a person chose is taken
//! as it is. In a container that is too small for what nobody chose, compiled code and threads are given less, down to a
//! least, before it is said that the sum is impossible.

use super::{
    Failed,
    regions::{Chosen, GIB, Heap, MIB, option_size, shown_size},
};

/// More than any machine has: what a container says that has no limit.
const UNLIMITED: u64 = 64 << 40;
/// Taken where neither the container nor the machine says how much memory there is.
const ASSUMED_MEMORY: u64 = GIB;
/// Buffers outside of the heap.
const DIRECT: u64 = 10 * MIB;
/// Compiled code, and the least that is given to it.
const CODE_CACHE: (u64, u64) = (240 * MIB, 32 * MIB);
/// Threads, and the fewest that are counted on.
const THREADS: (u64, u64) = (250, 25);
/// One thread's stack.
const STACK: u64 = MIB;
/// The smallest heap that is worth a start.
const LEAST_HEAP: u64 = 8 * MIB;
/// Metaspace without a class, and for each class.
const METASPACE: (u64, u64) = (14_000_000, 5_800);
/// The part of all classes that is loaded, in percent.
const LOADED: u64 = 35;
/// Classes of a runtime, and of an app, of which nobody says how many there are.
pub(super) const ASSUMED_CLASSES: u64 = 20_000;

/// How much memory there is, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// The container's limit.
    Limit(u64),
    /// What the machine has left, for a container without a limit.
    Machine(u64),
    /// Nobody says.
    Assumed,
}

impl Memory {
    /// From the container's limit, if it has one, and `/proc/meminfo`, if it is there.
    pub(super) fn from(limit: Option<u64>, meminfo: &str) -> Self {
        let kib = |name: &str| {
            let value = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024).filter(|bytes| *bytes > 0)
        };
        // A limit beyond what the machine has is none.
        let most = kib("MemTotal").unwrap_or(UNLIMITED).min(UNLIMITED);
        match (limit.filter(|bytes| (1..most).contains(bytes)), kib("MemAvailable").or(kib("MemTotal"))) {
            (Some(bytes), _) => Self::Limit(bytes),
            (None, Some(bytes)) => Self::Machine(bytes.min(UNLIMITED)),
            (None, None) => Self::Assumed,
        }
    }

    /// In bytes.
    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::Limit(bytes) | Self::Machine(bytes) => bytes,
            Self::Assumed => ASSUMED_MEMORY,
        }
    }
}

/// How many classes are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Classes {
    /// Somebody says so.
    Loaded(u64),
    /// A part of all those that there are in the runtime and in the app.
    There(u64, Adjustment),
}

/// How somebody corrects the number of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adjustment {
    /// By as many more.
    More(u64),
    /// To a percentage.
    Percent(u64),
}

impl Adjustment {
    /// Reads `5000` or `150%`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = |digits: &str| digits.parse::<u32>().ok().map(u64::from);
        match text.strip_suffix('%') {
            Some(digits) => number(digits).map(Self::Percent),
            None => number(text).map(Self::More),
        }
    }
}

impl Classes {
    /// The number.
    pub(super) fn loaded(self) -> u64 {
        match self {
            Self::Loaded(count) => count,
            Self::There(count, Adjustment::More(more)) => count.saturating_add(more).saturating_mul(LOADED) / 100,
            Self::There(count, Adjustment::Percent(percent)) => {
                (count.saturating_mul(percent) / 100).saturating_mul(LOADED) / 100
            }
        }
    }
}

/// What there is to share out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wishes {
    /// The memory.
    pub(super) memory: Memory,
    /// How many percent of it are for others.
    pub(super) head_room: u32,
    /// How many threads there will be, if somebody says.
    pub(super) threads: Option<u32>,
    /// The classes.
    pub(super) classes: Classes,
    /// What stands in the options already.
    pub(super) chosen: Chosen,
}

/// Who gets how much, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) direct: u64,
    /// None where the JVM works it out.
    pub(super) heap: Option<u64>,
    pub(super) metaspace: u64,
    pub(super) code_cache: u64,
    pub(super) stack: u64,
    pub(super) threads: u64,
    pub(super) head_room: u64,
}

/// Shares out the memory.
pub(super) fn share_out(wishes: &Wishes) -> Result<Shares, Failed> {
    let Wishes { memory, chosen, .. } = wishes;
    let total = memory.bytes();
    let classes = wishes.classes.loaded().saturating_mul(METASPACE.1).saturating_add(METASPACE.0);
    let mut shares = Shares {
        direct: chosen.direct.unwrap_or(DIRECT),
        heap: None,
        metaspace: chosen.metaspace.unwrap_or(classes),
        code_cache: chosen.code_cache.unwrap_or(CODE_CACHE.0),
        stack: chosen.stack.unwrap_or(STACK),
        threads: wishes.threads.map_or(THREADS.0, u64::from),
        head_room: part(total, u64::from(wishes.head_room)),
    };
    let heap = match chosen.heap {
        Some(Heap::Bytes(bytes)) => bytes,
        Some(Heap::Share) => total / 3,
        None => (total / 3).max(chosen.first_heap.unwrap_or(0)),
    };
    let firm = [shares.direct, shares.metaspace, shares.head_room, heap].into_iter().fold(0, u64::saturating_add);
    give_way(&mut shares, total.saturating_sub(firm), chosen.code_cache.is_none(), wishes.threads.is_none());
    let left = total.checked_sub(shares.without_heap());
    let enough = |least: u64| left.filter(|left| *left >= least).ok_or_else(|| too_little(wishes, &shares, least));
    shares.heap = match chosen.heap {
        Some(Heap::Bytes(bytes)) => Some(enough(bytes).map(|_| bytes)?),
        // How much that is, and whether it goes well, is between the JVM and whoever said so.
        Some(Heap::Share) => None,
        None => Some(enough(LEAST_HEAP.max(chosen.first_heap.unwrap_or(0)))?),
    };
    Ok(shares)
}

/// Gives compiled code and stacks no more than `room` together, by the measure of what they would have, but not less than
/// the least; only those that nobody chose.
fn give_way(shares: &mut Shares, room: u64, code_cache: bool, threads: bool) {
    let stacks = shares.stacks();
    let wanted = shares.code_cache.saturating_add(stacks);
    if wanted <= room {
        return;
    }
    if code_cache {
        let fair = if threads { in_proportion(room, shares.code_cache, wanted) } else { room.saturating_sub(stacks) };
        shares.code_cache = (fair / MIB * MIB).clamp(CODE_CACHE.1, CODE_CACHE.0);
    }
    if threads {
        shares.threads = (room.saturating_sub(shares.code_cache) / shares.stack).clamp(THREADS.1, THREADS.0);
    }
}

/// `percent` of `whole`, without running over.
fn part(whole: u64, percent: u64) -> u64 {
    in_proportion(whole, percent, 100)
}

/// `whole * a / b`, without running over; `b` is not 0 and not less than `a`.
fn in_proportion(whole: u64, a: u64, b: u64) -> u64 {
    u64::try_from(u128::from(whole) * u128::from(a) / u128::from(b)).unwrap_or(whole)
}

impl Shares {
    fn stacks(&self) -> u64 {
        self.stack.saturating_mul(self.threads)
    }

    fn without_heap(&self) -> u64 {
        let all = [self.direct, self.metaspace, self.code_cache, self.stacks(), self.head_room];
        all.into_iter().fold(0, u64::saturating_add)
    }

    /// The options for what nobody chose.
    pub(super) fn options(&self, chosen: &Chosen) -> String {
        let option =
            |name: &str, bytes: u64, chosen: bool| Some(format!("{name}{}", option_size(bytes))).filter(|_| !chosen);
        let heap = self.heap.and_then(|bytes| option("-Xmx", bytes, chosen.heap.is_some()));
        let all = [
            option("-XX:MaxDirectMemorySize=", self.direct, chosen.direct.is_some()),
            heap,
            option("-XX:MaxMetaspaceSize=", self.metaspace, chosen.metaspace.is_some()),
            option("-XX:ReservedCodeCacheSize=", self.code_cache, chosen.code_cache.is_some()),
            option("-Xss", self.stack, chosen.stack.is_some()),
        ];
        all.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// The line that says what was calculated, in the words that people look for.
    pub(super) fn said(&self, wishes: &Wishes) -> String {
        let total = option_size(wishes.memory.bytes());
        let total = match wishes.memory {
            Memory::Limit(_) => total,
            Memory::Machine(_) => format!("{total}, what the machine has left"),
            Memory::Assumed => format!("{total}, assumed"),
        };
        let usual = wishes.threads.map_or(THREADS.0, u64::from);
        let threads = if self.threads == usual { String::new() } else { format!(" instead of {usual}") };
        let options = match self.options(&wishes.chosen) {
            options if options.is_empty() => "as chosen".to_owned(),
            options => options,
        };
        format!(
            "Calculated JVM Memory Configuration: {options} (Total Memory: {total}, Thread Count: {}{threads}, Loaded Class Count: {}, Headroom: {}%)",
            self.threads,
            wishes.classes.loaded(),
            wishes.head_room
        )
    }
}

/// The sum is impossible: what stands in it, and what to change.
fn too_little(wishes: &Wishes, shares: &Shares, heap: u64) -> Failed {
    let Wishes { memory, chosen, .. } = wishes;
    let needed = shares.without_heap().saturating_add(heap);
    let mark = |is_chosen: bool| if is_chosen { " (chosen)" } else { "" };
    let parts = [
        format!("heap {}{}", shown_size(heap), mark(chosen.heap.is_some() || chosen.first_heap == Some(heap))),
        format!("metaspace {}{}", shown_size(shares.metaspace), mark(chosen.metaspace.is_some())),
        format!("code cache {}{}", shown_size(shares.code_cache), mark(chosen.code_cache.is_some())),
        format!("direct memory {}{}", shown_size(shares.direct), mark(chosen.direct.is_some())),
        format!(
            "stacks {} for {} threads{}",
            shown_size(shares.stacks()),
            shares.threads,
            mark(wishes.threads.is_some() || chosen.stack.is_some())
        ),
        format!("head room {}", shown_size(shares.head_room)),
    ];
    let where_from = match memory {
        Memory::Limit(_) => "the container has",
        Memory::Machine(_) => "the machine has left",
        Memory::Assumed => "it is assumed to have",
    };
    Failed::Memory {
        needed: shown_size(needed),
        parts: parts.join(", "),
        total: format!("{where_from} {}", option_size(memory.bytes())),
        hint: format!("give the container {} or more, or {}", shown_size(needed), advice(wishes, shares)),
    }
}

/// What somebody could change, beside the container: first what was chosen, as that is in the way.
fn advice(wishes: &Wishes, shares: &Shares) -> String {
    let Wishes { chosen, threads, .. } = wishes;
    let named = [
        (matches!(chosen.heap, Some(Heap::Bytes(_))), "-Xmx"),
        (chosen.heap.is_none() && chosen.first_heap.is_some(), "-Xms"),
        (chosen.metaspace.is_some(), "-XX:MaxMetaspaceSize"),
        (chosen.code_cache.is_some(), "-XX:ReservedCodeCacheSize"),
        (chosen.direct.is_some(), "-XX:MaxDirectMemorySize"),
        (chosen.stack.is_some(), "-Xss"),
        (threads.is_some(), "BPL_JVM_THREAD_COUNT"),
        (shares.head_room > 0, "BPL_JVM_HEAD_ROOM"),
    ];
    let named: Vec<&str> = named.iter().filter(|(chosen, _)| *chosen).map(|(_, name)| *name).collect();
    match named.as_slice() {
        [] => "set less for a part, such as BPL_JVM_THREAD_COUNT, BPL_JVM_LOADED_CLASS_COUNT or -XX:ReservedCodeCacheSize in JAVA_TOOL_OPTIONS".to_owned(),
        [one] => format!("lower {one}"),
        [all @ .., last] => format!("lower {} or {last}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests;
