//! The parts of a Java virtual machine's memory, as options name them: sizes, and what a person chose already.

use super::Failed;

/// 1 KiB in bytes.
const KIB: u64 = 1 << 10;
/// 1 MiB in bytes.
pub(super) const MIB: u64 = 1 << 20;
/// 1 GiB in bytes.
pub(super) const GIB: u64 = 1 << 30;
/// What a size may look like.
const A_SIZE: &str = "a size, such as 512m or 2g";

/// How large the heap may grow, if a person said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heap {
    /// To so many bytes.
    Bytes(u64),
    /// To a share of the memory, which the JVM works out itself.
    Share,
}

/// What a person chose, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Chosen {
    /// `-Xmx`, or a share.
    pub(super) heap: Option<Heap>,
    /// `-Xms`: what the heap has from the start.
    pub(super) first_heap: Option<u64>,
    /// `-XX:MaxMetaspaceSize`.
    pub(super) metaspace: Option<u64>,
    /// `-XX:ReservedCodeCacheSize`.
    pub(super) code_cache: Option<u64>,
    /// `-XX:MaxDirectMemorySize`.
    pub(super) direct: Option<u64>,
    /// `-Xss`.
    pub(super) stack: Option<u64>,
}

/// Options that make the heap a share of the memory or leave its size to the JVM.
const SHARES: [&str; 4] = ["-XX:MaxRAMPercentage=", "-XX:MaxRAMFraction=", "-XX:MaxRAM=", "-XX:+AggressiveHeap"];

impl Chosen {
    /// What stands in these options. As in the JVM, the last one has the word.
    pub(super) fn from_options(options: &str) -> Result<Self, Failed> {
        let mut chosen = Self::default();
        let mut share = false;
        for word in words(options) {
            let slots: [(&[&'static str], &mut Option<u64>); 5] = [
                (&["-XX:MaxMetaspaceSize="], &mut chosen.metaspace),
                (&["-XX:ReservedCodeCacheSize="], &mut chosen.code_cache),
                (&["-XX:MaxDirectMemorySize="], &mut chosen.direct),
                (&["-Xss", "-XX:ThreadStackSize="], &mut chosen.stack),
                (&["-Xms", "-XX:InitialHeapSize=", "-XX:MinHeapSize="], &mut chosen.first_heap),
            ];
            for (names, slot) in slots {
                let Some((name, value)) = given(&word, names) else { continue };
                // This one counts in KiB.
                let value = if name == "-XX:ThreadStackSize=" { format!("{value}k") } else { value.to_owned() };
                // To name no size is to leave it to the JVM.
                *slot = Some(size(name, &value)?).filter(|bytes| *bytes > 0);
            }
            if let Some((name, value)) = given(&word, &["-Xmx", "-XX:MaxHeapSize="]) {
                chosen.heap = Some(Heap::Bytes(size(name, value)?));
            }
            share |= given(&word, &SHARES).is_some();
        }
        // A size has the word over a share, in whatever order they stand.
        chosen.heap = chosen.heap.or(Some(Heap::Share).filter(|_| share));
        Ok(chosen)
    }
}

/// The one of these options that `word` is, and its value.
fn given<'a>(word: &'a str, names: &[&'static str]) -> Option<(&'static str, &'a str)> {
    names.iter().find_map(|name| Some((*name, word.strip_prefix(name)?)))
}

/// The words of `JAVA_TOOL_OPTIONS` as a JVM reads them: white space is between them, unless it is quoted.
pub(super) fn words(options: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in options.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_ascii_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A size as the JVM reads it: bytes, or with `k`, `m`, `g` or `t`.
fn size(name: &'static str, text: &str) -> Result<u64, Failed> {
    let wrong = || Failed::Setting { name: name.trim_end_matches('='), value: text.to_owned(), expected: A_SIZE };
    let unit = match text.chars().last().map(|c| c.to_ascii_lowercase()) {
        Some('k') => KIB,
        Some('m') => MIB,
        Some('g') => GIB,
        Some('t') => GIB << 10,
        _ => 1,
    };
    let digits = if unit == 1 { text } else { &text[..text.len() - 1] };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)
}

/// A size for an option: in the largest unit that divides it; at most one KiB is lost.
pub(super) fn option_size(bytes: u64) -> String {
    let kib = bytes / KIB;
    match (kib * KIB).trailing_zeros() {
        zeros if kib > 0 && zeros >= 30 => format!("{}G", bytes / GIB),
        zeros if kib > 0 && zeros >= 20 => format!("{}M", bytes / MIB),
        _ => format!("{kib}K"),
    }
}

/// A size for people: in MiB, rounded up.
pub(super) fn shown_size(bytes: u64) -> String {
    format!("{}M", bytes.div_ceil(MIB))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_a_jvm_reads() {
        for (options, expected) in [
            ("", &[][..]),
            ("  -Xmx1g\t-Dx=y\n", &["-Xmx1g", "-Dx=y"]),
            ("-Dx='a b' \"-Dy=c d\"", &["-Dx=a b", "-Dy=c d"]),
            ("-Dx=\"it's\" ''", &["-Dx=it's", ""]),
            ("-Dx='open -Xmx1g", &["-Dx=open -Xmx1g"]),
        ] {
            assert_eq!(words(options), expected, "{options}");
        }
    }

    #[test]
    fn what_a_person_chose_is_found() {
        let none = Chosen::default();
        for (options, expected) in [
            ("-XX:+ExitOnOutOfMemoryError -Xmn10m -Dx=-Xmx1g", none),
            ("-Xmx1g", Chosen { heap: Some(Heap::Bytes(GIB)), ..none }),
            ("-Xmx1g -Xmx2G", Chosen { heap: Some(Heap::Bytes(2 * GIB)), ..none }),
            ("-XX:MaxHeapSize=1048576", Chosen { heap: Some(Heap::Bytes(MIB)), ..none }),
            ("-XX:MaxRAMPercentage=70.5", Chosen { heap: Some(Heap::Share), ..none }),
            ("-Xmx1k -XX:MaxRAMPercentage=70", Chosen { heap: Some(Heap::Bytes(KIB)), ..none }),
            ("'-Xss512k'", Chosen { stack: Some(512 * KIB), ..none }),
            ("-XX:ThreadStackSize=512", Chosen { stack: Some(512 * KIB), ..none }),
            ("-Xss512k -Xss0", none),
            ("-Xms64m", Chosen { first_heap: Some(64 * MIB), ..none }),
            (
                "-XX:MaxMetaspaceSize=1T -XX:ReservedCodeCacheSize=32m -XX:MaxDirectMemorySize=5",
                Chosen { metaspace: Some(GIB << 10), code_cache: Some(32 * MIB), direct: Some(5), ..none },
            ),
        ] {
            assert_eq!(Chosen::from_options(options).unwrap(), expected, "{options}");
        }
    }

    #[test]
    fn what_is_no_size_is_an_error() {
        let said = ["-Xmx", "-Xmx1x", "-Xms-1m", "-Xss+1k", "-Xmxm", "-XX:MaxMetaspaceSize=99999999999999t", "-Xmxé"]
            .map(|option| Chosen::from_options(option).unwrap_err().to_string());
        insta::assert_snapshot!(said.join("\n"), @"
        -Xmx is ``: expected a size, such as 512m or 2g
        -Xmx is `1x`: expected a size, such as 512m or 2g
        -Xms is `-1m`: expected a size, such as 512m or 2g
        -Xss is `+1k`: expected a size, such as 512m or 2g
        -Xmx is `m`: expected a size, such as 512m or 2g
        -XX:MaxMetaspaceSize is `99999999999999t`: expected a size, such as 512m or 2g
        -Xmx is `é`: expected a size, such as 512m or 2g
        ");
    }

    #[test]
    fn sizes_are_written_as_short_as_they_can_be() {
        for (bytes, option, shown) in [
            (0, "0K", "0M"),
            (1, "0K", "1M"),
            (14_000_000, "13671K", "14M"),
            (10 * MIB, "10M", "10M"),
            (10 * MIB + KIB, "10241K", "11M"),
            (3 * GIB, "3G", "3072M"),
        ] {
            assert_eq!((option_size(bytes).as_str(), shown_size(bytes).as_str()), (option, shown), "{bytes}");
        }
    }
}
